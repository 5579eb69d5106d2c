"""What a cluster has, as far as it follows from older claims: those of a revision or a directory.

Older claims are rendered as if all that they become were there and well. What is compared with such
a cluster is told as what applying does to a fleet that runs.
"""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import Any

from function import canonical
from function.api import base, settings
from function.cli import (
    documents,
    door_changes,
    healthy,
    neighbours,
    pipeline,
    rendering,
    snapshot,
    trees,
)
from function.cluster import observed
from function.composites import inference_service


@dataclasses.dataclass(frozen=True)
class Before:
    """What is compared with.

    Attributes:
        cluster: The objects.
        words: What it is, for people: a revision, a directory, or observed objects.
        notes: What a person should know of it.
        unreadable: What could not be read.
        wider: Whether it may hold more than the files that are compared with it: a cluster and a
            directory do; a revision was asked for the same files.
        doors: What front doors asked for.
    """

    cluster: snapshot.Snapshot
    words: str
    notes: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    wider: bool = False
    doors: door_changes.Specs = dataclasses.field(default_factory=dict)


NOTHING = Before(snapshot.Snapshot(), "nothing")


def tree(name: str) -> trees.Tree:
    """Returns where older files are read: the disk for a path that is there, else a revision.

    Raises:
        documents.UnreadableError: It is neither.
    """
    return trees.DISK if os.path.exists(name) else trees.Revision(name)


def observed_objects(name: str) -> list[dict[str, Any]] | None:
    """Returns the objects of a path, where they were taken from a cluster, or None.

    Objects of a cluster are told by what the function composed among them, or by a claim's status.

    Raises:
        documents.UnreadableError: The path cannot be read.
    """
    if not os.path.exists(name):
        return None
    objects = list(documents.read(name))
    lives = any(
        snapshot.key_of(item) or (snapshot.is_claim(item) and item.get("status"))
        for item in objects
    )
    return objects if lives else None


def read(
    name: str, claims: tuple[str, ...], site: settings.Settings, before: settings.Settings
) -> Before:
    """Returns what is compared with.

    Args:
        name: A directory or file of older claims, of observed objects, or a revision.
        claims: Files and directories of the claims that are compared: a revision has them too.
        site: The settings.
        before: The settings under which older claims were rendered.

    Raises:
        documents.UnreadableError: There is nothing of that name.
    """
    objects = observed_objects(name)
    if objects is not None:
        there = [documents.Source(name, item) for item in objects if "kind" in item]
        doors = door_changes.specs(there, [])
        whole = snapshot.Snapshot(objects)
        return Before(whole, f"the objects of {name}", wider=True, doors=doors)
    here = tree(name)
    older = documents.claims((name,) if here is trees.DISK else claims, here)
    notes, refused = list[str](), list[str]()
    doors = door_changes.specs(older.sources, refused)
    notes += [f"{one}: refused as it is at {name}, so it is compared as new" for one in refused]
    played = [
        item
        for source in older.sources
        for item in _played(source, older.sources, before, name, notes)
    ]
    return Before(
        snapshot.Snapshot(played),
        name,
        tuple(notes),
        tuple(map(str, older.unreadable)),
        os.path.isdir(name),
        doors,
    )


def _played(
    source: documents.Source,
    beside: Sequence[documents.Source],
    site: settings.Settings,
    name: str,
    notes: list[str],
) -> Iterator[dict[str, Any]]:
    """Yields an older claim, and what it became, all of it there and well."""
    try:
        if source.misspelt or rendering.other_kind(source) is not None:
            return
        resource = rendering.parse(source.document)
        given = rendering.served(source, resource, site)
        answer = inference_service.compose(resource, site, given)
        given = neighbours.told(given, answer, source, beside, pipeline.NOTHING)
        world, answer = healthy.settled(resource, site, given)
    except base.InvalidError:
        notes.append(f"{source}: refused as it is at {name}, so it is compared as a new claim")
        return
    status = {
        **answer.status,
        "conditions": [dataclasses.asdict(condition) for condition in answer.conditions],
    }
    yield {**source.document, "status": status}
    for key, manifest in world.resources.items():
        metadata = dict(manifest["metadata"])
        metadata["labels"] = {
            **metadata.get("labels", {}),
            snapshot.COMPOSITE_LABEL: source.name,
        }
        metadata["annotations"] = {
            **metadata.get("annotations", {}),
            snapshot.KEY_ANNOTATION: key,
        }
        yield canonical.plain({**manifest, "metadata": metadata})


# --- crossplane-diff


class NoDiffError(ValueError):
    """A file was read, and holds no JSON of crossplane-diff."""


def of_crossplane_diff(
    name: str, values: Sequence[Any], site: settings.Settings
) -> tuple[documents.Claims, Before]:
    """Returns the claims of crossplane-diff's JSON, and the cluster that it compared them with.

    crossplane-diff renders on a live cluster and strips every status. A claim that it calls changed
    has its old and its new form among its changes; what the old form became is played here.

    Args:
        name: The file's name, for messages.
        values: The documents of the file.
        site: The settings.

    Raises:
        NoDiffError: It is no such JSON.
    """
    report = values[0] if len(values) == 1 else None
    groups = report.get("xrs") if isinstance(report, dict) else None
    if not isinstance(groups, list):
        words = "no JSON of `crossplane-diff xr --output json`: it has no list `xrs`"
        raise NoDiffError(f"{name}: {words}")
    given, older, notes = documents.Claims(), list[documents.Source](), list[str]()
    for group in groups:
        who = observed.at(group, "xr")
        if not (isinstance(who, dict) and snapshot.is_claim({"apiVersion": "", "kind": "", **who})):
            continue
        label = f"{who.get('namespace') or 'default'}/{who.get('name')}"
        for error in observed.at(group, "errors") or []:
            words = observed.at(error, "message") or error
            given.unreadable.append(documents.UnreadableError(f"{label}: crossplane-diff: {words}"))
        old, new = _claim_of(group, who)
        if old is not None:
            older.append(documents.Source(name, old))
        if new is not None:
            given.sources.append(documents.Source(name, new))
        if old is None and new is None and observed.at(group, "changes"):
            notes.append(
                f"{label}: the claim itself does not change, so its form is not in this JSON:"
                f" {_counted(group)}"
            )
    played = [
        item for source in older for item in _played(source, older, site, "the cluster", notes)
    ]
    return given, Before(snapshot.Snapshot(played), "the cluster (crossplane-diff)", tuple(notes))


def _claim_of(
    group: Any, who: dict[str, Any]
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Returns a claim's old and new form, as far as a group of changes has them."""
    for change in observed.at(group, "changes") or []:
        same = all(
            observed.at(change, key) == who.get(key) for key in ("apiVersion", "kind", "name")
        )
        if not same:
            continue
        diff, kind = observed.at(change, "diff"), observed.at(change, "type")
        whole = observed.at(diff, "spec")
        if kind == "added":
            return None, _whole(whole)
        if kind == "removed":
            return _whole(whole), None
        return _whole(observed.at(diff, "old")), _whole(observed.at(diff, "new"))
    return None, None


def _whole(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) and isinstance(value.get("kind"), str) else None


def _counted(group: Any) -> str:
    changes = observed.at(group, "changes") or []
    kinds = sorted({f"{observed.at(one, 'type')} {observed.at(one, 'kind')}" for one in changes})
    return ", ".join(kinds)
