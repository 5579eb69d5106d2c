"""Canaries that come and go."""

import pytest

from tests import cluster, documents, recordings
from tests.resources import routed, scene


def backends(world: cluster.Cluster) -> set[str]:
    return {
        item["metadata"]["name"]
        for item in world.objects.values()
        if item["kind"] == "AIServiceBackend"
    }


def routed_to(world: cluster.Cluster) -> set[str]:
    return {backend["name"] for rule in routed.rules(world) for backend in rule["backendRefs"]}


@pytest.mark.decision(24)
def test_index_named_canaries_stay_until_the_observed_route_forgets_them() -> None:
    """A route that names a missing backend fails as a whole."""
    claimed, config = cluster.example("xplane-qwen-coder"), cluster.environment("reference")
    world = recordings.taken_over(claimed, config)
    assert "xplane-qwen-coder-canary-0" in routed_to(world)
    world.reconcile()
    assert "xplane-qwen-coder-canary-0" in backends(world)
    assert "xplane-qwen-coder-canary-0" not in routed_to(world)
    world.settle().reconcile()
    assert "xplane-qwen-coder-canary-0" not in backends(world)


def test_a_canary_that_leaves_is_kept_until_the_observed_route_forgets_it() -> None:
    world = scene.serving(routed.CANARIED)
    world.edit(gateway={"enabled": True, "canaries": routed.CANARIES["canaries"][:1]})
    before = routed_to(world)
    world.reconcile()
    # The old route may still be read while the new one is written.
    assert before <= backends(world)
    world.settle().converge()
    assert backends(world) == {"model", "model.canary-sql"}


def test_what_comes_moves_nothing_that_is_there() -> None:
    """The AI gateway's processor knows a backend by its place in the route.

    For up to a minute it answers 500 for a place that it has not read yet.
    """
    world = scene.serving(
        scene.of(
            gateway={"enabled": True, "canaries": routed.CANARIES["canaries"][:1]},
            loraAdapters=scene.ADAPTERS,
        )
    )
    before = documents.copied(routed.rules(world))
    adapters = [{"name": "abc", "repository": "org/abc"}, *scene.ADAPTERS[::-1]]
    world.edit(gateway=routed.CANARIES, loraAdapters=adapters).converge()
    there = len(before[0]["backendRefs"])
    assert there == 2
    assert routed.rules(world)[0]["backendRefs"][1:] == [
        *before[0]["backendRefs"][1:],
        {"name": "model.canary-law", "modelNameOverride": "law", "weight": 25},
    ]
    assert [*map(routed.model_of, routed.rules(world))] == [*map(routed.model_of, before), "abc"]


def test_the_served_models_say_the_share() -> None:
    models = scene.serving(routed.CANARIED).claim["status"]["servedModels"]
    assert models == [
        {"name": "model", "kind": "base"},
        {"name": "sql", "kind": "adapter", "canaryWeightPercent": 10},
        {"name": "law", "kind": "adapter", "canaryWeightPercent": 25},
    ]
