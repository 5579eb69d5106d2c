"""The author's JSON merge patches: applied last, then checked again.

A patch is named by the suffix of a composed object's key. It can change what an object says, never
what ties objects together: kind, names, selectors, the labels that select pods, the replica count,
who is let in.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from function import canonical
from function import observed as world
from function import plan as plans
from function.api import base, claim
from function.resources import baseline, deployment, meta, preload

# Network policies are not here: access is widened by `access` and `networkPolicies`.
PATCHABLE = frozenset(
    (
        "backendtrafficpolicy",
        "deployment",
        "epp-helmrelease",
        "epp-servicemonitor",
        "epp-vmservicescrape",
        "gateway-airoute",
        "gateway-aiservicebackend",
        "gateway-backend",
        "httproute",
        "httproute-direct",
        "pdb",
        "preload-job",
        "prometheusrule",
        "scaledobject",
        "service",
        "service-pods",
        "serviceaccount",
        "servicemonitor",
        "vmrule",
        "vmservicescrape",
    )
)

_FIXED: tuple[tuple[str, ...], ...] = (
    ("apiVersion",),
    ("kind",),
    ("metadata", "name"),
    ("metadata", "namespace"),
    ("metadata", "ownerReferences"),
    ("spec", "selector"),
    ("spec", "scaleTargetRef"),
    ("spec", "replicas"),
    ("spec", "clusterIP"),
    ("spec", "type"),
    ("spec", "externalIPs"),
    ("spec", "loadBalancerIP"),
    ("spec", "externalName"),
    ("spec", "releaseName"),
    ("spec", "targetRefs"),
    # Replicas and GPUs are capped by the settings; a patch would go around the cap.
    ("spec", "minReplicaCount"),
    ("spec", "maxReplicaCount"),
    # Flux installs with its own rights: what, where and as whom is not the author's.
    ("spec", "targetNamespace"),
    ("spec", "storageNamespace"),
    ("spec", "kubeConfig"),
    ("spec", "chart"),
    ("spec", "chartRef"),
    ("spec", "postRenderers"),
    ("spec", "valuesFrom"),
    ("spec", "values", "inferencePool", "modelServers"),
    ("spec", "values", "inferenceExtension", "image"),
    ("spec", "serviceAccountName"),
    ("spec", "template", "spec", "automountServiceAccountToken"),
    ("spec", "template", "spec", "serviceAccountName"),
    ("status",),
)
_LABELS: tuple[tuple[str, ...], ...] = (
    ("metadata", "labels"),
    ("spec", "template", "metadata", "labels"),
)


def apply(plan: plans.Plan, suffix: str, manifest: meta.Manifest) -> meta.Manifest:
    """Returns the manifest with the author's patch for it, if there is one.

    Raises:
        base.InvalidError: The patch touches what no patch may touch.
    """
    patch = (plan.spec.patches or {}).get(suffix)
    if patch is None:
        return manifest
    patched: meta.Manifest = canonical.plain(canonical.merge_patch(manifest, patch))
    found = [
        base.Problem(f"spec.patches.{suffix}.{path}", message)
        for path, message in _touched(manifest, patched)
    ]
    if found:
        raise base.InvalidError("claim", found)
    return patched


def unknown(plan: plans.Plan) -> Iterator[base.Problem]:
    """Yields each patch that names no object that could ever be composed."""
    for suffix in sorted(set(plan.spec.patches or {}) - PATCHABLE):
        yield base.Problem(
            f"spec.patches.{suffix}", f"no such object; there are: {', '.join(sorted(PATCHABLE))}"
        )


def _touched(before: meta.Manifest, after: meta.Manifest) -> Iterator[tuple[str, str]]:
    for path in _FIXED:
        if world.at(before, *path) != world.at(after, *path):
            yield ".".join(path), "a patch cannot change this"
    for path in _LABELS:
        for label in sorted(claim.SELECTING_LABELS):
            if world.at(before, *path, label) != world.at(after, *path, label):
                yield ".".join((*path, label)), "a patch cannot change this label"
    yield from _pod_touched(before, after)
    ours = {
        deployment.TEMPLATE_ANNOTATION,
        deployment.CLAIM_ANNOTATION,
        preload.WEIGHTS_ANNOTATION,
        preload.GENERATION_ANNOTATION,
    }
    for annotation in sorted(ours):
        path = ("metadata", "annotations", annotation)
        if world.at(before, *path) != world.at(after, *path):
            yield ".".join(path), "a patch cannot change this annotation"


def _pod_touched(before: meta.Manifest, after: meta.Manifest) -> Iterator[tuple[str, str]]:
    """Yields what in a pod template only the claim's own fields may say: containers and GPUs."""
    at = "spec.template.spec.containers"
    containers = world.at(after, *at.split("."))
    old = world.at(before, *at.split("."))
    if old is None:
        return
    if not isinstance(containers, list) or not all(isinstance(c, dict) for c in containers):
        yield at, "must be a list of containers"
        return
    if [c.get("name") for c in containers] != [c["name"] for c in old]:
        yield at, "a patch cannot add, remove or rename containers"
        return
    for mine, theirs in zip(old, containers, strict=True):
        if mine.get("image") != theirs.get("image"):
            yield f"{at}.image", "a patch cannot change this"
        for kind in ("requests", "limits"):
            extended = [
                {k: v for k, v in (world.at(c, "resources", kind) or {}).items() if "/" in k}
                for c in (mine, theirs)
            ]
            if extended[0] != extended[1]:
                yield f"{at}.resources.{kind}", "a patch cannot change extended resources"


def weakened(plan: plans.Plan, pod: Mapping[str, Any]) -> list[base.Problem]:
    """Returns what in a pod spec is weaker than Pod Security `restricted`, unless it may be."""
    if plan.site.permissions.allow("host_access", plan.namespace):
        return []
    return [
        base.Problem(f"pod spec {path}", f"{message} (settings permissions.hostAccess)")
        for path, message in baseline.violations(pod)
    ]
