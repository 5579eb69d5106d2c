"""The author's JSON merge patches: applied last, then checked again.

A patch is named by the suffix of a composed object's key. It can change what an object says, never
what ties objects together: kind, names, selectors, the labels that select pods, the replica count,
who is let in.
"""

from collections.abc import Iterator, Mapping, Set
from typing import Any

from function import canonical, claim_rows, kinds
from function.api import base, claim, claim_pod, settings
from function.boundary import baseline, pods, secrets, templates
from function.cluster import observed
from function.planning import identity

# As Kubernetes' strategic merge: lists of a pod that are maps by one of their fields.
MERGE_KEYS = {
    "containers": "name",
    "env": "name",
    "initContainers": "name",
    "volumeMounts": "mountPath",
    "volumes": "name",
}

# Of each group an object has one field (k8s.io/api, core/v1): with a field of the patch the others
# go. Merged, both would be there, and the API server would refuse that for good.
_HANDLERS = frozenset(("exec", "grpc", "httpGet", "sleep", "tcpSocket"))
_VALUES = frozenset(("value", "valueFrom"))

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
    # Devices are asked for by `gpu` alone.
    ("spec", "template", "spec", "resourceClaims"),
    ("status",),
)
_LABELS: tuple[tuple[str, ...], ...] = (
    ("metadata", "labels"),
    ("spec", "template", "metadata", "labels"),
)
# What objects remember for later answers: which names and directories are the claim's own.
_OURS = f"{identity.DOMAIN}/"
# The claim has this one, and nothing reads it elsewhere.
_ACCEPT = f"{_OURS}accept"
_REMEMBERING = (*_LABELS, ("metadata", "annotations"))
# KEDA takes this count without the autoscaler's bounds; `suspend` pauses.
_PAUSES = frozenset(("autoscaling.keda.sh/paused", "autoscaling.keda.sh/paused-replicas"))


def apply(
    resource: claim.InferenceService,
    site: settings.Settings,
    suffix: str,
    manifest: identity.Manifest,
) -> identity.Manifest:
    """Returns the manifest with the author's patch for it, if there is one.

    A patch is a JSON merge patch, except that containers, their variables and mounts, and volumes
    merge by name, as Kubernetes itself merges them.

    Args:
        resource: The claim.
        site: The settings.
        suffix: The name of the patch.
        manifest: The object as it was rendered, never one that was held.

    Raises:
        base.InvalidError: The patch touches what no patch may touch.
    """
    patch = (resource.spec.patches or {}).get(suffix)
    if patch is None:
        return manifest
    if twice := list(_twice(patch, f"spec.patches.{suffix}")):
        raise base.InvalidError("claim", twice)
    patched: identity.Manifest = canonical.plain(_merged(manifest, _without_images(patch)))
    # What is looked at below must have the form of an object first.
    for check in (_misshapen, _touched):
        problems = [
            base.Problem(f"spec.patches.{suffix}.{path}", message)
            for path, message in check(manifest, patched)
        ]
        if problems:
            raise base.InvalidError("claim", problems)
    problems = [
        base.Problem(f"spec.patches.{suffix}.{problem.path}", problem.message)
        for problem in secrets.patched(resource, site, manifest, patched)
    ]
    if problems:
        raise base.InvalidError("claim", problems)
    return patched


def unknown(spec: claim.Spec) -> Iterator[base.Problem]:
    """Yields each patch that names no object that could ever be composed."""
    names = claim_rows.patchable()
    for name in sorted(set(spec.patches or {}) - set(names)):
        yield base.Problem(
            f"spec.patches.{name}", f"no such object; there are: {', '.join(sorted(names))}"
        )


def _merged(target: Any, patch: Any) -> Any:
    """Returns the target after the patch; None removes a key."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for group in (_HANDLERS, _VALUES):
        merged = _only_of(group, merged, patch)
    for key in sorted(patch):
        if patch[key] is None:
            merged.pop(key, None)
        elif key in MERGE_KEYS and _keyed(merged.get(key), key) and _keyed(patch[key], key):
            merged[key] = _merged_list(merged[key], patch[key], key)
        else:
            merged[key] = _merged(merged.get(key), patch[key])
    return merged


def _only_of(
    group: Set[str], target: Mapping[str, Any], patch: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the target; of a group of which the patch has a field, with no other field."""
    chosen = {field for field in group & patch.keys() if patch[field] is not None}
    excluded = group - chosen if chosen else set()
    return {field: value for field, value in target.items() if field not in excluded}


def _keyed(items: Any, field: str) -> bool:
    """Tells whether a list is one of maps that all have a name by which the field merges."""
    return isinstance(items, list) and all(
        isinstance(item, Mapping) and isinstance(item.get(MERGE_KEYS[field]), str) for item in items
    )


