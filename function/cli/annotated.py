"""YAML whose fields have comments above them."""

import dataclasses
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from function import strict_yaml

_WIDTH = 100
_STEP = "  "


@dataclasses.dataclass(frozen=True)
class Field:
    """One field of an object.

    Attributes:
        name: The field.
        value: Its value: fields, or anything that YAML can hold.
        comments: Sentences above it, each a paragraph.
    """

    name: str
    value: "tuple[Field, ...] | Any"
    comments: tuple[str, ...] = ()


def plain(fields: Iterable[Field]) -> dict[str, Any]:
    """Returns the object itself."""
    return {
        field.name: plain(field.value) if _nests(field.value) else field.value for field in fields
    }


def text(fields: Iterable[Field]) -> str:
    """Returns the object as text."""
    return "".join(f"{line}\n" for line in _lines(fields, ""))


def comment(sentence: str, indent: str = "") -> list[str]:
    """Returns the lines of a comment, without their ends."""
    prefix = f"{indent}# "
    return textwrap.wrap(
        sentence,
        _WIDTH,
        initial_indent=prefix,
        subsequent_indent=prefix,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _nests(value: Any) -> bool:
    return isinstance(value, tuple)


def _lines(fields: Iterable[Field], indent: str) -> Iterator[str]:
    for field in fields:
        for sentence in field.comments:
            yield from comment(sentence, indent)
        if _nests(field.value):
            yield f"{indent}{field.name}:"
            yield from _lines(field.value, indent + _STEP)
            continue
        for line in entry(field.name, field.value).splitlines():
            yield f"{indent}{line}"


def entry(name: str, value: Any) -> str:
    """Returns one field of an object as text, in lines."""
    dumped: str = yaml.dump(
        {name: value}, Dumper=strict_yaml.Dumper, sort_keys=False, width=1000, allow_unicode=True
    )
    return dumped
