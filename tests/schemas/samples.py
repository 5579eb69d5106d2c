"""A small valid object of each kind, to be broken by tests."""

import copy
import functools
import pathlib
import typing

from tests import documents

Object: typing.TypeAlias = dict[str, typing.Any]

_FILE = pathlib.Path(__file__).with_name("samples.yaml")
# What is refused, with the words of Kubernetes 1.36, and what just passes.
MUTATIONS = pathlib.Path(__file__).with_name("mutations.yaml")


@functools.cache
def _documents() -> dict[str, Object]:
    samples = documents.parse_all(_FILE.read_text(encoding="utf-8"))
    return {document["kind"]: document for document in samples}


def minimal(kind: str) -> Object:
    """Return a fresh copy of the small valid object of a kind."""
    return copy.deepcopy(_documents()[kind])


def put(obj: Object, path: str, value: object) -> Object:
    """Set the value at a dotted path and return the object.

    Args:
        obj: the object, which is changed.
        path: keys with dots between them; a number is a position in a list. A key that has dots
            or slashes itself can only come last, after a `|`.
        value: the value; None removes what is there.
    """
    front, bar, special = path.partition("|")
    keys: list[str] = front.split(".")
    last = special if bar else keys.pop()
    target: typing.Any = obj
    for key in keys:
        target = target[int(key) if key.isdecimal() else key]
    position = int(last) if last.isdecimal() else last
    if value is None:
        del target[position]
    else:
        target[position] = value
    return obj


def mutated(row: Object) -> Object:
    """Return the small object of a row of `MUTATIONS` with its change.

    Without a path the value is merged over the object.
    """
    obj, value = minimal(row["kind"]), copy.deepcopy(row["value"])
    return put(obj, row["path"], value) if row["path"] else {**obj, **value}


KINDS = tuple(_documents())
