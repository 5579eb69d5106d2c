"""What 0.9.0 left is taken over in place."""

import copy

import pytest

from tests import cluster, recordings
from tests.life import given


@pytest.mark.decision(13)
@pytest.mark.decision(30)
@pytest.mark.parametrize("name", [n for n in cluster.EXAMPLES if n != "smallest"])
def test_a_take_over_restarts_and_deletes_nothing(name: str) -> None:
    world = recordings.taken_over(cluster.example(name), cluster.environment("reference"))
    before = copy.deepcopy(world.template)
    identities = {key: item["metadata"]["uid"] for key, item in world.objects.items()}
    world.reconcile()
    deleted = [
        write.removeprefix("delete ") for write in world.writes if write.startswith("delete")
    ]
    assert deleted == [f"{name}-preload-job"]
    assert world.template == before
    for key, identity in identities.items():
        if key not in deleted:
            assert world.objects[key]["metadata"]["uid"] == identity
    world.converge()
    assert world.template == before, "held: nobody edited or accepted"
    assert world.condition("Current") == ("False", "PlatformChangePending")
    assert world.phase == "Serving"


def test_a_taken_over_claim_rolls_when_its_author_edits_it() -> None:
    world = recordings.taken_over(cluster.example(given.NAME), cluster.environment("reference"))
    world.converge()
    world.edit(drainSeconds=60)
    world.converge()
    assert world.arguments[0].startswith("/models/base-")
    assert "--cpu-offload-gb" not in world.arguments
    assert world.condition("Current") == ("True", "Serving")


def test_an_edit_during_a_take_over_waits_for_the_weights() -> None:
    world = recordings.taken_over(cluster.example(given.NAME), cluster.environment("reference"))
    before = copy.deepcopy(world.template)
    world.reconcile()
    world.edit(drainSeconds=60)
    world.reconcile()
    assert world.template == before
    assert world.condition("Current") == ("False", "WeightsPending")


def test_index_named_canaries_go_only_after_the_route_forgot_them() -> None:
    world = recordings.taken_over(cluster.example(given.NAME), cluster.environment("reference"))
    old = f"{given.NAME}-gateway-aiservicebackend-canary-0"
    world.reconcile()
    assert old in world.objects, "the observed route still names it"
    world.reconcile()
    assert old not in world.objects


@pytest.mark.decision(30)
def test_a_finished_job_of_0_9_0_proves_nothing() -> None:
    world = recordings.taken_over(cluster.example(given.NAME), cluster.environment("reference"))
    assert world.one("Job")["status"]["succeeded"] == 1
    world.reconcile()
    assert world.condition("WeightsReady") == ("False", "Queued")
