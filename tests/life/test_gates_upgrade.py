"""What is made of the records, routes and Jobs of canaries that an earlier version wrote."""

import copy
import dataclasses
from typing import Any
from unittest import mock

import pytest

from function import memo
from function.cluster import gating
from function.planning import gates as planned
from function.planning import plans
from function.workloads import analyses
from judge import exits
from tests import cluster
from tests.life import gated, test_gates_proof
from tests.resources import scene

LONG_AGO = "2020-01-31T12:00:00Z"


@pytest.fixture
def earlier(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Lets the function answer as it did before marks told the base model."""
    schedules = planned.schedules

    def former(*given: Any) -> tuple[planned.Schedule, ...]:
        return tuple(
            dataclasses.replace(one, mark=one.former[0], asked=one.former[1])
            for one in schedules(*given)
        )

    monkeypatch.setattr(planned, "schedules", former)
    monkeypatch.setattr(plans, "_kept", memo.Bounded(plans.MOST_BYTES))
    return monkeypatch


def upgraded(
    world: cluster.Cluster, earlier: pytest.MonkeyPatch, *, vouched: bool = True
) -> cluster.Cluster:
    """Ends the time of the earlier version, whose routes vouched for steps at last."""
    earlier.undo()
    if not vouched:
        unvouched(world)
    return world


def unvouched(world: cluster.Cluster) -> None:
    world.one("AIGatewayRoute")["metadata"]["annotations"].pop(gating.HELD_ANNOTATION, None)


def marks(*canaries: cluster.Object, former: bool) -> cluster.Object:
    claim = scene.of(loraAdapters=scene.ADAPTERS, gateway=gated.gateway(*canaries))
    (only,) = scene.planned(claim, gated.site()).gates
    mark, asked = only.former if former else (only.mark, only.asked)
    return {"mark": mark, "asked": asked}


# --- what is proved


@pytest.mark.parametrize("vouched", [False, True])
@pytest.mark.parametrize("holds", [0, 1, 3])
@pytest.mark.parametrize("taken_back", [False, True])
def test_an_upgrade_judges_nothing_again(
    holds: int, taken_back: bool, vouched: bool, earlier: pytest.MonkeyPatch
) -> None:
    """Records of before the base model counted stay what they are, and so do their Jobs."""
    world = gated.stepped()
    for _ in range(holds):
        gated.held(gated.job(world))
        gated.rested(world)
    if taken_back and holds < 3:
        gated.ended(gated.job(world), 20)
        gated.rested(world)
    before = copy.deepcopy(world)
    upgraded(world, earlier, vouched=vouched or holds == 3)
    for _ in range(2):
        world.reconcile()
        assert world.writes in ([], [f"update {scene.NAME}-gateway-airoute"])
    assert gated.record(world) == gated.record(before)
    assert gated.jobs(world) == gated.jobs(before)
    assert gated.weight(world) == gated.weight(before)
    if not taken_back and holds < 3:
        gated.held(gated.job(world))
        gated.rested(world)
        assert gated.weight(world) == gated.STEPS[holds + 1]
    # What the base model is counts all the same.
    world.edit(model={**world.claim["spec"]["model"], "revision": "2" * 40})
    world.reconcile()
    assert gated.weight(world) in (0, 5)
    for _ in range(4):
        gated.settle(world).reconcile()
    gated.rested(world)
    assert (gated.weight(world), gated.percent(gated.job(world))) == (5, 5)


def test_an_upgrade_tells_base_models_on_the_volume_apart(earlier: pytest.MonkeyPatch) -> None:
    """They may have one repository and one revision, or none."""
    base = {"source": "pvc", "repository": "org/model"}
    claim = scene.of(loraAdapters=scene.ADAPTERS, gateway={"enabled": True})
    claim["spec"]["model"] = {**base, "path": "base-a"}
    world = cluster.Cluster(claim, gated.site())
    world.converge()
    world.edit(gateway=gated.gateway())
    gated.rested(world)
    for _ in gated.STEPS:
        gated.held(gated.job(world))
        gated.rested(world)
    upgraded(world, earlier)
    for _ in range(2):
        world.reconcile()
        assert (gated.weight(world), gated.record(world)["verdict"]) == (40, "Held")
    world.edit(model={**base, "path": "base-b"})
    for _ in range(4):
        world.reconcile()
        assert gated.weight(world) in (0, 5)
        gated.settle(world)
    gated.rested(world)
    assert (gated.weight(world), gated.percent(gated.job(world))) == (5, 5)


@pytest.mark.parametrize("tries", [1, 2])
def test_an_upgrade_lets_the_job_of_a_first_step_count_on(tries: int) -> None:
    """Routes told nothing of a first step: the Job alone has since when requests count."""
    world = gated.stepped()
    for _ in range(tries):
        gated.ended(gated.job(world), exits.Exit.TOO_FEW_REQUESTS)
        gated.rested(world)
    name, record = gated.job(world)["metadata"]["name"], gated.record(world)
    assert record["tries"] == tries
    unvouched(world)
    for _ in range(2):
        world.reconcile()
        assert gated.job(world)["metadata"]["name"] == name
        assert gated.record(world) == record
    judged = test_gates_proof.judge_plan(world)
    assert (judged["since"], judged["began"]) == (gated.STARTED,) * 2


def test_a_changed_job_of_a_first_step_tells_no_time() -> None:
    world = gated.stepped()
    gated.ended(gated.job(world), exits.Exit.TOO_FEW_REQUESTS)
    gated.rested(world)
    unvouched(world)
    (container,) = gated.job(world)["spec"]["template"]["spec"]["containers"]
    (entry,) = container["env"]
    entry["value"] = entry["value"].replace(gated.STARTED, LONG_AGO)
    gated.rested(world)
    assert LONG_AGO not in gated.record(world).values()
    assert LONG_AGO not in test_gates_proof.judge_plan(world).values()


@pytest.mark.parametrize(
    "env", [[], [{"name": "JUDGE_PLAN"}], [{"name": "JUDGE_PLAN", "value": "no plan"}], [{}, {}]]
)
def test_a_job_of_a_first_step_without_a_plan_tells_no_time(env: list[cluster.Object]) -> None:
    """Somebody gave it the name that such a Job has."""
    world = gated.stepped()
    gated.ended(gated.job(world), exits.Exit.TOO_FEW_REQUESTS)
    gated.rested(world)
    unvouched(world)
    (container,) = gated.job(world)["spec"]["template"]["spec"]["containers"]
    container["env"] = env
    with mock.patch.object(analyses, "composed", return_value=True):
        gated.rested(world)
    assert world.fatal is None
    assert "since" not in gated.record(world)


@pytest.mark.parametrize("suspended", [False, True])
def test_a_canary_that_held_before_routes_told_anything_stays_held(
    suspended: bool, earlier: pytest.MonkeyPatch
) -> None:
    """The weight that it has is its own, and no Job was left."""
    world = gated.stepped()
    for _ in gated.STEPS:
        gated.held(gated.job(world))
        gated.rested(world)
    if suspended:
        world.edit(suspend=True)
        gated.rested(world)
    # Nothing but the status has the time, which anybody may have written.
    before = {key: value for key, value in gated.record(world).items() if key != "began"}
    upgraded(world, earlier, vouched=False)
    # Core's cache may show the status before it shows the route.
    world.lag(f"{scene.NAME}-gateway-airoute")
    for _ in range(3):
        world.reconcile()
        assert (gated.weight(world), gated.record(world), gated.jobs(world)) == (40, before, [])
    gated.rested(world.catch_up())
    assert (gated.weight(world), gated.record(world), gated.jobs(world)) == (40, before, [])
    world.edit(suspend=False, gateway=gated.gateway(gated.canary(90)))
    for _ in range(4):
        gated.settle(world).reconcile()
    gated.rested(world)
    assert (gated.weight(world), gated.percent(gated.job(world))) == (90, 90)


def test_a_canary_that_nothing_may_judge_keeps_what_held_with_an_upgrade(
    earlier: pytest.MonkeyPatch,
) -> None:
    world = gated.stepped()
    for _ in range(2):
        gated.held(gated.job(world))
        gated.rested(world)
    settings = world.environments[0]["data"]["inferenceService"]
    settings["canaryGates"] = {}
    gated.rested(world)
    assert gated.weight(world) == 20
    upgraded(world, earlier, vouched=False)
    gated.rested(world)
    assert (gated.weight(world), gated.record(world)["heldPercent"]) == (20, 20)
    settings["canaryGates"] = {"store": gated.STORE}
    gated.rested(world)
    assert (gated.weight(world), gated.percent(gated.job(world))) == (40, 40)


# --- what is not


def test_an_old_step_that_nothing_proves_is_judged_from_the_weight_that_is_there(
    earlier: pytest.MonkeyPatch,
) -> None:
    """Its Job went, as that of a claim that is suspended does."""
    world = gated.stepped()
    for _ in range(2):
        gated.held(gated.job(world))
        gated.rested(world)
    world.edit(suspend=True)
    gated.rested(world)
    assert (gated.weight(world), gated.jobs(world)) == (40, [])
    upgraded(world, earlier, vouched=False)
    for _ in range(4):
        world.reconcile()
        assert gated.weight(world) == 40
    world.edit(suspend=False)
    for _ in range(4):
        gated.settle(world).reconcile()
    gated.rested(world)
    assert gated.percent(gated.job(world)) == 40
    assert gated.record(world)["verdict"] == "Rising"
    gated.held(gated.job(world))
    gated.rested(world)
    assert (gated.record(world)["verdict"], gated.jobs(world)) == ("Held", [])


@pytest.mark.parametrize(
    ("goal", "first", "gate"), [(1, 1, {}), (40, 20, {"steps": [20]})], ids=["one step", "two"]
)
@pytest.mark.parametrize("gated_before", [False, True])
def test_a_share_that_today_gave_is_not_held_for_an_old_record(
    gated_before: bool, goal: int, first: int, gate: cluster.Object
) -> None:
    """Who writes the status passes no gate: no new one, and none without its Job for now."""
    ungated = {"adapter": "sql", "weightPercent": goal}
    canary = {**ungated, "gate": gate}
    world = gated.stepped(canary if gated_before else ungated)
    world.edit(suspend=True)
    gated.rested(world)
    assert (gated.weight(world), gated.jobs(world)) == (first if gated_before else goal, [])
    written = {"heldPercent": goal, "weightPercent": goal, "verdict": "Held"}
    forged = marks(canary, former=True) | written
    world.edit(suspend=False, gateway=gated.gateway(canary))
    told = world.claim["status"].get("canaries") or [{"adapter": "sql"}]
    world.claim["status"]["canaries"] = [told[0] | forged]
    for _ in range(4):
        gated.settle(world.reconcile())
    gated.rested(world)
    assert (gated.weight(world), gated.percent(gated.job(world))) == (first, first)
    assert gated.record(world)["mark"] == marks(canary, former=False)["mark"]


@pytest.mark.parametrize("written", [{}, {"heldPercent": 5}, {"heldPercent": 40}])
@pytest.mark.parametrize("old", [False, True])
def test_former_marks_in_a_status_hold_nothing(
    old: bool, written: cluster.Object, request: pytest.FixtureRequest
) -> None:
    """They were worth the weight that the canary has, which nobody judged, and any time."""
    if old:
        earlier = request.getfixturevalue("earlier")
    world = gated.stepped()
    if old:
        upgraded(world, earlier, vouched=False)
    times = {"since": LONG_AGO, "began": LONG_AGO, "tries": 1}
    world.claim["status"]["canaries"] = [gated.record(world) | marks(former=True) | times | written]
    for _ in range(4):
        world.reconcile().settle("Job")
        assert gated.weight(world) == 5
    gated.rested(world)
    assert gated.percent(gated.job(world)) == 5
    assert gated.record(world)["mark"] == marks(former=old)["mark"]
    assert LONG_AGO not in gated.record(world).values()
    assert LONG_AGO not in test_gates_proof.judge_plan(world).values()


def test_a_first_step_of_an_earlier_build_is_not_held_by_a_record_alone(
    earlier: pytest.MonkeyPatch,
) -> None:
    """Routes of then told nothing of it, so who writes the status says that it held."""
    world = gated.stepped()
    (job,) = gated.jobs(world)
    world.delete(next(key for key, item in world.objects.items() if item is job))
    upgraded(world, earlier, vouched=False)
    forged = marks(former=True) | {"heldPercent": 5}
    world.claim["status"]["canaries"] = [gated.record(world) | forged]
    for _ in range(4):
        world.reconcile()
        assert gated.weight(world) == 5
    gated.rested(world)
    assert gated.percent(gated.job(world)) == 5


@pytest.mark.parametrize("serving", [{}, {"repository": "org/other"}])
@pytest.mark.parametrize("old", [False, True])
def test_other_marks_in_a_status_do_not_forgive_what_broke(
    old: bool, serving: cluster.Object, request: pytest.FixtureRequest
) -> None:
    if old:
        earlier = request.getfixturevalue("earlier")
    world = gated.stepped()
    gated.held(gated.job(world))
    gated.rested(world)
    gated.ended(gated.job(world), exits.Exit.ERROR_RATE)
    gated.rested(world)
    if old:
        upgraded(world, earlier)
    forged = gated.record(world) | marks(former=not old) | {"verdict": "Rising"}
    world.claim["status"]["canaries"] = [forged]
    world.claim["status"]["serving"].update(serving)
    for _ in range(4):
        world.reconcile().settle("Job")
        assert (gated.weight(world), gated.record(world)["verdict"]) == (0, "RolledBack")
    assert len(gated.jobs(world)) == 1


def test_what_broke_before_an_upgrade_stays_so_without_its_job(
    earlier: pytest.MonkeyPatch,
) -> None:
    world = gated.stepped()
    gated.ended(gated.job(world), exits.Exit.ERROR_RATE)
    gated.rested(world)
    upgraded(world, earlier)
    name = gated.job(world)["metadata"]["name"]
    world.delete(f"{scene.NAME}-{gating.SUFFIX}{name.rsplit('-', 1)[1]}")
    for _ in range(4):
        world.reconcile().settle("Job")
        assert (gated.weight(world), gated.record(world)["verdict"]) == (0, "RolledBack")
    world.edit(gateway=gated.gateway(gated.canary(generation=1)))
    gated.rested(world)
    assert (gated.weight(world), gated.percent(gated.job(world))) == (5, 5)


def test_a_job_of_another_base_model_that_goes_takes_nothing_back(
    earlier: pytest.MonkeyPatch,
) -> None:
    world = gated.stepped()
    gated.ended(gated.job(world), exits.Exit.ERROR_RATE)
    gated.rested(world)
    upgraded(world, earlier)
    begun = gated.record(world) | marks(former=False) | {"verdict": "Rising"}
    world.claim["status"]["canaries"] = [begun]
    gated.job(world)["metadata"]["deletionTimestamp"] = gated.STARTED
    world.reconcile()
    assert gated.record(world)["verdict"] == "Rising"
