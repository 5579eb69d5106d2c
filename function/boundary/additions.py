"""What an author adds to pods and alerts, against what is there already.

Kubernetes keeps such lists as maps: an object in which a key stands twice is refused, for as long
as the claim says so.
"""

from collections.abc import Iterator
from typing import Any

from function.api import base, claim, claim_metrics, claim_pod, kubernetes
from function.cluster import observed

_IN_POD = "the pod has {!r} already"


def collisions(
    spec: claim.Spec, pod: dict[str, Any], patched: dict[str, Any]
) -> Iterator[base.Problem]:
    """Yields each added entry that the pod has already, and each mount that mounts nothing.

    Args:
        spec: What the author asks for.
        pod: The rendered pod spec, the author's additions at the end of its lists.
        patched: The same with the author's patch, which may add volumes too.
    """
    extra = spec.pod_template or claim_pod.PodTemplate()
    volumes, mounts = extra.volumes or [], extra.volume_mounts or []
    listed = [observed.at(volume, "name") for volume in pod["volumes"]]
    yield from _twice(listed, len(volumes), "spec.podTemplate.volumes", "name", _IN_POD)
    for container in pod["containers"]:
        paths = [
            str(observed.at(mount, "mountPath")).rstrip("/") for mount in container["volumeMounts"]
        ]
        path = "spec.podTemplate.volumeMounts"
        yield from _twice(paths, len(mounts), path, "mountPath", _IN_POD)
    spreads = extra.topology_spread_constraints or []
    keys = [
        " with ".join(
            str(observed.at(spread, field)) for field in ("topologyKey", "whenUnsatisfiable")
        )
        for spread in spreads
    ]
    path = "spec.podTemplate.topologySpreadConstraints"
    yield from _twice(keys, len(keys), path, "topologyKey", "an entry above has {!r} already")
    there = {str(observed.at(volume, "name")) for volume in patched.get("volumes") or []}
    for index, mount in enumerate(mounts):
        name = observed.at(mount, "name")
        if str(name) not in there:
            yield base.Problem(
                f"spec.podTemplate.volumeMounts[{index}].name",
                f"{name!r} names no volume of the pod; there are: {', '.join(sorted(there))}",
            )
    yield from _without_rights(mounts, patched)


def _without_rights(mounts: list[Any], pod: dict[str, Any]) -> Iterator[base.Problem]:
    """Yields what a container may do in a pod of another kind alone."""
    for container in pod["containers"]:
        context = observed.at(container, "securityContext")
        if (
            observed.at(context, "procMount") == "Unmasked"
            and observed.at(pod, "hostUsers") is not False
        ):
            yield base.Problem(
                "spec.securityContext.procMount",
                "Unmasked needs hostUsers: false in the pod, which a patch of the workload sets",
            )
        if (
            observed.at(context, "windowsOptions", "hostProcess") is True
            and observed.at(pod, "hostNetwork") is not True
        ):
            yield base.Problem(
                "spec.securityContext.windowsOptions.hostProcess",
                "needs hostNetwork: true in the pod, which a patch of the workload sets",
            )
        for index, mount in enumerate(mounts):
            wanted = observed.at(mount, "mountPropagation") == "Bidirectional"
            if wanted and observed.at(context, "privileged") is not True:
                yield base.Problem(
                    f"spec.podTemplate.volumeMounts[{index}].mountPropagation",
                    "Bidirectional needs spec.securityContext.privileged: true",
                )


# Kubernetes reads these annotations of a pod as it reads fields, and refuses the pod for them.
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_SECCOMP_OF_POD = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP = "container.seccomp.security.alpha.kubernetes.io/"
_COST = "controller.kubernetes.io/pod-deletion-cost"
_OF_OTHERS = ("kubernetes.io/config.mirror", "scheduler.alpha.kubernetes.io/tolerations")


def annotations(spec: claim.Spec, pod: dict[str, Any]) -> Iterator[base.Problem]:
    """Yields each annotation that Kubernetes refuses in this pod, whatever the settings allow.

    Args:
        spec: What the author asks for.
        pod: The rendered pod spec, with the author's patch.
    """
    extra = spec.pod_template or claim_pod.PodTemplate()
    containers = {container["name"]: container for container in pod["containers"]}
    for key, value in sorted((extra.annotations or {}).items()):
        words = None
        if key in _OF_OTHERS:
            words = "is no author's to write: use spec.podTemplate.tolerations for tolerations"
        elif key == _COST and not _is_int32(value):
            words = "must be a whole number of 32 bits, in quotes"
        elif key.startswith(_APPARMOR):
            words = _armored(containers.get(key.removeprefix(_APPARMOR)), value)
        elif key == _SECCOMP_OF_POD and value != "runtime/default":
            words = "is not the pod's profile: use spec.securityContext.seccompProfile"
        elif key.startswith(_SECCOMP) and not _is_seccomp(value):
            words = "is runtime/default, unconfined, or localhost/ with a path without '..'"
        if words is not None:
            yield base.Problem(f"spec.podTemplate.annotations.{key}", words)


def _is_int32(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and -(2**31) <= int(text[:12]) < 2**31


def _is_seccomp(profile: str) -> bool:
    if profile in ("docker/default", "runtime/default", "unconfined"):
        return True
    path = profile.removeprefix("localhost/")
    return path != profile and kubernetes.relative(path)


def _armored(container: dict[str, Any] | None, profile: str) -> str | None:
    """Returns what is wrong with a container's profile of AppArmor, or None."""
    if container is None:
        return "names no container of the pod"
    if observed.at(container, "securityContext", "appArmorProfile") is not None:
        return "is said by spec.securityContext.appArmorProfile already: keep one"
    if profile not in ("runtime/default", "unconfined") and not profile.startswith("localhost/"):
        return "is runtime/default, unconfined, or localhost/ with the name of a profile"
    return None


def same_groups(spec: claim.Spec) -> Iterator[base.Problem]:
    """Yields each group of alerts whose name another one has: both operators refuse that."""
    rules = (spec.observability or claim_metrics.Observability()).alerting_rules
    names = [observed.at(group, "name") for group in (rules.groups if rules else None) or []]
    path = "spec.observability.alertingRules.groups"
    yield from _twice(names, len(names), path, "name", "a group above is named {!r} already")


def _twice(
    values: list[Any], added: int, path: str, field: str, message: str
) -> Iterator[base.Problem]:
    """Yields a problem for each of the last values that stands before it already."""
    first = len(values) - added
    for index in range(first, len(values)):
        if values[index] in values[:index]:
            yield base.Problem(f"{path}[{index - first}].{field}", message.format(values[index]))
