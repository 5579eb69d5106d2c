"""The ScaledObject. The tests in tests/scaling cover its triggers over time."""

from typing import Any

import pytest

from tests import cluster
from tests.resources import scene

WAKE: Any = {"gateway": {"enabled": True}, "scaling": {"minReplicas": 0, "maxReplicas": 2}}


def scaled(claimed: cluster.Object | None = None, config: cluster.Object | None = None) -> Any:
    return scene.serving(claimed, config).one("ScaledObject")


def triggers(
    claimed: cluster.Object | None = None, config: cluster.Object | None = None
) -> dict[str, Any]:
    return {trigger["name"]: trigger for trigger in scaled(claimed, config)["spec"]["triggers"]}


def test_bounds_and_target() -> None:
    claimed = scene.of(
        scaling={
            "minReplicas": 2,
            "maxReplicas": 4,
            "cooldownSeconds": 600,
            "pollingIntervalSeconds": 30,
        }
    )
    assert scaled(claimed)["apiVersion"] == "keda.sh/v1alpha1"
    spec = scaled(claimed)["spec"]
    assert spec["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "model",
    }
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (2, 4)
    assert (spec["pollingInterval"], spec["cooldownPeriod"]) == (30, 600)
    assert "idleReplicaCount" not in spec


@pytest.mark.pitfall("cooldownSeconds has no effect above one replica")
def test_the_cooldown_governs_every_step_down() -> None:
    """KEDA's cooldownPeriod alone governs only the last step to zero."""
    claimed = scene.of(scaling={"cooldownSeconds": 900})
    behavior = scaled(claimed)["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behavior["scaleDown"] == {
        "stabilizationWindowSeconds": 900,
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
    }
    assert behavior["scaleUp"]["stabilizationWindowSeconds"] == 30
    assert behavior["scaleUp"]["policies"] == [
        {"type": "Percent", "value": 100, "periodSeconds": 180},
        {"type": "Pods", "value": 1, "periodSeconds": 180},
    ]


def test_the_cooldown_stays_within_what_the_hpa_takes() -> None:
    spec = scaled(scene.of(scaling={"cooldownSeconds": 86400}))["spec"]
    down = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    assert down["stabilizationWindowSeconds"] == 3600


@pytest.mark.pitfall("busy and KV triggers never ask for more than two replicas")
@pytest.mark.decision(20)
def test_the_triggers_are_sums_over_the_claims_own_pods() -> None:
    by_name = triggers(scene.of(model={"maxNumSeqs": 32}))
    own = '{namespace="llm",job="model",model_name="model"}'
    assert {name: t["metadata"]["query"] for name, t in by_name.items()} == {
        "running": f"sum(vllm:num_requests_running{own})",
        "kv-cache": f"sum(vllm:kv_cache_usage_perc{own})",
        "queue": f"sum(vllm:num_requests_waiting{own})",
    }
    assert {name: t["metadata"]["threshold"] for name, t in by_name.items()} == {
        "running": "22.4",
        "kv-cache": "0.6",
        "queue": "8",
    }
    for trigger in by_name.values():
        assert trigger["type"] == "prometheus"
        assert trigger["metricType"] == "AverageValue"
        assert trigger["metadata"]["ignoreNullValues"] == "false"


@pytest.mark.pitfall("two claims of one name in two namespaces scale and alert together")
def test_two_claims_of_one_name_scale_apart() -> None:
    here = triggers(scene.of())
    there = triggers(scene.of(namespace="other"))
    assert here["queue"]["metadata"]["query"] != there["queue"]["metadata"]["query"]


def test_every_metadata_value_is_a_string() -> None:
    for trigger in triggers(scene.of(**WAKE)).values():
        assert all(isinstance(value, str) for value in trigger["metadata"].values())


def test_a_trigger_can_be_left_out() -> None:
    claimed = scene.of(scaling={"triggers": {"kvCache": {"enabled": False}}})
    assert list(triggers(claimed)) == ["running", "queue"]


@pytest.mark.pitfall("the scaler is down and the service falls to one replica")
@pytest.mark.decision(20)
@pytest.mark.parametrize(("minimum", "replicas"), [(0, 1), (1, 1), (3, 3)])
def test_the_fallback_never_gives_a_gpu_back(minimum: int, replicas: int) -> None:
    claimed = scene.of(scaling={"minReplicas": minimum, "maxReplicas": 4})
    assert scaled(claimed)["spec"]["fallback"] == {
        "failureThreshold": 4,
        "replicas": replicas,
        "behavior": "currentReplicasIfHigher",
    }


