"""What an author writes into pods: where they run, what marks them, what they ask a node for.

A pod's labels make other objects select it, its annotations make controllers change it, its
tolerations and selectors bring it onto nodes of others, its priority evicts what others run. Each
is read as Kubernetes types it, and names are the settings' to allow (`allowed`), by namespace.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from function.api import base, claim, claim_pod, containers, kubernetes, settings, volumes
from function.boundary import amounts, grants, permissions, sources
from function.cluster import observed
from function.planning import hardware, identity, payers

# Taints that Kubernetes tolerates for every pod, for five minutes; an author may say how long.
_NODE_TAINTS = frozenset(("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"))
# Nodes of the control plane. No pattern with a wildcard opens them.
_CONTROL_PLANE = frozenset(
    ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
)
_NODE_NAME = "kubernetes.io/hostname"

# By these Kubernetes' own controllers and our policies and Services select pods.
_SELECTED = frozenset(
    (
        "controller-revision-hash",
        "controller-uid",
        "inferencepool",
        "job-name",
        "pod-template-hash",
    )
)
_SELECTED_DOMAINS = (
    "app.kubernetes.io",
    "apps.kubernetes.io",
    "batch.kubernetes.io",
    "gateway.envoyproxy.io",
    "gateway.networking.k8s.io",
    identity.DOMAIN,
    "statefulset.kubernetes.io",
)


def refusals(resource: claim.InferenceService, site: settings.Settings) -> Iterator[base.Problem]:
    """Yields what is no part of a pod, and what the settings do not allow."""
    extra = resource.spec.pod_template or claim_pod.PodTemplate()
    problems = list(_misshapen(resource.spec, extra))
    yield from problems
    if problems:
        # Names are looked for in fields that have their types.
        return
    yield from _labels(extra, resource, site)
    yield from _payers(resource, site)
    yield from _annotations(extra, resource, site)
    yield from _priority(extra, resource, site)
    yield from _tolerations(extra, resource, site)
    yield from _nodes(extra, resource, site)
    yield from _pod_terms(extra, resource, site)
    yield from _resources(resource, site)


def misshapen(pod: Any, path: str, *, ends: bool) -> Iterator[base.Problem]:
    """Yields each field of a whole pod spec that the API server does not take.

    Args:
        pod: The spec.
        path: Where it stands.
        ends: Whether such pods end by themselves, as those of a Job.
    """
    wrong = list(kubernetes.problems(containers.Pod, pod, path))
    yield from wrong
    yield from _misplaced(pod, path)
    if wrong:
        return
    yield from amounts.of_pod(pod, path)
    for group in ("initContainers", "containers"):
        for index, container in enumerate(pod.get(group) or []):
            at = f"{path}.{group}[{index}]"
            yield from _unread(container, at)
            yield from _unmounted(container, pod, at)
    if not ends and pod.get("restartPolicy") not in (None, "Always"):
        yield base.Problem(f"{path}.restartPolicy", "pods that serve have Always")
    if not ends and pod.get("activeDeadlineSeconds") is not None:
        yield base.Problem(f"{path}.activeDeadlineSeconds", "is for pods of Jobs")


def _unread(container: dict[str, Any], path: str) -> Iterator[base.Problem]:
    """Yields each source of a variable that is none; a patch may read a file of a volume too."""
    for index, variable in enumerate(container.get("env") or []):
        source = variable.get("valueFrom")
        if source is not None and "fileKeyRef" not in source:
            yield from sources.misshapen(source, f"{path}.env[{index}].valueFrom")


def _unmounted(container: dict[str, Any], pod: dict[str, Any], path: str) -> Iterator[base.Problem]:
    """Yields each mount of a volume that the pod does not have."""
    there = {volume["name"] for volume in pod.get("volumes") or []}
    for index, mount in enumerate(container.get("volumeMounts") or []):
        if mount["name"] not in there:
            words = f"{mount['name']!r} names no volume; there are: {', '.join(sorted(there))}"
            yield base.Problem(f"{path}.volumeMounts[{index}].name", words)


def _misplaced(pod: Any, path: str) -> Iterator[base.Problem]:
    """Yields each field about a pod's place that has not the type that Kubernetes gives it."""
    if (affinity := observed.at(pod, "affinity")) is not None:
        yield from kubernetes.problems(kubernetes.Affinity, affinity, f"{path}.affinity")
    selector = observed.at(pod, "nodeSelector")
    if selector is not None:
        written = {"matchLabels": selector}
        for problem in kubernetes.problems(kubernetes.Selector, written, path):
            at = problem.path.replace(".matchLabels", ".nodeSelector", 1)
            yield base.Problem(at, problem.message)
    for field in ("tolerations", "topologySpreadConstraints"):
        items = observed.at(pod, field)
        if items is not None and not isinstance(items, list):
            yield base.Problem(f"{path}.{field}", "must be a list")
        elif items:
            yield from _each(kubernetes.ITEMS[field], items, f"{path}.{field}")


