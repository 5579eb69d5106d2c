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

from function.capacity import facts, forms, traits

GIB = 1024**3

_FILE = "catalogue.jsonl"

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


# --- sizes of checkpoints, for start budgets

# A budget that changes makes pods restart: a size that budgets did not follow from has to be
# announced before they do.
_SIZED = frozenset(
    {
        "Qwen/Qwen2.5-Coder-1.5B",
        "Qwen/Qwen2.5-Coder-1.5B-Instruct",
        "Qwen/Qwen2.5-Coder-7B-Instruct",
        "Qwen/Qwen3-8B",
        "Qwen/Qwen3-Coder-30B-A3B-Instruct",
        "meta-llama/Llama-Guard-3-1B",
    }
)


def start_size_gib(repository: str | None) -> float | None:
    """Returns GiB of 16-bit weights that start budgets count with, or None for no size."""
    if repository not in _SIZED:
        return None
    model = lookup(repository)
    return None if model is None else round(2 * model.parameters / GIB, 1)
