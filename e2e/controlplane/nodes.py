"""Nodes and their fake kubelet: kwok starts, finishes and deletes pods on paper."""

from __future__ import annotations

import dataclasses
import pathlib
import time
import typing
from collections.abc import Mapping

from e2e.controlplane import api, cluster, polling, process, toolchain

STAGE = "kwok.x-k8s.io/v1alpha1"
_GPU = "nvidia.com/gpu"
_FAKE = "kwok.x-k8s.io/node"
_INSTANCE = "app.kubernetes.io/instance"


@dataclasses.dataclass(frozen=True)
class Node:
    """A machine.

    Attributes:
        name: Its name.
        gpus: How many ``nvidia.com/gpu`` it has; one with GPUs has the taint of that name, as GPU
            node pools do.
        labels: Labels beside those of every node.
        cpu: Allocatable CPUs.
        memory: Allocatable memory, a quantity.
    """

    name: str
    gpus: int = 0
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    cpu: str = "32"
    memory: str = "256Gi"

    def manifest(self) -> api.Object:
        """The Node object, with its capacity in the status."""
        resources = {
            "cpu": self.cpu,
            "memory": self.memory,
            "ephemeral-storage": "500Gi",
            "pods": "110",
        }
        spec: api.Object = {}
        if self.gpus:
            resources[_GPU] = str(self.gpus)
            spec["taints"] = [{"key": _GPU, "value": "present", "effect": "NoSchedule"}]
        labels = {
            "kubernetes.io/hostname": self.name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
        }
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": self.name,
                "labels": labels | dict(self.labels),
                "annotations": {_FAKE: "fake"},
            },
            "spec": spec,
            "status": {"allocatable": resources, "capacity": resources},
        }


# What the NVIDIA GPU operator installs, and pods for GPUs name.
RUNTIME_CLASS: api.Object = {
    "apiVersion": "node.k8s.io/v1",
    "kind": "RuntimeClass",
    "metadata": {"name": "nvidia"},
    "handler": "nvidia",
}


