"""Documents as JSON has them: read from YAML, copied, written into protobuf and read from it.

A life of a claim copies and sends the same objects again and again. `copy.deepcopy` and protobuf's
own conversion were half of what a life cost, and PyYAML without libyaml takes seven times as long.
"""

import copy
import functools
import json
from collections.abc import Iterator
from typing import Any

import yaml
from google.protobuf import struct_pb2

from function.server import structs

Object = dict[str, Any]
_ATOMS = (str, int, float, bool, type(None))


def parse(text: str) -> Any:
    """Returns the only document of a YAML text."""
    (document,) = parse_all(text)
    return document


def parse_all(text: str) -> Iterator[Any]:
    """Yields the documents of a YAML text."""
    yield from yaml.load_all(text, Loader=yaml.CSafeLoader)


def copied(value: Any) -> Any:
    """Returns a deep copy; what no JSON holds is left to `copy.deepcopy`."""
    kind = type(value)
    if kind is dict:
        return {key: copied(item) for key, item in value.items()}
    if kind is list:
        return [copied(item) for item in value]
    return value if kind in _ATOMS else copy.deepcopy(value)


def write(struct: struct_pb2.Struct, document: Object) -> None:
    """Writes a document into an empty Struct, as Crossplane's SDK does."""
    struct.MergeFromString(_encoded(json.dumps(document)))


@functools.lru_cache(maxsize=4096)
def _encoded(text: str) -> bytes:
    message = struct_pb2.Struct()
    message.update(json.loads(text))
    return message.SerializeToString()


def read(struct: struct_pb2.Struct) -> Object:
    """Returns a Struct as a document of the caller's own."""
    document = copied(_decoded(struct.SerializeToString(deterministic=True)))
    assert isinstance(document, dict)
    return document


@functools.lru_cache(maxsize=4096)
def _decoded(data: bytes) -> Object:
    return structs.plain(struct_pb2.Struct.FromString(data))
