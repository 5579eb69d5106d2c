"""What a step that held is known by, and what is made of a memory that is lost or forged."""

import copy
import json
from typing import Any

import pytest

from function.cluster import gating
from judge import exits
from tests import cluster
from tests.life import gated
from tests.resources import scene


def test_a_lost_status_begins_at_the_first_step() -> None:
    world = gated.stepped()
    gated.held(gated.job(world))
    gated.rested(world)
    assert gated.weight(world) == 20
    del world.claim["status"]["canaries"]
    gated.rested(world)
    assert (gated.weight(world), gated.percent(gated.job(world))) == (5, 5)


def test_a_lost_status_does_not_forgive_what_broke() -> None:
    world = gated.stepped()
    gated.held(gated.job(world))
    gated.rested(world)
    gated.ended(gated.job(world), exits.Exit.ERROR_RATE)
    gated.rested(world)
    del world.claim["status"]["canaries"]
    world.reconcile()
    assert (gated.weight(world), gated.record(world)["verdict"]) == (0, "RolledBack")


@pytest.mark.parametrize(
    "written",
    [
        {"heldPercent": 400},
        {"heldPercent": "40"},
        {"since": "now"},
        {"since": "2026-13-45T12:00:00Z"},
        {"adapter": 7},
        {"more": 1},
    ],
)
def test_a_status_that_nobody_of_ours_wrote_proves_nothing(written: cluster.Object) -> None:
    world = gated.stepped()
    gated.held(gated.job(world))
    gated.rested(world)
    world.claim["status"]["canaries"] = [gated.record(world) | written]
    gated.rested(world)
    assert gated.weight(world) == 5


def test_a_job_that_is_deleted_runs_again() -> None:
    world = gated.stepped()
    name = gated.job(world)["metadata"]["name"]
    world.delete(f"{scene.NAME}-{gating.SUFFIX}{name.rsplit('-', 1)[1]}")
    gated.rested(world)
    assert (gated.weight(world), gated.job(world)["metadata"]["name"]) == (5, name)


def test_codes_are_the_programs() -> None:
    codes = {int(code) for code in exits.Exit} - {exits.Exit.HELD, exits.Exit.UNUSABLE_PLAN}
    assert set(gating.CODES) == codes
    assert {gating.CODES[code] for code in exits.BROKEN} == gating.BROKEN


# --- what is forged


@pytest.mark.parametrize(
    "written",
    [
        {"heldPercent": 20, "weightPercent": 40},
        {"heldPercent": 39},
        {"heldPercent": 40, "weightPercent": 40, "verdict": "Held"},
    ],
)
def test_a_step_that_somebody_wrote_into_the_status_did_not_hold(written: cluster.Object) -> None:
    world = gated.stepped()
    world.claim["status"]["canaries"] = [gated.record(world) | written]
    gated.rested(world)
    assert (gated.weight(world), gated.percent(gated.job(world))) == (5, 5)
    gated.held(gated.job(world))
    gated.rested(world)
    world.claim["status"]["canaries"] = [gated.record(world) | written]
    gated.rested(world)
    assert (gated.weight(world), gated.percent(gated.job(world))) == (20, 20)


LONG_AGO = "2020-01-31T12:00:00Z"


def judge_plan(world: cluster.Cluster) -> cluster.Object:
    """Returns what the Job is to judge by."""
    (container,) = gated.job(world)["spec"]["template"]["spec"]["containers"]
    text = next(one["value"] for one in container["env"] if one["name"] == "JUDGE_PLAN")
    plan = json.loads(text)
    assert isinstance(plan, dict)
    return plan


