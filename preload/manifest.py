"""The manifest: the one file that says what is whole.

    {"version": 1, "kind": "base", "endpoint": "https://huggingface.co",
     "repository": "Qwen/Qwen3-8B", "revision": "main",
     "sha": "<commit>", "weights": "weights", "bytes": 16393450000,
     "files": [{"path": "config.json", "size": 728, "gitSha1": "<hex>"},
               {"path": "model-00001-of-00005.safetensors", "size": 3996250744, "sha256": "<hex>"}],
     "checkpoint": {...}}

`weights` is where the files lie, relative to the directory of the manifest: `weights` itself, or
what the symbolic link `weights` points at. `checkpoint` is what `checkpoint.describe` returns.
`endpoint` is who gave the sizes and hashes: a mirror vouches for its own content alone. Manifests
before 1.1.0 do not have it and stay true, whichever endpoint the site had then.
"""

import contextlib
import json
import os
import pathlib
import stat
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from preload import checkpoint, documents, listing, plan

VERSION = 1
NAME = "manifest.json"
WEIGHTS = "weights"
UNFINISHED = ".tmp"
"""Suffix of a file that `write` did not live to rename."""


def build(
    item: plan.Item,
    endpoint: str,
    sha: str,
    files: Sequence[listing.File],
    home: pathlib.Path,
    place: str,
) -> dict[str, Any]:
    """Put a manifest together.

    Args:
        item: What was asked for.
        endpoint: The hub that gave sizes and hashes.
        sha: The commit that it resolved to.
        files: What was verified.
        home: The item's directory.
        place: Where the files lie, relative to `home`.
    """
    return {
        "version": VERSION,
        "kind": item.kind,
        "endpoint": endpoint,
        "repository": item.repository,
        "revision": item.revision,
        "sha": sha,
        "weights": place,
        "bytes": sum(file.size for file in files),
        "files": [
            {"path": file.path, "size": file.size, file.algorithm: file.digest} for file in files
        ],
        "checkpoint": checkpoint.describe(home / WEIGHTS, item.kind, (file.path for file in files)),
    }


def read(path: pathlib.Path) -> dict[str, Any] | None:
    """A JSON object from a file, or None if there is no such file or no object in it."""
    return documents.read(path)


def is_for(document: Mapping[str, Any], item: plan.Item) -> bool:
    """Whether a manifest, or a note in its manner, is about this repository and revision."""
    return (
        document.get("repository") == item.repository and document.get("revision") == item.revision
    )


def _place(home: pathlib.Path) -> str | None:
    weights = home / WEIGHTS
    if weights.is_symlink():
        return str(weights.readlink())
    return WEIGHTS if weights.is_dir() else None


def holds(document: Mapping[str, Any], item: plan.Item, endpoint: str, home: pathlib.Path) -> bool:
    """Whether a manifest is this item's, of this endpoint, and every file is there with its size.

    Names and sizes only: hashing 15 GiB again at each start of a Job would take minutes, and the
    content was hashed before the manifest was written.
    """
    if document.get("version") != VERSION or document.get("kind") != item.kind:
        return False
    place = document.get("weights")
    if not is_for(document, item) or place != _place(home):
        return False
    if document.get("endpoint", endpoint) != endpoint:
        return False
    if not isinstance(document.get("sha"), str) or not _describes(document.get("checkpoint")):
        return False
    files = document.get("files")
    if not isinstance(files, list) or not files:
        return False
    return all(_is_there(home / WEIGHTS, file, own=place == WEIGHTS) for file in files)


def _describes(described: object) -> bool:
    return isinstance(described, dict) and isinstance(described.get("architectures"), list)


def _is_there(weights: pathlib.Path, file: object, *, own: bool) -> bool:
    """Whether a file of a manifest is there with its size; a note may have been forged.

    Args:
        weights: Where the files lie.
        file: The entry of the manifest.
        own: True when this program made the files; in a directory of 0.9.0 they may be links.
    """
    path = file.get("path") if isinstance(file, dict) else None
    if not isinstance(file, dict) or not isinstance(path, str):
        return False
    if {"", ".", ".."} & set(path.split("/")):
        return False
    try:
        there = (weights / path).lstat() if own else (weights / path).stat()
    except (OSError, ValueError):  # also a name that none can have
        return False
    return stat.S_ISREG(there.st_mode) and there.st_size == file.get("size")


def sync_directory(path: pathlib.Path) -> None:
    """Make the names in a directory durable, where the file system knows such a thing."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)


def write(path: pathlib.Path, document: Mapping[str, Any]) -> None:
    """Write a small JSON file so that a reader sees the old one or the new one, never a part."""
    other = path.with_name(f"{path.name}.{uuid.uuid4().hex}{UNFINISHED}")
    try:
        with other.open("xb") as file:
            file.write(json.dumps(document, indent=1).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        other.replace(path)
    except BaseException:
        other.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)
