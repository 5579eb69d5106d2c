"""Models from outside: what a provider becomes, whose a name is, and who may use it."""

from typing import Any

import pytest

from tests import cluster
from tests.fleet import scene

CODER = scene.member("coder")
ROUTE, KEY = "AIGatewayRoute", "BackendSecurityPolicy"


def resting(*providers: cluster.Object, **spec: Any) -> cluster.Cluster:
    return scene.resting(scene.of(providers=list(providers), **spec), CODER)


def published(world: cluster.Cluster) -> dict[str, str]:
    """Returns the names that routes of providers match, with what providers call them."""
    return {
        rule["matches"][0]["headers"][0]["value"]: rule["backendRefs"][0].get(
            "modelNameOverride", ""
        )
        for item in world.objects.values()
        if item["kind"] == ROUTE
        for rule in item["spec"]["rules"]
    }


def test_a_provider_learns_who_asks_where_tokens_are_counted() -> None:
    """They are at the end of an answer, by the headers that the request has then."""
    limits = [{"tokens": 1000, "per": "day"}]
    caller = {**scene.caller("chat"), "limits": limits}
    world = resting(scene.provider("anthropic", "opus"), callers=[caller])
    assert "headerMutation" not in world.one("AIServiceBackend")["spec"]


def test_a_provider_is_reached_by_tls_with_its_key_under_its_names() -> None:
    models = [{"name": "haiku", "upstream": "claude-haiku-4-5"}, {"name": "opus"}]
    world = resting(scene.provider("anthropic", models=models))
    assert world.one("Backend")["spec"] == {
        "endpoints": [{"fqdn": {"hostname": "api.example.com", "port": 443}}],
        "tls": {"sni": "api.example.com", "wellKnownCACertificates": "System"},
    }
    removed = world.one("AIServiceBackend")["spec"]["headerMutation"]["remove"]
    assert removed == ["x-inference-caller"]
    key = world.one(KEY)["spec"]
    assert key["type"] == "APIKey"
    assert key["apiKey"]["secretRef"]["name"] == "anthropic-key"
    assert published(world) == {"haiku": "claude-haiku-4-5", "opus": ""}
    assert world.condition("ProvidersReady") == ("True", "Published")
    assert world.claim["status"]["modelsSummary"] == "coder,haiku,opus"
    assert world.claim["status"]["models"][1] == {
        "name": "haiku",
        "provider": "anthropic",
        "kind": "external",
    }


def test_a_provider_of_anthropics_api_has_its_key_in_its_own_header() -> None:
    authority = {"certificateAuthority": {"name": "ours"}, "port": 8443, "prefix": "/anthropic/v1"}
    world = resting(scene.provider("a", "m", api="Anthropic", **authority))
    assert world.one(KEY)["spec"]["type"] == "AnthropicAPIKey"
    assert world.one("AIServiceBackend")["spec"]["schema"] == {
        "name": "Anthropic",
        "prefix": "/anthropic/v1",
    }
    spec = world.one("Backend")["spec"]
    assert spec["endpoints"] == [{"fqdn": {"hostname": "api.example.com", "port": 8443}}]
    reference = {"group": "", "kind": "ConfigMap", "name": "ours"}
    assert spec["tls"] == {"sni": "api.example.com", "caCertificateRefs": [reference]}


def test_the_route_comes_after_what_it_names() -> None:
    """A route that names a missing backend fails as a whole."""
    world = scene.world(scene.of(providers=[scene.provider("a", "m")]), CODER).reconcile()
    assert ROUTE not in world.kinds_there()
    assert {"Backend", "AIServiceBackend", KEY} <= world.kinds_there()
    world.reconcile()
    assert ROUTE in world.kinds_there()


@pytest.mark.parametrize(
    "providers",
    [
        [scene.provider("a", "coder", "m")],
        [scene.provider("a", "m"), scene.provider("b", "m")],
    ],
    ids=["of a claim", "of another provider"],
)
def test_a_name_that_somebody_has_is_not_published_twice(providers: list[cluster.Object]) -> None:
    world = resting(*providers)
    assert published(world) == {"m": ""}
    assert world.condition("ProvidersReady") == ("False", "NameTaken")


def test_a_claim_takes_its_name_from_a_provider() -> None:
    """Within a minute, when core looks again."""
    world = scene.resting(scene.of(providers=[scene.provider("a", "coder")]))
    assert published(world) == {"coder": ""}
    world.strangers = [CODER]
    world.converge()
    assert published(world) == {}
    assert world.claim["status"]["models"] == [{"name": "coder", "claim": "coder", "kind": "base"}]


def test_callers_have_the_rights_that_they_have_for_claims() -> None:
    callers = [scene.caller("every"), scene.caller("named", names=["m"]), scene.caller("other")]
    callers[2]["models"] = {"names": ["coder"]}
    world = resting(scene.provider("a", "m"), callers=callers)
    assert scene.rules(world) == {"every": None, "named": ["m"], "other": ["coder"]}
    assert world.condition("CallersReady") == ("True", "Enforced")


def test_a_provider_that_goes_leaves_nothing() -> None:
    world = resting(scene.provider("a", "m"))
    world.edit(providers=[]).converge()
    assert not {"Backend", "AIServiceBackend", KEY, ROUTE} & world.kinds_there()
    assert world.condition("ProvidersReady") == ("True", "NotRequested")


def test_a_door_with_providers_alone_serves() -> None:
    world = scene.resting(scene.of(providers=[scene.provider("a", "m")]))
    assert world.phase == "Serving"