@pytest.mark.parametrize("steps", [0, 1])
@pytest.mark.parametrize("written", [{"since": LONG_AGO}, {"began": LONG_AGO}])
def test_a_time_that_somebody_wrote_into_the_status_counts_nothing_older(
    written: cluster.Object, steps: int
) -> None:
    """Requests and evaluations of before the canary began would hold a step."""
    world = gated.stepped()
    for _ in range(steps):
        gated.held(gated.job(world))
        gated.rested(world)
    fresh = judge_plan(world)
    world.claim["status"]["canaries"] = [gated.record(world) | written | {"tries": 1}]
    gated.rested(world)
    assert judge_plan(world) == fresh
    gated.ended(gated.job(world), exits.Exit.TOO_FEW_REQUESTS)
    gated.rested(world)
    assert (judge_plan(world)["since"], judge_plan(world)["began"]) == (gated.STARTED,) * 2
    again = judge_plan(world)
    world.claim["status"]["canaries"] = [gated.record(world) | written]
    gated.rested(world)
    assert judge_plan(world) == again
    assert LONG_AGO not in gated.record(world).values()


def test_a_job_without_a_verdict_goes_once_the_route_vouches_for_its_time() -> None:
    """Core's cache may show the status before it shows the route."""
    world = gated.stepped()
    first = gated.job(world)["metadata"]["name"]
    world.lag(f"{scene.NAME}-gateway-airoute")
    gated.ended(gated.job(world), exits.Exit.TOO_FEW_REQUESTS)
    for _ in range(3):
        world.reconcile()
        assert (gated.record(world)["tries"], gated.record(world)["since"]) == (1, gated.STARTED)
        assert gated.job(world)["metadata"]["name"] == first
    world.catch_up()
    gated.rested(world)
    assert gated.job(world)["metadata"]["name"] != first
    assert judge_plan(world)["since"] == gated.STARTED


def timeless(world: cluster.Cluster) -> None:
    """Makes the route one of before it vouched for times."""
    annotations = world.one("AIGatewayRoute")["metadata"]["annotations"]
    entry = json.loads(annotations[gating.HELD_ANNOTATION])["sql"]
    older = {"sql": {"mark": entry["mark"], "percent": entry["percent"]}}
    annotations[gating.HELD_ANNOTATION] = json.dumps(older)


@pytest.mark.parametrize("written", [{}, {"since": LONG_AGO, "began": LONG_AGO}])
@pytest.mark.parametrize("tries", [0, 1, 2])
def test_a_route_of_before_it_vouched_for_times_leaves_those_of_the_job(
    tries: int, written: cluster.Object
) -> None:
    world = gated.stepped()
    gated.held(gated.job(world))
    gated.rested(world)
    for _ in range(tries):
        gated.ended(gated.job(world), exits.Exit.TOO_FEW_REQUESTS)
        gated.rested(world)
    running, record = gated.job(world), gated.record(world)
    route = copy.deepcopy(world.one("AIGatewayRoute"))
    timeless(world)
    world.claim["status"]["canaries"] = [record | written]
    gated.rested(world)
    assert (gated.job(world), gated.record(world)) == (running, record)
    assert world.one("AIGatewayRoute")["metadata"] == route["metadata"]


@pytest.mark.parametrize("tries", [0, 1])
def test_a_route_without_times_and_without_a_job_lets_time_begin_anew(tries: int) -> None:
    """The times of the status are anybody's."""
    world = gated.stepped()
    gated.held(gated.job(world))
    gated.rested(world)
    world.edit(suspend=True)
    gated.rested(world)
    timeless(world)
    old = {"since": LONG_AGO, "began": LONG_AGO, "tries": tries}
    world.claim["status"]["canaries"] = [gated.record(world) | old]
    gated.rested(world)
    world.edit(suspend=False)
    gated.rested(world)
    assert (gated.weight(world), gated.percent(gated.job(world))) == (20, 20)
    assert not {"since", "began", "patience"} & judge_plan(world).keys()
    assert LONG_AGO not in gated.record(world).values()


def test_a_status_that_is_there_before_the_route_proves_nothing() -> None:
    claim = scene.of(loraAdapters=scene.ADAPTERS, gateway=gated.gateway())
    plan = scene.planned(claim, gated.site())
    (schedule,) = plan.gates
    repository, revision = plan.storage.base.served
    for mark, asked in ((schedule.mark, schedule.asked), schedule.former):
        forged = {"adapter": "sql", "heldPercent": 40, "verdict": "Held", "weightPercent": 40}
        world = cluster.Cluster(claim, gated.site())
        world.claim["status"] = {
            "canaries": [forged | {"mark": mark, "asked": asked}],
            "serving": {"repository": repository, "revision": revision},
        }
        for _ in range(8):
            gated.settle(world.reconcile())
            route = world.objects.get(f"{scene.NAME}-gateway-airoute")
            assert route is None or (gated.weight(world) or 0) <= 5
        assert gated.weight(world) == 5


