"""vLLM versions, and what each gate stands for."""

import re

Version = tuple[int, int, int]

# `--shutdown-timeout`, without which requests in flight hang at SIGTERM (vllm#24885).
MINIMUM: Version = (0, 18, 0)
# `--kv-offloading-size` works with every model that this project serves.
KV_OFFLOAD: Version = (0, 22, 0)
# `--max-num-queued-reqs`: the first judged version that has it.
QUEUE: Version = (0, 32, 0)
# The first judged version whose prefix cache goes by an adapter's path as well as by its name.
HOT_ADAPTERS: Version = (0, 32, 0)

# An s3:// address together with HF_HUB_OFFLINE, which every pod has: read in 0.25.1's arg_utils.py,
# and in no older version.
OBJECT_STORE: Version = (0, 25, 1)

_TAG = re.compile(r":v?([0-9]+)[.]([0-9]+)[.]([0-9]+)[^@/]*(@sha256:[a-f0-9]{64})?\Z")
_VERSION = re.compile(r"v?([0-9]+)[.]([0-9]+)[.]([0-9]+)")


def parse(text: str) -> Version:
    """Returns a version such as v0.25.1 as numbers.

    Raises:
        ValueError: The text does not start with three numbers.
    """
    match = _VERSION.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not a version")
    return int(match[1]), int(match[2]), int(match[3])


def of_image(image: str) -> Version | None:
    """Returns the version in an image's tag, or None when the tag is no version."""
    match = _TAG.search(image)
    return None if match is None else (int(match[1]), int(match[2]), int(match[3]))


def show(version: Version) -> str:
    """Returns the version as vLLM writes it."""
    return ".".join(str(part) for part in version)
