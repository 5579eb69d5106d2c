"""Where the engine's own caches lie: a claim of a release before 1.1 keeps the former place.

Pods find the directory that a Job made: one that the kubelet makes for a mount is root's. So a
claim moves only with a download that makes the new directory.
"""

import hashlib

from function import memo
from function.api import claim
from function.boundary import templates
from function.cluster import checkpoints, observed
from function.engines import engine, engines
from function.planning import identity
from function.workloads import pods, workloads


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
    for kept in (False, True) if mounted else ():
        directory = chosen.cache_directory(resource.namespace, resource.name, former=kept)
        if mounted.endswith(f"/{directory}"):
            return kept
    return bool(facts.records) and not facts.cached


def _mounted(resource: claim.InferenceService, world: observed.Observed) -> str:
    """Returns the sub-path that the engine's container of the last template has for its caches."""
    who = identity.Identity(resource.name, resource.namespace, {})
    chosen = engines.chosen(resource.spec)
    for suffix in (workloads.chosen(resource.spec).SUFFIX, "pdb"):
        annotations = observed.at(world.get(suffix), "metadata", "annotations")
        text = observed.at(annotations, identity.TEMPLATE_ANNOTATION)
        mount = _mount(text, who, chosen) if isinstance(text, str) else None
        if mount is not None:
            return mount
    return ""


def _mount(text: str, who: identity.Identity, chosen: engine.Engine) -> str | None:
    """Returns the sub-path of the caches in a remembered template, or None where it is none.

    A template has 4 to 8 KB of JSON, is the same in each call at rest, and would be read for this
    one word: the word is remembered, by the digest of the text.
    """
    written = text.encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(written).digest()

    def read() -> str | None:
        template = templates.loads(text, who.labels())
        if template is None:
            return None
        container = pods.engine_container(template, chosen.CONTAINER)
        for mount in observed.items(container, "volumeMounts"):
            if observed.at(mount, "mountPath") == chosen.CACHE:
                return str(observed.at(mount, "subPath") or "")
        return ""

    # The word is no longer than the text: counted like this a fleet of 300 claims has 3 MB.
    return _mounts.get((digest, who.name, chosen.NAME), len(written), read)


_mounts: memo.Bounded[str | None] = memo.Bounded(4 * 1024 * 1024)
