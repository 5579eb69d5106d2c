"""Envoy Gateway and Envoy AI Gateway as they are, each in a network namespace: ports are fixed.

Both run with an administrator's rights, and the webhook is reached by address: the API server of
the tests is in no pod network. Everything else is as upstream's charts have it.
"""

from __future__ import annotations

import base64
import json
import pathlib
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence

from e2e.controlplane import api, certificates, plane, polling, process, toolchain
from e2e.dataplane import network, roots, services

GROUP = "envoy-gateway"
SYSTEM = "envoy-gateway-system"
AI_SYSTEM = "envoy-ai-gateway-system"
GATEWAY = api.Ref("gateway.networking.k8s.io/v1", "Gateway", "ai-gateway", AI_SYSTEM)
STATISTICS_PORT = 19001
_XDS_PORT, _EXTENSION_PORT, _WEBHOOK_PORT = 18000, 1063, 9443
_CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
_WEBHOOK = f"envoy-ai-gateway-gateway-pod-mutator.{AI_SYSTEM}"


def _configuration() -> api.Object:
    """Envoy Gateway's, as upstream's values for the AI gateway and its inference pools have it."""
    every = {"includeAll": True}
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyGateway",
        "gateway": {"controllerName": _CONTROLLER},
        "logging": {"level": {"default": "info"}},
        "provider": {
            "type": "Kubernetes",
            "kubernetes": {
                "leaderElection": {"disable": True},
                "proxyTopologyInjector": {"disabled": True},
            },
        },
        "extensionApis": {"enableEnvoyPatchPolicy": True, "enableBackend": True},
        "extensionManager": {
            "hooks": {
                "xdsTranslator": {
                    "translation": dict.fromkeys(("listener", "route", "cluster", "secret"), every),
                    "post": ["Translation", "Cluster", "Route"],
                }
            },
            "backendResources": [
                {"group": "inference.networking.k8s.io", "kind": "InferencePool", "version": "v1"}
            ],
            "service": {
                "fqdn": {
                    "hostname": f"ai-gateway-controller.{AI_SYSTEM}.svc.cluster.local",
                    "port": _EXTENSION_PORT,
                }
            },
        },
    }


