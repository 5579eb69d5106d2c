"""What there is a word for: rules, reasons, alerts, columns, fields of claims and settings."""

import dataclasses
import re
from collections.abc import Iterator

from function import likeness
from function.api import base, claim, reference, settings, status
from function.cli import entries, suggestions
from function.composites import inference_service
from function.concerns import concerns, reasons
from function.findings import rules, table
from function.fleet import report as fleet

# Places of a field that are worth listing.
_MOST_PLACES = 12
_NEAR = 3


class Status(base.Model):
    """The status of a claim, under its own name: a claim's model is what its author writes."""

    status: status.Status


@dataclasses.dataclass(frozen=True)
class Reason:
    """A reason, and the condition that has it."""

    condition: str
    reason: reasons.Reason

    @property
    def name(self) -> str:
        """Both, as `explain` takes them."""
        return f"{self.condition}/{self.reason.name}"


@dataclasses.dataclass(frozen=True)
class Column:
    """A column that `kubectl get` prints of a claim.

    Attributes:
        name: Its title.
        path: The field that it shows, in JSONPath.
        wide: Whether it is printed with `-o wide` alone.
        meaning: Of the field.
    """

    name: str
    path: str
    wide: bool
    meaning: str


@dataclasses.dataclass(frozen=True)
class Meanings:
    """What a word stands for.

    Attributes:
        rule: Of `check`, or None.
        reasons: Of conditions.
        listed: Phases, alerts, exit codes and words of the page.
        columns: Of `kubectl get`.
        fields: Of claims, their status and settings, described.
    """

    rule: rules.Rule | None = None
    reasons: tuple[Reason, ...] = ()
    listed: tuple[entries.Entry, ...] = ()
    columns: tuple[Column, ...] = ()
    fields: tuple[reference.Described, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.rule or self.reasons or self.listed or self.columns or self.fields)


# A condition as the pages write it: `Valid=False/Invalid`, `Current=False`, `Unknown/FatalError`.
_WRITTEN = re.compile(r"(?i)(?:(\w+)=)?(?:true|false|unknown)(?:/(\w+))?")


_MODELS: tuple[tuple[str, type[base.Model]], ...] = (
    ("claim", claim.InferenceService),
    ("status", Status),
    ("settings", settings.Settings),
)


def meanings(word: str) -> Meanings:
    """Returns what a word stands for, in any case of its letters."""
    written = _WRITTEN.fullmatch(word)
    if written is not None:
        word = "/".join(part for part in written.groups() if part)
    plain = word.lower()
    return Meanings(
        table.RULES.get(plain),
        tuple(
            one
            for one in _reasons()
            if plain in (one.name.lower(), one.reason.name.lower(), one.condition.lower())
        ),
        tuple(
            one
            for one in entries.every()
            # `Valid/NotRendered` is the word of a condition.
            if one.word.lower() in (plain, plain.rpartition("/")[2])
        ),
        tuple(one for one in _columns() if one.name.lower() == plain),
        tuple(_fields(word)),
    )


def nearest(word: str) -> list[str]:
    """Returns words that resemble one that stands for nothing."""
    return likeness.nearest(word, _words(), _NEAR)


def field(path: str) -> reference.Described | None:
    """Returns a field of a claim, or None where there is none."""
    return _described("claim", claim.InferenceService, path)


def ending(word: str) -> list[str]:
    """Returns the fields of a claim whose paths end so, in any case of its letters."""
    end = f".{word.lower()}"
    return [
        at for at, _ in suggestions.fields(claim.InferenceService) if f".{at.lower()}".endswith(end)
    ]


def hint(path: str) -> str:
    """Returns where a field of a claim that does not exist belongs, in words."""
    parent, _, name = path.rpartition(".")
    every = [at for at, _ in suggestions.fields(claim.InferenceService)]
    # A field that holds no others has none: a fallback's model is a word.
    owners = [
        owner
        for owner in (ending(parent) if parent else [])
        if any(at.startswith((f"{owner}.", f"{owner}[")) for at in every)
    ]
    # Only the end of its path may be written.
    whole = f"{owners[0]}.{name}" if len(owners) == 1 else path
    return suggestions.nearest(whole, claim.InferenceService)


def _reasons() -> Iterator[Reason]:
    for kind in (*concerns.CONDITIONS, *fleet.OWN_CONDITIONS):
        yield from (Reason(kind.type(), member.reason) for member in kind)


_CONDITION = re.compile(r"\.status\.conditions\[\?\(@\.type=='(\w+)'\)\]\.status")


def _columns() -> Iterator[Column]:
    for name, _, path, priority in inference_service.COLUMNS:
        condition = _CONDITION.fullmatch(path)
        described = field(path[1:]) or _described("status", Status, path[1:])
        meaning = "" if described is None else described.meaning
        if condition is not None:
            meaning = f"Status of the condition {condition[1]}: `explain {condition[1]}`."
        yield Column(name, path, priority > 0, meaning)


def _fields(word: str) -> Iterator[reference.Described]:
    """Yields the field of a path, or the fields whose paths end so, at all their places."""
    path = word.removeprefix("settings.")
    exact = [_described(of, model, path) for of, model in _MODELS]
    at_path = [one for one in exact if one is not None]
    if at_path:
        yield from at_path
        return
    end = f".{path.lower()}"
    for of, model in _MODELS:
        places = [at for at, _ in suggestions.fields(model) if f".{at.lower()}".endswith(end)]
        for at in places[:_MOST_PLACES]:
            described = _described(of, model, at)
            if described is not None:
                yield described


def _described(of: str, model: type[base.Model], path: str) -> reference.Described | None:
    info = suggestions.field(model, path)
    return None if info is None else reference.described(of, path, info)


def _words() -> Iterator[str]:
    yield from table.RULES
    for one in _reasons():
        yield one.reason.name
        yield one.name
    yield from (one.word for one in entries.every())
    yield from (name for name, *_ in inference_service.COLUMNS)
    for _, model in _MODELS:
        for at, name in suggestions.fields(model):
            yield from (at, name, ".".join(at.rsplit(".", 2)[-2:]))
