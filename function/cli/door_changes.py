"""What `plan` tells of front doors: that they can be used, and what an edit changes for callers."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from function import plural
from function.api import base, gateway
from function.cli import documents, door_prices, rendering, snapshot
from function.composites import inference_gateway

Specs = Mapping[snapshot.Name, Mapping[str, Any]]
_NOTHING: door_prices.Followed = {}
_MILLION = "a million tokens, prompts/answers"

# Lists of a door whose entries have names, with what one is called.
_NAMED = {
    "callers": ("caller", "name"),
    "issuers": ("issuer", "name"),
    "prices": ("price of", "model"),
    "providers": ("provider", "name"),
}


@dataclasses.dataclass(frozen=True)
class Door:
    """A front door.

    Attributes:
        namespace: Its namespace.
        name: Its name.
        outcome: What applying it does; "given" where nothing was compared.
        lines: What changes, or what it is where nothing was compared.
    """

    namespace: str
    name: str
    outcome: Literal["given", "new", "changed", "unchanged", "removed"]
    lines: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether applying it changes anything."""
        return self.outcome in ("new", "changed", "removed")

    @property
    def words(self) -> str:
        """The door with what is told of it."""
        told = "" if self.outcome == "given" else f" {self.outcome}"
        listed = f": {'; '.join(self.lines)}" if self.lines else ""
        return f"{gateway.KIND} {self.namespace}/{self.name}{told}{listed}"


def specs(given: Iterable[documents.Source], refused: list[str]) -> dict[snapshot.Name, Any]:
    """Returns what doors ask for, by namespace and name.

    Args:
        given: Documents of all kinds.
        refused: Doors that cannot be used are added here.
    """
    asked: dict[snapshot.Name, Any] = {}
    for source in given:
        if source.misspelt or rendering.other_kind(source) is not inference_gateway:
            continue
        try:
            door = base.parse(gateway.InferenceGateway, source.document, what="claim")
        except base.InvalidError:
            refused.append(str(source))
            continue
        written = door.spec.model_dump(by_alias=True, exclude_none=True, mode="json")
        written.pop("crossplane", None)
        asked[source.namespace, source.name] = written
    return asked


def of(
    now: Specs,
    before: Specs | None,
    *,
    whole: bool,
    follows: door_prices.Followed = _NOTHING,
    followed: door_prices.Followed = _NOTHING,
) -> tuple[Door, ...]:
    """Returns each door, by namespace and name.

    Args:
        now: What doors ask for.
        before: What they asked for, or None where nothing is compared.
        whole: Whether a door that is no more among the files is removed.
        follows: The prices that follow from costs.
        followed: Those that followed before.
    """
    if before is None:
        return tuple(
            Door(*name, "given", (*_counted(now[name]), *_first(follows.get(name, {}))))
            for name in sorted(now)
        )
    told = [
        _compared(name, now[name], before.get(name), follows.get(name, {}), followed.get(name, {}))
        for name in now
    ]
    if whole:
        told += [Door(*name, "removed", (_GONE,)) for name in before if name not in now]
    return tuple(sorted(told, key=lambda door: (door.namespace, door.name)))


_GONE = "its Gateway goes, and nobody is answered at its address"


def _compared(
    name: snapshot.Name,
    now: Mapping[str, Any],
    old: Mapping[str, Any] | None,
    follows: Mapping[str, door_prices.Price],
    followed: Mapping[str, door_prices.Price],
) -> Door:
    if old is None:
        return Door(*name, "new", (*_counted(now), *_first(follows)))
    lines = (*_lines(now, old), *_moved(follows, followed))
    return Door(*name, "changed" if lines else "unchanged", lines)


def _counted(spec: Mapping[str, Any]) -> Iterator[str]:
    """Yields what a door has."""
    callers = spec.get("callers") or []
    yield plural.of(len(callers), "caller") if callers else "nobody may call"
    for field in ("issuers", "providers", "prices"):
        entries = spec.get(field) or []
        if field == "prices":  # others are told one by one
            entries = [entry for entry in entries if entry.get("input") is not None]
        if entries:
            yield plural.of(len(entries), field.removesuffix("s"))


def _first(follows: Mapping[str, door_prices.Price]) -> Iterator[str]:
    """Yields the prices that follow from costs."""
    for model in sorted(follows):
        yield f"price of {model} from its cost: {_MILLION}: {follows[model].words}"


def _moved(
    follows: Mapping[str, door_prices.Price], followed: Mapping[str, door_prices.Price]
) -> Iterator[str]:
    """Yields what costs change.

    A door keeps the price that followed first, until its own words ask for another, or the claim
    serves another model.
    """
    yield from _first({name: follows[name] for name in follows.keys() - followed.keys()})
    for model in sorted(follows.keys() & followed.keys()):
        new, old = follows[model], followed[model]
        if new.words == old.words:
            continue
        words = f"price of {model} from its cost: {_MILLION}: {new.words}, was {old.words}"
        kept = "; the door keeps its price until fromCost.generation is higher"
        # Words of another model's row change nothing here.
        comes = new.asked != old.asked or old.words == door_prices.UNKNOWN
        if new.words == door_prices.UNKNOWN or not (comes or new.model != old.model):
            yield words + kept
        else:
            yield words if comes else f"{words}; it counts once the other model serves"


def _lines(now: Mapping[str, Any], old: Mapping[str, Any]) -> Iterator[str]:
    for field in sorted({*now, *old}):
        if field in _NAMED:
            yield from _entries(field, now.get(field) or [], old.get(field) or [])
        elif now.get(field) != old.get(field):
            yield f"{field} changes"


def _entries(field: str, now: list[dict[str, Any]], old: list[dict[str, Any]]) -> Iterator[str]:
    what, key = _NAMED[field]
    mine, theirs = ({entry[key]: entry for entry in entries} for entries in (now, old))
    for name in sorted({*mine, *theirs}):
        if name not in theirs:
            yield f"{what} {name} is new"
        elif name not in mine:
            yield f"{what} {name} goes"
        elif mine[name] != theirs[name]:
            fields = {*mine[name], *theirs[name]}
            moved = [f for f in sorted(fields) if mine[name].get(f) != theirs[name].get(f)]
            yield f"{what} {name}: {', '.join(moved)}"
