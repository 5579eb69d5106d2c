"""The life of a front door: what comes first, what stays, and what claims and callers change."""

import pytest

from tests import cluster, controllers, schemas
from tests.fleet import scene

CODER = scene.member("coder", "sql", labels={"purpose": "code"})
CHAT = scene.member("chat-8b")


@pytest.mark.decision(43)
def test_the_gateway_comes_after_what_protects_it() -> None:
    world = scene.world(scene.of(callers=[scene.caller("a")]), CODER).reconcile()
    assert world.kinds_there() == {"ClientTrafficPolicy", "EnvoyProxy", "SecurityPolicy"}
    assert world.condition("GatewayReady") == ("False", "Withheld")
    assert world.phase == "Pending"
    world.reconcile()
    assert "Gateway" in world.kinds_there()
    assert world.reconcile().phase == "Starting"
    world.converge()
    assert world.phase == "Serving"
    assert all(world.ready.values())


@pytest.mark.decision(43)
def test_a_gateway_that_is_there_stays_when_a_policy_is_gone() -> None:
    world = scene.resting(scene.of(callers=[scene.caller("a")]), CODER)
    world.delete("llm-door-security")
    world.reconcile()
    assert {"Gateway", "SecurityPolicy"} <= world.kinds_there()


def test_a_door_at_rest_is_quiet() -> None:
    world = scene.resting(scene.of(callers=[scene.caller("a"), scene.fetched("b")]), CODER, CHAT)
    for _ in range(3):
        assert world.reconcile().writes == []
        assert world.events == []
    for key in world.objects:
        assert schemas.validate(world.desired(key)) == [], key


def test_the_order_of_claims_and_callers_means_nothing() -> None:
    world = scene.resting(scene.of(callers=[scene.caller("a"), scene.caller("b")]), CODER, CHAT)
    world.strangers = [CHAT, CODER]
    world.edit(callers=[scene.caller("b"), scene.caller("a")]).reconcile()
    assert world.writes in ([], ["status"])  # observedGeneration


def test_without_callers_nobody_gets_in() -> None:
    world = scene.resting(scene.of(), CODER)
    policy = world.one("SecurityPolicy")["spec"]
    assert policy["authorization"] == {"defaultAction": "Deny"}
    # The list of models is answered before rules are judged: a key is asked for, and none will do.
    assert policy["apiKeyAuth"]["credentialRefs"] == []
    assert world.condition("CallersReady") == ("False", "NoCallers")


@pytest.mark.decision(42)
def test_a_caller_gets_what_its_rule_names_and_nothing_else() -> None:
    callers = [
        scene.caller("every"),
        scene.caller("named", names=["sql", "chat-8b", "nobody"]),
        scene.caller("labelled", matchLabels={"purpose": "code"}),
        {**scene.caller("nothing"), "models": {}},
    ]
    world = scene.resting(scene.of(callers=callers), CODER, CHAT)
    assert scene.rules(world) == {
        "every": None,
        "labelled": ["coder", "sql"],
        "named": ["chat-8b", "sql"],
    }
    assert world.condition("CallersReady") == ("True", "UnknownModel")
    assert "nobody (named)" in world.message("CallersReady")


def test_with_a_selector_every_model_is_every_selected_one() -> None:
    door = scene.of(selector={"matchLabels": {"purpose": "code"}}, callers=[scene.caller("a")])
    world = scene.resting(door, CODER, CHAT)
    assert scene.rules(world) == {"a": ["coder", "sql"]}
    assert world.claim["status"]["modelsSummary"] == "coder,sql"
    assert world.claim["status"]["claims"] == "1/1"


@pytest.mark.decision(37)
def test_a_claim_that_comes_or_goes_changes_what_is_listed_and_allowed() -> None:
    callers = [scene.caller("a", matchLabels={"purpose": "code"})]
    world = scene.resting(scene.of(callers=callers), CHAT)
    assert scene.rules(world) == {}
    world.strangers = [CHAT, CODER]
    world.reconcile()
    assert set(world.writes) == {"status", "update llm-door-security"}
    assert scene.rules(world) == {"a": ["coder", "sql"]}
    world.strangers = [CODER]
    world.reconcile()
    assert world.writes == ["status"]
    world.strangers = []
    world.reconcile()
    assert scene.rules(world) == {}
    assert world.phase == "Empty"
    assert all(world.ready.values()), "claims are not what the door waits for"
    assert world.response.meta.ttl.seconds == 60


