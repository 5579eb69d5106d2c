"""Metrics and alerts as the Prometheus operator sets them up, in pods on machines.

The operator and kube-state-metrics run by the manifests of their releases. A platform has a
Prometheus that takes the scrape objects and rules with its label; the rest is the operator's to
write: the configuration, the rule files and the StatefulSet with its reloader.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import typing
import urllib.parse

from e2e.controlplane import api, plane, polling, toolchain
from e2e.dataplane import monitoring
from e2e.machines import site

GROUP = "prometheus-operator"
# As the settings of `examples/plain` have the scraper, and the label of what it takes.
NAMESPACE = "monitoring"
LABELS = {"release": "kube-prometheus-stack"}
_API = "monitoring.coreos.com/v1"
_VERSION, _PROMETHEUS_VERSION = "v0.93.0", "v3.13.1"
_OPERATOR = api.Ref("apps/v1", "Deployment", GROUP, "default")
# Programs by image, and where the image has them: the operator names the reloader's path.
_IMAGES = {
    f"quay.io/prometheus-operator/prometheus-operator:{_VERSION}": ("operator", "/bin/operator"),
    f"quay.io/prometheus-operator/prometheus-config-reloader:{_VERSION}": (
        "config-reloader",
        "/bin/prometheus-config-reloader",
    ),
    f"quay.io/prometheus/prometheus:{_PROMETHEUS_VERSION}": ("prometheus", "/bin/prometheus"),
}
_NAME = "main"
_POD = {"app.kubernetes.io/name": "prometheus", "app.kubernetes.io/instance": _NAME}
_PORT = 9090
_USER = 65534


class Prometheus:
    """The operator, its Prometheus, and kube-state-metrics."""

    RULES: typing.ClassVar[str] = "PrometheusRule"

    def __init__(self, control_plane: plane.ControlPlane, place: site.Site) -> None:
        """Describe it.

        Args:
            control_plane: The control plane.
            place: The machines, which run when it starts.
        """
        self._admin = control_plane.admin
        self._site = place

    def start(self) -> None:
        """Install kinds and programs, and wait until Prometheus serves.

        Raises:
            TimeoutError: It was not ready in time.
        """
        for image, (program, entry) in _IMAGES.items():
            self._site.push(image, GROUP, program, entry=entry, user=_USER)
        monitoring.push_series(self._site)
        self._admin.install_kinds(
            crd for path in toolchain.manifests(GROUP, "crds") for crd in api.load(path)
        )
        self._admin.apply_all(_released())
        self._admin.apply_all(_platform())
        self._admin.wait_condition(_OPERATOR, "Available", timeout=180)
        self._admin.wait_condition(
            api.Ref(_API, "Prometheus", _NAME, NAMESPACE), "Available", timeout=180
        )

    def stop(self) -> None:
        """Delete what was applied, its Prometheus first; idempotent. The kinds stay."""
        for item in reversed(_platform()):
            # Without the operator's kinds nothing of it is there.
            with contextlib.suppress(api.ApiError):
                self._admin.delete(api.Ref.of(item))
        for item in reversed(_released()):
            self._admin.delete(api.Ref.of(item))

    # --- what Prometheus says

    @property
    def url(self) -> str:
        """Prometheus, as settings name it; by its pod's address, as KEDA is in no pod."""
        return f"http://{self._address()}:{_PORT}"

    def query(self, text: str) -> list[float]:
        """The values of an instant query."""
        data = self._ask(f"/api/v1/query?{urllib.parse.urlencode({'query': text})}")
        return [float(series["value"][1]) for series in data["result"]]

    def targets(self) -> dict[tuple[str, str], set[monitoring.Target]]:
        """What Prometheus scrapes, by namespace and name of the scrape object."""
        listed: dict[tuple[str, str], set[monitoring.Target]] = {}
        for one in self._ask("/api/v1/targets?state=active")["activeTargets"]:
            _, namespace, name, _ = one["scrapePool"].split("/")
            address = urllib.parse.urlsplit(one["scrapeUrl"]).netloc
            target = monitoring.Target(address, one["labels"]["job"], one["health"] == "up")
            listed.setdefault((namespace, name), set()).add(target)
        return listed

    def rules(self) -> dict[tuple[str, str], str]:
        """Health of each rule that is evaluated, by group and name."""
        return {
            (group["name"], rule["name"]): rule["health"]
            for group in self._ask("/api/v1/rules")["groups"]
            for rule in group["rules"]
        }

    def alerts(self, model: str) -> dict[str, str]:
        """State of each alert of a claim that is not quiet, by name."""
        return {
            alert["labels"]["alertname"]: alert["state"]
            for alert in self._ask("/api/v1/alerts")["alerts"]
            if alert["labels"].get("model") == model
        }

    def _ask(self, path: str) -> typing.Any:
        connection = http.client.HTTPConnection(self._address(), _PORT, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = json.loads(connection.getresponse().read())
        if answer["status"] != "success":
            raise ValueError(answer["error"])
        return answer["data"]

    def _address(self) -> str:
        def ready() -> str:
            pods = self._admin.objects("v1", "Pod", namespace=NAMESPACE, labels=_POD)
            (pod,) = [one for one in pods if api.status_of(one, "Ready") == "True"] or [{}]
            return str(pod.get("status", {}).get("podIP", ""))

        return polling.until(ready, what="Prometheus", timeout=60, ignore=(ValueError,))


def _released() -> list[api.Object]:
    """The manifests of both releases, with images of these tests."""
    items = [item for path in toolchain.manifests(GROUP, "objects") for item in api.load(path)]
    for item in items:
        if api.Ref.of(item) == _OPERATOR:
            (container,) = item["spec"]["template"]["spec"]["containers"]
            # What the operator takes or refuses, it says on the objects.
            container["args"] += [
                "--feature-gates=StatusForConfigurationResources=true",
                # A hundredth of a processor, the reloader's, takes minutes to start a program.
                *(f"--config-reloader-cpu-{bound}=0" for bound in ("limit", "request")),
            ]
            # A fifth of a processor makes it slow where two of them have all the tests.
            del container["resources"]
    return sorted(items, key=lambda item: item["kind"] == "Deployment") + monitoring.series()


def _platform() -> list[api.Object]:
    """What a platform asks the operator for, and what its Prometheus may read."""
    account = {"kind": "ServiceAccount", "name": "prometheus", "namespace": NAMESPACE}
    roles = [item for path in toolchain.manifests(GROUP, "roles") for item in api.load(path)]
    every = f"{monitoring.SCRAPE_SECONDS}s"
    selected = {"matchLabels": LABELS}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": account["name"], "namespace": NAMESPACE},
        },
        *roles,
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "prometheus"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "prometheus",
            },
            "subjects": [account],
        },
        {
            "apiVersion": _API,
            "kind": "Prometheus",
            "metadata": {"name": _NAME, "namespace": NAMESPACE},
            "spec": {
                "version": _PROMETHEUS_VERSION,
                "image": f"quay.io/prometheus/prometheus:{_PROMETHEUS_VERSION}",
                "serviceAccountName": account["name"],
                "evaluationInterval": every,
                "scrapeInterval": every,
                "securityContext": {"runAsUser": _USER, "runAsNonRoot": True, "fsGroup": _USER},
                "serviceMonitorSelector": selected,
                "serviceMonitorNamespaceSelector": {},
                "ruleSelector": selected,
                "ruleNamespaceSelector": {},
            },
        },
        {
            "apiVersion": _API,
            "kind": "ServiceMonitor",
            "metadata": {"name": "kube-state-metrics", "namespace": NAMESPACE, "labels": LABELS},
            "spec": {
                "namespaceSelector": {"matchNames": [monitoring.SERIES.namespace]},
                "selector": {"matchLabels": {"app.kubernetes.io/name": monitoring.SERIES.name}},
                # Its series are about pods of other namespaces, and say which.
                "endpoints": [{"port": "http-metrics", "honorLabels": True, "interval": every}],
            },
        },
    ]
