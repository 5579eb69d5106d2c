"""The weight of a canary with a gate: by steps while each holds, and back when one breaks."""

import copy
import functools
from typing import Any

import pytest

from function.cluster import gating
from function.planning import gates as planned
from judge import exits
from tests import cluster
from tests.resources import scene

STORE = {"namespace": "monitoring", "podLabels": {"app": "metrics"}, "port": 8428}
STARTED = "2026-01-31T12:00:00Z"
STEPS = (5, 20, 40)


def canary(weight: int = 40, **gate: Any) -> cluster.Object:
    return {"adapter": "sql", "weightPercent": weight, "gate": {"steps": [20, 5], **gate}}


def site(**changes: Any) -> cluster.Object:
    return scene.site(**{"canaryGates": {"store": STORE}, **changes})


def gateway(*canaries: cluster.Object) -> cluster.Object:
    return {"enabled": True, "canaries": list(canaries or (canary(),))}


@functools.cache
def _ungated() -> cluster.Cluster:
    claim = scene.of(loraAdapters=scene.ADAPTERS, gateway={"enabled": True})
    world = cluster.Cluster(claim, site())
    world.converge()
    return world


def stepped(*canaries: cluster.Object, rounds: int = 4) -> cluster.Cluster:
    """A claim that serves its adapters, and has got a canary with a gate."""
    world = copy.deepcopy(_ungated())
    world.edit(gateway=gateway(*canaries))
    return rested(world, rounds)


def rested(world: cluster.Cluster, rounds: int = 4) -> cluster.Cluster:
    """Lets core and all controllers but that of Jobs act until nothing changes."""
    for _ in range(rounds):
        world.reconcile().settle("Job")
    world.reconcile()
    assert world.writes == []
    return world


def weight(world: cluster.Cluster, adapter: str = "sql") -> int | None:
    base = world.one("AIGatewayRoute")["spec"]["rules"][0]["backendRefs"]
    assert sum(one["weight"] for one in base) == 100
    return next((one["weight"] for one in base if one.get("modelNameOverride") == adapter), None)


def jobs(world: cluster.Cluster) -> list[cluster.Object]:
    return [item for key, item in world.objects.items() if f"-{gating.SUFFIX}" in key]


def job(world: cluster.Cluster) -> cluster.Object:
    (only,) = jobs(world)
    return only


def percent(item: cluster.Object) -> int:
    return int(item["metadata"]["annotations"][gating.PERCENT_ANNOTATION])


def record(world: cluster.Cluster) -> cluster.Object:
    (only,) = world.claim["status"]["canaries"]
    assert isinstance(only, dict)
    return only


def held(item: cluster.Object) -> None:
    item["status"] = {"startTime": STARTED, "conditions": [cluster.condition("Complete")]}


def ended(item: cluster.Object, code: int) -> None:
    words = f"Container gate for pod llm/x failed with exit code {code} matching FailJob rule"
    failed = cluster.condition("Failed", reason="PodFailurePolicy", message=words)
    item["status"] = {"startTime": STARTED, "failed": 1, "conditions": [failed]}


def crashed(item: cluster.Object, reason: str = "BackoffLimitExceeded") -> None:
    failed = cluster.condition("Failed", reason=reason)
    item["status"] = {"startTime": STARTED, "conditions": [failed]}


# --- up


def test_the_weight_rises_by_a_step_whenever_one_holds() -> None:
    world = stepped()
    for step in STEPS:
        assert weight(world) == step
        assert percent(job(world)) == step
        assert world.condition("RouteReady") == ("True", "CanaryRising")
        assert f"canary sql is at {step} % of 40 %" in world.message("RouteReady")
        assert world.claim["status"]["servedModels"][1]["canaryWeightPercent"] == step
        held(job(world))
        rested(world)
    assert weight(world) == 40
    assert jobs(world) == []
    assert record(world)["verdict"] == "Held"
    assert world.condition("RouteReady") == ("True", "Published")


def test_a_canary_without_a_gate_has_its_weight_at_once() -> None:
    world = stepped({"adapter": "sql", "weightPercent": 40})
    assert weight(world) == 40
    assert jobs(world) == []
    assert "canaries" not in world.claim["status"]


def test_nothing_is_judged_before_the_route_has_the_weight() -> None:
    world = copy.deepcopy(_ungated())
    world.edit(gateway=gateway()).reconcile().settle("Job").reconcile()
    assert weight(world) == 5
    assert jobs(world) == []
    key = f"{scene.NAME}-gateway-airoute"
    route = copy.deepcopy(world.objects[key])
    world.settle("Job")
    route["spec"]["rules"][0]["backendRefs"].pop()
    world.lagging[key] = route
    world.reconcile()
    assert jobs(world) == [], "core's cache has not shown the weight"
    world.catch_up().reconcile()
    assert percent(job(world)) == 5