@pytest.mark.pitfall("minReplicas 0 renders 1; an empty policy list becomes the default one")
@pytest.mark.pitfall("KEDA at a minimum of zero never wakes")
@pytest.mark.pitfall("what was asked is taken for what was served")
def test_at_zero_a_gateway_side_signal_wakes() -> None:
    """At zero no pod has a metric: the pod-side terms read as zero, the wake query does not."""
    claimed = scene.of(**WAKE)
    by_name = triggers(claimed)
    assert list(by_name) == ["running", "kv-cache", "queue", "wake"]
    for name in ("running", "kv-cache", "queue"):
        assert by_name[name]["metadata"]["query"].endswith(" or vector(0)")
    wake = by_name["wake"]["metadata"]
    assert "vllm:" not in wake["query"]
    assert "model" in wake["query"]
    assert "{name}" not in wake["query"]
    assert wake["activationThreshold"] == "0"
    # No load reaches the threshold: the trigger wakes the first replica and adds no other.
    assert int(wake["threshold"]) >= 1_000_000
    spec = scaled(claimed)["spec"]
    assert spec["minReplicaCount"] == 0
    # The first pod is not active while it loads. KEDA must not remove the pod then.
    assert spec["initialCooldownPeriod"] >= 600


@pytest.mark.pitfall("a trigger dies after an engine upgrade: metrics were renamed")
def test_above_zero_an_absent_series_is_an_error() -> None:
    for trigger in triggers().values():
        assert "vector(0)" not in trigger["metadata"]["query"]
    assert "initialCooldownPeriod" not in scaled()["spec"]


@pytest.mark.pitfall("KEDA at a minimum of zero never wakes")
@pytest.mark.pitfall("503 at zero endpoints")
@pytest.mark.decision(7)
def test_zero_without_a_signal_is_held_at_one() -> None:
    world = scene.serving(scene.of(**WAKE), scene.site("plain"))
    assert world.one("ScaledObject")["spec"]["minReplicaCount"] == 1
    assert world.condition("ScalerReady") == ("False", "NoWakeSignal")
    assert world.phase == "Serving"


def test_the_wake_query_is_filled_in_for_the_claim() -> None:
    config = scene.site(scaling={"wake": {"query": 'x{m="{name}",n="{namespace}"}'}})
    assert triggers(scene.of(**WAKE), config)["wake"]["metadata"]["query"] == (
        'x{m="model",n="llm"}'
    )


@pytest.mark.pitfall("a live ScaledObject keeps a GPU")
@pytest.mark.pitfall("a guard model holds a GPU without traffic")
def test_suspending_pauses_at_zero_and_keeps_everything_else() -> None:
    world = scene.serving()
    before = set(world.objects)
    world.edit(suspend=True).converge()
    annotations = world.one("ScaledObject")["metadata"]["annotations"]
    assert annotations["autoscaling.keda.sh/paused-replicas"] == "0"
    assert set(world.objects) == before
    assert world.one("Deployment")["spec"]["replicas"] == 0
    assert world.phase == "Suspended"
    # An emitted count would fight a person who paused the ScaledObject.
    assert "replicas" not in world.owned["model-deployment"]["spec"]


def test_unsuspending_takes_the_annotation_away() -> None:
    world = scene.serving()
    world.edit(suspend=True).converge()
    world.edit(suspend=False).converge()
    annotations = world.one("ScaledObject")["metadata"]["annotations"]
    assert "autoscaling.keda.sh/paused-replicas" not in annotations
    assert world.phase == "Serving"


def test_a_pause_is_no_field_of_the_spec() -> None:
    world = scene.serving()
    world.edit(suspend=True).converge()
    assert not [key for key in world.one("ScaledObject")["spec"] if "pause" in key.lower()]


@pytest.mark.parametrize("kind", ["TriggerAuthentication", "ClusterTriggerAuthentication"])
def test_authentication_of_the_triggers(kind: str) -> None:
    reference = {"name": "metrics", "kind": kind}
    config = scene.site(scaling={"authenticationRef": reference})
    for trigger in triggers(config=config).values():
        assert trigger["authenticationRef"] == reference
    assert "authenticationRef" not in triggers()["queue"]


@pytest.mark.pitfall("KEDA's context deadline exceeded: the wrong port of the metrics server")
def test_the_address_is_the_sites() -> None:
    config = scene.site(scaling={"serverAddress": "http://metrics.example.com:8481"})
    for trigger in triggers(config=config).values():
        assert trigger["metadata"]["serverAddress"] == "http://metrics.example.com:8481"


def test_without_an_autoscaler_there_is_no_scaled_object() -> None:
    world = scene.serving(config=scene.site(providers={"autoscaler": "none"}))
    assert "ScaledObject" not in world.kinds_there()
    assert world.condition("ScalerReady") == ("True", "NotManaged")
