"""The Jobs on the weights volume: what must be downloaded, and what may be removed.

The Job's own hash decides only which Job is desired: another image or toleration does not reset
what is verified.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from function import memo
from function.api import base
from function.boundary import patches
from function.cluster import failures, jobs, memory, observed, pods
from function.planning import identity, misfits, plans
from function.situation import guards, ledgers, rollouts
from function.workloads import batches


@dataclasses.dataclass(frozen=True)
class Task:
    """A desired Job.

    Attributes:
        suffix: End of its key.
        manifest: The Job.
        observed: The Job of that key, as its controller reports it.
        failure: Why it failed, or None.
    """

    suffix: str
    manifest: identity.Manifest
    observed: jobs.Job
    failure: failures.Failure | None


@dataclasses.dataclass(frozen=True)
class Supply:
    """The Jobs on the weights volume, and what the status records of their work.

    Attributes:
        download: The Job that downloads, or None: until the status shows what it made.
        removal: The Job that removes what the claim no longer wants, or None.
        records: What is verified and counted on, to be written to the status.
        removing: Directories that the claim no longer wants, to be written to the status.
    """

    download: Task | None
    removal: Task | None
    records: tuple[Mapping[str, Any], ...]
    removing: tuple[str, ...]


def supply(
    plan: plans.Plan,
    weights: ledgers.Ledger,
    guard: guards.Guards,
    rollout: rollouts.Rollout,
    remembered: memory.Memory,
    world: observed.Observed,
) -> Supply:
    """Returns the Jobs that are wanted, and what the status records.

    A directory that the claim no longer wants goes in two steps. First, when every pod runs what
    the claim says, its record moves from `verified` to `removing`. Then, when the status shows
    that, a Job removes the directory. So a claim that wants the directory again does not rely on
    files that are being removed: it waits for another download. What pods load while they run stays
    as long as the list that they follow has it, and until a reconcile after that.

    Raises:
        base.InvalidError: The author's patch of the Job touches what no patch may touch.
    """
    stored = plan.storage
    download = _download(plan, weights, guard, rollout, world)
    if not stored.deletes:
        return Supply(download, None, weights.records, ())
    mine = f"{stored.volume}/"
    listed = tuple(
        directory
        for directory in remembered.removing
        if directory not in stored.wanted and directory.startswith(mine)
    )
    removal = _removal(plan, listed, guard, world)
    # The new pods must serve, not only exist: an author who reverts a model that never starts
    # needs no download.
    proven = rollout.current and rollout.serves
    dropped = {
        str(record["directory"])
        for record in weights.records
        if proven
        and record["directory"] not in {*stored.wanted, *weights.loaded}
        and str(record["directory"]).startswith(mine)
    }
    removing = sorted({*listed, *dropped})[: ledgers.MOST_RECORDS]
    if removal is not None and removal.observed.stage is jobs.Stage.COMPLETE:
        removing = [directory for directory in removing if directory not in listed]
    return Supply(
        download=download,
        removal=removal,
        records=tuple(r for r in weights.records if r["directory"] not in dropped),
        removing=tuple(removing),
    )


def _download(
    plan: plans.Plan,
    weights: ledgers.Ledger,
    guard: guards.Guards,
    rollout: rollouts.Rollout,
    world: observed.Observed,
) -> Task | None:
    """Returns the Job that downloads, or None when none is wanted, or its policy is not there.

    One that has begun is not taken back.
    """
    stored = plan.storage
    wanted = stored.preloads and not weights.shown and not _being_removed(plan, world)
    if not wanted and "preload-job" not in (plan.spec.patches or {}):
        return None
    manifest = _rendered(plan)
    if not wanted:
        return None
    task = _task(manifest, jobs.COMPONENT, world)
    if in_vain(plan, rollout) and task.observed.stage is jobs.Stage.ABSENT:
        return None
    return _guarded(task, guard.download)


def in_vain(plan: plans.Plan, rollout: rollouts.Rollout) -> bool:
    """Tells whether weights are of no use: the model does not fit, and no pod is to load it."""
    if plan.misfit is None or plan.misfit.reason != misfits.TOO_LARGE:
        return False
    held = rollout.hold is not None and rollout.hold.reason == misfits.TOO_LARGE
    return held or rollout.template is None


@memo.per_plan
def _rendered(plan: plans.Plan) -> identity.Manifest:
    """Returns the Job that downloads, patched, checked and named.

    Raises:
        base.InvalidError: The author's patch touches what no patch may touch.
    """
    manifest = patches.apply(plan.resource, plan.site, "preload-job", batches.job(plan))
    pod = manifest["spec"]["template"]["spec"]
    problems = patches.weakened(plan.site, plan.identity.namespace, pod)
    if problems:
        raise base.InvalidError("claim", problems)
    return batches.named(plan.identity, manifest)


def _removal(
    plan: plans.Plan, unwanted: tuple[str, ...], guard: guards.Guards, world: observed.Observed
) -> Task | None:
    """Returns the Job that removes weights, or None when there is nothing to do, or no policy."""
    if not unwanted:
        return None
    manifest = batches.named(plan.identity, batches.cleanup_job(plan, unwanted))
    return _guarded(_task(manifest, jobs.CLEANUP, world), guard.removal)


def _guarded(task: Task, lack: str | None) -> Task | None:
    """Returns the Job, unless it is new and its pods' policy is not there."""
    begun = task.observed.stage is not jobs.Stage.ABSENT
    return task if begun or lack is None else None


def _task(manifest: identity.Manifest, component: str, world: observed.Observed) -> Task:
    suffix = batches.suffix(manifest, component)
    job = jobs.job(world.get(suffix))
    failure = failures.failure(job, component)
    if failure is not None and component == jobs.COMPONENT:
        failure = dataclasses.replace(failure, message=_words(job, world) or failure.message)
    return Task(suffix, manifest, job, failure)


def _words(job: jobs.Job, world: observed.Observed) -> str | None:
    """Returns the sentence with which the last pod of a Job failed, where pods were read."""
    sentences = {
        words.at: words.message
        for words in pods.last_words(world)
        if words.job == job.name and words.message is not None
    }
    return sentences[max(sentences)] if sentences else None


def _being_removed(plan: plans.Plan, world: observed.Observed) -> bool:
    """Tells whether a Job still removes what is wanted again; a download waits for its end."""
    removed = {directory for job in jobs.cleanups(world) for directory in job.removes}
    # A download that has begun is not taken back.
    begun = {directory for job in jobs.preloads(world) for directory in job.makes}
    return bool((removed & set(plan.storage.wanted)) - begun)
