"""Steps of a canary that cannot be judged: neither up nor down."""

import copy
import json

import pytest

from function.cluster import gating
from judge import exits
from tests import cluster
from tests.life import gated
from tests.resources import scene


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
    world = gated.stepped()
    first = gated.job(world)
    gated.ended(first, code)
    gated.rested(world)
    assert gated.weight(world) == 5
    assert world.condition("RouteReady") == (holds, reason)
    second = gated.job(world)
    assert second["metadata"]["name"] != first["metadata"]["name"]
    plan = scene.environment(second["spec"]["template"]["spec"]["containers"][0])["JUDGE_PLAN"]
    assert f'"since":"{gated.STARTED}"' in plan, "requests of the first try count"
    gated.ended(second, code)
    gated.rested(world)
    assert gated.record(world)["tries"] == 2
    gated.held(gated.job(world))
    gated.rested(world)
    assert gated.weight(world) == 20
    assert "since" not in gated.record(world)


@pytest.mark.parametrize("labels", [None, {"name": "gateway_name"}])
def test_too_few_requests_are_told_by_which_labels_they_were_counted(
    labels: dict[str, str] | None,
) -> None:
    """Labels that no series has count no request, and nothing else would say so."""
    world = gated.stepped()
    if labels is not None:
        settings = world.environments[0]["data"]["inferenceService"]
        settings["canaryGates"] = {"store": gated.STORE, "gatewayLabels": labels}
        gated.rested(world)
    gated.ended(gated.job(world), exits.Exit.TOO_FEW_REQUESTS)
    gated.rested(world)
    assert world.condition("RouteReady") == ("True", "CanaryWaits")
    told = "canaryGates.gatewayLabels" in world.message("RouteReady")
    assert told == (labels is not None)


def test_a_job_that_never_started_is_followed_by_another_one() -> None:
    """Its requests count from when it was made, or from when it ended."""
    made, over = "2026-01-31T11:00:00Z", "2026-01-31T11:30:00Z"
    for since, metadata, condition in (
        (made, {"creationTimestamp": made}, {"lastTransitionTime": over}),
        (over, {}, {"lastTransitionTime": over}),
    ):
        world = gated.stepped()
        first = gated.job(world)
        gated.ended(first, exits.Exit.TOO_FEW_REQUESTS)
        del first["status"]["startTime"]
        first["metadata"] |= metadata
        first["status"]["conditions"][0] |= condition
        gated.rested(world)
        assert gated.job(world)["metadata"]["name"] != first["metadata"]["name"]
        assert (gated.record(world)["since"], gated.record(world)["began"]) == (since, since)


def waits(world: cluster.Cluster) -> tuple[int | None, int]:
    """Returns for how many minutes the Job waits for what is lacking, and when it must have ended.

    Nothing in the function knows the time: a Job that follows another one waits in its place.
    """
    spec = gated.job(world)["spec"]
    plan = scene.environment(spec["template"]["spec"]["containers"][0])["JUDGE_PLAN"]
    seconds = json.loads(plan).get("patience")
    return None if seconds is None else seconds // 60, spec["activeDeadlineSeconds"] // 60


@pytest.mark.parametrize(
    ("minutes", "patience"),
    [
        (1, [None, 20, 40, 80, 160, 320, 360, 360]),
        (30, [None, 60, 120, 240, 360, 360]),
        (1440, [None, 1440, 1440]),
    ],
)
def test_each_job_that_follows_another_waits_twice_as_long(
    minutes: int, patience: list[int | None]
) -> None:
    world = gated.stepped(gated.canary(minutes=minutes))
    seen = []
    for _ in patience:
        seen.append(waits(world))
        gated.ended(gated.job(world), exits.Exit.TOO_FEW_REQUESTS)
        gated.rested(world)
    assert seen == [(one, (one or minutes) + 15) for one in patience]


def test_a_step_that_holds_at_last_begins_with_short_waits_again() -> None:
    world = gated.stepped()
    gated.ended(gated.job(world), exits.Exit.TOO_FEW_REQUESTS)
    gated.rested(world)
    gated.held(gated.job(world))
    gated.rested(world)
    assert waits(world)[0] is None