def test_nothing_is_judged_before_the_pods_have_their_policy() -> None:
    world = stepped()
    policy = world.one("CiliumNetworkPolicy", "-netpol-gate")
    refused = cluster.condition("Valid", "False", "No", "its words")
    policy["status"] = {"conditions": [refused]}
    name = job(world)["metadata"]["name"]
    world.reconcile()
    assert job(world)["metadata"]["name"] == name, "what began goes on"
    held(job(world))
    for _ in range(3):
        world.reconcile()
    assert (weight(world), jobs(world)) == (5, []), "nothing judges the next step"
    assert "waits for its network policy" in world.message("RouteReady")
    rested(world.settle())
    assert (weight(world), percent(job(world))) == (20, 20)


def test_without_its_policy_a_canary_has_no_share() -> None:
    world = copy.deepcopy(_ungated())
    world.edit(gateway=gateway())
    for _ in range(3):
        world.reconcile().settle("Job", "CiliumNetworkPolicy")
        world.objects.pop(f"{scene.NAME}-cilium-netpol-gate", None)
        assert (weight(world), jobs(world)) == (0, [])
    rested(world)
    assert (weight(world), percent(job(world))) == (5, 5)


def test_a_finished_job_stays_until_the_status_shows_its_verdict() -> None:
    """Core deletes before it writes the status: a crash between would lose the verdict."""
    world = stepped()
    first = job(world)["metadata"]["name"]
    held(job(world))
    world.reconcile()
    assert record(world)["heldPercent"] == 5
    assert job(world)["metadata"]["name"] == first
    assert weight(world) == 20, "what held is proof enough"
    world.reconcile()
    assert job(world)["metadata"]["name"] != first


def test_a_verdict_counts_though_the_clock_stops_at_that_moment() -> None:
    world = stepped()
    first = job(world)["metadata"]["name"]
    held(job(world))
    world.edit(suspend=True).reconcile()
    assert record(world)["heldPercent"] == 5
    assert job(world)["metadata"]["name"] == first
    world.reconcile()
    assert jobs(world) == []


def test_default_steps_are_a_quarter_and_a_half_of_the_goal() -> None:
    def steps(goal: int) -> tuple[int, ...]:
        gated = {"adapter": "sql", "weightPercent": goal, "gate": {}}
        claim = scene.of(loraAdapters=scene.ADAPTERS, gateway=gateway(gated))
        (schedule,) = scene.planned(claim, site()).gates
        assert isinstance(schedule, planned.Schedule)
        return schedule.steps

    assert [steps(goal) for goal in (1, 2, 4, 20, 99)] == [
        (1,),
        (1, 2),
        (1, 2, 4),
        (5, 10, 20),
        (24, 49, 99),
    ]


def test_two_canaries_rise_each_for_itself() -> None:
    world = stepped(canary(), {**canary(), "adapter": "law"})
    assert (weight(world, "sql"), weight(world, "law")) == (5, 5)
    first = next(one for one in jobs(world) if '"canary":"law"' in str(one["spec"]))
    held(first)
    rested(world)
    assert (weight(world, "sql"), weight(world, "law")) == (5, 20)


# --- down


@pytest.mark.parametrize("code", sorted(exits.BROKEN))
@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_step_that_breaks_takes_all_weight_until_the_canary_is_changed(
    steps: int, code: int
) -> None:
    world = stepped()
    for _ in range(steps):
        held(job(world))
        rested(world)
    ended(job(world), code)
    world.reconcile()
    assert weight(world) == 0
    assert world.condition("RouteReady") == ("False", "CanaryRolledBack")
    assert [event[1] for event in world.events] == ["CanaryRolledBack"]
    assert "raise gate.generation" in world.claim["status"]["waitingFor"]
    rested(world)
    assert weight(world) == 0
    assert job(world), "its log tells why"
    assert "sql" in world.claim["status"]["servedModelsSummary"], "served by its own name"
    assert "canaryWeightPercent" not in world.claim["status"]["servedModels"][1]
    # Neither other settings nor the loss of the Job are another try.
    other_image(world)
    rested(world)
    assert weight(world) == 0
    world.delete(next(key for key in world.objects if f"-{gating.SUFFIX}" in key))
    rested(world)
    assert jobs(world) == []
    assert (weight(world), record(world)["verdict"]) == (0, "RolledBack")


def other_image(world: cluster.Cluster) -> None:
    """A new release, or a mirror: every new Job has another spec."""
    settings = world.environments[0]["data"]["inferenceService"]
    settings["preload"] = {**settings.get("preload", {}), "image": "example.com/preload:v9"}


