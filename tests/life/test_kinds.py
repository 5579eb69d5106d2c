"""The cluster lacks a kind."""

import pytest
from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from tests.life import given


@pytest.mark.pitfall("a cluster lacks a kind, or hides it")
def test_a_missing_kind_is_said_and_left_out_until_it_is_there() -> None:
    world = given.new()
    world.kinds = {
        "v1/Service": True,
        "keda.sh/v1alpha1/ScaledObject": True,
        "cilium.io/v2/CiliumNetworkPolicy": False,
    }
    world.reconcile()
    assert "CiliumNetworkPolicy" not in world.kinds_there()
    assert world.condition("PolicyReady") == ("False", "KindMissing")
    assert world.response.desired.composite.ready == fnv1.READY_FALSE
    world.kinds["cilium.io/v2/CiliumNetworkPolicy"] = True
    world.converge()
    assert "CiliumNetworkPolicy" in world.kinds_there()
    world.kinds = dict.fromkeys(world.kinds, False)
    world.reconcile()
    assert "CiliumNetworkPolicy" in world.kinds_there(), "an observed object is never dropped"


@pytest.mark.decision(28)
def test_kinds_are_asked_about_only_until_they_are_observed() -> None:
    world = given.new()
    world.kinds = {}
    world.reconcile()
    asked = set(world.response.requirements.schemas)
    assert "kind cilium.io/v2/CiliumNetworkPolicy" in asked
    world.converge()
    assert not world.response.requirements.schemas


def test_all_answers_empty_means_that_nobody_answers() -> None:
    world = given.new()
    world.kinds = {"v1/Service": False, "cilium.io/v2/CiliumNetworkPolicy": False}
    world.reconcile()
    assert "CiliumNetworkPolicy" in world.kinds_there()


def test_a_missing_kind_of_the_picker_is_no_reason_to_give_the_gateway_up() -> None:
    world = given.new()
    world.kinds = {"v1/Service": True, "helm.toolkit.fluxcd.io/v2/HelmRelease": False}
    world.edit(gateway={"enabled": True, "endpointPicker": {"enabled": True}}).converge()
    assert world.condition("RouteReady") == ("False", "KindMissing")
    assert "spec.gateway.endpointPicker" in world.message("RouteReady")
    assert "providers.gateway" not in world.message("RouteReady")
