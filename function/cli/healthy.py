"""Stand-ins for objects that nobody looked at: composed, and all of them well."""

import dataclasses
from collections.abc import Callable
from typing import Any

from function import composition
from function.api import settings
from function.cluster import observed
from function.composites import composite, inference_service
from function.situation import pickers, rivals
from function.workloads import workloads

# One object waits for another, such as a route for its Service: rounds until nothing changes.
MOST_ROUNDS = 8
_YES = ("Ready", "Accepted", "ResolvedRefs", "Paused", "Available", "Programmed")


def settled(
    resource: Any,
    site: settings.Settings,
    given: observed.Observed,
    may: Callable[[dict[str, Any]], bool] = lambda _: True,
    first: composition.Composition | None = None,
    replicas: tuple[int, int] | None = None,
    kind: composite.Composite = inference_service,
) -> tuple[observed.Observed, composition.Composition]:
    """Returns the world in which stand-ins fill up what was observed, and the answer to it.

    Args:
        resource: The claim.
        site: The settings.
        given: What was observed; it stays as it is.
        may: Whether there may be a stand-in for a manifest.
        first: The answer to what was observed, where it is there already.
        replicas: How many replicas are available and wanted; all that the claim asks for when
            absent.
        kind: The kind of the claim.

    Raises:
        base.InvalidError: The claim cannot be used.
    """
    current, answer = given, first or kind.compose(resource, site, given)
    for _ in range(MOST_ROUNDS):
        stand_ins = {
            key: _well(composed, answer, replicas)
            for key, composed in answer.resources.items()
            if key not in given.resources and may(composed.manifest)
        }
        if not stand_ins:
            break
        # Nobody else has a name that nobody looked for.
        unasked: dict[str, list[observed.Object]] = {
            name: []
            for name in answer.questions.resources
            if name.startswith((rivals.REQUIREMENT, pickers.REQUIREMENT))
        }
        filled = dataclasses.replace(
            current,
            resources={**stand_ins, **given.resources},
            required={**unasked, **current.required},
            **_remembered(given, answer),
        )
        if filled == current:
            break
        current, answer = filled, kind.compose(resource, site, filled)
    return current, answer


def _remembered(given: observed.Observed, answer: composition.Composition) -> dict[str, Any]:
    """Returns what the claim's status says after an answer."""
    conditions = {condition.type: condition for condition in answer.conditions}
    return {
        "status": {**given.status, **answer.status},
        "conditions": {**given.conditions, **conditions},
    }


def _well(
    composed: composition.Composed,
    answer: composition.Composition,
    replicas: tuple[int, int] | None,
) -> dict[str, Any]:
    """Returns an object as its controller leaves it when all is well.

    Every kind says so in one of a few ways; all of them at once serve for each.
    """
    manifest = composed.manifest
    if workloads.of(manifest) is not None:
        return _running(manifest, *(replicas or _asked(answer)))
    yes = [{"type": name, "status": "True", "reason": name} for name in _YES]
    if manifest["kind"] == "Job":
        yes = []
    owners = [{"conditions": yes}]
    status = {
        "conditions": yes,
        "parents": owners,
        "ancestors": owners,
        "updateStatus": "operational",
        "observedGeneration": 1,
        **dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), 1),
    }
    return {**manifest, "status": status}


def _asked(answer: composition.Composition) -> tuple[int, int]:
    """Returns how many replicas a claim has when all is well; none of one that is suspended."""
    least, _ = answer.bounds
    suspended = any(condition.reason == "Suspended" for condition in answer.conditions)
    wanted = 0 if suspended else max(least, 1)
    return wanted, wanted


def _running(manifest: dict[str, Any], available: int, wanted: int) -> dict[str, Any]:
    """Returns a workload whose pods all follow its template.

    A Deployment tells of available replicas, a LeaderWorkerSet of ready ones.
    """
    return {
        **manifest,
        "metadata": {**manifest["metadata"], "generation": 1},
        "spec": {**manifest["spec"], "replicas": wanted},
        "status": {
            "observedGeneration": 1,
            "replicas": wanted,
            "updatedReplicas": wanted,
            "availableReplicas": available,
            "readyReplicas": available,
        },
    }
