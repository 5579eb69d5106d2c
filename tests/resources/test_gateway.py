"""The AI gateway's objects, and the order in which they come and go."""

from typing import Any

import pytest

from function import duration
from tests import cluster, schemas
from tests.resources import routed, scene

# --- the route


def test_the_base_rule_shares_out_a_hundred() -> None:
    base = routed.rules(scene.serving(routed.CANARIED))[0]
    assert routed.model_of(base) == "model"
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
    for rule in routed.rules(world):
        assert sum(backend["weight"] for backend in rule["backendRefs"]) == 100
    assert all(backend["weight"] >= 1 for backend in routed.rules(world)[0]["backendRefs"])


def test_an_adapters_own_name_always_reaches_it() -> None:
    """The engine serves an adapter under its own name, whatever the canaries' weights."""
    backends = {
        routed.model_of(rule): rule["backendRefs"]
        for rule in routed.rules(scene.serving(routed.CANARIED))
    }
    assert backends["sql"] == backends["law"] == [{"name": "model", "weight": 100}]
    assert list(backends) == ["model", "sql", "law"]


@pytest.mark.pitfall("the order of canaries moves traffic")
def test_the_order_of_canaries_moves_no_traffic() -> None:
    turned = scene.of(
        gateway={**routed.CANARIES, "canaries": routed.CANARIES["canaries"][::-1]},
        loraAdapters=scene.ADAPTERS,
    )
    before, after = scene.serving(routed.CANARIED), scene.serving(turned)
    assert routed.rules(before) == routed.rules(after)
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
    world = scene.serving(routed.CANARIED, scene.site(gateway=settings))
    for rule in routed.rules(world):
        assert rule["timeouts"] == {"request": request_timeout}
    http = world.one("BackendTrafficPolicy")["spec"]["timeout"]["http"]
    assert http.get("streamIdleTimeout") == idle
    assert http.get("maxStreamDuration") == longest


def test_behind_a_pool_connections_and_streams_end_likewise() -> None:
    """A picker chooses pods, and the connections to them are the gateway's as before."""
    world = scene.serving(scene.of(**routed.PICKED))
    for rule in routed.rules(world):
        assert rule["timeouts"] == {"request": "0s"}
    spec = world.one("BackendTrafficPolicy")["spec"]
    alone = scene.serving(routed.CANARIED).one("BackendTrafficPolicy")["spec"]
    assert spec["targetRefs"] == alone["targetRefs"]
    assert spec["timeout"] == {"http": alone["timeout"]["http"]}
    assert set(spec) == {"targetRefs", "timeout"}, "the picker has chosen: nothing to spread"


def test_the_most_rules_still_fit() -> None:
    adapters = [{"name": f"a{n}", "repository": "org/a", "revision": str(n)} for n in range(8)]
    world = scene.serving(scene.of(gateway={"enabled": True}, loraAdapters=adapters))
    assert len(routed.rules(world)) == 9
    assert schemas.validate(world.owned["model-gateway-airoute"]) == []


@pytest.mark.pitfall("route objects use the deprecated v1alpha1")
@pytest.mark.parametrize("version", ["v1beta1", "v1alpha1"])
def test_the_version_is_the_sites(version: str) -> None:
    group = f"aigateway.envoyproxy.io/{version}"
    world = scene.serving(routed.CANARIED, scene.site(gateway={"apiVersion": group}))
    objects = [i for i in world.objects.values() if i["apiVersion"].startswith("aigateway.")]
    assert {item["apiVersion"] for item in objects} == {group}
    assert {item["kind"] for item in objects} == {"AIGatewayRoute", "AIServiceBackend"}


@pytest.mark.pitfall("route objects use the deprecated v1alpha1")
def test_the_default_version_is_not_the_deprecated_one() -> None:
    assert scene.serving(routed.ROUTED).one("AIGatewayRoute")["apiVersion"].endswith("/v1beta1")


def test_route_and_backends_hang_together() -> None:
    world = scene.serving(routed.CANARIED)
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
    used = {backend["name"] for rule in routed.rules(world) for backend in rule["backendRefs"]}
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
    canary = routed.rules(world)[0]["backendRefs"][1]
    assert canary["modelNameOverride"] == "Llama3.1_SQL"
    assert routed.model_of(routed.rules(world)[1]) == "Llama3.1_SQL"
    assert [m["name"] for m in world.claim["status"]["servedModels"]] == ["model", "Llama3.1_SQL"]
    for key, item in world.owned.items():
        if item["kind"] == "AIServiceBackend":
            assert schemas.validate(item) == [], key


# --- when it is published


@pytest.mark.pitfall("503 and 404 on new claims: the route came before the pods")
@pytest.mark.decision(19)
def test_the_route_is_not_published_before_it_serves_and_never_withdrawn() -> None:
    world = scene.first(routed.ROUTED)
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
    world = scene.serving(routed.CANARIED)
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
    world = scene.serving(routed.ROUTED, scene.site(**settings))
    assert world.claim["status"]["modelEndpoint"] == endpoint


