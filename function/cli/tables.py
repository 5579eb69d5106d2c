"""Verdicts for people: tables at a wide terminal, a few lines for each claim at a narrow one."""

import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rich import box, console, padding, table, text

from function.cli import changes, concerns, rendering, result, terminal, verdicts
from function.engines import engines
from function.workloads import pods

# Columns of a table that goes to a file or a CI log: 80 would fold names in the middle.
WIDTH = 160
# Below it the columns of a summary would be too narrow to read.
NARROW = 120
# Characters of a value before it is cut: the arguments of an engine would fill a screen.
_LONGEST_VALUE = 200
# Fields of a pod template that a summary names.
_MOST_FIELDS = 3

# Most objects stay, of which nothing is said.
_EFFECTS = {"unchanged": "", "unknown": "not looked at"}
_STYLES = {
    "refused": "red",
    "removed": "yellow",
    "end": "red",
    "restart": "yellow",
    "restart-later": "yellow",
    "fewer": "yellow",
    "held": "yellow",
    "start": "cyan",
}


def of(outcome: result.Result, *, whole: bool) -> str:
    """Returns the tables of each claim, or a summary of all."""

    def draw(out: console.Console) -> None:
        if whole:
            _tables(out, outcome)
        elif out.width < NARROW:
            for verdict in outcome.judged:
                _block(out, verdict)
        elif outcome.judged:
            out.print(_summary(outcome.judged))

    return written(draw)


def written(draw: Callable[[console.Console], None]) -> str:
    """Returns what is drawn, as wide as the terminal or as a file or log needs it."""
    at_terminal = terminal.is_terminal(sys.stdout)
    buffer = _Buffer()
    out = console.Console(
        file=buffer,
        force_terminal=at_terminal or None,
        highlight=False,
        markup=False,
        emoji=False,
        width=None if at_terminal or "COLUMNS" in os.environ else WIDTH,
    )
    draw(out)
    lines = buffer.getvalue().splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines)


class _Buffer(io.StringIO):
    """Text that goes to standard output later, in its encoding: lines of tables need Unicode."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of standard output."""
        return sys.stdout.encoding if sys.stdout is not None else "utf-8"


# --- the summary


def _summary(judged: Iterable[verdicts.Verdict]) -> table.Table:
    """Returns a line for each claim: where it is, and what applying this does."""
    grid = columns("claims", "claim", "phase", "current", "pods", "also", "waits for")
    for verdict in judged:
        grid.add_row(
            f"{verdict.namespace}/{verdict.name}",
            _phase(verdict),
            verdict.current,
            text.Text(_pods(verdict), style=_style(verdict)),
            "; ".join(_also(verdict)),
            _problem(verdict),
        )
    return grid


def _block(out: console.Console, verdict: verdicts.Verdict) -> None:
    """Prints the same in lines of their own."""
    current = f", current: {verdict.current}" if verdict.current else ""
    out.print(text.Text(f"{verdict.namespace}/{verdict.name}", style="bold"), end="")
    out.print(f": {_phase(verdict)}{current}", soft_wrap=True)
    rows = [("pods", _pods(verdict)), *(("also", line) for line in _also(verdict))]
    rows += [("errors" if verdict.errors else "waits for", _problem(verdict))]
    out.print(_rows([row for row in rows if row[1]], style=_style(verdict)))


def _rows(rows: Iterable[tuple[str, str]], style: str = "") -> padding.Padding:
    """Returns names with their values beside them."""
    grid = table.Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(name, text.Text(value, style=style if name in ("pods", "errors") else ""))
    return padding.Padding(grid, (0, 0, 0, 2))


def _phase(verdict: verdicts.Verdict) -> str:
    if verdict.outcome in ("refused", "removed"):
        return verdict.outcome
    return verdict.phase or "not looked at"


