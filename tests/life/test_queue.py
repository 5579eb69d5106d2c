"""Replicas that wait for quota: what is said of it, and what Kueue would refuse."""

from typing import Any

import pytest

from function.cluster import queueing
from function.planning import queues
from tests import cluster, controllers
from tests.resources import groups, scene

GATES = [{"name": queueing.GATE}]
NO_QUOTA = "insufficient unused quota for nvidia.com/gpu in flavor h100, 8 more needed"


def of(**spec: Any) -> cluster.Object:
    """Returns a claim of one GPU a replica in a queue."""
    return scene.of(scheduling={"queue": "gpus", "priorityClass": "high"}, **spec)


def site(**changes: Any) -> cluster.Object:
    """Returns settings of a cluster with Kueue."""
    config = groups.site()
    config["data"]["inferenceService"] |= changes
    config["data"]["inferenceService"]["providers"]["queue"] = "kueue"
    return config


def waiting(claimed: cluster.Object, **metadata: Any) -> cluster.Cluster:
    """Returns the cluster whose one pod Kueue holds, seen by a function that may read pods."""
    world = scene.serving(claimed, site(diagnostics={"pods": True}))
    keeper = world.one("LeaderWorkerSet" if "gpu" in claimed["spec"] else "Deployment")
    keeper["status"] = {"observedGeneration": 1, "replicas": 1}
    labels = {**metadata.pop("labels", {}), "app.kubernetes.io/component": "inference"}
    world.strangers = []
    world.pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "namespace": "llm", "labels": labels, **metadata},
            "spec": {"schedulingGates": GATES},
            "status": {"conditions": [controllers.condition("PodScheduled", "False", "Gated")]},
        }
    ]
    return world


def entry(name: str, message: str, **labels: str) -> cluster.Object:
    """Returns what stands in the queue for a pod."""
    return {
        "apiVersion": queueing.API_VERSION,
        "kind": queueing.KIND,
        "metadata": {"name": name, "namespace": "llm", "labels": labels},
        "status": {
            "conditions": [controllers.condition("QuotaReserved", "False", "Pending", message)],
        },
    }


@pytest.mark.parametrize("claimed", [of(), groups.of(spec={"scheduling": {"queue": "gpus"}})])
def test_the_workload_alone_names_the_queue(claimed: cluster.Object) -> None:
    """A template with the queue in it would restart the pods when the queue changes."""
    world = scene.serving(claimed, site())
    keeper = world.one("LeaderWorkerSet" if "gpu" in claimed["spec"] else "Deployment")
    assert keeper["metadata"]["labels"][queues.QUEUE] == "gpus"
    assert queues.QUEUE not in str(keeper["spec"])
    assert ("high" in keeper["metadata"]["labels"].values()) is ("gpu" not in claimed["spec"])
    others = [item for item in world.owned.values() if item["kind"] != keeper["kind"]]
    assert queues.QUEUE not in str(others)


def test_a_queue_that_nobody_admits_from_is_refused() -> None:
    assert "spec.scheduling.queue: the settings name nobody" in scene.refused(of(), scene.site())


def test_a_pod_that_is_held_tells_what_it_waits_for() -> None:
    world = waiting(of(), uid="uid-of-p")
    assert world.strangers is not None
    world.strangers.append(entry("pod-p", NO_QUOTA, **{"kueue.x-k8s.io/job-uid": "uid-of-p"}))
    world.reconcile()
    assert world.phase == "WaitingForQuota"
    assert world.condition("EngineReady") == ("False", "QuotaPending")
    assert world.message("EngineReady") == world.claim["status"]["waitingFor"] == NO_QUOTA


@pytest.mark.parametrize("place", ["labels", "annotations"])
def test_a_group_that_is_held_names_what_stands_in_the_queue_for_it(place: str) -> None:
    claimed = groups.of(spec={"scheduling": {"queue": "gpus"}})
    world = waiting(claimed, **{place: {"kueue.x-k8s.io/prebuilt-workload-name": "lws-0"}})
    assert world.strangers is not None
    world.strangers += [entry("lws-1", "another"), entry("lws-0", NO_QUOTA)]
    world.reconcile()
    assert world.message("EngineReady") == NO_QUOTA


def test_a_pod_that_kueue_has_not_judged_waits_for_quota_too() -> None:
    world = waiting(of(), uid="uid-of-p").reconcile()
    assert world.condition("EngineReady") == ("False", "QuotaPending")
    assert world.message("EngineReady") == queueing.UNTOLD


def test_without_pods_the_message_names_the_queue() -> None:
    world = scene.serving(of(), site())
    world.one("Deployment")["status"] = {"observedGeneration": 1, "replicas": 1}
    world.reconcile()
    assert world.condition("EngineReady") == ("False", "Starting")
    assert "quota of the queue gpus" in world.message("EngineReady")


@pytest.mark.parametrize(
    ("scheduling", "words"),
    [
        ({"queue": "others", "priorityClass": "high"}, "spec.scheduling.queue: was 'gpus' when"),
        ({"queue": "gpus"}, "spec.scheduling.priorityClass: Kueue takes no Deployment out of"),
        (None, "spec.scheduling.queue: Kueue takes no Deployment out of 'gpus'"),
    ],
)
def test_what_kueue_refuses_while_replicas_run_is_said(
    scheduling: cluster.Object | None, words: str
) -> None:
    world = scene.serving(of(), site())
    world.edit(scheduling=scheduling).reconcile()
    assert world.fatal is not None
    assert words in world.fatal
    assert "Deployment" in world.kinds_there()


def test_a_queue_is_joined_and_changed_while_no_replica_runs() -> None:
    world = scene.serving(scene.of(), site())
    world.edit(scheduling={"queue": "gpus"}).reconcile()
    assert world.fatal is not None
    assert "spec.scheduling.queue: was absent when" in world.fatal
    world.edit(scheduling=None, suspend=True).converge()
    for queue in ("gpus", "others"):
        world.edit(scheduling={"queue": queue}, suspend=True).converge()
    world.edit(suspend=False).converge()
    assert world.one("Deployment")["metadata"]["labels"][queues.QUEUE] == "others"
    assert world.phase == "Serving"


def test_a_priority_changes_while_replicas_run() -> None:
    world = scene.serving(of(), site())
    world.edit(scheduling={"queue": "gpus", "priorityClass": "low"}).converge()
    assert world.one("Deployment")["metadata"]["labels"][queues.PRIORITY] == "low"
