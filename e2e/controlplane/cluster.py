"""Kubernetes itself: etcd, API server, controller manager and scheduler as they are."""

from __future__ import annotations

import json
import pathlib
import secrets

from e2e.controlplane import addresses, api, audit, certificates, process, toolchain

GROUP = "kubernetes"
# Addresses of Services; the first is the API server's own, which has these names.
_SERVICES, _SERVICE = "10.96.0.0/16", "10.96.0.1"
_NAMES = ("localhost", "kubernetes.default", "kubernetes.default.svc")
# Users of the token file, with their groups. The controllers have the names that the API server's
# bootstrap roles are bound to; only the administrator and the programs of nodes may do everything.
USERS = {
    "admin": "system:masters",
    "kubelet": "system:masters",
    "developer": "developers",
    "system:kube-controller-manager": "",
    "system:kube-scheduler": "",
    "system:kube-proxy": "",
    "kube-router": "system:masters",
}


def etcd(work: pathlib.Path, logs: pathlib.Path, port: int) -> process.Process:
    """One etcd member without fsync; ``port`` is its client port."""
    (peer,) = process.free_ports(1)
    url = f"http://127.0.0.1:{port}"
    command: list[str | pathlib.Path] = [
        toolchain.program(GROUP, "etcd"),
        f"--data-dir={work / 'etcd'}",
        f"--client-url={url}",
        f"--peer-url=http://127.0.0.1:{peer}",
    ]
    return process.Process(
        "etcd", command, logs=logs, ready=lambda: process.answers(f"{url}/health")
    )


