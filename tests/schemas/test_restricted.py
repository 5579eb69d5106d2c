"""The Pod Security profile; `e2e/test_validation.py` holds this check to its program."""

import typing

import pytest

from tests import documents, schemas
from tests.schemas import samples


def _pod() -> samples.Object:
    spec: typing.Any = samples.minimal("Deployment")["spec"]["template"]["spec"]
    return typing.cast("samples.Object", spec)


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_the_small_workloads_keep_the_profile(kind: str) -> None:
    assert schemas.pod_security(samples.minimal(kind)["spec"]["template"]["spec"]) == []


@pytest.mark.parametrize(
    "row",
    documents.parse(samples.MUTATIONS.read_text(encoding="utf-8"))["unrestricted"],
    ids=lambda row: f"{row['path']} {row['value']}",
)
def test_refuses(row: samples.Object) -> None:
    assert len(schemas.pod_security(samples.put(_pod(), row["path"], row["value"]))) >= 1


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
