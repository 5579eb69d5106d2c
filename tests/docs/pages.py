"""Reading the pages of the documentation."""

import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from tests import cases, cluster

ROOT = cluster.ROOT
OPERATIONS = ROOT / "docs/operations.md"
LIFE = ROOT / "docs/life-of-a-claim.md"
FRONT_DOOR = ROOT / "docs/front-door.md"
DECISIONS = ROOT / "docs/decisions.md"
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "examples/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
WRITTEN = [page for page in PAGES if page.parent.name != "reference"]


def every(*pages: pathlib.Path) -> Callable[[cases.Test], cases.Test]:
    """Asks a test of all pages."""
    return cases.together("page", [(page.relative_to(ROOT), page) for page in pages])


def blocks(page: pathlib.Path) -> Iterator[tuple[str, str]]:
    """Yields language and text of each fenced block, without the indent of a list."""
    pattern = r"^( *)```([a-z]*)\n(.*?)^\1```$"
    for indent, language, text in re.findall(pattern, page.read_text(), re.M | re.S):
        yield language, re.sub(rf"^{indent}", "", text, flags=re.M)


def prose(page: pathlib.Path) -> str:
    """Returns the page without its fenced blocks."""
    return re.sub(r"^( *)```.*?^\1```$", "", page.read_text(), flags=re.M | re.S)


def headings(page: pathlib.Path) -> list[str]:
    """Returns the headings' text."""
    return re.findall(r"^#+ (.+)$", prose(page), re.M)


def anchors(page: pathlib.Path) -> set[str]:
    """Returns the anchors that GitHub gives the headings."""
    return {
        re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings(page)
    }


def section(page: pathlib.Path, title: str) -> str:
    """Returns the text below one heading, up to the next of the same or a higher level."""
    text = prose(page)
    heading = re.search(rf"^(#+) {re.escape(title)}$", text, re.M)
    assert heading is not None, f"{page.name} has no section {title}"
    rest = text[heading.end() :]
    end = re.search(rf"^#{{1,{len(heading[1])}}} ", rest, re.M)
    return rest[: end.start()] if end is not None else rest


def first_cells(text: str) -> list[str]:
    """Returns the first cell of each row of the tables, without code marks."""
    rows = re.findall(r"^\| ([^|]+?) \|", text, re.M)
    return [row.strip("`") for row in rows if not set(row) <= set("-: ")]


def documents(page: pathlib.Path) -> Iterator[dict[str, Any]]:
    """Yields each Kubernetes object of the page's YAML blocks."""
    for language, text in blocks(page):
        if language == "yaml":
            for document in yaml.load_all(text, Loader=yaml.CSafeLoader):
                if isinstance(document, dict) and "kind" in document:
                    yield document


def shell_lines(page: pathlib.Path) -> Iterator[str]:
    """Yields each line of the shell blocks, continuations joined."""
    for language, text in blocks(page):
        if language in ("shell", "console"):
            yield from text.replace("\\\n", " ").splitlines()
