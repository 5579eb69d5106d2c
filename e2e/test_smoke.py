"""The control plane itself, whether or not the product is on it."""

from __future__ import annotations

import os
import pathlib
import tarfile

import pytest

from e2e.controlplane import api, audit, crossplane, plane, toolchain
from tools import build, groups

_SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def _pod_spec(*, gpus: int = 0) -> api.Object:
    """A pod that Pod Security `restricted` allows."""
    limits = {"nvidia.com/gpu": str(gpus)} if gpus else {}
    spec: api.Object = {
        "containers": [
            {
                "name": "main",
                "image": "example.org/image:v1",
                "resources": {"limits": limits},
                "securityContext": _SECURITY,
            }
        ],
    }
    if gpus:
        spec["runtimeClassName"] = "nvidia"
        spec["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    return spec


def _deployment(name: str, namespace: str, *, gpus: int) -> api.Object:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": _pod_spec(gpus=gpus)},
        },
    }


def _job(name: str, namespace: str) -> api.Object:
    """A Job that gives up at once when its container ends with 42."""
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "podFailurePolicy": {"rules": [rule]},
            "template": {"spec": _pod_spec() | {"restartPolicy": "Never"}},
        },
    }


_BUILT = [
    group for group in groups.GROUPS if not group.on_request or build.directory(group.name).is_dir()
]


@pytest.mark.parametrize("group", _BUILT, ids=lambda group: str(group.name))
def test_programs_are_built(group: groups.Group) -> None:
    """Every program and manifest of a group is there; of those on request, where anybody asked."""
    for program in group.programs:
        assert os.access(toolchain.program(group.name, program.name), os.X_OK)
    for kind in {manifests.target for manifests in group.manifests}:
        assert toolchain.manifests(group.name, kind)


def test_versions(control_plane: plane.ControlPlane) -> None:
    """The API server tells its version as a release would: clients parse it."""
    version = control_plane.admin.request("GET", "/version")
    assert version["gitVersion"].startswith("v1.")
    assert version["gitVersion"].split(".")[1] == version["minor"]


def test_a_gpu_pod_is_scheduled_and_available(
    control_plane: plane.ControlPlane, namespace: str
) -> None:
    """The real scheduler places it on a node with GPUs, and its Deployment becomes Available."""
    deployment = _deployment("engine", namespace, gpus=4)
    control_plane.developer.apply(deployment)
    control_plane.admin.wait_condition(api.Ref.of(deployment), "Available")
    (pod,) = control_plane.admin.objects("v1", "Pod", namespace=namespace, labels={"app": "engine"})
    assert pod["spec"]["nodeName"].startswith("gpu-")


def test_gpus_are_counted(control_plane: plane.ControlPlane, namespace: str) -> None:
    """A pod that asks for more GPUs than a node has stays unscheduled, with the reason."""
    control_plane.developer.apply(_deployment("huge", namespace, gpus=9))
    deployment = api.Ref("apps/v1", "Deployment", "huge", namespace)
    control_plane.admin.wait(
        deployment, lambda item: bool(item["status"].get("replicas")), what="with a pod"
    )
    (pod,) = control_plane.admin.objects("v1", "Pod", namespace=namespace)
    refused = control_plane.admin.wait_condition(api.Ref.of(pod), "PodScheduled", "False")
    assert "Insufficient nvidia.com/gpu" in str(refused["status"]["conditions"])


def test_pods_can_be_held(control_plane: plane.ControlPlane, namespace: str) -> None:
    """A held pod is scheduled but not started, until it is released."""
    control_plane.kubelet.hold(namespace)
    deployment = _deployment("slow", namespace, gpus=1)
    control_plane.developer.apply(deployment)
    control_plane.admin.wait(
        api.Ref.of(deployment), lambda item: bool(item["status"].get("replicas")), what="with a pod"
    )
    (pod,) = control_plane.admin.objects("v1", "Pod", namespace=namespace)
    scheduled = control_plane.admin.wait_condition(api.Ref.of(pod), "PodScheduled")
    assert scheduled["status"]["phase"] == "Pending"
    with pytest.raises(TimeoutError, match="Available=True"):
        control_plane.admin.wait_condition(api.Ref.of(deployment), "Available", timeout=2)
    control_plane.kubelet.release(namespace)
    control_plane.admin.wait_condition(api.Ref.of(deployment), "Available")


def test_jobs_complete_or_fail(control_plane: plane.ControlPlane, namespace: str) -> None:
    """A Job completes, or fails with the exit code that its failure policy asks about."""
    good, bad = _job("good", namespace), _job("bad", namespace)
    control_plane.developer.apply(good)
    control_plane.admin.wait_condition(api.Ref.of(good), "Complete")
    control_plane.kubelet.fail_jobs(namespace, 42)
    control_plane.developer.apply(bad)
    failed = control_plane.admin.wait_condition(api.Ref.of(bad), "Failed")
    (reason,) = [
        condition["reason"]
        for condition in failed["status"]["conditions"]
        if condition["type"] == "Failed"
    ]
    assert reason == "PodFailurePolicy"
    control_plane.kubelet.heal_jobs(namespace)
    again = _job("again", namespace)
    control_plane.developer.apply(again)
    control_plane.admin.wait_condition(api.Ref.of(again), "Complete")


def test_the_developer_is_bounded(control_plane: plane.ControlPlane, namespace: str) -> None:
    """Rights end at the namespace, and Pod Security refuses an unrestricted pod."""
    with pytest.raises(api.ApiError, match="cannot patch resource") as forbidden:
        control_plane.developer.apply(_deployment("foreign", "kube-system", gpus=0))
    assert forbidden.value.code == 403
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "privileged", "namespace": namespace},
        "spec": {"containers": [{"name": "main", "image": "example.org/image:v1"}]},
    }
    with pytest.raises(api.ApiError, match="violates PodSecurity"):
        control_plane.developer.create(pod)


