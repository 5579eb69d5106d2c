"""The Jobs on the weights volume, as their controller reports them."""

import dataclasses
import enum

from function import canonical
from function.cluster import observed
from function.planning import identity

COMPONENT = "preload"
CLEANUP = "cleanup"
# Which weights the Job makes: an observed Job counts for these, whatever its own hash.
WEIGHTS_ANNOTATION = f"{identity.DOMAIN}/weights"
# Which weights a Job removes.
REMOVES_ANNOTATION = f"{identity.DOMAIN}/removes"
# Where the Job makes the engine's own caches; none on a Job of before 1.1.
CACHE_ANNOTATION = f"{identity.DOMAIN}/cache"
GENERATION_ANNOTATION = f"{identity.DOMAIN}/preload-generation"
# What the API server writes on the template of each new Job; its selector goes by them.
SERVER_LABELS = frozenset(
    (
        "batch.kubernetes.io/controller-uid",
        "batch.kubernetes.io/job-name",
        "controller-uid",
        "job-name",
    )
)


class Stage(enum.Enum):
    """How far a Job is."""

    ABSENT = "absent"
    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"


@dataclasses.dataclass(frozen=True)
class Job:
    """An observed Job.

    Attributes:
        name: Its name, or empty while there is none.
        stage: How far it is.
        reason: Why it failed, in one word of its controller's; empty unless it failed.
        message: The controller's message; empty unless it failed.
        failed_pods: Pods that failed so far.
        generation: model.preload.generation that it was made for.
        makes: Directories that it downloads; none of a Job of 0.9.0, which proves nothing.
        removes: Directories that it removes.
        cache: Where it makes the engine's own caches; empty where it does not say it.
    """

    name: str = ""
    stage: Stage = Stage.ABSENT
    reason: str = ""
    message: str = ""
    failed_pods: int = 0
    generation: int = 0
    makes: tuple[str, ...] = ()
    removes: tuple[str, ...] = ()
    cache: str = ""


def job(resource: observed.Object | None) -> Job:
    """Returns the observed Job."""
    if resource is None:
        return Job()
    failed = observed.status_condition(resource, "Failed")
    stage = _stage(resource)
    ended = stage is Stage.FAILED and failed is not None
    number = observed.at(resource, "metadata", "annotations", GENERATION_ANNOTATION)
    return Job(
        name=str(observed.at(resource, "metadata", "name") or ""),
        stage=stage,
        reason=failed.reason if ended and failed is not None else "",
        message=failed.message if ended and failed is not None else "",
        failed_pods=observed.number(observed.at(resource, "status", "failed")),
        generation=canonical.whole(number) or 0,
        makes=_listed(resource, WEIGHTS_ANNOTATION),
        removes=_listed(resource, REMOVES_ANNOTATION),
        cache=str(observed.at(resource, "metadata", "annotations", CACHE_ANNOTATION) or ""),
    )


def _stage(resource: observed.Object) -> Stage:
    for name, stage in (("Complete", Stage.COMPLETE), ("Failed", Stage.FAILED)):
        condition = observed.status_condition(resource, name)
        if condition is not None and condition.status == "True":
            return stage
    # FailureTarget precedes Failed while the pods stop, with the same message.
    # An active pod may still be Pending: no node, no image, no volume.
    if observed.number(observed.at(resource, "status", "ready")) > 0:
        return Stage.RUNNING
    if observed.number(observed.at(resource, "status", "active")) > 0:
        return Stage.STARTING
    return Stage.QUEUED


def _listed(resource: observed.Object, annotation: str) -> tuple[str, ...]:
    text = observed.at(resource, "metadata", "annotations", annotation)
    try:
        listed = canonical.loads(text) if isinstance(text, str) else []
    except ValueError:
        return ()
    return tuple(str(item) for item in listed) if isinstance(listed, list) else ()


def preloads(world: observed.Observed) -> list[Job]:
    """Returns the observed Jobs that download, by key."""
    return [job(resource) for _, resource in world.starting(f"{COMPONENT}-job-")]


def cleanups(world: observed.Observed) -> list[Job]:
    """Returns the observed Jobs that remove, by key."""
    return [job(resource) for _, resource in world.starting(f"{CLEANUP}-job-")]