def _style(verdict: verdicts.Verdict) -> str:
    if verdict.errors:
        return "red"
    return _STYLES.get(verdict.outcome, _STYLES.get(verdict.pods.effect, ""))


def _pods(verdict: verdicts.Verdict) -> str:
    if verdict.outcome == "refused":
        return ""
    sentence = verdict.pods.sentence(_MOST_FIELDS)
    return f"a new claim: {sentence}" if verdict.outcome == "new" else sentence


def _also(verdict: verdicts.Verdict) -> Iterator[str]:
    """Yields what else changes, in a few words each."""
    if verdict.outcome == "removed":
        kinds = sorted(item.kind for item in verdict.objects)
        yield f"in none of the files; with it go {_counted(kinds) or 'all its objects'}"
    if verdict.outcome == "changed":
        for concern, words in verdict.others.words():
            yield f"{concern}: {words}"
        for effect in ("created", "deleted"):
            kinds = sorted(item.kind for item in verdict.objects if item.effect == effect)
            if kinds:
                yield f"{effect}: {_counted(kinds)}"
        fields = list(_fields(verdict))
        if fields:
            rest = f" and {len(fields) - _MOST_FIELDS} more" if len(fields) > _MOST_FIELDS else ""
            yield f"other fields: {', '.join(fields[:_MOST_FIELDS])}{rest}"
    if verdict.not_looked_at and verdict.outcome in ("changed", "unchanged"):
        yield f"not looked at: {', '.join(verdict.not_looked_at)}"


# What a summary says of these in words of their own.
_TOLD = frozenset((*concerns.ROUTES, *concerns.RULES, *concerns.POLICIES))


def _fields(verdict: verdicts.Verdict) -> Iterator[str]:
    """Yields the fields that change, but for those that are told in other words."""
    for item in verdict.objects:
        for field in item.fields:
            told = item.kind in _TOLD or field in verdict.pods.fields
            if not told and not field.path.endswith(("ReplicaCount", "spec.replicas")):
                yield f"{item.kind} {field.path}"


def _counted(kinds: list[str]) -> str:
    """Returns sorted kinds, each once with its count."""
    counts = dict.fromkeys(kinds, 0)
    for kind in kinds:
        counts[kind] += 1
    return ", ".join(kind if count == 1 else f"{count} {kind}" for kind, count in counts.items())


def _problem(verdict: verdicts.Verdict) -> str:
    return "; ".join(error.message for error in verdict.errors) or verdict.waiting_for


# --- the tables of a claim


def _tables(out: console.Console, outcome: result.Result) -> None:
    rendered = {id(item.source): item for item in outcome.rendered}
    removed = [f"{one.namespace}/{one.name}" for one in outcome.judged if one.outcome == "removed"]
    for verdict in (one for one in outcome.judged if one.outcome != "removed"):
        item = rendered.get(id(verdict.source))
        if item is None:
            _block(out, verdict)
            out.print()
            continue
        waits = f", waiting for: {verdict.waiting_for}" if verdict.waiting_for else ""
        name = f"{verdict.namespace}/{verdict.name}"
        out.print(f"{name}: {_phase(verdict)}{waits}", style="bold", soft_wrap=True)
        out.print(_rows(_overview(item)))
        out.print()
        changed = _changes(verdict)
        for grid in (_objects(verdict), changed, _conditions(verdict), _derived(item)):
            if grid.row_count:
                out.print(grid)
        for error in verdict.errors:
            out.print(f"error: {error.message}", style="red", soft_wrap=True)
        if item.observed:
            for line in (f"pods {verdict.pods.sentence()}", *_also(verdict)):
                out.print(line, soft_wrap=True)
        out.print()
    if removed:
        names = ", ".join(removed[:_MOST_FIELDS])
        rest = f" and {len(removed) - _MOST_FIELDS} more" if len(removed) > _MOST_FIELDS else ""
        out.print(
            f"observed, and in none of the files: {names}{rest};"
            " the summary says what would go with each",
            soft_wrap=True,
        )


