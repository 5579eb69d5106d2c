"""A plan for people at a terminal."""

from rich import console, table, text

from function.cli import outlooks, sentences, tables

_STYLES = {"end": "red", "restart": "yellow", "restart-later": "yellow"}


def of(fleet: outlooks.Fleet) -> str:
    """Returns verdict, table, and the details of claims that change; of all without a comparison.

    Raises:
        ImportError: rich is not installed.
    """

    def draw(out: console.Console) -> None:
        out.print(sentences.verdict(fleet), style="bold", soft_wrap=True)
        for line in fleet.shortages:
            out.print(f"- {line.sentence}", soft_wrap=True)
        for words in sentences.doors(fleet):
            out.print(f"- {words}", soft_wrap=True, markup=False)
        if fleet.items:
            out.print(_rows(fleet))
        for item in fleet.items:
            if fleet.compared is None or item.changes or item.verdict.errors:
                out.print(item.name, style="bold")
                out.print(_details(item))
                out.print()

    return tables.written(draw)


def _rows(fleet: outlooks.Fleet) -> table.Table:
    grid = tables.columns("", *sentences.columns(fleet))
    for item in fleet.items:
        style = "red" if item.verdict.errors else _STYLES.get(item.verdict.pods.effect, "")
        name, change, *cells = sentences.row(item, fleet)
        grid.add_row(name, text.Text(change, style=style), *cells)
    return grid


def _details(item: outlooks.Item) -> table.Table:
    rows = table.Table.grid(padding=(0, 2, 0, 2))
    rows.add_column(no_wrap=True)
    rows.add_column(overflow="fold")
    for name, words in sentences.details(item):
        rows.add_row(name, text.Text(words, style="red" if name == "error" else ""))
    return rows
