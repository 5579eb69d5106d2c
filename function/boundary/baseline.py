"""Pod Security `restricted`, as far as a claim could weaken it.

The rules are those of Kubernetes' Pod Security Standards; the API server enforces them where the
namespace says so, and this enforces them everywhere, before a GPU is asked for.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from function.cluster import observed

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
SYSCTLS = frozenset(
    (
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    )
)
_PROFILES = ("RuntimeDefault", "Localhost")
_SELINUX = ("container_t", "container_init_t", "container_kvm_t", "container_engine_t")
_HANDLERS = (
    ("livenessProbe",),
    ("readinessProbe",),
    ("startupProbe",),
    ("lifecycle", "postStart"),
    ("lifecycle", "preStop"),
)


def violations(pod: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields path and message of each field of a pod spec that is weaker than the baseline."""
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field) is True:
            yield field, "must not be true"
    for index, volume in enumerate(pod.get("volumes") or []):
        for kind in sorted(set(volume) - {"name"} - VOLUMES):
            yield f"volumes[{index}].{kind}", "this kind of volume is not allowed"
    context = pod.get("securityContext") or {}
    for sysctl in context.get("sysctls") or []:
        if sysctl.get("name") not in SYSCTLS:
            yield "securityContext.sysctls", f"{sysctl.get('name')} is not allowed"
    yield from _context(context, "securityContext")
    for group in ("initContainers", "containers"):
        for index, container in enumerate(pod.get(group) or []):
            yield from _container(container, context, f"{group}[{index}]")


def _container(
    container: Mapping[str, Any], pod: Mapping[str, Any], at: str
) -> Iterator[tuple[str, str]]:
    context = container.get("securityContext") or {}
    where = f"{at}.securityContext"
    yield from _context(context, where)
    if context.get("privileged") is True:
        yield f"{where}.privileged", "must not be true"
    if context.get("allowPrivilegeEscalation") is not False:
        yield f"{where}.allowPrivilegeEscalation", "must be false"
    # `_context` has reported a false of the container's own.
    if context.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True and (
        context.get("runAsNonRoot") is not False
    ):
        yield f"{where}.runAsNonRoot", "must be true"
    if "ALL" not in (observed.at(context, "capabilities", "drop") or []):
        yield f"{where}.capabilities.drop", "must hold ALL"
    if set(observed.at(context, "capabilities", "add") or []) - {"NET_BIND_SERVICE"}:
        yield f"{where}.capabilities.add", "may hold NET_BIND_SERVICE only"
    seccomp = observed.at(context, "seccompProfile", "type") or observed.at(
        pod, "seccompProfile", "type"
    )
    if seccomp not in _PROFILES:
        yield f"{where}.seccompProfile.type", f"must be one of {', '.join(_PROFILES)}"
    if context.get("procMount") not in (None, "Default"):
        yield f"{where}.procMount", "must be Default"
    yield from _host(container, at)


def _context(context: Mapping[str, Any], at: str) -> Iterator[tuple[str, str]]:
    """Yields what a security context must not hold, of a pod or of a container."""
    if context.get("runAsUser") == 0:
        yield f"{at}.runAsUser", "must not be 0"
    if context.get("runAsNonRoot") is False:
        yield f"{at}.runAsNonRoot", "must be true"
    armor = observed.at(context, "appArmorProfile", "type")
    if armor is not None and armor not in _PROFILES:
        yield f"{at}.appArmorProfile.type", f"must be one of {', '.join(_PROFILES)}"
    if observed.at(context, "seLinuxOptions", "type") not in (None, "", *_SELINUX):
        yield f"{at}.seLinuxOptions.type", f"must be one of {', '.join(_SELINUX)}"
    for field in ("user", "role"):
        if observed.at(context, "seLinuxOptions", field):
            yield f"{at}.seLinuxOptions.{field}", "must be absent"
    if observed.at(context, "windowsOptions", "hostProcess") is True:
        yield f"{at}.windowsOptions.hostProcess", "must not be true"


def _host(container: Mapping[str, Any], at: str) -> Iterator[tuple[str, str]]:
    """Yields what reaches the node's own network."""
    for index, port in enumerate(container.get("ports") or []):
        if port.get("hostPort"):
            yield f"{at}.ports[{index}].hostPort", "must be absent"
    for path in _HANDLERS:
        for kind in ("httpGet", "tcpSocket"):
            if observed.at(container, *path, kind, "host"):
                yield ".".join((at, *path, kind, "host")), "must be absent"
