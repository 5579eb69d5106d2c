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
    """Raises the limit meanwhile.

    Leaves it where it is higher, where nobody here may write it, and where no such kernel runs. Of
    two runs at once the first to end takes it back under the second.

    Args:
        limit: The kernel's setting.
    """
    raised = None
    with contextlib.suppress(OSError):
        before = limit.read_text()
        if int(before) < ENOUGH:
            limit.write_text(str(ENOUGH))
            raised = before
    try:
        yield
    finally:
        if raised is not None:
            limit.write_text(raised)
