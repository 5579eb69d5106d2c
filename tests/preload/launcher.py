"""Starts the program many times without paying for its imports: forks from a process that has them.

Run as `python launcher.py`; reads one JSON request a line, answers one JSON line. A `start` forks a
child, in which hooks may be set that kill it or make the kernel refuse it something; `wait` reaps.
"""

import errno
import functools
import itertools
import json
import os
import resource
import signal
import ssl
import sys
import threading
from collections.abc import Callable
from typing import Any

from preload import __main__ as entry
from preload import attempts, hub, lease, report, settings

_OPERATIONS = ("open", "pwrite", "write", "fsync", "replace", "unlink", "mkdir", "symlink", "utime")


def _die_at(operation: int) -> None:
    """SIGKILL this process just before its n-th operation on the file system."""
    count = itertools.count(1)

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            if next(count) == operation:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **options)

        return counted

    for name in _OPERATIONS:
        setattr(os, name, wrap(getattr(os, name)))


def _refuse_after(limit: int) -> None:
    """Answer ENOSPC once this many bytes were written."""
    original, lock = os.pwrite, threading.Lock()
    written = 0

    def pwrite(handle: int, data: bytes, position: int) -> int:
        nonlocal written
        # Several connections write at once: what is being written counts.
        with lock:
            if written >= limit:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            written += len(data)
        return original(handle, data, position)

    os.pwrite = pwrite  # type: ignore[assignment]


def _fetch_in_pieces(size: int) -> None:
    """Let files that are longer than this come over several connections."""
    attempts.PIECE = size
    attempts._BLOCK = attempts._NOTE = size // 8


class _NoLease:
    """A lease that everybody has."""

    def __init__(self, *arguments: object) -> None:
        pass

    def __enter__(self) -> "_NoLease":
        return self

    def __exit__(self, *arguments: object) -> None:
        pass

    def alive(self) -> None:
        pass

    def check(self) -> None:
        pass

    def release(self) -> None:
        pass


def _child(request: dict[str, Any]) -> int:
    os.environ.clear()
    os.environ.update(request["environment"])
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    hooks = request["hooks"]
    if "file_size" in hooks:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hooks["file_size"], hooks["file_size"]))
    if "no_space_after" in hooks:
        _refuse_after(hooks["no_space_after"])
    if "pieces" in hooks:
        _fetch_in_pieces(hooks["pieces"])
    if hooks.get("no_lease"):
        lease.Lease = _NoLease  # type: ignore[assignment,misc]
    if hooks.get("unprivileged") and os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    if "die_at" in hooks:
        _die_at(hooks["die_at"])
    return entry.main()


def main() -> None:
    settings.set_defaults(os.environ)
    # The hub of the tests has no TLS, and reading the CA bundle takes as long as a short run.
    ssl.create_default_context = functools.cache(  # type: ignore[assignment]
        ssl.create_default_context
    )
    # Whatever is imported at first use is imported here, before a child may lose the right to.
    hub.Hub(settings.Settings(), report.Log())
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "start":
            pid = os.fork()
            if pid == 0:
                code = 70
                try:
                    code = _child(request)
                finally:
                    sys.stdout.flush()
                    os._exit(code)
            print(json.dumps(pid), flush=True)
        else:
            _, status = os.waitpid(request["pid"], 0)
            print(json.dumps(os.waitstatus_to_exitcode(status)), flush=True)


if __name__ == "__main__":
    main()
