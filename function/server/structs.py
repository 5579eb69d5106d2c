"""Protobuf Structs: read as mappings that decode only what is asked, written straight from dicts.

Decoding every observed object costs more than the rest of a call; the few fields that decide
something cost almost nothing. Whole numbers come back as ints: a Struct holds doubles, and
`--max-model-len=32768.0` is no argument. A missing key is never asked of a protobuf map by
subscript, which would insert it.
"""

import hashlib
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from google.protobuf import struct_pb2

from function import memo


class StructView(Mapping[str, Any]):
    """A Struct as a read-only mapping. Keys come sorted: a Struct's own order is random."""

    __slots__ = ("_fields",)

    def __init__(self, struct: struct_pb2.Struct) -> None:
        self._fields = struct.fields

    def __getitem__(self, key: str) -> Any:
        value = self._fields.get(key)
        if value is None:
            raise KeyError(key)
        return _decode(value)

    def get(self, key: str, default: Any = None) -> Any:
        """Returns a field, or the default where it is absent."""
        value = self._fields.get(key)
        return default if value is None else _DECODERS[value.WhichOneof("kind")](value)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._fields))

    def __len__(self) -> int:
        return len(self._fields)

    def __contains__(self, key: object) -> bool:
        return key in self._fields


def _decode(value: struct_pb2.Value) -> Any:
    return _DECODERS[value.WhichOneof("kind")](value)


def _view(value: struct_pb2.Value) -> StructView:
    return StructView(value.struct_value)


def _number(value: struct_pb2.Value) -> float:
    number = value.number_value
    return int(number) if number.is_integer() else number


def _list(value: struct_pb2.Value) -> list[Any]:
    return [_decode(item) for item in value.list_value.values]


def _nothing(_: struct_pb2.Value) -> None:
    return None


# By what a Value holds; None for one that was never set. Asked some hundred times a call.
_DECODERS: dict[str | None, Callable[[struct_pb2.Value], Any]] = {
    "string_value": operator.attrgetter("string_value"),
    "struct_value": _view,
    "number_value": _number,
    "bool_value": operator.attrgetter("bool_value"),
    "list_value": _list,
    "null_value": _nothing,
    None: _nothing,
}


def plain(struct: struct_pb2.Struct) -> dict[str, Any]:
    """Returns the whole Struct as plain Python, keys sorted, whole numbers as ints."""
    fields = struct.fields
    return {key: _plain(fields[key]) for key in sorted(fields)}


def _plain(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return plain(value.struct_value)
    if kind == "list_value":
        return [_plain(item) for item in value.list_value.values]
    return _decode(value)


def only(struct: struct_pb2.Struct, keys: tuple[str, ...]) -> dict[str, Any]:
    """Returns these fields of the Struct in plain Python, where they are there."""
    return {key: _plain(struct.fields[key]) for key in keys if key in struct.fields}


class Fingerprint(NamedTuple):
    """What stands for fields of a Struct in a key.

    Attributes:
        digest: SHA-256 of the fields in bytes.
        size: Bytes of the fields.
    """

    digest: bytes
    size: int


def fingerprint(struct: struct_pb2.Struct, keys: tuple[str, ...]) -> Fingerprint:
    """Returns what stands for these fields of the Struct: the same for the same fields."""
    digest, size = hashlib.sha256(), 0
    for key in keys:
        value = struct.fields.get(key)
        if value is not None:
            # Each by itself: put together into one Struct they would all be copied first.
            written = value.SerializeToString(deterministic=True)
            digest.update(f"{key} {len(written)} ".encode())
            digest.update(written)
            size += len(written)
    return Fingerprint(digest.digest(), size)


def merge(struct: struct_pb2.Struct, manifest: dict[str, Any]) -> None:
    """Writes a plain dict into a Struct, over the fields of the same name.

    What `resource.update` does, in two thirds of its time: it sets each value once, by its exact
    type. A None is refused: applied, it would be a value.

    Raises:
        TypeError: A value is none of dict, list, str, bool, int and float.
    """
    if struct.fields:
        for key in manifest:
            if key in struct.fields:
                del struct.fields[key]
    if not isinstance(manifest, memo.Manifest):
        _fill(struct.fields, manifest)
        return
    if manifest.encoded is None:
        fresh = struct_pb2.Struct()
        _fill(fresh.fields, manifest)
        manifest.encoded = fresh.SerializeToString()
    struct.MergeFromString(manifest.encoded)


def _fill(fields: Any, manifest: dict[str, Any]) -> None:
    for key, value in manifest.items():
        if type(value) is str:  # Most are, and each call counts.
            fields[key].string_value = value
        else:
            _set(fields[key], value)


def _set(target: struct_pb2.Value, value: Any) -> None:
    kind = type(value)
    if kind is str:
        target.string_value = value
    elif kind is dict:
        struct = target.struct_value
        struct.SetInParent()
        _fill(struct.fields, value)
    elif kind is memo.Manifest:
        target.struct_value.SetInParent()
        merge(target.struct_value, value)
    elif kind is list:
        values = target.list_value
        values.SetInParent()
        add = values.values.add
        for item in value:
            if type(item) is str:
                add(string_value=item)
            else:
                _set(add(), item)
    elif kind is bool:
        target.bool_value = value
    elif kind is int or kind is float:
        target.number_value = value
    else:
        raise TypeError(f"cannot be applied: {value!r}")
