"""The AI gateway's objects, and the order in which they come and go."""

import json
import re
from typing import Any

import pytest

from function import duration
from tests import cluster, documents, recordings, schemas
from tests.resources import scene

CANARIES: Any = {
    "enabled": True,
    "canaries": [
        {"adapter": "sql", "weightPercent": 10},
        {"adapter": "law", "weightPercent": 25},
    ],
}
ROUTED = scene.of(gateway={"enabled": True})
CANARIED = scene.of(gateway=CANARIES, loraAdapters=scene.ADAPTERS)
PICKED: Any = {"gateway": {"enabled": True, "endpointPicker": {"enabled": True}}}
CLUSTER_HOST = "model.llm.svc.cluster.local"
PODS_HOST = "model-pods-18fb9fa0.llm.svc.cluster.local"


def rules(world: cluster.Cluster) -> list[Any]:
    entries = world.one("AIGatewayRoute")["spec"]["rules"]
    assert isinstance(entries, list)
    return entries


def host(world: cluster.Cluster) -> str:
    (endpoint,) = world.one("Backend")["spec"]["endpoints"]
    assert endpoint["fqdn"]["port"] == 8000
    return str(endpoint["fqdn"]["hostname"])


def model_of(rule: Any) -> str:
    (match,) = rule["matches"]
    (header,) = match["headers"]
    assert (header["type"], header["name"]) == ("Exact", "x-ai-eg-model")
    return str(header["value"])


# --- the route


def test_the_base_rule_shares_out_a_hundred() -> None:
    base = rules(scene.serving(CANARIED))[0]
    assert model_of(base) == "model"
    # New ones are sorted by the adapter's name: the order in the claim means nothing.
    assert base["backendRefs"] == [
        {"name": "model", "weight": 65},
        {"name": "model.canary-law", "modelNameOverride": "law", "weight": 25},
        {"name": "model.canary-sql", "modelNameOverride": "sql", "weight": 10},
    ]


@pytest.mark.parametrize(
    "weights", [(), (1,), (99,), (10, 10), (33, 33, 33), (1, 1, 1, 96), (25, 25, 25, 24)]
)
def test_weights_always_sum_to_a_hundred(weights: tuple[int, ...]) -> None:
    adapters = [{"name": f"a{n}", "repository": "org/a", "revision": str(n)} for n in range(4)]
    canaries = [{"adapter": f"a{n}", "weightPercent": w} for n, w in enumerate(weights)]
    world = scene.serving(
        scene.of(loraAdapters=adapters, gateway={"enabled": True, "canaries": canaries})
    )
    for rule in rules(world):
        assert sum(backend["weight"] for backend in rule["backendRefs"]) == 100
    assert all(backend["weight"] >= 1 for backend in rules(world)[0]["backendRefs"])


def test_an_adapters_own_name_always_reaches_it() -> None:
    """The engine serves an adapter under its own name, whatever the canaries' weights."""
    backends = {model_of(rule): rule["backendRefs"] for rule in rules(scene.serving(CANARIED))}
    assert backends["sql"] == backends["law"] == [{"name": "model", "weight": 100}]
    assert list(backends) == ["model", "sql", "law"]


@pytest.mark.pitfall("the order of canaries moves traffic")
def test_the_order_of_canaries_moves_no_traffic() -> None:
    turned = scene.of(
        gateway={**CANARIES, "canaries": CANARIES["canaries"][::-1]},
        loraAdapters=scene.ADAPTERS,
    )
    before, after = scene.serving(CANARIED), scene.serving(turned)
    assert rules(before) == rules(after)
    assert set(before.objects) == set(after.objects)


V1ALPHA1 = {"apiVersion": "aigateway.envoyproxy.io/v1alpha1"}


