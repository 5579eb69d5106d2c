"""Documents as JSON has them: read from YAML, copied, written into protobuf and read from it.

A life of a claim copies and sends the same objects again and again: without `copy.deepcopy` and
protobuf's own conversion it costs a quarter less. PyYAML without libyaml takes seven times as long.
"""

import copy
import functools
import json
import typing
from collections.abc import Iterator

import yaml
from google.protobuf import message, struct_pb2

from function.server import structs

Object = dict[str, typing.Any]
T = typing.TypeVar("T")
_ATOMS = (str, int, float, bool, type(None))


def parse(text: str) -> typing.Any:
    """Returns the only document of a YAML text."""
    (document,) = parse_all(text)
    return document


def parse_all(text: str) -> Iterator[typing.Any]:
    """Yields the documents of a YAML text."""
    yield from yaml.load_all(text, Loader=yaml.CSafeLoader)


def copied(value: T) -> T:
    """Returns a deep copy; what no JSON holds is left to `copy.deepcopy`."""
    kind = type(value)
    given: typing.Any = value
    if kind is dict:
        given = {key: copied(item) for key, item in given.items()}
    elif kind is list:
        given = [copied(item) for item in given]
    elif kind not in _ATOMS:
        given = copy.deepcopy(given)
    twin: T = given
    return twin


def write(struct: struct_pb2.Struct, document: Object) -> None:
    """Writes a document into an empty Struct, as Crossplane's SDK does."""
    try:
        struct.MergeFromString(_encoded(json.dumps(document)))
    except message.DecodeError:  # deeper than protobuf reads, as some attacks are
        struct.Clear()
        struct.update(document)


@functools.lru_cache(maxsize=4096)
def _encoded(text: str) -> bytes:
    struct = struct_pb2.Struct()
    struct.update(json.loads(text))
    return struct.SerializeToString()


def read(struct: struct_pb2.Struct) -> Object:
    """Returns a Struct as a document of the caller's own."""
    return copied(_decoded(struct.SerializeToString(deterministic=True)))


@functools.lru_cache(maxsize=4096)
def _decoded(data: bytes) -> Object:
    return structs.plain(struct_pb2.Struct.FromString(data))