def served(item: cluster.Object) -> None:
    """Writes into a Job what the API server does."""
    mark = {"batch.kubernetes.io/controller-uid": "7", "controller-uid": "7", "job-name": "x"}
    item["spec"] |= {"selector": {"matchLabels": dict(mark)}, "completions": 1, "suspend": False}
    item["spec"]["template"]["metadata"]["labels"] |= mark


@pytest.mark.parametrize("end", [lambda item: ended(item, exits.Exit.ERROR_RATE), crashed, held])
def test_a_job_whose_verdict_counts_stays_as_it_is_whatever_the_settings_say(end: Any) -> None:
    """Its log and its alert go with it."""
    world = stepped()
    served(job(world))
    end(job(world))
    before = copy.deepcopy(job(world))
    other_image(world)
    for _ in range(3):
        world.reconcile()
        assert job(world) == before
        if end is held:
            break
    spec = world.desired(job(world)["metadata"]["annotations"][cluster.KEY])["spec"]
    assert "selector" not in spec, "it stays the API server's"
    assert "controller-uid" not in spec["template"]["metadata"]["labels"]
    world.edit(gateway=gateway(canary(generation=1)))
    rested(world)
    assert job(world)["metadata"]["name"] != before["metadata"]["name"]


@pytest.mark.parametrize(
    "change",
    [
        {"generation": 1},
        {"maxErrorPercent": 5},
        {"steps": [10, 30]},
    ],
)
def test_a_change_of_the_gate_is_another_try_from_the_first_step(change: cluster.Object) -> None:
    world = stepped()
    held(job(world))
    rested(world)
    ended(job(world), exits.Exit.ERROR_RATE)
    rested(world)
    again = canary(**change)
    world.edit(gateway=gateway(again))
    rested(world)
    assert weight(world) == min(again["gate"]["steps"])
    assert percent(job(world)) == min(again["gate"]["steps"])


def test_another_adapter_begins_at_the_first_step_once_every_pod_has_it() -> None:
    world = stepped()
    for _ in STEPS:
        held(job(world))
        rested(world)
    assert weight(world) == 40
    sql, law = scene.ADAPTERS
    world.edit(loraAdapters=[{**sql, "revision": "3333"}, law])
    for _ in range(3):
        world.reconcile().settle("Job", "Deployment")
        assert weight(world) in (0, 5)
        assert not jobs(world), "the old pods still serve the old one"
    world.settle().reconcile().settle("Job", "Deployment").reconcile()
    assert not jobs(world), "the new pods are not there yet"
    rested(world.settle())
    assert weight(world) == 5
    assert percent(job(world)) == 5


def test_other_steps_go_on_from_what_held() -> None:
    world = stepped()
    held(job(world))
    rested(world)
    held(job(world))
    rested(world)
    assert weight(world) == 40
    world.edit(gateway=gateway(canary(90, steps=[10, 30, 60])))
    rested(world)
    assert weight(world) == 30, "20 % held"
    world.edit(gateway=gateway(canary(15, steps=[5])))
    rested(world)
    assert (weight(world), jobs(world)) == (15, [])


# --- neither


@pytest.mark.parametrize(
    ("code", "reason", "holds"),
    [
        (exits.Exit.TOO_FEW_REQUESTS, "CanaryWaits", "True"),
        (exits.Exit.NOT_EVALUATED, "CanaryWaits", "True"),
        (exits.Exit.BASE_FAILS, "CanaryWaits", "True"),
        (exits.Exit.STORE_UNREACHABLE, "CanaryBlind", "False"),
    ],
)
def test_what_cannot_be_judged_neither_rises_nor_falls(code: int, reason: str, holds: str) -> None:
    world = stepped()
    first = job(world)
    ended(first, code)
    rested(world)
    assert weight(world) == 5
    assert world.condition("RouteReady") == (holds, reason)
    second = job(world)
    assert second["metadata"]["name"] != first["metadata"]["name"]
    plan = scene.environment(second["spec"]["template"]["spec"]["containers"][0])["JUDGE_PLAN"]
    assert f'"since":"{STARTED}"' in plan, "requests of the first try count"
    ended(second, code)
    rested(world)
    assert record(world)["tries"] == 2
    held(job(world))
    rested(world)
    assert weight(world) == 20
    assert "since" not in record(world)


def test_a_job_that_ran_out_of_time_is_followed_by_another() -> None:
    world = stepped()
    crashed(job(world), "DeadlineExceeded")
    rested(world)
    assert (weight(world), record(world)["tries"]) == (5, 1)


