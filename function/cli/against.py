"""What a cluster has, as far as it follows from older claims: those of a revision or a directory.

Older claims are rendered as if all that they become were there and well. What is compared with such
a cluster is told as what applying does to a fleet that runs.
"""

import dataclasses
import os
from collections.abc import Iterator
from typing import Any

from function import canonical
from function.api import base, settings
from function.cli import documents, healthy, rendering, snapshot, trees


@dataclasses.dataclass(frozen=True)
class Before:
    """What is compared with.

    Attributes:
        cluster: The objects.
        words: What it is, for people: a revision, a directory, or observed objects.
        notes: What a person should know of it.
        unreadable: What could not be read.
    """

    cluster: snapshot.Snapshot
    words: str
    notes: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()


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
        return Before(snapshot.Snapshot(objects), f"the objects of {name}")
    here = tree(name)
    older = documents.claims((name,) if here is trees.DISK else claims, here)
    notes: list[str] = []
    played = [item for source in older.sources for item in _played(source, before, name, notes)]
    return Before(
        snapshot.Snapshot(played),
        name,
        tuple(notes),
        tuple(map(str, older.unreadable)),
    )


def _played(
    source: documents.Source, site: settings.Settings, name: str, notes: list[str]
) -> Iterator[dict[str, Any]]:
    """Yields an older claim, and what it became, all of it there and well."""
    try:
        if source.misspelt or rendering.other_kind(source) is not None:
            return
        resource = rendering.parse(source.document)
        given = rendering.served(source, resource, site)
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
