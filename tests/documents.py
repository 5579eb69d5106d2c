"""Documents as JSON has them: read from YAML, copied, written into protobuf and read from it.

A life of a claim copies and sends the same objects again and again: without `copy.deepcopy` and
protobuf's own conversion it costs a third less. PyYAML without libyaml takes seven times as long.
"""

import contextlib
import copy
import functools
import json
import marshal
import typing
from collections.abc import Iterator

import yaml
from google.protobuf import message, struct_pb2

from function.server import structs

Object = dict[str, typing.Any]
T = typing.TypeVar("T")
_ATOMS = (str, int, float, bool, type(None))
# Later versions of Python's own form keep what is shared shared.
_FORM = 2


def parse(text: str) -> typing.Any:
    """Returns the only document of a YAML text."""
    (document,) = parse_all(text)
    return document


def parse_all(text: str) -> Iterator[typing.Any]:
    """Yields the documents of a YAML text."""
    yield from yaml.load_all(text, Loader=yaml.CSafeLoader)


def form(value: typing.Any) -> bytes:
    """Returns what JSON holds in Python's own form, which is read and written fastest.

    Raises:
        ValueError: It holds more than JSON does, or is nested very deeply.
    """
    return marshal.dumps(value, _FORM)


def plain(data: bytes) -> typing.Any:
    """Returns what `form` wrote."""
    return marshal.loads(data)


def copied(value: T) -> T:
    """Returns a deep copy; what no JSON holds is left to `copy.deepcopy`."""
    kind = type(value)
    if kind in _ATOMS:
        return value
    if kind is dict or kind is list:
        with contextlib.suppress(ValueError):  # something in it is no JSON
            twin: T = plain(form(value))
            return twin
    return copy.deepcopy(value)


def write(struct: struct_pb2.Struct, document: Object) -> None:
    """Writes a document into an empty Struct, as Crossplane's SDK does."""
    try:
        struct.MergeFromString(_encoded(form(document)))
    except (message.DecodeError, ValueError):  # deeper than protobuf reads, as some attacks are
        struct.Clear()
        struct.update(document)


@functools.lru_cache(maxsize=4096)
def _encoded(document: bytes) -> bytes:
    struct = struct_pb2.Struct()
    struct.update(json.loads(json.dumps(plain(document))))
    return struct.SerializeToString()


def read(struct: struct_pb2.Struct) -> Object:
    """Returns a Struct as a document of the caller's own."""
    document: Object = plain(_decoded(struct.SerializeToString(deterministic=True)))
    return document


@functools.lru_cache(maxsize=4096)
def _decoded(data: bytes) -> bytes:
    return form(structs.plain(struct_pb2.Struct.FromString(data)))
