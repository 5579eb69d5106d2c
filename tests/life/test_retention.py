"""Weights that a claim wants no more."""

import copy
import json

from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from function.cluster import jobs
from tests import cluster, controllers
from tests.life import given


def retiring(retention: str = "Delete") -> cluster.Cluster:
    """A claim that has just moved to another revision, all pods with it."""
    claim = cluster.example(given.NAME)
    claim["spec"]["model"]["retention"] = retention
    world = cluster.Cluster(claim, cluster.environment("reference"))
    world.converge()
    given.swap(world).reconcile().settle().reconcile()
    assert world.condition("Current") == ("False", "RollingOut")
    return world


def directories(world: cluster.Cluster, field: str) -> list[str]:
    listed = world.claim["status"]["weights"].get(field, [])
    return [item if isinstance(item, str) else item["directory"] for item in listed]


def wanted(world: cluster.Cluster) -> list[str]:
    (job,) = [item for key, item in world.objects.items() if "-preload-job-" in key]
    return list(json.loads(job["metadata"]["annotations"][jobs.WEIGHTS_ANNOTATION]))


def cleanups(world: cluster.Cluster) -> list[cluster.Object]:
    return [item for key, item in world.objects.items() if "-cleanup-job-" in key]


def test_old_weights_stay_unless_the_claim_says_otherwise() -> None:
    world = retiring("Retain")
    world.converge()
    assert len(directories(world, "verified")) == 4, "two base models and two adapters"
    assert not cleanups(world)
    assert "removing" not in world.claim["status"]["weights"]
    assert not any("cleanup" in key for key in world.objects)


def test_old_weights_go_in_two_steps_once_every_pod_has_left_them() -> None:
    world = retiring()
    (old,) = set(directories(world, "verified")) - set(wanted(world))
    world.reconcile()
    assert old in directories(world, "verified"), "pods still roll"
    world.settle().reconcile()
    assert world.condition("Current") == ("True", "Serving")
    assert directories(world, "removing") == [old]
    assert old not in directories(world, "verified"), "first nobody counts on it"
    assert not cleanups(world)
    world.reconcile()
    (job,) = cleanups(world)
    container = job["spec"]["template"]["spec"]["containers"][0]
    (variable,) = container["env"]
    assert json.loads(variable["value"])["remove"] == [old.rpartition("/")[2]]
    assert "envFrom" not in container, "it has no use for a token"
    assert all(world.ready.values())
    world.settle().reconcile()
    assert not directories(world, "removing")
    world.reconcile()
    assert not cleanups(world)
    assert world.converge() == 1


def test_a_claim_that_goes_back_downloads_again() -> None:
    world = retiring()
    world.settle().reconcile().reconcile()
    (job,) = cleanups(world)
    old = world.claim["status"]["serving"]["revision"]
    assert old == given.OTHER_REVISION
    given.swap(world, cluster.example(given.NAME)["spec"]["model"]["revision"]).reconcile()
    assert not cleanups(world), "a Job that removes what is wanted is the first to go"
    assert world.condition("WeightsReady") == ("False", "Queued")
    before = [key for key in world.objects if "-preload-job-" in key]
    assert not before, "the download waits until that Job is gone"
    world.reconcile()
    assert [key for key in world.objects if "-preload-job-" in key]
    assert world.condition("Current") == ("False", "WeightsPending")
    world.converge()
    assert world.condition("Current") == ("True", "Serving")
    del job


def test_weights_that_a_held_template_needs_stay() -> None:
    """The swap was accepted by nobody yet, or its download fails: pods run with the old ones."""
    claim = cluster.example(given.NAME)
    claim["spec"]["model"]["retention"] = "Delete"
    world = cluster.Cluster(claim, cluster.environment("reference"))
    world.converge()
    before = directories(world, "verified")
    given.swap(world).reconcile()
    cluster.fail_job(world, 11)
    for _ in range(3):
        world.reconcile()
    assert directories(world, "verified") == before
    assert not directories(world, "removing")
    assert not cleanups(world)


def test_weights_are_kept_while_what_replaces_them_never_starts() -> None:
    """Going back from a model that crashes must not be a download."""
    world = retiring()
    before = directories(world, "verified")
    for _ in range(3):
        live = world.one("Deployment")
        live["status"] = {
            "observedGeneration": live["metadata"]["generation"],
            "replicas": 1,
            "updatedReplicas": 1,
        }
        world.reconcile()
    assert directories(world, "verified") == before
    assert not directories(world, "removing")


def test_a_removal_that_fails_is_said_and_stops_nothing() -> None:
    world = retiring()
    world.settle().reconcile().reconcile()
    (job,) = cleanups(world)
    words = "Container cleanup for pod llm/x failed with exit code 15 matching FailJob rule"
    job["status"] = {
        "conditions": [controllers.condition("Failed", "True", "PodFailurePolicy", words)]
    }
    world.reconcile()
    assert world.condition("WeightsReady") == ("True", "CleanupFailed")
    assert "refuses writes" in world.message("WeightsReady")
    assert world.phase == "Serving"
    assert all(world.ready.values())
    assert [(s, reason) for s, reason, _ in world.events] == [
        (fnv1.SEVERITY_WARNING, "CleanupFailed")
    ]
    world.reconcile()
    assert not world.events
    assert cleanups(world), "it stays to be looked at"
    given.remodelled(world, preload={"generation": 1}).reconcile()
    (again,) = cleanups(world)
    assert again["metadata"]["name"] != job["metadata"]["name"]


def test_a_change_of_retention_restarts_nothing() -> None:
    world = given.serving()
    before = copy.deepcopy(world.template)
    given.remodelled(world, retention="Delete").reconcile()
    assert world.template == before
    assert world.condition("Current") == ("True", "Serving")
    assert not directories(world, "removing"), "nothing was left behind yet"
