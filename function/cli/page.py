"""A plan as one page for a browser: no script, nothing fetched, a bar for each GPU's memory."""

import html
from collections.abc import Iterator

from function import plural
from function.capacity import fit
from function.cli import outlooks, sentences
from function.planning import forecasts

# Parts of the bar, in the order in which they stand: what the engine's share holds, then the rest.
_PARTS = (
    fit.Part.WEIGHTS,
    fit.Part.ADAPTERS,
    fit.Part.ACTIVATIONS,
    fit.Part.PROCESS,
    fit.Part.COMMUNICATION,
    fit.Part.GRAPHS,
    fit.Part.CONTEXT,
    fit.Part.CACHE,
    fit.Part.FREE,
)
# Told apart in grey too: each is darker or lighter than its neighbours.
_COLOURS = {
    fit.Part.WEIGHTS: "#1f4e79",
    fit.Part.ADAPTERS: "#8fb4d9",
    fit.Part.ACTIVATIONS: "#7a3b00",
    fit.Part.PROCESS: "#e0b070",
    fit.Part.COMMUNICATION: "#7d5a8c",
    fit.Part.GRAPHS: "#cdb5d8",
    fit.Part.CONTEXT: "#555555",
    fit.Part.CACHE: "#4c9a5f",
    fit.Part.FREE: "var(--free)",
}
_STAGES = ("#1f4e79", "#8fb4d9", "#7a3b00", "#e0b070", "#555555", "#cdb5d8", "#4c9a5f", "#b7d9bf")

_STYLE = """
:root { color-scheme: light dark; --text: #1a1a1a; --back: #fff; --weak: #555; --line: #ddd;
  --free: #e6e6e6; --edge: #999; --error: #b00020; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e6e6; --back: #16181c; --weak: #a8adb5; --line: #3a3f47;
    --free: #2b2f36; --edge: #6b7078; --error: #ff7b8a; }
}
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem;
  color: var(--text); background: var(--back); }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .3rem; }
.verdict { font-size: 1.1rem; border-left: .4rem solid #4c9a5f; padding: .4rem .8rem; }
.verdict.error { border-color: var(--error); } .verdict.changes { border-color: #c77700; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line);
  vertical-align: top; }
.wide { overflow-x: auto; }
.bar { display: flex; height: 1.5rem; border: 1px solid var(--edge); margin: .4rem 0 .2rem; }
.bar span { height: 100%; min-width: 1px; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .85rem; margin: 0 0 .6rem;
  padding: 0; list-style: none; }
.legend i { display: inline-block; width: .8rem; height: .8rem; margin-right: .3rem;
  border: 1px solid var(--edge); }
dl { display: grid; grid-template-columns: 9rem 1fr; gap: .15rem 1rem; margin: .4rem 0; }
dt { color: var(--weak); } dd { margin: 0; overflow-wrap: anywhere; }
.error-text { color: var(--error); }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } dd { margin: 0 0 .4rem; }
  thead { display: none; }
  tr { display: block; border-bottom: 1px solid var(--line); padding: .4rem 0; }
  td { display: grid; grid-template-columns: 9rem 1fr; gap: 0 .8rem; border: 0; padding: .1rem 0; }
  td::before { content: attr(data-column); color: var(--weak); } td:empty { display: none; } }
footer { margin-top: 3rem; color: var(--weak); font-size: .85rem; }
"""


def text(fleet: outlooks.Fleet) -> str:
    """Returns the page."""
    return "\n".join(_page(fleet)) + "\n"


