"""Versions of text-embeddings-inference, and what each gate stands for."""

import re

Version = tuple[int, int, int]

# `--served-model-name` (router/src/main.rs), and images for Blackwell (.github/workflows/
# matrix.json): 1.8.3 has neither.
MINIMUM: Version = (1, 9, 0)
# The newest that was read.
JUDGED: Version = (1, 9, 3)

# `cpu-1.9.3`, `1.9.3`, `hopper-1.9.3@sha256:...`
_TAG = re.compile(
    r":(?:[a-z0-9]+-)*v?([0-9]+)[.]([0-9]+)[.]([0-9]+)[^@/:]*(@sha256:[a-f0-9]{64})?\Z"
)
_VERSION = re.compile(r"v?([0-9]+)[.]([0-9]+)[.]([0-9]+)")


def parse(text: str) -> Version:
    """Returns a version such as 1.9.3 as numbers.

    Raises:
        ValueError: The text does not start with three numbers.
    """
    match = _VERSION.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not a version")
    return int(match[1]), int(match[2]), int(match[3])


def of_image(image: str) -> Version | None:
    """Returns the version in an image's tag, or None when the tag has none."""
    match = _TAG.search(image)
    return None if match is None else (int(match[1]), int(match[2]), int(match[3]))


def show(version: Version) -> str:
    """Returns the version as the engine writes it."""
    return ".".join(str(part) for part in version)
