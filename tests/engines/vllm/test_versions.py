"""What an old version of the engine is refused for."""

import pytest

from tests.resources import scene


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
