"""Who reaches whom as one page for a browser: no script, nothing fetched."""

import html
from collections.abc import Iterable, Iterator

from function import plural
from function.cli import reach_picture, reached

_COLUMNS = ("flow", "from", "to", "port", "for", "leaves", "enters")
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 84rem; padding: 0 1rem;
  color: #1a1a1a; background: #fff; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .3rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; font-size: .9rem; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ddd;
  vertical-align: top; }
.wide { overflow-x: auto; }
.closed td:first-child { color: #b00020; font-weight: bold; }
.open td:first-child, .undecided td:first-child { color: #8a5200; font-weight: bold; }
"""


def text(outcome: reached.Result, *, every: bool) -> str:
    """Returns the page.

    Args:
        outcome: The claims.
        every: Whether the flows that nobody needs and that are denied have rows too.
    """
    return "\n".join(_page(outcome, every=every)) + "\n"


def _page(outcome: reached.Result, *, every: bool) -> Iterator[str]:
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>Who reaches whom</title><style>{_STYLE}</style></head><body>"
    yield f"<h1>Who reaches whom: {plural.of(len(outcome.items), 'claim')}</h1>"
    yield from _list((*outcome.unreadable, *outcome.refused, *outcome.notes))
    for item in outcome.items:
        yield f"<section><h2>{_safe(item.name)}</h2><p>{_safe(item.verdict())}</p>"
        yield f'<div class="wide">{reach_picture.text([item])}</div>'
        yield from _list(f"{one.severity}: {one.field}: {one.message}" for one in item.findings)
        yield from _table(item, every=every)
        yield "</section>"
    yield "</body></html>"


def _list(lines: Iterable[str]) -> Iterator[str]:
    items = "".join(f"<li>{_safe(line)}</li>" for line in lines)
    if items:
        yield f"<ul>{items}</ul>"


def _table(item: reached.Item, *, every: bool) -> Iterator[str]:
    heads = "".join(f"<th>{_safe(column)}</th>" for column in _COLUMNS)
    yield f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>'
    for row in item.rows:
        if every or row.state is not reached.State.DENIED:
            hop = row.first.hop
            ends = (hop.source.name, hop.destination.name)
            cells = (str(row.state), *ends, row.ports, row.purpose, *reached.halves(row))
            data = "".join(f"<td>{_safe(cell)}</td>" for cell in cells)
            yield f'<tr class="{row.state}">{data}</tr>'
    yield "</tbody></table></div>"


def _safe(words: str) -> str:
    return html.escape(words, quote=True)
