"""The weight of a canary with a gate: up by a step whenever one holds."""

import copy

import pytest

from function.planning import gates as planned
from function.workloads import analyses
from tests import controllers
from tests.life import gated
from tests.resources import scene


def test_the_weight_rises_by_a_step_whenever_one_holds() -> None:
    world = gated.stepped()
    for step in gated.STEPS:
        assert gated.weight(world) == step
        assert gated.percent(gated.job(world)) == step
        assert world.condition("RouteReady") == ("True", "CanaryRising")
        assert f"canary sql is at {step} % of 40 %" in world.message("RouteReady")
        assert world.claim["status"]["servedModels"][1]["canaryWeightPercent"] == step
        gated.held(gated.job(world))
        gated.rested(world)
    assert gated.weight(world) == 40
    assert gated.jobs(world) == []
    assert gated.record(world)["verdict"] == "Held"
    assert world.condition("RouteReady") == ("True", "Published")


def test_a_canary_without_a_gate_has_its_weight_at_once() -> None:
    world = gated.stepped({"adapter": "sql", "weightPercent": 40})
    assert gated.weight(world) == 40
    assert gated.jobs(world) == []
    assert "canaries" not in world.claim["status"]


def test_nothing_is_judged_before_the_route_has_the_weight() -> None:
    world = copy.deepcopy(gated.ungated())
    world.edit(gateway=gated.gateway()).reconcile().settle("Job").reconcile()
    assert gated.weight(world) == 5
    assert gated.jobs(world) == []
    key = f"{scene.NAME}-gateway-airoute"
    route = copy.deepcopy(world.objects[key])
    world.settle("Job")
    route["spec"]["rules"][0]["backendRefs"].pop()
    world.lagging[key] = route
    world.reconcile()
    assert gated.jobs(world) == [], "core's cache has not shown the weight"
    world.catch_up().reconcile()
    assert gated.percent(gated.job(world)) == 5


def test_nothing_is_judged_before_the_pods_have_their_policy() -> None:
    world = gated.stepped()
    policy = world.one("CiliumNetworkPolicy", "-netpol-gate")
    refused = controllers.condition("Valid", "False", "No", "its words")
    policy["status"] = {"conditions": [refused]}
    name = gated.job(world)["metadata"]["name"]
    world.reconcile()
    assert gated.job(world)["metadata"]["name"] == name, "what began goes on"
    gated.held(gated.job(world))
    for _ in range(3):
        world.reconcile()
    assert (gated.weight(world), gated.jobs(world)) == (5, []), "nothing judges the next step"
    assert "waits for its network policy" in world.message("RouteReady")
    gated.rested(world.settle())
    assert (gated.weight(world), gated.percent(gated.job(world))) == (20, 20)


def test_without_its_policy_a_canary_has_no_share() -> None:
    world = copy.deepcopy(gated.ungated())
    world.edit(gateway=gated.gateway())
    for _ in range(3):
        world.reconcile().settle("Job", "CiliumNetworkPolicy")
        world.objects.pop(f"{scene.NAME}-cilium-netpol-gate", None)
        assert (gated.weight(world), gated.jobs(world)) == (0, [])
    gated.rested(world)
    assert (gated.weight(world), gated.percent(gated.job(world))) == (5, 5)


def test_a_finished_job_stays_until_the_status_shows_its_verdict() -> None:
    """Core deletes before it writes the status: a crash between would lose the verdict."""
    world = gated.stepped()
    first = gated.job(world)["metadata"]["name"]
    gated.held(gated.job(world))
    world.reconcile()
    assert gated.record(world)["heldPercent"] == 5
    assert gated.job(world)["metadata"]["name"] == first
    assert gated.weight(world) == 20, "what held is proof enough"
    world.reconcile()
    assert gated.job(world)["metadata"]["name"] != first


def test_a_verdict_counts_though_the_clock_stops_at_that_moment() -> None:
    world = gated.stepped()
    first = gated.job(world)["metadata"]["name"]
    gated.held(gated.job(world))
    world.edit(suspend=True).reconcile()
    assert gated.record(world)["heldPercent"] == 5
    assert gated.job(world)["metadata"]["name"] == first
    world.reconcile()
    assert gated.jobs(world) == []


def test_default_steps_are_a_quarter_and_a_half_of_the_goal() -> None:
    def steps(goal: int) -> tuple[int, ...]:
        one = {"adapter": "sql", "weightPercent": goal, "gate": {}}
        claim = scene.of(loraAdapters=scene.ADAPTERS, gateway=gated.gateway(one))
        (schedule,) = scene.planned(claim, gated.site()).gates
        assert isinstance(schedule, planned.Schedule)
        return schedule.steps

    assert [steps(goal) for goal in (1, 2, 4, 20, 99)] == [
        (1,),
        (1, 2),
        (1, 2, 4),
        (5, 10, 20),
        (24, 49, 99),
    ]


@pytest.mark.parametrize("door", [False, True])
def test_requests_are_those_of_the_claims_own_gateway(door: bool) -> None:
    names = {"name": "gateway_name", "namespace": "gateway_namespace"}
    gates = {"store": gated.STORE, "gatewayLabels": names}
    doors = {"frontDoor": {"namespaces": {"llm": "desk"}}} if door else {}
    claim = scene.of(loraAdapters=scene.ADAPTERS, gateway=gated.gateway())
    plan = scene.planned(claim, gated.site(canaryGates=gates, **doors))
    step = analyses.Step(plan.gates[0], 5, 0, None, None)
    wanted = ("desk", "llm") if door else ("ai-gateway", "envoy-ai-gateway-system")
    labels = analyses.program_plan(plan, step)["labels"]
    assert labels == dict(zip(names.values(), wanted, strict=True))
    assert "labels" not in analyses.program_plan(scene.planned(claim, gated.site()), step)


def test_two_canaries_rise_each_for_itself() -> None:
    world = gated.stepped(gated.canary(), {**gated.canary(), "adapter": "law"})
    assert (gated.weight(world, "sql"), gated.weight(world, "law")) == (5, 5)
    first = next(one for one in gated.jobs(world) if '"canary":"law"' in str(one["spec"]))
    gated.held(first)
    gated.rested(world)
    assert (gated.weight(world, "sql"), gated.weight(world, "law")) == (5, 20)
