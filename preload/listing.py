"""What a hub says that a repository holds, taken over only if it can be verified and stored."""

import dataclasses
import pathlib
import re
from typing import Literal

from preload import documents, exits, retries

Algorithm = Literal["sha256", "gitSha1"]

_MOST_FILES = 100_000
_LONGEST_NAME = 255
"""Bytes of a name, and below of a path, that a file system takes."""
_LONGEST_PATH = 1024
_LARGEST_FILE = 1 << 50
_DIGESTS: dict[Algorithm, re.Pattern[str]] = {
    "sha256": re.compile(r"[0-9a-f]{64}"),
    "gitSha1": re.compile(r"[0-9a-f]{40}"),
}
_COMMIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
"""The hub's are 40 hexadecimal digits; a mirror's may be something else that names a path."""


@dataclasses.dataclass(frozen=True)
class File:
    """A file as the hub describes it: SHA-256 for LFS objects, git's blob SHA-1 for others."""

    path: str
    size: int
    algorithm: Algorithm
    digest: str


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """All files of a repository at one commit."""

    repository: str
    sha: str
    files: tuple[File, ...]


def malformed(what: str) -> retries.TransientError:
    """JSON that was cut, or a page of a proxy in its place."""
    return retries.TransientError(f"not an answer of a hub ({what})")


def _refused(subject: str, words: str) -> exits.PreloadError:
    return exits.PreloadError(exits.Exit.VERIFICATION_FAILED, f"{subject}: {words}")


def _is_safe(path: str) -> bool:
    parts = path.split("/")
    if not path.isprintable() or "\\" in path or {"", ".", ".."} & set(parts):
        return False
    longest = max(len(part.encode()) for part in parts)
    return longest <= _LONGEST_NAME and len(path.encode()) <= _LONGEST_PATH


def _file(entry: object, subject: str) -> File:
    """Take one entry of the hub's list over, if its path is safe and its content can be checked."""
    path = entry.get("rfilename") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(path, str):
        raise malformed("a file without a name")
    if not _is_safe(path):
        raise _refused(
            subject, f"holds a file whose path is not safe to create: {documents.line(path, 300)!r}"
        )
    lfs = entry.get("lfs")
    algorithm: Algorithm = "gitSha1" if lfs is None else "sha256"
    size, digest = entry.get("size"), entry.get("blobId")
    if lfs is not None:
        size, digest = (lfs.get("size"), lfs.get("sha256")) if isinstance(lfs, dict) else (0, None)
    if not isinstance(size, int) or isinstance(size, bool) or not isinstance(digest, str):
        raise _refused(
            subject,
            f"the hub gives no size or hash for {path}, so it cannot be verified. A "
            "mirror in HF_ENDPOINT must pass `?blobs=True` of the model API on.",
        )
    if not 0 <= size <= _LARGEST_FILE or not _DIGESTS[algorithm].fullmatch(digest.lower()):
        raise _refused(
            subject, f"the hub gives a size or hash for {path} that none can be: see what answers."
        )
    return File(path, size, algorithm, digest.lower())


def is_commit(sha: object) -> bool:
    """Whether something can be the name of a commit: it stands in URLs, notes and the status."""
    return isinstance(sha, str) and bool(_COMMIT.fullmatch(sha)) and ".." not in sha


def read(repository: str, document: object, subject: str) -> Snapshot:
    """Read the answer of the model API.

    Raises:
        TransientError: It is none.
        exits.PreloadError: It is one that cannot be verified, or not be stored.
    """
    if not isinstance(document, dict):
        raise malformed("no object")
    sha, siblings = document.get("sha"), document.get("siblings")
    if not sha or not isinstance(siblings, list):
        raise retries.TransientError("an answer without commit or file list")
    if not is_commit(sha):
        raise _refused(subject, f"the hub names a commit that none can be: {str(sha)[:100]!r}")
    if len(siblings) > _MOST_FILES:
        raise _refused(subject, f"{len(siblings)} files are more than {_MOST_FILES}")
    files = tuple(_file(entry, subject) for entry in siblings)
    paths = {file.path for file in files}
    if len(paths) < len(files):
        raise _refused(subject, "the hub lists a file twice")
    for path in paths:
        for parent in pathlib.PurePosixPath(path).parents:
            if str(parent) in paths:
                raise _refused(subject, f"the hub lists {parent} as a file and as a directory")
    return Snapshot(repository, str(sha), files)
