"""The Pod Security profile, setting by setting."""

import typing

import pytest

from tests import schemas
from tests.schemas import samples


def _pod() -> samples.Object:
    spec: typing.Any = samples.minimal("Deployment")["spec"]["template"]["spec"]
    return typing.cast("samples.Object", spec)


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_the_small_workloads_keep_the_profile(kind: str) -> None:
    assert schemas.pod_security(samples.minimal(kind)["spec"]["template"]["spec"]) == []


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("hostNetwork", True, "hostNetwork: host namespaces are not allowed"),
        ("hostPID", True, "hostPID: host namespaces are not allowed"),
        ("hostIPC", True, "hostIPC: host namespaces are not allowed"),
        ("volumes.0", {"name": "h", "hostPath": {"path": "/"}}, "volume type hostPath"),
        ("volumes.0", {"name": "n", "nfs": {"server": "s", "path": "/"}}, "volume type nfs"),
        ("volumes.0", {"name": "n"}, "needs a volume type"),
        ("securityContext.sysctls", [{"name": "kernel.msgmax", "value": "1"}], "kernel.msgmax"),
        ("securityContext.runAsNonRoot", False, "securityContext.runAsNonRoot: must be true"),
        ("securityContext.runAsNonRoot", None, "must be true, here or in the pod"),
        ("securityContext.runAsUser", 0, "securityContext.runAsUser: must not be 0"),
        ("securityContext.seccompProfile", None, "must be set, here or in the pod"),
        ("securityContext.seccompProfile.type", "Unconfined", "must be RuntimeDefault or Local"),
        ("securityContext.appArmorProfile", {"type": "Unconfined"}, "appArmorProfile.type"),
        ("securityContext.seLinuxOptions", {"type": "spc_t"}, "spc_t is not allowed"),
        ("securityContext.seLinuxOptions", {"user": "u"}, "user: must not be set"),
        ("securityContext.windowsOptions", {"hostProcess": True}, "hostProcess: must not be true"),
        ("containers.0.securityContext", None, "allowPrivilegeEscalation: must be false"),
        ("containers.0.securityContext.privileged", True, "privileged: must not be true"),
        ("containers.0.securityContext.capabilities.drop", ["NET_RAW"], "drop: must have ALL"),
        ("containers.0.securityContext.capabilities.add", ["CHOWN"], "CHOWN is not allowed"),
        ("containers.0.securityContext.procMount", "Unmasked", "procMount: must be Default"),
        ("containers.0.securityContext.runAsUser", 0, "runAsUser: must not be 0"),
        ("containers.0.securityContext.runAsNonRoot", False, "runAsNonRoot: must be true"),
        ("containers.0.ports.0.hostPort", 8000, "host ports are not allowed"),
        ("containers.0.readinessProbe.httpGet.host", "x", "host: must not be set"),
        ("initContainers.0.securityContext.allowPrivilegeEscalation", True, "initContainers[0]"),
    ],
)
def test_refuses(path: str, value: object, problem: str) -> None:
    problems = schemas.pod_security(samples.put(_pod(), path, value))
    assert any(problem in found for found in problems), problems


def test_what_every_container_overrides_is_still_refused_in_the_pod() -> None:
    pod = samples.put(_pod(), "securityContext.runAsNonRoot", False)
    for key in ("containers", "initContainers"):
        samples.put(pod, f"{key}.0.securityContext.runAsNonRoot", True)
    assert schemas.pod_security(pod) == ["securityContext.runAsNonRoot: must be true"]


def test_a_container_may_bind_low_ports_and_set_what_the_pod_does_not() -> None:
    pod = samples.put(_pod(), "securityContext", {})
    context = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "Localhost", "localhostProfile": "p"},
        "seLinuxOptions": {"type": "container_t", "level": "s0"},
    }
    sysctls = [{"name": "net.ipv4.tcp_syncookies", "value": "1"}]
    samples.put(pod, "securityContext.sysctls", sysctls)
    for key in ("containers", "initContainers"):
        samples.put(pod, f"{key}.0.securityContext", context)
    assert schemas.pod_security(pod) == []
