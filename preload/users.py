"""Who wants what lies in a directory: one empty file for each claim, in `.users`.

Claims that want the same weights share the directory, and no claim can see the others. Each run
that publishes leaves the name of its claim here, each removal takes its own away, and weights go
only when no name is left. A claim that was deleted leaves its name behind: what it used is then
kept until a person removes it, which is the safe side.
"""

import os
import pathlib
import uuid

from preload import documents

NAME = ".users"


def add(home: pathlib.Path, user: str) -> None:
    """Put a name down; the directory is made if it is not there.

    Args:
        home: The directory of an item.
        user: <namespace>/<name>; a namespace has no dot, so the file's name is nobody else's.
    """
    (home / NAME).mkdir(parents=True, exist_ok=True)
    _file(home, user).touch()


def since(home: pathlib.Path, user: str) -> int | None:
    """When a name was put down last, by the volume's clock in nanoseconds; None without it."""
    try:
        # Opened: an NFS client asks the server then, and caches a stat.
        with documents.opened(_file(home, user)) as handle:
            return os.fstat(handle).st_mtime_ns
    except (FileNotFoundError, documents.NotRegularError):
        return None


def drop(home: pathlib.Path, user: str) -> None:
    """Take a name away, if it is there."""
    _file(home, user).unlink(missing_ok=True)


def present(home: pathlib.Path) -> list[str]:
    """The names, sorted, as <namespace>/<name>."""
    try:
        # A change of our own makes an NFS client drop the listing that it has kept.
        probe = home / NAME / f".probe-{uuid.uuid4().hex}"
        probe.touch()
        probe.unlink(missing_ok=True)
        names = [path.name for path in (home / NAME).iterdir() if not path.name.startswith(".")]
    except FileNotFoundError:
        return []
    return sorted(name.replace(".", "/", 1) for name in names)


def _file(home: pathlib.Path, user: str) -> pathlib.Path:
    return home / NAME / user.replace("/", ".", 1)
