"""A canary with a gate that is taken back, and what begins another try."""

import copy
from typing import Any

import pytest

from function.cluster import gating
from judge import exits
from tests import cluster
from tests.life import gated
from tests.resources import scene


@pytest.mark.parametrize("code", sorted(exits.BROKEN))
@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_step_that_breaks_takes_all_weight_until_the_canary_is_changed(
    steps: int, code: int
) -> None:
    world = gated.stepped()
    for _ in range(steps):
        gated.held(gated.job(world))
        gated.rested(world)
    gated.ended(gated.job(world), code)
    world.reconcile()
    assert gated.weight(world) == 0
    assert world.condition("RouteReady") == ("False", "CanaryRolledBack")
    assert [event[1] for event in world.events] == ["CanaryRolledBack"]
    assert "raise gate.generation" in world.claim["status"]["waitingFor"]
    gated.rested(world)
    assert gated.weight(world) == 0
    assert gated.job(world), "its log tells why"
    assert "sql" in world.claim["status"]["servedModelsSummary"], "served by its own name"
    assert "canaryWeightPercent" not in world.claim["status"]["servedModels"][1]
    # Neither other settings nor the loss of the Job are another try.
    gated.other_image(world)
    gated.rested(world)
    assert gated.weight(world) == 0
    world.delete(next(key for key in world.objects if f"-{gating.SUFFIX}" in key))
    gated.rested(world)
    assert gated.jobs(world) == []
    assert (gated.weight(world), gated.record(world)["verdict"]) == (0, "RolledBack")


@pytest.mark.parametrize(
    "end", [lambda item: gated.ended(item, exits.Exit.ERROR_RATE), gated.crashed, gated.held]
)
def test_a_job_whose_verdict_counts_stays_as_it_is_whatever_the_settings_say(end: Any) -> None:
    """Its log and its alert go with it."""
    world = gated.stepped()
    gated.served(gated.job(world))
    end(gated.job(world))
    before = copy.deepcopy(gated.job(world))
    gated.other_image(world)
    for _ in range(3):
        world.reconcile()
        assert gated.job(world) == before
        if end is gated.held:
            break
    spec = world.desired(gated.job(world)["metadata"]["annotations"][cluster.KEY])["spec"]
    assert "selector" not in spec, "it stays the API server's"
    assert "controller-uid" not in spec["template"]["metadata"]["labels"]
    world.edit(gateway=gated.gateway(gated.canary(generation=1)))
    gated.rested(world)
    assert gated.job(world)["metadata"]["name"] != before["metadata"]["name"]


@pytest.mark.parametrize(
    "change",
    [
        {"generation": 1},
        {"maxErrorPercent": 5},
        {"steps": [10, 30]},
    ],
)
def test_a_change_of_the_gate_is_another_try_from_the_first_step(change: cluster.Object) -> None:
    world = gated.stepped()
    gated.held(gated.job(world))
    gated.rested(world)
    gated.ended(gated.job(world), exits.Exit.ERROR_RATE)
    gated.rested(world)
    again = gated.canary(**change)
    world.edit(gateway=gated.gateway(again))
    gated.rested(world)
    assert gated.weight(world) == min(again["gate"]["steps"])
    assert gated.percent(gated.job(world)) == min(again["gate"]["steps"])


def test_another_adapter_begins_at_the_first_step_once_every_pod_has_it() -> None:
    world = gated.stepped()
    for _ in gated.STEPS:
        gated.held(gated.job(world))
        gated.rested(world)
    assert gated.weight(world) == 40
    sql, law = scene.ADAPTERS
    world.edit(loraAdapters=[{**sql, "revision": "3333"}, law])
    for _ in range(3):
        world.reconcile().settle("Job", "Deployment")
        assert gated.weight(world) in (0, 5)
        assert not gated.jobs(world), "the old pods still serve the old one"
    world.settle().reconcile().settle("Job", "Deployment").reconcile()
    assert not gated.jobs(world), "the new pods are not there yet"
    gated.rested(world.settle())
    assert gated.weight(world) == 5
    assert gated.percent(gated.job(world)) == 5


def test_other_steps_go_on_from_what_held() -> None:
    world = gated.stepped()
    gated.held(gated.job(world))
    gated.rested(world)
    gated.held(gated.job(world))
    gated.rested(world)
    assert gated.weight(world) == 40
    world.edit(gateway=gated.gateway(gated.canary(90, steps=[10, 30, 60])))
    gated.rested(world)
    assert gated.weight(world) == 30, "20 % held"
    world.edit(gateway=gated.gateway(gated.canary(15, steps=[5])))
    gated.rested(world)
    assert (gated.weight(world), gated.jobs(world)) == (15, [])
