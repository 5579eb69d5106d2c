"""Which weights lie verified on the volume, and whether a Job must fetch some.

Two identities are kept apart. The directories that the claim wants gate the engine: they are
recorded in the claim's status when a Job that makes them has finished. The Job's own hash decides
only which Job is desired: another image or toleration does not reset what is verified.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

from function import canonical
from function import observed as world
from function import plan as plans
from function.resources import preload

MOST_RECORDS = 32
# Fields of the preload program's last words that the status keeps.
LEARNT = ("sha", "bytes", "dtype", "quantization", "architecture", "contextLimit")


@dataclasses.dataclass(frozen=True)
class Weights:
    """The state of the weights.

    Attributes:
        wanted: Directories that the claim wants, as the status records them.
        records: What is verified, to be written to the status.
        generation: model.preload.generation of the last finished Job.
        verified: True when everything wanted is verified, or when nobody here verifies.
        wants_job: True while a Job must exist: until the status shows what it made.
        job: The observed Job's state.
        failure: Why the Job failed, or None.
    """

    wanted: tuple[str, ...]
    records: tuple[Mapping[str, Any], ...]
    generation: int | None
    verified: bool
    wants_job: bool
    job: str
    failure: preload.Failure | None

    ABSENT = "absent"
    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"


def state(plan: plans.Plan, observed: world.Observed) -> Weights:
    """Returns the state of the weights, but for the Job that is desired now (`watched`)."""
    wanted = tuple(preload.directories(plan))
    recorded = {
        str(record["directory"]): dict(record)
        for record in world.at(observed.status, "weights", "verified") or []
        if world.at(record, "directory") is not None
    }
    generation = world.at(observed.status, "weights", "generation")
    if not plan.preloads:
        records = tuple(_kept(recorded, wanted))
        return Weights(wanted, records, generation, True, False, Weights.ABSENT, None)
    done, finished = dict(recorded), generation
    prefix = preload.job_key_prefix(plan)
    for key in sorted(k for k in observed.resources if k.startswith(prefix)):
        job = observed.resources[key]
        if _job_state(job)[0] == Weights.COMPLETE:
            for directory in _made(job):
                done.setdefault(directory, {"directory": directory})
            finished = _generation_of(job)
    for directory, learnt in _learnt(plan, observed):
        if directory in done:
            done[directory] |= learnt
    for weights in plan.weights:
        directory = f"{plan.volume}/{weights.directory}"
        if directory in done:
            named = {"repository": weights.repository, "revision": weights.revision}
            done[directory] |= canonical.prune(named)
    shown = all(directory in recorded for directory in wanted)
    return Weights(
        wanted=wanted,
        records=tuple(_kept(done, wanted)),
        generation=finished,
        verified=all(directory in done for directory in wanted),
        wants_job=not (shown and generation == preload.generation(plan)),
        job=Weights.ABSENT,
        failure=None,
    )


def checkpoint_quantization(plan: plans.Plan, weights: Weights) -> str | None:
    """Returns how the base checkpoint is already quantized, as its manifest says, or None."""
    directory = f"{plan.volume}/{plan.weights[0].directory}"
    for record in weights.records:
        if record["directory"] == directory:
            method = record.get("quantization")
            return None if method is None else str(method)
    return None


def watched(weights: Weights, observed: world.Observed, job_key: str) -> Weights:
    """Returns the state with that of the desired Job in it."""
    job = observed.resources.get(job_key)
    if job is None:
        return weights
    job_state, failure = _job_state(job)
    return dataclasses.replace(weights, job=job_state, failure=failure)


def _generation_of(job: world.Object) -> int:
    text = world.at(job, "metadata", "annotations", preload.GENERATION_ANNOTATION)
    return int(text) if isinstance(text, str) and text.isdigit() else 0


def _job_state(job: world.Object) -> tuple[str, preload.Failure | None]:
    conditions = world.status_conditions(job)
    if _true(conditions.get("Complete")):
        return Weights.COMPLETE, None
    failed = conditions.get("Failed")
    if failed is not None and _true(failed):
        return Weights.FAILED, preload.failure(failed.message, failed.reason)
    # FailureTarget precedes Failed while the pods stop, with the same message.
    # An active pod may still be Pending: no node, no image, no volume.
    if world.number(world.at(job, "status", "ready")) > 0:
        return Weights.RUNNING, None
    if world.number(world.at(job, "status", "active")) > 0:
        return Weights.STARTING, None
    return Weights.QUEUED, None


def _true(condition: world.Condition | None) -> bool:
    return condition is not None and condition.status == "True"


def _made(job: world.Object) -> list[str]:
    """Returns the directories that a Job of ours makes; one of 0.9.0 proves nothing."""
    text = world.at(job, "metadata", "annotations", preload.WEIGHTS_ANNOTATION)
    try:
        made = json.loads(text) if isinstance(text, str) else []
    except ValueError:
        return []
    return [str(directory) for directory in made] if isinstance(made, list) else []


def _learnt(plan: plans.Plan, observed: world.Observed) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields what finished preload pods said in their last words, where pods were read."""
    for pod in observed.pods or []:
        for status in world.at(pod, "status", "containerStatuses") or []:
            if world.at(status, "name") != preload.COMPONENT:
                continue
            message = world.at(status, "state", "terminated", "message")
            try:
                said = json.loads(message) if isinstance(message, str) else {}
            except ValueError:
                continue
            for item in said.get("items", []) if isinstance(said, dict) else []:
                directory = f"{plan.volume}/{world.at(item, 'directory')}"
                yield directory, {k: item[k] for k in LEARNT if item.get(k) is not None}


def _kept(
    records: Mapping[str, Mapping[str, Any]], wanted: tuple[str, ...]
) -> list[Mapping[str, Any]]:
    """Returns the records in order; past the limit, what is wanted is kept."""
    order = sorted(records, key=lambda directory: (directory not in wanted, directory))
    return [records[directory] for directory in sorted(order[:MOST_RECORDS])]
