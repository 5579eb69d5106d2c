"""KEDA's operator and its metrics API, which the autoscaler asks through the API server."""

from __future__ import annotations

import base64
import pathlib

from e2e.controlplane import api, certificates, cluster, process, toolchain

GROUP = "keda"
NAMESPACE = "keda"
SERVICE_ACCOUNT = "keda-operator"
USER = f"system:serviceaccount:{NAMESPACE}:{SERVICE_ACCOUNT}"
_ADAPTER = "keda-metrics-apiserver"
_RBAC = "rbac.authorization.k8s.io"
_API = api.Ref("apiregistration.k8s.io/v1", "APIService", "v1beta1.external.metrics.k8s.io")


class Keda:
    """Operator and adapter under the service account and the roles that upstream gives them.

    Kinds of its own that are missing are installed, and stay. Whoever made ScaledObjects deletes
    them before ``stop``: the operator alone takes its finalizer off. Webhooks are off, as there is
    no Service to reach them by, so what they refuse is not refused here.

    Attributes:
        operator: The process; likewise ``adapter``.
    """

    def __init__(self, server: cluster.APIServer, work: pathlib.Path, logs: pathlib.Path) -> None:
        """Describe it; ``start`` installs and runs it."""
        self._server = server
        self._admin = server.client()
        self._logs = logs
        self._certificates = work / "keda"
        self._certificates.mkdir(parents=True)
        self.operator: process.Process
        self.adapter: process.Process

    def start(self) -> None:
        """Install kinds, roles and certificates, run both, and announce the metrics API.

        Raises:
            process.ProcessError: A program ended or was not ready in time.
            TimeoutError: The API server does not reach the adapter.
        """
        self._admin.install_kinds(
            crd for path in toolchain.manifests(GROUP, "crds") for crd in api.load(path)
        )
        self._admin.apply(_object("v1", "Namespace", NAMESPACE, namespace=None))
        self._admin.apply(_object("v1", "ServiceAccount", SERVICE_ACCOUNT))
        for path in toolchain.manifests(GROUP, "roles"):
            self._admin.apply_all(api.load(path))
        self._admin.apply_all(_adapter_roles())
        self._certify()
        self._describe()
        self.operator.launch()
        self.adapter.launch()
        self.operator.wait_ready()
        self.adapter.wait_ready()
        self._admin.apply(self._service())
        self._admin.apply(self._api_service())
        self._admin.wait_condition(_API, "Available", timeout=30)

    def stop(self) -> None:
        """Take the metrics API back and stop both programs; idempotent.

        With an API that nobody serves, discovery would fail, and no namespace could be deleted.
        """
        self._admin.delete(_API)
        for item in (self.adapter, self.operator):
            item.stop()

    def _certify(self) -> None:
        """Make what KEDA would make itself: one authority, one certificate for both programs."""
        authority = certificates.authority(self._certificates, "ca")
        hosts = [f"{name}.{NAMESPACE}.svc" for name in (SERVICE_ACCOUNT, _ADAPTER)]
        certificates.certificate(self._certificates, "tls", authority, [*hosts, "localhost"])
        data = {
            name: base64.b64encode((self._certificates / name).read_bytes()).decode()
            for name in ("ca.crt", "tls.crt", "tls.key")
        }
        self._admin.apply(_object("v1", "Secret", "kedaorg-certs") | {"data": data})

    def _describe(self) -> None:
        """Choose ports and write the kubeconfig."""
        token = self._server.service_account_token(NAMESPACE, SERVICE_ACCOUNT)
        config = self._server.kubeconfig_with("keda", token)
        metrics, probes, grpc, self._port, adapter_metrics = process.free_ports(5)
        environment = {
            "KUBECONFIG": str(config),
            "POD_NAMESPACE": NAMESPACE,
            "KEDA_CLUSTER_OBJECT_NAMESPACE": NAMESPACE,
            "WATCH_NAMESPACE": "",
        }
        self.operator = process.Process(
            "keda-operator",
            [
                toolchain.program(GROUP, "keda-operator"),
                f"--metrics-bind-address=127.0.0.1:{metrics}",
                f"--health-probe-bind-address=127.0.0.1:{probes}",
                f"--metrics-service-bind-address=127.0.0.1:{grpc}",
                f"--cert-dir={self._certificates}",
                "--enable-cert-rotation=false",
            ],
            logs=self._logs,
            environment=environment,
            ready=lambda: process.answers(f"http://127.0.0.1:{probes}/readyz"),
        )
        self.adapter = process.Process(
            "keda-adapter",
            [
                toolchain.program(GROUP, "keda-adapter"),
                "--bind-address=127.0.0.1",
                f"--secure-port={self._port}",
                f"--port={adapter_metrics}",
                # With --kubeconfig alone it looks for the configuration of a pod.
                f"--lister-kubeconfig={config}",
                f"--authentication-kubeconfig={config}",
                f"--authorization-kubeconfig={config}",
                f"--cert-dir={self._certificates}",
                f"--tls-cert-file={self._certificates / 'tls.crt'}",
                f"--tls-private-key-file={self._certificates / 'tls.key'}",
                f"--client-ca-file={self._certificates / 'ca.crt'}",
                f"--metrics-service-address=localhost:{grpc}",
                f"--metrics-service-grpc-authority={SERVICE_ACCOUNT}.{NAMESPACE}.svc",
            ],
            logs=self._logs,
            environment=environment,
            ready=lambda: process.answers(f"https://127.0.0.1:{self._port}/readyz"),
        )

    def _service(self) -> api.Object:
        """Endpoints may not hold loopback addresses; the aggregator follows an external name."""
        return _object("v1", "Service", _ADAPTER) | {
            "spec": {
                "type": "ExternalName",
                "externalName": "localhost",
                "ports": [{"name": "https", "port": self._port}],
            }
        }

    def _api_service(self) -> api.Object:
        authority = (self._certificates / "ca.crt").read_bytes()
        return _object(_API.api_version, _API.kind, _API.name, namespace=None) | {
            "spec": {
                "group": "external.metrics.k8s.io",
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "caBundle": base64.b64encode(authority).decode(),
                "service": {"namespace": NAMESPACE, "name": _ADAPTER, "port": self._port},
            }
        }


