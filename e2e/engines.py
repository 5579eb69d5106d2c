"""Simulated engines: what the pods of a namespace would show on /metrics under a given load.

Nothing runs in the pods, so this server speaks for all of them, each at a path of its own. It lists
them as the operator of a scrape object would find them: scrape object, Services that it selects,
their EndpointSlices, and the labels that both operators put on a target. How much a pod runs and
queues is the model of `tests.scaling.simulation`, with the sequences and the name that the pod's
own arguments give it; what it shows is a recorded exposition with these values put in.
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
# Seconds that a request takes; callers that are not served ask again as often.
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
    """What is asked of a claim.

    Attributes:
        engine: Of each of its pods; how many sequences it runs is in the pod's arguments.
        offered: Requests that callers keep in flight.
        asked: Requests that the gateway's proxies had for its route.
        exporters_answer: Whether its pods can be scraped.
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
        """Look every ``interval`` seconds which pods there are."""
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
        """Say what the pods of a claim can do; before that, they cannot be scraped."""
        with self._lock:
            self._traffic[claim] = Traffic(engine)

    def offer(self, claim: str, requests: int) -> None:
        """Keep so many requests in flight from now on; all of them ask the gateway at once."""
        with self._lock:
            traffic = self._traffic[claim]
            traffic.asked += max(requests - traffic.offered, 0)
            traffic.offered = requests

    def mute(self, claim: str, *, muted: bool = True) -> None:
        """Let the pods of a claim not answer scrapes, or answer them again."""
        with self._lock:
            self._traffic[claim].exporters_answer = not muted

    # --- what a metrics server asks

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
        """What a pod shows; None when nothing listens there."""
        with self._lock:
            endpoints = list(self._endpoints)
            found = next((item for item in endpoints if item.pod == pod), None)
            if found is None or found.service not in self._traffic:
                return None
            traffic = self._traffic[found.service]
            arguments = self._arguments[pod]
            ready = sorted(
                item.pod for item in endpoints if item.ready and item.service == found.service
            )
            if pod not in ready or not traffic.exporters_answer:
                return None
            share = simulation.shares(traffic.offered, len(ready))[ready.index(pod)]
            sequences = int(_argument(arguments, "max-num-seqs"))
            engine = dataclasses.replace(traffic.engine, max_num_seqs=sequences)
        return _exposition(_argument(arguments, "served-model-name"), engine.under(share))

    def gateway(self) -> str:
        """What the gateway's proxies show: a counter appears with its first request."""
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

    # --- which pods there are

    def _follow(self) -> None:
        last = time.monotonic()
        while not self._end.wait(self._interval):
            now = time.monotonic()
            with self._lock:
                for traffic in self._traffic.values():
                    traffic.asked += traffic.offered * (now - last) / _REQUEST_SECONDS
            last = now
            # The server may be down, a pod gone: the next round tells.
            with contextlib.suppress(api.ApiError, *api.UNREACHABLE):
                endpoints = list(self._found())
                for endpoint in endpoints:
                    self._learn(endpoint.pod)
                with self._lock:
                    self._endpoints = endpoints

    def _found(self) -> Iterator[Endpoint]:
        """Every pod that the scrape objects of the namespace find."""
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
            found = self._client.get(api.Ref("v1", "Pod", pod, self._namespace))
            self._arguments[pod] = found["spec"]["containers"][0]["args"]


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
    (found,) = [a for a in arguments if a.startswith(f"--{flag}=")]
    return found.partition("=")[2]


def _exposition(model: str, load: simulation.Load) -> str:
    """The recorded exposition with a model's name and a load in it."""
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
