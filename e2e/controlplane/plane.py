"""The whole control plane, started in order and stopped in the other."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import types
import typing
from collections.abc import Callable, Sequence

from e2e.controlplane import (
    api,
    cluster,
    crossplane,
    nodes,
    polling,
    process,
    registry,
    toolchain,
)

# Enough for a few claims at a time, and for one with tensor parallelism over four GPUs.
NODES: Sequence[nodes.Node] = (
    nodes.Node("cpu-0"),
    nodes.Node("gpu-0", gpus=4),
    nodes.Node("gpu-1", gpus=4),
)
_DEVELOPER_ROLES = ("edit", "crossplane-edit")


class ControlPlane:
    """etcd, API server, controller manager, scheduler, fake kubelet, Crossplane, OCI registry.

    Everything is on loopback, on ports that were free when it was made, with its files and logs
    below one directory.

    Attributes:
        logs: Directory of the logs; ``audit.jsonl`` among them.
        api: The API server; ``api.audit`` counts writes.
        admin: The API as a cluster administrator.
        developer: The API as a user who may edit in the namespaces made by ``namespace``.
        kubelet: Nodes, and what becomes of pods on them.
        crossplane: Crossplane core and its RBAC manager.
        registry: OCI registry.
        etcd: The process; likewise ``controller_manager`` and ``scheduler``.
    """

    def __init__(self, work: pathlib.Path, *, version: str = crossplane.VERSIONS[-1]) -> None:
        """Prepare the files; nothing runs yet.

        Args:
            work: An empty or absent directory.
            version: Crossplane's, one of ``crossplane.VERSIONS``.

        Raises:
            toolchain.MissingToolsError: The programs are not built.
        """
        self.logs = work / "logs"
        self.logs.mkdir(parents=True)
        (etcd_port,) = process.free_ports(1)
        self.etcd = cluster.etcd(work, self.logs, etcd_port)
        self.api = cluster.APIServer(work, self.logs, etcd_port)
        self.admin = self.api.client()
        self.developer = self.api.client("developer")
        self.controller_manager = cluster.controller_manager(self.api, self.logs)
        self.scheduler = cluster.scheduler(self.api, self.logs)
        self.kubelet = nodes.Kubelet(self.api, self.logs)
        self.crossplane = crossplane.Crossplane(self.api, work, self.logs, version)
        self.registry = registry.Registry(work, self.logs)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> typing.Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything and wait until it is ready; nothing stays behind when that fails.

        Raises:
            process.ProcessError: A program ended or was not ready in time.
        """
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        self._run(self.etcd)
        self._run(self.api.process)
        # These wait for nobody but the API server: let them come up together.
        together = (self.controller_manager, self.scheduler, self.registry.process)
        for item in together:
            self._stack.callback(item.stop)
            item.launch()
        self.kubelet.install()
        self._run(self.kubelet.process)
        for item in together:
            item.wait_ready()
        for node in NODES:
            self.kubelet.add(node)
        self.crossplane.install()
        self._stack.callback(self.crossplane.stop)
        self.crossplane.start()

    def _run(self, item: process.Process) -> None:
        self._stack.callback(item.stop)
        item.start()

    def stop(self) -> None:
        """Stop everything, last started first, by process id; idempotent."""
        self._stack.close()

    def processes(self) -> list[process.Process]:
        """Every process of the control plane."""
        return [
            self.etcd,
            self.api.process,
            self.controller_manager,
            self.scheduler,
            self.kubelet.process,
            self.registry.process,
            self.crossplane.core,
            self.crossplane.rbac,
        ]

    def install_crds(
        self, directory: pathlib.Path, *, only: Callable[[str], bool] = bool
    ) -> list[str]:
        """Install the CRDs below a directory and wait until each is served, and its schema told.

        Args:
            directory: Holds YAML files at any depth; objects of other kinds are left out.
            only: Whether to install the CRD of a name; by default all are.

        Returns:
            The names of the CRDs.
        """
        crds = [
            item
            for path in sorted(directory.rglob("*.yaml"))
            for item in api.load(path)
            if item["kind"] == "CustomResourceDefinition" and only(item["metadata"]["name"])
        ]
        for crd in crds:
            self.admin.create(crd)
        for crd in crds:
            self.admin.wait_condition(api.Ref.of(crd), "Established")
        kinds: dict[str, set[str]] = {}
        for crd in crds:
            for version in crd["spec"]["versions"]:
                if version["served"]:
                    group_version = f"{crd['spec']['group']}/{version['name']}"
                    kinds.setdefault(group_version, set()).add(crd["spec"]["names"]["kind"])
        for group_version, wanted in kinds.items():
            self._wait_told(group_version, wanted)
        return [crd["metadata"]["name"] for crd in crds]

    def _wait_told(self, group_version: str, kinds: set[str]) -> None:
        """Wait until the server tells the schemas of kinds to whoever asks it.

        That is a moment after it serves them.
        """

        def told() -> bool:
            document = self.admin.request("GET", f"/openapi/v3/apis/{group_version}")
            return kinds <= {
                entry["kind"]
                for schema in document["components"]["schemas"].values()
                for entry in schema.get("x-kubernetes-group-version-kind", ())
            }

        what = f"the schemas of {group_version}"
        polling.until(told, what=what, timeout=60, ignore=(api.ApiError,))

    def namespace(self, name: str, *, pod_security: str = "restricted") -> str:
        """Create a namespace in which the developer may edit, and return its name.

        Args:
            name: Its name.
            pod_security: Pod Security level that it enforces.
        """
        label = "pod-security.kubernetes.io/enforce"
        metadata = {"name": name, "labels": {label: pod_security}}
        self.admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        group = "rbac.authorization.k8s.io"
        for role in _DEVELOPER_ROLES:
            self.admin.create(
                {
                    "apiVersion": f"{group}/v1",
                    "kind": "RoleBinding",
                    "metadata": {"name": f"developers-{role}", "namespace": name},
                    "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
                    "subjects": [{"apiGroup": group, "kind": "Group", "name": "developers"}],
                }
            )
        # Pods are refused until the controller manager has made it.
        self.admin.wait(
            api.Ref("v1", "ServiceAccount", "default", name), bool, what="there", timeout=30
        )
        return name

    def kubectl(
        self, *arguments: str, user: str = "admin", stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as a user, with the output captured and the exit status left to the caller.

        Args:
            arguments: Its arguments.
            user: A user of ``cluster.USERS``.
            stdin: Its standard input.
        """
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.logs.parent),
            "KUBECONFIG": str(self.api.kubeconfig(user)),
        }
        return subprocess.run(
            [str(toolchain.program(cluster.GROUP, "kubectl")), *arguments],
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
