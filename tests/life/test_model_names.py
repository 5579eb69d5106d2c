"""A model name on a gateway has one owner: who published it first keeps it."""

import copy
import json

import pytest
from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from function.situation import rivals
from tests import cluster
from tests.life import given

KINDS = {"v1/Service": True, "aigateway.envoyproxy.io/v1beta1/AIGatewayRoute": True}
EARLY, LATE = "2026-11-01T00:00:00Z", "2026-11-20T00:00:00Z"
ADAPTER = "xplane-qwen-coder-sql-dpo"
SQL = {"name": "sql", "repository": "a/b"}


def asking() -> cluster.Cluster:
    """Returns a new claim on the gateway, of a core that reads what the function asks for."""
    world = given.new()
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
    world = cluster.Cluster(claim, cluster.environment("reference"))
    world.strangers, world.kinds = [], KINDS
    world.converge()
    route = copy.deepcopy(world.one("AIGatewayRoute"))
    route["metadata"]["creationTimestamp"] = created
    route["spec"]["parentRefs"][0]["name"] = gateway
    return route


def unconfirmed(route: cluster.Object) -> cluster.Object:
    """Returns a route that does not know yet whether its names are its own."""
    text = route["metadata"]["annotations"][rivals.ANNOTATION].replace('"own"', '"new"')
    return {
        **route,
        "metadata": {**route["metadata"], "annotations": {rivals.ANNOTATION: text}},
    }


def published_before(created: str) -> cluster.Cluster:
    """Returns a claim at rest whose route is of a version that knew no owners of names."""
    world = asking()
    given.settings(world)["gateway"]["uniqueModelNames"] = False
    world.converge()
    assert rivals.ANNOTATION not in world.one("AIGatewayRoute")["metadata"]["annotations"]
    world.one("AIGatewayRoute")["metadata"]["creationTimestamp"] = created
    del given.settings(world)["gateway"]["uniqueModelNames"]
    return world


def names_of(world: cluster.Cluster) -> set[str]:
    """Returns the model names that the claim's route publishes."""
    rules = world.one("AIGatewayRoute")["spec"]["rules"]
    return {rule["matches"][0]["headers"][0]["value"] for rule in rules}


@pytest.mark.parametrize("name", [given.NAME, ADAPTER])
@pytest.mark.parametrize("created", [EARLY, LATE])
def test_a_name_that_another_route_has_is_not_published_again(name: str, created: str) -> None:
    world = asking()
    world.strangers = [route_of(name, created)]
    world.converge()
    assert world.condition("RouteReady") == ("False", "NameTaken")
    message = world.message("RouteReady")
    assert f"{name} of claim theirs in namespace others: nothing of this claim is pub" in message
    assert not {"AIGatewayRoute", "BackendTrafficPolicy"} & world.kinds_there()
    assert world.condition("EngineReady") == ("True", "Serving"), "the model serves all the same"
    assert world.response.desired.composite.ready == fnv1.READY_FALSE
    assert "modelEndpoint" not in world.claim["status"]
    world.strangers = []
    world.converge()
    assert world.condition("RouteReady") == ("True", "Published")
    assert world.response.desired.composite.ready != fnv1.READY_FALSE
    assert "modelEndpoint" in world.claim["status"]


def test_nobody_takes_a_name_by_an_older_route() -> None:
    """A route may be older than another and get its name, as an adapter, later."""
    world = asking()
    world.converge()
    world.one("AIGatewayRoute")["metadata"]["creationTimestamp"] = EARLY
    before = names_of(world)
    world.strangers = [route_of("sql", LATE)]
    world.edit(loraAdapters=[*world.claim["spec"]["loraAdapters"], SQL]).converge()
    assert world.condition("RouteReady") == ("False", "NameTaken")
    assert "this claim does not publish it" in world.message("RouteReady")
    assert names_of(world) == before, "what it had is still published"
    advertised = {model["name"] for model in world.claim["status"]["servedModels"]}
    assert "sql" not in advertised
    assert given.NAME in advertised
    world.strangers = []
    world.converge()
    assert names_of(world) == {*before, "sql"}
    assert world.condition("RouteReady") == ("True", "Published")


def test_a_route_that_somebody_deleted_comes_back_without_the_name() -> None:
    world = asking()
    world.converge()
    before = names_of(world)
    world.strangers = [route_of("sql", EARLY)]
    world.edit(loraAdapters=[*world.claim["spec"]["loraAdapters"], SQL]).converge()
    for key, resource in list(world.objects.items()):
        if resource["kind"] == "AIGatewayRoute":
            world.delete(key)
    world.converge()
    assert names_of(world) == before
    assert world.condition("RouteReady") == ("False", "NameTaken")
    assert "this claim does not publish it" in world.message("RouteReady")