def _overview(item: rendering.Rendered) -> Iterator[tuple[str, str]]:
    """Yields what a person looks for first, as the claim asks for it."""
    answer, model = item.answer, item.resource.spec.model
    at = " on the weights volume" if model.source == "pvc" else ""
    if model.source in ("oci", "s3") or model.repository is None:
        yield "model", f"{model.place}{at}"
    else:
        yield "model", f"{model.repository}@{model.revision or 'main'}"
    adapters = [adapter.name for adapter in item.resource.spec.lora_adapters or []]
    if adapters:
        yield "adapters", ", ".join(adapters)
    serves = engines.chosen(item.resource.spec)
    container = pods.engine_container(answer.wanted, serves.CONTAINER)
    yield "image", str(container.get("image"))
    yield from serves.summary(container)
    yield "GPUs", f"{answer.gpus} a replica"
    least, most = answer.bounds
    suspended = " (suspended: none run)" if item.resource.spec.suspend is True else ""
    yield "replicas", (f"{least}" if least == most else f"{least} to {most}") + suspended
    yield (
        "resources",
        "; ".join(
            f"{kind} " + ", ".join(f"{key} {value}" for key, value in sorted(amounts.items()))
            for kind, amounts in sorted((container.get("resources") or {}).items(), reverse=True)
            if isinstance(amounts, dict)
        ),
    )


def columns(title: str, *names: str) -> table.Table:
    """Returns an empty table."""
    made = table.Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in names:
        made.add_column(column, overflow="fold")
    return made


def _objects(verdict: verdicts.Verdict) -> table.Table:
    """Returns the objects; what becomes of them and whether they are ready where one looked."""
    compared = verdict.outcome != "new"
    grid = columns(
        "objects", "kind", "name", *(("change", "ready", "waits for") if compared else ())
    )
    for item in verdict.objects:
        cells = (_EFFECTS.get(item.effect, item.effect), _ready(item), item.waits)
        grid.add_row(item.kind, item.name, *(cells if compared else ()))
    return grid


def _ready(item: verdicts.Object) -> str:
    if item.effect == "deleted":
        return ""
    if item.ready is None:
        return "not looked at"
    return "yes" if item.ready else "no"


def _changes(verdict: verdicts.Verdict) -> table.Table:
    """Returns each field that changes; of those that are held back, what they would be."""
    grid = columns("changes", "object", "field", "old", "new")
    for item in verdict.objects:
        for field in item.fields:
            grid.add_row(f"{item.kind} {item.name}", field.path, *_values(field))
    if verdict.pods.held:
        for field in verdict.pods.fields:
            grid.add_row("held back", field.path, *_values(field))
    return grid


def _values(change: changes.Change) -> tuple[str, str]:
    """Returns both values in words; of lists only the items that are not in both."""
    old, new = change.old, change.new
    if isinstance(old, list) and isinstance(new, list):
        gone, come = [x for x in old if x not in new], [x for x in new if x not in old]
        # The same items in another order are shown as they are.
        old, new = (gone, come) if gone or come else (old, new)
    return _value(old), _value(new)


def _is_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _value(value: Any) -> str:
    if value is changes.ABSENT:
        return ""
    if _is_words(value):
        words = "\n".join(value)
    else:
        words = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return words if len(words) <= _LONGEST_VALUE else words[: _LONGEST_VALUE - 3] + "..."


def _conditions(verdict: verdicts.Verdict) -> table.Table:
    grid = columns("conditions", "type", "status", "reason", "message")
    for condition in verdict.conditions:
        grid.add_row(condition.type, condition.status, condition.reason, condition.message)
    return grid


def _derived(item: rendering.Rendered) -> table.Table:
    grid = columns("derived values", "value", "result", "rule", "from")
    for why in item.answer.explanations:
        grid.add_row(why.value, why.result, why.rule, why.inputs)
    return grid
