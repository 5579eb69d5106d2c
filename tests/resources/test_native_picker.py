"""The endpoint picker of a claim's own objects: what they are, and what the program is told."""

import json
from typing import Any

import pytest

from function.concerns.gateway import native_picker
from tests import cluster, schemas
from tests.resources import scene

SITE = scene.site(endpointPicker={"provider": "native"})
LABELS = {"inferencepool": "model-epp"}
CANARY = [{"adapter": "sql", "weightPercent": 10}]
PRIORITIES = [{"name": "batch", "value": -10}, {"name": "interactive", "value": 10}]


def picked(*, canaries: Any = (), scaling: Any = None, **fields: Any) -> cluster.Object:
    """Returns a claim with adapters, and these fields of its picker."""
    gateway = {
        "enabled": True,
        "canaries": list(canaries),
        "endpointPicker": {"enabled": True, **fields},
    }
    return scene.of(
        gateway=gateway, loraAdapters=scene.ADAPTERS, scaling=scaling or {"maxReplicas": 3}
    )


def with_picker(
    claimed: cluster.Object | None = None, config: cluster.Object | None = None
) -> cluster.Cluster:
    return scene.serving(claimed or picked(), config or SITE)


def deployment(world: cluster.Cluster) -> Any:
    return world.one("Deployment", "-picker-deployment")


def container(world: cluster.Cluster) -> Any:
    (program,) = deployment(world)["spec"]["template"]["spec"]["containers"]
    return program


def told(world: cluster.Cluster) -> Any:
    """Returns the EndpointPickerConfig that the program reads."""
    text = scene.values(container(world)["args"])["--config-text"]
    assert text is not None
    return json.loads(text)


def weights(world: cluster.Cluster) -> dict[str, int]:
    (profile,) = told(world)["schedulingProfiles"]
    return {p["pluginRef"]: p["weight"] for p in profile["plugins"] if "weight" in p}


# --- the objects


def test_each_object_is_valid_upstream_and_nothing_of_flux_is_there() -> None:
    world = with_picker(picked(replicas=2, priorities=PRIORITIES, canaries=CANARY))
    keys = sorted(key for key in world.objects if key.startswith("model-picker-"))
    assert keys == [
        "model-picker-cilium-netpol",
        "model-picker-deployment",
        "model-picker-objective-batch",
        "model-picker-objective-interactive",
        "model-picker-pdb",
        "model-picker-pool",
        "model-picker-rewrite",
        "model-picker-rolebinding",
        "model-picker-service",
        "model-picker-serviceaccount",
        "model-picker-vmservicescrape",
    ]
    for key in keys:
        assert schemas.validate(world.owned[key]) == [], key
    assert "HelmRelease" not in world.kinds_there()


def test_the_picker_is_found_by_the_pool_and_the_route_names_it() -> None:
    world = with_picker()
    pool, service = world.one("InferencePool"), world.one("Service", "-picker-service")
    assert pool["spec"]["endpointPickerRef"] == {
        "kind": "Service",
        "name": service["metadata"]["name"],
        "port": {"number": 9002},
        # What happens in truth without a picker, and no other value would change it.
        "failureMode": "FailClose",
    }
    assert pool["spec"]["targetPorts"] == [{"number": 8000}]
    template = deployment(world)["spec"]["template"]
    assert template["metadata"]["labels"] == service["spec"]["selector"] == LABELS
    ports = {port["name"]: port["targetPort"] for port in service["spec"]["ports"]}
    assert ports == {"grpc-ext-proc": 9002, "http-metrics": 9090}
    named = {"group": "inference.networking.k8s.io", "kind": "InferencePool", "name": "model"}
    assert world.one("AIGatewayRoute")["spec"]["rules"][0]["backendRefs"] == [named]


