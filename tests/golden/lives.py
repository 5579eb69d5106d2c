"""Lives of claims in the cluster in memory: three of them told in stages, and that of any claim."""

from collections.abc import Callable, Iterator

from tests import cluster, recordings

# What happened, and the world after it.
Stage = tuple[str, cluster.Cluster]


def changed(world: cluster.Cluster, **model: object) -> cluster.Cluster:
    """Changes fields of the claim's model."""
    return world.edit(model={**world.claim["spec"]["model"], **model})


def rests(world: cluster.Cluster) -> cluster.Cluster:
    """Lets all controllers work until nothing is written."""
    world.converge()
    return world


def coder() -> Iterator[Stage]:
    """A coder with adapters on the AI gateway of the reference platform, from birth to rest."""
    claim = cluster.example("xplane-qwen-coder")
    world = cluster.Cluster(claim, cluster.environment("reference"))
    yield "the first look", world.reconcile()
    yield "its policies are there", world.reconcile()
    world.one("Job")["status"] = {"active": 1, "ready": 1}
    yield "the Job downloads", world.reconcile()
    yield "the weights are verified", world.settle().reconcile()
    world.settle()
    starting = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1}
    world.one("Deployment")["status"] = starting
    yield "its pod starts", world.reconcile()
    yield "it serves", world.settle().reconcile()
    yield "all is at rest", rests(world)
    yield "another revision is asked for", changed(world, revision="0" * 40).reconcile()
    yield "its weights are verified", world.settle().reconcile()
    yield "its pods serve", rests(world)
    yield "the claim is suspended", rests(world.edit(suspend=True))


def plain() -> Iterator[Stage]:
    """The smallest claim on a plain cluster: a download that fails, an engine that is replaced."""
    world = cluster.Cluster(cluster.example("smallest"), cluster.environment("plain"))
    yield "the first look", world.reconcile()
    yield "its policies are there", world.reconcile()
    cluster.fail_job(world, 13)
    yield "the hub does not answer", world.reconcile()
    yield "another try is asked for", changed(world, preload={"generation": 1}).reconcile()
    yield "the weights are verified", world.settle().reconcile()
    yield "all is at rest", rests(world)
    world.environments[0]["data"]["inferenceService"]["engine"] = {"version": "0.32.0"}
    yield "the site takes another engine", world.reconcile()
    token = world.message("Current").rpartition("=")[2]
    world.claim["metadata"]["annotations"] = {"inference-service.cloud.ogenki.io/accept": token}
    yield "its author accepts that", world.reconcile()
    yield "its pods serve", rests(world)
    yield "more replicas are asked for", rests(world.edit(scaling={"minReplicas": 2}))


def taken_over() -> Iterator[Stage]:
    """A claim that 0.9.0 serves, taken over and moved to the new pods by an edit."""
    claim = cluster.example("xplane-qwen-coder")
    world = recordings.taken_over(claim, cluster.environment("reference"))
    yield "the first look", world.reconcile()
    yield "the second look", world.reconcile()
    yield "the weights are verified", rests(world)
    yield "the claim is edited", world.edit(drainSeconds=60).reconcile()
    yield "its pods serve", rests(world)


LIVES: dict[str, Callable[[], Iterator[Stage]]] = {
    "a-coder-on-the-reference-platform": coder,
    "the-smallest-on-a-plain-cluster": plain,
    "taken-over-from-0-9-0": taken_over,
}


def at_work(
    claim: cluster.Object,
    environments: list[cluster.Object],
    beside: list[cluster.Object] | None = None,
) -> Iterator[cluster.Cluster]:
    """Yields the world after each look at a new claim for which all goes well, until it rests.

    Args:
        claim: The claim.
        environments: The settings.
        beside: What else is in the namespace; None where core reads nothing for functions.
    """
    world = cluster.Cluster(claim, *environments)
    world.strangers = beside
    for _ in range(12):
        yield world.settle().reconcile()
        assert world.fatal is None
        if not world.writes:
            break
    assert all(world.ready.values())