@pytest.mark.parametrize(
    ("settings", "request_timeout", "idle", "longest"),
    [
        ({}, "0s", "1800s", None),
        ({"requestTimeoutSeconds": 60}, "0s", "60s", None),
        ({"longestStreamSeconds": 7200}, "0s", "1800s", "7200s"),
        ({"longestStreamSeconds": 100_000}, "0s", "1800s", "27h46m40s"),
        # As before, and for gateways that have no such field.
        ({"longestStreamSeconds": 1800}, "1800s", None, None),
        ({"longestStreamSeconds": 60}, "60s", None, None),
        (V1ALPHA1, "1800s", None, None),
        ({**V1ALPHA1, "longestStreamSeconds": 7200}, "0s", "1800s", "7200s"),
    ],
)
def test_a_stream_lasts_while_its_bytes_come(
    settings: Any, request_timeout: str, idle: str | None, longest: str | None
) -> None:
    """The AI gateway cuts a stream after a minute by default, and Envoy's timeout counts it all."""
    world = scene.serving(CANARIED, scene.site(gateway=settings))
    for rule in rules(world):
        assert rule["timeouts"] == {"request": request_timeout}
    http = world.one("BackendTrafficPolicy")["spec"]["timeout"]["http"]
    assert http.get("streamIdleTimeout") == idle
    assert http.get("maxStreamDuration") == longest


def test_behind_a_pool_connections_and_streams_end_likewise() -> None:
    """A picker chooses pods, and the connections to them are the gateway's as before."""
    world = scene.serving(scene.of(**PICKED))
    for rule in rules(world):
        assert rule["timeouts"] == {"request": "0s"}
    spec = world.one("BackendTrafficPolicy")["spec"]
    alone = scene.serving(CANARIED).one("BackendTrafficPolicy")["spec"]
    assert spec["targetRefs"] == alone["targetRefs"]
    assert spec["timeout"] == {"http": alone["timeout"]["http"]}
    assert set(spec) == {"targetRefs", "timeout"}, "the picker has chosen: nothing to spread"


def test_the_most_rules_still_fit() -> None:
    adapters = [{"name": f"a{n}", "repository": "org/a", "revision": str(n)} for n in range(8)]
    world = scene.serving(scene.of(gateway={"enabled": True}, loraAdapters=adapters))
    assert len(rules(world)) == 9
    assert schemas.validate(world.owned["model-gateway-airoute"]) == []


@pytest.mark.pitfall("route objects use the deprecated v1alpha1")
@pytest.mark.parametrize("version", ["v1beta1", "v1alpha1"])
def test_the_version_is_the_sites(version: str) -> None:
    group = f"aigateway.envoyproxy.io/{version}"
    world = scene.serving(CANARIED, scene.site(gateway={"apiVersion": group}))
    objects = [i for i in world.objects.values() if i["apiVersion"].startswith("aigateway.")]
    assert {item["apiVersion"] for item in objects} == {group}
    assert {item["kind"] for item in objects} == {"AIGatewayRoute", "AIServiceBackend"}


@pytest.mark.pitfall("route objects use the deprecated v1alpha1")
def test_the_default_version_is_not_the_deprecated_one() -> None:
    assert scene.serving(ROUTED).one("AIGatewayRoute")["apiVersion"].endswith("/v1beta1")


def test_route_and_backends_hang_together() -> None:
    world = scene.serving(CANARIED)
    assert world.one("AIGatewayRoute")["spec"]["parentRefs"] == [
        {
            "group": "gateway.networking.k8s.io",
            "kind": "Gateway",
            "name": "ai-gateway",
            "namespace": "envoy-ai-gateway-system",
        }
    ]
    names = {
        i["metadata"]["name"] for i in world.objects.values() if i["kind"] == "AIServiceBackend"
    }
    used = {backend["name"] for rule in rules(world) for backend in rule["backendRefs"]}
    assert names == used
    for item in world.objects.values():
        if item["kind"] == "AIServiceBackend":
            assert item["spec"]["schema"] == {"name": "OpenAI"}
            assert item["spec"]["backendRef"] == {
                "group": "gateway.envoyproxy.io",
                "kind": "Backend",
                "name": world.one("Backend")["metadata"]["name"],
            }


