"""A platform with the real gateway on the control plane, and claims behind it."""

from __future__ import annotations

import contextlib
import http.server
import json
import pathlib
import sys
import threading
from collections.abc import Iterator

from e2e import claims, shipped
from e2e.controlplane import api, keda, metrics, plane, polling, toolchain
from e2e.dataplane import asking, controllers, engine, network, node, services
from e2e.gateway import proxy

NODE = "data-path"
# Kinds whose status is written by the real controllers.
KINDS = (
    "AIGatewayRoute",
    "AIServiceBackend",
    "Backend",
    "BackendTrafficPolicy",
    "HTTPRoute",
    "ScaledObject",
)
SCRAPE_SECONDS = 5
# Where containers have their series, as the operators' configuration would find them.
_SERIES = (
    ("envoy", controllers.STATISTICS_PORT, "/stats/prometheus"),
    ("ai-gateway-extproc", 1064, "/metrics"),
    ("vllm", 8000, "/metrics"),
)
_INSTANCE = "app.kubernetes.io/instance"
_CARD = "l4"


def _engine(pod: node.Pod) -> list[str | pathlib.Path]:
    return [sys.executable, "-I", pathlib.Path(engine.__file__), f"--address={pod.address}"]


class Targets:
    """Lists what has series for a metrics server, as monitors of pods would."""

    def __init__(self, running: node.Node) -> None:
        """Serve the list."""
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = json.dumps(outer._targets(running)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments: object) -> None:
                del arguments

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @staticmethod
    def _targets(running: node.Node) -> list[api.Object]:
        return [
            {
                "targets": [f"{pod.address}:{port}"],
                "labels": {
                    "__metrics_path__": path,
                    "__scrape_interval__": f"{SCRAPE_SECONDS}s",
                    "__scrape_timeout__": f"{SCRAPE_SECONDS}s",
                    "pod": pod.name,
                    "namespace": pod.item["metadata"]["namespace"],
                    "job": pod.item["metadata"]["labels"].get(_INSTANCE, "proxies"),
                },
            }
            for pod in list(running.pods.values())
            for name, port, path in _SERIES
            if name in pod.containers
        ]

    def stop(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()


class Stage:
    """Controllers, the node of proxies and engines, KEDA, a metrics server.

    Attributes:
        tenant: The namespace of the claims.
        node: Where proxies and engines run.
        controllers: Envoy Gateway and the AI gateway's controller.
        metrics: Scrapes proxies and engines.
        keda: Wakes and scales claims.
    """

    def __init__(self, control_plane: plane.ControlPlane, work: pathlib.Path, name: str) -> None:
        """Describe it.

        Args:
            control_plane: Where the product is installed.
            work: For files.
            name: The namespace of the claims.
        """
        self._plane = control_plane
        self.tenant = claims.Tenant(control_plane, control_plane.namespace(name))
        self._network = network.Network(control_plane.logs)
        self._services = services.Services(
            control_plane.admin, self._network, control_plane.api.port
        )
        envoy_gateway = toolchain.program(controllers.GROUP, "envoy-gateway")
        processor = toolchain.program(controllers.GROUP, "ai-gateway-extproc")
        self.node = node.Node(
            NODE,
            control_plane,
            self._network,
            self._services,
            work / "pods",
            {
                "envoy": lambda _: [proxy.program()],
                "shutdown-manager": lambda _: [envoy_gateway],
                "ai-gateway-extproc": lambda _: [processor],
                "vllm": _engine,
            },
        )
        self.controllers = controllers.Controllers(
            control_plane, self._network, self._services, work
        )
        self._targets = Targets(self.node)
        self.metrics = metrics.MetricsServer(work, control_plane.logs, self._targets.url)
        self.keda = keda.Keda(control_plane.api, work, control_plane.logs)

    @contextlib.contextmanager
    def running(self) -> Iterator[Stage]:
        """Start everything, and stop it in the other order."""
        with contextlib.ExitStack() as stack:
            for start, stop in (
                (self._network.start, self._network.stop),
                (self._services.start, self._services.stop),
                (lambda: None, self._targets.stop),
                (self.node.start, self.node.stop),
                (self.metrics.process.start, self.metrics.process.stop),
                (self.keda.start, self.keda.stop),
                (self.controllers.start, self.controllers.stop),
                (lambda: self.controllers.open(NODE), self.controllers.close),
                (self.tenant.prepare, self.tenant.clean),
            ):
                stack.callback(stop)
                start()
            yield self

    def settings(self) -> api.Object:
        """The reference platform's, with the node of these tests and its metrics server."""
        settings = shipped.one(shipped.environment("reference"))
        ours = settings["data"]["inferenceService"]
        ours["gpu"]["classes"][_CARD]["nodeSelector"] = {"karpenter.sh/nodepool": NODE}
        ours["scaling"]["serverAddress"] = self.metrics.url
        ours["permissions"] = {"patches": [self.tenant.namespace]}
        del ours["limits"]
        return settings

    def claim(self, name: str, **spec: object) -> claims.Claim:
        """A claim that the gateway publishes, not yet applied."""
        given: api.Object = {
            "model": {"repository": "Qwen/Qwen3-8B"},
            "gateway": {"enabled": True},
            **spec,
        }
        return self.tenant.claim(
            {
                "apiVersion": shipped.API_VERSION,
                "kind": shipped.KIND,
                "metadata": {"name": name},
                "spec": given,
            }
        )

    def proxies(self) -> list[node.Pod]:
        """The proxies that are ready, with the AI gateway's processor in them."""
        return [
            pod
            for pod in list(self.node.pods.values())
            if "ai-gateway-extproc" in pod.containers and pod.ready
        ]

    def caller(self) -> asking.Caller:
        """Somebody who asks the Service of the Gateway, once a proxy of it is ready."""
        polling.until(self.proxies, what="a proxy with its processor", timeout=120)
        return asking.Caller(self._services.address(self.controllers.service()), 80)

    def engines(self, claim: claims.Claim) -> list[node.Pod]:
        """The ready pods of a claim."""
        return [
            pod
            for pod in list(self.node.pods.values())
            if pod.item["metadata"]["labels"].get(_INSTANCE) == claim.name and pod.ready
        ]
