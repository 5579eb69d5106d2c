"""A platform with the real gateway on machines of its own, and claims behind it."""

from __future__ import annotations

import contextlib
import copy
import http
import http.client
import http.server
import json
import pathlib
import threading
from collections.abc import Iterator, Mapping, Sequence

from e2e import claims, installation, operators, shipped
from e2e.controlplane import api, keda, metrics, plane, polling
from e2e.dataplane import asking, controllers, limiter
from e2e.machines import containers, hub, load, machine, site
from tests.preload import hub_server

ENGINE = "vllm/vllm-openai:v0.25.1"
NEWER_ENGINE = "vllm/vllm-openai:v0.32.0"
PICKER = "registry.k8s.io/gateway-api-inference-extension/epp:v1.5.0"
# The DNS server, the controllers, the proxies and preload Jobs are on the first.
_L4 = {"karpenter.sh/nodepool": "gpu-l4"}
MACHINES = (
    machine.Machine("edge"),
    machine.Machine("card-0", gpus=8, labels=_L4),
    machine.Machine("card-1", gpus=8, labels=_L4),
)
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
_SERIES: Mapping[str, tuple[int, str]] = {
    "envoy": (controllers.STATISTICS_PORT, "/stats/prometheus"),
    "ai-gateway-extproc": (1064, "/metrics"),
    "vllm": (8000, "/metrics"),
    "epp": (9090, "/metrics"),
}
_INSTANCE = "app.kubernetes.io/instance"
# Its value is the picker's Service, whose name its series have for a job.
_PICKER = "inferencepool"
_MODEL = "Qwen/Qwen2.5-7B-Instruct"


def _job(labels: Mapping[str, str]) -> str:
    return labels.get(_INSTANCE) or labels.get(_PICKER) or "proxies"


def steer(engine: api.Object, behaviour: Mapping[str, float | str]) -> None:
    """Tells an engine's pod how to behave, in the words of the stand-in (`tools/stand-ins`).

    Raises:
        RuntimeError: It did not take them.
    """
    connection = http.client.HTTPConnection(engine["status"]["podIP"], 8000, timeout=30)
    with contextlib.closing(connection):
        connection.request("POST", "/stand-in", json.dumps(dict(behaviour)))
        if (status := connection.getresponse().status) != http.HTTPStatus.OK:
            message = f"{engine['metadata']['name']} answered {status}"
            raise RuntimeError(message)


