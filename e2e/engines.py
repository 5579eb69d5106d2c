"""Simulated engines: what the pods of a namespace would show on /metrics under a given load.

Nothing runs in the pods. This server answers for all pods, for each at a path of its own. The
server discovers targets as the operator of a scrape object does: from the scrape object to the
Services that the object selects, to the EndpointSlices of the Services. A target has the labels
that both operators add. `tests.scaling.simulation` computes how many requests a pod runs and
queues; the number of sequences and the model's name come from the pod's arguments. The server puts
these values into a recorded exposition.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import json
import re
import threading
import time
import typing
from collections.abc import Iterator

from e2e.controlplane import api
from tests.alerts import sources
from tests.scaling import simulation

_SCRAPES = "operator.victoriametrics.com/v1beta1"
_EXPOSITION = sources.HERE / "vllm-0.25.1.txt"
_RECORDED_MODEL = 'model_name="coder"'
_GAUGE = re.compile(
    r"^vllm:(num_requests_running|num_requests_waiting|kv_cache_usage_perc)(\{.*\}) \S+$"
)
_GATEWAY = "/gateway/metrics"
# Seconds that a request takes. A caller without an answer asks again after as many seconds.
_REQUEST_SECONDS = 30


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """A pod behind a Service that is scraped."""

    pod: str
    service: str
    address: str
    port: str
    interval: str
    timeout: str
    ready: bool


@dataclasses.dataclass
class Traffic:
    """The load on a claim.

    Attributes:
        engine: The engine of each pod, except the number of sequences, which is in the pod's
            arguments.
        offered: How many requests callers keep in flight.
        asked: How many requests the gateway's proxies got for the claim's route.
        exporters_answer: Whether the claim's pods answer scrapes.
    """

    engine: simulation.Engine
    offered: int = 0
    asked: float = 0
    exporters_answer: bool = True


class Engines:
    """The pods of one namespace, under loads that tests choose.

    Attributes:
        discovery: URL of the list of targets, for a metrics server.
    """

    def __init__(self, client: api.Client, namespace: str, interval: float = 1.0) -> None:
        """List the pods every ``interval`` seconds."""
        self._client = client
        self._namespace = namespace
        self._interval = interval
        self._lock = threading.Lock()
        self._traffic: dict[str, Traffic] = {}
        self._endpoints: list[Endpoint] = []
        self._arguments: dict[str, list[str]] = {}
        self._end = threading.Event()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._address = f"127.0.0.1:{self._server.server_port}"
        self.discovery = f"http://{self._address}/targets"
        self._threads = [
            threading.Thread(target=self._server.serve_forever, name="engines", daemon=True),
            threading.Thread(target=self._follow, name="engines-follow", daemon=True),
        ]

    def start(self) -> None:
        """Begin to follow pods and to answer."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End."""
        self._end.set()
        self._server.shutdown()
        self._server.server_close()
        for thread in self._threads:
            thread.join()

    def run(self, claim: str, engine: simulation.Engine) -> None:
        """Set the engine of a claim's pods; without an engine the pods answer no scrape."""
        with self._lock:
            self._traffic[claim] = Traffic(engine)

    def offer(self, claim: str, requests: int) -> None:
        """Keep ``requests`` in flight from now on; each added request asks the gateway at once."""
        with self._lock:
            traffic = self._traffic[claim]
            traffic.asked += max(requests - traffic.offered, 0)
            traffic.offered = requests

    def mute(self, claim: str, *, muted: bool = True) -> None:
        """Stop the pods of a claim from answering scrapes, or let them answer again."""
        with self._lock:
            self._traffic[claim].exporters_answer = not muted

    # --- what a metrics server reads

    def targets(self) -> list[api.Object]:
        """Every target, as HTTP discovery gives it, and the gateway's proxy."""
        with self._lock:
            endpoints = list(self._endpoints)
        return [
            *(self._target(endpoint) for endpoint in endpoints),
            {
                "targets": [self._address],
                "labels": {
                    "job": "envoy",
                    "__metrics_path__": _GATEWAY,
                    "__scrape_interval__": "5s",
                    "__scrape_timeout__": "5s",
                },
            },
        ]

    def _target(self, endpoint: Endpoint) -> api.Object:
        """A pod as the operators' relabelling leaves it; ``job`` is the Service's name."""
        labels = {
            "namespace": self._namespace,
            "service": endpoint.service,
            "job": endpoint.service,
            "pod": endpoint.pod,
            "container": "vllm",
            "endpoint": endpoint.port,
            "instance": endpoint.address,
            "__metrics_path__": f"/{endpoint.pod}/metrics",
            "__scrape_interval__": endpoint.interval,
            "__scrape_timeout__": endpoint.timeout,
        }
        return {"targets": [self._address], "labels": labels}

    def exposition(self, pod: str) -> str | None:
        """The exposition of a pod; None if the pod does not answer."""
        with self._lock:
            endpoints = list(self._endpoints)
            endpoint = next((item for item in endpoints if item.pod == pod), None)
            if endpoint is None or endpoint.service not in self._traffic:
                return None
            traffic = self._traffic[endpoint.service]
            arguments = self._arguments[pod]
            ready = sorted(
                item.pod for item in endpoints if item.ready and item.service == endpoint.service
            )
            if pod not in ready or not traffic.exporters_answer:
                return None
            share = simulation.shares(traffic.offered, len(ready))[ready.index(pod)]
            sequences = int(_argument(arguments, "max-num-seqs"))
            engine = dataclasses.replace(traffic.engine, max_num_seqs=sequences)
        return _exposition(_argument(arguments, "served-model-name"), engine.under(share))

    def gateway(self) -> str:
        """The exposition of the gateway's proxies; a counter appears with its first request."""
        with self._lock:
            lines = [
                f'{simulation.GATEWAY_REQUESTS}{{envoy_response_code_class="2",'
                f'envoy_cluster_name="httproute/{self._namespace}/{claim}/rule/0"}}'
                f" {int(traffic.asked)}"
                for claim, traffic in self._traffic.items()
                if traffic.asked
            ]
        return "\n".join([f"# TYPE {simulation.GATEWAY_REQUESTS} counter", *lines]) + "\n"

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        engines = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                text = engines._answer(self.path)
                body = (text or "").encode()
                self.send_response(200 if text is not None else 503)
                kind = "application/json" if self.path == "/targets" else "text/plain"
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: typing.Any) -> None:  # noqa: A002
                del format, args

        return Handler

    def _answer(self, path: str) -> str | None:
        if path == "/targets":
            return json.dumps(self.targets())
        if path == _GATEWAY:
            return self.gateway()
        return self.exposition(path.removeprefix("/").removesuffix("/metrics"))

    # --- discovery of the pods

    def _follow(self) -> None:
        last = time.monotonic()
        while not self._end.wait(self._interval):
            now = time.monotonic()
            with self._lock:
                for traffic in self._traffic.values():
                    traffic.asked += traffic.offered * (now - last) / _REQUEST_SECONDS
            last = now
            # The API server may be down, or a pod deleted: the next round tries again.
            with contextlib.suppress(api.ApiError, *api.UNREACHABLE):
                endpoints = list(self._scraped_endpoints())
                for endpoint in endpoints:
                    self._learn(endpoint.pod)
                with self._lock:
                    self._endpoints = endpoints

    def _scraped_endpoints(self) -> Iterator[Endpoint]:
        """Every pod that the scrape objects of the namespace select."""
        services = self._client.objects("v1", "Service", namespace=self._namespace)
        slices = self._client.objects(
            "discovery.k8s.io/v1", "EndpointSlice", namespace=self._namespace
        )
        for scrape in self._client.objects(_SCRAPES, "VMServiceScrape", namespace=self._namespace):
            wanted = scrape["spec"]["selector"]["matchLabels"].items()
            for service in services:
                if not wanted <= service["metadata"].get("labels", {}).items():
                    continue
                name = service["metadata"]["name"]
                for item in slices:
                    if item["metadata"]["labels"]["kubernetes.io/service-name"] == name:
                        for asked in scrape["spec"]["endpoints"]:
                            yield from _behind(item, name, asked)

    def _learn(self, pod: str) -> None:
        """Read the arguments of a pod's engine once."""
        if pod not in self._arguments:
            item = self._client.get(api.Ref("v1", "Pod", pod, self._namespace))
            self._arguments[pod] = item["spec"]["containers"][0]["args"]


