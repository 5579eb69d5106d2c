"""Metrics and alerts as the VictoriaMetrics operator sets them up, in pods on machines.

The operator and kube-state-metrics run by the manifests of their releases. A platform has three
objects beside them: a metrics server, an agent that takes every scrape object, and an evaluator
that takes every rule. Everything else is the operator's to write.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import pathlib
import re
import typing
import urllib.parse

from e2e.controlplane import api, plane, polling, toolchain
from e2e.machines import site

GROUP = "vm-operator"
SERIES_GROUP = "kube-state-metrics"
PROGRAMS_GROUP = "victoriametrics"
# Where the settings of the reference platform have the scraper.
NAMESPACE = "observability"
NAME = "main"
VERSION = "v1.140.0"
SCRAPE_SECONDS = 5
_API = "operator.victoriametrics.com/v1beta1"
_OPERATOR = api.Ref("apps/v1", "Deployment", "operator", "vm")
_OPERATOR_IMAGE = "victoriametrics/operator:v0.74.1"
_RELOADER_IMAGE = "victoriametrics/operator:config-reloader-v0.74.1"
SERIES = api.Ref("apps/v1", "Deployment", "kube-state-metrics", "kube-system")
_SERIES_IMAGE = "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.18.0"
_ZONES = pathlib.Path("/usr/share/zoneinfo")
# Upstream's images name a number, as Kubernetes wants it for `runAsNonRoot`.
_USER = 65532
# Kinds of the platform's three objects, and the programs that the operator runs for them.
_PROGRAMS = {"VMSingle": "victoria-metrics", "VMAgent": "vmagent", "VMAlert": "vmalert"}
_PORTS = {"VMSingle": 8429, "VMAgent": 8429, "VMAlert": 8080}


@dataclasses.dataclass(frozen=True)
class Target:
    """What the agent scrapes.

    Attributes:
        address: Address and port.
        job: The label of its series.
        up: Whether the last scrape succeeded.
    """

    address: str
    job: str
    up: bool


class Monitoring:
    """The operator, what it runs for the platform, and kube-state-metrics."""

    RULES: typing.ClassVar[str] = "VMRule"

    def __init__(self, control_plane: plane.ControlPlane, place: site.Site) -> None:
        """Describe it.

        Args:
            control_plane: The control plane.
            place: The machines, which run when it starts.
        """
        self._admin = control_plane.admin
        self._site = place

    def start(self) -> None:
        """Install kinds and programs, and wait until the three programs serve.

        Raises:
            TimeoutError: One of them was not ready in time.
        """
        self._site.push(_OPERATOR_IMAGE, GROUP, "vm-operator", user=_USER)
        self._site.push(_RELOADER_IMAGE, GROUP, "config-reloader", user=_USER)
        push_series(self._site)
        for program in _PROGRAMS.values():
            name = f"victoriametrics/{program}:{VERSION}"
            self._site.push(name, PROGRAMS_GROUP, program, user=_USER)
        self._admin.install_kinds(
            crd for path in toolchain.manifests(GROUP, "crds") for crd in api.load(path)
        )
        self._admin.apply_all(_released())
        self._admin.apply_all(_platform())
        for ref in (_OPERATOR, SERIES):
            self._admin.wait_condition(ref, "Available", timeout=120)
        for item in _platform():
            if item["kind"] in _PROGRAMS:
                self._wait_operational(api.Ref.of(item))

    def _wait_operational(self, ref: api.Ref) -> None:
        self._admin.wait(
            ref,
            lambda item: (item.get("status") or {}).get("updateStatus") == "operational",
            what="operational",
            timeout=120,
        )

    def stop(self) -> None:
        """Delete the platform's objects, which the operator has to see, then the rest; idempotent.

        The kinds stay: other tests of the run know them.
        """
        objects = [item for item in _platform() if item["kind"] != "Namespace"]
        for item in objects:
            # Without the operator's kinds nothing of it is there.
            with contextlib.suppress(api.ApiError):
                self._admin.delete(api.Ref.of(item))
        for item in objects:
            self._admin.wait_gone(api.Ref.of(item), timeout=90)
        for item in reversed(_released()):
            self._admin.delete(api.Ref.of(item))
        self._admin.delete(api.Ref("v1", "Namespace", NAMESPACE))

    # --- what the programs say

    @property
    def url(self) -> str:
        """The metrics server, as settings name it; by its pod's address, as KEDA is in no pod."""
        return f"http://{self._pod('VMSingle')}:{_PORTS['VMSingle']}"

    @property
    def query_url(self) -> str:
        """The metrics server by its name, for pods."""
        return _server()

    @property
    def push_url(self) -> str:
        """Where pods push series in Prometheus' text form."""
        return f"{_server()}/api/v1/import/prometheus"

    @property
    def store(self) -> api.Object:
        """The pods of the metrics server, as a peer of the settings."""
        labels = {"app.kubernetes.io/name": "vmsingle"}
        return {"namespace": NAMESPACE, "podLabels": labels}

    def query(self, text: str) -> list[float]:
        """The values of an instant query."""
        answer = self._ask("VMSingle", f"/api/v1/query?{urllib.parse.urlencode({'query': text})}")
        return [float(series["value"][1]) for series in answer["data"]["result"]]

    def targets(self) -> dict[tuple[str, str], set[Target]]:
        """What the agent scrapes, by namespace and name of the scrape object."""
        answer = self._ask("VMAgent", "/api/v1/targets?state=active")
        found: dict[tuple[str, str], set[Target]] = {}
        for one in answer["data"]["activeTargets"]:
            _, namespace, name, _ = one["scrapePool"].split("/")
            address = urllib.parse.urlsplit(one["scrapeUrl"]).netloc
            target = Target(address, one["labels"]["job"], one["health"] == "up")
            found.setdefault((namespace, name), set()).add(target)
        return found

    def rules(self) -> set[tuple[str, str]]:
        """Group and name of each rule that is evaluated."""
        answer = self._ask("VMAlert", "/api/v1/rules")
        return {
            (group["name"], rule["name"])
            for group in answer["data"]["groups"]
            for rule in group["rules"]
        }

    def alerts(self, model: str) -> dict[str, str]:
        """State of each alert of a claim that is not quiet, by name."""
        answer = self._ask("VMAlert", "/api/v1/alerts")
        return {
            alert["name"]: alert["state"]
            for alert in answer["data"]["alerts"]
            if alert["labels"].get("model") == model
        }

    def families(self) -> set[str]:
        """The names of all series that kube-state-metrics knows."""
        labels = {"app.kubernetes.io/name": SERIES.name}
        address = self._address(SERIES.namespace or "", labels)
        text = _get(address, 8080, "/metrics")
        return set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))

    def _ask(self, kind: str, path: str) -> typing.Any:
        answer = json.loads(_get(self._pod(kind), _PORTS[kind], path))
        if answer["status"] != "success":
            raise ValueError(answer["error"])
        return answer

    def _pod(self, kind: str) -> str:
        labels = {"app.kubernetes.io/name": kind.lower(), "app.kubernetes.io/instance": NAME}
        return self._address(NAMESPACE, labels)

    def _address(self, namespace: str, labels: dict[str, str]) -> str:
        """The address of the one ready pod; while the operator replaces a pod, two are ready."""
        return polling.until(
            lambda: self._only(namespace, labels), what=f"one pod of {labels}", timeout=60
        )

    def _only(self, namespace: str, labels: dict[str, str]) -> str:
        """The address of the one ready pod, or nothing."""
        addresses = [
            str(pod["status"]["podIP"])
            for pod in self._admin.objects("v1", "Pod", namespace=namespace, labels=labels)
            if api.status_of(pod, "Ready") == "True" and "deletionTimestamp" not in pod["metadata"]
        ]
        return addresses[0] if len(addresses) == 1 else ""