@pytest.mark.pitfall("the InferencePool picks the preload pod")
def test_the_native_pool_selects_the_serving_pods_only() -> None:
    first = scene.first(picked(), SITE)
    preload = first.one("Job")["spec"]["template"]["metadata"]["labels"]
    first.converge()
    selector = first.one("InferencePool")["spec"]["selector"]["matchLabels"]
    engines = first.one("Deployment", "model-deployment")["spec"]["template"]["metadata"]["labels"]
    assert selector.items() <= engines.items()
    assert not selector.items() <= preload.items()
    assert not selector.items() <= LABELS.items()


def test_the_picker_reads_in_its_own_namespace_alone() -> None:
    world = with_picker()
    binding = world.one("RoleBinding")
    assert binding["roleRef"]["name"] == native_picker.CLUSTER_ROLE
    account = world.one("ServiceAccount", "-picker-serviceaccount")["metadata"]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": account["name"], "namespace": "llm"}
    ]
    assert binding["metadata"]["namespace"] == "llm"
    assert deployment(world)["spec"]["template"]["spec"]["serviceAccountName"] == account["name"]
    assert not {"Role", "ClusterRole", "ClusterRoleBinding"} & world.kinds_there()


@pytest.mark.pitfall("the picker is rejected by Pod Security")
def test_the_pickers_pod_keeps_the_profile_restricted_by_itself() -> None:
    pod = deployment(with_picker())["spec"]["template"]["spec"]
    assert schemas.pod_security(pod) == []
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize("replicas", [None, 1, 2])
def test_as_many_pickers_as_the_claim_asks_for_and_never_fewer(replicas: int | None) -> None:
    fields = {} if replicas is None else {"replicas": replicas}
    world = with_picker(picked(**fields))
    spec = deployment(world)["spec"]
    assert spec["replicas"] == (replicas or 1)
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert ("model-picker-pdb" in world.objects) is (replicas == 2)
    # Of pickers that elect a leader only the leader takes requests.
    assert not [a for a in container(world)["args"] if "leader" in a]


def test_a_picker_that_goes_is_left_by_the_proxies_first() -> None:
    pod = deployment(with_picker())["spec"]["template"]["spec"]
    pause = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pause >= 5
    # The picker's own grace is 30 seconds.
    assert pod["terminationGracePeriodSeconds"] >= pause + 30


@pytest.mark.pitfall("the picker stays Pending")
def test_the_native_picker_fits_on_a_small_node_with_the_sites_image() -> None:
    config = scene.site(
        endpointPicker={"provider": "native", "imageRegistry": "mirror:5000", "imageTag": "v9"}
    )
    program = container(with_picker(config=config))
    assert program["image"] == "mirror:5000/gateway-api-inference-extension/epp:v9"
    assert program["resources"]["requests"] == {"cpu": "250m", "memory": "512Mi"}


@pytest.mark.pitfall("401 on the picker's metrics")
@pytest.mark.pitfall("the picker is blind: the policy selected labels that it has not")
def test_the_native_picker_is_scraped_once_and_without_a_token() -> None:
    world = with_picker()
    assert "--metrics-endpoint-auth=false" in container(world)["args"]
    service = world.one("Service", "-picker-service")["metadata"]["labels"]
    selector = world.one("VMServiceScrape", "-picker-vmservicescrape")["spec"]["selector"]
    assert selector["matchLabels"].items() <= service.items()
    engines = world.one("VMServiceScrape", "model-vmservicescrape")["spec"]["selector"]
    assert not engines["matchLabels"].items() <= service.items()
    policy = world.one("CiliumNetworkPolicy", "-picker-cilium-netpol")["spec"]
    assert policy["endpointSelector"]["matchLabels"] == LABELS


def test_no_patch_reaches_the_pod_that_may_read_the_api() -> None:
    claimed = picked()
    claimed["spec"]["patches"] = {"picker-deployment": {"spec": {"minReadySeconds": 1}}}
    config = scene.site(endpointPicker={"provider": "native"}, permissions={"patches": ["llm"]})
    assert "spec.patches.picker-deployment: no such object" in scene.refused(claimed, config)


