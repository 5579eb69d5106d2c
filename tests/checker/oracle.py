"""What a claim has to say, worked out from the documentation and from what core saw.

`docs/operations.md` and `docs/life-of-a-claim.md`, section Conditions and phase, put into code a
second time. Of the product only its first answer to a claim is used: which pod template, Job and
objects the claim and the settings ask for when nothing has happened yet.
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
        fits: False when a replica would fit no node of its class.
        directories: Directories of weights that must be verified; none without preload.
        job: Key of the preload Job, or None without preload.
        sleeps: True when zero replicas is the minimum, and something wakes them.
    """

    valid: bool
    template: Object | None = None
    directories: frozenset[str] = frozenset()
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
}


def lost(objects: Mapping[str, Object], environments: list[Object]) -> set[str]:
    """Returns the providers whose objects are there, and which the settings forgot."""
    said: Object = {}
    for environment in environments:
        said |= environment["data"].get("inferenceService", {}).get("providers", {})
    used = {said.get(concern, default) for concern, default in _DEFAULTS.items()}
    there = {PROVIDERS.get(item["kind"]) for item in objects.values()} - {None}
    return {str(name) for name in there - used - set(said.get("withdrawn", []))}


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
    jobs = [key for key, item in fresh.objects.items() if item["kind"] == "Job"]
    made = frozenset[str]().union(*(worlds.makes(fresh.objects[key]) for key in jobs))
    fresh.settle("Deployment", "ScaledObject").reconcile()
    fits = "Deployment" in fresh.kinds_there()
    if not fits:
        _enlarge_nodes(fresh)
        fresh.reconcile()
    scalers = [item for item in fresh.objects.values() if item["kind"] == "ScaledObject"]
    return Asked(
        valid=True,
        template=fresh.template,
        directories=made,
        job=jobs[0] if jobs else None,
        fits=fits,
        sleeps=any(item["spec"]["minReplicaCount"] == 0 for item in scalers),
    )


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
    for node in fresh.environments[0]["data"]["inferenceService"]["gpu"]["classes"].values():
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
class Seen:
    """What core saw, and what the function answered, in one reconcile.

    Attributes:
        claim: The claim as core saw it.
        objects: The composed objects as core saw them.
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
        """Returns the observed object of a kind that is there once at most."""
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
        """Whether a pod of the claim is known to have served."""
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
    def verified(self) -> bool:
        """Whether everything that is asked for is known to be verified."""
        done = self.recorded
        for item in self.objects.values():
            if item["kind"] == "Job" and says(item, "Complete"):
                done |= worlds.makes(item)
        return self.asked.directories <= done

    @property
    def failed(self) -> bool:
        """Whether the download of what is asked for has failed."""
        job = self.objects.get(self.asked.job or "")
        return job is not None and says(job, "Failed") and not self.verified


def says(item: Object, kind: str) -> bool:
    """Tells whether a condition of an object is True."""
    found = item.get("status", {}).get("conditions", [])
    return any(c["type"] == kind and c["status"] == "True" for c in found)


def number(item: Object | None, *path: str) -> int:
    """Returns a count in an object that may be absent, as may the count."""
    value: Any = item
    for step in path:
        value = (value or {}).get(step)
    return int(value or 0)


def rolls(seen: Seen) -> bool:
    """Tells whether pods move: not all that exist follow what is desired."""
    item = seen.one("Deployment")
    return item is not None and (
        item["spec"]["template"] != seen.template
        or number(item, "status", "observedGeneration") < number(item, "metadata", "generation")
        or number(item, "status", "updatedReplicas") < number(item, "status", "replicas")
    )


def phase(seen: Seen) -> str:
    """Returns the phase; the first line that applies."""
    item = seen.one("Deployment")
    wanted, available = (
        number(item, "spec", "replicas"),
        number(item, "status", "availableReplicas"),
    )
    if available:
        return _serving_phase(seen, available >= wanted)
    if seen.failed and seen.template is None:
        return "Failed"
    if seen.suspended:
        return "Suspended" if wanted == 0 else "Updating"
    if seen.template is None:
        if not seen.asked.fits and seen.verified:
            return "Failed"  # fits no node
        return "Downloading" if seen.asked.job in seen.objects else "Pending"
    if item is None:
        return "Pending"
    if wanted == 0 and seen.asked.sleeps:
        return "Idle"
    return _starting_phase(seen, item)


def _serving_phase(seen: Seen, enough: bool) -> str:
    if seen.suspended:
        return "Updating"
    if seen.failed:
        return "Degraded"
    awaits = not seen.verified and seen.template != seen.asked.template
    if awaits or rolls(seen):
        return "Updating"
    return "Serving" if enough else "Degraded"


def _starting_phase(seen: Seen, item: Object) -> str:
    for pod in seen.pods or []:
        if pod["status"].get("conditions"):
            return "WaitingForGPU"
        if pod["status"].get("containerStatuses"):
            return "Failed"
    late = item.get("status", {}).get("conditions", [])
    if any(c["reason"] == "ProgressDeadlineExceeded" for c in late):
        return "Failed"
    return "Starting"


def follows(seen: Seen) -> bool:
    """Tells whether every pod that exists, and any that starts, is what the claim says."""
    there = seen.one("Deployment") is not None
    return there and not rolls(seen) and seen.template == seen.asked.template


def current(seen: Seen) -> bool:
    """Tells whether what the claim now says is what serves, or would when woken."""
    item = seen.one("Deployment")
    if seen.suspended or not follows(seen):
        return False
    asleep = number(item, "spec", "replicas") == 0 and seen.asked.sleeps
    return asleep or number(item, "status", "availableReplicas") > 0