@pytest.mark.pitfall("an adapter's name is prefixed twice")
@pytest.mark.pitfall("a printer column with a wildcard shows the first entry only")
def test_adapters_keep_their_names_with_any_spelling() -> None:
    adapters = [{"name": "Llama3.1_SQL", "repository": "org/a"}]
    canaries = [{"adapter": "Llama3.1_SQL", "weightPercent": 5}]
    world = scene.serving(
        scene.of(loraAdapters=adapters, gateway={"enabled": True, "canaries": canaries})
    )
    canary = rules(world)[0]["backendRefs"][1]
    assert canary["modelNameOverride"] == "Llama3.1_SQL"
    assert model_of(rules(world)[1]) == "Llama3.1_SQL"
    assert [m["name"] for m in world.claim["status"]["servedModels"]] == ["model", "Llama3.1_SQL"]
    for key, item in world.owned.items():
        if item["kind"] == "AIServiceBackend":
            assert schemas.validate(item) == [], key


# --- when it is published


@pytest.mark.pitfall("503 and 404 on new claims: the route came before the pods")
@pytest.mark.decision(19)
def test_the_route_is_not_published_before_it_serves_and_never_withdrawn() -> None:
    world = scene.first(ROUTED)
    assert "AIGatewayRoute" not in world.kinds_there()
    assert world.condition("RouteReady") == ("False", "Withheld")
    for _ in range(3):
        world.settle("Deployment").reconcile()
    assert "AIGatewayRoute" in world.kinds_there()
    assert world.condition("RouteReady") == ("False", "NotServing")
    world.converge()
    assert world.condition("RouteReady") == ("True", "Published")
    status = world.one("Deployment")["status"]
    for field in ("availableReplicas", "readyReplicas"):
        del status[field]
    world.reconcile()
    assert "AIGatewayRoute" in world.kinds_there()
    assert world.condition("RouteReady") == ("True", "Published"), "an outage takes no route away"
    # The latch in the status publishes the route again when somebody deleted the route.
    del world.objects["model-gateway-airoute"]
    world.reconcile()
    assert "AIGatewayRoute" in world.kinds_there()


def test_turning_the_gateway_off_takes_everything_away() -> None:
    world = scene.serving(CANARIED)
    world.edit(gateway={"enabled": False}).converge()
    assert not {"AIGatewayRoute", "AIServiceBackend", "Backend", "BackendTrafficPolicy"} & (
        world.kinds_there()
    )
    assert world.condition("RouteReady") == ("True", "NotRequested")


@pytest.mark.decision(10)
@pytest.mark.parametrize(
    ("settings", "endpoint"),
    [
        ({}, "https://llm.priv.cloud.ogenki.io/v1"),
        ({"gateway": {"hostname": "ai.example.com"}}, "https://ai.example.com/v1"),
    ],
)
def test_the_endpoint(settings: cluster.Object, endpoint: str) -> None:
    world = scene.serving(ROUTED, scene.site(**settings))
    assert world.claim["status"]["modelEndpoint"] == endpoint


def test_without_a_gateway_there_is_no_endpoint() -> None:
    assert "modelEndpoint" not in scene.serving().claim["status"]


# --- how traffic spreads


@pytest.mark.decision(26)
@pytest.mark.parametrize(("maximum", "spread"), [(1, False), (2, True)])
def test_traffic_spreads_when_there_may_be_two(maximum: int, spread: bool) -> None:
    """The name of a ClusterIP Service gives Envoy one endpoint only."""
    world = scene.serving(scene.of(gateway={"enabled": True}, scaling={"maxReplicas": maximum}))
    assert host(world) == (PODS_HOST if spread else CLUSTER_HOST)
    # Also for one pod: the engine must not be the side that ends idle connections.
    assert world.one("BackendTrafficPolicy")["spec"]["timeout"]
    assert ("model-service-headless" in world.objects) is spread


