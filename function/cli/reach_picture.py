"""Who reaches whom, as a picture: callers, the claim's own pods, and what these reach.

One strip for each claim. A line is told apart by its dashes too, not by colour alone. Nothing is
fetched and no script runs.
"""

import dataclasses
import html
from collections.abc import Iterable, Iterator, Sequence

from function.cli import reached
from function.reach import endpoints
from function.reach.policies import Direction

_WIDTH, _BOX, _HEIGHT, _GAP, _TOP = 1280, 330, 30, 14, 48
_COLUMNS = (10, (_WIDTH - _BOX) // 2, _WIDTH - _BOX - 10)
# Characters that a box holds, and those of its ports.
_LONGEST, _MOST_PORTS = 46, 20
_COLOURS = {
    reached.State.PASSES: "#2f7d43",
    reached.State.CLOSED: "#b00020",
    reached.State.OPEN: "#c77700",
    reached.State.UNDECIDED: "#7d5a8c",
    reached.State.DENIED: "#9a9a9a",
}
_DASHES = {
    reached.State.CLOSED: "7 5",
    reached.State.OPEN: "12 3 3 3",
    reached.State.UNDECIDED: "2 4",
}
_WORDS = {
    reached.State.PASSES: "needed, passes",
    reached.State.CLOSED: "needed, closed",
    reached.State.OPEN: "open, nobody asks for it",
    reached.State.UNDECIDED: "cannot be told",
}
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#1a1a1a}"
    ".title{font-weight:bold;font-size:14px}.small{font-size:11px}"
    "rect{fill:#f4f4f4;stroke:#777}.own rect{fill:#e3ecf5;stroke:#1f4e79}"
)


@dataclasses.dataclass(frozen=True)
class _Box:
    """An end in the picture."""

    column: int
    top: float

    @property
    def left(self) -> float:
        return _COLUMNS[self.column]

    @property
    def middle(self) -> float:
        return self.top + _HEIGHT / 2


def text(items: Sequence[reached.Item]) -> str:
    """Returns the picture of claims, one below the other."""
    parts, top = [], 30.0
    for item in items:
        lines, height = _strip(item, top)
        parts += lines
        top += height
    words = f"who reaches whom: {', '.join(item.name for item in items)}"
    return "\n".join([*_head(top, words), *_legend(), *parts, "</svg>"]) + "\n"


def _head(height: float, words: str) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}"'
        f' width="{_WIDTH}" height="{height:.0f}" role="img" aria-label="{_safe(words)}">'
    )
    yield f'<style>{_STYLE}</style><rect width="100%" height="100%" style="fill:#fff;stroke:none"/>'


def _legend() -> Iterator[str]:
    for number, (state, words) in enumerate(_WORDS.items()):
        left = 10 + number * 210
        yield f'<path d="M{left} 16h40" {_pen(state)}/>'
        yield f'<text class="small" x="{left + 48}" y="20">{words}</text>'


def _strip(item: reached.Item, top: float) -> tuple[list[str], float]:
    """Returns the lines of a claim, and how high they are."""
    drawn = [row for row in item.rows if row.state is not reached.State.DENIED]
    places = _places(drawn, top + _TOP)
    title = f"{item.name}: {item.verdict()}"
    lines = [f'<text class="title" x="10" y="{top + 32:.0f}">{_safe(title)}</text>']
    for row in drawn:
        lines += _line(row, places)
    for (column, end), box in places.items():
        lines += _box(end, box, "" if column == 1 else _ports(drawn, column, end))
    lowest = max((box.top for box in places.values()), default=top)
    return lines, lowest + _HEIGHT + _GAP - top


def _places(rows: Iterable[reached.Row], top: float) -> dict[tuple[int, endpoints.Endpoint], _Box]:
    """Returns where each end is: an end that calls and is called is on both sides."""
    columns: dict[int, dict[endpoints.Endpoint, None]] = {0: {}, 1: {}, 2: {}}
    for row in rows:
        flow = row.first
        columns[1][flow.own] = None
        columns[_side(row)][flow.other] = None
    most = max(map(len, columns.values()))
    return {
        (column, end): _Box(column, top + (number + (most - len(ends)) / 2) * (_HEIGHT + _GAP))
        for column, ends in columns.items()
        for number, end in enumerate(ends)
    }


def _side(row: reached.Row) -> int:
    return 0 if row.first.direction is Direction.INGRESS else 2


def _line(row: reached.Row, places: dict[tuple[int, endpoints.Endpoint], _Box]) -> Iterator[str]:
    """Yields the line of flows, with their ports at the end that is not the claim's."""
    side = _side(row)
    other, own = places[side, row.first.other], places[1, row.first.own]
    start, end = (other, own) if side == 0 else (own, other)
    left, right = start.left + _BOX, end.left
    bend = (right - left) / 2
    curve = (
        f"M{left:.0f} {start.middle:.0f}C{left + bend:.0f} {start.middle:.0f}"
        f" {right - bend:.0f} {end.middle:.0f} {right:.0f} {end.middle:.0f}"
    )
    leaves, enters = reached.halves(row)
    hop = row.first.hop
    words = (
        f"{hop.source.name} to {hop.destination.name} on {row.ports}, {row.purpose}: {row.state}."
        f" Leaves: {leaves}. Enters: {enters}."
    )
    yield f'<g><title>{_safe(words)}</title><path d="{curve}" {_pen(row.state)}/></g>'


def _pen(state: reached.State) -> str:
    dashes = f' stroke-dasharray="{_DASHES[state]}"' if state in _DASHES else ""
    return f'fill="none" stroke="{_COLOURS[state]}" stroke-width="2"{dashes}'


def _ports(rows: Iterable[reached.Row], column: int, end: endpoints.Endpoint) -> str:
    """Returns the ports of an end's lines, with a word beside those that are not as asked for."""
    words = [
        row.ports if row.state is reached.State.PASSES else f"{row.ports} {row.state}"
        for row in rows
        if _side(row) == column and row.first.other == end
    ]
    return ", ".join(dict.fromkeys(words))


def _box(end: endpoints.Endpoint, box: _Box, ports: str) -> Iterator[str]:
    """Yields a box; a claim's own pods have no ports beside their name."""
    group = "<g>" if ports else '<g class="own">'
    yield f"{group}<title>{_safe('; '.join(filter(None, (_whole(end), ports))))}</title>"
    yield f'<rect x="{box.left:.0f}" y="{box.top:.0f}" width="{_BOX}" height="{_HEIGHT}" rx="4"/>'
    name = _cut(end.name, _LONGEST - min(len(ports), _MOST_PORTS))
    yield f'<text x="{box.left + 8:.0f}" y="{box.top + 19:.0f}">{_safe(name)}</text>'
    if ports:
        right = box.left + _BOX - 8
        yield (
            f'<text class="small" text-anchor="end" x="{right:.0f}" y="{box.top + 19:.0f}">'
            f"{_safe(_cut(ports, _MOST_PORTS))}</text>"
        )
    yield "</g>"


def _cut(words: str, most: int) -> str:
    return words if len(words) <= most else f"{words[: most - 1]}…"


def _whole(end: endpoints.Endpoint) -> str:
    labels = ", ".join(f"{key}={value}" for key, value in end.labels)
    return "; ".join(word for word in (end.name, end.namespace, labels, end.address) if word)


def _safe(words: str) -> str:
    return html.escape(words, quote=True)
