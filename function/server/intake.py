"""A request's bytes, cut to what an answer reads before any of it is decoded.

A message in memory takes up to 27 times its bytes (measured: maps of one entry), and as plain
Python as much again. So the claim is measured in the bytes that core sent: one that is too large,
or nested more deeply than protobuf reads, comes back without its content and with the reason in
words. What no answer reads of a claim, its managedFields above all, is never decoded.

The format: protobuf.dev/programming-guides/encoding. Field numbers: run_function.proto of
crossplane v2, and google/protobuf/struct.proto.
"""

import dataclasses
from collections.abc import Callable, Iterator

from crossplane.function.proto.v1 import run_function_pb2 as fnv1
from google.protobuf import message

KIB = 1024
# Bytes of spec and annotations together, in protobuf. The largest example has 3 KiB.
MOST_WRITTEN = 256 * KIB
# A claim of fewer bytes in all breaks no bound, and is decoded as it came: cutting costs more.
SMALL = 64 * KIB
# Bytes of the status, which the function writes and whoever may write the subresource.
MOST_STATUS = 256 * KIB

# What rendering reads of a claim; its status is read field by field.
CLAIM = ("apiVersion", "kind", "spec")
METADATA = ("annotations", "generation", "name", "namespace", "uid")

_META, _OBSERVED, _DESIRED = 1, 2, 3
_COMPOSITE = _RESOURCE = _FIELDS = _KEY = 1
_VALUE = 2
_STRUCT_VALUE = 5
_BYTES = 2
_SIZES = {1: 8, 5: 4}


@dataclasses.dataclass(frozen=True)
class Received:
    """A request as it was received.

    Attributes:
        request: The request; without what no answer reads.
        refusal: Why its claim is not decoded, in words, or None.
    """

    request: fnv1.RunFunctionRequest
    refusal: str | None = None


@dataclasses.dataclass
class Sizes:
    """Bytes of a claim's parts, in protobuf."""

    written: int = 0
    status: int = 0

    def refusal(self) -> str | None:
        """Returns why a claim of these sizes is not read, or None."""
        for size, most, what, action in (
            (
                self.written,
                MOST_WRITTEN,
                "spec and metadata.annotations",
                "write less there, and apply it with --server-side: kubectl's"
                " last-applied-configuration counts too",
            ),
            (self.status, MOST_STATUS, "status", "somebody else than this function wrote there"),
        ):
            if size > most:
                return (
                    f"{what}: {_kib(size)} KiB in all, and at most {most // KIB} KiB are read:"
                    f" {action}"
                )
        return None


