"""The phase and conditions that a claim must have, by the documentation and core's request.

This is a second implementation of `docs/operations.md` and of the section Conditions and phase of
`docs/life-of-a-claim.md`. It uses one thing of the product: the first answer to a new claim, which
shows the pod template, the Job and the objects that claim and settings ask for.
"""

import dataclasses
import functools
import json
from collections.abc import Mapping
from typing import Any

from tests import cluster
from tests.checker import world as worlds

Object = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Asked:
    """What claim and settings ask for, whatever happened before.

    Attributes:
        valid: False when the claim or the settings cannot be used.
        template: The pod template; None when the claim is not valid.
        fits: False when a replica would fit no node of its class, or its model not the GPUs.
        directories: Directories of weights that must be verified; none without preload.
        job: Key of the preload Job, or None without preload.
        hot: Those of the directories that pods load while they run.
        sleeps: True when zero replicas is the minimum, and something wakes them.
    """

    valid: bool
    template: Object | None = None
    directories: frozenset[str] = frozenset()
    hot: frozenset[str] = frozenset()
    job: str | None = None
    fits: bool = True
    sleeps: bool = False


# What composes each kind: a provider that settings lose while one is there would take it away.
PROVIDERS = {
    "CiliumNetworkPolicy": "cilium",
    "NetworkPolicy": "kubernetes",
    "VMServiceScrape": "victoriametrics",
    "VMRule": "victoriametrics",
    "ServiceMonitor": "prometheus-operator",
    "PrometheusRule": "prometheus-operator",
    "ScaledObject": "keda",
    "ExternalSecret": "external-secrets",
    "ConfigMap": "grafana-sidecar",
    "GrafanaDashboard": "grafana-operator",
    "HTTPRoute": "gateway-api",
    "Backend": "envoy-ai-gateway",
    "BackendTrafficPolicy": "envoy-ai-gateway",
    "AIServiceBackend": "envoy-ai-gateway",
    "AIGatewayRoute": "envoy-ai-gateway",
    "HelmRelease": "envoy-ai-gateway",
}
_DEFAULTS = {
    "networkPolicy": "kubernetes",
    "monitoring": "prometheus-operator",
    "autoscaler": "keda",
    "gateway": "none",
    "route": "gateway-api",
    "secrets": "external-secrets",
    "dashboards": "none",
}


def lost(objects: Mapping[str, Object], environments: list[Object]) -> set[str]:
    """Returns the providers whose objects are there, and which the settings forgot."""
    chosen: Object = {}
    for environment in environments:
        chosen |= environment["data"].get("inferenceService", {}).get("providers", {})
    used = {chosen.get(concern, default) for concern, default in _DEFAULTS.items()}
    there = {PROVIDERS.get(item["kind"]) for item in objects.values() if not worlds.lists(item)} - {
        None
    }
    return {str(name) for name in there - used - set(chosen.get("withdrawn", []))}


def asked(claim: Object, environments: list[Object]) -> Asked:
    """Returns what a claim asks for, suspended or not."""
    spec = {key: value for key, value in claim["spec"].items() if key != "suspend"}
    metadata = {key: claim["metadata"][key] for key in ("name", "namespace")}
    return _asked(json.dumps([spec, metadata, environments], sort_keys=True))


@functools.lru_cache(maxsize=4096)
def _asked(text: str) -> Asked:
    fresh = _born(text)
    fresh.reconcile()
    if fresh.fatal is not None:
        return Asked(valid=False)
    fresh.reconcile()  # the policies are there now
    jobs = _jobs(fresh)  # none for a model that no GPU holds
    fresh.settle("Deployment", "ScaledObject").reconcile()
    fits = "Deployment" in fresh.kinds_there()
    if not fits:
        _enlarge_nodes(fresh)
        fresh.reconcile()
        fresh.settle("Deployment", "ScaledObject").reconcile()
    made = frozenset[str]().union(*map(worlds.makes, jobs.values()))
    scalers = [item for item in fresh.objects.values() if item["kind"] == "ScaledObject"]
    return Asked(
        valid=True,
        template=fresh.template,
        directories=made,
        hot=made - worlds.needs(fresh.template) if worlds.loads(fresh.template) else frozenset(),
        job=next(iter(jobs), None),
        fits=fits,
        sleeps=any(item["spec"]["minReplicaCount"] == 0 for item in scalers),
    )


def _jobs(fresh: cluster.Cluster) -> dict[str, Object]:
    return {key: item for key, item in fresh.objects.items() if item["kind"] == "Job"}


def _born(text: str) -> cluster.Cluster:
    spec, metadata, environments = json.loads(text)
    claim = {
        "apiVersion": "cloud.ogenki.io/v1alpha1",
        "kind": "InferenceService",
        "metadata": metadata,
        "spec": spec,
    }
    return cluster.Cluster(claim, *environments)


def _enlarge_nodes(fresh: cluster.Cluster) -> None:
    """Lets every replica fit its node and its GPUs."""
    site = fresh.environments[0]["data"]["inferenceService"]
    site.setdefault("capacity", {})["fit"] = "Ignore"
    for node in site["gpu"]["classes"].values():
        node.pop("nodeMemory", None)


def kept(claim: Object, environments: list[Object]) -> frozenset[str]:
    """Returns the keys of all objects that a claim has once it serves."""
    spec = {key: value for key, value in claim["spec"].items() if key != "suspend"}
    metadata = {key: claim["metadata"][key] for key in ("name", "namespace")}
    return _kept(json.dumps([spec, metadata, environments], sort_keys=True))


