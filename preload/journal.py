"""What has arrived of files that come in pieces.

A file that comes over several connections has holes until it is whole, and its length says nothing
of them. So before the first byte of such a file is written, a line about it stands in `.received`
beside `weights`, and for each part that was written another:

    ["model-00001-of-00002.safetensors", "<hash>"]
    ["model-00001-of-00002.safetensors", "<hash>", 0, 4194304]

A line without numbers forgets what stood before. A file without a line was written from its first
byte on: its length says what is there. The note is never believed: what it lists goes through the
hash like everything else, so a note that is wrong costs a download and no more. Lines are appended
in one write each and not synchronised: a killed process loses none, a node that dies loses both
lines and bytes.
"""

import contextlib
import json
import os
import pathlib
import threading

from preload import documents, extents, listing

NAME = ".received"


class Journal:
    """The note of one item's directory.

    Args:
        home: The directory.

    Raises:
        OSError: Of the volume.
    """

    def __init__(self, home: pathlib.Path) -> None:
        self._path = home / NAME
        self._lock = threading.Lock()
        self._handle: int | None = None
        self._there = read(self._path)

    def of(self, file: listing.File) -> extents.Extents | None:
        """Return what was written of a file; None where its length says it."""
        return self._there.get((file.path, file.digest))

    def begin(self, file: listing.File, there: extents.Extents) -> None:
        """Say that a file comes in pieces from now on, and what of it is there already."""
        self._append(file, (), *there)

    def add(self, file: listing.File, start: int, stop: int) -> None:
        """Note that a part was written."""
        self._append(file, (start, stop))

    def remove(self) -> None:
        """Remove the note: every file is whole, or none of them counts any more."""
        self.close()
        self._path.unlink(missing_ok=True)
        self._there = {}

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._handle is not None:
                os.close(self._handle)
                self._handle = None

    def _append(self, file: listing.File, *parts: tuple[int, ...]) -> None:
        lines = [json.dumps([file.path, file.digest, *part]) for part in parts]
        # A newline first: the line before may have been cut.
        rest = memoryview("".join(f"\n{line}\n" for line in lines).encode())
        with self._lock:
            if self._handle is None:
                self._handle = _open(self._path)
            while rest:
                rest = rest[os.write(self._handle, rest) :]


def _open(path: pathlib.Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        try:
            with documents.opened(path):
                pass
        except documents.NotRegularError:
            path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
    return os.open(path, flags, 0o644)


def read(path: pathlib.Path) -> dict[tuple[str, str], extents.Extents]:
    """Return what a note lists, by path and hash; lines that are none do not count."""
    there: dict[tuple[str, str], extents.Extents] = {}
    try:
        content = documents.head(path, documents.LARGEST)
    except (FileNotFoundError, documents.NotRegularError):
        return there
    for line in content.splitlines():
        match _decoded(line):
            case [str(name), str(digest)]:
                there[name, digest] = extents.Extents()
            case [str(name), str(digest), int(start), int(stop)] if 0 <= start < stop:
                there.setdefault((name, digest), extents.Extents()).add(start, stop)
    return there


def _decoded(line: bytes) -> object:
    try:
        return documents.decode(line)
    except ValueError:  # cut by the end of a process
        return None
