"""Settings that lose a provider whose objects are there: nothing goes unless they say so."""

import copy
import typing

import pytest

from function import claim_rows
from function.api import settings_providers
from tests import cluster
from tests.resources import scene

CLAIM = cluster.example("xplane-qwen-coder")


def fleet() -> cluster.Cluster:
    """Returns a claim with objects of every concern, under the reference settings."""
    claim = copy.deepcopy(CLAIM)
    claim["spec"] |= {
        "externalSecrets": [{"name": "token", "remoteRef": "apps/llm/token"}],
        "gateway": {"enabled": True},
        "route": {"enabled": True, "hostname": "coder"},
    }
    return scene.serving(claim)


LOSSES: dict[str, tuple[typing.Any, str, str]] = {
    "nothing is left": ({}, "providers.gateway", "envoy-ai-gateway"),
    "the gateway": ({"gateway": "none"}, "providers.gateway", "envoy-ai-gateway"),
    "the route": ({"route": "none"}, "providers.route", "gateway-api"),
    "the policies": ({"networkPolicy": "none"}, "providers.networkPolicy", "cilium"),
    "other policies": ({"networkPolicy": "kubernetes"}, "providers.networkPolicy", "cilium"),
    "the monitoring": ({"monitoring": "none"}, "providers.monitoring", "victoriametrics"),
    "the autoscaler": ({"autoscaler": "none"}, "providers.autoscaler", "keda"),
    "the secrets": ({"secrets": "none"}, "providers.secrets", "external-secrets"),
}


@pytest.mark.parametrize("lost", LOSSES)
def test_a_lost_provider_is_fatal_until_it_is_withdrawn(lost: str) -> None:
    change, field, provider = LOSSES[lost]
    world = fleet()
    before = copy.deepcopy(world.objects)
    config = scene.site(providers=change)
    if not change:
        config["data"]["inferenceService"] = {}
    world.environments = [config]
    world.reconcile()
    assert world.fatal is not None
    assert f"{field}: is " in world.fatal
    assert f"{provider} composed " in world.fatal
    assert "providers.withdrawn" in world.fatal
    assert world.condition("Valid") == ("False", "SettingsInvalid")
    assert world.objects == before
    if change:
        config["data"]["inferenceService"]["providers"]["withdrawn"] = [provider]
        world.converge()
        assert world.fatal is None, world.fatal
        assert world.condition("Valid") == ("True", "Valid")


def test_a_new_claim_needs_no_word_of_withdrawal() -> None:
    config = scene.site(providers={"gateway": "none", "networkPolicy": "kubernetes"})
    assert scene.serving(config=config).condition("Valid") == ("True", "Valid")


def test_one_that_is_named_cannot_be_withdrawn() -> None:
    config = scene.site(providers={"withdrawn": ["cilium"]})
    world = cluster.Cluster(CLAIM, config).reconcile()
    assert world.fatal is not None
    assert "providers.withdrawn: a provider that a concern names" in world.fatal


def test_each_provider_composes_something_and_can_be_withdrawn() -> None:
    """But for a queue: that is labels of the workload, and no object."""
    fields = {
        (name, value)
        for name, field in settings_providers.Providers.model_fields.items()
        if name not in ("withdrawn", "queue")
        for value in typing.get_args(field.annotation)
        if value != "none"
    }
    assert fields == {row.provider for row in claim_rows.ROWS if row.provider is not None}
    assert {value for _, value in fields} == set(typing.get_args(settings_providers.Withdrawn))


@pytest.mark.parametrize("data", [None, "text", [1]])
def test_data_that_are_no_map_are_said(data: object) -> None:
    world = fleet()
    before = copy.deepcopy(world.objects)
    world.environments[0]["data"] = data
    world.reconcile()
    assert world.fatal is not None
    assert "data: must be a map" in world.fatal
    assert world.condition("Valid") == ("False", "SettingsInvalid")
    assert world.objects == before


def test_pods_are_protected_while_policies_move_to_another_provider() -> None:
    """The policies of the last provider go once those of the next one are there."""
    world = fleet()
    config = scene.site(providers={"networkPolicy": "kubernetes", "withdrawn": ["cilium"]})
    world.environments = [config]
    world.reconcile()
    kinds_there = {"CiliumNetworkPolicy", "NetworkPolicy"} & world.kinds_there()
    assert kinds_there == {"CiliumNetworkPolicy", "NetworkPolicy"}
    world.converge()
    assert "CiliumNetworkPolicy" not in world.kinds_there()
    names = {i["metadata"]["name"] for i in world.objects.values() if i["kind"] == "NetworkPolicy"}
    name = CLAIM["metadata"]["name"]
    assert names == {name, f"{name}.download"}


def test_a_policy_outlives_the_pods_that_it_protects() -> None:
    """A Job that ends in the background, a picker that Flux uninstalls."""
    world = fleet()
    model = {**world.claim["spec"]["model"], "preload": {"enabled": False}}
    world.edit(model=model).converge()
    assert any(key.endswith("netpol-download") for key in world.objects)
