"""A plan as a comment on a pull request: verdict, one table, details folded, bounded in length."""

from collections.abc import Iterator

from function import plural
from function.cli import outlooks, sentences

# A tool that posts comments finds the last one by this, and puts the new one in its place.
MARKER = "<!-- inference-service plan -->"
# GitHub takes 65,536 characters; whoever posts adds a few.
LONGEST = 60_000

_ESCAPED = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]<>|#~!"} | {"\n": " ", "\r": " "})


def text(fleet: outlooks.Fleet) -> str:
    """Returns the comment; nothing when nothing changes, so that nothing is posted."""
    if fleet.compared is not None and fleet.exit_code == outlooks.NOTHING_CHANGES:
        return ""
    head = [MARKER, f"**{plain(sentences.verdict(fleet))}**", ""]
    shortages = (one.sentence for one in fleet.shortages)
    head += [
        f"- {plain(line)}"
        for line in (*fleet.faults, *shortages, *sentences.doors(fleet), *fleet.notes)
    ]
    rows = [
        _row(sentences.row(item, fleet))
        for item in fleet.items
        if fleet.compared is None or item.changes or item.verdict.errors
    ]
    left = len(fleet.items) - len(rows)
    table = [
        "",
        _row(sentences.columns(fleet)),
        _row(("---",) * len(sentences.columns(fleet))),
        *rows,
    ]
    if left:
        table += ["", f"{left} unchanged." if left > 1 else "1 unchanged."]
    body = _bounded("\n".join(head), "\n".join(table))
    return body + _details(fleet, LONGEST - len(body)) + "\n"


def plain(words: str) -> str:
    """Returns words that Markdown takes as they are: a claim's text is nobody's markup."""
    return words.translate(_ESCAPED)


def _row(cells: tuple[str, ...]) -> str:
    shown = (cell if cell == "---" else plain(cell) for cell in cells)
    return "| " + " | ".join(shown) + " |"


def _bounded(head: str, table: str) -> str:
    """Returns both, of a table too long for a comment as many rows as have room."""
    room = LONGEST - len(head) - 200
    if len(table) <= room:
        return f"{head}\n{table}\n"
    lines = table.split("\n")
    kept: list[str] = []
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    cut = plural.of(len(lines) - len(kept), "line")
    cut = f"Left out of the table: {cut}. `--output json` has all."
    return f"{head}\n" + "\n".join(kept) + f"\n\n{cut}\n"


def _details(fleet: outlooks.Fleet, room: int) -> str:
    """Returns the details of each claim, the gravest first, and the names of those cut."""
    ordered = sorted(fleet.items, key=_gravity)
    shown: list[str] = []
    cut: list[str] = []
    for item in ordered:
        if fleet.compared is not None and not (item.changes or item.verdict.errors):
            continue
        block = "\n".join(_block(item))
        if len(block) + 300 > room:
            cut.append(item.name)
            continue
        room -= len(block)
        shown.append(block)
    if cut:
        names = ", ".join(cut[:10]) + (f" and {len(cut) - 10} more" if len(cut) > 10 else "")
        shown.append(f"\nNo room for the details of {plain(names)}: `--output json` has all.")
    return "".join(shown)


def _gravity(item: outlooks.Item) -> tuple[bool, bool, str]:
    restarts = item.verdict.pods.effect in ("restart", "restart-later", "end")
    return not item.verdict.errors, not restarts, item.name


def _block(item: outlooks.Item) -> Iterator[str]:
    yield f"\n<details><summary>{plain(item.name)}</summary>\n"
    for name, words in sentences.details(item):
        yield f"- **{plain(name)}**: {plain(words)}"
    fields = [*item.verdict.pods.fields]
    if fields:
        yield "\n```diff"
        for field in fields:
            yield from (f"{sign} {line}" for sign, line in _lines(field.document()))
        yield "```"
    yield "\n</details>\n"


def _lines(field: dict[str, object]) -> Iterator[tuple[str, str]]:
    """Yields what goes and what comes of a field; of lists only what is not in both."""
    old, new = field.get("old", []), field.get("new", [])
    path = str(field["path"])
    if isinstance(old, list) and isinstance(new, list):
        yield from (("-", f"{path}: {_shown(x)}") for x in old if x not in new)
        yield from (("+", f"{path}: {_shown(x)}") for x in new if x not in old)
        return
    if "old" in field:
        yield "-", f"{path}: {_shown(old)}"
    if "new" in field:
        yield "+", f"{path}: {_shown(new)}"


def _shown(value: object) -> str:
    return str(value).replace("```", "'''").replace("\n", " ")[:300]
