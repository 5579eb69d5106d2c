"""Scenes for content tests: short forms of a claim and a site, and the cluster that they lead to.

`serving` takes a claim through its whole life on the in-memory cluster. A case therefore looks at
the objects that a cluster would hold, and not at the result of a builder.
"""

import copy
import functools
from typing import Any

import pytest

from function.api import base, claim, settings
from function.cluster import checkpoints
from function.engines import engines
from function.planning import plans
from function.workloads import workloads
from tests import cluster, documents

NAME = "model"
REPOSITORY = "org/model"
ADAPTERS: list[cluster.Object] = [
    {"name": "sql", "repository": "org/sql", "revision": "1111"},
    {"name": "law", "repository": "org/law", "revision": "2222"},
]

OPEN_SITE = cluster.load("examples/settings/open.yaml")["data"]["inferenceService"]
ALLOWED: cluster.Object = OPEN_SITE["allowed"]
RAW: cluster.Object = {
    hatch: ["*"]
    for hatch in ("anyTaint", "namespaceAffinity", "platformPolicies", "rawPolicies", "rawRules")
}


def of(
    *, name: str = NAME, namespace: str = "llm", model: cluster.Object | None = None, **spec: Any
) -> cluster.Object:
    """Returns a claim; `model` is merged over a repository without a known size."""
    return {
        "apiVersion": "cloud.ogenki.io/v1alpha1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"model": {"repository": REPOSITORY, **(model or {})}, **spec},
    }


def site(profile: str = "reference", **changes: Any) -> cluster.Object:
    """Returns a profile's EnvironmentConfig with changes merged over its settings.

    Authors may name what they like: what is refused is the subject of `tests/boundary`.
    """
    config = cluster.environment(profile)
    inner = config["data"]["inferenceService"]
    inner["allowed"] = ALLOWED
    inner["permissions"] = RAW | inner.get("permissions", {})
    inner["weights"] = {"imageVolumes": True} | inner.get("weights", {})
    config["data"]["inferenceService"] = settings.merge(config["data"]["inferenceService"], changes)
    return config


def first(
    claimed: cluster.Object | None = None, config: cluster.Object | None = None
) -> cluster.Cluster:
    """Returns the cluster after the first reconcile: nothing is verified yet."""
    return cluster.Cluster(claimed or of(), config or site()).born()


def serving(
    claimed: cluster.Object | None = None, config: cluster.Object | None = None
) -> cluster.Cluster:
    """Returns the cluster after the last reconcile that changes something."""
    given = documents.form([claimed or of(), config or site()])
    # `tests/seams` puts others into these tables.
    rooms = (*engines.ENGINES.values(), *workloads.WORKLOADS.values())
    return copy.deepcopy(_rested(given, rooms))


@functools.lru_cache(maxsize=512)
def _rested(given: bytes, _: tuple[Any, ...]) -> cluster.Cluster:
    """Returns the same once for all cases that ask for it: each takes a copy."""
    world = cluster.Cluster(*documents.plain(given))
    world.converge()
    assert world.fatal is None, world.fatal
    return world


def read(claimed: cluster.Object, config: cluster.Object) -> cluster.Cluster:
    """Returns the same of a core that reads the objects that functions ask for."""
    world = cluster.Cluster(claimed, config)
    world.strangers = []
    world.converge()
    return world


def refused(claimed: cluster.Object, config: cluster.Object | None = None) -> str:
    """Returns why the claim is refused.

    Raises:
        AssertionError: The claim is not refused, or objects were composed for a refused claim.
    """
    world = cluster.Cluster(claimed, config or site()).born()
    assert world.fatal is not None, f"not refused: {sorted(world.objects)}"
    assert not world.objects
    assert world.condition("Valid") == ("False", "Invalid")
    return world.fatal


def planned(
    claimed: cluster.Object | None = None, config: cluster.Object | None = None
) -> plans.Plan:
    """Returns the plan alone, for cases that look at no object."""
    resource = base.parse(claim.InferenceService, claimed or of(), what="claim")
    return plans.make(resource, _settled(documents.form(config or site())), checkpoints.Facts())


@functools.lru_cache(maxsize=512)
def _settled(config: bytes) -> settings.Settings:
    """Returns the settings of an EnvironmentConfig, read once for all cases that ask for them."""
    return settings.assemble({}, {}, [documents.plain(config)])


def unplanned(claimed: cluster.Object, config: cluster.Object | None = None) -> base.InvalidError:
    """Returns why no plan can be made."""
    with pytest.raises(base.InvalidError) as caught:
        planned(claimed, config)
    return caught.value


def container(world: cluster.Cluster) -> cluster.Object:
    """Returns the engine's container."""
    (engine,) = world.template["spec"]["containers"]
    assert isinstance(engine, dict)
    return engine


def job_container(world: cluster.Cluster) -> cluster.Object:
    """Returns the preload Job's container."""
    (preload,) = world.one("Job")["spec"]["template"]["spec"]["containers"]
    assert isinstance(preload, dict)
    return preload


def environment(container: cluster.Object) -> dict[str, Any]:
    """Returns the value of each variable of a container, or its source if it has no value."""
    names = [variable["name"] for variable in container["env"]]
    assert len(names) == len(set(names)), names
    return {v["name"]: v["value"] if "value" in v else v["valueFrom"] for v in container["env"]}


def values(arguments: list[str]) -> dict[str, str | None]:
    """Returns the flags of a command line with their values; None for a bare flag."""
    flags: dict[str, str | None] = {}
    for argument in arguments:
        if argument.startswith("--"):
            flag, _, value = argument.partition("=")
            assert flag not in flags, f"{flag} twice: {arguments}"
            flags[flag] = value if "=" in argument else None
    return flags
