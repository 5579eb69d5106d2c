"""Callers with tokens: a port of their own, whose tokens count, and who is whom."""

from typing import Any

import pytest

from tests import cluster, controllers
from tests.fleet import scene
from tests.resources import scene as resources

CODER = scene.member("coder")
SSO: Any = {
    "name": "sso",
    "issuer": "https://sso.example.com/ai",
    "audiences": ["llm"],
    "jwksURI": "https://sso.example.com/keys",
    "callerClaim": "azp",
}


def tokened(name: str, issuer: str = "sso", **more: Any) -> cluster.Object:
    return {"name": name, "jwt": {"issuer": issuer}, **more}


def resting(*callers: cluster.Object, **spec: Any) -> cluster.Cluster:
    world = scene.world(scene.of(**{"issuers": [SSO], **spec}, callers=list(callers)), CODER)
    world.converge()
    assert world.fatal is None, world.fatal
    return world


def policy(world: cluster.Cluster) -> cluster.Object:
    return world.one("SecurityPolicy", "door-tokens")


def listeners(world: cluster.Cluster) -> dict[str, int]:
    return {one["name"]: one["port"] for one in world.one("Gateway")["spec"]["listeners"]}


@pytest.mark.decision(45)
def test_tokens_have_a_port_of_their_own() -> None:
    """One policy with both would ask for a key and for a token."""
    world = resting(scene.caller("nightly"), tokened("chat"))
    assert listeners(world) == {"http": 80, "tokens": 8080}
    (target,) = policy(world)["spec"]["targetRefs"]
    assert target["sectionName"] == "tokens"
    assert "apiKeyAuth" not in policy(world)["spec"]
    keyed = world.one("SecurityPolicy", "door-security")["spec"]
    assert "jwt" not in keyed
    assert [rule["name"] for rule in keyed["authorization"]["rules"]] == ["caller-nightly"]
    assert world.claim["status"]["callers"] == 2
    secure = resting(tokened("chat"), tls={"secretName": "t"}, hostname="llm.example.com")
    assert listeners(secure) == {"https": 443, "tokens": 8443}
    assert secure.claim["status"]["tokenEndpoint"] == "https://llm.example.com:8443/v1"
    assert listeners(scene.resting(scene.of(callers=[scene.caller("a")]), CODER)) == {"http": 80}


def test_the_policy_of_keys_covers_the_listener_until_its_own_is_there() -> None:
    world = resting(tokened("chat"))
    (target,) = world.one("SecurityPolicy", "door-security")["spec"]["targetRefs"]
    assert "sectionName" not in target


def test_a_token_must_be_of_the_callers_issuer_with_its_name_and_what_else_is_asked() -> None:
    other = {**SSO, "name": "other", "issuer": "https://other.example.com"}
    groups = {"name": "groups", "values": ["dev"], "type": "StringArray"}
    editor = {"name": "editor", "jwt": {"issuer": "other", "claims": [groups]}}
    world = resting(tokened("chat"), editor, issuers=[SSO, other])
    rules = {r["name"]: r["principal"] for r in policy(world)["spec"]["authorization"]["rules"]}
    assert rules["caller-chat"]["jwt"] == {
        "provider": "sso",
        "claims": [{"name": "azp", "valueType": "String", "values": ["chat"]}],
    }
    assert rules["caller-editor"]["jwt"]["provider"] == "other"
    assert rules["caller-editor"]["jwt"]["claims"][1] == {
        "name": "groups",
        "valueType": "StringArray",
        "values": ["dev"],
    }
    for rule in rules.values():
        assert rule["headers"][0]["name"] == "x-inference-caller"


def test_the_callers_name_goes_where_limits_and_metrics_look() -> None:
    world = resting(tokened("chat", limits=[{"tokens": 9, "per": "day"}]))
    (provider,) = policy(world)["spec"]["jwt"]["providers"]
    (header,) = provider["claimToHeaders"]
    assert header == {"header": "x-inference-caller", "claim": "azp"}
    (rule,) = world.one("BackendTrafficPolicy")["spec"]["rateLimit"]["global"]["rules"]
    assert rule["clientSelectors"][0]["headers"][-1]["value"] == "chat"
    assert "params" not in provider["extractFrom"]


def test_keys_of_an_issuer_are_fetched_or_lie_in_the_namespace() -> None:
    (provider,) = policy(resting(tokened("chat")))["spec"]["jwt"]["providers"]
    assert provider["remoteJWKS"]["uri"] == "https://sso.example.com/keys"
    there = {key: value for key, value in SSO.items() if key != "jwksURI"}
    there["jwksConfigMap"] = {"name": "keys"}
    (provider,) = policy(resting(tokened("chat"), issuers=[there]))["spec"]["jwt"]["providers"]
    assert provider["localJWKS"]["valueRef"]["name"] == "keys"
    assert "remoteJWKS" not in provider


def test_hosts_of_keys_are_those_that_the_settings_allow() -> None:
    world = scene.world(scene.of(issuers=[SSO], callers=[tokened("chat")]), CODER)
    site = world.environments[0]["data"]["inferenceService"]
    site.setdefault("allowed", {})["tokenHosts"] = {"*": ["*.internal"]}
    world.reconcile()
    assert "spec.issuers[0].jwksURI" in str(world.fatal)


INSIDE = (
    "kubernetes.default.svc",
    "Kubernetes.Default.Svc",
    "kubernetes.default",
    "localhost",
    "metadata.google.internal",
    "a.b.svc.cluster.local",
    "10-0-0-1.llm.pod",
    "10.0.0.1",
    "169.254.169.254",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.0x1",
    "etcd-0.etcd.kube-system",
    "172-18-0-2.kubernetes.default",
    "ip-10-0-0-1.eu-west-1.compute",
    "ip-10-0-0-1.ec2.amazonaws.com",
    "10.0.0.1.nip.io",
    "7f000001.nip.io",
    "printer.home.arpa",
)


