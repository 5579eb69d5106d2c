"""What the program says: a log of JSON lines, and the container's termination message."""

import datetime
import json
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from preload import exits, figures

_LIMIT = 4000
"""Bytes; the kubelet cuts a termination message at 4096."""

_ITEM_KEYS = ("directory", "repository", "revision", "sha", "bytes")
_CHECKPOINT_KEYS = ("dtype", "quantization", "contextLimit", "loraRank", "baseModel")

_DISPENSABLE = (
    ("repository", "revision"),
    ("config", "tensors"),
    ("architecture", *_CHECKPOINT_KEYS),
    ("sha",),
)
"""What goes from a message that is too long, in this order."""


class Log:
    """One JSON object for each event, on standard output; the token never."""

    def __init__(self, secret: str | None = None) -> None:
        self.secret = secret

    def scrub(self, text: str) -> str:
        """Replace the token, should an error of a library carry it."""
        return text.replace(self.secret, "***") if self.secret else text

    def __call__(self, event: str, level: str = "info", **fields: object) -> None:
        """Write one line.

        Args:
            event: What happened, a constant in kebab-case.
            level: `info`, `warning` or `error`.
            **fields: What it happened to; values that JSON knows.
        """
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "level": level, "event": event, **fields})
        # One call: lines of several threads do not mix.
        sys.stdout.write(self.scrub(line) + "\n")
        sys.stdout.flush()


def _encode(document: Mapping[str, object]) -> bytes:
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    return text.encode(errors="replace")  # JSON of others may hold halves of characters


def _item(directory: str, manifest: Mapping[str, Any]) -> dict[str, object]:
    checkpoint = manifest["checkpoint"]
    architectures = checkpoint["architectures"]
    own = {}
    if checkpoint.get("config") is not None and checkpoint.get("tensors") is not None:
        own = {"config": figures.packed(checkpoint["config"]), "tensors": checkpoint["tensors"]}
    return {
        **{key: manifest.get(key) for key in _ITEM_KEYS},
        "directory": directory,
        "dtype": checkpoint["dtype"],
        "quantization": checkpoint["quantization"],
        "architecture": architectures[0] if architectures else None,
        "contextLimit": checkpoint["contextLimit"],
        "loraRank": checkpoint["loraRank"],
        "baseModel": checkpoint.get("baseModel"),
        **own,
    }


def success(published: Sequence[tuple[str, Mapping[str, Any]]]) -> bytes:
    """The message of a run that published everything, at most 4000 bytes.

    When many items have long names, what the reader knows already goes first: the names, since
    the directory identifies the item, then the figures of the model, which the manifest keeps, then
    what else describes the checkpoints. A base model's figures have `config` as `figures.packed`
    writes it, and `tensors`.

    Args:
        published: For each item its directory and its manifest.
    """
    items = [_item(directory, manifest) for directory, manifest in published]
    for dropped in ((), *_DISPENSABLE):
        for item in items:
            for key in dropped:
                item.pop(key, None)
        message = _encode({"items": items})
        if len(message) <= _LIMIT:
            return message
    return _encode({"items": []})


def removal(result: Mapping[str, str | None]) -> bytes:
    """The message of a run that removed: for each directory why it stays, or null; 4000 bytes."""
    message = _encode({"removals": result})
    return message if len(message) <= _LIMIT else _encode({"removals": {}})


def failure(exit_code: exits.Exit, message: str) -> bytes:
    """The message of a run that failed, at most 4000 bytes."""
    encoded = _encode({"error": exit_code.reason, "message": message})
    while len(encoded) > _LIMIT:
        message = message[: len(message) * 3 // 4]
        encoded = _encode({"error": exit_code.reason, "message": f"{message}…"})
    return encoded


def terminate(path: str, message: bytes, log: Log) -> None:
    """Write the termination message; a container without the file is no error.

    The file is a bind mount of the kubelet's, so it is written in place, never made or renamed.
    """
    try:
        if pathlib.Path(path).exists():
            pathlib.Path(path).write_bytes(log.scrub(message.decode()).encode())
    except OSError as error:
        log("termination-message-lost", level="warning", path=path, error=str(error))
