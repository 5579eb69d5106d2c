"""`inference-service explain`: what a rule, a reason or a field means, and whose a value is."""

import dataclasses
import json
import os
import re
import sys
import textwrap
from collections.abc import Iterator
from typing import Any, Literal

import click

from function import explanation
from function.api import reference, settings
from function.cli import (
    entries,
    glossary,
    options,
    origins,
    planned,
    refused,
    result,
    sarif,
    terminal,
)
from function.concerns import reasons
from function.findings import rules

Output = Literal["text", "json"]
API_VERSION = "inference-service.cloud.ogenki.io/v1alpha1"
KIND = "Explanation"
_WIDTH = 100
_UNKNOWN = 1
# Fields of one name that are worth listing.
_MOST_PLACES = 8
# Where the reasons stand.
_OPERATIONS = "docs/operations.md"


@click.command()
@click.argument("what", metavar="RULE|REASON|FIELD|COLUMN|CLAIM")
@click.argument("field", required=False)
@options.environments("EnvironmentConfig with the site's settings, for a claim; repeatable.")
@options.input_file("The Composition's input, or a Composition, for a claim.")
@options.output(
    "text",
    "json",
    words="text is for people, json for machines.",
)
def explain(
    what: str,
    field: str | None,
    environments: tuple[str, ...],
    input_file: str | None,
    output: Output,
) -> None:
    """Explain a rule of `check`, a reason, a phase, an alert, a column, a field or a claim's value.

    `explain does-not-fit`, `explain TooLarge`, `explain Valid=False/Invalid`, `explain Degraded`,
    `explain spec.model.contextWindow`; `explain claim.yaml spec.model.contextWindow` says where the
    value comes from, and `explain claim.yaml` what all derived values follow from.

    Exit codes: 0 it was explained. 1 there is no such word or field. 2 wrong usage, or something
    could not be read or written.
    """
    if field is None and not (what == "-" or os.path.exists(what)):
        _explain(what, output)
        return
    inputs = planned.Inputs((what,), environments, input_file)
    if inputs.repeats_standard_input:
        raise click.UsageError("standard input can be read once: `-` stands there twice")
    _claims(planned.read(inputs), field, output)


# --- words


def _explain(word: str, output: Output) -> None:
    meanings = glossary.meanings(word)
    if not meanings:
        near = glossary.nearest(word)
        words = f"; the nearest: {', '.join(near)}" if near else ""
        terminal.complain(
            f"{word}: no rule, reason, phase, alert, column or field has this name{words}"
        )
        sys.exit(_UNKNOWN)
    if output == "json":
        document = {
            "rule": None if meanings.rule is None else _rule_document(meanings.rule),
            "reasons": [_reason_document(one) for one in meanings.reasons],
            "entries": [dataclasses.asdict(one) for one in meanings.listed],
            "columns": [dataclasses.asdict(one) for one in meanings.columns],
            "fields": [dataclasses.asdict(one) for one in meanings.fields],
        }
        terminal.write(_json(document))
        return
    parts = [
        *([] if meanings.rule is None else [_rule(meanings.rule)]),
        *map(_reason, meanings.reasons),
        *map(_entry, meanings.listed),
        *map(_column, meanings.columns),
        *map(_described, meanings.fields),
    ]
    terminal.write("\n".join(parts))


def _json(document: dict[str, Any]) -> str:
    whole = {"apiVersion": API_VERSION, "kind": KIND, **document}
    return json.dumps(whole, indent=2, default=str) + "\n"


def _rule(rule: rules.Rule) -> str:
    rows = {"What": rule.what, "Why": rule.why, "What to do": rule.remedy, "Page": _page(rule)}
    return _block(f"{rule.name}: a rule of check, {rule.severity}", rows)


def _page(rule: rules.Rule) -> str:
    return f"{sarif.HOME}/blob/main/{rule.page}"


def _rule_document(rule: rules.Rule) -> dict[str, str]:
    return {**dataclasses.asdict(rule), "severity": str(rule.severity), "page": _page(rule)}


def _reason(one: glossary.Reason) -> str:
    rows = {
        "Meaning": _plain(one.reason.meaning),
        "What to do": _plain(one.reason.action) or "Nothing.",
        "Page": _operations(one.condition.lower()),
    }
    status = reasons.STATUS[one.reason.holds]
    return _block(f"{one.name}: a reason of the condition {one.condition}, {status}", rows)


def _entry(one: entries.Entry) -> str:
    rows = {
        "Meaning": _plain(one.meaning),
        "What to do": _plain(one.action),
        "Page": _operations(one.anchor),
    }
    return _block(f"{one.word}: {one.kind}", rows)


def _column(one: glossary.Column) -> str:
    wide = " -o wide" if one.wide else ""
    title = f"{one.name}: a column of kubectl get{wide}"
    return _block(title, {"Shows": one.path, "Meaning": one.meaning})


