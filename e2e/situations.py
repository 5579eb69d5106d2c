"""Claims at the stages of their life, with what is observed of them, as files for a render."""

from __future__ import annotations

import copy
import dataclasses
import pathlib
from collections.abc import Callable

from e2e import commands, shipped
from e2e.controlplane import api
from tests import cluster, recordings


@dataclasses.dataclass(frozen=True)
class Situation:
    """A claim as it lives, and what is observed of it, as files."""

    claim: pathlib.Path
    observed: pathlib.Path | None


def _first(claim: api.Object, environment: api.Object) -> cluster.Cluster:
    """A claim just created."""
    return cluster.Cluster(claim, environment)


def _verified(claim: api.Object, environment: api.Object) -> cluster.Cluster:
    """The preload Job is complete: the Deployment comes."""
    return cluster.Cluster(claim, environment).born().settle()


def _serving(claim: api.Object, environment: api.Object) -> cluster.Cluster:
    """Everything is ready."""
    world = cluster.Cluster(claim, environment)
    world.converge()
    return world


STAGES: dict[str, Callable[[api.Object, api.Object], cluster.Cluster]] = {
    "first": _first,
    "verified": _verified,
    "serving": _serving,
    "taken-over": recordings.taken_over,
}


def environment(stage: str, profile: str, work: pathlib.Path) -> pathlib.Path:
    """A profile's settings; of a plain cluster that 0.9.0 was on, with the providers that went."""
    shipped_settings = shipped.environment(profile)
    if (stage, profile) != ("taken-over", "plain"):
        return shipped_settings
    config = shipped.one(shipped_settings)
    withdrawn = ["cilium", "envoy-ai-gateway", "victoriametrics"]
    config["data"]["inferenceService"]["providers"]["withdrawn"] = withdrawn
    return commands.write(work / "environment.yaml", [config])


def write(stage: str, claim: pathlib.Path, profile: str, work: pathlib.Path) -> Situation:
    """Write a claim at a stage of its life, with the observed objects as the API gives them."""
    environment = shipped.one(shipped.environment(profile))
    world = STAGES[stage](shipped.one(claim), environment)
    written = commands.write(work / f"{claim.stem}-{profile}-{stage}.yaml", [world.claim])
    if not world.objects:
        return Situation(written, None)
    observed = [_live(item, world.claim) for item in world.objects.values()]
    return Situation(written, commands.write(work / f"observed-{written.name}", observed))


def _live(item: api.Object, claim: api.Object) -> api.Object:
    """An observed object with what the API always has and the simulated cluster leaves out."""
    live = copy.deepcopy(item)
    live["metadata"]["namespace"] = claim["metadata"]["namespace"]
    return live
