"""One try at a file: its pieces over several connections, written in place and hashed in order."""

import dataclasses
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from preload import crew, digests, extents, hub, journal, listing, retries

PIECE = 8 << 20
"""Bytes that one request asks for: 0.3 s of a connection with 26 MiB/s."""
_BLOCK = 1 << 20
"""Bytes written at once, and hashed as they arrive."""
_FLUSH = 0.5
"""Seconds after which fewer are written."""
_NOTE = 4 << 20
"""Bytes of a piece between two notes: what a kill loses of each connection."""
_SILENCE = 10.0
"""Seconds without a byte after which an idle connection takes the rest of a piece over.

Of a piece that would take longer than that for its rest it takes half.
"""


class _GoneError(Exception):
    """The attempt is over, or somebody else has the rest of the piece: nothing may be written."""


@dataclasses.dataclass(eq=False)
class _Piece:
    """What one connection fetches: from `position`, which moves, to `stop`."""

    position: int
    stop: int
    noted: int
    patience: retries.Patience
    first: int = 0
    began: float = 0.0
    heard: float = 0.0
    writing: bool = False
    pausing: bool = False

    def begin(self) -> None:
        """Take note of where and when a connection begins."""
        self.first = self.position
        self.began = self.heard = time.monotonic()

    def is_late(self, now: float) -> bool:
        """Whether its rest would take longer than a silence may, as fast as it came so far."""
        taken, came = now - self.began, self.position - self.first
        return taken > _SILENCE and (self.stop - self.position) * taken > came * _SILENCE


@dataclasses.dataclass(frozen=True)
class Context:
    """What the transfers of one item share.

    Attributes:
        source: Where from.
        snapshot: The commit.
        crew: Who fetches and hashes.
        journal: The note about files in pieces.
        guard: The right to write.
        arrived: Told of each number of bytes received.
        kept: Told of each number of bytes written, and negative of those that are to come again.
    """

    source: hub.Hub
    snapshot: listing.Snapshot
    crew: crew.Crew
    journal: journal.Journal
    guard: digests.Guard
    arrived: Callable[[int], None]
    kept: Callable[[int], None]


class Owner(Protocol):
    """Whose attempt it is (`transfer.Transfer`)."""

    @property
    def file(self) -> listing.File:
        """The file."""
        ...

    @property
    def in_pieces(self) -> bool:
        """Whether a note says what of it is there."""
        ...

    @property
    def subject(self) -> str:
        """The file, for messages."""
        ...

    def fail(self, error: BaseException) -> None:
        """Told of what ends it."""

    def settle(self, attempt: "Attempt", matches: bool) -> None:
        """Told of the end."""

    def go_on_in_order(self, attempt: "Attempt") -> None:
        """Told of a hub that sends a file from its first byte alone."""


