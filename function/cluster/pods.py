"""What only pods know, where the settings allow to read them."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from function import canonical
from function.cluster import jobs, observed, queueing
from function.planning import identity

# The Job controller's, on the pods of a Job.
JOB_LABEL = "batch.kubernetes.io/job-name"
# The name under which the claim's pods are asked for.
REQUIREMENT = "pods"
COMPONENT_LABEL = "app.kubernetes.io/component"
# Pods that serve, and those without which they cannot.
SERVING = ("inference", identity.FOLLOWER)
# Characters of a container's last words: the engine says why at the very end of its log.
LONGEST_WORDS = 600


@dataclasses.dataclass(frozen=True)
class Trouble:
    """Why a serving pod does not serve.

    Attributes:
        reason: QuotaPending, Unschedulable, ImagePullFailed, ContainerConfigFailed or CrashLooping.
        message: In words.
    """

    reason: str
    message: str


def trouble(world: observed.Observed) -> Trouble | None:
    """Returns the first trouble of the serving pods, by name, or None."""
    for pod in _serving(world):
        if queueing.held(pod):
            return Trouble("QuotaPending", queueing.words(world))
        scheduled = observed.status_condition(pod, "PodScheduled")
        if scheduled is not None and scheduled.status == "False":
            return Trouble("Unschedulable", scheduled.message)
        for status in observed.items(pod, "status", "containerStatuses"):
            problem = _container_trouble(status)
            if problem is not None:
                return problem
    return None


def ticket(world: observed.Observed) -> queueing.Ticket | None:
    """Returns what stands in a queue for the first serving pod that is held, or None."""
    return next((queueing.ticket(pod) for pod in _serving(world) if queueing.held(pod)), None)


def _serving(world: observed.Observed) -> list[observed.Object]:
    pods = [
        pod
        for pod in world.required.get(REQUIREMENT, ())
        if observed.at(pod, "metadata", "labels", COMPONENT_LABEL) in SERVING
    ]
    return sorted(pods, key=lambda pod: str(observed.at(pod, "metadata", "name")))


def _container_trouble(status: observed.Object) -> Trouble | None:
    waiting = observed.at(status, "state", "waiting")
    reason = str(observed.at(waiting, "reason") or "")
    message = str(observed.at(waiting, "message") or "")
    if reason in ("ErrImagePull", "ImagePullBackOff", "InvalidImageName"):
        return Trouble("ImagePullFailed", message or reason)
    if reason in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError"):
        return Trouble("ContainerConfigFailed", message or reason)
    last = observed.at(status, "lastState", "terminated")
    # Also while the container runs again: otherwise the answer would change at each restart.
    restarts = observed.number(observed.at(status, "restartCount"))
    again = restarts > 0 and not observed.at(status, "ready")
    if reason == "CrashLoopBackOff" or (again and last is not None):
        return Trouble("CrashLooping", _ending(last))
    return None


def _ending(terminated: observed.Object | None) -> str:
    """Returns how a container ended, in words: the kubelet's reason, code, and its last words."""
    words = str(observed.at(terminated, "message") or "").strip()[-LONGEST_WORDS:]
    code = observed.number(observed.at(terminated, "exitCode"))
    reason = str(observed.at(terminated, "reason") or "")
    ending = f"the engine exited with code {code}"
    if reason == "OOMKilled":
        ending += " (OOMKilled: it needed more memory than resources.limits.memory)"
    elif reason not in ("", "Error", "Completed"):
        ending += f" ({reason})"
    return f"{ending}: {words}" if words else ending


@dataclasses.dataclass(frozen=True)
class LastWords:
    """What an ended preload pod says of its run.

    Attributes:
        job: Name of its Job.
        at: When it ended, as Kubernetes writes it.
        message: The sentence with which it failed, or None.
        items: What it says of each directory that it made.
    """

    job: str
    at: str
    message: str | None
    items: list[Any]


def last_words(world: observed.Observed) -> Iterator[LastWords]:
    """Yields what ended preload pods say; what is not in the program's own form says nothing."""
    for pod in world.required.get(REQUIREMENT, ()):
        for status in observed.items(pod, "status", "containerStatuses"):
            terminated = observed.at(status, "state", "terminated")
            text = observed.at(terminated, "message")
            if observed.at(status, "name") != jobs.COMPONENT or not isinstance(text, str):
                continue
            try:
                words = canonical.loads(text)
            except ValueError:
                continue
            if not isinstance(words, dict):
                continue
            message, items = words.get("message"), words.get("items")
            yield LastWords(
                job=str(observed.at(pod, "metadata", "labels", JOB_LABEL)),
                at=str(observed.at(terminated, "finishedAt")),
                message=message if isinstance(message, str) else None,
                items=items if isinstance(items, list) else [],
            )
