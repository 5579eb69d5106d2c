"""Models that people run, with their facts: `catalogue.jsonl`, one a line, by name.

A name is a repository, or a pattern with `*` for a family whose members have the same figures. The
file is read when a model is first asked for, and a line is decoded when its model is.
"""

from __future__ import annotations

import fnmatch
import functools
import json
import pathlib
import re
from collections.abc import Iterable, Mapping

from function import likeness
from function.capacity import facts, forms, traits

_FILE = "catalogue.jsonl"
# From this likeness on, of 1, a name is worth telling.
_LIKE = 0.7

# A repository whose name says that its matrices are packed is none of a pattern's.
_PACKED = re.compile(
    r"(?i)(awq|gptq|fp8|fp4|int[48]|w[48]a|bnb|[48]bit|gguf|mlx|exl[23]|quantized|-q[2-8])"
)


@functools.cache
def lookup(repository: str) -> facts.Facts | None:
    """Returns the facts of a repository, or None when the catalogue does not have it."""
    lines = _lines()
    if repository in lines:
        return _decode(lines[repository], repository)
    if _PACKED.search(repository) is not None:
        return None
    fitting = [
        pattern
        for pattern in lines
        if pattern.endswith("*") and fnmatch.fnmatchcase(repository, pattern)
    ]
    return _decode(lines[max(fitting, key=len)], repository) if fitting else None


def names() -> tuple[str, ...]:
    """Returns all names of the catalogue, sorted."""
    return tuple(_lines())


@functools.lru_cache(256)
def nearest(repository: str, most: int = 3) -> tuple[str, ...]:
    """Returns the names that resemble a repository, or a name without its owner, nearest first."""
    whole = "/" in repository
    named = [name for name in names() if "*" not in name]
    plain = {name if whole else name.rpartition("/")[2]: name for name in named}
    return tuple(plain[name] for name in likeness.nearest(repository, plain, most, _LIKE))


def line(model: facts.Facts) -> str:
    """Returns the line of a model, as the file has it."""
    form = {
        name: value
        for name, value in forms.document(model).items()
        if name not in ("toolParser", "reasoningParser", "gated")
    }
    return json.dumps(form, separators=(",", ":"))


def merged(lines: Iterable[str], added: Mapping[str, facts.Facts]) -> list[str]:
    """Returns the lines of a catalogue with models added, or put in place of their namesakes."""
    rows = {_name(text): text for text in lines}
    rows.update({name: line(model) for name, model in added.items()})
    return [rows[name] for name in sorted(rows)]


@functools.cache
def _lines() -> dict[str, str]:
    """Returns the undecoded line of each name."""
    text = pathlib.Path(__file__).with_name(_FILE).read_text("utf-8")
    return {_name(written): written for written in text.splitlines()}


def _name(written: str) -> str:
    """Returns the name of a line, which stands first in it."""
    return written.split('"', 4)[3]


def _decode(written: str, repository: str) -> facts.Facts:
    return traits.apply(forms.read(json.loads(written)), repository)
