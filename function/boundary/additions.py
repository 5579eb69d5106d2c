"""What an author adds to the pod, against what the pod has already."""

from collections.abc import Iterator
from typing import Any

from function.api import base, claim
from function.cluster import observed


def collisions(
    spec: claim.Spec, pod: dict[str, Any], patched: dict[str, Any]
) -> Iterator[base.Problem]:
    """Yields each added volume or mount that the pod has already, or that mounts nothing.

    The API server refuses such a pod, for as long as the claim says so.

    Args:
        spec: What the author asks for.
        pod: The rendered pod spec, the author's additions at the end of its lists.
        patched: The same with the author's patch, which may add volumes too.
    """
    extra = spec.pod_template or claim.PodTemplate()
    volumes, mounts = extra.volumes or [], extra.volume_mounts or []
    listed = [observed.at(volume, "name") for volume in pod["volumes"]]
    yield from _twice(listed, len(volumes), "spec.podTemplate.volumes", "name")
    for container in pod["containers"]:
        paths = [
            str(observed.at(mount, "mountPath")).rstrip("/") for mount in container["volumeMounts"]
        ]
        yield from _twice(paths, len(mounts), "spec.podTemplate.volumeMounts", "mountPath")
    there = {str(observed.at(volume, "name")) for volume in patched.get("volumes") or []}
    for index, mount in enumerate(mounts):
        name = observed.at(mount, "name")
        if str(name) not in there:
            yield base.Problem(
                f"spec.podTemplate.volumeMounts[{index}].name",
                f"{name!r} names no volume of the pod; there are: {', '.join(sorted(there))}",
            )


def _twice(values: list[Any], added: int, path: str, field: str) -> Iterator[base.Problem]:
    """Yields a problem for each of the last values that stands before it already."""
    first = len(values) - added
    for index in range(first, len(values)):
        if values[index] in values[:index]:
            yield base.Problem(
                f"{path}[{index - first}].{field}", f"the pod has {values[index]!r} already"
            )