def test_a_job_goes_once_the_route_vouches_for_its_step() -> None:
    """Core's cache may show the status before it shows the route."""
    world = gated.stepped()
    first = gated.job(world)["metadata"]["name"]
    world.lag(f"{scene.NAME}-gateway-airoute")
    gated.held(gated.job(world))
    for _ in range(3):
        world.reconcile()
        assert gated.record(world)["heldPercent"] == 5
        assert gated.job(world)["metadata"]["name"] == first
    world.catch_up().reconcile()
    assert gated.percent(gated.job(world)) == 20


def test_a_second_try_that_held_counts_though_the_route_does_not_vouch_for_it_yet() -> None:
    world = gated.stepped()
    gated.ended(gated.job(world), exits.Exit.TOO_FEW_REQUESTS)
    gated.rested(world)
    assert gated.record(world)["tries"] == 1
    gated.held(gated.job(world))
    route = copy.deepcopy(world.one("AIGatewayRoute"))
    world.reconcile()
    assert gated.record(world)["heldPercent"] == 5
    # Core could not write the route: a webhook was away.
    world.objects[f"{scene.NAME}-gateway-airoute"] = route
    gated.rested(world)
    assert (gated.record(world)["heldPercent"], gated.weight(world)) == (5, 20)


@pytest.mark.parametrize(
    "text", ["no list", "[]", '{"sql": 40}', '{"sql": {"mark": "x", "percent": 40}}']
)
def test_a_route_that_says_nothing_of_what_was_judged_vouches_for_nothing(text: str) -> None:
    world = gated.stepped()
    gated.held(gated.job(world))
    gated.rested(world)
    annotations = world.one("AIGatewayRoute")["metadata"]["annotations"]
    assert gating.HELD_ANNOTATION in annotations
    annotations[gating.HELD_ANNOTATION] = text
    gated.rested(world)
    assert gated.weight(world) == 5


def next_job(world: cluster.Cluster) -> tuple[str, cluster.Object]:
    """Returns key and object of the Job of the step that comes, as anybody can work them out."""
    ahead = gated.rested(copy.deepcopy(world))
    (key,) = (key for key in ahead.objects if f"-{gating.SUFFIX}" in key)
    return key, ahead.objects[key]


def plan_of(container: cluster.Object) -> None:
    container["env"][0]["value"] = container["env"][0]["value"].replace("1800", "60")


# What somebody else writes into the Job, its template, the pods' spec and the container.
FORGED: Any = {
    "command": lambda job, template, pod, container: container.update(command=["/bin/true"]),
    "image": lambda job, template, pod, container: container.update(image="example.com/true"),
    "JUDGE_PLAN": lambda job, template, pod, container: plan_of(container),
    "completions": lambda job, template, pod, container: job.update(completions=0),
    "selector": lambda job, template, pod, container: job.update(
        selector={"matchLabels": {"app": "x"}}, manualSelector=True
    ),
    "annotation": lambda job, template, pod, container: template["metadata"].update(
        annotations={"sidecar.istio.io/bootstrapOverride": "mine"}
    ),
    "hostAliases": lambda job, template, pod, container: pod.update(
        hostAliases=[{"ip": "192.0.2.1", "hostnames": ["metrics"]}]
    ),
    "initContainers": lambda job, template, pod, container: pod.update(
        initContainers=[{"name": "x", "image": "example.com/x"}]
    ),
    "sidecar": lambda job, template, pod, container: pod["containers"].append({"name": "x"}),
    "envFrom": lambda job, template, pod, container: container.update(
        args=["x"], envFrom=[{"configMapRef": {"name": "mine"}}]
    ),
    "lifecycle": lambda job, template, pod, container: container.update(
        lifecycle={"postStart": {"exec": {"command": ["sh"]}}}
    ),
}