def gateway(node: str) -> list[api.Object]:
    """What a platform has beside the controllers: a class, a Gateway, and where proxies run.

    Args:
        node: The node of the proxies.
    """
    pod = {
        "nodeSelector": {"kubernetes.io/hostname": node},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
    }
    kubernetes = {"envoyService": {"type": "ClusterIP"}, "envoyDeployment": {"pod": pod}}
    settings = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": GATEWAY.name}
    listener = {
        "name": "http",
        "protocol": "HTTP",
        "port": 80,
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    return [
        _object("gateway.networking.k8s.io/v1", "GatewayClass", "envoy", None)
        | {"spec": {"controllerName": _CONTROLLER}},
        _object("gateway.envoyproxy.io/v1alpha1", "EnvoyProxy", GATEWAY.name)
        | {"spec": {"provider": {"type": "Kubernetes", "kubernetes": kubernetes}}},
        _object(GATEWAY.api_version, GATEWAY.kind, GATEWAY.name)
        | {
            "spec": {
                "gatewayClassName": "envoy",
                "infrastructure": {"parametersRef": settings},
                "listeners": [listener],
            }
        },
    ]


class Controllers:
    """Both controllers.

    Attributes:
        envoy_gateway: The process; likewise ``ai_gateway``.
    """

    def __init__(
        self,
        control_plane: plane.ControlPlane,
        place: network.Network,
        names: services.Services,
        work: pathlib.Path,
    ) -> None:
        """Describe them; ``start`` installs and runs them."""
        self._plane = control_plane
        self._admin = control_plane.admin
        self._network = place
        self._names = names
        self._work = work
        self._places: list[network.Namespace] = []
        self.envoy_gateway: process.Process
        self.ai_gateway: process.Process

    def start(self) -> None:
        """Install kinds, certificates and the webhook, and run both.

        Raises:
            process.ProcessError: A program ended or was not ready in time.
        """
        self._install_kinds()
        for name in (SYSTEM, AI_SYSTEM):
            self._admin.apply(_object("v1", "Namespace", name, None))
        self._generate_certificates()
        for name in ("ai-gateway", "envoy-gateway"):
            self._places.append(self._network.add(name))
        ai_place, place = self._places
        ports = {"grpc": _EXTENSION_PORT, "webhook": _WEBHOOK_PORT}
        self._admin.apply_all(_service("ai-gateway-controller", AI_SYSTEM, ai_place, ports))
        self._admin.apply_all(_service("envoy-gateway", SYSTEM, place, {"grpc": _XDS_PORT}))
        self._start_ai_gateway(ai_place)
        self._start_envoy_gateway(place)

    def stop(self) -> None:
        """Take the webhook back and stop both; idempotent."""
        kind = "MutatingWebhookConfiguration"
        self._admin.delete(api.Ref("admissionregistration.k8s.io/v1", kind, _WEBHOOK))
        for name in ("envoy_gateway", "ai_gateway"):
            if hasattr(self, name):
                getattr(self, name).stop()
        for place in self._places:
            self._network.remove(place)

    def _install_kinds(self) -> None:
        """Create the kinds that are missing; those that the product is tested with are there."""
        crds = [
            crd
            for path in toolchain.manifests(GROUP, "crds")
            for crd in api.load(path)
            if crd["kind"] == "CustomResourceDefinition"
        ]
        missing = [crd for crd in crds if self._admin.find(api.Ref.of(crd)) is None]
        for crd in missing:
            self._admin.create(crd)
        for crd in missing:
            self._admin.wait_condition(api.Ref.of(crd), "Established")

    def _generate_certificates(self) -> None:
        """Let Envoy Gateway write its Secrets, as the Job of its chart does."""
        environment = {
            "KUBECONFIG": str(self._plane.api.kubeconfig("admin")),
            "ENVOY_GATEWAY_NAMESPACE": SYSTEM,
        }
        run = process.Process(
            "envoy-gateway-certgen",
            [toolchain.program(GROUP, "envoy-gateway"), "certgen", "--disable-topology-injector"],
            logs=self._plane.logs,
            environment=environment,
        )
        if run.run() != 0:
            raise process.ProcessError(run.tail())

    def _home(self, name: str, namespace: str) -> pathlib.Path:
        """A directory with what a program's pod would have of the cluster."""
        home = self._work / name
        home.mkdir(parents=True)
        (home / "resolv.conf").write_text(self._names.resolv_conf(namespace))
        config = json.loads(self._plane.api.kubeconfig("admin").read_text())
        host, port = self._names.api_server
        config["clusters"][0]["cluster"]["server"] = f"https://{host}:{port}"
        (home / "kubeconfig").write_text(json.dumps(config))
        return home

    def _program(
        self,
        name: str,
        place: network.Namespace,
        home: pathlib.Path,
        arguments: Sequence[str],
        *,
        ready: Callable[[], bool],
        mounts: Mapping[str, pathlib.Path],
        environment: Mapping[str, str],
    ) -> process.Process:
        resolver = {"/etc/resolv.conf": home / "resolv.conf"}
        root = roots.script(home, {**resolver, **mounts})
        return process.Process(
            name,
            place.within(*root, toolchain.program(GROUP, name), *arguments),
            logs=self._plane.logs,
            environment={"KUBECONFIG": str(home / "kubeconfig"), **environment},
            ready=ready,
        )

    def _start_ai_gateway(self, place: network.Namespace) -> None:
        home = self._home("ai-gateway", AI_SYSTEM)
        certs = home / "certs"
        certs.mkdir()
        authority = certificates.authority(certs, "ca")
        certificates.certificate(certs, "tls", authority, [place.address])
        self._admin.apply(_webhook(place.address))
        self.ai_gateway = self._program(
            "ai-gateway-controller",
            place,
            home,
            [
                "--enableLeaderElection=false",
                f"--tlsCertDir={certs}",
                "--extProcImage=docker.io/envoyproxy/ai-gateway-extproc:v1.0.0",
            ],
            ready=lambda: _listens(place.address, _EXTENSION_PORT),
            mounts={},
            environment={"POD_NAMESPACE": AI_SYSTEM, "DISABLE_PPROF": "true"},
        )
        self.ai_gateway.start()

    def _start_envoy_gateway(self, place: network.Namespace) -> None:
        home = self._home("envoy-gateway", SYSTEM)
        (home / "config.yaml").write_text(json.dumps(_configuration()))
        certs = home / "certs"
        for name, content in _secret(self._admin, api.Ref("v1", "Secret", "envoy-gateway", SYSTEM)):
            certs.mkdir(exist_ok=True)
            (certs / name).write_bytes(content)
        self.envoy_gateway = self._program(
            "envoy-gateway",
            place,
            home,
            ["server", "--config-path", str(home / "config.yaml")],
            ready=lambda: process.answers(f"http://{place.address}:8081/readyz"),
            mounts={"/certs": certs},
            environment={"ENVOY_GATEWAY_NAMESPACE": SYSTEM},
        )
        self.envoy_gateway.start()

    def open(self, node: str) -> None:
        """Make the Gateway, with its proxies on a node."""
        self._admin.apply_all(gateway(node))

    def service(self) -> api.Ref:
        """The Service that Envoy Gateway made for the Gateway."""
        label = {"gateway.envoyproxy.io/owning-gateway-name": GATEWAY.name}
        (made,) = self._admin.objects("v1", "Service", namespace=SYSTEM, labels=label)
        return api.Ref.of(made)

    def close(self) -> None:
        """Delete the Gateway, and wait until its proxies are gone."""
        self._admin.delete(GATEWAY)
        polling.until(
            lambda: not self._admin.objects("v1", "Pod", namespace=SYSTEM),
            what="the end of the proxies",
            timeout=60,
        )


def _listens(address: str, port: int) -> bool:
    """Whether connections are accepted at an address."""
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True


def _secret(admin: api.Client, ref: api.Ref) -> Iterator[tuple[str, bytes]]:
    """Names and contents of a Secret's files."""
    for name, value in admin.get(ref)["data"].items():
        yield name, base64.b64decode(value)


def _object(
    api_version: str, kind: str, name: str, namespace: str | None = AI_SYSTEM
) -> api.Object:
    place = {"namespace": namespace} if namespace else {}
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name} | place}


