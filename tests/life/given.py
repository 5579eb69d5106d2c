"""The states that lives are told from. Each is reached once, and every case gets a copy of it."""

import copy
import functools

from tests import cluster

NAME = "xplane-qwen-coder"
OTHER_REVISION = "0" * 40


def new(name: str = NAME, profile: str = "reference") -> cluster.Cluster:
    """A claim that nobody has looked at."""
    return cluster.Cluster(cluster.example(name), cluster.environment(profile))


def serving(name: str = NAME, profile: str = "reference") -> cluster.Cluster:
    """A claim at rest, with a replica."""
    return copy.deepcopy(_serving(name, profile))


def asleep() -> cluster.Cluster:
    """A claim at rest that may sleep, and has had no replica so far."""
    return copy.deepcopy(_asleep())


@functools.cache
def _serving(name: str, profile: str) -> cluster.Cluster:
    world = new(name, profile)
    world.converge()
    assert world.phase == "Serving"
    return world


@functools.cache
def _asleep() -> cluster.Cluster:
    claim = cluster.example(NAME)
    claim["spec"]["scaling"] = {"minReplicas": 0, "maxReplicas": 2}
    world = cluster.Cluster(claim, cluster.environment("reference"))
    world.converge()
    assert world.phase == "Idle"
    return world


def remodelled(world: cluster.Cluster, **model: object) -> cluster.Cluster:
    """Changes fields of the claim's model, as its author would."""
    return world.edit(model={**copy.deepcopy(world.claim["spec"]["model"]), **model})


def swap(world: cluster.Cluster, revision: str = OTHER_REVISION) -> cluster.Cluster:
    """Asks for another revision of the model."""
    return remodelled(world, revision=revision)


def settings(world: cluster.Cluster) -> cluster.Object:
    """The site's settings, to be changed."""
    data = world.environments[0]["data"]["inferenceService"]
    assert isinstance(data, dict)
    return data