@pytest.mark.decision(26)
def test_the_traffic_policy() -> None:
    world = scene.serving(ROUTED)
    for kind in ("Backend", "BackendTrafficPolicy"):
        assert world.one(kind)["apiVersion"] == "gateway.envoyproxy.io/v1alpha1"
    spec = world.one("BackendTrafficPolicy")["spec"]
    # The target is the HTTPRoute that the AI gateway generates under the name of its route.
    assert spec["targetRefs"] == [
        {
            "group": "gateway.networking.k8s.io",
            "kind": "HTTPRoute",
            "name": world.one("AIGatewayRoute")["metadata"]["name"],
        }
    ]
    assert spec["loadBalancer"] == {"type": "LeastRequest"}
    assert spec["dns"] == {"dnsRefreshRate": "5s", "respectDnsTtl": False}
    # The engine closes an idle connection after five seconds, perhaps just as a request is sent.
    assert spec["timeout"]["http"]["connectionIdleTimeout"] == "3s"
    # Envoy retries only a request of which the engine took no byte: no answer is computed twice.
    assert spec["retry"]["retryOn"] == {"triggers": ["connect-failure", "refused-stream"]}


def health(world: cluster.Cluster) -> Any:
    return world.one("BackendTrafficPolicy")["spec"]["healthCheck"]


def test_a_pod_that_dies_or_hangs_is_left() -> None:
    """`e2e/test_gateway.py` has what Envoy makes of it."""
    checks = health(scene.serving(ROUTED))
    assert checks["active"]["http"] == {"path": "/health"}
    assert checks["passive"]["consecutiveLocalOriginFailures"] == 3
    # An engine whose queue is full answers 503, and the others are as full.
    assert checks["passive"]["splitExternalLocalOriginErrors"] is True
    assert checks["passive"]["consecutive5XxErrors"] == 0
    assert "consecutiveGatewayErrors" not in checks["passive"]
    # Half of the pods at most, so never an only one; the other half is used even if it fails too.
    assert checks["passive"]["maxEjectionPercent"] == 50
    assert "panicThreshold" not in checks


@pytest.mark.parametrize(
    ("counts", "minimum", "checked"),
    [(["gateway"], 0, True), (["gateway", "service"], 0, False), (["service"], 1, True)],
)
def test_a_check_wakes_no_claim(counts: list[str], minimum: int, checked: bool) -> None:
    wake = {"query": "sum(requests)", "counts": counts}
    claimed = scene.of(gateway={"enabled": True}, scaling={"minReplicas": minimum})
    world = scene.serving(claimed, scene.site(scaling={"wake": wake}))
    assert ("active" in health(world)) is checked


SLEEPER = scene.of(gateway={"enabled": True}, scaling={"minReplicas": 0, "maxReplicas": 2})


def asleep() -> cluster.Cluster:
    """A claim that has served and now sleeps."""
    world = scene.serving(SLEEPER)
    world.one("Deployment")["spec"]["replicas"] = 0
    world.converge()
    assert world.phase == "Idle"
    return world


def test_while_a_claim_sleeps_its_backend_refuses_rather_than_has_no_address() -> None:
    """Envoy tries a refused connection again; without an address it answers 503 at once."""
    world = asleep()
    assert host(world) == CLUSTER_HOST
    world.one("Deployment")["spec"]["replicas"] = 1
    world.settle("Deployment").reconcile()
    assert host(world) == CLUSTER_HOST, "a replica that starts refuses too"
    available = {"availableReplicas": 1, "readyReplicas": 1}
    world.one("Deployment")["status"] |= available
    world.reconcile()
    assert world.condition("EngineReady") == ("True", "Serving")
    assert host(world) == CLUSTER_HOST, "DNS may not have the replica yet"
    world.reconcile()
    assert host(world) == PODS_HOST


