"""External Secrets with its fake provider, which has what a test gives it.

It runs as an administrator: its own roles are not what is tested here.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping

from e2e.controlplane import api, cluster, process, toolchain

GROUP = "external-secrets"
_API = "external-secrets.io/v1"


class ExternalSecrets:
    """The controller of stores and of ExternalSecrets.

    Attributes:
        process: The process.
    """

    def __init__(self, server: cluster.APIServer, logs: pathlib.Path) -> None:
        """Describe it; nothing runs yet."""
        self._admin = server.client()
        self.process = process.Process(
            GROUP,
            [toolchain.program(GROUP, GROUP), f"--kubeconfig={server.kubeconfig('admin')}"],
            logs=logs,
        )

    def start(self) -> None:
        """Install the kinds that are missing, and run it."""
        self._admin.install_kinds(
            crd
            for path in toolchain.manifests(GROUP, "crds")
            for crd in api.load(path)
            if crd["kind"] == "CustomResourceDefinition"
        )
        self.process.start()

    def stop(self) -> None:
        """Stop it; idempotent."""
        self.process.stop()

    def store(self, name: str, entries: Mapping[str, Mapping[str, str]]) -> api.Ref:
        """Make a store of the cluster, or change what it holds, and wait until it is valid.

        Args:
            name: Its name.
            entries: Keys and their values, by path.
        """
        held = [{"key": path, "value": json.dumps(keys)} for path, keys in entries.items()]
        manifest = {
            "apiVersion": _API,
            "kind": "ClusterSecretStore",
            "metadata": {"name": name},
            "spec": {"provider": {"fake": {"data": held}}},
        }
        self._admin.apply(manifest)
        ref = api.Ref.of(manifest)
        self._admin.wait_condition(ref, "Ready", timeout=60)
        return ref
