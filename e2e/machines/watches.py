"""Room for what machines watch of their files, which the kernel counts for each user (inotify)."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator

LIMIT = pathlib.Path("/proc/sys/fs/inotify/max_user_instances")
# A control plane with three machines has about forty instances of root's, and there may be four;
# 128 are the kernel's default.
ENOUGH = 512


@contextlib.contextmanager
def room(limit: pathlib.Path = LIMIT) -> Iterator[None]:
    """Raises the limit meanwhile; leaves it where it is higher, or where nobody here may write it.

    Args:
        limit: The kernel's setting.
    """
    before = limit.read_text()
    raised = int(before) < ENOUGH
    if raised:
        try:
            limit.write_text(str(ENOUGH))
        except OSError:
            raised = False
    try:
        yield
    finally:
        if raised:
            limit.write_text(before)
