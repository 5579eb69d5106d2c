"""One file from the hub to its place, verified.

The bytes go straight to the file's final name, because the reference volume (S3 Files over NFS)
copies on rename; nobody takes a partial file for a whole one, because only a manifest says what is
whole. The length of a partial file is where the next run resumes. What lies there already passes
through the hash first, so a file that was left by a crash with holes, or by another commit, fails
verification and comes again from its first byte.
"""

import contextlib
import hashlib
import os
import pathlib
import stat
from collections.abc import Callable
from typing import Protocol

from preload import documents, exits, hub

_CHUNK = 4 << 20
"""Bytes read at once when hashing."""
_WINDOW = 20 * 10**9
"""Bytes asked for at once; the hub's plain HTTP refuses answers above 50 GB."""
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


def _feed(handle: int, digest: _Hash, length: int, guard: Guard) -> int:
    """Pass the first bytes of an open file through a hash; returns how many there were."""
    buffer = memoryview(bytearray(_CHUNK))
    position = 0
    while position < length:
        guard.alive()
        count = os.preadv(handle, [buffer[: length - position]], position)
        if count == 0:
            break
        digest.update(buffer[:count])
        position += count
    return position


def verified(path: pathlib.Path, file: hub.File, guard: Guard) -> bool:
    """Whether a file has the size and the hash that the hub gives; reads it whole."""
    strange = (FileNotFoundError, NotADirectoryError, documents.NotRegularError)
    # A directory of 0.9.0 may hold links.
    with contextlib.suppress(*strange), documents.opened(path, follow=True) as handle:
        if os.fstat(handle).st_size != file.size:
            return False
        digest = _new_hash(file)
        return _feed(handle, digest, file.size, guard) == file.size and (
            digest.hexdigest() == file.digest
        )
    return False


class Transfer:
    """The download of one file.

    Args:
        source: Where from.
        snapshot: The commit.
        file: The file in it.
        target: Where to. Its directory must exist.
        guard: The right to write there.
        arrived: Told of each number of bytes received.
    """

    def __init__(
        self,
        source: hub.Hub,
        snapshot: hub.Snapshot,
        file: hub.File,
        target: pathlib.Path,
        guard: Guard,
        arrived: Callable[[int], None],
    ) -> None:
        self._source = source
        self._snapshot = snapshot
        self._file = file
        self._target = target
        self._guard = guard
        self._arrived = arrived
        self._subject = f"{snapshot.repository}@{snapshot.sha}/{file.path}"

    def run(self) -> None:
        """Make the target hold the verified content, whatever lies there now.

        Raises:
            exits.PreloadError: `VERIFICATION_FAILED` after two downloads that began at the first
                byte, and what the hub's answers lead to.
            OSError: Of the volume.
        """
        failed = 0
        while True:
            resumed_at, matches = self._attempt()
            if matches:
                return
            self._guard.check()
            self._target.unlink(missing_ok=True)
            failed += resumed_at == 0
            if failed == _CLEAN_TRIES:
                raise exits.PreloadError(
                    exits.Exit.VERIFICATION_FAILED,
                    f"{self._subject}: content differs from the hub's {self._file.algorithm} "
                    f"{self._file.digest} ({self._file.size} bytes) after {failed} clean "
                    "downloads. Something between the hub and this volume changes content (proxy, "
                    "mirror), or the hub's copy is damaged.",
                )

    def _length_there(self) -> int:
        """Bytes that can be built on; whatever cannot is removed."""
        try:
            status = self._target.lstat()
        except FileNotFoundError:
            return 0
        if stat.S_ISREG(status.st_mode) and status.st_size <= self._file.size:
            return status.st_size
        self._guard.check()
        self._target.unlink()
        return 0

    def _attempt(self) -> tuple[int, bool]:
        """Resume or start once; returns where it resumed and whether the content verified."""
        resumed_at = self._length_there()
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        handle = os.open(self._target, flags, 0o644)
        try:
            digest = _new_hash(self._file)
            if _feed(handle, digest, resumed_at, self._guard) != resumed_at:
                return resumed_at, False
            digest, complete = self._receive(handle, digest, resumed_at)
            matches = complete and digest.hexdigest() == self._file.digest
            if matches:
                os.fsync(handle)
            return resumed_at, matches
        finally:
            os.close(handle)

    def _receive(self, handle: int, digest: _Hash, position: int) -> tuple[_Hash, bool]:
        """Fetch from `position` to the end; False if the server sends more than there can be."""
        patience = self._source.patience()
        furthest = position
        while position < self._file.size:
            self._guard.alive()
            stop = min(position + _WINDOW, self._file.size)
            try:
                with self._source.body(self._snapshot, self._file.path, position, stop) as body:
                    if body.start != position:
                        digest, position = _new_hash(self._file), body.start
                    for chunk in body.chunks:
                        if position + len(chunk) > self._file.size:
                            return digest, False
                        self._write(handle, chunk, position)
                        digest.update(chunk)
                        position += len(chunk)
                        if position > furthest:
                            furthest = position
                            patience.progress()
                if position < stop:
                    raise hub.TransientError(f"body ended at byte {position} of {stop}")
            except hub.TransientError as error:
                patience.wait(error, self._subject)
        return digest, True

    def _write(self, handle: int, chunk: bytes, position: int) -> None:
        """Write in place, never truncating: another writer of the same commit is not disturbed."""
        self._guard.alive()
        rest = memoryview(chunk)
        while rest:
            count = os.pwrite(handle, rest, position)
            rest, position = rest[count:], position + count
        self._arrived(len(chunk))