def _each(model: type[base.Model], items: list[Any] | None, path: str) -> Iterator[base.Problem]:
    for index, item in enumerate(items or []):
        yield from kubernetes.problems(model, item, f"{path}[{index}]")


def _misshapen(spec: claim.Spec, extra: claim_pod.PodTemplate) -> Iterator[base.Problem]:
    """Yields what the author writes that the API server does not take in a pod."""
    written = {
        "affinity": extra.affinity,
        "tolerations": extra.tolerations,
        "topologySpreadConstraints": extra.topology_spread_constraints,
    }
    path = "spec.podTemplate"
    yield from _misplaced(written, path)
    # Types that few claims need are read with the first claim that needs them (function/late.py).
    if extra.volumes:
        yield from _each(volumes.Volume, extra.volumes, f"{path}.volumes")
    if extra.volume_mounts:
        yield from _each(volumes.Mount, extra.volume_mounts, f"{path}.volumeMounts")
    if spec.security_context is not None:
        path = "spec.securityContext"
        yield from kubernetes.problems(kubernetes.OwnSecurityContext, spec.security_context, path)


def _labels(
    extra: claim_pod.PodTemplate, resource: claim.InferenceService, site: settings.Settings
) -> Iterator[base.Problem]:
    for key in sorted(extra.labels or {}):
        yield from _label(f"spec.podTemplate.labels.{key}", key, resource, site)


def _payers(resource: claim.InferenceService, site: settings.Settings) -> Iterator[base.Problem]:
    """Yields each payer whose label no author may write.

    A key that the settings name for payers is theirs to write; of the usual ones nobody has said
    so, and one may be the site's own.
    """
    named = {getattr(site.pricing.labels, name) for name in site.pricing.labels.model_fields_set}
    for field, key in payers.keys(resource.spec, site).items():
        if key in site.labels and key not in named:
            words = f"the settings' labels have {key!r}: name another key in pricing.labels"
            yield base.Problem(f"spec.cost.{field}", words)
        problems = _label(f"spec.cost.{field}", key, resource, site, granted=key in named)
        yield from problems


def _label(
    path: str,
    key: str,
    resource: claim.InferenceService,
    site: settings.Settings,
    *,
    granted: bool = False,
) -> Iterator[base.Problem]:
    selected = _SELECTED | _peers(site)
    if key in selected or key.partition("/")[0] in _SELECTED_DOMAINS:
        yield base.Problem(path, "policies and Services select pods by this label")
    elif not granted:
        yield from grants.outside("labels", path, key, resource, site)


def _peers(site: settings.Settings) -> set[str]:
    """Returns the labels by which the settings tell pods of the platform."""
    network, route = site.network, site.route
    peers = [*network.callers, *network.scrapers, network.dns]
    peers += [route.proxy] if route.proxy is not None else []
    return {key for peer in peers for key in peer.pod_labels}


def _annotations(
    extra: claim_pod.PodTemplate, resource: claim.InferenceService, site: settings.Settings
) -> Iterator[base.Problem]:
    for key in sorted(extra.annotations or {}):
        path = f"spec.podTemplate.annotations.{key}"
        if key.partition("/")[0] == identity.DOMAIN:
            yield base.Problem(path, "annotations of this domain are the function's own")
        else:
            yield from grants.outside("annotations", path, key, resource, site)


def _priority(
    extra: claim_pod.PodTemplate, resource: claim.InferenceService, site: settings.Settings
) -> Iterator[base.Problem]:
    name, path = extra.priority_class_name, "spec.podTemplate.priorityClassName"
    if name is None:
        return
    if name.startswith("system-"):
        yield base.Problem(path, "classes that begin with system- are for Kubernetes' own pods")
    else:
        yield from grants.outside("priority_classes", path, name, resource, site)


def _tolerations(
    extra: claim_pod.PodTemplate, resource: claim.InferenceService, site: settings.Settings
) -> Iterator[base.Problem]:
    _, gpu = hardware.gpu_class(resource.spec, site)
    # A list: settings take any value as a key, also one that no set holds.
    own = [*_NODE_TAINTS, *(observed.at(toleration, "key") for toleration in gpu.tolerations)]
    for index, toleration in enumerate(extra.tolerations or []):
        key = toleration.get("key")
        path = f"spec.podTemplate.tolerations[{index}]"
        if not key:
            words = "without a key it tolerates every taint"
            yield from permissions.closed("any_taint", path, resource.namespace, site, words)
        elif key not in own:
            yield from _node("taints", f"{path}.key", key, resource, site)