@pytest.mark.decision(37)
@pytest.mark.parametrize(
    "broken",
    [
        {"metadata": {"name": "x"}},
        {"metadata": {"name": "x", "labels": 3}, "spec": 7, "status": "gone"},
        {**CHAT, "status": {"latches": {"routePublished": True}, "servedModels": [3, {"name": 1}]}},
        {**CHAT, "status": {"latches": 1, "servedModels": "x"}},
        {**CHAT, "metadata": {**CHAT["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}},
        {**CHAT, "spec": {"gateway": {"enabled": False}}},
    ],
)
def test_a_broken_claim_takes_nothing_else_with_it(broken: cluster.Object) -> None:
    typed = {"apiVersion": CODER["apiVersion"], "kind": CODER["kind"], **broken}
    if not isinstance(typed["metadata"].get("labels", {}), dict):
        typed["metadata"].pop("labels")
    world = scene.resting(scene.of(callers=[scene.caller("a", names=["coder"])]), CODER, typed)
    assert scene.rules(world) == {"a": ["coder"]}
    assert world.claim["status"]["modelsSummary"] == "coder,sql"


def test_a_claim_that_is_not_published_is_named() -> None:
    waiting = scene.member("slow", published=False)
    world = scene.resting(scene.of(callers=[scene.caller("a")]), CODER, waiting)
    assert world.condition("ModelsReady") == ("True", "Partly")
    assert "slow" in world.message("ModelsReady")
    assert world.claim["status"]["claims"] == "1/2"


# --- keys


def test_the_policy_names_a_key_once_it_is_fetched() -> None:
    world = scene.world(scene.of(callers=[scene.caller("a"), scene.fetched("b")]), CODER)
    world.settle("ExternalSecret").reconcile()
    world.settle("ExternalSecret").reconcile()
    assert world.condition("CallersReady") == ("False", "KeyPending")
    assert scene.rules(world) == {"a": None}
    assert world.claim["status"]["callers"] == 1
    world.converge()
    names = [r["name"] for r in world.one("SecurityPolicy")["spec"]["apiKeyAuth"]["credentialRefs"]]
    assert names == ["a-key", "llm.caller-b"]
    assert scene.rules(world) == {"a": None, "b": None}
    (data,) = world.one("ExternalSecret")["spec"]["data"]
    assert data["secretKey"] == "b", "Envoy Gateway names a caller by the key in its Secret"


def test_a_store_that_fails_later_takes_no_key_away() -> None:
    world = scene.resting(scene.of(callers=[scene.fetched("b")]), CODER)
    world.one("ExternalSecret")["status"] = {
        "conditions": [controllers.condition("Ready", "False")]
    }
    world.reconcile()
    assert scene.rules(world) == {"b": None}


def test_the_secret_of_a_caller_who_goes_stays_until_the_policy_has_left_it() -> None:
    world = scene.resting(scene.of(callers=[scene.caller("a"), scene.fetched("b")]), CODER)
    world.edit(callers=[scene.caller("a")]).reconcile()
    assert scene.rules(world) == {"a": None}
    assert "ExternalSecret" in world.kinds_there()
    world.reconcile()
    assert "ExternalSecret" not in world.kinds_there()


def test_a_policy_that_the_gateway_refuses_is_told() -> None:
    world = scene.resting(scene.of(callers=[scene.caller("a")]), CODER)
    no = controllers.condition("Accepted", "False", "Invalid", "secret llm/a-key does not exist")
    world.one("SecurityPolicy")["status"] = {"ancestors": [{"conditions": [no]}]}
    world.reconcile()
    assert world.condition("CallersReady") == ("False", "Refused")
    assert "a-key does not exist" in world.message("CallersReady")
    assert world.phase == "Degraded"
    assert "Gateway" in world.kinds_there()


@pytest.mark.decision(42)
def test_clients_cannot_say_who_they_are_or_which_model_is_judged() -> None:
    world = scene.resting(scene.of(callers=[scene.caller("a")]), CODER)
    removed = world.one("ClientTrafficPolicy")["spec"]["headers"]["earlyRequestHeaders"]["remove"]
    policy = world.one("SecurityPolicy")["spec"]
    assert policy["apiKeyAuth"]["forwardClientIDHeader"] in removed
    assert "x-ai-eg-model" in removed
    assert policy["apiKeyAuth"]["sanitize"] is True


@pytest.mark.parametrize(
    "header", ["x-inference-service-listing", "x-gateway-destination-endpoint"]
)
def test_clients_cannot_go_around_the_picker(header: str) -> None:
    world = scene.resting(scene.of(callers=[scene.caller("a")]), CODER)
    headers = world.one("ClientTrafficPolicy")["spec"]["headers"]
    assert header in headers["earlyRequestHeaders"]["remove"]


@pytest.mark.decision(41)
@pytest.mark.parametrize(
    ("kind", "condition"),
    [
        ("SecurityPolicy", "Overridden"),
        ("SecurityPolicy", "Merged"),
        ("ClientTrafficPolicy", "Overridden"),
    ],
)
def test_a_policy_in_place_of_the_doors_own_is_told(kind: str, condition: str) -> None:
    world = scene.resting(scene.of(callers=[scene.caller("a")]), CODER)
    words = "This policy is being overridden by other policies for these routes: [llm/coder]"
    ancestor = world.one(kind)["status"]["ancestors"][0]
    ancestor["conditions"].append(controllers.condition(condition, "True", condition, words))
    world.reconcile()
    assert world.condition("CallersReady") == ("False", "Overridden")
    assert world.message("CallersReady") == f"{kind}: {words}"
    assert words in world.claim["status"]["waitingFor"]


# --- where claims are published


def test_a_door_that_the_settings_do_not_name_lists_no_model() -> None:
    world = scene.world(scene.of(), CODER, settings={"frontDoor": {}})
    world.converge()
    assert world.condition("ModelsReady") == ("False", "NotTheParent")
    assert "envoy-ai-gateway-system/ai-gateway" in world.message("ModelsReady")
    assert world.claim["status"]["models"] == []
    assert world.condition("GatewayReady") == ("True", "Programmed")


@pytest.mark.decision(41)
def test_on_the_platforms_gateway_nothing_is_composed() -> None:
    shared = {"name": "ai-gateway", "namespace": "envoy-ai-gateway-system"}
    world = scene.world(scene.of(gateway=shared), CODER, settings={"frontDoor": {}})
    world.converge()
    assert world.objects == {}
    assert world.claim["status"]["modelsSummary"] == "coder,sql"
    assert world.claim["status"]["endpoint"] == "https://llm.priv.cloud.ogenki.io/v1"
    assert world.phase == "Serving"
    refused = scene.world(scene.of(gateway=shared, callers=[scene.caller("a")])).reconcile()
    assert refused.fatal is not None
    assert "gateway excludes callers" in refused.fatal


@pytest.mark.decision(40)
def test_claims_behind_a_door_hang_their_routes_and_policies_at_it() -> None:
    claim = cluster.load("examples/features/gateway.yaml")
    world = cluster.Cluster(claim, cluster.environment("reference"), scene.SITE)
    world.converge()
    (parent,) = world.one("AIGatewayRoute")["spec"]["parentRefs"]
    assert (parent["namespace"], parent["name"]) == ("llm", "llm")
    assert "modelEndpoint" not in world.claim["status"]
    policy = str(world.one("CiliumNetworkPolicy", "-cilium-netpol")["spec"])
    assert "owning-gateway-name': 'llm'" in policy
    assert "owning-gateway-name': 'ai-gateway'" not in policy


# --- refusals and losses


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"callers": [{"name": "a"}]}, "a caller has one of"),
        ({"callers": [scene.caller("a"), scene.caller("a")]}, "callers must have distinct names"),
        (
            {"callers": [{"name": "a", "externalSecret": {"remoteRef": "other/key"}}]},
            "spec.callers[0].externalSecret.remoteRef: the settings do not allow 'other/key'",
        ),
        (
            {"callers": [{"name": "a", "externalSecret": {"remoteRef": "llm/../x"}}]},
            "no segment '..'",
        ),
        (
            {"hostname": "www.priv.cloud.ogenki.io"},
            "spec.hostname: the settings keep 'www' for the platform (route.reservedHostnames)",
        ),
    ],
)
def test_what_is_refused_keeps_what_runs(spec: cluster.Object, words: str) -> None:
    world = scene.resting(scene.of(callers=[scene.caller("b")]), CODER)
    before = set(world.objects)
    world.claim["spec"] = spec
    world.reconcile()
    assert world.fatal is not None
    assert words in world.fatal
    assert set(world.objects) == before
    assert world.condition("Valid") == ("False", "Invalid")


