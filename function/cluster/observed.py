"""What the cluster reports, as one call knows it, and how single fields of it are read.

Everything here reads through mappings and asks for single fields, so that the runner can hand over
views of a protobuf request that decode only what is read.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Object = Mapping[str, Any]

# A fatal answer of ours, or any error in core, turns conditions that were not returned into this.
FATAL_ERROR = "FatalError"
# A kind of every cluster, asked beside the others: when even this comes back empty, nobody answers
# such questions here.
CONTROL_KIND = ("v1", "Service")
_CONTROL = "/".join(CONTROL_KIND)


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
        name: The claim's name, with which the key of each of its objects begins.
        uid: The claim's UID, by which its objects name their controller.
        resources: Composed objects by key.
        conditions: The claim's conditions by type.
        status: The claim's status.
        required: Other objects of the cluster that an earlier answer asked for, by name.
        kinds: Whether `apiVersion/kind` is installed, for kinds that were asked about.
        can_ask: True when core answers questions about kinds.
        can_read: True when core reads the objects that an answer asks for.
    """

    name: str = ""
    uid: str = ""
    resources: Mapping[str, Object] = dataclasses.field(default_factory=dict)
    conditions: Mapping[str, Condition] = dataclasses.field(default_factory=dict)
    status: Object = dataclasses.field(default_factory=dict)
    required: Mapping[str, Sequence[Object]] = dataclasses.field(default_factory=dict)
    kinds: Mapping[str, bool] = dataclasses.field(default_factory=dict)
    can_ask: bool = False
    can_read: bool = False

    @functools.cached_property
    def _by_suffix(self) -> dict[str, Object]:
        """The composed objects by what follows the claim's name in their keys, in order."""
        prefix = f"{self.name}-"
        return {
            key.removeprefix(prefix): self.resources[key]
            for key in sorted(self.resources)
            if key.startswith(prefix)
        }

    def get(self, suffix: str) -> Object | None:
        """Returns the object whose key ends so, or None."""
        return self._by_suffix.get(suffix)

    def has(self, api_version: str, kind: str) -> bool:
        """Tells whether core said that the cluster has the kind."""
        return self.kinds.get(f"{api_version}/{kind}", False)

    def lacks(self, api_version: str, kind: str) -> bool:
        """Tells whether core said that the cluster lacks the kind."""
        return self.kinds.get(_CONTROL, False) and (
            self.kinds.get(f"{api_version}/{kind}") is False
        )

    def starting(self, prefix: str) -> Iterator[tuple[str, Object]]:
        """Yields suffix and object of each key whose suffix starts so, in order."""
        for suffix, resource in self._by_suffix.items():
            if suffix.startswith(prefix):
                yield suffix, resource


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
    """Returns a whole number; the default where it is absent, or something else is there."""
    return int(value) if isinstance(value, int | float) and abs(value) < 2**63 else default


def count(value: Any, default: int = 0) -> int:
    """Returns how many there are of something: a whole number as `number` reads it, 0 at least."""
    return max(number(value, default), 0)


def items(owner: Any, *path: str) -> Sequence[Any]:
    """Returns the list at a path; an empty one where it is absent, or something else is there."""
    value = at(owner, *path)
    return value if isinstance(value, list | tuple) else ()


def conditions(owner: Any) -> dict[str, Condition]:
    """Returns the conditions of an object, or of one entry of its `parents` or `ancestors`."""
    return {
        condition.type: condition
        for entry in items(owner, "conditions")
        if (condition := _condition(entry, at(entry, "type"))) is not None
    }


def condition(owner: Any, kind: str) -> Condition | None:
    """Returns one condition of an object's status, or None; of two of a type the last."""
    for entry in reversed(items(owner, "conditions")):
        if at(entry, "type") == kind and (read := _condition(entry, kind)) is not None:
            return read
    return None


def _condition(entry: Any, kind: Any) -> Condition | None:
    try:
        field = entry.get
    except AttributeError:
        return None
    status = field("status")
    if not isinstance(kind, str) or not isinstance(status, str):
        return None
    return Condition(kind, status, str(field("reason") or ""), str(field("message") or ""))


def status_condition(resource: Object, kind: str) -> Condition | None:
    """Returns one condition in an object's status, or None; nothing of the others is decoded."""
    return condition(at(resource, "status"), kind)
