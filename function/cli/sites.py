"""The settings of a render: EnvironmentConfigs over an input, or the built-in neutral ones."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from function.api import settings
from function.cli import documents, places, trees
from function.cluster import observed

GROUP = "inference-service.cloud.ogenki.io/"


@dataclasses.dataclass(frozen=True)
class Site:
    """The settings of a render.

    Attributes:
        notes: What a cluster would see differently, for standard error.
    """

    settings: settings.Settings
    notes: tuple[str, ...]


def read(environments: tuple[str, ...], input_file: str | None) -> Site:
    """Returns the settings; the built-in neutral ones when none are given.

    Raises:
        base.InvalidError: The settings break their schema.
        documents.UnreadableError: A file cannot be read.
    """
    configs = [document for name in environments for document in _configs(name)]
    if environments and not configs:
        raise documents.UnreadableError(f"{', '.join(environments)}: no EnvironmentConfig")
    if not configs and input_file is None:
        note = "no --environment given, rendering with neutral settings"
        return Site(settings.Settings(), (note,))
    given = _input(input_file) if input_file is not None else {}
    return Site(settings.assemble(given, {}, configs), tuple(_unread(configs)))


def at(
    environments: tuple[str, ...],
    input_file: str | None,
    tree: trees.Tree,
    now: settings.Settings,
    older_name: str,
) -> Site:
    """Returns the settings as older files had them; those of now where no older file has any.

    Args:
        environments: Files of EnvironmentConfigs, by their names of today.
        input_file: File of the Composition's input, or None.
        tree: Where older files are.
        now: The settings of today.
        older_name: What holds the older files, for people.

    Raises:
        base.InvalidError: The older settings break their schema.
        documents.UnreadableError: A file cannot be read.
    """

    def there(name: str) -> bool:
        return bool(tree.files(name, lambda _: None))

    older = tuple(name for name in environments if there(name))
    given_file = input_file if input_file is not None and there(input_file) else None
    named = (*environments, *(() if input_file is None else (input_file,)))
    missing = [name for name in named if name not in (*older, given_file)]
    notes: tuple[str, ...] = ()
    if missing:
        how = "without" if older or given_file else "under the settings of today"
        words = f"{', '.join(missing)}: not in {older_name}, so older claims are planned {how}"
        notes = (words,)
    if not older and given_file is None:
        return Site(now, notes)
    configs = [document for name in older for document in documents.read(name, tree)]
    given = _input(given_file, tree) if given_file is not None else {}
    return Site(settings.assemble(given, {}, configs), notes)


def place(environments: tuple[str, ...], input_file: str | None, path: str) -> tuple[str, int]:
    """Returns the file of a key of the settings, and its line; 0 where no file is read again.

    Of several files that have the key the last one counts, as they are merged. Of a key that none
    has it is the place that it would stand in.

    Args:
        environments: Files of EnvironmentConfigs.
        input_file: File of the Composition's input, or None.
        path: The key, below `inferenceService`.
    """
    configs = sorted((one for name in environments for one in documents.sources(name)), key=_named)
    roots = [(one, f"data.{settings.DATA_KEY}") for one in configs]
    if input_file is not None:
        roots = [(one, _within(one)) for one in documents.sources(input_file)] + roots
    if not roots:
        return next(iter((*environments, input_file or ""))), 0
    _, _, (source, root) = max(
        (_below(*root, path), index, root) for index, root in enumerate(roots)
    )
    return source.file, places.line(source.node, _joined(root, path))


def _named(source: documents.Source) -> str:
    return source.name


def _below(source: documents.Source, root: str, path: str) -> int:
    """Returns how many steps of a key an object has below its settings."""
    if source.node is None:
        return 0
    return places.depth(source.node, _joined(root, path)) - places.depth(source.node, root)


def _joined(root: str, path: str) -> str:
    return ".".join(part for part in (root, path) if part)


def _within(source: documents.Source) -> str:
    """Returns where an input has its settings: in itself, or in a step of a Composition."""
    if source.document["kind"] != "Composition":
        return ""
    steps = observed.at(source.document, "spec", "pipeline") or []
    for index, step in enumerate(steps):
        if str(observed.at(step, "input", "apiVersion")).startswith(GROUP):
            return f"spec.pipeline[{index}].input"
    return ""


def _configs(name: str) -> Iterator[dict[str, Any]]:
    for config in documents.read(name):
        if config["kind"] != "EnvironmentConfig":
            raise documents.UnreadableError(
                f"{name}: --environment takes EnvironmentConfigs, not {config['kind']}"
            )
        yield config


def _unread(configs: list[dict[str, Any]]) -> list[str]:
    """Returns a note for each EnvironmentConfig that a cluster would not read."""
    return [
        f"EnvironmentConfig {(config.get('metadata') or {}).get('name')} lacks the label"
        f' {settings.SETTINGS_LABEL}: "true": a cluster would not read it'
        for config in configs
        if observed.at(config, "metadata", "labels", settings.SETTINGS_LABEL) != "true"
    ]


def _input(name: str, tree: trees.Tree = trees.DISK) -> dict[str, Any]:
    """Returns the input itself, or that of the step of a Composition that takes settings."""
    document = next(documents.read(name, tree), None)
    if document is None:
        raise documents.UnreadableError("no document", name)
    if document["kind"] != "Composition":
        return document
    for step in observed.at(document, "spec", "pipeline") or []:
        given = observed.at(step, "input")
        if str(observed.at(given, "apiVersion")).startswith(GROUP):
            return dict(given)
    raise documents.UnreadableError("no step of the Composition takes settings", name)