class Attempt:
    """One try at a file.

    Args:
        transfer: Told of the end.
        context: What the item's transfers share.
        handle: The open file, which belongs to this attempt.
        there: What of it is there.
        in_order: Whether everything that is missing comes over one connection.
    """

    def __init__(
        self,
        transfer: Owner,
        context: Context,
        handle: int,
        there: extents.Extents,
        in_order: bool,
    ) -> None:
        self.there = there
        self.resumed = bool(there)
        self.workers = 0
        self._transfer = transfer
        self._file = transfer.file
        self._context = context
        self._crew = context.crew
        self._quiet = threading.Condition(context.crew.lock)
        self._handle = handle
        self._in_order = in_order
        self._closed = False
        self._settled = False
        self._hashing = False
        self._digest = digests.new(self._file)
        self._hashed = 0
        self._wrong = False
        self._missing_pieces = self._missing(extents.Extents(there))
        self._fetched: list[_Piece] = []
        self._held: dict[int, bytearray] = {}

    def _missing(self, there: extents.Extents) -> Iterator[extents.Range]:
        """Yield what to fetch, one after the other: the hub says how large the file is."""
        for start, stop in there.gaps(self._file.size):
            if self._in_order:
                yield start, self._file.size
                return
            while start < stop:
                end = min(stop, (start // PIECE + 1) * PIECE)
                yield start, end
                start = end

    # --- fetching

    def take(self) -> Callable[[], None] | None:
        """Return what fetches a piece that nobody fetches, if there is one."""
        if self._closed or self._settled or self._wrong:
            return None
        if (missing := next(self._missing_pieces, None)) is not None:
            start, stop = missing
            piece = _Piece(start, stop, start, self._context.source.patience(self._crew.pulse))
        elif (rest := self._late()) is not None:
            piece = rest
        else:
            return None
        piece.begin()
        self._fetched.append(piece)
        self.workers += 1
        return lambda: self._fetch(piece)

    def _late(self) -> _Piece | None:
        """What another connection has left, all or half of it; that one may not write it then."""
        now = time.monotonic()
        for piece in self._fetched:
            left = piece.stop - piece.position
            if piece.writing or piece.pausing or left <= 0:
                continue
            # A hub that ignores ranges would send another connection everything once more.
            late = not self._in_order and piece.is_late(now)
            if piece.heard < now - _SILENCE or (late and left <= _BLOCK):
                rest = dataclasses.replace(piece)
                piece.stop = piece.position
                return rest
            if late:
                middle = piece.stop - left // 2
                rest = dataclasses.replace(piece, position=middle, noted=middle)
                piece.stop = middle
                return rest
        return None

    def _fetch(self, piece: _Piece) -> None:
        try:
            while not self._is_over(piece):
                try:
                    self._receive(piece)
                except retries.TransientError as error:
                    self._pause(piece, error)
        except _GoneError:
            pass
        except BaseException as error:
            self._transfer.fail(error)
        finally:
            with self._crew.lock:
                self._fetched.remove(piece)
                self.workers -= 1
                self._crew.arrived(self)

    def _is_over(self, piece: _Piece) -> bool:
        with self._crew.lock:
            return self._closed or self._wrong or piece.position >= piece.stop

    def _pause(self, piece: _Piece, error: retries.TransientError) -> None:
        if self._is_over(piece):
            return
        pause = piece.patience.pause(error, self._transfer.subject)
        # After that: a wait that is too long for this item is none for the others.
        if error.overloaded:
            self._crew.slow_down(error.retry_after or 0.0)
        piece.pausing = True
        piece.patience.sleep(pause)
        piece.heard, piece.pausing = time.monotonic(), False

    def _receive(self, piece: _Piece) -> None:
        """Fetch the rest of a piece in one request."""
        context = self._context
        context.guard.alive()
        start, stop = piece.position, piece.stop
        with context.source.body(context.snapshot, self._file.path, start, stop) as body:
            if body.start < start and not self._in_order:
                self._transfer.go_on_in_order(self)
                raise _GoneError
            # What comes again is not written again: it is no progress.
            self._take_in(piece, body, skip=start - body.start)
        if not self._is_over(piece):
            raise retries.TransientError(f"body ended at byte {piece.position} of {piece.stop}")

    def _take_in(self, piece: _Piece, body: hub.Body, skip: int) -> None:
        block, pause, flushed = bytearray(), _FLUSH, time.monotonic()
        try:
            for chunk in body.chunks:
                self._context.guard.alive()
                # A connection serves the next request if its body was read to the end.
                if self._is_over(piece) and not self._is_last(piece):
                    return
                self._context.arrived(len(chunk))
                piece.heard = time.monotonic()
                block += memoryview(chunk)[skip:]
                skip -= min(skip, len(chunk))
                now = time.monotonic()
                if block and (len(block) >= _BLOCK or now - flushed > pause):
                    ready, block = block, bytearray()
                    self._store(piece, ready)
                    # A slow volume gets no smaller writes, which would be slower still.
                    flushed = time.monotonic()
                    pause = max(_FLUSH, flushed - now)
        finally:
            if block:
                self._store(piece, block)

    def _is_last(self, piece: _Piece) -> bool:
        """Whether a piece ends the file: a body that goes on is another file's."""
        return piece.stop == self._file.size and not self._closed and not self._wrong

    def _store(self, piece: _Piece, block: bytearray) -> None:
        """Write in place, never truncating: another writer of the same commit is not disturbed."""
        self._context.guard.alive()
        with self._crew.lock:
            if self._closed:
                raise _GoneError
            start = piece.position
            rest = memoryview(block)[: piece.stop - start]
            if len(rest) < len(block) and piece.stop == self._file.size:
                self._wrong = True
            piece.writing = True
        position = start
        try:
            while rest:
                count = os.pwrite(self._handle, rest, position)
                rest, position = rest[count:], position + count
        except BaseException:
            self._wrote(piece, start, position)
            raise
        if position > start:
            piece.patience.progress()
        if self._wrote(piece, start, position, block):
            self._hash(memoryview(block)[: position - start])
        if position - piece.noted >= _NOTE or position == piece.stop:
            self._note(piece)

    def _wrote(
        self, piece: _Piece, start: int, position: int, block: bytearray | None = None
    ) -> bool:
        """Take note of what was written; True if the caller is to hash it, since it is next.

        What is not next is held for the hash, as long as there is room.
        """
        with self._crew.lock:
            piece.writing = False
            piece.position = position
            piece.heard = time.monotonic()
            self.there.add(start, position)
            self._context.kept(position - start)
            hashes = block is not None and self._hashed == start and not self._hashing
            self._hashing |= hashes
            if block is not None and not hashes and len(block) == position - start:
                self._hold(start, block)
            self._quiet.notify_all()
            self._crew.arrived(self)
            return hashes

    def _hold(self, start: int, block: bytearray) -> None:
        if self._crew.held + len(block) <= crew.MOST_HELD:
            self._crew.held += len(block)
            self._held[start] = block

    def _note(self, piece: _Piece) -> None:
        if self._transfer.in_pieces:
            self._context.journal.add(self._file, piece.noted, piece.position)
            piece.noted = piece.position

    # --- hashing

    def is_digestible(self) -> bool:
        """Whether bytes wait to be read back, or the end to be decided about."""
        if self._hashing or self._closed or self._settled:
            return False
        return self._wrong or self._is_whole() or self.there.reach(self._hashed) > self._hashed

    def digest(self) -> None:
        """Hash some bytes, or decide about the end."""
        with self._crew.lock:
            if not self.is_digestible():
                return
            self._hashing = True
            start = self._hashed
            held = self._held.pop(start, bytearray())
            self._crew.held -= len(held)
            ahead = (position for position in self._held if position > start)
            stop = min(self.there.reach(start), min(ahead, default=self._file.size))
            self._settled = self._wrong or self._is_whole()
        try:
            self._context.guard.alive()
            if self._settled:
                self._settle()
                return
            self._hash(memoryview(held) if held else self._read(start, stop))
        except BaseException as error:
            with self._crew.lock:
                self._hashing = False
                self._quiet.notify_all()
            self._transfer.fail(error)

    def _read(self, start: int, stop: int) -> memoryview:
        """Read back what was not held, or lay there before."""
        buffer = memoryview(bytearray(min(digests.CHUNK, stop - start)))
        count = os.preadv(self._handle, [buffer], start)
        with self._crew.lock:
            self._wrong |= count == 0
        return buffer[:count]

    def _is_whole(self) -> bool:
        size = self._file.size
        return self._hashed == size and not any(piece.stop == size for piece in self._fetched)

    def _hash(self, content: memoryview) -> None:
        """Go on with the hash; whoever calls has set `_hashing`."""
        self._digest.update(content)
        with self._crew.lock:
            self._hashed += len(content)
            self._hashing = False
            self._quiet.notify_all()
            self._crew.arrived(self)

    def _settle(self) -> None:
        matches = not self._wrong and self._digest.hexdigest() == self._file.digest
        self._crew.remove(self)
        with self._crew.lock:
            self._hashing = False
            self._quiet.notify_all()
        self._transfer.settle(self, matches)

    # --- the end

    def sync(self) -> None:
        """Make the content durable."""
        os.fsync(self._handle)

    def close(self) -> None:
        """Write, read and hash nothing more; returns when nobody does."""
        self._crew.remove(self)
        with self._crew.lock:
            while self._hashing or any(piece.writing for piece in self._fetched):
                self._quiet.wait()
            if not self._closed:
                self._closed = True
                self._crew.held -= sum(map(len, self._held.values()))
                self._held.clear()
                os.close(self._handle)
