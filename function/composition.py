"""The answer of one call, in plain Python: what `compose` returns and every front door shows."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from function import explanation
from function.cluster import observed
from function.planning import misfits


@dataclasses.dataclass(frozen=True)
class Composed:
    """One desired object.

    Attributes:
        suffix: End of its key.
        manifest: The object.
        ready: Whether it is ready; core counts only an explicit yes.
        waits: What it waits for when it is not, in words.
    """

    suffix: str
    manifest: dict[str, Any]
    ready: bool
    waits: str = ""


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened once: a transition, never a state."""

    warning: bool
    reason: str
    message: str


@dataclasses.dataclass(frozen=True)
class Selector:
    """Which objects of the claim's namespace to read.

    Attributes:
        api_version: Of the objects.
        kind: Of the objects.
        labels: That they carry; all objects of the kind when empty.
        name: Of the one object to read; `labels` do not count then.
        everywhere: True when objects of all namespaces count.
    """

    api_version: str
    kind: str
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    name: str = ""
    everywhere: bool = False


@dataclasses.dataclass(frozen=True)
class Questions:
    """What else should be read before the answer is final.

    Attributes:
        kinds: `(apiVersion, kind)` that may be absent from the cluster.
        resources: Objects of the cluster to read, by the name under which they come back.
    """

    kinds: tuple[tuple[str, str], ...] = ()
    resources: Mapping[str, Selector] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Composition:
    """Everything that a claim becomes.

    Attributes:
        resources: Desired objects by key.
        status: The claim's status.
        conditions: The claim's conditions, all of them, in a fixed order.
        events: Transitions since the last call.
        complete: False when something that was asked for cannot be composed in this cluster.
        ttl: Seconds after which core should call again though nothing changed.
        questions: What else should be read.
        explanations: Derived values with rule and inputs.
        held: Fields of the pod template that are held back; empty when none.
        restarts: Fields of the pod template whose change restarts pods now; empty when none.
        wanted: The pod template that claim and settings ask for now, emitted or not.
        bounds: The least and the greatest replica count.
        gpus: GPUs of one replica that claim and settings ask for now, with their class.
        misfit: Why no replica could serve on a node of its class, or None.
    """

    resources: Mapping[str, Composed]
    status: dict[str, Any]
    conditions: tuple[observed.Condition, ...]
    events: tuple[Event, ...]
    complete: bool
    ttl: int
    questions: Questions
    explanations: tuple[explanation.Explanation, ...]
    held: tuple[str, ...]
    restarts: tuple[str, ...]
    wanted: dict[str, Any]
    bounds: tuple[int, int]
    gpus: str
    misfit: misfits.Misfit | None
