"""Values that a protobuf Struct turns into something else on its way through a function."""

import math
import typing
from collections import abc


def _walk(value: object, path: str) -> abc.Iterator[tuple[str, typing.Any]]:
    yield path, value
    if isinstance(value, abc.Mapping):
        for key, item in value.items():
            yield from _walk(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _walk(item, f"{path}[{index}]")


def floats(obj: object) -> list[str]:
    """Return the paths of floats that are whole numbers, and of those that JSON cannot hold.

    Numbers come back from a Struct as doubles, so an integer that was copied from an observed
    object is a float: it compares equal to the integer, and prints as `1.0`.
    """
    return [
        path
        for path, value in _walk(obj, "")
        if isinstance(value, float) and (value.is_integer() or not math.isfinite(value))
    ]


def nulls(obj: object) -> list[str]:
    """Return the paths of None: a Struct keeps it as null, and an apply then means removal."""
    return [path for path, value in _walk(obj, "") if value is None]