@pytest.mark.parametrize(
    ("created", "own", "keeps"),
    [(EARLY, False, False), (LATE, False, True), (LATE, True, False)],
    ids=["the younger steps back", "the older stays", "what is confirmed stays"],
)
def test_of_two_that_publish_at_once_one_steps_back(
    created: str, *, own: bool, keeps: bool
) -> None:
    world = asking()
    for _ in range(4):
        world.settle().reconcile()
        if "AIGatewayRoute" in world.kinds_there():
            break  # its core did not see the other one yet
    world.one("AIGatewayRoute")["metadata"]["creationTimestamp"] = "2026-11-10T00:00:00Z"
    route = route_of(given.NAME, created)
    world.strangers = [route if own else unconfirmed(route)]
    world.converge()
    assert ("AIGatewayRoute" in world.kinds_there()) is keeps
    reason = ("True", "Published") if keeps else ("False", "NameTaken")
    assert world.condition("RouteReady") == reason


def test_an_upgrade_withdraws_no_name() -> None:
    world = published_before(LATE)
    before = copy.deepcopy(world.one("AIGatewayRoute")["spec"])
    world.strangers = [route_of(given.NAME, EARLY)]
    world.converge()
    assert world.condition("RouteReady") == ("False", "NameTaken")
    assert "as before, and the gateway chooses" in world.message("RouteReady")
    assert world.one("AIGatewayRoute")["spec"] == before
    world.strangers = []
    world.converge()
    assert world.condition("RouteReady") == ("True", "Published")
    assert not world.response.requirements.resources


def test_after_an_upgrade_the_older_route_owns_a_name() -> None:
    world = published_before(EARLY)
    world.strangers = [unconfirmed(route_of(given.NAME, LATE))]
    world.converge()
    assert world.condition("RouteReady") == ("True", "Published")
    mark = json.loads(world.one("AIGatewayRoute")["metadata"]["annotations"][rivals.ANNOTATION])
    assert mark["names"][given.NAME] == "own"


def test_another_gateway_has_names_of_its_own() -> None:
    world = asking()
    world.strangers = [route_of(given.NAME, EARLY, gateway="another")]
    world.converge()
    assert world.condition("RouteReady") == ("True", "Published")


@pytest.mark.parametrize("name", [given.NAME, ADAPTER])
def test_a_route_that_moves_to_another_gateway_takes_no_name_there(name: str) -> None:
    world = asking()
    world.converge()
    before = names_of(world)
    world.strangers = [route_of(name, LATE, gateway="another")]
    given.settings(world)["gateway"]["parent"]["name"] = "another"
    world.converge()
    assert world.condition("RouteReady") == ("False", "NameTaken")
    if name == given.NAME:
        assert "AIGatewayRoute" not in world.kinds_there()
    else:
        assert names_of(world) == before - {name}
    world.strangers = []
    world.converge()
    assert names_of(world) == before
    assert world.condition("RouteReady") == ("True", "Published")
    mark = json.loads(world.one("AIGatewayRoute")["metadata"]["annotations"][rivals.ANNOTATION])
    assert mark == {
        "gateway": "envoy-ai-gateway-system/another",
        "names": dict.fromkeys(before, "own"),
    }


def test_a_confirmed_name_is_not_asked_for_again() -> None:
    world = asking()
    world.converge()
    assert not world.response.requirements.resources
    world.edit(loraAdapters=[*world.claim["spec"]["loraAdapters"], SQL]).reconcile()
    asked = {
        name
        for name in world.response.requirements.resources
        if name.startswith(rivals.REQUIREMENT)
    }
    assert asked == {"model sql"}
    world.converge()
    assert not world.response.requirements.resources


@pytest.mark.parametrize("text", ["", "{", "[]", '{"gateway":[],"names":1}', "[" * 100_000])
def test_what_a_route_remembers_may_be_written_over(text: str) -> None:
    world = asking()
    world.converge()
    world.one("AIGatewayRoute")["metadata"]["annotations"][rivals.ANNOTATION] = text
    world.converge()
    assert world.condition("RouteReady") == ("True", "Published")
    assert not world.response.requirements.resources


def test_the_settings_may_leave_names_to_the_gateway() -> None:
    world = asking()
    given.settings(world)["gateway"]["uniqueModelNames"] = False
    world.strangers = [route_of(given.NAME, EARLY)]
    world.converge()
    assert world.condition("RouteReady") == ("True", "Published")
