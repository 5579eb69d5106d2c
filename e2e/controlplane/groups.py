"""The controller of LeaderWorkerSets, with its webhooks.

It runs as an administrator: its own roles are not what is tested here.
"""

from __future__ import annotations

import json
import pathlib

from e2e.controlplane import admission, api, certificates, cluster, polling, process, toolchain

LWS = "lws"
_NAMESPACE = "lws-system"


class LeaderWorkerSets:
    """The controller of LeaderWorkerSets; their kind is there already.

    Attributes:
        process: The process.
    """

    def __init__(self, server: cluster.APIServer, work: pathlib.Path, logs: pathlib.Path) -> None:
        """Make its certificates and its configuration; nothing runs yet."""
        self._admin = server.client()
        directory = work / LWS
        directory.mkdir(parents=True)
        self._port, probes = process.free_ports(2)
        self._service = admission.service("lws-webhook-service", _NAMESPACE, self._port)
        self._authority = certificates.authority(directory, "ca")
        host = f"lws-webhook-service.{_NAMESPACE}.svc"
        certificates.certificate(directory, "tls", self._authority, [host])
        config = {
            "apiVersion": "config.lws.x-k8s.io/v1alpha1",
            "kind": "Configuration",
            "health": {"healthProbeBindAddress": f"127.0.0.1:{probes}"},
            "internalCertManagement": {"enable": False},
            "leaderElection": {"leaderElect": False},
            "metrics": {"bindAddress": "0"},
            "webhook": {"host": "127.0.0.1", "port": self._port, "certDir": str(directory)},
        }
        self.process = _program(LWS, server, directory, logs, config, probes)

    def start(self) -> None:
        """Install what it watches besides LeaderWorkerSets, run it, and register its webhooks."""
        _install(self._admin, LWS)
        self._admin.apply(_namespace(_NAMESPACE))
        self._admin.apply(self._service)
        self.process.start()
        # Its webhooks are served a moment after it calls itself ready.
        polling.until(lambda: admission.listens(self._port), what="webhooks of lws", timeout=60)
        hooks = admission.configurations(
            [item for path in toolchain.manifests(LWS, "webhooks") for item in api.load(path)],
            LWS,
            self._service,
            authority=self._authority.certificate.read_bytes(),
            narrow=_pods_of_groups,
        )
        self._admin.apply_all(hooks)

    def stop(self) -> None:
        """Take its webhooks back and stop it; idempotent."""
        _unregister(self._admin, LWS)
        self.process.stop()


def _pods_of_groups(hook: api.Object) -> api.Object:
    """What upstream's `config/webhook/*-patch.yaml` add."""
    if not hook["name"].endswith("pod.kb.io"):
        return {}
    key = "leaderworkerset.sigs.k8s.io/name"
    return {"objectSelector": {"matchExpressions": [{"key": key, "operator": "Exists"}]}}


def _program(
    name: str,
    server: cluster.APIServer,
    directory: pathlib.Path,
    logs: pathlib.Path,
    config: api.Object,
    probes: int,
) -> process.Process:
    path = directory / "config.yaml"
    path.write_text(json.dumps(config))
    return process.Process(
        name,
        [
            toolchain.program(name, name),
            f"--config={path}",
            f"--kubeconfig={server.kubeconfig('admin')}",
        ],
        logs=logs,
        ready=lambda: process.answers(f"http://127.0.0.1:{probes}/readyz"),
    )


def _namespace(name: str) -> api.Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _install(admin: api.Client, group: str) -> None:
    """Create the kinds of a group that are missing."""
    crds = [crd for path in toolchain.manifests(group, "crds") for crd in api.load(path)]
    missing = [crd for crd in crds if admin.find(api.Ref.of(crd)) is None]
    for crd in missing:
        admin.create(crd)
    for crd in missing:
        admin.wait_condition(api.Ref.of(crd), "Established")


def _unregister(admin: api.Client, prefix: str) -> None:
    for kind in admission.KINDS:
        name = f"{prefix}-{kind.removesuffix('WebhookConfiguration').lower()}-webhook-configuration"
        admin.delete(api.Ref("admissionregistration.k8s.io/v1", kind, name))
