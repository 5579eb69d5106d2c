"""The plan: what to download and where to, one JSON document in `PRELOAD_PLAN`.

    {"modelsDirectory": "/models",
     "user": "<namespace>/<claim>",
     "cacheDirectory": ".compile-cache/<claim>",
     "items": [{"kind": "base", "repository": "Qwen/Qwen3-8B", "revision": "main",
                "directory": "base-<hex>", "legacyDirectory": "main"}]}

`cacheDirectory` and `legacyDirectory` may be absent. A plan that removes has, in the place of
`items` and `cacheDirectory`, the directories that `user` has no use for any more:

    {"modelsDirectory": "/models", "user": "<namespace>/<claim>", "remove": ["base-<hex>"]}

All paths but the first are relative to `modelsDirectory` and stay below it.
"""

import dataclasses
import pathlib
import re
from typing import Any, Literal

from huggingface_hub import errors as hub_errors
from huggingface_hub import utils as hub_utils

from preload import documents, exits

Kind = Literal["base", "adapter"]

_PATH = re.compile(r"[A-Za-z0-9._@+=-]+(/[A-Za-z0-9._@+=-]+)*")
# What git allows in a reference and the hub in a branch, tag, SHA or refs/pr/N.
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/@+=-]{0,254}")
# A namespace and the name of an object in it.
_USER = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclasses.dataclass(frozen=True)
class Item:
    """One repository at one revision, and the directory that belongs to it alone."""

    kind: Kind
    repository: str
    revision: str
    directory: str
    legacy_directory: str | None = None


@dataclasses.dataclass(frozen=True)
class Plan:
    """Everything one run has to make true.

    Attributes:
        models_directory: What all other paths lie below.
        user: The claim, as <namespace>/<name>.
        cache_directory: The engine's compile cache, to be made.
        items: What to publish; empty when something is to be removed.
        remove: Directories that `user` has no use for any more.
    """

    models_directory: pathlib.Path
    user: str
    cache_directory: str | None
    items: tuple[Item, ...]
    remove: tuple[str, ...] = ()


def _invalid(message: str) -> exits.PreloadError:
    return exits.PreloadError(exits.Exit.PLAN_INVALID, f"PRELOAD_PLAN: {message}")


def _object(value: Any, where: str, required: set[str], optional: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _invalid(f"{where} must be an object")
    if missing := sorted(required - value.keys()):
        raise _invalid(f"{where} lacks {', '.join(missing)}")
    if unknown := sorted(value.keys() - required - optional):
        raise _invalid(f"{where} has the unknown key {unknown[0]!r}")
    return value


def _path(value: Any, where: str) -> str:
    if not isinstance(value, str) or not _PATH.fullmatch(value) or len(value) > 1024:
        raise _invalid(f"{where} must be a relative path of plain characters, not {value!r}")
    if {".", ".."} & set(value.split("/")):
        raise _invalid(f"{where} must not contain the segments '.' or '..': {value!r}")
    return value


def _item(value: Any, where: str) -> Item:
    fields = _object(
        value, where, {"kind", "repository", "revision", "directory"}, {"legacyDirectory"}
    )
    if fields["kind"] not in ("base", "adapter"):
        raise _invalid(f"{where}.kind must be 'base' or 'adapter', not {fields['kind']!r}")
    repository, revision = fields["repository"], fields["revision"]
    try:
        if not isinstance(repository, str):
            raise _invalid(f"{where}.repository must be a string")
        hub_utils.validate_repo_id(repository)  # type: ignore[attr-defined]
    except hub_errors.HFValidationError as error:
        raise _invalid(f"{where}.repository: {error}") from error
    if not isinstance(revision, str) or not _REVISION.fullmatch(revision) or ".." in revision:
        raise _invalid(f"{where}.revision must be a SHA, branch, tag or refs/pr/N: {revision!r}")
    legacy = fields.get("legacyDirectory")
    return Item(
        kind=fields["kind"],
        repository=repository,
        revision=revision,
        directory=_path(fields["directory"], f"{where}.directory"),
        legacy_directory=None if legacy is None else _path(legacy, f"{where}.legacyDirectory"),
    )


def _overlap(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _refuse_overlap(plan: Plan) -> None:
    """Two items, or an item and a directory that must not be touched, may not share a path."""
    taken: list[tuple[str, str]] = []
    if plan.cache_directory is not None:
        taken.append(("cacheDirectory", plan.cache_directory))
    for index, item in enumerate(plan.items):
        if item.legacy_directory is not None:
            taken.append((f"items[{index}].legacyDirectory", item.legacy_directory))
    for index, item in enumerate(plan.items):
        for name, path in taken:
            if _overlap(item.directory, path):
                raise _invalid(f"items[{index}].directory {item.directory!r} overlaps {name}")
        taken.append((f"items[{index}].directory", item.directory))


def parse(text: str) -> Plan:
    """Read and check a plan.

    Raises:
        exits.PreloadError: With `PLAN_INVALID` and the place of the first error.
    """
    try:
        document = documents.decode(text.encode(errors="replace"))
    except ValueError as error:
        raise _invalid(f"not JSON: {error}") from error
    removes = isinstance(document, dict) and "remove" in document
    fields = _object(
        document,
        "the plan",
        {"modelsDirectory", "user", "remove" if removes else "items"},
        set() if removes else {"cacheDirectory"},
    )
    models, user = fields["modelsDirectory"], fields["user"]
    if not isinstance(models, str) or not models.startswith("/") or "\0" in models:
        raise _invalid(f"modelsDirectory must be an absolute path, not {models!r}")
    if not isinstance(user, str) or not _USER.fullmatch(user):
        raise _invalid(f"user must be <namespace>/<name>, not {user!r}")
    cache = fields.get("cacheDirectory")
    plan = Plan(
        models_directory=pathlib.Path(models),
        user=user,
        cache_directory=None if cache is None else _path(cache, "cacheDirectory"),
        items=tuple(_item(item, where) for item, where in _entries(fields, "items")),
        remove=tuple(_path(path, where) for path, where in _entries(fields, "remove")),
    )
    _refuse_overlap(plan)
    return plan


def _entries(fields: dict[str, Any], key: str) -> list[tuple[Any, str]]:
    """The entries of a list that must not be empty where it is, each with its place."""
    entries = fields.get(key)
    if key not in fields:
        return []
    if not isinstance(entries, list) or not entries:
        raise _invalid(f"{key} must be a list with at least one entry")
    return [(entry, f"{key}[{index}]") for index, entry in enumerate(entries)]
