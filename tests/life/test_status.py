"""What the status says at rest, and once for each change."""

import pytest

from tests import cluster
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
    world = given.new().reconcile()
    cluster.fail_job(world, 11)
    world.reconcile()
    assert "NotFound" in [reason for _, reason, _ in world.events]
    world.reconcile()
    assert world.events == []


def test_a_steady_claim_is_looked_at_rarely() -> None:
    assert given.serving().response.meta.ttl.seconds >= 600
