"""What cannot be rendered changes nothing."""

import copy

import pytest

from tests.life import given


@pytest.mark.decision(19)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda w: w.claim["spec"]["model"].__setitem__("repository", "../etc"),
        lambda w: w.claim["spec"].__setitem__("engineArgs", ["--MODEL=x"]),
        lambda w: w.environments[0]["data"]["inferenceService"].__setitem__("typo", 1),
        lambda w: w.environments.clear(),
        lambda w: w.claim["spec"].__setitem__("gpu", {"count": 1, "class": "none"}),
    ],
)
def test_what_cannot_be_rendered_changes_nothing_and_says_so(spoil: object) -> None:
    world = given.serving()
    objects = copy.deepcopy(world.objects)
    status = {k: v for k, v in world.claim["status"].items() if k != "conditions"}
    assert callable(spoil)
    spoil(world)
    world.reconcile()
    assert world.fatal
    assert world.objects == objects
    assert world.condition("Valid")[0] == "False"
    assert world.condition("Valid")[1] in ("Invalid", "SettingsInvalid")
    assert world.condition("EngineReady") == ("True", "Serving")
    assert {k: v for k, v in world.claim["status"].items() if k != "conditions"} == status


def test_a_mended_claim_goes_on_without_a_false_event() -> None:
    world = given.serving()
    world.claim["spec"]["engineArgs"] = ["--model=x"]
    world.reconcile()
    world.claim["spec"]["engineArgs"] = []
    world.reconcile()
    assert [reason for _, reason, _ in world.events] == ["Valid"]
    assert world.condition("Current") == ("True", "Serving")


@pytest.mark.decision(19)
def test_conditions_that_core_spoilt_are_no_transition() -> None:
    world = given.serving()
    for condition in world.claim["status"]["conditions"]:
        condition |= {"status": "Unknown", "reason": "FatalError"}
    world.reconcile()
    assert world.events == []
    assert world.condition("Current") == ("True", "Serving")
