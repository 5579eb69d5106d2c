"""Where the engine's own caches lie: a claim of a release before 1.1 keeps the former place.

Pods find the directory that a Job made: one that the kubelet makes for a mount is root's. So a
claim moves only with a download that makes the new directory.
"""

from function.api import claim
from function.boundary import templates
from function.cluster import checkpoints, observed
from function.engines import table as engines
from function.planning import identity
from function.workloads import pods
from function.workloads import table as workloads


def former(
    resource: claim.InferenceService, facts: checkpoints.Facts, world: observed.Observed
) -> bool:
    """Tells whether the claim's own caches stay where they lay until 1.1.

    Args:
        resource: The claim.
        facts: What is recorded of the weights.
        world: What the cluster reports.
    """
    mounted = _mounted(resource, world)
    chosen = engines.chosen(resource.spec)
    for kept in (False, True):
        directory = chosen.cache_directory(resource.namespace, resource.name, former=kept)
        if mounted.endswith(f"/{directory}"):
            return kept
    return bool(facts.records) and not facts.cached


def _mounted(resource: claim.InferenceService, world: observed.Observed) -> str:
    """Returns the sub-path that the engine's container of the last template has for its caches."""
    who = identity.Identity(resource.name, resource.namespace, {})
    owners = (world.get(workloads.chosen(resource.spec).SUFFIX), world.get("pdb"))
    remembered = templates.remembered(owners, who.labels())
    if remembered is None:
        return ""
    chosen = engines.chosen(resource.spec)
    container = pods.engine_container(remembered.template, chosen.CONTAINER)
    for mount in observed.items(container, "volumeMounts"):
        if observed.at(mount, "mountPath") == chosen.CACHE:
            return str(observed.at(mount, "subPath") or "")
    return ""
