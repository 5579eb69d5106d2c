"""Versions of engines: how texts and tags of images are read."""

import pytest

from function.engines import semver
from function.engines.tei import versions


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("0.25.1", (0, 25, 1)),
        ("v0.25.1", (0, 25, 1)),
        ("0.25.1.post1", (0, 25, 1)),
        ("1.0.0-rc1", (1, 0, 0)),
        ("0.9.10", (0, 9, 10)),
    ],
)
def test_parse(text: str, parts: semver.Version) -> None:
    assert semver.parse(text) == parts


@pytest.mark.parametrize("text", ["", "latest", "0.25", "x0.25.1"])
def test_parse_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="not a version"):
        semver.parse(text)


def test_versions_compare_as_numbers() -> None:
    assert semver.parse("0.9.0") < semver.parse("0.18.0")
    assert semver.show((0, 18, 0)) == "0.18.0"


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("vllm/vllm-openai:v0.26.0", (0, 26, 0)),
        ("registry:5000/vllm:0.26.0-cu130", (0, 26, 0)),
        ("vllm:v0.26.0@sha256:" + "a" * 64, (0, 26, 0)),
        ("vllm:nightly-0.26.0", None),
        ("vllm:latest", None),
        ("vllm@sha256:" + "a" * 64, None),
        ("registry:5000/vllm", None),
    ],
)
def test_of_image(image: str, parts: semver.Version | None) -> None:
    assert semver.of_image(image) == parts


@pytest.mark.parametrize(
    ("tag", "parts"),
    [
        ("cpu-1.9.3", (1, 9, 3)),
        ("1.9.3", (1, 9, 3)),
        ("hopper-1.9.3@sha256:" + "a" * 64, (1, 9, 3)),
        ("cpu-latest", None),
    ],
)
def test_what_an_image_is_built_for_stands_before_the_version(
    tag: str, parts: semver.Version | None
) -> None:
    assert versions.of_image(f"ghcr.io/huggingface/text-embeddings-inference:{tag}") == parts
