"""One writer for each directory, on volumes whose locks cannot be relied on.

Two claims that share a base model have two Jobs, often on two nodes, which want the same directory
at the same time. flock(2) is no answer: over NFS it depends on the mount (`nolock`, `local_lock`),
FUSE file systems without it grant it to everybody on another node, and huggingface_hub's fallback,
a lock file, stays for ever when its holder is killed.

So a holder keeps a file whose time of change it renews. A waiter takes the file over once it stood
still for `seconds`, measured by the waiter's own clock, so that clocks need not agree; a holder
that was killed costs the next one that long and no more. A holder that was suspended past the end
of its lease finds another owner's name in the file and stops (`LostError`): at its next renewal,
and before each step that removes or publishes something.

The lease saves work and prevents removals under another's hands; it does not alone carry the
correctness of the content. Two writers that overlap in spite of it write the same bytes of the
same commit to the same offsets (`transfer`), and a manifest names what was verified.
"""

import contextlib
import os
import pathlib
import socket
import threading
import time
import types
import uuid

from preload import documents, exits, report

_NO_LEASE = (0, b"")
"""What is read of a pipe, a link or a device: it stands still, so it is taken over."""


class LostError(Exception):
    """Another process took the lease over; nothing may be removed or published any more."""


def is_held(path: pathlib.Path, seconds: float) -> bool:
    """Whether somebody works under a lease; one that stands still for `seconds` is a dead one's."""
    state, since = _read(path), time.monotonic()
    if state is None:
        return False
    while time.monotonic() - since < seconds:
        time.sleep(seconds / 10)
        if _read(path) != state:
            return True
    return False


def _read(path: pathlib.Path) -> tuple[int, bytes] | None:
    # Opened anew each time: an NFS client asks the server at open, and caches a stat.
    try:
        with documents.opened(path) as handle:
            return os.fstat(handle).st_mtime_ns, os.pread(handle, 4096, 0)
    except documents.NotRegularError:
        return _NO_LEASE
    except FileNotFoundError:
        return None


class Lease:
    """A lease as a context manager: entering waits for it, leaving gives it back.

    Args:
        path: The lease file; its directory must exist.
        seconds: How long it must stand still to be taken over. Renewed six times in that time.
        log: Told of waiting and of taking over.
        stopping: Set when nobody wants the lease any more: waiting ends with `exits.Stopped`.
    """

    def __init__(
        self,
        path: pathlib.Path,
        seconds: float,
        log: report.Log,
        stopping: threading.Event | None = None,
    ) -> None:
        self._stopping = stopping or threading.Event()
        self._path = path
        self._seconds = seconds
        self._log = log
        self._owner = f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex}\n".encode()
        self._lost = threading.Event()
        self._done = threading.Event()
        self._renewer = threading.Thread(target=self._renew, name="lease", daemon=True)

    def __enter__(self) -> "Lease":
        self._acquire()
        self._renewer.start()
        for left in self._path.parent.glob(f"{self._path.name}.*"):
            left.unlink(missing_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.release()

    def release(self) -> None:
        """Give the lease back, if it is still ours."""
        self._done.set()
        self._lost.set()
        with contextlib.suppress(OSError):
            if self._is_mine():
                self._path.unlink()

    def alive(self) -> None:
        """Raise `LostError` if the last renewal found another owner. Costs nothing."""
        if self._lost.is_set():
            raise LostError

    def check(self) -> None:
        """Raise `LostError` if the file names another owner now. Reads the file."""
        if not self._is_mine():
            self._lost.set()
        self.alive()

    def _acquire(self) -> None:
        state, since, told = None, time.monotonic(), False
        while not self._create():
            now = _read(self._path)
            if now is None or now != state:
                state, since = now, time.monotonic()
            elif time.monotonic() - since >= self._seconds:
                self._log("lease-take-over", level="warning", path=str(self._path))
                if self._seize():
                    return
            if not told:
                self._log("lease-wait", path=str(self._path))
                told = True
            if self._stopping.wait(self._seconds / 10):
                raise exits.Stopped

    def _create(self) -> bool:
        try:
            handle = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return False
        try:
            os.write(handle, self._owner)
        except OSError:
            self._path.unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)
        return True

    def _is_mine(self) -> bool:
        state = _read(self._path)
        return state is not None and state[1] == self._owner

    def _seize(self) -> bool:
        """Put our name in the file. Of several waiters the last one wins, after a pause."""
        other = self._path.with_name(f"{self._path.name}.{uuid.uuid4().hex}")
        other.write_bytes(self._owner)
        try:
            other.replace(self._path)
        except FileNotFoundError:  # swept by the one that was faster
            return False
        time.sleep(self._seconds / 10)
        return self._is_mine()

    def _renew(self) -> None:
        while not self._done.wait(self._seconds / 6):
            try:
                if not self._is_mine():
                    self._lost.set()
                    return
                os.utime(self._path)
            except OSError as error:
                # Silence of the server is no loss: whoever could take over meets it as well.
                self._log("lease-renewal-failed", level="warning", error=str(error))