def _merged_list(target: list[Any], patch: list[Any], field: str) -> list[Any]:
    """Returns the target's items, each with its patch, then those that only the patch has."""
    key = MERGE_KEYS[field]
    patches = {item[key]: item for item in patch}
    names = {item[key] for item in target}
    merged = []
    for item in target:
        changes = patches.get(item[key], {})
        if field == "volumes":
            item = _only_of((item.keys() | changes.keys()) - {key}, item, changes)
        merged.append(_merged(item, changes))
    return merged + [_merged({}, item) for item in patch if item[key] not in names]


def _without_images(patch: Any) -> Any:
    """Returns a patch without the images of containers: those follow from engine and settings.

    Until 1.1 a patch of a container had to repeat its image, so stored claims have one. It must not
    hold the claim to an engine that the platform has left.
    """
    containers = observed.at(patch, "spec", "template", "spec", "containers")
    if not _keyed(containers, "containers"):
        return patch
    bare = [{k: v for k, v in container.items() if k != "image"} for container in containers]
    spec = patch["spec"]
    pod = {**spec["template"]["spec"], "containers": bare}
    return {**patch, "spec": {**spec, "template": {**spec["template"], "spec": pod}}}


def _twice(patch: Any, path: str) -> Iterator[base.Problem]:
    """Yields each item of a list that merges by name whose name stands before it already."""
    if isinstance(patch, list):
        for index, item in enumerate(patch):
            yield from _twice(item, f"{path}[{index}]")
    if not isinstance(patch, Mapping):
        return
    for key, value in patch.items():
        if key in MERGE_KEYS and _keyed(value, key):
            names = [item[MERGE_KEYS[key]] for item in value]
            for index, name in enumerate(names):
                if name in names[:index]:
                    at = f"{path}.{key}[{index}].{MERGE_KEYS[key]}"
                    yield base.Problem(at, f"{name!r} stands twice")
        yield from _twice(value, f"{path}.{key}")


def _misshapen(before: identity.Manifest, after: identity.Manifest) -> Iterator[tuple[str, str]]:
    """Yields what in the pod template is not what its name says, where there is a template."""
    if observed.at(before, "spec", "template") is not None:
        template = observed.at(after, "spec", "template")
        wrong = [
            (f"spec.template.{path}", message) for path, message in templates.misshapen(template)
        ]
        yield from wrong
        if not wrong:
            ends = after["kind"] == kinds.JOB.name
            for problem in pods.misshapen(template["spec"], "spec.template.spec", ends=ends):
                yield problem.path, problem.message


def _touched(before: identity.Manifest, after: identity.Manifest) -> Iterator[tuple[str, str]]:
    for path in _FIXED:
        if observed.at(before, *path) != observed.at(after, *path):
            yield ".".join(path), "a patch cannot change this"
    for path in _LABELS:
        for label in sorted(claim_pod.SELECTING_LABELS):
            if observed.at(before, *path, label) != observed.at(after, *path, label):
                yield ".".join((*path, label)), "a patch cannot change this label"
    yield from _pod_touched(before, after)
    priority = observed.at(after, "spec", "template", "spec", "priorityClassName")
    if isinstance(priority, str) and priority.startswith("system-"):
        yield "spec.template.spec.priorityClassName", "system- classes are for Kubernetes' own pods"
    for owner in _REMEMBERING:
        old, new = observed.at(before, *owner), observed.at(after, *owner)
        for key in sorted(_ours(old) | _ours(new)):
            if observed.at(old, key) != observed.at(new, key):
                kind = owner[-1].removesuffix("s")
                yield ".".join((*owner, key)), f"a patch cannot change this {kind}"


def _ours(owner: Any) -> Set[str]:
    """Returns keys of labels or annotations by which objects are remembered, or paused."""
    keys = owner.keys() if isinstance(owner, Mapping) else ()
    return {key for key in keys if key in _PAUSES or (key.startswith(_OURS) and key != _ACCEPT)}


def _pod_touched(before: identity.Manifest, after: identity.Manifest) -> Iterator[tuple[str, str]]:
    """Yields what in a pod template only the claim's own fields may say: containers and GPUs."""
    at = "spec.template.spec.containers"
    containers = observed.at(after, *at.split("."))
    old = observed.at(before, *at.split("."))
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
                {k: v for k, v in (observed.at(c, "resources", kind) or {}).items() if "/" in k}
                for c in (mine, theirs)
            ]
            if extended[0] != extended[1]:
                yield f"{at}.resources.{kind}", "a patch cannot change extended resources"
    for container in observed.at(after, "spec", "template", "spec", "initContainers") or []:
        for kind in ("requests", "limits"):
            if any("/" in key for key in observed.at(container, "resources", kind) or {}):
                path = f"spec.template.spec.initContainers.resources.{kind}"
                yield path, "a patch cannot ask for extended resources"


def weakened(site: settings.Settings, namespace: str, pod: Mapping[str, Any]) -> list[base.Problem]:
    """Returns what in a pod spec is weaker than Pod Security `restricted`, unless it may be."""
    if site.permissions.allow("host_access", namespace):
        return []
    return [
        base.Problem(f"pod spec {path}", f"{message} (settings permissions.hostAccess)")
        for path, message in baseline.violations(pod)
    ]
