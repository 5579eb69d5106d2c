"""Three whole lives of claims: every object in full when it comes, and each change after that.

Here the objects are compared byte for byte: names with their hashes, labels, text inside
annotations. `make golden` rewrites the files.
"""

import copy
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from tests import cluster
from tests.golden import picture

HERE = pathlib.Path(__file__).parent / "lives"

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
    world.one("Job")["status"] = {"active": 1, "ready": 1}
    yield "the Job downloads", world.reconcile()
    yield "the weights are verified", world.settle().reconcile()
    yield "the engine serves", world.settle().reconcile()
    yield "all is at rest", rests(world)
    yield "another revision is asked for", changed(world, revision="0" * 40).reconcile()
    yield "its weights are verified", world.settle().reconcile()
    yield "its pods serve", rests(world)
    yield "the claim is suspended", rests(world.edit(suspend=True))


def plain() -> Iterator[Stage]:
    """The smallest claim on a plain cluster: a download that fails, an engine that is replaced."""
    world = cluster.Cluster(cluster.example("smallest"), cluster.environment("plain"))
    yield "the first look", world.reconcile()
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
    world = cluster.taken_over(claim, cluster.environment("reference"))
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


def chapters(life: Iterator[Stage]) -> Iterator[dict[str, Any]]:
    """Yields what each stage brought: whole objects that came, changes of those that were there."""
    before: dict[str, cluster.Object] = {}
    status: cluster.Object = {}
    for words, world in life:
        after = {key: copy.deepcopy(item) for key, item in picture.objects(world).items()}
        report = {**picture.report(world), "ttl": f"{world.response.meta.ttl.seconds} s"}
        chapter = {
            "stage": words,
            "events": [_event(*event) for event in world.events],
            "status": picture.changes(status, report) if status else report,
            "not ready": [
                picture.HASH.sub("-<hash>", key)
                for key in sorted(world.ready)
                if not world.ready[key]
            ],
            "removed": [key for key in before if key not in after],
            "changed": {
                key: difference
                for key in after
                if key in before and (difference := picture.changes(before[key], after[key]))
            },
            "added": {key: item for key, item in after.items() if key not in before},
        }
        yield {name: part for name, part in chapter.items() if part}
        before, status = after, report


def _event(severity: int, reason: str, message: str) -> str:
    level = "warning" if severity == fnv1.SEVERITY_WARNING else "normal"
    return f"{level} {reason}: {message}"


@pytest.mark.pitfall("duplicates, shadowed names, corrupted YAML")
@pytest.mark.decision(30)
@pytest.mark.parametrize("name", LIVES)
def test_a_whole_life(name: str) -> None:
    life = LIVES[name]
    text = f"# {life.__doc__}\n{picture.dump(list(chapters(life())))}"
    path = HERE / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert path.exists(), "no golden file: run `make golden` and review it"
    assert text == path.read_text(), f"{path} differs: review, then `make golden`"


def test_no_golden_life_is_left_over() -> None:
    assert {path.stem for path in HERE.iterdir()} == set(LIVES)
