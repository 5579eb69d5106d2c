"""A claim is suspended: its GPUs go back, and everything else stays."""

import pytest

from tests import cluster
from tests.life import given


def test_suspended_is_said_only_when_nothing_serves() -> None:
    world = given.serving()
    world.edit(suspend=True).reconcile()
    assert world.condition("ScalerReady") == ("False", "Pausing")
    assert world.phase == "Updating"
    world.converge()
    assert world.condition("ScalerReady") == ("True", "Paused")
    assert world.phase == "Suspended"


@pytest.mark.pitfall("a live ScaledObject keeps a GPU")
def test_a_suspended_claim_gives_its_gpus_back_and_keeps_the_rest() -> None:
    world = given.serving()
    kinds = world.kinds_there()
    world.edit(suspend=True)
    world.converge()
    assert world.one("Deployment")["spec"]["replicas"] == 0
    assert world.phase == "Suspended"
    assert world.kinds_there() == kinds
    assert all(world.ready.values())
    world.edit(suspend=False)
    world.converge()
    assert world.phase == "Serving"
    annotations = world.one("ScaledObject")["metadata"]["annotations"]
    assert "autoscaling.keda.sh/paused-replicas" not in annotations


@pytest.mark.decision(14)
def test_a_claim_born_suspended_has_no_pod_at_all_but_its_weights() -> None:
    claim = cluster.example(given.NAME)
    claim["spec"]["suspend"] = True
    world = cluster.Cluster(claim, cluster.environment("reference"))
    world.converge()
    assert "Deployment" not in world.kinds_there()
    assert world.condition("WeightsReady") == ("True", "Verified")
    assert world.phase == "Suspended"
    world.edit(suspend=False)
    world.converge()
    assert world.phase == "Serving"


def test_a_suspended_claim_that_still_serves_has_not_failed() -> None:
    world = given.serving()
    given.swap(world).reconcile()
    cluster.fail_job(world, 10)
    world.edit(suspend=True).reconcile()
    assert world.phase == "Updating"
    assert world.condition("WeightsReady") == ("False", "Unauthorized")


def test_a_replica_that_only_starts_holds_its_gpus_and_is_not_called_suspended() -> None:
    world = given.new().born().settle().reconcile()
    world.one("Deployment")["status"] = {"observedGeneration": 1, "replicas": 1}
    world.edit(suspend=True).reconcile()
    assert world.phase == "Updating"
    assert "still to go" in world.claim["status"]["waitingFor"]
    assert world.condition("ScalerReady") == ("False", "Pausing")
    world.converge()
    assert world.phase == "Suspended"
    assert world.claim["status"]["waitingFor"] == ""