@pytest.mark.parametrize(
    ("changed", "end"),
    [
        *((changed, gated.held) for changed in FORGED),
        ("command", lambda job: gated.ended(job, 20)),
        ("command", gated.crashed),
        ("completions", lambda job: gated.ended(job, 20)),
    ],
)
def test_a_job_that_somebody_made_under_the_name_of_ours_judges_nothing(
    changed: str, end: Any
) -> None:
    world = gated.stepped()
    gated.held(gated.job(world))
    world.reconcile()
    key, forged = next_job(world)
    gated.served(forged)
    template = forged["spec"]["template"]
    (container,) = template["spec"]["containers"]
    FORGED[changed](forged["spec"], template, template["spec"], container)
    end(forged)
    world.objects[key] = world.owned[key] = forged
    assert world.refs is not None
    world.refs.add(key)
    gated.rested(world)
    assert (gated.weight(world), gated.jobs(world)) == (5, [])
    assert world.condition("RouteReady") == ("False", "CanaryStuck")
    assert "made or changed by somebody else" in world.message("RouteReady")
    assert "app.kubernetes.io/component=gate from webhooks" in world.message("RouteReady")
    world.edit(gateway=gated.gateway(gated.canary(generation=1)))
    gated.rested(world)
    assert (gated.weight(world), gated.percent(gated.job(world))) == (5, 5)


def test_a_job_of_ours_that_waits_already_is_not_taken_over() -> None:
    """It may have run before the canary had the weight; its marks anybody can write."""
    world = gated.stepped()
    gated.held(gated.job(world))
    world.reconcile()
    key, early = next_job(world)
    early["metadata"]["labels"][cluster.COMPOSITE] = scene.NAME
    assert early["metadata"]["annotations"][cluster.KEY] == key
    world.strangers = [early]
    world.settle("Job").reconcile()
    assert world.condition("Valid") == ("False", "NameTaken")
    assert world.fatal is not None
    assert "a Job" in world.fatal
    world.strangers = []
    gated.rested(world)
    assert (gated.weight(world), gated.percent(gated.job(world))) == (20, 20)


@pytest.mark.parametrize("others", [False, True])
def test_what_the_api_server_writes_into_a_job_takes_no_verdict_away(others: bool) -> None:
    world = gated.stepped()
    gated.served(gated.job(world))
    gated.held(gated.job(world))
    if others:
        gated.other_image(world)
    world.reconcile()
    assert gated.record(world)["heldPercent"] == 5


def test_an_amount_that_the_api_server_writes_otherwise_is_the_same() -> None:
    world = copy.deepcopy(gated.ungated())
    settings = world.environments[0]["data"]["inferenceService"]
    settings["canaryGates"] = {"store": gated.STORE, "requests": {"cpu": "1000m"}}
    world.edit(gateway=gated.gateway())
    gated.rested(world)
    (container,) = gated.job(world)["spec"]["template"]["spec"]["containers"]
    container["resources"]["requests"]["cpu"] = "1"
    gated.held(gated.job(world))
    world.reconcile()
    assert gated.record(world)["heldPercent"] == 5


# --- what was judged


@pytest.mark.parametrize("taken_back", [False, True])
@pytest.mark.parametrize("change", [{"revision": "2" * 40}, {"repository": "org/other"}])
def test_another_base_model_begins_at_the_first_step(
    change: cluster.Object, taken_back: bool
) -> None:
    world = gated.stepped()
    for _ in gated.STEPS[1:]:
        gated.held(gated.job(world))
        gated.rested(world)
    assert gated.weight(world) == 40
    if taken_back:
        gated.ended(gated.job(world), 20)
        gated.rested(world)
    world.edit(model={**world.claim["spec"]["model"], **change})
    for _ in range(3):
        world.reconcile().settle("Job", "Deployment")
        assert gated.weight(world) in (0, 5)
        assert not gated.jobs(world), "the old pods have the old base model"
    for _ in range(4):
        gated.settle(world).reconcile()
    gated.rested(world)
    assert (gated.weight(world), gated.percent(gated.job(world))) == (5, 5)