class APIServer:
    """The API server: RBAC, a token for each user, service account tokens, an audit log.

    Also set up as an aggregator (front-proxy certificates), so that metrics APIs can be served by
    programs beside it.

    Attributes:
        range: Addresses of the cluster's machines and pods, should there be any.
    """

    def __init__(self, work: pathlib.Path, logs: pathlib.Path, etcd_port: int) -> None:
        """Make its files in ``work``; nothing runs yet."""
        (self.port,) = process.free_ports(1)
        self.range = addresses.take()
        self._work = work / "apiserver"
        self._work.mkdir(parents=True)
        self._tokens = {user: secrets.token_hex(16) for user in USERS}
        self.keys = certificates.signing_keys(self._work)
        # Signs what the aggregator shows to the servers behind it, and their own certificates.
        self.front_proxy = certificates.authority(self._work, "front-proxy-ca")
        # Nobody has a client certificate, but servers behind the aggregator ask for its authority;
        # it must not be the one above, whose certificates may speak for any user.
        self._client_authority = certificates.authority(self._work, "client-ca")
        # The certificate that the server would make for itself has an RSA key: each request of the
        # tests is a connection of its own, and a tenth of the server's time went into signatures.
        serving = certificates.authority(self._work, "serving-ca")
        self.authority = serving.certificate
        hosts = ["127.0.0.1", self.range.outside, _SERVICE, *_NAMES]
        self._serving = certificates.certificate(self._work, "serving", serving, hosts)
        self.audit = audit.AuditLog(logs / "audit.jsonl")
        self.process = process.Process(
            "kube-apiserver",
            self._command(etcd_port, logs),
            logs=logs,
            ready=self._ready,
            # Asked to end, it waits a minute for its clients' watches; its state is in etcd.
            grace=3,
            # Half a GiB stays in it, of the schemas and rules of 80 kinds above all. With 704 MiB
            # it collects garbage for a third of its time.
            environment={"GOGC": "100", "GOMEMLIMIT": "960MiB"},
        )

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"https://127.0.0.1:{self.port}"

    def _command(self, etcd_port: int, logs: pathlib.Path) -> list[str | pathlib.Path]:
        """Write the files that the flags name, and give the command."""
        tokens = self._work / "tokens.csv"
        rows = [f'{self._tokens[user]},{user},{user},"{group}"' for user, group in USERS.items()]
        tokens.write_text("\n".join(rows) + "\n")
        tokens.chmod(0o600)
        policy = self._work / "audit.json"
        policy.write_text(json.dumps(audit.POLICY))
        proxy = certificates.certificate(self._work, "aggregator", self.front_proxy)
        return [
            toolchain.program(GROUP, "kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{etcd_port}",
            "--bind-address=127.0.0.1",
            # Where machines and pods reach it (`e2e.machines`); its certificate names it.
            f"--advertise-address={self.range.outside}",
            # Kubelets are known by their addresses: nothing here resolves the names of nodes.
            "--kubelet-preferred-address-types=InternalIP",
            f"--secure-port={self.port}",
            f"--tls-cert-file={self._serving.certificate}",
            f"--tls-private-key-file={self._serving.key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.keys.certificate}",
            f"--service-account-signing-key-file={self.keys.key}",
            f"--service-cluster-ip-range={_SERVICES}",
            "--authorization-mode=RBAC",
            f"--token-auth-file={tokens}",
            "--allow-privileged=true",
            f"--audit-policy-file={policy}",
            f"--audit-log-path={logs / 'audit.jsonl'}",
            # By default a new file is begun at 100 MB: a run writes more.
            "--audit-log-maxsize=100000",
            f"--client-ca-file={self._client_authority.certificate}",
            f"--requestheader-client-ca-file={self.front_proxy.certificate}",
            "--requestheader-allowed-names=aggregator",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={proxy.certificate}",
            f"--proxy-client-key-file={proxy.key}",
        ]

    def _ready(self) -> bool:
        """Ready, which includes the bootstrap roles."""
        return process.answers(f"{self.url}/readyz")

    def client(self, user: str = "admin") -> api.Client:
        """The API as a user of the token file sees it."""
        return self.client_with(self._tokens[user])

    def client_with(self, token: str) -> api.Client:
        """The API as the holder of a token sees it."""
        # Its own certificate is for localhost and 127.0.0.1.
        return api.Client("127.0.0.1", self.port, self.authority, token)

    def kubeconfig(self, user: str, *, outside: bool = False) -> pathlib.Path:
        """Write a kubeconfig for a user of the token file.

        Args:
            user: The user.
            outside: For a program on a machine of the cluster, which reaches no loopback address.
        """
        name = user.replace(":", "-")
        if outside:
            server = f"https://{self.range.outside}:{self.port}"
            return self.kubeconfig_with(f"{name}-outside", self._tokens[user], server)
        return self.kubeconfig_with(name, self._tokens[user])

    def kubeconfig_with(self, name: str, token: str, server: str = "") -> pathlib.Path:
        """Write a kubeconfig for the holder of a token."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [
                {
                    "name": "loopback",
                    "cluster": {
                        "server": server or self.url,
                        "certificate-authority": str(self.authority),
                    },
                }
            ],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": "loopback", "user": name}}],
        }
        path = self._work / f"{name}.kubeconfig"
        text = json.dumps(config)
        # Left alone when it is there: another thread's program may be reading it.
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            path.chmod(0o600)
        return path

    def service_account_token(self, namespace: str, name: str) -> str:
        """A token of a service account, valid for a day."""
        admin = self.client()
        path = admin.path(
            "v1", "ServiceAccount", namespace=namespace, name=name, subresource="token"
        )
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 86400},
        }
        return str(admin.request("POST", path, body=request)["status"]["token"])


def controller_manager(server: APIServer, logs: pathlib.Path) -> process.Process:
    """Every controller under the service account that upstream gives it.

    The horizontal pod autoscaler looks every 2 s instead of 15.
    """
    (port,) = process.free_ports(1)
    config = server.kubeconfig("system:kube-controller-manager")
    command: list[str | pathlib.Path] = [
        toolchain.program(GROUP, "kube-controller-manager"),
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        f"--service-account-private-key-file={server.keys.key}",
        f"--root-ca-file={server.authority}",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={logs}",
        "--horizontal-pod-autoscaler-sync-period=2s",
        # By default 20 requests a second, of which one service account each makes a slow start.
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]
    return process.Process(
        "kube-controller-manager",
        command,
        logs=logs,
        ready=lambda: process.answers(f"https://127.0.0.1:{port}/healthz"),
    )


def scheduler(server: APIServer, logs: pathlib.Path) -> process.Process:
    """The scheduler with its default profile."""
    (port,) = process.free_ports(1)
    config = server.kubeconfig("system:kube-scheduler")
    command: list[str | pathlib.Path] = [
        toolchain.program(GROUP, "kube-scheduler"),
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={logs}",
    ]
    return process.Process(
        "kube-scheduler",
        command,
        logs=logs,
        ready=lambda: process.answers(f"https://127.0.0.1:{port}/healthz"),
    )
