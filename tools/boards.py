"""Draws a dashboard as a page: a stand-in for Grafana, of which no package can be had offline.

It reads the JSON that Grafana gets, and what a metrics server answers to the queries in it. The
places, titles, units, lines of thresholds and legends are the dashboard's. What Grafana would make
of them beyond that it does not show.
"""

import dataclasses
import html
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

# The series of one query: labels, and values by second.
Series = Sequence[tuple[Mapping[str, str], Sequence[tuple[float, float]]]]
Ask = Callable[[str], Series]

_COLOURS = ("#2f6fb5", "#c2571a", "#2a8a57", "#8a4fb0", "#b0397a", "#7a6a1f")
_WIDTH, _HEIGHT = 380, 120
_LEFT, _RIGHT, _BELOW = 52, 8, 16
_LINES = 3
_STYLE = """
body{font:13px/1.4 system-ui,sans-serif;background:#f4f5f7;color:#1f2430;margin:16px}
h1{font-size:18px;margin:0 0 2px}p.what{color:#5a6070;margin:0 0 10px}
h2{font-size:13px;margin:14px 0 6px;border-bottom:1px solid #cfd4dc;padding-bottom:2px}
.row{display:grid;grid-template-columns:repeat(3,1fr);gap:8px}
.panel{background:#fff;border:1px solid #d9dde4;border-radius:3px;padding:8px}
.panel h3{font-size:12px;margin:0 0 4px;font-weight:600}
svg{width:100%;display:block}text{font-size:10px;fill:#5a6070}
table{width:100%;border-collapse:collapse;font-size:11px}td{padding:1px 2px}
td.n{text-align:right;white-space:nowrap}td i{display:inline-block;width:10px;height:3px;
margin-right:5px;vertical-align:middle}td.l{overflow-wrap:anywhere}th{font-weight:400;
color:#5a6070;text-align:right}.none{color:#a02020}
"""


@dataclasses.dataclass(frozen=True)
class _Line:
    """A line of a panel: its legend, and its values by second."""

    name: str
    points: Sequence[tuple[float, float]]

    @property
    def values(self) -> list[float]:
        return [value for _, value in self.points]


def page(dashboard: Mapping[str, Any], ask: Ask, start: float, end: float) -> str:
    """Returns the page of a dashboard.

    Args:
        dashboard: What Grafana gets.
        ask: Answers a query over the time from start to end.
        start: Where the pictures begin, in seconds.
        end: Where they end.
    """
    title = html.escape(str(dashboard["title"]))
    parts = [
        f'<!doctype html><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>',
        f'<h1>{title}</h1><p class="what">A stand-in for Grafana, drawn by the project from the'
        " JSON of the dashboard and the answers of a real VictoriaMetrics to its queries. The"
        " series are recorded, and played over a quarter of an hour.</p>",
    ]
    opened = False
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            parts.append("</div>" if opened else "")
            parts.append(f'<h2>{html.escape(panel["title"])}</h2><div class="row">')
            opened = True
        else:
            parts.append(_panel(panel, ask, start, end))
    return "\n".join([*parts, "</div>" if opened else ""]) + "\n"


def _panel(panel: Mapping[str, Any], ask: Ask, start: float, end: float) -> str:
    lines = list(_lines(panel, ask))
    defaults = panel["fieldConfig"]["defaults"]
    unit = str(defaults.get("unit", "short"))
    limits = [
        float(step["value"])
        for step in defaults.get("thresholds", {}).get("steps", ())
        if step["value"] is not None
    ]
    head = f"<h3>{html.escape(panel['title'])}</h3>"
    if not lines:
        return f'<div class="panel">{head}<p class="none">no data</p></div>'
    most = max([value for line in lines for value in line.values] + limits)
    top = _ceiling(most)
    drawn = _grid(top, unit) + "".join(
        _path(line, _COLOURS[place % len(_COLOURS)], top, start, end)
        for place, line in enumerate(lines)
    )
    for limit in limits:
        height = _y(limit, top)
        drawn += (
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{height:.1f}" y2="{height:.1f}"'
            ' stroke="#c02626" stroke-dasharray="4 3"/>'
        )
    box = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + _BELOW}">{drawn}</svg>'
    return f'<div class="panel">{head}{box}{_legend(lines, unit, limits)}</div>'


