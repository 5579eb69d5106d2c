"""Engine versions: how they are read, and what an old one is refused for."""

import pytest

from function.engines.vllm import versions
from tests.resources import scene


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
def test_parse(text: str, parts: versions.Version) -> None:
    assert versions.parse(text) == parts


@pytest.mark.parametrize("text", ["", "latest", "0.25", "x0.25.1"])
def test_parse_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="not a version"):
        versions.parse(text)


def test_versions_compare_as_numbers() -> None:
    assert versions.parse("0.9.0") < versions.parse("0.18.0")
    assert versions.show((0, 18, 0)) == "0.18.0"


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("vllm/vllm-openai:v0.26.0", (0, 26, 0)),
        ("registry:5000/vllm:0.26.0-cu130", (0, 26, 0)),
        ("vllm:v0.26.0@sha256:" + "a" * 64, (0, 26, 0)),
        ("vllm:latest", None),
        ("vllm@sha256:" + "a" * 64, None),
        ("registry:5000/vllm", None),
    ],
)
def test_of_image(image: str, parts: versions.Version | None) -> None:
    assert versions.of_image(image) == parts


@pytest.mark.pitfall("requests in flight are cut at scale-down")
@pytest.mark.pitfall("a new model fails to load on an old engine")
@pytest.mark.pitfall("fp8 with LoRA is refused by an old engine")
@pytest.mark.parametrize(("number", "refused"), [("0.17.9", True), ("0.18.0", False)])
def test_an_engine_that_cannot_drain_is_refused(number: str, refused: bool) -> None:
    claimed = scene.of(engine={"version": number})
    if refused:
        assert "finish running requests" in str(scene.unplanned(claimed))
    else:
        assert scene.planned(claimed).serving.release == number


@pytest.mark.pitfall("KV offload makes decoding slow and leaves the KV cache as it was")
@pytest.mark.pitfall("the engine crashes with an external KV cache on")
@pytest.mark.parametrize(("number", "refused"), [("0.21.9", True), ("0.22.0", False)])
def test_kv_offload_is_gated_by_the_version(number: str, refused: bool) -> None:
    claimed = scene.of(engine={"version": number}, cache={"kvOffload": {"enabled": True}})
    if refused:
        assert "spec.cache.kvOffload" in str(scene.unplanned(claimed))
    else:
        assert scene.planned(claimed).serving.pinned_gib == 16


def test_an_old_version_in_the_settings_is_refused_too() -> None:
    error = scene.unplanned(scene.of(), scene.site(engine={"version": "0.17.0"}))
    assert "0.17.0" in str(error)
