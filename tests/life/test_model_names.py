"""A model name on a gateway has one owner: the older route keeps it, the younger steps back."""

import copy

import pytest

from tests import cluster
from tests.life import given

KINDS = {"v1/Service": True, "aigateway.envoyproxy.io/v1beta1/AIGatewayRoute": True}
EARLY, LATE = "2026-11-01T00:00:00Z", "2026-11-20T00:00:00Z"


def asking() -> cluster.Cluster:
    """Returns a new claim on the gateway, of a core that reads what the function asks for."""
    world = given.new()
    given.settings(world)["gateway"]["uniqueModelNames"] = True
    world.strangers, world.kinds = [], KINDS
    return world


def route_of(name: str, created: str, *, gateway: str = "ai-gateway") -> cluster.Object:
    """Returns the route of another team's claim that publishes a name as its adapter or model."""
    claim = cluster.example("smallest")
    claim["metadata"] = {"name": "theirs", "namespace": "others"}
    claim["spec"] |= {
        "gateway": {"enabled": True},
        "loraAdapters": [{"name": name, "repository": "a/b"}],
    }
    site = cluster.environment("reference")
    site["data"]["inferenceService"]["gateway"]["uniqueModelNames"] = True
    world = cluster.Cluster(claim, site)
    world.converge()
    route = copy.deepcopy(world.one("AIGatewayRoute"))
    route["metadata"]["creationTimestamp"] = created
    route["spec"]["parentRefs"][0]["name"] = gateway
    return route


@pytest.mark.parametrize("name", [given.NAME, "xplane-qwen-coder-sql-dpo"])
def test_a_name_that_an_older_route_publishes_is_not_published_again(name: str) -> None:
    world = asking()
    world.strangers = [route_of(name, EARLY)]
    world.converge()
    assert world.condition("RouteReady") == ("False", "NameTaken")
    assert f"{name} of claim theirs in namespace others" in world.message("RouteReady")
    assert not {"AIGatewayRoute", "BackendTrafficPolicy"} & world.kinds_there()
    assert world.condition("EngineReady") == ("True", "Serving"), "the model serves all the same"
    world.strangers = []
    world.converge()
    assert world.condition("RouteReady") == ("True", "Published")


def test_of_two_that_publish_at_once_the_younger_steps_back() -> None:
    world = asking()
    world.strangers = None  # its core did not see the other one yet
    world.converge()
    world.one("AIGatewayRoute")["metadata"]["creationTimestamp"] = LATE
    world.strangers = [route_of(given.NAME, EARLY)]
    world.converge()
    assert world.condition("RouteReady") == ("False", "NameTaken")
    assert "AIGatewayRoute" not in world.kinds_there()


def test_the_older_one_keeps_its_route() -> None:
    world = asking()
    world.strangers = None
    world.converge()
    world.one("AIGatewayRoute")["metadata"]["creationTimestamp"] = EARLY
    world.strangers = [route_of(given.NAME, LATE)]
    world.converge()
    assert world.condition("RouteReady") == ("True", "Published")


def test_another_gateway_has_names_of_its_own() -> None:
    world = asking()
    world.strangers = [route_of(given.NAME, EARLY, gateway="another")]
    world.converge()
    assert world.condition("RouteReady") == ("True", "Published")


def test_a_confirmed_name_is_asked_for_again_only_when_names_change() -> None:
    world = asking()
    world.converge()
    assert not world.response.requirements.resources
    adapters = world.claim["spec"]["loraAdapters"]
    world.edit(loraAdapters=[*adapters, {"name": "more", "repository": "a/b"}]).reconcile()
    assert "model more" in world.response.requirements.resources
    world.converge()
    assert not world.response.requirements.resources