def _operations(anchor: str) -> str:
    return f"{sarif.HOME}/blob/main/{_OPERATIONS}#{anchor}"


def _plain(text: str) -> str:
    """Returns words of the page without the targets of their links."""
    return re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", text)


def _reason_document(one: glossary.Reason) -> dict[str, Any]:
    return {
        "condition": one.condition,
        "reason": one.reason.name,
        "status": reasons.STATUS[one.reason.holds],
        "meaning": one.reason.meaning,
        "action": one.reason.action,
    }


def _described(one: reference.Described) -> str:
    rows = {
        "Type": one.type + (", required" if one.required else ""),
        "Limits": one.limits,
        "Default": one.default,
        "Meaning": one.meaning,
    }
    lines = [_block(f"{one.path}: a field of the {one.of}", rows)]
    lines += [_item(rule) for rule in one.rules]
    width = max((len(name) for name, _ in one.fields), default=0)
    lines += [_item(meaning, f"{name:<{width}}") for name, meaning in one.fields]
    return "".join(lines)


def _block(title: str, rows: dict[str, str]) -> str:
    width = max(map(len, rows))
    lines = [title, *(_line(f"  {key:<{width}}  ", text) for key, text in rows.items() if text)]
    return "\n".join(lines) + "\n"


def _item(text: str, name: str = "-") -> str:
    return _line(f"  {name} ", text) + "\n"


def _line(head: str, text: str) -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )


# --- values


def _claims(fleet: planned.Fleet, field: str | None, output: Output) -> None:
    for note in fleet.notes:
        terminal.complain(f"note: {note}")
    for error in fleet.unreadable:
        terminal.complain(str(error))
    for problem in fleet.unusable:
        terminal.complain(f"settings: {problem}")
    if fleet.unreadable or fleet.site is None:
        sys.exit(result.NOT_READ if fleet.unreadable else result.CANNOT_BE_USED)
    if field is not None and glossary.field(field) is None:
        field = _in_full(field)
    for claim in fleet.claims:
        for message in refused.messages(claim.faults):
            terminal.complain(f"note: {claim.source}: nothing is derived: {message}")
    explained = [_Explained(claim, field, fleet.site) for claim in fleet.claims]
    if output == "json":
        terminal.write(_json({"claims": [one.document() for one in explained]}))
    else:
        terminal.write("\n".join(one.text() for one in explained))


def _in_full(word: str) -> str:
    """Returns the one field whose path ends so; where there is none, the program ends."""
    paths = glossary.ending(word)
    if len(paths) != 1:
        several = f"; these end so: {', '.join(paths[:_MOST_PLACES])}" if paths else ""
        hint = several or glossary.hint(word)
        terminal.complain(f"{word}: claims have no such field{hint}")
        sys.exit(_UNKNOWN)
    return paths[0]


@dataclasses.dataclass(frozen=True)
class _Explained:
    """A claim with the field that is asked for, or with everything that was derived."""

    claim: planned.Planned
    field: str | None
    site: settings.Settings

    @property
    def name(self) -> str:
        return f"{self.claim.source.namespace}/{self.claim.source.name}"

    def document(self) -> dict[str, Any]:
        source = self.claim.source
        head = {"namespace": source.namespace, "name": source.name, "file": source.file}
        if self.field is None:
            every = origins.derived(self.claim)
            return {**head, "derived": [dataclasses.asdict(why) for why in every]}
        origin = origins.of(self.claim, self.field, self.site)
        described = glossary.field(self.field)
        return {
            **head,
            **dataclasses.asdict(origin),
            "field": None if described is None else dataclasses.asdict(described),
        }

    def text(self) -> str:
        if self.field is None:
            return f"{self.name}\n" + "".join(map(_why, origins.derived(self.claim)))
        origin = origins.of(self.claim, self.field, self.site)
        rows = {"Value": _value(origin.value), "From": _from(origin)}
        text = _block(f"{origin.path} of {self.name}", rows) + "".join(map(_why, origin.derived))
        described = glossary.field(self.field)
        return text if described is None else f"{text}\n{_described(described)}"


def _value(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _from(origin: origins.Origin) -> str:
    return " ".join(_words(origin))


def _words(origin: origins.Origin) -> Iterator[str]:
    if origin.source is origins.Source.AUTHOR:
        yield f"the author, at {origin.file}:{origin.line}"
    elif origin.source is origins.Source.SETTINGS:
        yield f"the settings' {origin.setting}; the claim does not name it"
    elif origin.source is origins.Source.DERIVED:
        yield "what follows below; the claim does not name it"
    else:
        yield "the default; the claim does not name it"


def _why(why: explanation.Explanation) -> str:
    rows = {"Rule": why.rule, "From": why.inputs}
    return textwrap.indent(_block(f"{why.value}: {why.result}", rows), "  ")
