"""A claim is born: weights before GPUs, and first downloads that fail."""

import pytest
from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from tests import cluster, controllers
from tests.life import given


@pytest.mark.pitfall("pods crash-loop at the first install, before the weights are there")
@pytest.mark.decision(14)
def test_a_new_claim_downloads_before_it_asks_for_a_gpu() -> None:
    world = given.new().born()
    assert world.phase == "Pending"
    assert world.condition("WeightsReady") == ("False", "Queued")
    world.one("Job")["status"] = {"active": 1, "ready": 0}
    world.reconcile()
    assert world.condition("WeightsReady") == ("False", "Queued")
    assert "has not started" in world.message("WeightsReady")
    world.one("Job")["status"] = {"active": 1, "ready": 1}
    world.reconcile()
    assert world.phase == "Downloading"
    assert world.condition("WeightsReady") == ("False", "Downloading")
    assert world.condition("EngineReady") == ("False", "WeightsPending")
    assert "Deployment" not in world.kinds_there()


def test_verified_weights_bring_the_deployment_and_then_end_the_job() -> None:
    world = given.new().born().settle()
    world.reconcile()
    assert {"Deployment", "ScaledObject", "PodDisruptionBudget", "Job"} <= world.kinds_there()
    assert world.condition("WeightsReady") == ("True", "Verified")
    world.reconcile()
    assert "Job" not in world.kinds_there(), "the status shows the record: the Job may go"
    assert world.condition("WeightsReady") == ("True", "Verified")


@pytest.mark.decision(12)
def test_the_job_stays_until_the_status_shows_what_it_made() -> None:
    world = given.new().born().settle()
    world.reconcile()
    del world.claim["status"]["weights"]  # the write of the status was lost
    world.reconcile()
    assert "Job" in world.kinds_there()
    assert world.claim["status"]["weights"]["verified"]


def test_a_claim_without_preload_does_not_wait_and_says_where_weights_must_lie() -> None:
    claim = cluster.example("smallest")
    claim["spec"]["model"]["preload"] = {"enabled": False}
    world = cluster.Cluster(claim, cluster.environment("plain")).born()
    assert "Deployment" in world.kinds_there()
    assert "Job" not in world.kinds_there()
    assert world.condition("WeightsReady") == ("True", "NotManaged")
    assert "/models/main" in world.message("WeightsReady")
    assert world.arguments[0] == "/models/main"


def test_no_pod_comes_before_the_policy_that_protects_it() -> None:
    claim = cluster.example("smallest")
    claim["spec"]["model"]["preload"] = {"enabled": False}
    world = cluster.Cluster(claim, cluster.environment("plain")).reconcile()
    assert "NetworkPolicy" in world.kinds_there()
    assert "Deployment" not in world.kinds_there()
    assert world.condition("EngineReady") == ("False", "PolicyPending")
    world.reconcile()
    assert "Deployment" in world.kinds_there()


@pytest.mark.parametrize(
    ("code", "reason"),
    [(10, "Unauthorized"), (11, "NotFound"), (12, "DiskFull"), (13, "HubUnavailable")],
)
def test_a_failed_first_download_is_a_failed_claim(code: int, reason: str) -> None:
    world = given.new().born()
    cluster.fail_job(world, code)
    world.reconcile()
    assert world.phase == "Failed"
    assert world.condition("WeightsReady") == ("False", reason)
    assert "Deployment" not in world.kinds_there()


@pytest.mark.decision(2)
def test_raising_the_generation_starts_another_try() -> None:
    world = given.new().born()
    cluster.fail_job(world, 13)
    world.reconcile()
    failed = world.one("Job")["metadata"]["name"]
    given.remodelled(world, preload={"enabled": True, "generation": 1}).reconcile()
    assert world.one("Job")["metadata"]["name"] != failed
    world.settle().reconcile()
    assert world.condition("WeightsReady") == ("True", "Verified")
    world.converge()
    assert world.claim["status"]["weights"]["generation"] == 1
    assert "Job" not in world.kinds_there()


def test_a_replica_that_cannot_fit_is_never_asked_for() -> None:
    world = given.new()
    given.settings(world)["gpu"]["classes"]["l4"]["nodeMemory"] = "20Gi"
    world.converge()
    assert "Deployment" not in world.kinds_there()
    assert world.condition("EngineReady") == ("False", "ExceedsGpuClass")
    assert "32Gi" in world.message("EngineReady")
    assert world.phase == "Failed"


def test_a_claim_whose_replica_fits_no_node_is_not_ready() -> None:
    world = given.new()
    given.settings(world)["gpu"]["classes"]["l4"]["nodeMemory"] = "20Gi"
    world.converge()
    assert world.phase == "Failed"
    assert world.response.desired.composite.ready == fnv1.READY_FALSE


def test_a_start_that_takes_too_long_is_said() -> None:
    world = given.new().born().settle().reconcile()
    late = controllers.condition("Progressing", "False", "ProgressDeadlineExceeded", "timed out")
    world.one("Deployment")["status"] = {"replicas": 1, "conditions": [late]}
    world.reconcile()
    assert world.condition("EngineReady") == ("False", "ProgressDeadlineExceeded")
    assert world.phase == "Failed"
