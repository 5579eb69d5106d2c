"""A claim with a canary that has a gate, and what its Jobs say: for the tests of gates."""

import copy
import functools
from typing import Any

from function.cluster import gating
from tests import cluster, controllers
from tests.resources import scene

STORE = {"namespace": "monitoring", "podLabels": {"app": "metrics"}, "port": 8428}
STARTED = "2026-01-31T12:00:00Z"
STEPS = (5, 20, 40)


def canary(weight: int = 40, **gate: Any) -> cluster.Object:
    return {"adapter": "sql", "weightPercent": weight, "gate": {"steps": [20, 5], **gate}}


def site(**changes: Any) -> cluster.Object:
    return scene.site(**{"canaryGates": {"store": STORE}, **changes})


def gateway(*canaries: cluster.Object) -> cluster.Object:
    return {"enabled": True, "canaries": list(canaries or (canary(),))}


@functools.cache
def ungated() -> cluster.Cluster:
    claim = scene.of(loraAdapters=scene.ADAPTERS, gateway={"enabled": True})
    world = cluster.Cluster(claim, site())
    world.converge()
    return world


def stepped(*canaries: cluster.Object, rounds: int = 4) -> cluster.Cluster:
    """A claim that serves its adapters, and has got a canary with a gate."""
    world = copy.deepcopy(ungated())
    world.edit(gateway=gateway(*canaries))
    return rested(world, rounds)


def rested(world: cluster.Cluster, rounds: int = 4) -> cluster.Cluster:
    """Lets core and all controllers but that of Jobs act until nothing changes."""
    for _ in range(rounds):
        world.reconcile().settle("Job")
    world.reconcile()
    assert world.writes == []
    return world


def settle(world: cluster.Cluster) -> cluster.Cluster:
    """Lets all controllers act, and downloads end; what judges canaries goes on."""
    for item in world.settle("Job").objects.values():
        if item["kind"] == "Job" and item not in jobs(world):
            held(item)
    return world


def weight(world: cluster.Cluster, adapter: str = "sql") -> int | None:
    base = world.one("AIGatewayRoute")["spec"]["rules"][0]["backendRefs"]
    assert sum(one["weight"] for one in base) == 100
    return next((one["weight"] for one in base if one.get("modelNameOverride") == adapter), None)


def jobs(world: cluster.Cluster) -> list[cluster.Object]:
    return [item for key, item in world.objects.items() if f"-{gating.SUFFIX}" in key]


def job(world: cluster.Cluster) -> cluster.Object:
    (only,) = jobs(world)
    return only


def percent(item: cluster.Object) -> int:
    return int(item["metadata"]["annotations"][gating.PERCENT_ANNOTATION])


def record(world: cluster.Cluster) -> cluster.Object:
    (only,) = world.claim["status"]["canaries"]
    assert isinstance(only, dict)
    return only


def held(item: cluster.Object) -> None:
    item["status"] = {"startTime": STARTED, "conditions": [controllers.condition("Complete")]}


def ended(item: cluster.Object, code: int) -> None:
    words = f"Container gate for pod llm/x failed with exit code {code} matching FailJob rule"
    failed = controllers.condition("Failed", reason="PodFailurePolicy", message=words)
    item["status"] = {"startTime": STARTED, "failed": 1, "conditions": [failed]}


def crashed(item: cluster.Object, reason: str = "BackoffLimitExceeded") -> None:
    failed = controllers.condition("Failed", reason=reason)
    item["status"] = {"startTime": STARTED, "conditions": [failed]}


def other_image(world: cluster.Cluster) -> None:
    """A new release, or a mirror: every new Job has another spec."""
    settings = world.environments[0]["data"]["inferenceService"]
    settings["preload"] = {**settings.get("preload", {}), "image": "example.com/preload:v9"}


def served(item: cluster.Object) -> None:
    """Writes into a Job what the API server does (defaults.go of kubernetes v1.36.2)."""
    mark = {"batch.kubernetes.io/controller-uid": "7", "controller-uid": "7", "job-name": "x"}
    item["spec"] |= {
        "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "7"}},
        "completions": 1,
        "parallelism": 1,
        "completionMode": "NonIndexed",
        "podReplacementPolicy": "Failed",
        "manualSelector": False,
        "suspend": False,
    }
    template = item["spec"]["template"]
    template["metadata"]["labels"] |= mark
    template["metadata"]["creationTimestamp"] = None
    template["spec"] |= {
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "terminationGracePeriodSeconds": 30,
    }
    for container in template["spec"]["containers"]:
        container["terminationMessagePath"] = "/dev/termination-log"