def push_series(place: site.Site) -> None:
    """Let machines pull the image of kube-state-metrics."""
    # As upstream's image has it: a CronJob with a zone that nobody knows ends the program.
    zones = {str(_ZONES): _ZONES}
    place.push(_SERIES_IMAGE, SERIES_GROUP, "kube-state-metrics", user=_USER, trees=zones)


def series() -> list[api.Object]:
    """The manifests of kube-state-metrics' release, sooner probed; the Deployment last."""
    items = [
        item for path in toolchain.manifests(SERIES_GROUP, "objects") for item in api.load(path)
    ]
    return _probed(items)


def _get(host: str, port: int, path: str) -> str:
    connection = http.client.HTTPConnection(host, port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().read().decode()


def _released() -> list[api.Object]:
    """The manifests of both releases, with images of these tests."""
    items = [item for path in toolchain.manifests(GROUP, "objects") for item in api.load(path)]
    for item in items:
        if api.Ref.of(item) == _OPERATOR:
            (container,) = item["spec"]["template"]["spec"]["containers"]
            container["image"] = _OPERATOR_IMAGE
            container["args"].remove("--leader-elect")
            # An eighth of a processor makes it slow where two of them have all the tests.
            del container["resources"]
    return [*_probed(items), *series()]


def _probed(items: list[api.Object]) -> list[api.Object]:
    """Manifests whose Deployments are ready sooner, after the namespaces and accounts of them."""
    for item in items:
        if item["kind"] == "Deployment":
            (container,) = item["spec"]["template"]["spec"]["containers"]
            container["readinessProbe"] |= {"initialDelaySeconds": 0, "periodSeconds": 1}
    return sorted(items, key=lambda item: item["kind"] == "Deployment")


def _server() -> str:
    return f"http://vmsingle-{NAME}.{NAMESPACE}.svc:{_PORTS['VMSingle']}"


def _platform() -> list[api.Object]:
    """What a platform asks the operator for."""
    server = _server()
    every = f"{SCRAPE_SECONDS}s"
    series = {"app.kubernetes.io/name": SERIES.name}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        # By default a query sees nothing of the last 30 s.
        _object("VMSingle", retentionPeriod="1d", extraArgs={"search.latencyOffset": "1s"}),
        _object(
            "VMAgent",
            selectAllByDefault=True,
            remoteWrite=[{"url": f"{server}/api/v1/write"}],
        ),
        _object(
            "VMAlert",
            selectAllByDefault=True,
            evaluationInterval=every,
            datasource={"url": server},
            # What rules record.
            remoteWrite={"url": server},
            # Nobody is called. Without any notifier the operator leaves alerts out.
            extraArgs={"notifier.blackhole": "true"},
        ),
        {
            "apiVersion": _API,
            "kind": "VMServiceScrape",
            "metadata": {"name": SERIES.name, "namespace": NAMESPACE},
            "spec": {
                "namespaceSelector": {"matchNames": [SERIES.namespace]},
                "selector": {"matchLabels": series},
                # Its series are about pods of other namespaces, and say which.
                "endpoints": [{"port": "http-metrics", "honorLabels": True, "interval": every}],
            },
        },
    ]


def _object(kind: str, **spec: object) -> api.Object:
    image = {"repository": f"victoriametrics/{_PROGRAMS[kind]}", "tag": VERSION}
    common = {"replicaCount": 1, "useDefaultResources": False, "useStrictSecurity": True}
    return {
        "apiVersion": _API,
        "kind": kind,
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {"image": image, **common, **spec},
    }
