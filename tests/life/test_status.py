"""What the status says at rest, and once for each change."""

import copy
from typing import Any

import pytest

from tests import cluster, controllers
from tests.life import given


@pytest.mark.pitfall("main drifts")
@pytest.mark.decision(18)
def test_status_names_what_serves() -> None:
    status = given.serving().claim["status"]
    assert status["serving"]["repository"] == "Qwen/Qwen2.5-Coder-7B-Instruct"
    assert status["serving"]["adapters"] == [
        "xplane-qwen-coder-sql-dpo",
        "xplane-qwen-coder-securecode",
    ]
    assert status["replicas"] == "1/1"
    assert status["waitingFor"] == ""
    assert status["observedGeneration"] == 1


def test_the_generation_moves_on_only_with_conditions_that_are_about_it() -> None:
    """Core writes it beside the conditions that it read, and `kubectl wait` believes it.

    So the fields that an answer writes must be true of the conditions that it was asked with.
    """
    world = given.serving()
    given.remodelled(world, contextWindow=8192)
    stale = world.claim["status"]["conditions"]
    assert world.condition("Current") == ("True", "Serving")
    world.reconcile()
    assert world.condition("Current") == ("False", "RollingOut")
    assert world.claim["status"]["observedGeneration"] == 1, f"it would stand beside {stale}"
    world.reconcile()
    assert world.claim["status"]["observedGeneration"] == 2


def test_events_tell_each_transition_once() -> None:
    world = given.new().born()
    cluster.fail_job(world, 11)
    world.reconcile()
    assert "NotFound" in [reason for _, reason, _ in world.events]
    world.reconcile()
    assert world.events == []


def half_told(world: cluster.Cluster) -> cluster.Cluster:
    """Reconciles, and lets core's cache show no more of that than its first write.

    Core writes the fields of a status, tells the events and writes the conditions then.
    """
    before = copy.deepcopy(world.claim["status"]["conditions"])
    world.reconcile()
    world.lag(cluster.CLAIM)
    world.lagging[cluster.CLAIM]["status"]["conditions"] = before
    return world


@pytest.mark.parametrize("ready", ["False", "True"])
def test_an_event_is_told_once_though_core_has_not_seen_its_own_conditions(ready: str) -> None:
    world = given.serving()
    for status in ("True", "False", "True") if ready == "True" else ("True", "False"):
        error = controllers.condition("Ready", status, "ScaledObjectReady", "no such host")
        world.one("ScaledObject")["status"] = {"conditions": [error]}
        world.catch_up()
        half_told(world)
        told = [message.split(":")[0] for _, _, message in world.events]
    assert told == [f"ScalerReady={ready}"]
    world.reconcile()
    assert world.events == []
    world.catch_up().reconcile()
    assert world.events == []


def test_what_is_told_once_is_not_told_again_with_the_next_change() -> None:
    """The old conditions are still what core shows when something else changes too."""
    world = given.serving()
    error = controllers.condition("Ready", "False", "ScaledObjectCheckFailed", "no such host")
    world.one("ScaledObject")["status"] = {"conditions": [error]}
    half_told(world)
    assert [reason for _, reason, _ in world.events] == ["TriggerError"]
    world.one("Deployment")["status"] = {"replicas": 1}
    world.reconcile()
    assert [reason for _, reason, _ in world.events] == ["RollingOut", "Starting"]


def test_what_changes_meanwhile_is_told() -> None:
    """An answer came between, and another change after it."""
    world = given.serving()
    for words in ("no such host", "connection refused"):
        error = controllers.condition("Ready", "False", "ScaledObjectCheckFailed", words)
        world.one("ScaledObject")["status"] = {"conditions": [error]}
        half_told(world)
        assert [reason for _, reason, _ in world.events] == ["TriggerError"]


def test_a_steady_claim_is_looked_at_rarely() -> None:
    assert given.serving().response.meta.ttl.seconds >= 600


@pytest.mark.parametrize(
    ("field", "written"),
    [("repository", [None]), ("adapters", ["a", [None]]), ("revision", 5), ("x", "y")],
)
def test_a_field_of_serving_that_somebody_wrote_over_is_dropped(field: str, written: Any) -> None:
    world = given.serving()
    told = copy.deepcopy(world.claim["status"]["serving"])
    kept = {key: value for key, value in told.items() if key != field}
    # Which adapters the pods have is known without it.
    kept |= {"adapters": told["adapters"]}
    world.claim["status"]["serving"][field] = written
    # While the claim is edited and not current, the status says again what it said.
    world.edit(model={"repository": "Qwen/Qwen3-8B"}).reconcile()
    assert world.fatal is None
    assert world.claim["status"]["serving"] == kept
