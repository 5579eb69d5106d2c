"""What a step that held is known by, and what is made of a memory that is lost or forged."""

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
