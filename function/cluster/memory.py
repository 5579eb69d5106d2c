"""What the claim's status remembers: the function keeps no state of its own."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pydantic

from function import canonical
from function.api import status
from function.cluster import observed


@dataclasses.dataclass(frozen=True)
class Memory:
    """What earlier answers wrote into the claim's status.

    Attributes:
        records: Verified directories by name, each with what is known of it.
        generation: model.preload.generation of the last finished Job, or None.
        removing: Directories that are being removed.
        serving: What pods were started with, or None before any served.
        latches: Names of what happened once and must not be forgotten.
        waiting_for: What the claim waited for, in words, or None.
        observed_generation: Generation of the claim that the status is about, or None.
    """

    records: Mapping[str, Mapping[str, Any]]
    generation: int | None
    removing: tuple[str, ...]
    serving: Mapping[str, Any] | None
    latches: frozenset[str]
    waiting_for: Any
    observed_generation: Any

    @property
    def served_adapters(self) -> frozenset[str]:
        """Adapters that pods were started with, as the status says."""
        return frozenset((self.serving or {}).get("adapters") or [])


def memory(world: observed.Observed) -> Memory:
    """Returns what the claim's status remembers."""
    weights = observed.at(world.status, "weights")
    serving = observed.at(world.status, "serving")
    latches = observed.at(world.status, "latches") or {}
    return Memory(
        records={
            str(record["directory"]): record
            for item in observed.at(weights, "verified") or []
            if (record := verified(item)) is not None
        },
        generation=observed.at(weights, "generation"),
        removing=tuple(observed.at(weights, "removing") or []),
        serving=None if serving is None else canonical.plain(serving),
        latches=frozenset(name for name in latches if latches[name] is True),
        waiting_for=observed.at(world.status, "waitingFor"),
        observed_generation=observed.at(world.status, "observedGeneration"),
    )


def verified(item: Any) -> dict[str, Any] | None:
    """Returns a record of a verified directory as the status may hold it, or None.

    A field that breaks the status' own schema is dropped: written again, it would be refused. The
    record itself stays, because without it the weights would be downloaded again.
    """
    record = canonical.plain(item) if isinstance(item, Mapping) else {}
    try:
        status.Verified.model_validate(record)
    except pydantic.ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False, include_context=False):
            record.pop(str(detail["loc"][0]) if detail["loc"] else "", None)
    return record if isinstance(record.get("directory"), str) else None
