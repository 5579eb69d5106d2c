"""What an author adds to pods and alerts, against what is there already.

Kubernetes keeps such lists as maps: an object in which a key stands twice is refused, for as long
as the claim says so.
"""

from collections.abc import Iterator
from typing import Any

from function.api import base, claim
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
    extra = spec.pod_template or claim.PodTemplate()
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


def same_groups(spec: claim.Spec) -> Iterator[base.Problem]:
    """Yields each group of alerts whose name another one has: both operators refuse that."""
    rules = (spec.observability or claim.Observability()).alerting_rules
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