@pytest.mark.parametrize(
    ("host", "allowed"),
    [("llm.example.com", True), ("a.llm.example.com", True), ("shop.example.com", False)],
)
def test_the_settings_say_which_hosts_a_door_may_have(host: str, allowed: bool) -> None:
    """A controller that makes records of listeners would give the name to the author."""
    hosts = {"llm": ["{namespace}.example.com", "*.llm.example.com"]}
    settings = {"allowed": {"gatewayHostnames": hosts}}
    world = scene.world(scene.of(hostname=host), CODER, settings=settings).reconcile()
    assert (world.fatal is None) is allowed
    if world.fatal is not None:
        words = "spec.hostname: the settings do not allow 'shop.example.com' in namespace llm"
        assert words in world.fatal
        assert "allowed.gatewayHostnames" in world.fatal


def test_the_settings_say_who_may_be_a_provider() -> None:
    """What callers write leaves the cluster, by the gateway's own way out."""
    models = [{"name": "outside"}]
    key = {"secretRef": {"name": "key"}}
    provider = {"name": "a", "api": "OpenAI", "models": models, "credentials": key}
    settings = {"allowed": {"providerHosts": {"llm": ["api.example.com"]}}}
    words = "spec.providers[0].host: the settings do not allow 'api.example.org' in namespace llm"
    for host, allowed in (("api.example.com", True), ("api.example.org", False)):
        door = scene.of(providers=[{**provider, "host": host}])
        fatal = scene.world(door, settings=settings).reconcile().fatal or ""
        assert (fatal == "") is allowed
        assert (words in fatal) is not allowed