@pytest.mark.parametrize("maximum", [1, 2])
def test_a_suspended_sleeper_answers_at_once(maximum: int) -> None:
    """Nothing wakes a suspended claim: a request would wait in vain for a replica."""
    scaling = {"minReplicas": 0, "maxReplicas": maximum}
    world = scene.serving(scene.of(gateway={"enabled": True}, scaling=scaling))
    world.edit(suspend=True)
    world.converge()
    assert world.phase == "Suspended"
    assert host(world) == (PODS_HOST if maximum > 1 else CLUSTER_HOST)
    assert world.one("BackendTrafficPolicy")["spec"]["retry"]["numRetries"] == 2
    assert world.condition("RouteReady") == ("True", "Published")
    world.edit(suspend=False).reconcile()
    assert host(world) == CLUSTER_HOST
    assert world.one("BackendTrafficPolicy")["spec"]["retry"]["numRetries"] > 100


def test_a_surge_is_two_pods_too() -> None:
    """Behind one address Envoy's open connections stay with the pod that goes."""
    spare = scene.site(gpu={"classes": {"l4": {"spare": True}}})
    claimed = scene.of(gateway={"enabled": True}, scaling={"maxReplicas": 1})
    assert host(scene.serving(claimed)) == CLUSTER_HOST
    world = scene.serving(claimed, spare)
    assert world.one("Deployment")["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 1
    assert host(world) == PODS_HOST
    assert world.one("BackendTrafficPolicy")["spec"]["dns"]["dnsRefreshRate"] == "5s"


@pytest.mark.parametrize("maximum", [1, 3])
def test_a_request_that_wakes_a_claim_waits_for_it(maximum: int) -> None:
    scaling = {"minReplicas": 0, "maxReplicas": maximum}
    claimed = scene.of(gateway={"enabled": True}, scaling=scaling)
    retry = scene.serving(claimed).one("BackendTrafficPolicy")["spec"]["retry"]
    assert retry["retryOn"] == {"triggers": ["connect-failure", "refused-stream"]}
    assert retry["perRetry"] == {"backOff": {"baseInterval": "1s", "maxInterval": "10s"}}
    # Envoy draws each pause evenly between nothing and the interval: the timeout ends the wait.
    plan = scene.planned(claimed)
    assert retry["numRetries"] * 10 / 2 >= 2 * plan.site.gateway.request_timeout_seconds
    assert plan.start.seconds <= plan.site.gateway.request_timeout_seconds


@pytest.mark.parametrize("name", cluster.EXAMPLES)
def test_the_gateway_stops_sending_before_the_pod_stops_accepting(name: str) -> None:
    """Every proxy drops a pod that goes within the preStop of the pod.

    The DNS server's watch takes a second. CoreDNS repeats a record of the cluster for five seconds
    (`ttl`, unless the Corefile sets another value). Then Envoy asks again.
    """
    example = cluster.example(name)
    example["spec"]["scaling"] = {"maxReplicas": 3}
    example["spec"]["gateway"] = {"enabled": True}
    world = scene.serving(example)
    refresh = duration.milliseconds(
        world.one("BackendTrafficPolicy")["spec"]["dns"]["dnsRefreshRate"]
    )
    hook = scene.container(world)["lifecycle"]["preStop"]
    assert 1 + 5 + refresh / 1000 < hook["sleep"]["seconds"]


@pytest.mark.decision(26)
def test_the_backend_only_ever_names_a_service_that_is_there() -> None:
    """1 -> 2 -> 1 replicas: objects are applied in random order, so each step must be safe."""
    world = scene.serving(scene.of(gateway={"enabled": True}, scaling={"maxReplicas": 1}))
    for maximum in (2, 1, 2):
        world.edit(scaling={"maxReplicas": maximum})
        while True:
            there, named = "model-service-headless" in world.objects, host(world)
            world.reconcile().settle()
            if host(world) == PODS_HOST:
                # The Service was there before any Backend named it, and is still there.
                assert there
                assert "model-service-headless" in world.objects
            if "model-service-headless" not in world.objects and there:
                assert named == CLUSTER_HOST
            if not world.writes:
                break
        assert host(world) == (PODS_HOST if maximum > 1 else CLUSTER_HOST)
        assert ("model-service-headless" in world.objects) is (maximum > 1)


def test_a_new_claim_starts_with_the_headless_service_at_once() -> None:
    world = scene.first(ROUTED)
    assert host(world) == PODS_HOST
    assert "model-service-headless" in world.objects


def test_another_cluster_domain() -> None:
    config = scene.site(network={"clusterDomain": "k8s.example.com"})
    assert host(scene.serving(ROUTED, config)) == "model-pods-18fb9fa0.llm.svc.k8s.example.com"


# --- canaries come and go


def backends(world: cluster.Cluster) -> set[str]:
    return {
        item["metadata"]["name"]
        for item in world.objects.values()
        if item["kind"] == "AIServiceBackend"
    }


def routed_to(world: cluster.Cluster) -> set[str]:
    return {backend["name"] for rule in rules(world) for backend in rule["backendRefs"]}


@pytest.mark.decision(24)
def test_index_named_canaries_stay_until_the_observed_route_forgets_them() -> None:
    """A route that names a missing backend fails as a whole."""
    claimed, config = cluster.example("xplane-qwen-coder"), cluster.environment("reference")
    world = recordings.taken_over(claimed, config)
    assert "xplane-qwen-coder-canary-0" in routed_to(world)
    world.reconcile()
    assert "xplane-qwen-coder-canary-0" in backends(world)
    assert "xplane-qwen-coder-canary-0" not in routed_to(world)
    world.settle().reconcile()
    assert "xplane-qwen-coder-canary-0" not in backends(world)


def test_a_canary_that_leaves_is_kept_until_the_observed_route_forgets_it() -> None:
    world = scene.serving(CANARIED)
    world.edit(gateway={"enabled": True, "canaries": CANARIES["canaries"][:1]})
    before = routed_to(world)
    world.reconcile()
    # The old route may still be read while the new one is written.
    assert before <= backends(world)
    world.settle().converge()
    assert backends(world) == {"model", "model.canary-sql"}


def test_what_comes_moves_nothing_that_is_there() -> None:
    """The AI gateway's processor knows a backend by its place in the route.

    For up to a minute it answers 500 for a place that it has not read yet.
    """
    world = scene.serving(
        scene.of(
            gateway={"enabled": True, "canaries": CANARIES["canaries"][:1]},
            loraAdapters=scene.ADAPTERS,
        )
    )
    before = documents.copied(rules(world))
    adapters = [{"name": "abc", "repository": "org/abc"}, *scene.ADAPTERS[::-1]]
    world.edit(gateway=CANARIES, loraAdapters=adapters).converge()
    there = len(before[0]["backendRefs"])
    assert there == 2
    assert rules(world)[0]["backendRefs"][1:] == [
        *before[0]["backendRefs"][1:],
        {"name": "model.canary-law", "modelNameOverride": "law", "weight": 25},
    ]
    assert [*map(model_of, rules(world))] == [*map(model_of, before), "abc"]


def test_the_served_models_say_the_share() -> None:
    models = scene.serving(CANARIED).claim["status"]["servedModels"]
    assert models == [
        {"name": "model", "kind": "base"},
        {"name": "sql", "kind": "adapter", "canaryWeightPercent": 10},
        {"name": "law", "kind": "adapter", "canaryWeightPercent": 25},
    ]


# --- the picker


@pytest.mark.pitfall("the InferencePool picks the preload pod")
def test_the_pool_selects_the_serving_pods_only() -> None:
    first = scene.first(scene.of(**PICKED))
    preload = first.one("Job")["spec"]["template"]["metadata"]["labels"]
    first.converge()
    release = first.one("HelmRelease")["spec"]
    pool = release["values"]["inferencePool"]
    selector = pool["modelServers"]["matchLabels"]
    assert selector.items() <= first.template["metadata"]["labels"].items()
    assert not selector.items() <= preload.items()
    assert pool["targetPorts"] == [{"number": 8000}]
    assert pool["apiVersion"] == "inference.networking.k8s.io/v1"


@pytest.mark.pitfall("a pool and canaries exclude each other")
@pytest.mark.pitfall("a pool in another namespace is ignored")
def test_pool_and_picker_take_the_releases_name() -> None:
    world = scene.serving(scene.of(loraAdapters=scene.ADAPTERS, **PICKED))
    release = world.one("HelmRelease")
    assert release["metadata"]["name"] == "model-epp"
    assert release["spec"]["releaseName"] == "model"
    assert release["spec"]["chartRef"] == {
        "kind": "OCIRepository",
        "name": "inferencepool",
        "namespace": "llm",
    }
    pool = {"group": "inference.networking.k8s.io", "kind": "InferencePool", "name": "model"}
    # The schema allows exactly one pool in a rule, and no other backend beside the pool.
    assert rules(world)[0]["backendRefs"] == [pool]


def test_one_match_alone_names_the_pool() -> None:
    """The AI gateway asks the picker once for each, and the picker draws a canary each time."""
    world = scene.serving(scene.of(loraAdapters=scene.ADAPTERS, **PICKED))
    served, listed = rules(world)
    (match,) = served["matches"]
    (header,) = match["headers"]
    assert header["type"] == "RegularExpression"
    names = ["model", *(adapter["name"] for adapter in scene.ADAPTERS)]
    for name in names:
        assert re.fullmatch(header["value"], name)
        assert not re.fullmatch(header["value"], f"{name}x")
    # `/v1/models` has the names of exact matches; nobody sends the second header of these.
    assert [one["headers"][0]["value"] for one in listed["matches"]] == names
    for one in listed["matches"]:
        assert [header["type"] for header in one["headers"]] == ["Exact", "Exact"]
    alone = rules(scene.serving(scene.of(**PICKED)))
    assert [rule["matches"][0]["headers"][0]["type"] for rule in alone] == ["Exact"]


@pytest.mark.pitfall("401 on the picker's metrics")
@pytest.mark.pitfall("the picker stays Pending")
def test_the_picker_fits_on_a_small_node() -> None:
    """With the chart's own requests, 4 CPU and 8 GiB, the pod would stay Pending."""
    values = scene.serving(scene.of(**PICKED)).one("HelmRelease")["spec"]["values"]
    picker = values["inferenceExtension"]
    assert picker["resources"]["requests"] == {"cpu": "250m", "memory": "512Mi"}
    assert picker["replicas"] == 1
    # Authentication is off, because the policy admits the scraper alone.
    assert picker["monitoring"]["prometheus"]["auth"]["enabled"] is False
    assert values["provider"] == {"name": "none"}


@pytest.mark.pitfall("the picker is rejected by Pod Security")
def test_the_pickers_pod_is_made_restricted() -> None:
    """The chart sets no security context: its pod is patched after rendering."""
    release = scene.serving(scene.of(**PICKED)).one("HelmRelease")["spec"]
    (renderer,) = release["postRenderers"]
    (patch,) = renderer["kustomize"]["patches"]
    assert patch["target"] == {"kind": "Deployment", "name": "model-epp"}
    pod: Any = {"containers": [{"name": "epp", "image": "epp:v1.5.0"}]}
    assert schemas.pod_security(pod)
    for operation in json.loads(patch["patch"]):
        assert operation["op"] == "add"
        *path, last = operation["path"].removeprefix("/spec/template/spec/").split("/")
        at: Any = pod
        for step in path:
            at = at[int(step)] if step.isdigit() else at[step]
        at[last] = operation["value"]
    assert schemas.pod_security(pod) == []
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


def test_the_pickers_image_is_the_sites() -> None:
    config = scene.site(endpointPicker={"imageRegistry": "mirror:5000", "imageTag": "v9"})
    values = scene.serving(scene.of(**PICKED), config).one("HelmRelease")["spec"]["values"]
    assert values["inferenceExtension"]["image"] == {
        "registry": "mirror:5000",
        "repository": "gateway-api-inference-extension/epp",
        "tag": "v9",
    }
