"""Whole renders of every example, at each stage of its life. `make golden` rewrites them."""

import os
import pathlib
from typing import Any

import pytest
import yaml

from tests import cluster

HERE = pathlib.Path(__file__).parent / "renders"


def first(claim: cluster.Object, environment: cluster.Object) -> cluster.Cluster:
    """The first reconcile of a new claim: no Deployment."""
    return cluster.Cluster(claim, environment).reconcile()


def verified(claim: cluster.Object, environment: cluster.Object) -> cluster.Cluster:
    """The reconcile that sees the Job complete."""
    return first(claim, environment).settle().reconcile()


def steady(claim: cluster.Object, environment: cluster.Object) -> cluster.Cluster:
    """Everything is ready and nothing is written any more."""
    world = cluster.Cluster(claim, environment)
    world.converge()
    return world


def taken_over(claim: cluster.Object, environment: cluster.Object) -> cluster.Cluster:
    """The first reconcile over what 0.9.0 left."""
    return cluster.taken_over(claim, environment).reconcile()


STAGES = {"first": first, "verified": verified, "steady": steady, "taken-over": taken_over}


def picture(world: cluster.Cluster) -> dict[str, Any]:
    """Returns what the answer says, in a form that a person can review."""
    from function.server import structs

    rsp = world.response
    return {
        "ttl": rsp.meta.ttl.seconds,
        "status": structs.plain(rsp.desired.composite.resource)["status"],
        "conditions": {
            c["type"]: f"{c['status']} {c['reason']}: {c['message']}"
            for c in world.claim["status"]["conditions"]
        },
        "events": [f"{reason}: {message}" for _, reason, message in world.events],
        "resources": {
            key: {
                "ready": world.ready[key],
                "object": structs.plain(rsp.desired.resources[key].resource),
            }
            for key in sorted(world.ready)
        },
    }


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("profile", cluster.PROFILES)
@pytest.mark.parametrize("name", cluster.EXAMPLES)
def test_render(name: str, profile: str, stage: str) -> None:
    world = STAGES[stage](cluster.example(name), cluster.environment(profile))
    text = yaml.safe_dump(picture(world), sort_keys=False, width=100)
    path = HERE / name / f"{profile}-{stage}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert path.exists(), "no golden render: run `make golden` and review it"
    assert text == path.read_text(), f"{path} differs: review, then `make golden`"


def test_no_golden_render_is_left_over() -> None:
    wanted = {
        HERE / name / f"{profile}-{stage}.yaml"
        for name in cluster.EXAMPLES
        for profile in cluster.PROFILES
        for stage in STAGES
    }
    assert set(HERE.rglob("*.yaml")) == wanted


@pytest.mark.parametrize("profile", cluster.PROFILES)
@pytest.mark.parametrize("name", cluster.EXAMPLES)
def test_no_gpu_is_asked_for_at_first(name: str, profile: str) -> None:
    world = first(cluster.example(name), cluster.environment(profile))
    assert not {"Deployment", "ScaledObject", "PodDisruptionBudget"} & world.kinds_there()
    assert world.phase == "Pending"