def test_without_a_gateway_there_is_no_endpoint() -> None:
    assert "modelEndpoint" not in scene.serving().claim["status"]


# --- how traffic spreads


@pytest.mark.decision(26)
@pytest.mark.parametrize(("maximum", "spread"), [(1, False), (2, True)])
def test_traffic_spreads_when_there_may_be_two(maximum: int, spread: bool) -> None:
    """The name of a ClusterIP Service gives Envoy one endpoint only."""
    world = scene.serving(scene.of(gateway={"enabled": True}, scaling={"maxReplicas": maximum}))
    assert routed.host(world) == (routed.PODS_HOST if spread else routed.CLUSTER_HOST)
    # Also for one pod: the engine must not be the side that ends idle connections.
    assert world.one("BackendTrafficPolicy")["spec"]["timeout"]
    assert ("model-service-headless" in world.objects) is spread


@pytest.mark.decision(26)
def test_the_traffic_policy() -> None:
    world = scene.serving(routed.ROUTED)
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


def test_a_request_has_a_try_left_when_its_own_failures_put_a_dead_pod_aside() -> None:
    """Least-request prefers a dead pod, which has no requests: Envoy may choose it each time."""
    world = scene.serving(routed.ROUTED)
    retries = world.one("BackendTrafficPolicy")["spec"]["retry"]["numRetries"]
    assert retries >= health(world)["passive"]["consecutiveLocalOriginFailures"]


def test_a_pod_that_dies_or_hangs_is_left() -> None:
    """`e2e/test_gateway.py` has what Envoy makes of it."""
    checks = health(scene.serving(routed.ROUTED))
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
    assert routed.host(world) == routed.CLUSTER_HOST
    world.one("Deployment")["spec"]["replicas"] = 1
    world.settle("Deployment").reconcile()
    assert routed.host(world) == routed.CLUSTER_HOST, "a replica that starts refuses too"
    available = {"availableReplicas": 1, "readyReplicas": 1}
    world.one("Deployment")["status"] |= available
    world.reconcile()
    assert world.condition("EngineReady") == ("True", "Serving")
    assert routed.host(world) == routed.CLUSTER_HOST, "DNS may not have the replica yet"
    world.reconcile()
    assert routed.host(world) == routed.PODS_HOST


@pytest.mark.parametrize("maximum", [1, 2])
def test_a_suspended_sleeper_answers_at_once(maximum: int) -> None:
    """Nothing wakes a suspended claim: a request would wait in vain for a replica."""
    scaling = {"minReplicas": 0, "maxReplicas": maximum}
    world = scene.serving(scene.of(gateway={"enabled": True}, scaling=scaling))
    world.edit(suspend=True)
    world.converge()
    assert world.phase == "Suspended"
    assert routed.host(world) == (routed.PODS_HOST if maximum > 1 else routed.CLUSTER_HOST)
    assert world.one("BackendTrafficPolicy")["spec"]["retry"]["numRetries"] == 3
    assert world.condition("RouteReady") == ("True", "Published")
    world.edit(suspend=False).reconcile()
    assert routed.host(world) == routed.CLUSTER_HOST
    assert world.one("BackendTrafficPolicy")["spec"]["retry"]["numRetries"] > 100


def test_a_surge_is_two_pods_too() -> None:
    """Behind one address Envoy's open connections stay with the pod that goes."""
    spare = scene.site(gpu={"classes": {"l4": {"spare": True}}})
    claimed = scene.of(gateway={"enabled": True}, scaling={"maxReplicas": 1})
    assert routed.host(scene.serving(claimed)) == routed.CLUSTER_HOST
    world = scene.serving(claimed, spare)
    assert world.one("Deployment")["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 1
    assert routed.host(world) == routed.PODS_HOST
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
            there, named = "model-service-headless" in world.objects, routed.host(world)
            world.reconcile().settle()
            if routed.host(world) == routed.PODS_HOST:
                # The Service was there before any Backend named it, and is still there.
                assert there
                assert "model-service-headless" in world.objects
            if "model-service-headless" not in world.objects and there:
                assert named == routed.CLUSTER_HOST
            if not world.writes:
                break
        assert routed.host(world) == (routed.PODS_HOST if maximum > 1 else routed.CLUSTER_HOST)
        assert ("model-service-headless" in world.objects) is (maximum > 1)


def test_a_new_claim_starts_with_the_headless_service_at_once() -> None:
    world = scene.first(routed.ROUTED)
    assert routed.host(world) == routed.PODS_HOST
    assert "model-service-headless" in world.objects


def test_another_cluster_domain() -> None:
    config = scene.site(network={"clusterDomain": "k8s.example.com"})
    assert (
        routed.host(scene.serving(routed.ROUTED, config))
        == "model-pods-18fb9fa0.llm.svc.k8s.example.com"
    )