class Kubelet:
    """The kubelet of every fake node, by kwok with upstream's own stages.

    A pod is Ready as soon as it is scheduled, and a Job's pod succeeds at once, unless ``hold``,
    ``run_jobs`` or ``fail_jobs`` says otherwise for its namespace. Stages are objects in the API,
    so that they can be changed while it runs.
    """

    def __init__(self, server: cluster.APIServer, logs: pathlib.Path) -> None:
        """Describe the process; ``start`` runs it."""
        (port,) = process.free_ports(1)
        self._admin = server.client()
        self._held: set[str] = set()
        self._left: set[str] = set()
        self._lasting: set[str] = set()
        self._failures: dict[str, set[str]] = {}
        self._nudges = 0
        command: list[str | pathlib.Path] = [
            toolchain.program(cluster.GROUP, "kwok"),
            f"--kubeconfig={server.kubeconfig('kubelet')}",
            # Others are real (`e2e.machines`).
            f"--manage-nodes-with-annotation-selector={_FAKE}=fake",
            # Without leases the node life-cycle controller marks the nodes NotReady.
            "--node-lease-duration-seconds=40",
            "--enable-crds=Stage",
            f"--server-address=127.0.0.1:{port}",
        ]
        self.process = process.Process(
            "kwok",
            command,
            logs=logs,
            ready=lambda: process.answers(f"http://127.0.0.1:{port}/healthz"),
        )

    def install(self) -> None:
        """Create the Stage kind and upstream's stages."""
        for path in toolchain.manifests(cluster.GROUP, "crds"):
            for crd in api.load(path):
                self._admin.create(crd)
                self._admin.wait_condition(api.Ref.of(crd), "Established")
        for stage in self._upstream().values():
            # The kind is Established a moment before it is served.
            polling.until(
                lambda stage=stage: self._admin.apply(stage),  # type: ignore[misc]
                what="the Stage kind",
                timeout=20,
                ignore=(api.ApiError,),
            )

    def add(self, node: Node) -> None:
        """Create a node and wait until it is Ready."""
        self._admin.apply(RUNTIME_CLASS)
        self._admin.create(node.manifest())
        self._admin.wait_condition(api.Ref("v1", "Node", node.name), "Ready", timeout=30)

    def cordon(self, *names: str, cordoned: bool = True) -> None:
        """Let the scheduler put no new pods on nodes, as when there is no machine to be had."""
        for name in names:
            body = {"spec": {"unschedulable": cordoned}}
            self._admin.patch(api.Ref("v1", "Node", name), body)

    def remove(self, name: str) -> None:
        """Delete a node, as when a machine is taken away; its pods are garbage-collected."""
        self._admin.delete(api.Ref("v1", "Node", name))

    def leave(self, node: str) -> None:
        """From now on only the heartbeat of a node is this kubelet's: others run its pods."""
        self._left.add(node)
        self._refresh()

    def hold(self, namespace: str) -> None:
        """From now on pods of a namespace stay Pending once scheduled, as while images pull."""
        self._held.add(namespace)
        self._refresh()

    def release(self, namespace: str) -> None:
        """Let held pods start, and wait until those that are scheduled have."""
        self._held.discard(namespace)
        self._refresh()
        self._until_moved(namespace, "Pending")

    def run_jobs(self, namespace: str) -> None:
        """From now on the containers of Jobs' pods in a namespace run on, as while they download.

        ``fail_jobs``, ``heal_jobs`` and ``end_jobs`` end them.
        """
        self._lasting.add(namespace)
        self._refresh()

    def fail_jobs(self, namespace: str, exit_code: int, *, instance: str = "") -> None:
        """Let every container of a Job's pod in a namespace end with an exit code, from now on.

        Args:
            namespace: The namespace.
            exit_code: The exit code.
            instance: Only those of pods whose label ``app.kubernetes.io/instance`` is this.
        """
        self._lasting.add(namespace)
        stage = _failure(namespace, exit_code, instance)
        self._failures.setdefault(namespace, set()).add(stage["metadata"]["name"])
        self._admin.apply(stage)
        self._refresh()
        self._until_moved(namespace, "Running", instance)

    def end_jobs(self, namespace: str, exit_code: int) -> None:
        """Let the containers of Jobs' pods that run in a namespace end so; later ones run on.

        Waits for the first of them. After ``run_jobs``.
        """
        pods = polling.until(
            lambda: [
                pod
                for pod in self._admin.objects("v1", "Pod", namespace=namespace)
                if pod["status"]["phase"] == "Running" and _of_job(pod)
            ],
            what=f"a pod of a Job that runs in {namespace}",
            timeout=30,
        )
        for pod in pods:
            self._admin.patch(api.Ref.of(pod), _ended(pod, exit_code), subresource="status")

    def heal_jobs(self, namespace: str) -> None:
        """Let the Jobs of a namespace succeed, those that run among them."""
        for name in self._failures.pop(namespace, set()):
            self._admin.delete(api.Ref(STAGE, "Stage", name))
        self._lasting.discard(namespace)
        self._refresh()
        self._until_moved(namespace, "Running")

    def _upstream(self) -> dict[str, api.Object]:
        """Upstream's stages by name."""
        stages = {}
        for path in toolchain.manifests(cluster.GROUP, "stages"):
            for stage in api.load(path):
                stages[stage["metadata"]["name"]] = stage
        return stages

    def _refresh(self) -> None:
        """Except namespaces from the stages of success: those that hold, and whose Jobs last.

        Pods of nodes that were left are excepted from every stage.
        """
        excepted: Mapping[str, set[str]] = {
            "pod-ready": self._held,
            "pod-complete": self._lasting,
            "pod-delete": set(),
        }
        for name, namespaces in excepted.items():
            stage = self._upstream()[name]
            expressions = stage["spec"]["selector"]["matchExpressions"]
            if namespaces:
                expressions.append(_where(".metadata.namespace", "NotIn", *sorted(namespaces)))
            if self._left:
                expressions.append(_where(".spec.nodeName", "NotIn", *sorted(self._left)))
            self._admin.apply(stage)

    def _until_moved(self, namespace: str, phase: str, instance: str = "") -> None:
        """Wait until no pod that a changed stage is about is left in a phase."""
        polling.until(
            lambda: not self._nudge(namespace, phase, instance),
            what=f"the pods of {namespace} to leave {phase}",
            timeout=30,
            interval=0.5,
            ignore=(api.ApiError,),
        )

    def _nudge(self, namespace: str, phase: str, instance: str) -> bool:
        """Touch pods that wait on their node: kwok looks at a pod only when it changes.

        Args:
            namespace: The namespace.
            phase: ``Pending``, or ``Running`` for those of Jobs: others run until they are deleted.
            instance: Their label ``app.kubernetes.io/instance``; any when empty.

        Returns:
            Whether there were any.
        """
        self._nudges += 1
        body = {"metadata": {"annotations": {"e2e/nudge": str(self._nudges)}}}
        labels = {_INSTANCE: instance} if instance else None
        waiting = [
            pod
            for pod in self._admin.objects("v1", "Pod", namespace=namespace, labels=labels)
            if pod["spec"].get("nodeName")
            and pod["status"]["phase"] == phase
            and (phase == "Pending" or _of_job(pod))
        ]
        for pod in waiting:
            self._admin.patch(api.Ref.of(pod), body)
        return bool(waiting)


