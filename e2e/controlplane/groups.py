"""The controller of LeaderWorkerSets, and Kueue, each with its webhooks.

Both run as administrators: their own roles are not what is tested here.
"""

from __future__ import annotations

import base64
import json
import pathlib

from e2e.controlplane import admission, api, certificates, cluster, polling, process, toolchain

LWS, KUEUE = "lws", "kueue"
_LWS_NAMESPACE, _KUEUE_NAMESPACE = "lws-system", "kueue-system"
_SECRET = api.Ref("v1", "Secret", "kueue-webhook-server-cert", _KUEUE_NAMESPACE)
# Kinds of Kueue's that it converts between versions (config/components/crd/kustomization.yaml).
_CONVERTED = ("clusterqueues", "cohorts", "localqueues", "multikueueclusters", "workloads")
# What the pages of the product tell platforms to turn on.
INTEGRATIONS = ("deployment", "pod", "leaderworkerset.x-k8s.io/leaderworkerset")


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
        self._service = admission.service("lws-webhook-service", _LWS_NAMESPACE, self._port)
        self._authority = certificates.authority(directory, "ca")
        host = f"lws-webhook-service.{_LWS_NAMESPACE}.svc"
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
        self._admin.apply(_namespace(_LWS_NAMESPACE))
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


class Kueue:
    """Kueue, with the integrations that the product asks for.

    Attributes:
        process: The process.
    """

    def __init__(self, server: cluster.APIServer, work: pathlib.Path, logs: pathlib.Path) -> None:
        """Write its configuration; nothing runs yet."""
        self._admin = server.client()
        self._directory = work / KUEUE
        self._directory.mkdir(parents=True)
        self._port, probes = process.free_ports(2)
        self._service = admission.service("kueue-webhook-service", _KUEUE_NAMESPACE, self._port)
        config = {
            "apiVersion": "config.kueue.x-k8s.io/v1beta2",
            "kind": "Configuration",
            "featureGates": {"VisibilityOnDemand": False},
            "health": {"healthProbeBindAddress": f"127.0.0.1:{probes}"},
            "integrations": {"frameworks": list(INTEGRATIONS)},
            "leaderElection": {"leaderElect": False},
            "metrics": {"bindAddress": "0"},
            "webhook": {
                "host": "127.0.0.1",
                "port": self._port,
                "certDir": str(self._directory),
            },
        }
        self.process = _program(KUEUE, server, self._directory, logs, config, probes)

    def start(self) -> None:
        """Install its kinds, register its webhooks, and run it.

        It makes its own certificate, and writes the authority into its kinds and webhooks.
        """
        _install(self._admin, KUEUE, conversion=admission.client(self._service, "/convert"))
        self._admin.apply(_namespace(_KUEUE_NAMESPACE))
        self._admin.apply(self._service)
        self._admin.apply(
            {
                "apiVersion": _SECRET.api_version,
                "kind": _SECRET.kind,
                "metadata": {"name": _SECRET.name, "namespace": _SECRET.namespace},
            }
        )
        hooks = admission.configurations(
            [item for path in toolchain.manifests(KUEUE, "webhooks") for item in api.load(path)],
            KUEUE,
            self._service,
            narrow=_not_of_the_system,
        )
        self._admin.apply_all(hooks)
        self.process.launch()
        self._mount()
        self.process.wait_ready(180)

    def _mount(self) -> None:
        """Do what a kubelet does: put the Secret that it writes into its directory."""

        def filled(secret: api.Object) -> bool:
            return "tls.key" in secret.get("data", {})

        data = self._admin.wait(_SECRET, filled, what="a certificate", timeout=120)["data"]
        for name in ("ca.crt", "tls.crt", "tls.key"):
            (self._directory / name).write_bytes(base64.b64decode(data[name]))

    def stop(self) -> None:
        """Take its webhooks back and stop it; idempotent."""
        _unregister(self._admin, KUEUE)
        self.process.stop()


def _not_of_the_system(hook: api.Object) -> api.Object:
    """What upstream's `config/components/webhook/kustomization.yaml` adds."""
    if any(group == "kueue.x-k8s.io" for rule in hook["rules"] for group in rule["apiGroups"]):
        return {}
    names = ["kube-system", _KUEUE_NAMESPACE]
    term = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": names}
    return {"namespaceSelector": {"matchExpressions": [term]}}


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


def _install(admin: api.Client, group: str, conversion: api.Object | None = None) -> None:
    """Create the kinds of a group that are missing; a webhook converts some of the kinds."""
    crds = [crd for path in toolchain.manifests(group, "crds") for crd in api.load(path)]
    for crd in crds:
        converted = crd["spec"]["names"]["plural"] in _CONVERTED
        if conversion is not None and converted:
            webhook = {"clientConfig": conversion, "conversionReviewVersions": ["v1"]}
            crd["spec"]["conversion"] = {"strategy": "Webhook", "webhook": webhook}
        if admin.find(api.Ref.of(crd)) is None:
            admin.create(crd)
        elif conversion is not None and converted:
            # One of the kinds that the product is tested with.
            admin.patch(api.Ref.of(crd), {"spec": {"conversion": crd["spec"]["conversion"]}})
    for crd in crds:
        admin.wait_condition(api.Ref.of(crd), "Established")


def _unregister(admin: api.Client, prefix: str) -> None:
    for kind in admission.KINDS:
        name = f"{prefix}-{kind.removesuffix('WebhookConfiguration').lower()}-webhook-configuration"
        admin.delete(api.Ref("admissionregistration.k8s.io/v1", kind, name))
