"""The hash of a file, as the hub gives it."""

import contextlib
import hashlib
import os
import pathlib
from typing import Protocol

from preload import documents, listing

CHUNK = 4 << 20
"""Bytes read at once when hashing."""


class Hash(Protocol):
    """A hash of `hashlib`."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Takes the next bytes in."""

    def hexdigest(self) -> str:
        """The hash of all of them."""
        ...


class Guard(Protocol):
    """The right to write here (`lease.Lease`); both methods raise when it is gone."""

    def alive(self) -> None:
        """Cheap check for each chunk."""

    def check(self) -> None:
        """Sure check before something is removed."""


def new(file: listing.File) -> Hash:
    """The hash of a file of which nothing was read."""
    if file.algorithm == "sha256":
        return hashlib.sha256()
    # git's object id: a header, then the content.
    blob = hashlib.sha1(usedforsecurity=False)
    blob.update(b"blob %d\0" % file.size)
    return blob


def verified(path: pathlib.Path, file: listing.File, guard: Guard) -> bool:
    """Whether a file has the size and the hash that the hub gives; reads it whole."""
    strange = (FileNotFoundError, NotADirectoryError, documents.NotRegularError)
    # A directory of 0.9.0 may hold links.
    with contextlib.suppress(*strange), documents.opened(path, follow=True) as handle:
        if os.fstat(handle).st_size != file.size:
            return False
        digest = new(file)
        buffer = memoryview(bytearray(CHUNK))
        position = 0
        while count := os.preadv(handle, [buffer], position):
            guard.alive()
            digest.update(buffer[:count])
            position += count
        return position == file.size and digest.hexdigest() == file.digest
    return False
