"""Pod Security `restricted`, as far as a claim could weaken it.

The rules are those of Kubernetes' Pod Security Standards; the API server enforces them where the
namespace says so, and this enforces them everywhere, before a GPU is asked for.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from function import observed as world

VOLUMES = frozenset(
    (
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    )
)
_SECCOMP = ("RuntimeDefault", "Localhost")


def violations(pod: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields path and message of each field of a pod spec that is weaker than the baseline."""
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field) is True:
            yield field, "must not be true"
    for index, volume in enumerate(pod.get("volumes") or []):
        for kind in sorted(set(volume) - {"name"} - VOLUMES):
            yield f"volumes[{index}].{kind}", "this kind of volume is not allowed"
    context = pod.get("securityContext") or {}
    yield from _user(context, "securityContext")
    for group in ("initContainers", "containers"):
        for index, container in enumerate(pod.get(group) or []):
            yield from _container(container, context, f"{group}[{index}]")


def _container(
    container: Mapping[str, Any], pod: Mapping[str, Any], at: str
) -> Iterator[tuple[str, str]]:
    context = container.get("securityContext") or {}
    where = f"{at}.securityContext"
    yield from _user(context, where)
    if context.get("privileged") is True:
        yield f"{where}.privileged", "must not be true"
    if context.get("allowPrivilegeEscalation") is not False:
        yield f"{where}.allowPrivilegeEscalation", "must be false"
    if context.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
        yield f"{where}.runAsNonRoot", "must be true"
    if "ALL" not in (world.at(context, "capabilities", "drop") or []):
        yield f"{where}.capabilities.drop", "must hold ALL"
    if set(world.at(context, "capabilities", "add") or []) - {"NET_BIND_SERVICE"}:
        yield f"{where}.capabilities.add", "may hold NET_BIND_SERVICE only"
    seccomp = world.at(context, "seccompProfile", "type") or world.at(pod, "seccompProfile", "type")
    if seccomp not in _SECCOMP:
        yield f"{where}.seccompProfile.type", f"must be one of {', '.join(_SECCOMP)}"
    if context.get("procMount") not in (None, "Default"):
        yield f"{where}.procMount", "must be Default"
    for index, port in enumerate(container.get("ports") or []):
        if port.get("hostPort"):
            yield f"{at}.ports[{index}].hostPort", "must be absent"


def _user(context: Mapping[str, Any], at: str) -> Iterator[tuple[str, str]]:
    if context.get("runAsUser") == 0:
        yield f"{at}.runAsUser", "must not be 0"
    if context.get("runAsNonRoot") is False:
        yield f"{at}.runAsNonRoot", "must be true"
