"""Versions of engines, as three numbers: how they are read, compared and written."""

import re

Version = tuple[int, int, int]

_NUMBERS = r"v?([0-9]+)[.]([0-9]+)[.]([0-9]+)"
_VERSION = re.compile(_NUMBERS)


def parse(text: str) -> Version:
    """Returns a version such as v0.25.1 as numbers.

    Raises:
        ValueError: The text does not start with three numbers.
    """
    match = _VERSION.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not a version")
    return int(match[1]), int(match[2]), int(match[3])


def of_image(image: str, before: str = "") -> Version | None:
    """Returns the version in an image's tag, or None where the tag is no version.

    Args:
        image: The image, with or without a digest.
        before: What may stand in the tag before the version, as a regular expression.
    """
    match = re.search(f":{before}{_NUMBERS}[^@/:]*(@sha256:[a-f0-9]{{64}})?\\Z", image)
    return None if match is None else (int(match[1]), int(match[2]), int(match[3]))


def show(version: Version) -> str:
    """Returns a version as engines write it."""
    return ".".join(str(part) for part in version)