def _of_job(pod: api.Object) -> bool:
    return any(owner["kind"] == "Job" for owner in pod["metadata"].get("ownerReferences", []))


def _ended(pod: api.Object, exit_code: int) -> api.Object:
    """The status of a pod whose containers ended."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    reason = "Error" if exit_code else "Completed"
    ended = {"exitCode": exit_code, "reason": reason, "startedAt": now, "finishedAt": now}
    statuses = [
        {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "ready": False,
            "restartCount": 0,
            "state": {"terminated": ended},
        }
        for container in pod["spec"]["containers"]
    ]
    phase = "Failed" if exit_code else "Succeeded"
    return {"status": {"phase": phase, "containerStatuses": statuses}}


_Operator: typing.TypeAlias = typing.Literal["In", "NotIn", "Exists", "DoesNotExist"]


def _where(key: str, operator: _Operator, *values: str) -> api.Object:
    """A requirement of a stage's selector; ``key`` is a jq path."""
    requirement: api.Object = {"key": key, "operator": operator}
    if values:
        requirement["values"] = list(values)
    return requirement


def _failure(namespace: str, exit_code: int, instance: str) -> api.Object:
    """The stage in which a running pod of a Job ends with an exit code."""
    template = f"""\
{{{{ $now := Now }}}}
containerStatuses:
{{{{ range .spec.containers }}}}
- image: {{{{ .image | Quote }}}}
  name: {{{{ .name | Quote }}}}
  ready: false
  restartCount: 0
  started: false
  state:
    terminated:
      exitCode: {exit_code}
      finishedAt: {{{{ $now | Quote }}}}
      reason: Error
      startedAt: {{{{ $now | Quote }}}}
{{{{ end }}}}
phase: Failed
"""
    return {
        "apiVersion": STAGE,
        "kind": "Stage",
        "metadata": {"name": "-".join(filter(None, ("pod-fail", namespace, instance)))},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
            "selector": {
                "matchLabels": {_INSTANCE: instance} if instance else {},
                "matchExpressions": [
                    _where(".metadata.deletionTimestamp", "DoesNotExist"),
                    _where(".status.phase", "In", "Running"),
                    _where(".metadata.ownerReferences.[].kind", "In", "Job"),
                    _where(".metadata.namespace", "In", namespace),
                ],
            },
            "next": {"statusTemplate": template},
        },
    }