def _nodes(
    extra: claim_pod.PodTemplate, resource: claim.InferenceService, site: settings.Settings
) -> Iterator[base.Problem]:
    for key in sorted(extra.node_selector or {}):
        path = f"spec.podTemplate.nodeSelector.{key}"
        yield from _node("node_labels", path, key, resource, site)
    wanted = observed.at(extra.affinity, "nodeAffinity") or {}
    root = "spec.podTemplate.affinity.nodeAffinity"
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    terms = [
        (f"{root}.{required}.nodeSelectorTerms[{index}]", term)
        for index, term in enumerate(observed.at(wanted, required, "nodeSelectorTerms") or [])
    ] + [
        (f"{root}.{preferred}[{index}].preference", item["preference"])
        for index, item in enumerate(wanted.get(preferred) or [])
    ]
    for path, term in terms:
        for index, expression in enumerate(term.get("matchExpressions") or []):
            at = f"{path}.matchExpressions[{index}].key"
            yield from _node("node_labels", at, expression["key"], resource, site)
        if term.get("matchFields"):
            yield from _node("node_labels", f"{path}.matchFields", _NODE_NAME, resource, site)


def _node(
    field: str, path: str, key: str, resource: claim.InferenceService, site: settings.Settings
) -> Iterator[base.Problem]:
    """Yields a problem for a taint or label of nodes that the namespace may not name."""
    if key in _CONTROL_PLANE:
        yield base.Problem(path, "nodes of the control plane run no engine")
    else:
        yield from grants.outside(field, path, key, resource, site)


def _pod_terms(
    extra: claim_pod.PodTemplate, resource: claim.InferenceService, site: settings.Settings
) -> Iterator[base.Problem]:
    """Yields each term about pods of other namespaces: it can keep those off a node."""
    for kind in ("podAffinity", "podAntiAffinity"):
        for group, terms in sorted((observed.at(extra.affinity, kind) or {}).items()):
            for index, item in enumerate(terms):
                term = item.get("podAffinityTerm", item)
                path = f"spec.podTemplate.affinity.{kind}.{group}[{index}]"
                path += ".podAffinityTerm" if "podAffinityTerm" in item else ""
                if kind == "podAntiAffinity" and group.startswith("required"):
                    yield from _own_pods(term, path, resource, site)
                others = set(term.get("namespaces") or ()) - {resource.namespace}
                if "namespaceSelector" in term or others:
                    field = "namespaceSelector" if "namespaceSelector" in term else "namespaces"
                    words = "it selects pods of other namespaces"
                    yield from permissions.closed(
                        "namespace_affinity", f"{path}.{field}", resource.namespace, site, words
                    )


def _own_pods(
    term: Mapping[str, Any],
    path: str,
    resource: claim.InferenceService,
    site: settings.Settings,
) -> Iterator[base.Problem]:
    """Yields a required anti-affinity that is about pods of others.

    Kubernetes holds it against new pods of theirs too: it keeps them off the nodes.
    """
    own = dict.fromkeys(("app.kubernetes.io/name", "app.kubernetes.io/instance"), resource.name)
    selector = observed.at(term, "labelSelector", "matchLabels") or {}
    if not own.items() & selector.items():
        words = (
            f"a required anti-affinity selects the claim's own pods"
            f" (app.kubernetes.io/instance: {resource.name}), or keeps those of others away"
        )
        yield from permissions.closed(
            "namespace_affinity", f"{path}.labelSelector", resource.namespace, site, words
        )


def _resources(resource: claim.InferenceService, site: settings.Settings) -> Iterator[base.Problem]:
    """Yields GPUs beside `spec.gpu`, by which they are counted, and devices nobody allowed."""
    spec = resource.spec
    classes = {gpu.resource_name for gpu in site.gpu.classes.values()}
    domains = hardware.GPU_DOMAINS | {name.partition("/")[0] for name in classes}
    own = spec.resources or claim_pod.ResourceRequirements()
    for kind, asked in (("requests", own.requests), ("limits", own.limits)):
        for key in sorted(key for key in asked or {} if "/" in key):
            path = f"spec.resources.{kind}.{key}"
            if key.partition("/")[0] in domains:
                yield base.Problem(
                    path, "GPUs are asked for by spec.gpu alone: count, class and resourceName"
                )
            else:
                yield from grants.outside("resources", path, key, resource, site)
    yield from amounts.of_claim(own)
    name, path = base.of(spec.gpu, "resource_name"), "spec.gpu.resourceName"
    if name is not None and name.startswith("requests."):
        yield base.Problem(path, "a resource cannot begin with requests.: quotas do")
    elif name is not None and name not in classes and name.partition("/")[0] not in domains:
        yield from grants.outside("resources", path, name, resource, site)
