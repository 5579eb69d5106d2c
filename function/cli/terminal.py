"""Standard output and standard error, as pipes, full disks and terminals need them."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import TextIO

# As of any program that SIGPIPE ends: the reader of a pipe has gone.
CLOSED_PIPE = 141
CANNOT_WRITE = 2
# Seconds that a person waits before progress is worth a line.
PATIENCE = 1.0
_CLEAR_LINE = "\r\x1b[K"


def write(text: str) -> None:
    """Writes to standard output, at once.

    Raises:
        SystemExit: Nobody reads any more, or there is no room.
    """
    if sys.stdout is None:
        complain("standard output is closed")
        raise SystemExit(CANNOT_WRITE)
    left = memoryview(text.encode(sys.stdout.encoding, "backslashreplace"))
    try:
        # A stream without a buffer (PYTHONUNBUFFERED) may take a part, and says so nowhere else.
        while left:
            left = left[sys.stdout.buffer.write(left) :]
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        _abandon()
        raise SystemExit(CLOSED_PIPE) from None
    except OSError as error:
        _abandon()
        complain(f"standard output: {error.strerror or error}")
        raise SystemExit(CANNOT_WRITE) from None


def complain(line: str) -> None:
    """Writes a line to standard error; one that nobody can read is no reason to stop."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()


def is_terminal(stream: TextIO | None) -> bool:
    """Tells whether a person looks at a stream."""
    return stream is not None and stream.isatty()


def _abandon() -> None:
    """Lets what is still buffered go nowhere: the interpreter would complain at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


class Progress:
    """A line at a terminal that says how far long work is, and goes when the work is done."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._shown = False
        self._at_terminal = is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"

    def say(self, words: str) -> None:
        """Shows the words in the place of the last ones, once the work takes long."""
        if self._at_terminal and time.monotonic() - self._since > PATIENCE:
            sys.stderr.write(f"{_CLEAR_LINE}{words}")
            sys.stderr.flush()
            self._shown = True

    def clear(self) -> None:
        """Leaves nothing of the line."""
        if self._shown:
            sys.stderr.write(_CLEAR_LINE)
            sys.stderr.flush()
            self._shown = False


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """Gives progress for as long as the work lasts."""
    line = Progress()
    try:
        yield line
    finally:
        line.clear()
