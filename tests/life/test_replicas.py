"""Who owns the replica count, and what is said of it."""

import pytest
from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from tests import cluster, controllers
from tests.life import given


def test_without_an_autoscaler_the_replica_count_is_ours() -> None:
    world = given.new("smallest", "plain")
    given.settings(world)["providers"]["autoscaler"] = "none"
    world.claim["spec"]["scaling"] = {"minReplicas": 2, "maxReplicas": 3}
    world.converge()
    assert world.one("Deployment")["spec"]["replicas"] == 2
    assert "ScaledObject" not in world.kinds_there()
    world.edit(suspend=True).reconcile()
    assert world.one("Deployment")["spec"]["replicas"] == 0


def test_a_fixed_count_is_kept_until_the_autoscaler_owns_it() -> None:
    world = given.new("smallest", "plain")
    providers = given.settings(world)["providers"]
    providers["autoscaler"] = "none"
    world.claim["spec"]["scaling"] = {"minReplicas": 3, "maxReplicas": 5}
    world.converge()
    providers["autoscaler"] = "keda"
    world.converge()
    assert world.owned["smallest-deployment"]["spec"]["replicas"] == 3
    item = world.one("Deployment")
    item["spec"]["replicas"] = 4
    owner = {"manager": "keda", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    item["metadata"]["managedFields"] = [owner]
    world.reconcile()
    assert "replicas" not in world.owned["smallest-deployment"]["spec"]
    assert world.one("Deployment")["spec"]["replicas"] == 4


@pytest.mark.decision(18)
def test_fewer_replicas_than_wanted_is_degraded() -> None:
    world = given.serving()
    item = world.one("Deployment")
    item["spec"]["replicas"] = 2
    item["status"] |= {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 1}
    world.reconcile()
    assert world.phase == "Degraded"
    assert world.claim["status"]["replicas"] == "1/2"


def test_pods_that_a_quota_refuses_are_fewer_replicas_and_no_rollout() -> None:
    world = given.serving()
    world.scale(2)
    world.one("Deployment")["status"] |= {"observedGeneration": 99, "updatedReplicas": 1}
    world.reconcile()
    assert world.phase == "Degraded"
    assert world.condition("Current") == ("True", "Serving")


def test_failures_are_counted_as_keda_does() -> None:
    """Its condition is undone for a poll now and then; its counts are not."""
    world = given.serving()
    for failures, state, condition, reason in (
        (4, "Failing", "False", "Ready"),
        (5, "Failing", "False", "FallbackActive"),
        (0, "Happy", "True", "Ready"),
    ):
        world.one("ScaledObject")["status"] = {
            "conditions": [
                controllers.condition("Ready"),
                controllers.condition("Fallback", condition),
            ],
            "health": {"s0-prometheus": {"status": state, "numberOfFailures": failures}},
        }
        world.reconcile()
        assert world.condition("ScalerReady")[1] == reason


@pytest.mark.pitfall("KEDA's context deadline exceeded: the wrong port of the metrics server")
@pytest.mark.pitfall("HPA FailedGetExternalMetric: the platform's policies lack the metrics API")
@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ([controllers.condition("Ready", "False", "ScaledObjectCheckFailed", "x")], "TriggerError"),
        ([controllers.condition("Ready", "True", "PartialTriggerError", "x")], "TriggerError"),
        ([controllers.condition("Ready"), controllers.condition("Fallback")], "FallbackActive"),
        ([], "Creating"),
    ],
)
def test_what_ails_the_scaler_is_said(status: list[cluster.Object], reason: str) -> None:
    world = given.serving()
    world.one("ScaledObject")["status"] = {"conditions": status}
    world.reconcile()
    assert world.condition("ScalerReady") == ("False", reason)
    assert world.phase == "Serving"
    severity = fnv1.SEVERITY_NORMAL if reason == "Creating" else fnv1.SEVERITY_WARNING
    assert [(level, told) for level, told, _ in world.events] == [(severity, reason)]


def test_a_fallback_comes_with_why_the_triggers_cannot_be_read() -> None:
    world = given.serving()
    words = "no such host: metrics.example.com"
    failing = controllers.condition("Ready", "False", "ScaledObjectCheckFailed", words)
    status = {"conditions": [failing, controllers.condition("Fallback")]}
    world.one("ScaledObject")["status"] = status
    world.reconcile()
    assert world.condition("ScalerReady") == ("False", "FallbackActive")
    assert "the replica count is held" in world.message("ScalerReady")
    assert words in world.message("ScalerReady")


def test_a_stored_target_that_can_never_fire_is_said() -> None:
    """Admission refuses it where it is new."""
    world = given.serving()
    world.edit(scaling={"cacheUtilizationThreshold": "7"}).converge()
    assert world.condition("ScalerReady") == ("True", "Ready")
    assert "can never fire: 7 is above 1" in world.message("ScalerReady")


def test_zero_replicas_that_nobody_asked_for_are_not_what_the_claim_says() -> None:
    world = given.serving()
    item = world.one("Deployment")
    item["spec"]["replicas"] = 0
    item["status"] |= {"replicas": 0, "updatedReplicas": 0, "availableReplicas": 0}
    world.reconcile()
    assert world.condition("Current") == ("False", "NotServing")
    assert world.condition("EngineReady") == ("False", "ScaledToZero")
