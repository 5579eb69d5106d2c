"""A claim sleeps at zero replicas, and a request wakes it."""

import pytest

from tests import cluster, controllers
from tests.life import given
from tests.scaling import promql


@pytest.mark.decision(14)
def test_a_claim_born_at_zero_starts_no_pod() -> None:
    claim = cluster.example(given.NAME)
    claim["spec"]["scaling"] = {"minReplicas": 0, "maxReplicas": 2}
    world = cluster.Cluster(claim, cluster.environment("reference"))
    world.born().settle().reconcile()
    assert world.one("Deployment")["spec"]["replicas"] == 0
    world.converge()
    assert world.one("Deployment")["spec"]["replicas"] == 0
    assert world.phase == "Idle"
    assert world.condition("Current") == ("True", "Idle")
    assert all(world.ready.values())


def test_a_claim_born_at_zero_has_its_route_or_nothing_could_wake_it() -> None:
    world = given.asleep()
    assert world.phase == "Idle"
    assert "AIGatewayRoute" in world.kinds_there()
    assert world.condition("RouteReady") == ("True", "Published")


def test_a_woken_replica_that_still_loads_is_not_taken_away() -> None:
    scaled = given.asleep().one("ScaledObject")["spec"]
    template = given.asleep().template["spec"]["containers"][0]["startupProbe"]
    assert scaled["cooldownPeriod"] >= template["failureThreshold"] * template["periodSeconds"]


def test_a_woken_claim_is_never_put_back_to_zero() -> None:
    world = given.asleep()
    world.one("Deployment")["spec"]["replicas"] = 1  # KEDA
    world.reconcile()
    assert world.one("Deployment")["spec"]["replicas"] == 1
    world.converge()
    assert world.phase == "Serving"
    world.one("Deployment")["spec"]["replicas"] = 0  # KEDA, cooled down
    world.one("Deployment")["status"] = {"observedGeneration": 9}
    world.reconcile()
    assert "replicas" not in world.owned[f"{given.NAME}-deployment"]["spec"], (
        "KEDA owns it for good"
    )
    assert world.phase == "Idle"


def test_a_count_that_bridges_is_refused_where_somebody_scaled_meanwhile() -> None:
    """Found on a real control plane: a woken replica was put back by a reconcile that was older."""
    world = given.asleep()
    world.one("Deployment")["metadata"]["resourceVersion"] = "7"
    world.reconcile()
    desired = world.desired(f"{given.NAME}-deployment")
    assert (desired["spec"]["replicas"], desired["metadata"]["resourceVersion"]) == (0, "7")
    world.one("Deployment")["spec"]["replicas"] = 1  # KEDA
    world.reconcile()
    desired = world.desired(f"{given.NAME}-deployment")
    assert "resourceVersion" not in desired["metadata"], "the autoscaler's count needs none"


@pytest.mark.pitfall("503 at zero endpoints")
def test_zero_without_a_wake_signal_is_held_at_one() -> None:
    claim = cluster.example("smallest")
    claim["spec"]["scaling"] = {"minReplicas": 0, "maxReplicas": 2}
    world = cluster.Cluster(claim, cluster.environment("plain"))
    world.converge()
    assert world.one("ScaledObject")["spec"]["minReplicaCount"] == 1
    assert world.condition("ScalerReady") == ("False", "NoWakeSignal")
    assert world.phase == "Serving"
    # What is standing must not hide what breaks, nor what the author asked for.
    world.one("ScaledObject")["status"] = {
        "conditions": [controllers.condition("Ready"), controllers.condition("Fallback")]
    }
    world.reconcile()
    assert world.condition("ScalerReady") == ("False", "FallbackActive")
    world.claim["spec"]["suspend"] = True
    world.converge()
    assert world.condition("ScalerReady") == ("True", "Paused")


class NoSeries:
    """A metrics server that answers, and knows nothing of this claim."""

    def instant(self) -> list[promql.Sample]:
        return []

    def increase(self, seconds: float) -> list[promql.Sample]:
        del seconds
        return []


def test_at_zero_absent_pod_series_do_not_wake() -> None:
    world = given.asleep()
    queries = [
        trigger["metadata"]["query"] for trigger in world.one("ScaledObject")["spec"]["triggers"]
    ]
    assert len(queries) == 4
    assert [promql.evaluate(query, NoSeries()) for query in queries] == [[0.0]] * 4
