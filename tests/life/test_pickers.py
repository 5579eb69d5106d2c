"""An endpoint picker comes, goes, and is made by another provider: the route never has a gap."""

from typing import Any

import pytest

from tests import cluster, controllers
from tests.resources import scene

PICKED: Any = {"enabled": True, "endpointPicker": {"enabled": True}}
PICKER_KEYS = ("epp-helmrelease", "picker-deployment", "picker-service", "picker-pool")


def site(provider: str) -> cluster.Object:
    return scene.site(endpointPicker={"provider": provider})


def named(world: cluster.Cluster) -> set[str]:
    """Returns the kinds that the route's rules name."""
    rules = world.one("AIGatewayRoute")["spec"]["rules"]
    return {ref.get("kind", "AIServiceBackend") for rule in rules for ref in rule["backendRefs"]}


def there(world: cluster.Cluster) -> set[str]:
    return {key for key in PICKER_KEYS if f"model-{key}" in world.objects}


def served(world: cluster.Cluster) -> None:
    """Asserts that what the route names is there, and that one provider alone has a picker."""
    if named(world) == {"InferencePool"}:
        assert there(world) in ({PICKER_KEYS[0]}, set(PICKER_KEYS[1:]))
    else:
        assert named(world) == {"AIServiceBackend"}
    spread = "loadBalancer" in world.one("BackendTrafficPolicy")["spec"]
    assert spread == (named(world) == {"AIServiceBackend"})
    assert PICKER_KEYS[0] not in there(world) or not there(world) & set(PICKER_KEYS[1:])


@pytest.mark.parametrize("provider", ["native", "helmRelease"])
def test_the_route_names_the_pool_once_the_picker_answers(provider: str) -> None:
    world = scene.serving(scene.of(gateway={"enabled": True}), site(provider))
    world.edit(gateway=PICKED)
    for _ in range(3):
        world.settle("Deployment", "HelmRelease").reconcile()
        assert named(world) == {"AIServiceBackend"}
    world.converge()
    assert named(world) == {"InferencePool"}
    assert world.condition("RouteReady") == ("True", "Published")


@pytest.mark.decision(33)
def test_a_new_native_picker_waits_for_its_policy() -> None:
    world = scene.serving(scene.of(gateway={"enabled": True}), site("native"))
    world.edit(gateway=PICKED).reconcile()
    assert not there(world)
    policy = world.one("CiliumNetworkPolicy", "-picker-cilium-netpol")
    policy["status"] = {"conditions": [controllers.condition("Valid", "False", message="a typo")]}
    for _ in range(3):
        world.settle("CiliumNetworkPolicy").reconcile()
        assert not there(world)
    assert "its CiliumNetworkPolicy is not valid: a typo" in world.message("RouteReady")
    world.converge()
    assert there(world) == set(PICKER_KEYS[1:])


def test_a_picker_that_is_switched_off_stays_until_no_route_names_its_pool() -> None:
    world = scene.serving(scene.of(gateway=PICKED), site("native"))
    world.edit(gateway={"enabled": True})
    world.reconcile()
    assert named(world) == {"AIServiceBackend"}
    assert there(world) == set(PICKER_KEYS[1:]), "core deletes before it applies"
    world.converge()
    assert not there(world)
    assert not [key for key in world.objects if key.startswith("model-picker-p")]


@pytest.mark.parametrize("reads", [False, True])
@pytest.mark.parametrize(
    ("before", "after"), [("helmRelease", "native"), ("native", "helmRelease")]
)
def test_another_provider_takes_over_without_a_gap(before: str, after: str, reads: bool) -> None:
    world = scene.serving(scene.of(gateway=PICKED), site(before))
    if reads:
        world.strangers = []
        world.converge()
    world.environments = [site(after)]
    steps = []
    for _ in range(10):
        world.reconcile()
        served(world)
        steps.append((named(world), there(world)))
        world.settle()
    assert steps[0][0] == {"AIServiceBackend"}
    assert steps[0][1], "the route that is read may name the pool still"
    assert (set(), {"AIServiceBackend"}) in [(keys, kinds) for kinds, keys in steps]
    assert named(world) == {"InferencePool"}
    assert there(world) == (set(PICKER_KEYS[1:]) if after == "native" else {PICKER_KEYS[0]})
    assert world.condition("RouteReady") == ("True", "Published")


def test_the_native_picker_waits_until_flux_has_uninstalled_the_other_one() -> None:
    """Core no longer observes a HelmRelease that is deleted, and Flux still has its Deployment."""
    world = scene.serving(scene.of(gateway=PICKED), site("helmRelease"))
    left = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "model-epp", "namespace": "llm"},
    }
    world.strangers = [left]
    world.environments = [site("native")]
    for _ in range(6):
        world.reconcile().settle()
    assert not there(world)
    assert named(world) == {"AIServiceBackend"}
    assert world.condition("RouteReady") == ("True", "Published")
    assert "Deployment model-epp" in world.message("RouteReady")
    world.strangers = []
    world.converge()
    assert there(world) == set(PICKER_KEYS[1:])
    assert named(world) == {"InferencePool"}


def test_a_cluster_without_the_pools_kind_keeps_its_route() -> None:
    world = scene.serving(scene.of(gateway={"enabled": True}), site("native"))
    world.kinds = {"v1/Service": True, "inference.networking.k8s.io/v1/InferencePool": False}
    world.edit(gateway=PICKED).converge()
    assert named(world) == {"AIServiceBackend"}
    assert world.condition("RouteReady") == ("False", "KindMissing")
    assert "InferencePool" in world.message("RouteReady")
    assert "spec.gateway.endpointPicker" in world.message("RouteReady")
