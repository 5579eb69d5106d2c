"""What follows from claim and settings alone is worked out once, and written to protobuf once.

A fleet's claims change rarely and are looked at often. Plans are kept by what they were made from,
within a bound of bytes, and builders whose object follows from the plan are asked once for each
plan. It is a memory of pure functions: an answer is the same with it and without it.
"""

import collections
import functools
import weakref
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


class Manifest(dict[str, Any]):
    """An object that is never changed once it is made, with its form in protobuf.

    Attributes:
        encoded: The serialized Struct, once it was written for the first time.
    """

    encoded: bytes | None = None

    @functools.cached_property
    def read(self) -> dict[Callable[[Any], Any], Any]:
        """What `per_manifest` remembers of it, by reader."""
        return {}


class Bounded(Generic[Value]):
    """Values by key, of which the least recently used go when they are too large together."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._size = 0
        self._values: collections.OrderedDict[Hashable, tuple[Value, int]] = (
            collections.OrderedDict()
        )

    def get(self, key: Hashable, size: int, make: Callable[[], Value]) -> Value:
        """Returns the value of a key, made when it is not there.

        Args:
            key: What the value follows from, whole.
            size: Bytes that key and value hold, about.
            make: Makes the value; an exception is not remembered.
        """
        entry = self._values.get(key)
        if entry is not None:
            self._values.move_to_end(key)
            return entry[0]
        value = make()
        self._values[key] = (value, size)
        self._size += size
        while self._size > self._most and len(self._values) > 1:
            _, (_, freed) = self._values.popitem(last=False)
            self._size -= freed
        return value


Builder = TypeVar("Builder", bound=Callable[..., Any])
Reader = TypeVar("Reader", bound=Callable[[Any], Any])


def per_manifest(read: Reader) -> Reader:
    """Asks a reader once for each Manifest, which is never changed; each time for other objects.

    What it returns lives as long as the Manifest and must never be changed.
    """

    @functools.wraps(read)
    def remembered(of: Any) -> Any:
        if type(of) is not Manifest:
            return read(of)
        if read not in of.read:
            of.read[read] = read(of)
        return of.read[read]

    return remembered  # type: ignore[return-value]


def per_plan(build: Builder) -> Builder:
    """Asks a builder once for each plan and its other arguments, which must be hashable.

    What it returns lives as long as the plan and must never be changed.
    """
    memory: weakref.WeakKeyDictionary[Any, dict[Hashable, Any]] = weakref.WeakKeyDictionary()

    @functools.wraps(build)
    def remembered(plan: Any, *arguments: Hashable, **named: Hashable) -> Any:
        mine = memory.get(plan)
        if mine is None:
            mine = memory.setdefault(plan, {})
        key = (arguments, tuple(sorted(named.items())) if named else ())
        if key not in mine:
            made = build(plan, *arguments, **named)
            mine[key] = Manifest(made) if type(made) is dict else made
        return mine[key]

    return remembered  # type: ignore[return-value]
