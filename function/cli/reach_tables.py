"""Who reaches whom, for people at a terminal."""

from collections.abc import Iterable

from rich import console, table, text

from function import plural
from function.cli import reached, tables
from function.reach import forms

_STYLES = {
    reached.State.CLOSED: "red",
    reached.State.OPEN: "yellow",
    reached.State.UNDECIDED: "yellow",
}


def of(outcome: reached.Result, *, every: bool) -> str:
    """Returns a table for each claim.

    Args:
        outcome: The claims.
        every: Whether the flows that nobody needs and that are denied have rows too.
    """

    def draw(out: console.Console) -> None:
        for item in outcome.items:
            _claim(out, item, every=every)

    return tables.written(draw)


def _claim(out: console.Console, item: reached.Item, *, every: bool) -> None:
    out.print(text.Text(f"{item.name}: {item.verdict()}", style="bold"), soft_wrap=True)
    denied = item.of(reached.State.DENIED)
    rows = item.rows if every else [row for row in item.rows if row not in denied]
    out.print(_rows(rows))
    if denied and not every:
        count = sum(len(row.alike) for row in denied)
        out.print(
            f"denied: {plural.of(count, 'flow')} that nobody asks for; --all shows them",
            soft_wrap=True,
        )
    for one in item.findings:
        out.print(f"{one.severity}: {one.field}: {one.message}", soft_wrap=True)
    out.print()


def _rows(rows: Iterable[reached.Row]) -> table.Table:
    grid = tables.columns("", "flow", "from", "to", "port", "for", "leaves", "enters")
    grid.title = None
    for row in rows:
        hop, (leaves, enters) = row.first.hop, map(_short, reached.halves(row))
        state = text.Text(str(row.state), style=_STYLES.get(row.state, ""))
        ends = (hop.source.name, hop.destination.name)
        grid.add_row(state, *ends, row.ports, row.purpose, leaves, enters)
    return grid


def _short(words: str) -> str:
    """Returns what decides without the policy's kind, for which a line has no room."""
    for kind in sorted(forms.KINDS, key=len, reverse=True):
        words = words.replace(f"{kind} ", "")
    return words
