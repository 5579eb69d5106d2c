"""Where files are read: on the disk, or in a revision of a git repository, without a checkout."""

import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Protocol

# Bytes of a file. The claims and objects of a large fleet have 10 MiB.
MOST_BYTES = 64 * 1024 * 1024
# Seconds for one call of git: a revision of a large repository is listed in a few.
_PATIENCE = 60

# The name of standard input among files.
STANDARD_INPUT = "-"

_SUFFIXES = frozenset((".json", ".yaml", ".yml"))
# A file, executable or not, as git lists it; a link or a submodule is none.
_BLOBS = ("100644", "100755")


class UnreadableError(Exception):
    """A file, directory or revision cannot be read, or holds something else than was expected.

    Attributes:
        words: What is wrong.
        file: Where; empty where it is no one file.
        line: The same, from 1, or 0.
        column: The same.
    """

    def __init__(self, words: str, file: str = "", line: int = 0, column: int = 0) -> None:
        super().__init__(words, file, line, column)
        self.words, self.file, self.line, self.column = words, file, line, column

    def __str__(self) -> str:
        place = [self.file, *(str(number) for number in (self.line, self.column) if number)]
        return f"{':'.join(place)}: {self.words}" if self.file else self.words


class Tree(Protocol):
    """Files by name."""

    def files(self, name: str, note: Callable[[UnreadableError], None]) -> list[str]:
        """Returns the manifests of a directory at any depth, by name; a file or `-` is itself.

        Args:
            name: A file or a directory.
            note: Takes what cannot be read; the rest is listed.
        """

    def text(self, file: str) -> str:
        """Returns what a file says.

        Raises:
            UnreadableError: It cannot be read, is too large, or is not UTF-8.
        """


class Disk:
    """The files as they lie on the disk."""

    def files(self, name: str, note: Callable[[UnreadableError], None]) -> list[str]:
        """Returns the manifests of a directory, or the file itself."""
        if not os.path.isdir(name):
            return [name]

        def failed(error: OSError) -> None:
            note(_unreadable(str(error.filename or name), error))

        listed = [
            pathlib.Path(directory, file)
            for directory, _, files in os.walk(name, onerror=failed)
            for file in files
        ]
        return [str(path) for path in sorted(listed) if path.suffix in _SUFFIXES]

    def text(self, file: str) -> str:
        """Returns what a file says; `-` is standard input."""
        try:
            if file == STANDARD_INPUT:
                if sys.stdin is None:
                    raise UnreadableError("standard input is closed", file)
                data = sys.stdin.buffer.read(MOST_BYTES + 1)
            else:
                with pathlib.Path(file).open("rb") as opened:
                    data = opened.read(MOST_BYTES + 1)
        except OSError as error:
            raise _unreadable(file, error) from None
        return _decoded(file, data)


DISK = Disk()


class Revision:
    """The files as a revision of a git repository has them.

    A name is that of the work tree: a file that the revision does not have is no file, and a
    directory that it does not have is empty.
    """

    def __init__(self, revision: str) -> None:
        """Takes the revision.

        Raises:
            UnreadableError: There is no such commit, or no repository here.
        """
        # A name that begins with a dash would be an option.
        words = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]
        try:
            self._commit = _git(pathlib.Path(), words).decode().strip()
        except UnreadableError:
            raise UnreadableError(
                f"{revision}: neither a file or directory nor a revision of a git repository here"
            ) from None
        self.revision = revision

    def files(self, name: str, note: Callable[[UnreadableError], None]) -> list[str]:
        """Returns the manifests that the revision has at a name."""
        start, rest = _nearest(name)
        listing = ["ls-tree", "-r", "-z", self._commit, "--", rest or "."]
        try:
            listed = _git(start, listing)
        except UnreadableError as error:
            note(UnreadableError(f"{name} at {self.revision}: {error}"))
            return []
        paths = []
        for line in filter(None, listed.decode("utf-8", "surrogateescape").split("\0")):
            about, _, path = line.partition("\t")
            if about.split()[0] in _BLOBS:
                paths.append(pathlib.Path(start, path))
        # A file that is named itself may have any suffix.
        return [
            str(path)
            for path in sorted(paths)
            if path.suffix in _SUFFIXES or str(path) == str(pathlib.Path(name))
        ]

    def text(self, file: str) -> str:
        """Returns what a file said."""
        start, rest = _nearest(file)
        data = _git(start, ["cat-file", "blob", f"{self._commit}:./{rest}"])
        return _decoded(f"{file} at {self.revision}", data)


def _nearest(name: str) -> tuple[pathlib.Path, str]:
    """Returns the nearest directory that is on the disk now, and the rest of the name."""
    path = pathlib.Path(name)
    start = path if path.is_dir() else path.parent
    while not start.is_dir():
        start = start.parent
    rest = path.relative_to(start)
    return start, "" if rest == pathlib.Path() else str(rest)


def _git(directory: pathlib.Path, words: Sequence[str]) -> bytes:
    """Returns what a command of git prints, run in a directory.

    Raises:
        UnreadableError: There is no git, or it failed.
    """
    # A file's name is a name and no pattern; a repository runs no program of its own here.
    command = ["git", "--literal-pathspecs", "-c", "core.fsmonitor=false", *words]
    try:
        ran = subprocess.run(
            command, cwd=directory, capture_output=True, check=False, timeout=_PATIENCE
        )
    except FileNotFoundError:
        raise UnreadableError("a revision is read with git, and there is no git") from None
    except subprocess.TimeoutExpired:
        raise UnreadableError(f"git took longer than {_PATIENCE} s") from None
    if ran.returncode != 0:
        words_of_git = ran.stderr.decode(errors="replace").strip().splitlines()
        raise UnreadableError(
            words_of_git[-1] if words_of_git else f"git ended with {ran.returncode}"
        )
    return ran.stdout


def _decoded(file: str, data: bytes) -> str:
    if len(data) > MOST_BYTES:
        raise UnreadableError(f"larger than {MOST_BYTES // 1024 // 1024} MiB", file)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableError("not UTF-8", file, line) from None


def _unreadable(name: str, error: OSError) -> UnreadableError:
    return UnreadableError(str(error.strerror or error), name)
