"""The entries of docs/operations.md that no table of the code has: phases, alerts, exit codes.

`python -m function.generate` reads the page and writes `entries.json`, which is installed with the
command line.
"""

import dataclasses
import functools
import json
import pathlib
import re
from collections.abc import Iterator

_FILE = "entries.json"
_HEADING = re.compile(r"^(#+) (.*)$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Entry:
    """One entry.

    Attributes:
        word: What a person has read.
        kind: What it is, such as `a phase of a claim`.
        meaning: What it means, as the page has it.
        action: What a person does, as the page has it; empty where the page says nothing.
        anchor: Where on the page it stands.
    """

    word: str
    kind: str
    meaning: str
    action: str
    anchor: str


@functools.cache
def every() -> tuple[Entry, ...]:
    """Returns all entries."""
    text = pathlib.Path(__file__).with_name(_FILE).read_text("utf-8")
    return tuple(Entry(**entry) for entry in json.loads(text))


def dumps(page: str) -> str:
    """Returns the file of a page's entries."""
    entries = [dataclasses.asdict(entry) for entry in _entries(page)]
    return json.dumps(entries, indent=1, ensure_ascii=False) + "\n"


def _entries(page: str) -> Iterator[Entry]:
    for word, meaning, action in _rows(page, "Phases"):
        yield Entry(word, "a phase of a claim", meaning, action, "phases")
    for word, meaning, action in _rows(page, "Words beside the reasons"):
        kind = "a word of conditions and of the command line"
        yield Entry(word, kind, meaning, action, "words-beside-the-reasons")
    for code, reason, message, job in _rows(page, "Preload exit codes"):
        meaning = f"The termination message says {message}. The Job {job}."
        action = f"See the reason {reason} of WeightsReady."
        yield Entry(code, "an exit code of the preload", meaning, action, "preload-exit-codes")
    for match in _HEADING.finditer(page):
        word = match[2]
        if word.startswith("InferenceService"):
            meaning, _, action = _section(page, word).strip().partition("\n\n")
            yield Entry(word, "an alert", _line(meaning), _line(action), word.lower())


def _section(page: str, heading: str) -> str:
    """Returns what stands under a heading, up to the next one of its level or above.

    Raises:
        ValueError: The page has no such heading.
    """
    for match in _HEADING.finditer(page):
        if match[2] == heading:
            rest = page[match.end() :]
            ends = (one.start() for one in _HEADING.finditer(rest) if len(one[1]) <= len(match[1]))
            return rest[: next(ends, len(rest))]
    raise ValueError(f"docs/operations.md has no heading {heading}")


def _line(text: str) -> str:
    return " ".join(text.split())


def _rows(page: str, heading: str) -> Iterator[list[str]]:
    """Yields the rows of the table under a heading; the first cell without its marks."""
    lines = [line for line in _section(page, heading).splitlines() if line.startswith("| ")]
    for line in lines[2:]:
        first, *others = (cell.strip() for cell in line.strip("|").split(" | "))
        yield [first.strip("`"), *others]