def _lines(panel: Mapping[str, Any], ask: Ask) -> Iterator[_Line]:
    for target in panel.get("targets", ()):
        for labels, points in ask(target["expr"]):
            name = str(target["legendFormat"])
            for key, value in labels.items():
                name = name.replace("{{" + key + "}}", value)
            finite = [(at, value) for at, value in points if math.isfinite(value)]
            if finite:
                yield _Line(name, finite)


def _ceiling(most: float) -> float:
    """Returns the end of an axis above a value: one, two or five of a power of ten."""
    if most <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most * 1.02))
    return next(step * power for step in (1, 1.5, 3, 6, 9, 10) if step * power >= most * 1.02)


def _y(value: float, top: float) -> float:
    return _HEIGHT - max(value, 0.0) / top * (_HEIGHT - 8)


# Units that would not fit beside an axis.
_AXIS = {"reqps": "short"}


def _grid(top: float, unit: str) -> str:
    drawn = ""
    for place in range(_LINES + 1):
        value = top * place / _LINES
        height = _y(value, top)
        drawn += (
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{height:.1f}" y2="{height:.1f}"'
            f' stroke="#e4e7ec"/><text x="{_LEFT - 5}" y="{height + 3:.1f}"'
            f' text-anchor="end">{html.escape(told(value, _AXIS.get(unit, unit)))}</text>'
        )
    for place, words in ((_LEFT, "15 min ago"), (_WIDTH - _RIGHT, "now")):
        anchor = "start" if place == _LEFT else "end"
        drawn += f'<text x="{place}" y="{_HEIGHT + 13}" text-anchor="{anchor}">{words}</text>'
    return drawn


def _path(line: _Line, colour: str, top: float, start: float, end: float) -> str:
    room = _WIDTH - _LEFT - _RIGHT
    points = " ".join(
        f"{_LEFT + (at - start) / (end - start) * room:.1f},{_y(value, top):.1f}"
        for at, value in line.points
    )
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6"/>'


def _legend(lines: Sequence[_Line], unit: str, limits: Sequence[float]) -> str:
    rows = "<tr><th></th><th>last</th><th>max</th></tr>"
    for place, line in enumerate(lines):
        colour = _COLOURS[place % len(_COLOURS)]
        last, most = told(line.values[-1], unit), told(max(line.values), unit)
        rows += (
            f'<tr><td class="l"><i style="background:{colour}"></i>{html.escape(line.name)}</td>'
            f'<td class="n">{html.escape(last)}</td><td class="n">{html.escape(most)}</td></tr>'
        )
    for limit in limits:
        rows += (
            '<tr><td class="l"><i style="background:#c02626"></i>line</td>'
            f'<td class="n">{html.escape(told(limit, unit))}</td><td></td></tr>'
        )
    return f"<table>{rows}</table>"


def told(value: float, unit: str) -> str:
    """Returns a value in a unit of Grafana's."""
    if unit == "percentunit":
        return f"{value * 100:.3g}%"
    if unit == "s":
        return _time(value)
    if unit.startswith("currency:"):
        return f"{unit.removeprefix('currency:').strip()} {value:.3g}"
    short = f"{value / 1000:.3g}k" if value >= 10_000 else f"{value:.3g}"
    return f"{short} req/s" if unit == "reqps" else short


def _time(seconds: float) -> str:
    for least, size, word in ((7200, 3600, "h"), (300, 60, "min"), (1, 1, "s")):
        if seconds >= least:
            return f"{seconds / size:.3g} {word}"
    return f"{seconds * 1000:.3g} ms" if seconds else "0 s"
