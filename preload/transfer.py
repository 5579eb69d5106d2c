"""One file from the hub to its place, verified.

The bytes go straight to the file's final name, because the reference volume (S3 Files over NFS)
copies on rename; nobody takes a partial file for a whole one, because only a manifest says what is
whole. A file that is no longer than a piece comes in order, and its length is where the next run
resumes. A longer one may come in several pieces at once, and a note says which of them are there
(`journal`). What lies there already passes through the hash like what comes, so a file that was
left by a crash with holes, or by another commit, fails verification and comes again from its first
byte.
"""

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import stat
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from preload import crew, documents, exits, extents, hub, journal, manifest

PIECE = 8 << 20
"""Bytes that one request asks for: 0.3 s of a connection with 26 MiB/s."""
_BLOCK = 1 << 20
"""Bytes written at once, and hashed as they arrive."""
_FLUSH = 0.5
"""Seconds after which fewer are written."""
_NOTE = 4 << 20
"""Bytes of a piece between two notes: what a kill loses of each connection."""
_CHUNK = 4 << 20
"""Bytes read at once when hashing."""
_SILENCE = 10.0
"""Seconds without a byte after which an idle connection takes the rest of a piece over.

Of a piece that would take longer than that for its rest it takes half.
"""
_CLEAN_TRIES = 2


