"""Crossplane core and its RBAC manager, with the rights that its Helm chart gives them."""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import pathlib
from collections.abc import Mapping

from e2e.controlplane import api, chart, cluster, polling, process, toolchain

NAMESPACE = "crossplane-system"
SERVICE_ACCOUNT = "crossplane"
USER = f"system:serviceaccount:{NAMESPACE}:{SERVICE_ACCOUNT}"
RBAC_MANAGER = "rbac-manager"
# The two ends of the supported range, as groups of `tools`.
VERSIONS = ("2.3", "2.4")

_CA = "crossplane-root-ca"
_CLIENT = "crossplane-tls-client"
_SERVER = "crossplane-tls-server"
_ASKED = "function_run_function_request_total"
_ANSWERED = "function_run_function_response_total"


def write_secret(client: api.Client, ref: api.Ref, directory: pathlib.Path) -> None:
    """Write the entries of a Secret as files, as a kubelet would for a volume.

    Args:
        client: A user who may read it.
        ref: The Secret.
        directory: Made when absent; files of the same names are replaced.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for name, value in client.get(ref)["data"].items():
        (directory / name).write_bytes(base64.b64decode(value))


class Crossplane:
    """Core with its package manager and default runtime, and the RBAC manager.

    Both run as the service accounts of the chart, with its roles and no more: what the product
    needs beyond them must come from its own role, or composing fails here as it would in a cluster.
    Webhooks are off, as there is no Service to reach them by; leader election too, or each restart
    would wait for a lease to run out.

    Core sees a hosts file of its own, because nothing here resolves the names of Services:
    ``resolve`` adds to it.

    Attributes:
        version: One of ``VERSIONS``.
        resolved: What ``resolve`` was given last.
        core: The process of core, once installed; likewise ``rbac``.
    """

    def __init__(
        self,
        server: cluster.APIServer,
        work: pathlib.Path,
        logs: pathlib.Path,
        version: str = VERSIONS[-1],
    ) -> None:
        """Choose what runs.

        Args:
            server: The API server.
            work: For its files.
            logs: For its logs.
            version: One of ``VERSIONS``.
        """
        self.version = version
        self._server = server
        self._admin = server.client()
        self._logs = logs
        self._work = work / "crossplane"
        self._work.mkdir(parents=True)
        self._hosts = self._work / "hosts"
        self.resolve({})
        self._metrics_port, self._health_port = process.free_ports(2)
        self.core: process.Process
        self.rbac: process.Process

    @property
    def _group(self) -> str:
        return f"crossplane-{self.version}"

    def metrics(self) -> str:
        """Core's Prometheus metrics.

        Raises:
            OSError, http.client.HTTPException: Core does not serve.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self._metrics_port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()

    def install(self) -> None:
        """Create namespace, service accounts and roles, and run both init steps."""
        metadata = {"name": NAMESPACE}
        self._admin.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        for name in (SERVICE_ACCOUNT, RBAC_MANAGER):
            metadata = {"name": name, "namespace": NAMESPACE}
            self._admin.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
        templates = toolchain.manifests(self._group, "roles")
        self._admin.apply_all(chart.render(templates, NAMESPACE))
        polling.until(
            lambda: self.may("get", "", "secrets", NAMESPACE),
            what="the aggregation of Crossplane's roles",
            timeout=30,
        )
        self._configure()
        self._init("core")
        self._init("rbac")
        self.write_client_certificate()

    def start(self) -> None:
        """Run core and the RBAC manager, and wait until core is ready."""
        self.core.launch()
        self.rbac.launch()
        self.core.wait_ready(90)
        self.rbac.wait_ready()

    def stop(self) -> None:
        """Stop both."""
        self.rbac.stop()
        self.core.stop()

    def renew_authority(self) -> None:
        """Make another root CA and a client certificate of it, and run core with them.

        As when an upgrade empties the Secrets (crossplane#7480): the functions' own are left.
        """
        self.stop()
        for name in (_CA, _CLIENT):
            self._admin.delete(api.Ref("v1", "Secret", name, NAMESPACE))
        self._init("core")
        self.write_client_certificate()
        self.start()

    def calls_under_way(self) -> int:
        """How many calls of functions core waits for, by its own metrics.

        Raises:
            OSError, http.client.HTTPException: Core does not serve.
        """
        lines = self.metrics().splitlines()
        asked, answered = (
            sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))
            for name in (_ASKED, _ANSWERED)
        )
        return round(asked - answered)

    def resolve(self, addresses: Mapping[str, str]) -> None:
        """Let core resolve the names of Services.

        Args:
            addresses: An address for each host name, such as
                ``function-inference-service.crossplane-system``; replaces what was given before.
                Go reads the file again within 5 s.
        """
        self.resolved = dict(addresses)
        lines = [f"{address} {name}" for name, address in sorted(addresses.items())]
        # Written in place: core has this very file mounted over /etc/hosts.
        self._hosts.write_text("\n".join(["127.0.0.1 localhost", *lines]) + "\n")

    def may(self, verb: str, group: str, resource: str, namespace: str) -> bool:
        """Whether core's service account has a right, by the API server's own authorizer."""
        attributes = {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "metadata": {},
            "spec": {"user": USER, "resourceAttributes": attributes},
        }
        return bool(self._admin.create(review)["status"]["allowed"])

    def write_client_certificate(self) -> None:
        """Give core the files of its client Secret as they are now; it reads them at its start."""
        ref = api.Ref("v1", "Secret", _CLIENT, NAMESPACE)
        write_secret(self._admin, ref, self._work / "tls")

    def crds(self) -> list[api.Object]:
        """Crossplane's own custom resource definitions."""
        paths = toolchain.manifests(self._group, "crds")
        return [crd for path in paths for crd in api.load(path)]

    def _environment(self, name: str) -> dict[str, str]:
        """The environment of the chart's Deployments, as a service account."""
        token = self._server.service_account_token(NAMESPACE, name)
        return {
            "HOME": str(self._work),
            "KUBECONFIG": str(self._server.kubeconfig_with(name, token)),
            "POD_NAMESPACE": NAMESPACE,
            "POD_SERVICE_ACCOUNT": SERVICE_ACCOUNT,
            "LEADER_ELECTION": "false",
            "ENABLE_WEBHOOKS": "false",
            "TLS_CA_SECRET_NAME": _CA,
            "TLS_SERVER_SECRET_NAME": _SERVER,
            "TLS_CLIENT_SECRET_NAME": _CLIENT,
        }

    def _configure(self) -> None:
        """Describe the two processes; their tokens need the service accounts."""
        program = str(toolchain.program(self._group, "crossplane"))
        cache = self._work / "xpkg"
        cache.mkdir()
        environment = self._environment(SERVICE_ACCOUNT) | {
            "CRDS_PATH": str(toolchain.directory(self._group, "crds")),
            "TLS_CLIENT_CERTS_DIR": str(self._work / "tls"),
            "XPKG_CACHE_DIR": str(cache),
            "METRICS_PORT": str(self._metrics_port),
            "HEALTH_PROBE_PORT": str(self._health_port),
            # As it is by default: `test_quiet` tells what it takes.
            "GOGC": "100",
        }
        self.core = process.Process(
            "crossplane",
            # Watched events that a claim may cause before core looks at it less often: 100, and one
            # more each second. Here a claim lives through in seconds what takes an hour elsewhere,
            # and one front door is edited forty times in ten minutes.
            [*self._own_hosts(), program, "core", "start", "--circuit-breaker-burst=2000"],
            logs=self._logs,
            environment=environment,
            ready=lambda: process.answers(f"http://127.0.0.1:{self._health_port}/readyz"),
        )
        self.rbac = process.Process(
            "crossplane-rbac-manager",
            [
                *(program, "rbac", "start"),
                "--provider-clusterrole=crossplane:allowed-provider-permissions",
            ],
            logs=self._logs,
            environment=self._environment(RBAC_MANAGER),
        )
        self._steps = {
            "core": process.Process(
                "crossplane-init",
                [program, "core", "init", "--activation", "*"],
                logs=self._logs,
                environment=environment,
            ),
            "rbac": process.Process(
                "crossplane-rbac-init",
                [program, "rbac", "init"],
                logs=self._logs,
                environment=self._environment(RBAC_MANAGER),
            ),
        }

    def _own_hosts(self) -> list[str]:
        """A command that mounts our hosts file over /etc/hosts, for one process alone."""
        # Without root this needs user namespaces; the process id stays that of the program.
        user = [] if os.geteuid() == 0 else ["--map-root-user"]
        script = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'
        return ["unshare", *user, "--mount", "sh", "-c", script, "sh", str(self._hosts)]

    def _init(self, step: str) -> None:
        """Run an init step; the first run of core's ends when it meets the CRDs it just made.

        Raises:
            process.ProcessError: The second run failed too.
        """
        init = self._steps[step]
        if init.run() != 0 and init.run() != 0:
            message = f"{init.name} failed twice:\n{init.tail()}"
            raise process.ProcessError(message)