def test_a_job_that_ran_out_of_time_is_followed_by_another() -> None:
    world = gated.stepped()
    gated.crashed(gated.job(world), "DeadlineExceeded")
    gated.rested(world)
    assert (gated.weight(world), gated.record(world)["tries"]) == (5, 1)


def test_a_job_that_fails_by_itself_takes_the_weight_back_to_what_held() -> None:
    world = gated.stepped()
    gated.held(gated.job(world))
    gated.rested(world)
    assert gated.weight(world) == 20
    gated.crashed(gated.job(world))
    gated.rested(world)
    assert gated.weight(world) == 5
    assert world.condition("RouteReady") == ("False", "CanaryStuck")
    assert gated.job(world), "its log tells why"
    world.edit(gateway=gated.gateway(gated.canary(generation=1)))
    gated.rested(world)
    assert (gated.weight(world), gated.percent(gated.job(world))) == (5, 5)


def test_a_missing_fallback_does_not_hide_that_a_canary_was_taken_back() -> None:
    world = copy.deepcopy(gated.ungated())
    world.strangers = []
    world.edit(gateway={**gated.gateway(), "fallback": {"claim": "other"}})
    gated.rested(world)
    assert world.condition("RouteReady") == ("False", "FallbackAbsent")
    gated.ended(gated.job(world), exits.Exit.ERROR_RATE)
    gated.rested(world)
    assert world.condition("RouteReady") == ("False", "CanaryRolledBack")
    assert "other" in world.message("RouteReady")


def test_without_a_way_to_the_metrics_nothing_gets_weight() -> None:
    world = copy.deepcopy(gated.ungated())
    world.environments[0]["data"]["inferenceService"]["canaryGates"] = {}
    world.edit(gateway=gated.gateway())
    gated.rested(world)
    assert gated.weight(world) == 0
    assert world.condition("RouteReady") == ("False", "GatesWithheld")
    assert gated.jobs(world) == []


def test_settings_that_lose_the_store_take_the_weight_back_to_what_held() -> None:
    world = gated.stepped()
    gated.held(gated.job(world))
    gated.rested(world)
    assert gated.weight(world) == 20
    settings = world.environments[0]["data"]["inferenceService"]
    settings["canaryGates"] = {}
    gated.rested(world)
    assert (gated.weight(world), gated.jobs(world)) == (5, [])
    settings["canaryGates"] = {"store": gated.STORE}
    gated.rested(world)
    assert (gated.weight(world), gated.percent(gated.job(world))) == (20, 20)


def test_the_clock_does_not_run_while_the_claim_is_suspended() -> None:
    world = gated.stepped()
    world.edit(suspend=True)
    gated.rested(world)
    assert gated.jobs(world) == []
    world.edit(suspend=False)
    gated.rested(world)
    assert gated.percent(gated.job(world)) == 5


def test_an_outage_ends_no_job_and_starts_none() -> None:
    """What fails meanwhile is counted, of the base model too."""
    world = gated.stepped()
    name = gated.job(world)["metadata"]["name"]
    world.one("Deployment")["status"]["availableReplicas"] = 0
    world.reconcile()
    assert gated.job(world)["metadata"]["name"] == name
    world.delete(f"{scene.NAME}-{gating.SUFFIX}{name.rsplit('-', 1)[1]}")
    world.reconcile()
    assert gated.jobs(world) == []


def test_a_scaler_that_moves_ends_no_job() -> None:
    """For a moment the Deployment's controller has not read the new count."""
    world = gated.stepped()
    name = gated.job(world)["metadata"]["name"]
    world.one("Deployment")["metadata"]["generation"] += 1
    world.reconcile()
    assert gated.job(world)["metadata"]["name"] == name


def test_a_start_that_is_no_time_is_not_counted_from() -> None:
    """The program would end at once with a plan that it cannot read."""
    world = gated.stepped()
    gated.ended(gated.job(world), exits.Exit.TOO_FEW_REQUESTS)
    gated.job(world)["status"]["startTime"] = "2026-13-45T12:00:00Z"
    gated.rested(world)
    assert gated.record(world)["tries"] == 1
    assert "since" not in gated.record(world)