class _Hash(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


class Say(Protocol):
    """Writes an event to the log."""

    def __call__(self, event: str, level: str = "info", **fields: object) -> None:
        """As `report.Log` does."""


class Guard(Protocol):
    """The right to write here (`lease.Lease`); both methods raise when it is gone."""

    def alive(self) -> None:
        """Cheap check for each chunk."""

    def check(self) -> None:
        """Sure check before something is removed."""


def _new_hash(file: hub.File) -> _Hash:
    if file.algorithm == "sha256":
        return hashlib.sha256()
    # git's object id: a header, then the content.
    blob = hashlib.sha1(usedforsecurity=False)
    blob.update(b"blob %d\0" % file.size)
    return blob


def verified(path: pathlib.Path, file: hub.File, guard: Guard) -> bool:
    """Whether a file has the size and the hash that the hub gives; reads it whole."""
    strange = (FileNotFoundError, NotADirectoryError, documents.NotRegularError)
    # A directory of 0.9.0 may hold links.
    with contextlib.suppress(*strange), documents.opened(path, follow=True) as handle:
        if os.fstat(handle).st_size != file.size:
            return False
        digest = _new_hash(file)
        buffer = memoryview(bytearray(_CHUNK))
        position = 0
        while count := os.preadv(handle, [buffer], position):
            guard.alive()
            digest.update(buffer[:count])
            position += count
        return position == file.size and digest.hexdigest() == file.digest
    return False


def written(target: pathlib.Path, file: hub.File, notes: journal.Journal) -> extents.Extents | None:
    """Return what of a file can be built on; None where something lies there that cannot."""
    try:
        status = target.lstat()
    except FileNotFoundError:
        return extents.Extents()
    if not stat.S_ISREG(status.st_mode) or status.st_size > file.size:
        return None
    noted = notes.of(file)
    there = extents.Extents([(0, file.size)]) if noted is None else noted
    return there.below(status.st_size)


class _GoneError(Exception):
    """The attempt is over, or somebody else has the rest of the piece: nothing may be written."""


@dataclasses.dataclass(eq=False)
class _Piece:
    """What one connection fetches: from `position`, which moves, to `stop`."""

    position: int
    stop: int
    noted: int
    patience: hub.Patience
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
    snapshot: hub.Snapshot
    crew: crew.Crew
    journal: journal.Journal
    guard: Guard
    arrived: Callable[[int], None]
    kept: Callable[[int], None]


class Transfer:
    """The download of one file: it makes the target hold the verified content.

    Args:
        context: What the item's transfers share.
        file: The file.
        target: Where to.

    Attributes:
        done: Whether the file verified.
        error: What ended the transfer instead: `exits.PreloadError` of the hub or, after two
            downloads that began at the first byte, `VERIFICATION_FAILED`; OSError of the volume; or
            what the guard raises.
    """

    def __init__(self, context: Context, file: hub.File, target: pathlib.Path) -> None:
        self.file = file
        self.done = False
        self.error: BaseException | None = None
        self._context = context
        self._target = target
        self._failed = 0
        self._in_order = not self.in_pieces
        self._attempt: _Attempt | None = None

    @property
    def in_pieces(self) -> bool:
        """Whether the file's length does not say what of it is there."""
        return self.file.size > PIECE

    @property
    def subject(self) -> str:
        """The file, for messages."""
        snapshot = self._context.snapshot
        return f"{snapshot.repository}@{snapshot.sha}/{self.file.path}"

    def begin(self) -> None:
        """Resume what lies there, or start.

        Raises:
            OSError: Of the volume; `lease.LostError` of the guard.
        """
        self._target.parent.mkdir(parents=True, exist_ok=True)
        there = self._there()
        if self.in_pieces and self._context.journal.of(self.file) != there:
            self._context.journal.begin(self.file, there)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        handle = os.open(self._target, flags, 0o644)
        self._attempt = _Attempt(self, self._context, handle, there, self._in_order)
        self._context.crew.add(self._attempt)

    def cancel(self) -> None:
        """Write nothing more; returns when nobody does."""
        if self._attempt is not None:
            self._attempt.close()

    def fail(self, error: BaseException) -> None:
        """End with an error. The first one counts."""
        with self._context.crew.lock:
            self.error = self.error or error
            self._context.crew.ended.notify_all()

    def settle(self, attempt: "_Attempt", matches: bool) -> None:
        """Decide about the end of an attempt: keep what it brought, or begin again."""
        if matches:
            attempt.sync()
        attempt.close()
        if matches:
            manifest.sync_directory(self._target.parent)
            with self._context.crew.lock:
                self.done = True
                self._context.crew.ended.notify_all()
            return
        self._context.guard.check()
        self._context.kept(-attempt.there.count())
        if self.in_pieces:
            self._context.journal.begin(self.file, extents.Extents())
        self._target.unlink(missing_ok=True)
        self._failed += not attempt.resumed
        if self._failed == _CLEAN_TRIES:
            raise exits.PreloadError(
                exits.Exit.VERIFICATION_FAILED,
                f"{self.subject}: content differs from the hub's {self.file.algorithm} "
                f"{self.file.digest} ({self.file.size} bytes) after {self._failed} clean "
                "downloads. Something between the hub and this volume changes content (proxy, "
                "mirror), or the hub's copy is damaged.",
            )
        self.begin()

    def go_on_in_order(self, attempt: "_Attempt") -> None:
        """Fetch the rest over one connection: the hub sends a file from its first byte alone."""
        with self._context.crew.lock:
            if self._in_order:
                return
            self._in_order = True
        attempt.close()
        handle = os.open(self._target, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        there = extents.Extents([(0, attempt.there.reach(0))])
        self._context.kept(there.count() - attempt.there.count())
        self._attempt = _Attempt(self, self._context, handle, there, in_order=True)
        self._context.crew.add(self._attempt)

    def _there(self) -> extents.Extents:
        """What can be built on; whatever cannot is removed."""
        there = written(self._target, self.file, self._context.journal)
        if there is not None:
            return there
        self._context.guard.check()
        self._target.unlink()
        return extents.Extents()


class _Attempt:
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
        transfer: Transfer,
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
        self._digest = _new_hash(self._file)
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
                except hub.TransientError as error:
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

    def _pause(self, piece: _Piece, error: hub.TransientError) -> None:
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
            raise hub.TransientError(f"body ended at byte {piece.position} of {piece.stop}")

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
        buffer = memoryview(bytearray(min(_CHUNK, stop - start)))
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