def _page(fleet: outlooks.Fleet) -> Iterator[str]:
    verdict = sentences.verdict(fleet)
    state = {outlooks.ERROR: "error", outlooks.CHANGES: "changes"}.get(fleet.exit_code, "")
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>Plan: {_safe(verdict)}</title><style>{_STYLE}</style></head><body>"
    against = "" if fleet.compared is None else f", compared with {_safe(fleet.compared)}"
    yield f"<h1>Plan of {plural.of(len(fleet.items), 'claim')}{against}</h1>"
    yield f'<p class="verdict {state}">{_safe(verdict)}</p>'
    shortages = (one.sentence for one in fleet.shortages)
    lines = (*fleet.faults, *shortages, *sentences.doors(fleet), *fleet.notes)
    if lines:
        yield "<ul>" + "".join(f"<li>{_safe(line)}</li>" for line in lines) + "</ul>"
    yield '<div class="wide"><table><thead><tr>'
    yield "".join(f"<th>{_safe(column)}</th>" for column in sentences.columns(fleet))
    yield "</tr></thead><tbody>"
    for item in fleet.items:
        cells = sentences.row(item, fleet)
        yield "<tr>" + "".join(map(_cell, sentences.columns(fleet), cells)) + "</tr>"
    yield "</tbody></table></div>"
    for item in fleet.items:
        yield from _section(item)
    yield "<footer>Intervals are of estimates; predicted and nominal figures were not measured on"
    yield " the card. A bar is one GPU's memory.</footer></body></html>"


def _cell(column: str, words: str) -> str:
    """Returns a cell that names its column where the page is too narrow for a heading."""
    return f'<td data-column="{_safe(column)}">{_safe(words)}</td>'


def _section(item: outlooks.Item) -> Iterator[str]:
    yield f"<section><h2>{_safe(item.name)}</h2>"
    if item.forecast is not None:
        yield from _memory(item.forecast)
    yield "<dl>"
    for name, words in sentences.details(item):
        style = ' class="error-text"' if name == "error" else ""
        yield f"<dt>{_safe(name)}</dt><dd{style}>{_safe(words)}</dd>"
    yield "</dl>"
    if item.forecast is not None:
        yield from _start(item.forecast)
    yield "</section>"


def _memory(forecast: forecasts.Forecast) -> Iterator[str]:
    """Yields the bar of one GPU's memory; what does not fit makes it longer than the GPU."""
    answer = forecast.fit
    if answer is None:
        return
    sizes = [
        (part, max(answer.size(part).best, 0))
        for part in _PARTS
        if max(answer.size(part).best, 0) > 0
    ]
    whole = sum(size for _, size in sizes)
    bars = [(str(part), size, _COLOURS[part]) for part, size in sizes]
    over = f" of {answer.total / fit.GIB:.1f} GiB" if whole > answer.total * 1.001 else ""
    yield from _bar(
        f"memory of a GPU: {whole / fit.GIB:.1f} GiB{over}",
        [(f"{name} {size / fit.GIB:.1f} GiB", size / whole, colour) for name, size, colour in bars],
    )


def _start(forecast: forecasts.Forecast) -> Iterator[str]:
    """Yields the bar of a first start."""
    steps = [
        (step.stage, step.seconds.best, colour)
        for step, colour in zip(forecast.start.steps, _STAGES, strict=False)
        if step.seconds is not None
    ]
    whole = sum(seconds for _, seconds, _ in steps)
    if whole <= 0:
        return
    bars = [
        (f"{stage} {seconds:.0f} s", seconds / whole, colour) for stage, seconds, colour in steps
    ]
    unknown = " and ".join(str(step.stage) for step in forecast.start.unknown)
    beside = f", and what is unknown of {unknown}" if unknown else ""
    yield from _bar(f"first start: {whole:.0f} s{beside}", bars)


def _bar(title: str, parts: list[tuple[str, float, str]]) -> Iterator[str]:
    words = "; ".join(name for name, _, _ in parts)
    yield f'<div class="bar" role="img" aria-label="{_safe(f"{title}: {words}")}">'
    for name, share, colour in parts:
        yield (
            f'<span style="width:{100 * share:.3f}%;background:{colour}" title="{_safe(name)}">'
            "</span>"
        )
    yield "</div>"
    yield f'<ul class="legend"><li>{_safe(title)}:</li>'
    for name, _, colour in parts:
        yield f'<li><i style="background:{colour}"></i>{_safe(name)}</li>'
    yield "</ul>"


def _safe(words: str) -> str:
    return html.escape(words, quote=True)