# --- what the program is told


def test_scores_are_those_of_the_chart_unless_the_claim_says_others() -> None:
    chart = {
        "prefix-cache-scorer": 3,
        "queue-scorer": 2,
        "kv-cache-utilization-scorer": 2,
    }
    assert weights(with_picker()) == chart
    scorers = {"prefix": 0, "queue": 5, "adapters": 1}
    assert weights(with_picker(picked(scorers=scorers))) == {
        "queue-scorer": 5,
        "kv-cache-utilization-scorer": 2,
        "lora-affinity-scorer": 1,
    }


def test_every_plugin_that_is_named_is_there_once() -> None:
    for claimed in (picked(), picked(queue={}, scorers={"adapters": 1})):
        config = told(with_picker(claimed))
        types = [plugin["type"] for plugin in config["plugins"]]
        assert len(types) == len(set(types))
        named = {p["pluginRef"] for p in config["schedulingProfiles"][0]["plugins"]}
        (source,) = config["dataLayer"]["sources"]
        named |= {source["pluginRef"], *(e["pluginRef"] for e in source["extractors"])}
        if "saturationDetector" in config:
            named.add(config["saturationDetector"]["pluginRef"])
        assert named == set(types)


@pytest.mark.parametrize(
    ("claimed", "holds"),
    [
        (picked(), False),
        (picked(queue={}), True),
        (picked(priorities=PRIORITIES), True),
        (picked(scaling={"minReplicas": 0, "maxReplicas": 3}), True),
    ],
    ids=["nothing", "a queue", "priorities", "zero"],
)
def test_requests_wait_in_the_picker_where_something_needs_it(
    claimed: cluster.Object, holds: bool
) -> None:
    config = told(with_picker(claimed))
    assert (config.get("featureGates") == ["flowControl"]) is holds
    assert ("flowControl" in config) is holds
    assert ("saturationDetector" in config) is holds