def _ready(pod: api.Object) -> bool:
    return api.status_of(pod, "Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


class Targets:
    """Lists what has series for a metrics server, as monitors of pods would."""

    def __init__(self, admin: api.Client, namespaces: tuple[str, ...]) -> None:
        """Serve the list of these namespaces' pods."""
        self._admin = admin
        self._namespaces = namespaces
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = json.dumps(outer._targets()).encode()
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

    def _targets(self) -> list[api.Object]:
        pods = [
            pod
            for namespace in self._namespaces
            for pod in self._admin.objects("v1", "Pod", namespace=namespace)
            if pod["status"].get("phase") == "Running" and pod["status"].get("podIP")
        ]
        return [
            {
                "targets": [f"{pod['status']['podIP']}:{port}"],
                "labels": {
                    "__metrics_path__": path,
                    "__scrape_interval__": f"{SCRAPE_SECONDS}s",
                    "__scrape_timeout__": f"{SCRAPE_SECONDS}s",
                    "pod": pod["metadata"]["name"],
                    "namespace": pod["metadata"]["namespace"],
                    "job": _job(pod["metadata"]["labels"]),
                },
            }
            for pod in pods
            for container in (
                *pod["spec"].get("initContainers", []),
                *pod["spec"]["containers"],
            )
            if container["name"] in _SERIES
            for port, path in [_SERIES[container["name"]]]
        ]

    def stop(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()


class Stage:
    """Machines, the gateway's controllers, a hub, KEDA and a metrics server.

    Attributes:
        tenant: The namespace of the claims.
        site: The machines.
        hub: Where preload Jobs download from.
        controllers: Envoy Gateway and the AI gateway's controller.
        metrics: Scrapes proxies and engines.
        keda: Wakes and scales claims.
        redis: What limits of callers are counted in, where the gateway has a limiter.
    """

    def __init__(
        self,
        control_plane: plane.ControlPlane,
        work: pathlib.Path,
        name: str,
        models: hub_server.Server,
        *,
        limits: bool = False,
        ports: Sequence[int] = (),
        trusted: pathlib.Path | None = None,
    ) -> None:
        """Describe it.

        Args:
            control_plane: Where the product is installed.
            work: For files.
            name: The namespace of the claims.
            models: The hub, which serves.
            limits: Whether the gateway has a limiter.
            ports: More ports of loopback that pods reach.
            trusted: Directory with `ca-certificates.crt`: whom the gateway's proxies trust.
        """
        self._plane = control_plane
        self.hub = models
        volume = work / "volume"
        volume.mkdir(mode=0o777)
        volume.chmod(0o777)
        self.tenant = claims.Tenant(control_plane, control_plane.namespace(name), volume)
        self.redis = limiter.Redis(work, control_plane.logs) if limits else None
        redis = [] if self.redis is None else [self.redis.port]
        self.site = site.Site(
            control_plane, work / "disks", MACHINES, ports=[models.server_port, *redis, *ports]
        )
        self.controllers = controllers.Controllers(
            control_plane, self.site, MACHINES[0].name, work, self.redis, trusted
        )
        models.content = f"http://{self.site.outside}:{models.server_port}"
        self._targets = Targets(control_plane.admin, (name, controllers.SYSTEM))
        self.metrics = metrics.MetricsServer(work, control_plane.logs, self._targets.url)
        self.keda = keda.Keda(control_plane.api, work, control_plane.logs)

    @contextlib.contextmanager
    def running(self) -> Iterator[Stage]:
        """Start everything, and stop it in the other order."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._targets.stop)
            stack.enter_context(self.site)
            for image in (ENGINE, NEWER_ENGINE):
                self.site.push(image, site.STAND_INS, "engine")
            self.site.push(load.IMAGE, site.STAND_INS, "caller")
            self.site.push(PICKER, "picker", "epp")
            self._plane.admin.apply_all(
                api.load(shipped.ROOT / "examples/rbac/endpoint-picker.yaml")
            )
            if self.redis is not None:
                stack.callback(self.redis.process.stop)
                self.redis.process.start()
            for start, stop in (
                (self.metrics.process.start, self.metrics.process.stop),
                (self.keda.start, self.keda.stop),
                (self.controllers.start, self.controllers.stop),
                (self.tenant.prepare, self.tenant.clean),
            ):
                stack.callback(stop)
                start()
            yield self

    def settings(self) -> api.Object:
        """The reference platform's, with the hub and the metrics server of these tests."""
        settings = shipped.one(shipped.environment("reference"))
        ours = settings["data"]["inferenceService"]
        ours["scaling"]["serverAddress"] = self.metrics.url
        ours["hub"] = hub.settings(self.hub.content)
        ours.setdefault("endpointPicker", {})["provider"] = "native"
        ours["permissions"] = {"patches": [self.tenant.namespace]}
        ours["frontDoor"] = {"className": controllers.CLASS}
        del ours["limits"]
        return settings

    def example(self, name: str) -> claims.Claim:
        """A claim of the examples, whose model and adapters the hub has; not yet applied."""
        claim = self.tenant.example(name)
        self.publish(claim)
        return claim

    def publish(self, claim: claims.Claim) -> None:
        """Let the hub have what a claim names, at revisions of its own."""
        spec = claim.manifest["spec"]
        base = spec["model"]["repository"]
        spec["model"]["revision"] = self.hub.publish(base, hub.model())
        for adapter in spec.get("loraAdapters", []):
            content = hub.adapter(base)
            adapter["revision"] = self.hub.publish(adapter["repository"], content)

    def adapter(self, claim: claims.Claim, name: str) -> api.Object:
        """Another adapter of a claim's model, which the hub has, as a claim names it."""
        repository = f"example/{name}"
        content = hub.adapter(claim.manifest["spec"]["model"]["repository"])
        revision = self.hub.publish(repository, content)
        return {"name": name, "repository": repository, "revision": revision}

    def claim(self, name: str, **spec: object) -> claims.Claim:
        """A claim that the gateway publishes, not yet applied."""
        model: api.Object = {
            "repository": _MODEL,
            "revision": self.hub.publish(_MODEL, hub.model()),
            "quantization": "fp8",
            "contextWindow": 8192,
            "preload": {"enabled": True},
        }
        given: api.Object = {"model": model, "gateway": {"enabled": True}, **copy.deepcopy(spec)}
        return self.tenant.claim(
            {
                "apiVersion": shipped.API_VERSION,
                "kind": shipped.KIND,
                "metadata": {"name": name},
                "spec": given,
            }
        )

    def caller(self) -> asking.Caller:
        """Somebody who asks a proxy of the Gateway, once none is coming or going.

        The AI gateway replaces the proxies for their processor, twice where it looks a moment too
        early; who asks a proxy that leaves is refused a minute later.
        """
        proxies = self.controllers.proxies

        def settled() -> list[api.Object]:
            ready = proxies()
            return ready if len(ready) == len(proxies(everybody=True)) else []

        (proxy, *_) = polling.until(settled, what="proxies alone that are ready", timeout=180)
        return asking.Caller(proxy["status"]["podIP"], controllers.LISTENER_PORT)

    @contextlib.contextmanager
    def load(self, model: str, **flags: object) -> Iterator[load.Load]:
        """A caller in a pod, who asks the Gateway's Service again and again.

        Args:
            model: The model.
            flags: Of ``tools/stand-ins/caller``.
        """
        running = load.Load(
            self._plane,
            self.tenant.namespace,
            url=self.controllers.url(),
            model=model,
            node=MACHINES[0].name,
            flags=flags,
        )
        running.start()
        try:
            yield running
        finally:
            running.remove()

    def memory(self) -> dict[str, int]:
        """MiB of each container of a proxy."""
        (proxy, *_) = self.controllers.proxies()
        names = ("envoy", "ai-gateway-extproc", "shutdown-manager")
        return {name: containers.memory(proxy, name) for name in names}

    def refusals(self) -> list[str]:
        """What the proxies' logs say of each request that was answered with an error of theirs."""
        told = []
        for proxy in self.controllers.proxies():
            for line in self.site.machines[MACHINES[0].name].log(proxy, "envoy").splitlines():
                entry = json.loads(line[line.index("{") :]) if '{":authority"' in line else {}
                if int(entry.get("response_code") or 0) >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
                    told.append(" ".join(str(entry[name]) for name in _LOGGED))
        return told

    def engines(self, claim: claims.Claim) -> list[api.Object]:
        """The ready pods of a claim that nobody deleted."""
        labels = {_INSTANCE: claim.name, "app.kubernetes.io/component": "inference"}
        namespace = self.tenant.namespace
        return [
            pod
            for pod in self._plane.admin.objects("v1", "Pod", namespace=namespace, labels=labels)
            if _ready(pod)
        ]

    def pickers(self, claim: claims.Claim) -> list[api.Object]:
        """The ready pods of a claim's endpoint picker."""
        labels = {_PICKER: f"{claim.name}-epp"}
        namespace = self.tenant.namespace
        pods = self._plane.admin.objects("v1", "Pod", namespace=namespace, labels=labels)
        return [pod for pod in pods if _ready(pod)]

    def names(self, claim: claims.Claim) -> set[str]:
        """The names of ``engines``."""
        return {pod["metadata"]["name"] for pod in self.engines(claim)}


# Fields of Envoy Gateway's access log.
_LOGGED = (
    "start_time",
    "duration",
    "response_code",
    "response_flags",
    "response_code_details",
    "upstream_host",
)


@contextlib.contextmanager
def standing(
    control_plane: plane.ControlPlane,
    installed: installation.Installation,
    standing_in: operators.Operators,
    work: pathlib.Path,
    name: str,
) -> Iterator[Stage]:
    """A stage that runs, with the product configured for it.

    Args:
        control_plane: The control plane.
        installed: The product on it.
        standing_in: Who plays the operators; the stage's own play theirs.
        work: For files.
        name: The namespace of the claims.
    """
    with hub.serving() as models, standing_in.absent(*KINDS):
        prepared = Stage(control_plane, work, name, models)
        with prepared.running():
            installed.configure(prepared.settings())
            yield prepared
