"""Removes the control groups of a test process when that has ended: run beside it.

``janitor.py NAME`` waits for the end of its input, which the test process holds open, and removes
each control group NAME. A runtime leaves them behind when its machine is cut off.
"""

from __future__ import annotations

import contextlib
import pathlib
import sys
import time
from collections.abc import Iterator

_GROUPS = pathlib.Path("/sys/fs/cgroup")
# Killed processes leave their groups within this time, in seconds.
_SECONDS = 20


def groups(name: str) -> list[pathlib.Path]:
    """The control groups of this name, in each hierarchy."""
    return [path for path in (_GROUPS / name, *_GROUPS.glob(f"*/{name}")) if path.is_dir()]


def _below(group: pathlib.Path) -> Iterator[pathlib.Path]:
    """A group after all groups in it."""
    for path in group.iterdir():
        if path.is_dir():
            yield from _below(path)
    yield group


def remove(name: str, seconds: float = _SECONDS) -> None:
    """Remove the groups of a name and all in them, as soon as no process is left in them."""
    deadline = time.monotonic() + seconds
    while groups(name) and time.monotonic() < deadline:
        for group in groups(name):
            with contextlib.suppress(OSError):
                for path in _below(group):
                    path.rmdir()
        time.sleep(0.1)


if __name__ == "__main__":
    sys.stdin.buffer.read()
    remove(sys.argv[1])
