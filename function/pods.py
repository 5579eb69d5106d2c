"""What only pods know, where the settings allow to read them."""

import dataclasses

from function import draft as drafts
from function import observed as world


@dataclasses.dataclass(frozen=True)
class Pods:
    """What only pods know, while nothing serves.

    Attributes:
        trouble: Reason and message, or None.
        unschedulable: True when the scheduler found no node.
    """

    trouble: tuple[str, str] | None
    unschedulable: bool

    @classmethod
    def of(cls, draft: drafts.Draft) -> "Pods":
        """Returns the first trouble of the serving pods, by name."""
        pods = [
            pod
            for pod in draft.observed.pods or []
            if world.at(pod, "metadata", "labels", "app.kubernetes.io/component") == "inference"
        ]
        for pod in sorted(pods, key=lambda pod: str(world.at(pod, "metadata", "name"))):
            scheduled = world.conditions(world.at(pod, "status")).get("PodScheduled")
            if scheduled is not None and scheduled.status == "False":
                return cls(("Unschedulable", scheduled.message), True)
            for status in world.at(pod, "status", "containerStatuses") or []:
                trouble = _container_trouble(status)
                if trouble is not None:
                    return cls(trouble, False)
        return cls(None, False)


def _container_trouble(status: world.Object) -> tuple[str, str] | None:
    waiting = world.at(status, "state", "waiting")
    reason = str(world.at(waiting, "reason") or "")
    message = str(world.at(waiting, "message") or "")
    if reason in ("ErrImagePull", "ImagePullBackOff", "InvalidImageName"):
        return "ImagePullFailed", message or reason
    if reason in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError"):
        return "ContainerConfigFailed", message or reason
    last = world.at(status, "lastState", "terminated")
    # Also while it runs once more: otherwise the answer would change at each try.
    again = world.number(world.at(status, "restartCount")) > 0 and not world.at(status, "ready")
    if reason == "CrashLoopBackOff" or (again and last is not None):
        words = str(world.at(last, "message") or "").strip()
        code = world.number(world.at(last, "exitCode"))
        # The engine says why at the very end of its log.
        return "CrashLooping", f"the engine exited with code {code}: {words[-600:]}"
    return None