@functools.lru_cache(maxsize=4096)
def _kept(text: str) -> frozenset[str]:
    fresh = _born(text)
    _enlarge_nodes(fresh)
    fresh.converge()
    return frozenset(fresh.objects)


@dataclasses.dataclass(frozen=True)
class Exchange:
    """Core's request and the function's answer, in one reconcile.

    Attributes:
        claim: The claim in the request.
        objects: The composed objects in the request.
        pods: The claim's pods, or None when nobody read them.
        desired: The answer's objects.
        asked: What claim and settings ask for.
    """

    claim: Object
    objects: Mapping[str, Object]
    pods: list[Object] | None
    desired: Mapping[str, Object]
    asked: Asked

    def one(self, kind: str) -> Object | None:
        """Returns the observed object of a kind, of which there is one at most."""
        return next((o for o in self.objects.values() if o["kind"] == kind), None)

    @property
    def template(self) -> Object | None:
        """The pod template that the answer desires, or None."""
        for item in self.desired.values():
            if item["kind"] == "Deployment":
                template = item["spec"]["template"]
                assert isinstance(template, dict)
                return template
        return None

    @property
    def suspended(self) -> bool:
        """Whether the author wants no replica."""
        return self.claim["spec"].get("suspend") is True

    @property
    def served(self) -> bool:
        """Whether the request shows that a pod of the claim has served."""
        reported = (self.one("Deployment") or {}).get("status", {})
        ran = [c for c in reported.get("conditions", []) if c["reason"] == "NewReplicaSetAvailable"]
        told = self.claim.get("status", {}).get("serving") is not None
        return told or reported.get("availableReplicas", 0) > 0 or bool(ran)

    @property
    def recorded(self) -> set[str]:
        """Directories that the status remembers as verified."""
        weights = self.claim.get("status", {}).get("weights", {})
        return {record["directory"] for record in weights.get("verified", [])}

    @property
    def done(self) -> set[str]:
        """Directories that the request shows as verified."""
        done = self.recorded
        for item in self.objects.values():
            if item["kind"] == "Job" and says(item, "Complete"):
                done |= worlds.makes(item)
        return done

    @property
    def verified(self) -> bool:
        """Whether the request shows that all wanted directories are verified."""
        return self.asked.directories <= self.done

    @property
    def failed(self) -> bool:
        """Whether the download of the wanted weights has failed."""
        job = self.objects.get(self.asked.job or "")
        return job is not None and says(job, "Failed") and not self.verified


def says(item: Object, kind: str) -> bool:
    """Tells whether a condition of an object is True."""
    conditions = item.get("status", {}).get("conditions", [])
    return any(c["type"] == kind and c["status"] == "True" for c in conditions)


def number(item: Object | None, *path: str) -> int:
    """Returns a count in an object; 0 where the object or the count is absent."""
    value: Any = item
    for step in path:
        value = (value or {}).get(step)
    return int(value or 0)


def rolls(exchange: Exchange) -> bool:
    """Tells whether pods roll: some pod does not have the desired template."""
    item = exchange.one("Deployment")
    return item is not None and (
        item["spec"]["template"] != exchange.template
        or number(item, "status", "observedGeneration") < number(item, "metadata", "generation")
        or number(item, "status", "updatedReplicas") < number(item, "status", "replicas")
    )


def phase(exchange: Exchange) -> str:
    """Returns the phase: the first row of the documented table that applies."""
    item = exchange.one("Deployment")
    wanted, available = (
        number(item, "spec", "replicas"),
        number(item, "status", "availableReplicas"),
    )
    if available:
        return _serving_phase(exchange, available >= wanted)
    if exchange.failed and exchange.template is None:
        return "Failed"
    if exchange.suspended:
        return "Suspended" if wanted == 0 else "Updating"
    if exchange.template is None:
        if not exchange.asked.fits and exchange.verified:
            return "Failed"  # fits no node
        return "Downloading" if exchange.asked.job in exchange.objects else "Pending"
    if item is None:
        return "Pending"
    if wanted == 0 and exchange.asked.sleeps:
        return "Idle"
    return _starting_phase(exchange, item)


def _serving_phase(exchange: Exchange, enough: bool) -> str:
    if exchange.suspended:
        return "Updating"
    if exchange.failed:
        return "Degraded"
    awaits = not exchange.verified and exchange.template != exchange.asked.template
    if awaits or rolls(exchange):
        return "Updating"
    return "Serving" if enough else "Degraded"


def _starting_phase(exchange: Exchange, item: Object) -> str:
    for pod in exchange.pods or []:
        if pod["status"].get("conditions"):
            return "WaitingForGPU"
        if pod["status"].get("containerStatuses"):
            return "Failed"
    late = item.get("status", {}).get("conditions", [])
    if any(c["reason"] == "ProgressDeadlineExceeded" for c in late):
        return "Failed"
    return "Starting"


def follows(exchange: Exchange) -> bool:
    """Tells whether every pod, running or new, has the template that the claim asks for."""
    there = exchange.one("Deployment") is not None
    return there and not rolls(exchange) and exchange.template == exchange.asked.template


def current(exchange: Exchange) -> bool:
    """Tells whether the claim's spec is the one that serves, or would serve when woken."""
    item = exchange.one("Deployment")
    if exchange.suspended or not follows(exchange):
        return False
    if not exchange.asked.hot <= exchange.done:
        return False  # AdaptersPending
    asleep = number(item, "spec", "replicas") == 0 and exchange.asked.sleeps
    return asleep or number(item, "status", "availableReplicas") > 0
