"""The short form in which facts are written: a mapping as in YAML, what is default left out."""

from __future__ import annotations

import dataclasses
import enum
import functools
import re
import types
import typing
from collections.abc import Mapping
from typing import Any

from function.capacity import facts, shapes

# No model has more of anything; what is reckoned from it is still a number.
_MOST = 2**53
_BYTES = range(1, 9)
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class FormError(ValueError):
    """A mapping that is no facts of a model."""


def document(model: facts.Facts) -> dict[str, Any]:
    """Returns facts as a mapping; matrices are left out where they follow from the halves."""
    written: dict[str, Any] = _plain(model)
    for block, form in zip(model.blocks, written["blocks"], strict=True):
        form["mixer"] = {k: v for k, v in form["mixer"].items() if k not in _DERIVED}
        if not form.get("network"):
            form.pop("network", None)
        if block.matrices == shapes.plain(block.mixer, block.network, model.hidden):
            form.pop("matrices", None)
    return written


def read(mapping: Mapping[str, Any]) -> facts.Facts:
    """Returns the facts that a mapping holds.

    Raises:
        FormError: A field is missing, unknown or of another type; the message names it.
    """
    model: facts.Facts = _read(facts.Facts, mapping, "")
    if model.dtype_bytes not in _BYTES:
        raise FormError(f"dtypeBytes is {model.dtype_bytes}: must be from 1 to 8")
    for place, parser in (
        ("toolParser", model.tool_parser),
        ("reasoningParser", model.reasoning_parser),
    ):
        # It becomes an argument of the engine, in which a kubelet expands variables, Secrets too.
        if parser is not None and _WORD.fullmatch(parser) is None:
            raise FormError(
                f"{place} is {parser!r}: must be the name of one of the engine's parsers"
            )
    return dataclasses.replace(
        model,
        blocks=tuple(
            _complete(block, model.hidden, f"blocks[{i}]") for i, block in enumerate(model.blocks)
        ),
    )


_DERIVED = ("parameters", "inputs")


def _complete(block: facts.Block, hidden: int, place: str) -> facts.Block:
    matrices = block.matrices or shapes.plain(block.mixer, block.network, hidden)
    if matrices is None:
        raise FormError(f"{place}.matrices is missing: they do not follow from the other fields")
    return dataclasses.replace(block, matrices=matrices, mixer=shapes.summed(block.mixer, matrices))


# --- writing


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            _camel(field.name): _plain(held)
            for field in dataclasses.fields(value)
            if (held := getattr(value, field.name)) != field.default
        }
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


@functools.cache
def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


# --- reading


@functools.cache
def _fields(kind: type) -> dict[str, tuple[str, Any, bool]]:
    """Returns name, type and whether it must be there, for each written name of a field."""
    hints = typing.get_type_hints(kind)
    return {
        _camel(field.name): (field.name, hints[field.name], field.default is dataclasses.MISSING)
        for field in dataclasses.fields(kind)
    }


def _read(kind: Any, value: Any, place: str) -> Any:
    if isinstance(kind, types.UnionType):
        inner = next(part for part in typing.get_args(kind) if part is not type(None))
        return None if value is None else _read(inner, value, place)
    if dataclasses.is_dataclass(kind):
        return _mapping(typing.cast("type", kind), value, place)
    if typing.get_origin(kind) is tuple:
        return _items(kind, value, place)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _member(kind, value, place)
    if isinstance(value, bool) is not (kind is bool) or not isinstance(value, kind):
        words = {int: "a whole number", bool: "true or false", str: "a text"}
        raise FormError(f"{place} is {value!r}: must be {words.get(kind, kind.__name__)}")
    if kind is int and value < 0:
        raise FormError(f"{place} is {value}: must not be negative")
    if kind is str and not value.isprintable():
        raise FormError(f"{place} is {value!r}: must be text of one line")
    if kind is int and value > _MOST:
        raise FormError(f"{place} is too large: must be at most {_MOST}")
    return value


def _mapping(kind: type, value: Any, place: str) -> Any:
    if not isinstance(value, Mapping):
        raise FormError(f"{place or 'the facts'} is {value!r}: must be a mapping")
    fields = _fields(kind)
    for name in value:
        if name not in fields:
            raise FormError(f"{_at(place, name)} is no field: there are {', '.join(fields)}")
    for name, (_, _, needed) in fields.items():
        if needed and name not in value:
            raise FormError(f"{_at(place, name)} is missing")
    return kind(
        **{
            fields[name][0]: _read(fields[name][1], held, _at(place, name))
            for name, held in value.items()
        }
    )


def _items(kind: Any, value: Any, place: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise FormError(f"{place} is {value!r}: must be a list")
    inner = typing.get_args(kind)
    if len(inner) == 2 and inner[1] is Ellipsis:
        return tuple(_read(inner[0], held, f"{place}[{i}]") for i, held in enumerate(value))
    if len(value) != len(inner):
        raise FormError(f"{place} has {len(value)} items: must have {len(inner)}")
    pairs = enumerate(zip(inner, value, strict=True))
    return tuple(_read(part, held, f"{place}[{i}]") for i, (part, held) in pairs)


def _member(kind: type[enum.Enum], value: Any, place: str) -> enum.Enum:
    try:
        return kind(value)
    except ValueError:
        names = ", ".join(str(member.value) for member in kind)
        raise FormError(f"{place} is {value!r}: must be one of {names}") from None


def _at(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
