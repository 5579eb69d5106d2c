"""Our check of pods against Pod Security `restricted`: as strict as the API server's own."""

import copy
from typing import Any

import pytest

from function.boundary import baseline
from function.workloads import pods
from tests import cluster, schemas
from tests.resources import scene


def pod() -> Any:
    return copy.deepcopy(pods.template(scene.planned())["spec"])


def changed(path: str, value: Any) -> Any:
    """A pod spec with one field changed; `None` removes it."""
    spec = pod()
    at = spec
    *steps, last = path.split(".")
    for step in steps:
        at = at[int(step)] if step.isdigit() else at.setdefault(step, {})
    if value is None:
        del at[last]
    else:
        at[last] = value
    return spec


WEAKER = [
    ("hostNetwork", True),
    ("hostPID", True),
    ("hostIPC", True),
    ("volumes.0.hostPath", {"path": "/"}),
    ("volumes.0.nfs", {"server": "a", "path": "/"}),
    ("securityContext.runAsUser", 0),
    ("securityContext.runAsNonRoot", False),
    ("securityContext.seccompProfile", {"type": "Unconfined"}),
    ("securityContext.seccompProfile", None),
    ("securityContext.sysctls", [{"name": "kernel.msgmax", "value": "1"}]),
    ("securityContext.seLinuxOptions", {"type": "spc_t"}),
    ("securityContext.seLinuxOptions", {"user": "root"}),
    ("securityContext.appArmorProfile", {"type": "Unconfined"}),
    ("securityContext.windowsOptions", {"hostProcess": True}),
    ("containers.0.securityContext.privileged", True),
    ("containers.0.securityContext.allowPrivilegeEscalation", True),
    ("containers.0.securityContext.allowPrivilegeEscalation", None),
    ("containers.0.securityContext.runAsUser", 0),
    ("containers.0.securityContext.runAsNonRoot", False),
    ("containers.0.securityContext.capabilities", None),
    ("containers.0.securityContext.capabilities.drop", ["NET_RAW"]),
    ("containers.0.securityContext.capabilities.add", ["SYS_ADMIN"]),
    ("containers.0.securityContext.seccompProfile", {"type": "Unconfined"}),
    ("containers.0.securityContext.procMount", "Unmasked"),
    ("containers.0.securityContext.seLinuxOptions", {"role": "sysadm_r"}),
    ("containers.0.securityContext.appArmorProfile", {"type": "Unconfined"}),
    ("containers.0.securityContext.windowsOptions", {"hostProcess": True}),
    ("containers.0.ports.0.hostPort", 8000),
    ("containers.0.livenessProbe.httpGet.host", "10.0.0.1"),
    ("containers.0.lifecycle.preStop", {"httpGet": {"port": 80, "host": "10.0.0.1"}}),
    ("containers.0.lifecycle.postStart", {"tcpSocket": {"port": 80, "host": "10.0.0.1"}}),
    ("containers.0.readinessProbe", {"tcpSocket": {"port": 80, "host": "10.0.0.1"}}),
    ("containers.0.startupProbe.httpGet.host", "10.0.0.1"),
    ("initContainers", [{"name": "i", "image": "i"}]),
]
AS_STRONG = [
    ("securityContext.runAsUser", 4000),
    ("securityContext.supplementalGroups", [1]),
    ("securityContext.seLinuxOptions", {"level": "s0:c1"}),
    ("securityContext.appArmorProfile", {"type": "RuntimeDefault"}),
    ("securityContext.sysctls", [{"name": "net.ipv4.tcp_syncookies", "value": "1"}]),
    ("containers.0.securityContext.capabilities.add", ["NET_BIND_SERVICE"]),
    ("containers.0.securityContext.readOnlyRootFilesystem", False),
    ("containers.0.securityContext.runAsNonRoot", None),
    ("containers.0.securityContext.seccompProfile", {"type": "Localhost", "localhostProfile": "p"}),
]


@pytest.mark.parametrize(("path", "value"), WEAKER)
def test_what_the_profile_refuses_is_found(path: str, value: Any) -> None:
    weaker = changed(path, value)
    assert schemas.pod_security(weaker), "the reference takes it: not a case of this list"
    violations = list(baseline.violations(weaker))
    assert violations
    assert len(violations) == len(set(violations)), "each is reported once"


@pytest.mark.parametrize(("path", "value"), AS_STRONG)
def test_what_the_profile_takes_is_not_refused(path: str, value: Any) -> None:
    other = changed(path, value)
    assert schemas.pod_security(other) == []
    assert list(baseline.violations(other)) == []


def test_our_own_pods_pass() -> None:
    assert list(baseline.violations(pod())) == []


@pytest.mark.decision(8)
@pytest.mark.parametrize(
    "spec",
    [
        {"securityContext": {"privileged": True, "allowPrivilegeEscalation": True}},
        {"securityContext": {"runAsUser": 0}},
        {"securityContext": {"allowPrivilegeEscalation": True}},
        {"securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}},
        {"securityContext": {"capabilities": None}},
        {"securityContext": {"seLinuxOptions": {"type": "spc_t"}}},
        {"podTemplate": {"volumes": [{"name": "root", "hostPath": {"path": "/"}}]}},
        {"patches": {"deployment": {"spec": {"template": {"spec": {"hostNetwork": True}}}}}},
        {"patches": {"preload-job": {"spec": {"template": {"spec": {"hostPID": True}}}}}},
        {
            "patches": {
                "deployment": {
                    "spec": {
                        "template": {"spec": {"initContainers": [{"name": "i", "image": "i"}]}}
                    }
                }
            }
        },
    ],
)
def test_a_claim_cannot_weaken_its_pods_unless_the_settings_say_so(spec: cluster.Object) -> None:
    permissions = {"patches": ["llm"], "volumes": ["llm"]}
    claimed = scene.of(**spec)
    message = scene.refused(claimed, scene.site(permissions=permissions))
    assert "permissions.hostAccess" in message
    elsewhere = {**permissions, "hostAccess": ["other"]}
    scene.refused(claimed, scene.site(permissions=elsewhere))
    allowed = scene.site(permissions={**permissions, "hostAccess": ["llm"]})
    assert cluster.Cluster(claimed, allowed).reconcile().fatal is None