def _service(
    name: str, namespace: str, place: network.Namespace, ports: Mapping[str, int]
) -> list[api.Object]:
    """A headless Service of a program that no Pod stands for."""
    listed = [{"name": one, "port": port} for one, port in ports.items()]
    piece = _object("discovery.k8s.io/v1", "EndpointSlice", name, namespace)
    piece["metadata"]["labels"] = {"kubernetes.io/service-name": name}
    return [
        _object("v1", "Service", name, namespace)
        | {"spec": {"clusterIP": "None", "ports": listed}},
        piece
        | {
            "addressType": "IPv4",
            "ports": listed,
            "endpoints": [{"addresses": [place.address], "conditions": {"ready": True}}],
        },
    ]


def _webhook(address: str) -> api.Object:
    """The AI gateway's, which adds its processor to the proxies' pods; it adds its authority."""
    hook = {
        "name": f"ai-gateway-controller.{AI_SYSTEM}.svc.cluster.local",
        "clientConfig": {"url": f"https://{address}:{_WEBHOOK_PORT}/mutate"},
        "rules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["pods"],
            }
        ],
        "objectSelector": {"matchLabels": {"app.kubernetes.io/managed-by": "envoy-gateway"}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Fail",
    }
    kind = "MutatingWebhookConfiguration"
    return _object("admissionregistration.k8s.io/v1", kind, _WEBHOOK, None) | {"webhooks": [hook]}
