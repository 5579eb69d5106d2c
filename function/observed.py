"""What the cluster reports: the claim's own status and conditions, and the composed objects.

Everything here reads through mappings and asks for single fields, so that the runner can hand over
views of a protobuf request that decode only what is read.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

Object = Mapping[str, Any]

# A fatal answer of ours, or any error in core, turns conditions that were not returned into this.
FATAL_ERROR = "FatalError"


@dataclasses.dataclass(frozen=True)
class Condition:
    """One condition; `status` is True, False or Unknown."""

    type: str
    status: str
    reason: str
    message: str = ""


@dataclasses.dataclass(frozen=True)
class Observed:
    """The world, as far as one call knows it.

    Attributes:
        resources: Composed objects by key.
        conditions: The claim's conditions by type.
        status: The claim's status.
        pods: The claim's pods, or None when nobody read them.
        kinds: Whether `apiVersion/kind` is installed, for kinds that were asked about.
        can_ask: True when core answers questions about kinds.
    """

    resources: Mapping[str, Object] = dataclasses.field(default_factory=dict)
    conditions: Mapping[str, Condition] = dataclasses.field(default_factory=dict)
    status: Object = dataclasses.field(default_factory=dict)
    pods: Sequence[Object] | None = None
    kinds: Mapping[str, bool] = dataclasses.field(default_factory=dict)
    can_ask: bool = False


def at(value: Any, *path: str) -> Any:
    """Returns the field at a path of maps, or None where the path ends early."""
    for step in path:
        # Duck-typed: this is asked hundreds of times a call, and isinstance of an ABC is slow.
        try:
            value = value.get(step)
        except AttributeError:
            return None
    return value


def number(value: Any, default: int = 0) -> int:
    """Returns a whole number that may be absent."""
    return default if value is None else int(value)


def conditions(owner: Any) -> dict[str, Condition]:
    """Returns the conditions of an object, or of one entry of its `parents` or `ancestors`."""
    found = at(owner, "conditions")
    return {
        condition.type: condition
        for entry in (found or [])
        if (condition := _condition(entry)) is not None
    }


def _condition(entry: Any) -> Condition | None:
    kind, status = at(entry, "type"), at(entry, "status")
    if not isinstance(kind, str) or not isinstance(status, str):
        return None
    return Condition(kind, status, str(at(entry, "reason") or ""), str(at(entry, "message") or ""))


def status_conditions(resource: Object) -> dict[str, Condition]:
    """Returns the conditions in an object's status."""
    return conditions(at(resource, "status"))


@dataclasses.dataclass(frozen=True)
class Deployment:
    """The Deployment, in the numbers that decide something.

    Attributes:
        wanted: Replicas that somebody asks for now.
        available: Pods that have been ready for long enough, of any generation.
        settled: True when the controller has seen the newest spec and all pods that exist follow
            it; how many exist is another matter.
        stuck: The controller's message when it gave the rollout up, else None.
        ran: True when the rollout was complete once, so that a pod was ready.
    """

    wanted: int
    available: int
    settled: bool
    stuck: str | None
    ran: bool

    @property
    def serves(self) -> bool:
        """Tells whether anybody can be answered.

        Not the condition Available: that is true at zero replicas and in some rollouts.
        """
        return self.available >= 1


def deployment(resource: Object | None) -> Deployment | None:
    """Returns the observed Deployment's numbers, or None when there is none."""
    if resource is None:
        return None
    spec, status = at(resource, "spec"), at(resource, "status")
    wanted = number(at(spec, "replicas"), 1)
    seen = number(at(status, "observedGeneration"), -1)
    progressing = conditions(status).get("Progressing")
    stuck = (
        progressing.message or progressing.reason
        if progressing is not None
        and progressing.status == "False"
        and progressing.reason == "ProgressDeadlineExceeded"
        else None
    )
    return Deployment(
        wanted=wanted,
        available=number(at(status, "availableReplicas")),
        settled=seen >= number(at(resource, "metadata", "generation"))
        and number(at(status, "updatedReplicas")) >= number(at(status, "replicas")),
        stuck=stuck,
        ran=progressing is not None and progressing.reason == "NewReplicaSetAvailable",
    )


def scaled_by_others(resource: Object) -> bool:
    """Tells whether a manager beside Crossplane owns the replica count of a Deployment."""
    return any(
        "crossplane" not in str(at(entry, "manager"))
        and at(entry, "fieldsV1", "f:spec", "f:replicas") is not None
        for entry in at(resource, "metadata", "managedFields") or []
    )
