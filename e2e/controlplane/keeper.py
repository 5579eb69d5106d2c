"""Ends the programs of a test process when that is killed: run beside it, in a session of its own.

The process tells it the ids of its programs through a pipe. The pipe closes with the process,
however that ends. A parent-death signal (prctl(2), PR_SET_PDEATHSIG) would not do: it is sent when
the thread ends that started the program, and is forgotten by a program that changes its user.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable

# What was told has ended soon after the pipe was closed, in seconds.
_SECONDS = 10


class _Keeper:
    """The keeper of this process, which begins with the first program."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None

    def keep(self, pid: int) -> None:
        """Tell it of a program."""
        with self._lock:
            if self._running is None:
                self._running = self._start()
            if self._running.stdin is None:
                raise AssertionError
            self._running.stdin.write(b"%d\n" % pid)

    def _start(self) -> subprocess.Popen[bytes]:
        # Isolated, for it needs nothing; Ctrl-C at the terminal is not for it.
        running = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        atexit.register(self._end, running)
        return running

    @staticmethod
    def _end(running: subprocess.Popen[bytes]) -> None:
        """What nobody stopped ends with the process, before that has ended itself."""
        if running.stdin is not None:
            running.stdin.close()
        running.wait(_SECONDS)


_THIS = _Keeper()


def keep(pid: int) -> None:
    """End a program of this process together with it, whatever ends that.

    Args:
        pid: The id of a child that was not waited for yet.
    """
    _THIS.keep(pid)


def _serve(lines: Iterable[bytes]) -> None:
    """Open each process that is told of, and kill those that run when there are no more lines.

    A descriptor, unlike an id, never names another process (pidfd_open(2)).
    """
    kept = []
    for line in lines:
        with contextlib.suppress(ProcessLookupError):  # over, and waited for, so soon
            kept.append(os.pidfd_open(int(line)))
    for descriptor in kept:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)


if __name__ == "__main__":
    _serve(sys.stdin.buffer)