def test_settings_that_lose_the_gateway_take_nothing_away() -> None:
    world = scene.resting(scene.of(callers=[scene.caller("a")]), CODER)
    world.environments[0]["data"]["inferenceService"]["providers"]["gateway"] = "none"
    world.reconcile()
    assert world.fatal is not None
    assert "providers.gateway" in world.fatal
    assert "Gateway" in world.kinds_there()


def test_a_cluster_without_the_kinds_is_told() -> None:
    world = scene.world(scene.of(callers=[scene.caller("a")]), CODER)
    group = "gateway.envoyproxy.io/v1alpha1"
    world.kinds = {
        "v1/Service": True,
        f"{group}/SecurityPolicy": False,
        f"{group}/EnvoyProxy": True,
        f"{group}/ClientTrafficPolicy": True,
        "gateway.networking.k8s.io/v1/Gateway": True,
    }
    world.reconcile().reconcile()
    assert "Gateway" not in world.kinds_there(), "a Gateway without its policy would be open"
    assert world.condition("CallersReady") == ("False", "KindMissing")


def test_somebody_elses_gateway_is_not_adopted() -> None:
    foreign = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "llm", "namespace": "llm"},
    }
    world = scene.world(scene.of(), CODER, foreign)
    world.kinds = {
        "v1/Service": True,
        "gateway.networking.k8s.io/v1/Gateway": True,
        "gateway.envoyproxy.io/v1alpha1/SecurityPolicy": True,
        "gateway.envoyproxy.io/v1alpha1/EnvoyProxy": True,
        "gateway.envoyproxy.io/v1alpha1/ClientTrafficPolicy": True,
    }
    world.reconcile().reconcile()
    assert world.fatal is not None
    assert "the namespace has a Gateway llm that is not this claim's" in world.fatal