def _object(
    api_version: str, kind: str, name: str, *, namespace: str | None = NAMESPACE
) -> api.Object:
    place = {"namespace": namespace} if namespace else {}
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name} | place}


def _adapter_roles() -> list[api.Object]:
    """What upstream's ``config/metrics-server/role{,_binding}.yaml`` grant.

    The adapter may ask who calls; the autoscaler may read what the adapter serves.
    """
    reader = _object(f"{_RBAC}/v1", "ClusterRole", "keda-external-metrics-reader", namespace=None)
    reader["rules"] = [
        {"apiGroups": ["external.metrics.k8s.io"], "resources": ["*"], "verbs": ["*"]}
    ]
    autoscaler = ("kube-system", "horizontal-pod-autoscaler")
    account = (NAMESPACE, SERVICE_ACCOUNT)
    return [
        reader,
        _binding("keda-system-auth-delegator", "system:auth-delegator", account),
        _binding(
            "keda-hpa-controller-external-metrics", "keda-external-metrics-reader", autoscaler
        ),
        _binding(
            "keda-auth-reader",
            "extension-apiserver-authentication-reader",
            account,
            namespace="kube-system",
        ),
    ]


def _binding(
    name: str, role: str, account: tuple[str, str], *, namespace: str | None = None
) -> api.Object:
    """A binding of a role, or of a cluster role without a namespace."""
    prefix = "" if namespace else "Cluster"
    subject = {"kind": "ServiceAccount", "namespace": account[0], "name": account[1]}
    return _object(f"{_RBAC}/v1", f"{prefix}RoleBinding", name, namespace=namespace) | {
        "roleRef": {"apiGroup": _RBAC, "kind": f"{prefix}Role", "name": role},
        "subjects": [subject],
    }