@pytest.mark.parametrize("host", INSIDE)
@pytest.mark.parametrize("everywhere", ["*", "**"])
def test_every_host_is_none_inside_of_the_cluster(host: str, everywhere: str) -> None:
    """The proxies reach what authors do not."""

    def fatal(*patterns: str) -> str:
        given = {"*": list(patterns)}
        provider = scene.provider("p", "m", host=host.lower())
        issuer = SSO | {"jwksURI": f"https://{host}/keys"}
        door = scene.of(issuers=[issuer], providers=[provider], callers=[tokened("chat")])
        settings = {"allowed": {"tokenHosts": given, "providerHosts": given}}
        return scene.world(door, CODER, settings=settings).reconcile().fatal or ""

    words = fatal(everywhere)
    assert "spec.issuers[0].jwksURI: " in words
    assert "spec.providers[0].host: " in words
    assert "the settings do not name it" in words
    assert fatal(everywhere, host.lower()) == ""


@pytest.mark.parametrize(
    "host", ["login.example.com:8443", "groq.com", "OpenRouter.ai", "xn--e1afmkfd.xn--p1ai"]
)
def test_every_host_is_each_of_the_world(host: str) -> None:
    assert refused(tokened("chat"), jwksURI=f"https://{host}/keys") == "None"


def refused(*callers: cluster.Object, **issuer: Any) -> str:
    """Returns the words with which a front door is refused."""
    world = scene.world(scene.of(issuers=[SSO | issuer], callers=list(callers)), CODER)
    return str(world.reconcile().fatal)


def test_a_port_that_is_none_is_refused() -> None:
    """The gateway would take the whole policy for invalid, and refuse every token."""
    words = "spec.issuers[0].jwksURI: must be an address with https"
    for wrong in ("sso.example.com:65536", "sso.example.com:0", "sso..com", "sso.example.com."):
        assert words in refused(tokened("chat"), jwksURI=f"https://{wrong}/keys")


def test_a_token_that_nobody_could_have_is_refused() -> None:
    caller = tokened("chat")
    caller["jwt"] = {**caller["jwt"], "claims": [{"name": "azp", "values": ["another"]}]}
    assert "spec.callers[0].jwt.claims[0].name: 'azp' has the caller's name" in refused(caller)


OWN = "these gateway listeners: [llm/llm/tokens]"


@pytest.mark.parametrize(
    ("where", "words", "expected"),
    [
        ("door-security", OWN, ("True", "Enforced")),
        ("door-security", f"{OWN} and these routes: [llm/coder]", ("False", "Overridden")),
        ("door-security", "these gateway listeners: [llm/llm/http]", ("False", "Overridden")),
        ("door-tokens", "these routes: [llm/coder]", ("False", "Overridden")),
    ],
)
def test_its_own_policy_in_place_of_the_other_is_no_stranger(
    where: str, words: str, expected: tuple[str, str]
) -> None:
    world = resting(tokened("chat"))
    message = f"This policy is being overridden by other securityPolicies for {words}"
    (ancestor,) = world.one("SecurityPolicy", where)["status"]["ancestors"]
    ancestor["conditions"].append(controllers.condition("Overridden", message=message))
    world.reconcile()
    assert world.condition("CallersReady") == expected


def test_a_policy_of_tokens_that_is_refused_is_told() -> None:
    world = resting(tokened("chat"))
    no = controllers.condition("Accepted", "False", "Invalid", "no ConfigMap keys")
    policy(world)["status"] = {"ancestors": [{"conditions": [no]}]}
    world.reconcile()
    assert world.condition("CallersReady") == ("False", "Refused")
    assert "no ConfigMap keys" in world.message("CallersReady")


def test_a_provider_gets_no_token_of_a_caller() -> None:
    outside = [scene.provider("a", "m"), scene.provider("b", "n", api="Anthropic")]
    world = resting(tokened("chat"), providers=outside)
    removed = {
        key: set(item["spec"].get("headerMutation", {}).get("remove", []))
        for key, item in world.objects.items()
        if item["kind"] == "AIServiceBackend"
    }
    assert removed == {
        "llm-door-provider-aiservicebackend-a": {"x-inference-caller", "x-api-key"},
        "llm-door-provider-aiservicebackend-b": {"x-inference-caller", "authorization"},
    }


def test_the_semantic_router_gets_no_token_of_a_caller() -> None:
    """It asks with a key of its own, and a token beside that would be asked for too."""
    model = {"name": "mom", "default": {"model": "coder"}}
    asked = {"secretRef": {"name": "router-key"}, "models": [model]}
    world = resting(tokened("chat"), semanticRouter=asked)
    removed = world.one("AIServiceBackend")["spec"]["headerMutation"]["remove"]
    assert removed == ["authorization", "x-api-key"]


def test_engines_behind_a_front_door_get_no_token() -> None:
    """Envoy Gateway passes tokens on, and whoever owns the engine would have them."""
    behind = cluster.load("examples/front-door/environmentconfig.yaml")
    claim = resources.of(gateway={"enabled": True})
    for environments, removed in (((), None), ((behind,), ["authorization", "x-api-key"])):
        world = cluster.Cluster(claim, cluster.environment("reference"), *environments)
        world.converge()
        spec = world.one("AIServiceBackend")["spec"]
        assert spec.get("headerMutation", {}).get("remove") == removed