def _behind(item: api.Object, service: str, asked: api.Object) -> Iterator[Endpoint]:
    """The pods of an EndpointSlice that have the port that a scrape asks for."""
    for port in item.get("ports") or []:
        if port["name"] != asked["port"]:
            continue
        for endpoint in item.get("endpoints") or []:
            yield Endpoint(
                pod=endpoint["targetRef"]["name"],
                service=service,
                address=f"{endpoint['addresses'][0]}:{port['port']}",
                port=port["name"],
                interval=asked["interval"],
                timeout=asked["scrapeTimeout"],
                ready=endpoint["conditions"]["ready"],
            )


def _argument(arguments: list[str], flag: str) -> str:
    (argument,) = [a for a in arguments if a.startswith(f"--{flag}=")]
    return argument.partition("=")[2]


def _exposition(model: str, load: simulation.Load) -> str:
    """The recorded exposition, with the model's name and the load put in."""
    values = {
        "num_requests_running": load.running,
        "num_requests_waiting": load.waiting,
        "kv_cache_usage_perc": load.kv_usage,
    }
    lines = []
    for line in _EXPOSITION.read_text(encoding="utf-8").splitlines():
        gauge = _GAUGE.match(line)
        shown = f"vllm:{gauge[1]}{gauge[2]} {values[gauge[1]]}" if gauge else line
        lines.append(shown.replace(_RECORDED_MODEL, f'model_name="{model}"'))
    return "\n".join(lines) + "\n"