def test_deletion_is_garbage_collected(control_plane: plane.ControlPlane, namespace: str) -> None:
    """What a deleted object owns goes too."""
    deployment = _deployment("brief", namespace, gpus=1)
    control_plane.developer.apply(deployment)
    control_plane.admin.wait_condition(api.Ref.of(deployment), "Available")
    (pod,) = control_plane.admin.objects("v1", "Pod", namespace=namespace)
    control_plane.developer.delete(api.Ref.of(deployment))
    control_plane.admin.wait_gone(api.Ref.of(pod))


def test_crossplane_is_up(control_plane: plane.ControlPlane) -> None:
    """Core and the RBAC manager run, as themselves, with all of Crossplane's kinds established."""
    crds = control_plane.crossplane.crds()
    assert len(crds) > 15
    for crd in crds:
        control_plane.admin.wait_condition(api.Ref.of(crd), "Established")
    assert control_plane.crossplane.core.running
    assert control_plane.crossplane.rbac.running
    writers = {write.user for write in control_plane.api.audit.writes()}
    assert crossplane.USER in writers


def test_crossplane_has_the_rights_of_its_chart(control_plane: plane.ControlPlane) -> None:
    """It may write Deployments; for kinds that the chart leaves out somebody must bring a role."""
    assert control_plane.crossplane.may("create", "apps", "deployments", "default")
    assert not control_plane.crossplane.may("create", "apps", "daemonsets", "default")


def test_crossplane_resolves_what_it_is_told(control_plane: plane.ControlPlane) -> None:
    """Core resolves names that no other process of the machine resolves."""
    hosts = pathlib.Path("/etc/hosts")
    core = control_plane.crossplane
    before = core.resolved
    core.resolve(before | {"function.crossplane-system": "127.0.0.1"})
    core_hosts = pathlib.Path(f"/proc/{core.core.pid}/root/etc/hosts")
    assert "127.0.0.1 function.crossplane-system\n" in core_hosts.read_text()
    assert "function.crossplane-system" not in hosts.read_text()
    core.resolve(before)
    assert "function.crossplane-system" not in core_hosts.read_text()


def test_an_xrd_is_established(control_plane: plane.ControlPlane) -> None:
    """Core makes the CRD of an XRD, and the RBAC manager lets core and developers use its kind."""
    definition: api.Object = {
        "apiVersion": "apiextensions.crossplane.io/v2",
        "kind": "CompositeResourceDefinition",
        "metadata": {"name": "smokes.example.org"},
        "spec": {
            "group": "example.org",
            "names": {"kind": "Smoke", "plural": "smokes"},
            "scope": "Namespaced",
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "referenceable": True,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {"spec": {"type": "object"}},
                        }
                    },
                }
            ],
        },
    }
    control_plane.admin.apply(definition)
    control_plane.admin.wait_condition(api.Ref.of(definition), "Established")
    role = "crossplane:composite:smokes.example.org:aggregate-to-crossplane"
    control_plane.admin.wait(
        api.Ref("rbac.authorization.k8s.io/v1", "ClusterRole", role), bool, what="there"
    )
    control_plane.admin.delete(api.Ref.of(definition))
    control_plane.admin.wait_gone(api.Ref.of(definition))


def test_kinds_of_the_operators_are_served(control_plane: plane.ControlPlane) -> None:
    """The CRDs that the product may emit are installed."""
    path = control_plane.admin.path("keda.sh/v1alpha1", "ScaledObject")
    assert path == "/apis/keda.sh/v1alpha1/scaledobjects"


def test_the_registry_takes_a_push(
    control_plane: plane.ControlPlane, tmp_path: pathlib.Path
) -> None:
    """An image goes in and has a digest, and is read back by its tag."""
    layer = tmp_path / "layer.tar"
    with tarfile.open(layer, "w") as archive:
        archive.add(__file__, arcname="package.yaml")
    registry = control_plane.registry
    reference = registry.reference("org/smoke", "v0.1.0")
    pushed = registry.crane("append", "--oci-empty-base", "-f", layer, "-t", reference)
    assert pushed.endswith(registry.crane("digest", reference))


def test_the_audit_log_tells_changes_from_repeats(
    control_plane: plane.ControlPlane, namespace: str
) -> None:
    """An apply that changes something and one that does not are two writes and one change."""
    item = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "counted", "namespace": namespace},
        "data": {"key": "value"},
    }
    log: audit.AuditLog = control_plane.api.audit
    start = log.mark()
    control_plane.developer.apply(item)
    control_plane.developer.apply(item)
    control_plane.developer.apply(item | {"data": {"key": "other"}})
    control_plane.developer.delete(api.Ref.of(item))
    writes = [write for write in log.writes(start) if write.name == "counted"]
    assert [(write.verb, write.changed) for write in writes] == [
        ("patch", True),
        ("patch", False),
        ("patch", True),
        ("delete", True),
    ]
    assert {write.user for write in writes} == {"developer"}


def test_the_api_server_can_be_restarted(control_plane: plane.ControlPlane, namespace: str) -> None:
    """Objects are there afterwards, and the controllers go on."""
    deployment = _deployment("survivor", namespace, gpus=1)
    control_plane.developer.apply(deployment)
    control_plane.admin.wait_condition(api.Ref.of(deployment), "Available")
    control_plane.api.process.restart()
    deployment["spec"]["replicas"] = 2
    control_plane.developer.apply(deployment)
    control_plane.admin.wait(
        api.Ref.of(deployment),
        lambda item: item["status"].get("availableReplicas") == 2,
        what="with two replicas",
    )
    for item in control_plane.processes():
        assert item.running, item.name