def test_a_job_that_fails_by_itself_takes_the_weight_back_to_what_held() -> None:
    world = stepped()
    held(job(world))
    rested(world)
    assert weight(world) == 20
    crashed(job(world))
    rested(world)
    assert weight(world) == 5
    assert world.condition("RouteReady") == ("False", "CanaryStuck")
    assert job(world), "its log tells why"
    world.edit(gateway=gateway(canary(generation=1)))
    rested(world)
    assert (weight(world), percent(job(world))) == (5, 5)


def test_a_missing_fallback_does_not_hide_that_a_canary_was_taken_back() -> None:
    world = copy.deepcopy(_ungated())
    world.strangers = []
    world.edit(gateway={**gateway(), "fallback": {"claim": "other"}})
    rested(world)
    assert world.condition("RouteReady") == ("False", "FallbackAbsent")
    ended(job(world), exits.Exit.ERROR_RATE)
    rested(world)
    assert world.condition("RouteReady") == ("False", "CanaryRolledBack")
    assert "other" in world.message("RouteReady")


def test_without_a_way_to_the_metrics_nothing_gets_weight() -> None:
    world = copy.deepcopy(_ungated())
    world.environments[0]["data"]["inferenceService"]["canaryGates"] = {}
    world.edit(gateway=gateway())
    rested(world)
    assert weight(world) == 0
    assert world.condition("RouteReady") == ("False", "GatesWithheld")
    assert jobs(world) == []


def test_settings_that_lose_the_store_take_the_weight_back_to_what_held() -> None:
    world = stepped()
    held(job(world))
    rested(world)
    assert weight(world) == 20
    settings = world.environments[0]["data"]["inferenceService"]
    settings["canaryGates"] = {}
    rested(world)
    assert (weight(world), jobs(world)) == (5, [])
    settings["canaryGates"] = {"store": STORE}
    rested(world)
    assert (weight(world), percent(job(world))) == (20, 20)


def test_the_clock_does_not_run_while_the_claim_is_suspended() -> None:
    world = stepped()
    world.edit(suspend=True)
    rested(world)
    assert jobs(world) == []
    world.edit(suspend=False)
    rested(world)
    assert percent(job(world)) == 5


def test_an_outage_ends_no_job_and_starts_none() -> None:
    """What fails meanwhile is counted, of the base model too."""
    world = stepped()
    name = job(world)["metadata"]["name"]
    world.one("Deployment")["status"]["availableReplicas"] = 0
    world.reconcile()
    assert job(world)["metadata"]["name"] == name
    world.delete(f"{scene.NAME}-{gating.SUFFIX}{name.rsplit('-', 1)[1]}")
    world.reconcile()
    assert jobs(world) == []


def test_a_scaler_that_moves_ends_no_job() -> None:
    """For a moment the Deployment's controller has not read the new count."""
    world = stepped()
    name = job(world)["metadata"]["name"]
    world.one("Deployment")["metadata"]["generation"] += 1
    world.reconcile()
    assert job(world)["metadata"]["name"] == name


# --- what is lost


def test_a_lost_status_begins_at_the_first_step() -> None:
    world = stepped()
    held(job(world))
    rested(world)
    assert weight(world) == 20
    del world.claim["status"]["canaries"]
    rested(world)
    assert (weight(world), percent(job(world))) == (5, 5)


def test_a_lost_status_does_not_forgive_what_broke() -> None:
    world = stepped()
    held(job(world))
    rested(world)
    ended(job(world), exits.Exit.ERROR_RATE)
    rested(world)
    del world.claim["status"]["canaries"]
    world.reconcile()
    assert (weight(world), record(world)["verdict"]) == (0, "RolledBack")


@pytest.mark.parametrize(
    "written",
    [{"heldPercent": 400}, {"heldPercent": "40"}, {"since": "now"}, {"adapter": 7}, {"more": 1}],
)
def test_a_status_that_nobody_of_ours_wrote_proves_nothing(written: cluster.Object) -> None:
    world = stepped()
    held(job(world))
    rested(world)
    world.claim["status"]["canaries"] = [record(world) | written]
    rested(world)
    assert weight(world) == 5


def test_a_job_that_is_deleted_runs_again() -> None:
    world = stepped()
    name = job(world)["metadata"]["name"]
    world.delete(f"{scene.NAME}-{gating.SUFFIX}{name.rsplit('-', 1)[1]}")
    rested(world)
    assert (weight(world), job(world)["metadata"]["name"]) == (5, name)


def test_codes_are_the_programs() -> None:
    codes = {int(code) for code in exits.Exit} - {exits.Exit.HELD, exits.Exit.UNUSABLE_PLAN}
    assert set(gating.CODES) == codes
    assert {gating.CODES[code] for code in exits.BROKEN} == gating.BROKEN