def _kib(size: int) -> int:
    return -(-size // KIB)


TOO_DEEP = (
    "spec: nested more deeply than a request can be read (about 30 maps inside of each other), in"
    " the claim or in an object that it composed"
)
UNREADABLE = "the request is no RunFunctionRequest that can be read, also without its claim"


def read(data: bytes) -> Received:
    """Returns the request of these bytes. Raises nothing."""
    try:
        if len(data) <= SMALL or _composite_size(data) <= SMALL:
            return Received(fnv1.RunFunctionRequest.FromString(data))
        sizes = Sizes()
        whole = _request(data, sizes)
        refusal = sizes.refusal()
        if refusal is None:
            return Received(fnv1.RunFunctionRequest.FromString(whole))
    except (ValueError, message.DecodeError):
        refusal = TOO_DEEP
    return _refused(data, refusal)


def _composite_size(data: bytes) -> int:
    """Returns the bytes of the claim, whole, with its managedFields.

    Raises:
        ValueError: The bytes are no protobuf.
    """
    size = 0
    for number, content, _ in _fields(memoryview(data)):
        if number == _OBSERVED and content is not None:
            for part, composite, _ in _fields(content):
                if part == _COMPOSITE and composite is not None:
                    size += len(composite)
    return size


def _refused(data: bytes, refusal: str) -> Received:
    """Returns as much of a request as can be read: with the conditions, or its tag at least."""
    for keeps in (
        _Keeps(status=True),
        _Keeps(status=False),
        _Keeps(status=False, composite=False),
        _Keeps(status=False, composite=False, passed=False),
    ):
        try:
            sizes = Sizes()
            part = _request(data, sizes, keeps)
            if keeps.status and sizes.status > MOST_STATUS:
                continue
            return Received(fnv1.RunFunctionRequest.FromString(part), refusal)
        except (ValueError, message.DecodeError):
            continue
    return Received(fnv1.RunFunctionRequest(), UNREADABLE)


@dataclasses.dataclass(frozen=True)
class _Keeps:
    """What of a request that is refused is read.

    Attributes:
        status: The claim's status, which has the conditions that are repeated.
        composite: What names the claim.
        passed: What earlier steps desired.
    """

    status: bool
    composite: bool = True
    passed: bool = True


def _request(data: bytes, sizes: Sizes, keeps: _Keeps | None = None) -> bytes:
    """Returns a RunFunctionRequest, its claim cut and measured.

    Args:
        data: The whole request.
        sizes: Takes what is measured.
        keeps: What is kept of one that is refused; all that an answer reads when None.

    Raises:
        ValueError: The bytes are no protobuf.
    """
    passed = {_META, _DESIRED} if keeps is None or keeps.passed else {_META}

    def resource(number: int, content: memoryview) -> bytes | None:
        if number != _RESOURCE:
            return None
        return _map(content, lambda key, value: _top(key, value, sizes, keeps))

    def state(number: int, content: memoryview) -> bytes | None:
        if number == _COMPOSITE:
            composite = keeps is None or keeps.composite
            return _rewritten(content, resource) if composite else b""
        return None if keeps is None else b""

    def request(number: int, content: memoryview) -> bytes | None:
        if number == _OBSERVED:
            return _rewritten(content, state)
        return None if keeps is None or number in passed else b""

    return _rewritten(memoryview(data), request)


def _top(key: str, value: memoryview, sizes: Sizes, keeps: _Keeps | None) -> bytes | None:
    """Returns what is kept of one top-level field of a claim; None for all of it."""
    if key == "metadata":
        return _struct(value, lambda key, value: _about(key, value, sizes, keeps))
    if key == "spec":
        sizes.written += len(value)
        return None if keeps is None else b""
    if key == "status":
        sizes.status += len(value)
        return None if keeps is None or keeps.status else b""
    return None if key in CLAIM else b""


def _about(key: str, value: memoryview, sizes: Sizes, keeps: _Keeps | None) -> bytes | None:
    """Returns what is kept of one field of the metadata; None for all of it."""
    if key == "annotations":
        sizes.written += len(value)
        return None if keeps is None else b""
    return None if key in METADATA else b""


# --- protobuf's own format


_Cut = Callable[[int, memoryview], bytes | None]
_CutKey = Callable[[str, memoryview], bytes | None]


def _rewritten(data: memoryview, cut: _Cut) -> bytes:
    """Returns a message with other contents of some fields.

    Args:
        data: The message.
        cut: Returns the content of a field by its number: None for the same, empty for none.
    """
    parts: list[bytes | memoryview] = []
    for number, content, whole in _fields(data):
        other = None if content is None else cut(number, content)
        if other is None:
            parts.append(whole)
        elif other:
            parts += [_varint(number << 3 | _BYTES), _varint(len(other)), other]
    return b"".join(parts)


def _map(struct: memoryview, cut: _CutKey) -> bytes:
    """Returns a Struct with other values of some keys, as `_rewritten` does."""

    def entry(number: int, content: memoryview) -> bytes | None:
        if number != _FIELDS:
            return None
        key, value = "", memoryview(b"")
        for inner, held, _ in _fields(content):
            if inner == _KEY and held is not None:
                key = bytes(held).decode(errors="replace")
            elif inner == _VALUE and held is not None:
                value = held
        other = cut(key, value)
        if not other:
            return other
        name = key.encode()
        pieces = (
            *(_varint(_KEY << 3 | _BYTES), _varint(len(name)), name),
            *(_varint(_VALUE << 3 | _BYTES), _varint(len(other)), other),
        )
        return b"".join(pieces)

    return _rewritten(struct, entry)


def _struct(value: memoryview, cut: _CutKey) -> bytes:
    """Returns a Value that is a Struct, with other values of some of its keys."""
    return _rewritten(
        value, lambda number, content: _map(content, cut) if number == _STRUCT_VALUE else None
    )


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview | None, memoryview]]:
    """Yields number, content (None unless it has a length) and whole of each field.

    Raises:
        ValueError: The bytes are no protobuf.
    """
    at, end = 0, len(data)
    while at < end:
        begin = at
        tag, at = _number(data, at)
        kind = tag & 7
        content = None
        if kind == _BYTES:
            size, at = _number(data, at)
            content = data[at : at + size]
            at += size
        elif kind in _SIZES:
            at += _SIZES[kind]
        elif kind == 0:
            _, at = _number(data, at)
        else:
            raise ValueError(f"no protobuf: wire type {kind}")
        if at > end:
            raise ValueError("no protobuf: it ends early")
        yield tag >> 3, content, data[begin:at]


def _number(data: memoryview, at: int) -> tuple[int, int]:
    """Returns the variable-length number at a place, and the place after it."""
    value = shift = 0
    while shift < 70:
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("no protobuf: a number without end")


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
