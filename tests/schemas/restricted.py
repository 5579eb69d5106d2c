"""The Pod Security profile `restricted`.

Source: pod-security-admission 1.36 `policy/check_*.go`, baseline checks included. The relaxation
for pods in a user namespace (`hostUsers: false`, 1.35) is not taken, since older clusters refuse
such pods. AppArmor annotations, which are metadata, are not looked at.
"""

import typing
from collections import abc

from tests.schemas import structural

Object: typing.TypeAlias = abc.Mapping[str, typing.Any]

_VOLUMES = frozenset(
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
_SYSCTLS = frozenset(
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
_SELINUX_TYPES = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def pod_security(pod_spec: Object) -> list[str]:
    """Return how a pod spec breaks the profile; empty when it does not.

    Args:
        pod_spec: `spec` of a pod or of a pod template, valid in itself.
    """
    pod = structural.without_nulls(pod_spec)
    return [*_pod(pod), *_volumes(pod), *_containers(pod)]


def _pod(pod: Object) -> abc.Iterator[str]:
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(key):
            yield f"{key}: host namespaces are not allowed"
    context = pod.get("securityContext", {})
    for item in context.get("sysctls", ()):
        if item.get("name") not in _SYSCTLS:
            yield f"securityContext.sysctls: {item.get('name')} is not allowed"
    if context.get("runAsNonRoot") is False:
        yield "securityContext.runAsNonRoot: must be true"
    yield from _context(context, "securityContext")


def _volumes(pod: Object) -> abc.Iterator[str]:
    for index, volume in enumerate(pod.get("volumes", ())):
        kinds = set(volume) - {"name"}
        if not kinds:
            yield f"volumes[{index}]: needs a volume type"
        for kind in sorted(kinds - _VOLUMES):
            yield f"volumes[{index}]: volume type {kind} is not allowed"


def _containers(pod: Object) -> abc.Iterator[str]:
    for key in _CONTAINERS:
        for index, container in enumerate(pod.get(key, ())):
            path = f"{key}[{index}]"
            context = container.get("securityContext", {})
            yield from _context(context, f"{path}.securityContext")
            yield from _privileges(context, f"{path}.securityContext")
            yield from _inherited(context, pod.get("securityContext", {}), path)
            yield from _host(container, path)


def _context(context: Object, path: str) -> abc.Iterator[str]:
    """Settings that must not be bad wherever they are given."""
    if context.get("runAsUser") == 0:
        yield f"{path}.runAsUser: must not be 0"
    seccomp = context.get("seccompProfile")
    if seccomp is not None and seccomp.get("type") not in ("RuntimeDefault", "Localhost"):
        yield f"{path}.seccompProfile.type: must be RuntimeDefault or Localhost"
    armor = context.get("appArmorProfile")
    if armor is not None and armor.get("type") not in ("RuntimeDefault", "Localhost"):
        yield f"{path}.appArmorProfile.type: must be RuntimeDefault or Localhost"
    selinux = context.get("seLinuxOptions", {})
    if selinux.get("type", "") not in _SELINUX_TYPES:
        yield f"{path}.seLinuxOptions.type: {selinux['type']} is not allowed"
    for key in ("user", "role"):
        if selinux.get(key):
            yield f"{path}.seLinuxOptions.{key}: must not be set"
    if context.get("windowsOptions", {}).get("hostProcess"):
        yield f"{path}.windowsOptions.hostProcess: must not be true"


def _privileges(context: Object, path: str) -> abc.Iterator[str]:
    if context.get("privileged"):
        yield f"{path}.privileged: must not be true"
    if context.get("allowPrivilegeEscalation") is not False:
        yield f"{path}.allowPrivilegeEscalation: must be false"
    capabilities = context.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", ()):
        yield f"{path}.capabilities.drop: must have ALL"
    for name in capabilities.get("add", ()):
        if name != "NET_BIND_SERVICE":
            yield f"{path}.capabilities.add: {name} is not allowed"
    if context.get("procMount", "Default") != "Default":
        yield f"{path}.procMount: must be Default"


def _inherited(context: Object, pod: Object, path: str) -> abc.Iterator[str]:
    """Settings that must be given, in the container or in its pod."""
    non_root = context.get("runAsNonRoot", pod.get("runAsNonRoot"))
    if non_root is not True:
        yield f"{path}.securityContext.runAsNonRoot: must be true, here or in the pod"
    if "seccompProfile" not in context and "seccompProfile" not in pod:
        yield f"{path}.securityContext.seccompProfile: must be set, here or in the pod"


def _host(container: Object, path: str) -> abc.Iterator[str]:
    for index, port in enumerate(container.get("ports", ())):
        if port.get("hostPort"):
            yield f"{path}.ports[{index}].hostPort: host ports are not allowed"
    hooks = container.get("lifecycle", {})
    handlers = {f"lifecycle.{key}": hooks[key] for key in ("postStart", "preStop") if key in hooks}
    handlers |= {key: container[key] for key in _PROBES if key in container}
    for name, handler in handlers.items():
        for key in ("httpGet", "tcpSocket"):
            if handler.get(key, {}).get("host"):
                yield f"{path}.{name}.{key}.host: must not be set"
