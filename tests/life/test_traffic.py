"""Routes come with the pods that answer, and name nothing that is missing."""

import copy

import pytest

from tests import controllers
from tests.life import given


@pytest.mark.decision(16)
def test_the_gateway_route_comes_with_the_deployment_and_stays_through_an_outage() -> None:
    """The gateway answers 500 until it has read a new route; it does so while the engine loads."""
    world = given.new().born()
    assert "AIGatewayRoute" not in world.kinds_there()
    assert world.condition("RouteReady") == ("False", "Withheld")
    for _ in range(4):
        world.settle("Deployment").reconcile()
    assert "AIGatewayRoute" in world.kinds_there()
    assert world.condition("RouteReady") == ("False", "NotServing")
    world.converge()
    assert world.condition("RouteReady") == ("True", "Published")
    world.one("Deployment")["status"] = {"observedGeneration": 1, "replicas": 1}
    world.reconcile()
    assert "AIGatewayRoute" in world.kinds_there()
    assert world.condition("EngineReady") == ("False", "Starting")
    assert world.phase == "Starting"


def test_no_traffic_is_sent_to_an_adapter_before_it_is_served() -> None:
    world = given.serving()
    adapters = [
        *world.claim["spec"]["loraAdapters"],
        {"name": "third", "repository": "a/b", "revision": "1" * 40},
    ]
    canaries = [{"adapter": "third", "weightPercent": 50}]
    world.edit(loraAdapters=adapters, gateway={"enabled": True, "canaries": canaries})
    world.reconcile()
    assert "third" not in str(world.one("AIGatewayRoute")["spec"]), "its backend is not there"
    assert "third" not in world.claim["status"]["servedModelsSummary"]
    world.settle().reconcile()
    # The gateway's processor answers 500 for what it does not know yet, so it learns of it early.
    base, *others = world.one("AIGatewayRoute")["spec"]["rules"]
    assert base["backendRefs"][-1]["modelNameOverride"] == "third"
    assert base["backendRefs"][-1]["weight"] == 0, "still rolling out"
    assert "third" not in str(others), "still rolling out"
    world.converge()
    base, *others = world.one("AIGatewayRoute")["spec"]["rules"]
    assert base["backendRefs"][-1]["weight"] == 50
    assert "third" in str(others)


def test_no_traffic_is_sent_to_an_adapter_while_pods_without_it_end() -> None:
    """A gateway asks them until DNS has forgotten them."""
    world = given.serving()
    third = {"name": "third", "repository": "a/b", "revision": "1" * 40}
    canaries = [{"adapter": "third", "weightPercent": 50}]
    adapters = [*world.claim["spec"]["loraAdapters"], third]
    world.edit(loraAdapters=adapters, gateway={"enabled": True, "canaries": canaries})
    world.reconcile().settle()
    for _ in range(3):
        world.reconcile().settle()
        world.one("Deployment")["status"]["terminatingReplicas"] = 1
    world.reconcile()
    assert world.condition("Current") == ("True", "Serving")
    base, *others = world.one("AIGatewayRoute")["spec"]["rules"]
    assert base["backendRefs"][-1]["weight"] == 0
    assert "third" not in str([others, world.claim["status"]["serving"]])
    del world.one("Deployment")["status"]["terminatingReplicas"]
    world.reconcile()
    base, *others = world.one("AIGatewayRoute")["spec"]["rules"]
    assert base["backendRefs"][-1]["weight"] == 50
    # A pod that ends later had the adapter.
    world.one("Deployment")["status"]["terminatingReplicas"] = 1
    world.reconcile()
    assert world.one("AIGatewayRoute")["spec"]["rules"][0]["backendRefs"][-1]["weight"] == 50


def test_the_route_names_the_pool_only_while_it_is_there() -> None:
    world = given.serving()
    world.edit(gateway={"enabled": True, "endpointPicker": {"enabled": True}})
    world.reconcile()
    assert "InferencePool" not in str(world.one("AIGatewayRoute")["spec"])
    world.settle().reconcile().settle().reconcile()
    assert "InferencePool" in str(world.one("AIGatewayRoute")["spec"])
    world.converge()
    world.edit(gateway={"enabled": True, "endpointPicker": {"enabled": False}})
    world.reconcile()
    assert "InferencePool" not in str(world.one("AIGatewayRoute")["spec"])
    assert "HelmRelease" in world.kinds_there(), "core deletes before it applies"
    world.converge()
    assert "HelmRelease" not in world.kinds_there()


def test_a_backend_that_no_route_names_holds_nothing_up() -> None:
    """Behind a picker the route names the pool, and Envoy Gateway is silent about the Backend."""
    world = given.new()
    world.claim["spec"]["gateway"] = {"enabled": True, "endpointPicker": {"enabled": True}}
    world.converge()
    # As if the pool had been there before Envoy Gateway read the route.
    world.one("Backend")["status"] = {}
    world.reconcile()
    assert world.condition("RouteReady") == ("True", "Published")
    refusal = controllers.condition("Accepted", "False", "Invalid", "its words")
    world.one("Backend")["status"] = {"conditions": [refusal]}
    world.reconcile()
    assert world.message("RouteReady") == "Backend: its words"


def test_an_external_secret_is_no_route() -> None:
    world = given.new()
    site = world.environments[0]["data"]["inferenceService"]
    site["allowed"] = {"fetchedSecrets": {"*": ["gateway-*"]}}
    world.claim["spec"]["externalSecrets"] = [{"name": "gateway-token", "remoteRef": "llm/b"}]
    world.converge()
    world.one("ExternalSecret")["status"] = {
        "conditions": [controllers.condition("Ready", "False", "SecretSyncedError", "no")]
    }
    world.reconcile()
    assert world.condition("RouteReady") == ("True", "Published")
    assert "no" in world.claim["status"]["waitingFor"]


@pytest.mark.parametrize("refused", ["Accepted", "ResolvedRefs"])
def test_a_route_that_is_refused_or_leads_nowhere_is_not_published(refused: str) -> None:
    world = given.new("smallest", "plain")
    world.claim["spec"]["route"] = {"enabled": True, "hostname": "chat"}
    world.converge()
    assert world.condition("RouteReady") == ("True", "Published")
    names = [name for name in ("Accepted", "ResolvedRefs") if name != refused]
    told = [
        *map(controllers.condition, names),
        controllers.condition(refused, "False", "No", "its words"),
    ]
    world.one("HTTPRoute")["status"] = {"parents": [{"conditions": told}]}
    world.reconcile()
    assert world.condition("RouteReady") == ("False", "Unresolved")
    assert "its words" in world.message("RouteReady")


def test_a_refused_route_is_named_before_the_policy_that_waits_for_it() -> None:
    world = given.serving()
    refusal = controllers.condition("NotAccepted", "False", "Refused", "no such Gateway")
    world.one("AIGatewayRoute")["status"] = {"conditions": [refusal]}
    world.one("BackendTrafficPolicy")["status"] = {}
    world.reconcile()
    assert world.condition("RouteReady") == ("False", "Unresolved")
    assert world.message("RouteReady") == "AIGatewayRoute: no such Gateway"
    assert world.claim["status"]["waitingFor"] == world.message("RouteReady")


def test_a_backend_keeps_naming_the_service_that_is_made_again() -> None:
    world = given.serving()
    before = copy.deepcopy(world.one("Backend")["spec"])
    world.delete(f"{given.NAME}-service-headless")
    world.reconcile()
    assert world.one("Backend")["spec"] == before
    assert "create xplane-qwen-coder-service-headless" in world.writes