def test_what_waits_is_bounded_by_the_claim_the_memory_and_the_gateways_patience() -> None:
    control = told(with_picker(picked(queue={"maxRequests": 200})))["flowControl"]
    # An eighth of the limit of 2 GiB.
    assert control == {
        "maxRequests": "200",
        "maxBytes": str(2 * 1024**3 // 8),
        "defaultRequestTTL": "1800s",
    }
    assert "maxRequests" not in told(with_picker(picked(queue={})))["flowControl"]
    config = scene.site(
        endpointPicker={"provider": "native", "limits": {"memory": "512Mi"}},
        gateway={"requestTimeoutSeconds": 60},
    )
    control = told(with_picker(picked(queue={}), config))["flowControl"]
    assert control == {"maxBytes": str(512 * 1024**2 // 8), "defaultRequestTTL": "60s"}


def test_priorities_are_objectives_under_the_claims_name() -> None:
    world = with_picker(picked(priorities=PRIORITIES))
    objectives = {
        item["metadata"]["name"]: item["spec"]
        for item in world.objects.values()
        if item["kind"] == "InferenceObjective"
    }
    pool = {"group": "inference.networking.k8s.io", "kind": "InferencePool", "name": "model"}
    assert objectives == {
        "model.batch": {"priority": -10, "poolRef": pool},
        "model.interactive": {"priority": 10, "poolRef": pool},
    }


# --- canaries


@pytest.mark.parametrize("provider", ["native", "helmRelease"])
def test_canaries_behind_a_picker_are_drawn_by_it(provider: str) -> None:
    config = scene.site(endpointPicker={"provider": provider})
    canaries = [*CANARY, {"adapter": "law", "weightPercent": 25}]
    world = with_picker(picked(canaries=canaries), config)
    (rule,) = world.one("InferenceModelRewrite")["spec"]["rules"]
    assert rule["matches"] == [{"model": {"type": "Exact", "value": "model"}}]
    assert rule["targets"] == [
        {"modelRewrite": "model", "weight": 65},
        {"modelRewrite": "law", "weight": 25},
        {"modelRewrite": "sql", "weight": 10},
    ]
    assert world.one("InferenceModelRewrite")["spec"]["poolRef"]["name"] == "model"
    assert schemas.validate(world.owned["model-picker-rewrite"]) == []
    world.edit(gateway={"enabled": True, "endpointPicker": {"enabled": True}}).converge()
    assert "InferenceModelRewrite" not in world.kinds_there()


def test_a_canary_gets_no_request_before_every_pod_serves_it() -> None:
    world = with_picker(picked())
    new = {"name": "third", "repository": "org/third", "revision": "3333"}
    gateway = world.claim["spec"]["gateway"] | {
        "canaries": [{"adapter": "third", "weightPercent": 50}]
    }
    world.edit(loraAdapters=[*scene.ADAPTERS, new], gateway=gateway)
    world.reconcile()
    targets = world.one("InferenceModelRewrite")["spec"]["rules"][0]["targets"]
    assert targets == [{"modelRewrite": "model", "weight": 100}]
    world.converge()
    targets = world.one("InferenceModelRewrite")["spec"]["rules"][0]["targets"]
    assert {"modelRewrite": "third", "weight": 50} in targets


# --- scaling


def queries(world: cluster.Cluster) -> dict[str, str]:
    return {
        trigger["name"]: trigger["metadata"]["query"]
        for trigger in world.one("ScaledObject")["spec"]["triggers"]
    }


HELD = (
    'sum(inference_extension_flow_control_queue_size{namespace="llm",job="model-epp",'
    'inference_pool="model"}) or vector(0)'
)


def test_what_waits_in_the_picker_counts_for_the_queue_trigger() -> None:
    before, after = queries(with_picker()), queries(with_picker(picked(queue={})))
    assert after.pop("queue") == f"({before.pop('queue')}) + ({HELD})"
    assert after == before


def test_a_claim_behind_a_native_picker_sleeps_without_a_wake_query() -> None:
    """The picker holds the request that comes while no pod is there, and counts it."""
    config = scene.site(endpointPicker={"provider": "native"}, scaling={"wake": None})
    world = with_picker(picked(scaling={"minReplicas": 0, "maxReplicas": 2}), config)
    assert world.one("ScaledObject")["spec"]["minReplicaCount"] == 0
    assert queries(world)["picker"] == HELD
    assert world.condition("ScalerReady")[0] == "True"
    assert (
        world.one("VMServiceScrape", "-picker-vmservicescrape")["spec"]["endpoints"][0]["interval"]
        == "10s"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"endpointPicker": {"provider": "helmRelease"}},
        {"endpointPicker": {"provider": "native"}, "providers": {"monitoring": "none"}},
    ],
    ids=["helm", "unscraped"],
)
def test_behind_a_picker_that_nobody_counts_zero_is_held_at_one(changes: Any) -> None:
    world = with_picker(picked(scaling={"minReplicas": 0, "maxReplicas": 2}), scene.site(**changes))
    assert world.one("ScaledObject")["spec"]["minReplicaCount"] == 1
    assert world.condition("ScalerReady") == ("False", "NoWakeSignal")
    assert "picker" in world.message("ScalerReady")


# --- what the provider cannot do


def test_fields_that_need_the_native_picker_are_left_out_and_said() -> None:
    claimed = picked(replicas=2, scorers={"queue": 5}, queue={}, priorities=PRIORITIES)
    world = with_picker(claimed, scene.site())
    assert world.condition("RouteReady") == ("True", "Published")
    for field in ("replicas", "scorers", "queue", "priorities"):
        assert f"spec.gateway.endpointPicker.{field}" in world.message("RouteReady")
    assert not [key for key in world.objects if "picker-deployment" in key or "objective" in key]
