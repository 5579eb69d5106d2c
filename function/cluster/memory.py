"""What the claim's status remembers: the function keeps no state of its own."""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

import pydantic

from function import canonical, instants, memo
from function.api import base, gateway_status, status
from function.cluster import observed

_Model = TypeVar("_Model", bound=base.Model)


@dataclasses.dataclass(frozen=True)
class Memory:
    """What earlier answers wrote into the claim's status.

    Attributes:
        records: Verified directories by name, each with what is known of it.
        cache: Where a Job makes the engine's own caches, or None where no answer wrote it.
        generation: model.preload.generation of the last finished Job, or None.
        removing: Directories that are being removed.
        serving: What pods were started with, or None before any served.
        latches: Names of what happened once and must not be forgotten.
        waiting_for: What the claim waited for, in words, or None.
        observed_generation: Generation of the claim that the status is about, or None.
        canaries: How far canaries with a gate are, by adapter.
        prices: Prices of a front door that followed from costs, by model.
        repositories: Models that pods may answer with.
        cost: What the GPUs cost, and tokens.
    """

    records: Mapping[str, Mapping[str, Any]]
    cache: str | None
    generation: int | None
    removing: tuple[str, ...]
    serving: Mapping[str, Any] | None
    latches: frozenset[str]
    waiting_for: Any
    observed_generation: Any
    canaries: Mapping[str, status.Canary] = dataclasses.field(default_factory=dict)
    prices: Mapping[str, gateway_status.Price] = dataclasses.field(default_factory=dict)
    repositories: tuple[str, ...] = ()
    cost: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def served_adapters(self) -> frozenset[str]:
        """Adapters that pods were started with, as the status says."""
        return frozenset((self.serving or {}).get("adapters") or [])

    @property
    def served_class(self) -> str | None:
        """GPU class that pods were started on, or None where no answer wrote it."""
        return (self.serving or {}).get("gpuClass")


# The fields of a status that are read here.
FIELDS = (
    *("canaries", "cost", "latches", "observedGeneration", "prices", "repositories"),
    *("serving", "waitingFor", "weights"),
)


def memory(world: observed.Observed) -> Memory:
    """Returns what the claim's status remembers."""
    return _memory(world.status)


@memo.per_manifest
def _memory(written: observed.Object) -> Memory:
    weights = observed.at(written, "weights")
    serving = observed.at(written, "serving")
    latches = observed.at(written, "latches") or {}
    cost = observed.at(written, "cost")
    return Memory(
        records={
            str(record["directory"]): record
            for item in observed.items(weights, "verified")
            if (record := verified(item)) is not None
        },
        cache=_typed(observed.at(weights, "cacheDirectory"), str),
        generation=_typed(observed.at(weights, "generation"), int),
        removing=tuple(
            name for name in observed.items(weights, "removing") if isinstance(name, str)
        ),
        serving=_kept(status.Serving, serving) if isinstance(serving, Mapping) else None,
        latches=frozenset(
            name
            for name in (latches if isinstance(latches, Mapping) else ())
            if observed.at(latches, name) is True
        ),
        waiting_for=_typed(observed.at(written, "waitingFor"), str),
        observed_generation=_typed(observed.at(written, "observedGeneration"), int),
        canaries={
            canary.adapter: canary
            for item in observed.items(written, "canaries")
            if (canary := _canary(item)) is not None
        },
        prices={
            price.model: price
            for item in observed.items(written, "prices")
            if (price := _whole(gateway_status.Price, item)) is not None
        },
        repositories=status.places(observed.items(written, "repositories")),
        cost=_kept(status.Cost, cost) if isinstance(cost, Mapping) else {},
    )


def _whole(model: type[_Model], item: Any) -> _Model | None:
    """Returns an entry of the status, or None where somebody wrote what we did not.

    Whole or not at all: a step of a canary without the others could stand for one that never held,
    and half a price is none.
    """
    try:
        return model.model_validate(canonical.plain(item))
    except pydantic.ValidationError:
        return None


def _canary(item: Any) -> status.Canary | None:
    """Returns how far a canary is, or None where somebody wrote what we did not."""
    canary = _whole(status.Canary, item)
    if canary is None:
        return None
    # The schema knows the form of a time, and not its months.
    times = [time for time in (canary.since, canary.began) if time is not None]
    return canary if all(instants.read(time) is not None for time in times) else None


def _typed(value: Any, kind: type) -> Any:
    """Returns a value of the type that we wrote, or None where somebody wrote another."""
    return value if isinstance(value, kind) else None


def verified(item: Any) -> dict[str, Any] | None:
    """Returns a record of a verified directory as the status may hold it, or None.

    The record stays when another field of it is dropped, because without it the weights would be
    downloaded again.
    """
    record = _kept(status.Verified, item) if isinstance(item, Mapping) else {}
    return record if isinstance(record.get("directory"), str) else None


def _kept(model: type[base.Model], written: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields that the status' own schema takes: another, written again, is refused."""
    fields: dict[str, Any] = canonical.plain(written)
    try:
        model.model_validate(fields)
    except pydantic.ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False, include_context=False):
            fields.pop(str(detail["loc"][0]) if detail["loc"] else "", None)
    return fields
