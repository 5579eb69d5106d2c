"""JSON that others wrote, and files in places where others can write.

The hub's answers, files of a repository and notes on the volume are input: whatever they are,
reading them ends. A pipe does not block, a device is not read, and a document that is too deep or
too long is no document.
"""

import contextlib
import json
import os
import pathlib
import stat
from collections.abc import Iterator
from typing import Any

LARGEST = 64 << 20
"""Bytes of a file that is read whole: a manifest of 100,000 files has 20 MB."""


class NotRegularError(OSError):
    """A pipe, a device, a socket, a directory or a symbolic link lies where a file should."""


def decode(content: bytes) -> Any:
    """Return what JSON says.

    Raises:
        ValueError: It is no JSON, or JSON that is nested too deeply.
    """
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("JSON that is nested too deeply") from error


@contextlib.contextmanager
def opened(path: pathlib.Path, *, follow: bool = False) -> Iterator[int]:
    """Open a regular file for reading, for the time of the context.

    Args:
        path: The file.
        follow: Whether the last part of the path may be a symbolic link.

    Raises:
        NotRegularError: Something else lies there.
        OSError: Of the volume.
    """
    if not follow and path.is_symlink():
        raise NotRegularError(f"{path} is a symbolic link")
    # Without O_NONBLOCK the open of a pipe waits for a writer for ever.
    flags = os.O_RDONLY | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    handle = os.open(path, flags)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise NotRegularError(f"{path} is no regular file")
        yield handle
    finally:
        os.close(handle)


def head(path: pathlib.Path, limit: int, *, follow: bool = False) -> bytes:
    """Return the first bytes of a regular file.

    Raises:
        NotRegularError: Something else lies there.
        OSError: Of the volume.
    """
    with opened(path, follow=follow) as handle, open(handle, "rb", closefd=False) as file:
        return file.read(limit)


def read(
    path: pathlib.Path, *, limit: int = LARGEST, follow: bool = False
) -> dict[str, Any] | None:
    """Return the JSON object in a file, or None where there is none.

    Args:
        path: The file.
        limit: Bytes; a longer file holds none.
        follow: Whether the file may be a symbolic link.

    Raises:
        OSError: Of the volume.
    """
    try:
        content = head(path, limit + 1, follow=follow)
        document = decode(content) if len(content) <= limit else None
    except (FileNotFoundError, NotRegularError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def line(value: object, longest: int) -> str:
    """Return text of others so that it fits into a message: printable, and at most so long."""
    text = str(value)[:longest]
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
