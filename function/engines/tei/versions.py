"""Versions of text-embeddings-inference, and what each gate stands for."""

from function.engines import semver

# `--served-model-name` (router/src/main.rs), and images for Blackwell (.github/workflows/
# matrix.json): 1.8.3 has neither.
MINIMUM: semver.Version = (1, 9, 0)
# The newest that was read.
JUDGED: semver.Version = (1, 9, 3)

# What an image is built for stands before the version: `cpu-1.9.3`, `hopper-1.9.3@sha256:...`
_BUILT_FOR = "(?:[a-z0-9]+-)*"


def of_image(image: str) -> semver.Version | None:
    """Returns the version in an image's tag, or None when the tag has none."""
    return semver.of_image(image, _BUILT_FOR)
