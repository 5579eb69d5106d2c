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
# The Job controller's, on the pods of a Job.
JOB_LABEL = "batch.kubernetes.io/job-name"
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
        tries: Pods of the Job that failed so far.
        removing: Directories that nobody here wants any more, to be written to the status.
        removal: Those of them that a Job must remove now: the status shows that they are not
            counted on.
        removal_failure: Why that Job failed, or None.
    """

    wanted: tuple[str, ...]
    records: tuple[Mapping[str, Any], ...]
    generation: int | None
    verified: bool
    wants_job: bool
    job: str
    failure: preload.Failure | None
    tries: int = 0
    removing: tuple[str, ...] = ()
    removal: tuple[str, ...] = ()
    removal_failure: preload.Failure | None = None

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
            for directory in _listed(job, preload.WEIGHTS_ANNOTATION):
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
    removal = tuple(
        directory
        for directory in world.at(observed.status, "weights", "removing") or []
        if directory not in wanted and directory.startswith(f"{plan.volume}/")
    )
    return Weights(
        wanted=wanted,
        records=tuple(_kept(done, wanted)),
        generation=finished,
        verified=all(directory in done for directory in wanted),
        wants_job=not (shown and generation == preload.generation(plan))
        and not _being_removed(plan, observed, wanted),
        job=Weights.ABSENT,
        failure=None,
        removing=removal,
        removal=removal,
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
    if failure is not None:
        said = _last_words(observed, str(world.at(job, "metadata", "name")))
        failure = dataclasses.replace(failure, message=said or failure.message)
    tries = world.number(world.at(job, "status", "failed"))
    return dataclasses.replace(weights, job=job_state, failure=failure, tries=tries)


def _being_removed(plan: plans.Plan, observed: world.Observed, wanted: tuple[str, ...]) -> bool:
    """Tells whether a Job still removes what is wanted again; a download waits for its end."""

    def listed(component: str, annotation: str) -> set[str]:
        prefix = preload.job_key_prefix(plan, component)
        return {
            directory
            for key, job in observed.resources.items()
            if key.startswith(prefix)
            for directory in _listed(job, annotation)
        }

    # A download that has begun is not taken back.
    begun = listed(preload.COMPONENT, preload.WEIGHTS_ANNOTATION)
    return bool((listed(preload.CLEANUP, preload.REMOVES_ANNOTATION) & set(wanted)) - begun)


def retired(plan: plans.Plan, weights: Weights, *, current: bool) -> Weights:
    """Returns the state with the directories that the author lets go of.

    A directory takes two steps. While every pod runs what the claim says, what else is recorded
    is struck from the record; once the status shows that, a Job removes it. So a claim that goes
    back to it never counts on files that are on their way out: it waits for another download.

    Args:
        plan: The plan.
        weights: The state so far.
        current: True when all pods follow the claim as it is, and one serves.
    """
    if not plan.deletes:
        return dataclasses.replace(weights, removing=(), removal=())
    mine = f"{plan.volume}/"
    retired = [
        str(record["directory"])
        for record in weights.records
        if current
        and record["directory"] not in weights.wanted
        and str(record["directory"]).startswith(mine)
    ]
    if not retired:
        return weights
    kept = tuple(record for record in weights.records if record["directory"] not in retired)
    removing = tuple(sorted({*weights.removing, *retired})[:MOST_RECORDS])
    return dataclasses.replace(weights, records=kept, removing=removing)


def removed(weights: Weights, job: world.Object | None) -> Weights:
    """Returns the state with what became of the Job that removes."""
    if job is None:
        return weights
    job_state, failure = _job_state(job, preload.CLEANUP)
    if job_state != Weights.COMPLETE:
        return dataclasses.replace(weights, removal_failure=failure)
    left = tuple(directory for directory in weights.removing if directory not in weights.removal)
    return dataclasses.replace(weights, removing=left)


def _generation_of(job: world.Object) -> int:
    text = world.at(job, "metadata", "annotations", preload.GENERATION_ANNOTATION)
    return int(text) if isinstance(text, str) and text.isdigit() else 0


def _job_state(
    job: world.Object, component: str = preload.COMPONENT
) -> tuple[str, preload.Failure | None]:
    conditions = world.status_conditions(job)
    if _true(conditions.get("Complete")):
        return Weights.COMPLETE, None
    failed = conditions.get("Failed")
    if failed is not None and _true(failed):
        return Weights.FAILED, preload.failure(failed.message, failed.reason, component)
    # FailureTarget precedes Failed while the pods stop, with the same message.
    # An active pod may still be Pending: no node, no image, no volume.
    if world.number(world.at(job, "status", "ready")) > 0:
        return Weights.RUNNING, None
    if world.number(world.at(job, "status", "active")) > 0:
        return Weights.STARTING, None
    return Weights.QUEUED, None


def _true(condition: world.Condition | None) -> bool:
    return condition is not None and condition.status == "True"


def _listed(job: world.Object, annotation: str) -> list[str]:
    """Returns the directories that a Job of ours makes or removes; one of 0.9.0 proves nothing."""
    text = world.at(job, "metadata", "annotations", annotation)
    try:
        listed = json.loads(text) if isinstance(text, str) else []
    except ValueError:
        return []
    return [str(directory) for directory in listed] if isinstance(listed, list) else []


def _learnt(plan: plans.Plan, observed: world.Observed) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields what finished preload pods said in their last words, where pods were read."""
    for _, said in _said(observed):
        for item in said.get("items") or []:
            directory = f"{plan.volume}/{world.at(item, 'directory')}"
            yield directory, {k: item[k] for k in LEARNT if item.get(k) is not None}


def _last_words(observed: world.Observed, job: str) -> str | None:
    """Returns the sentence with which the last pod of a Job failed, where pods were read."""
    sentences = {
        str(world.at(terminated, "finishedAt")): said["message"]
        for (pod, terminated), said in _said(observed)
        if world.at(pod, "metadata", "labels", JOB_LABEL) == job
        and isinstance(said.get("message"), str)
    }
    return sentences[max(sentences)] if sentences else None


def _said(
    observed: world.Observed,
) -> Iterator[tuple[tuple[world.Object, world.Object], dict[str, Any]]]:
    """Yields each preload pod that ended, how it ended, and its last words."""
    for pod in observed.pods or []:
        for status in world.at(pod, "status", "containerStatuses") or []:
            terminated = world.at(status, "state", "terminated")
            message = world.at(terminated, "message")
            if world.at(status, "name") != preload.COMPONENT or not isinstance(message, str):
                continue
            try:
                said = json.loads(message)
            except ValueError:
                continue
            if isinstance(said, dict):
                yield (pod, terminated), said


def _kept(
    records: Mapping[str, Mapping[str, Any]], wanted: tuple[str, ...]
) -> list[Mapping[str, Any]]:
    """Returns the records in order; past the limit, what is wanted is kept."""
    order = sorted(records, key=lambda directory: (directory not in wanted, directory))
    return [records[directory] for directory in sorted(order[:MOST_RECORDS])]
