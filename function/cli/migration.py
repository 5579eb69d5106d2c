"""A claim of 0.9.0 as it is written today: the same meaning, in today's fields.

Each step is tried by itself, and stays when the claim still becomes the same objects.
"""

import copy
import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from function.api import base, settings
from function.cli import documents, edits, migration_steps, sameness
from function.situation import renderings

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_COMPOSITE = "crossplane.io/composite"
# What the API server and core keep in metadata.
_KEPT_BY_OTHERS = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)
# Differences of a step that stays out, in its note.
_MOST_DIFFERENCES = 2

Json = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Migrated:
    """A claim of today.

    Attributes:
        document: The claim.
        changes: What is written otherwise, in sentences.
        notes: What was left and why, and what applying the claim does.
        comments: Sentences above fields, by path.
        refused: Why the claim cannot be used.
    """

    document: Json
    changes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    comments: dict[edits.Path, str] = dataclasses.field(default_factory=dict)
    refused: tuple[str, ...] = ()


def migrated(source: documents.Source, site: settings.Settings) -> Migrated:
    """Returns the claim as it is written today.

    Args:
        source: The claim.
        site: The settings under which it has to become the same objects.
    """
    now = copy.deepcopy(source.document)
    changes = list(_cleaned(now))
    try:
        first = sameness.composed(dataclasses.replace(source, document=now), site)
    except base.InvalidError as error:
        return Migrated(now, tuple(changes), refused=tuple(map(str, error.problems)))
    notes = list(_of_core(source.document))
    last = first
    for step in migration_steps.steps(first.plan):
        tried = step(copy.deepcopy(now), first.plan)
        if tried is None:
            continue
        then, differs = _compared(first, dataclasses.replace(source, document=tried.claim), site)
        if then is None or differs:
            shown = "; ".join(differs[:_MOST_DIFFERENCES])
            notes.append(f"{tried.field} stays: as a field of today it would change {shown}")
            continue
        now, last = tried.claim, then
        changes.append(tried.words)
    notes += _of_applying(first, last)
    comments = {
        path: words
        for path, words in migration_steps.comments(now)
        if _was_stored(source.document, path)
    }
    return Migrated(now, tuple(changes), tuple(notes), comments)


def _compared(
    first: sameness.Composed, source: documents.Source, site: settings.Settings
) -> tuple[sameness.Composed | None, list[str]]:
    """Returns what a claim becomes, and how that differs from what it was."""
    try:
        then = sameness.composed(source, site)
    except base.InvalidError as error:
        return None, [str(problem) for problem in error.problems]
    return then, sameness.differences(first, then)


def _was_stored(document: Json, path: edits.Path) -> bool:
    """Tells whether 0.9.0's schema may have written a field, and not the author.

    It wrote into claims of a cluster; what somebody applied with kubectl is the author's.
    """
    metadata = document.get("metadata") or {}
    if not any(name in metadata for name in _KEPT_BY_OTHERS):
        return False
    applied = (metadata.get("annotations") or {}).get(_LAST_APPLIED)
    try:
        held = json.loads(applied) if isinstance(applied, str) else None
    except ValueError:
        return True
    for step in path:
        held = held.get(step) if isinstance(held, dict) else None
    return held is None


def _cleaned(document: Json) -> Iterator[str]:
    """Takes out what others keep in a claim; yields what that was."""
    metadata = document.get("metadata") or {}
    gone = [f"metadata.{name}" for name in _KEPT_BY_OTHERS if metadata.pop(name, None) is not None]
    for field, name in (("annotations", _LAST_APPLIED), ("labels", _COMPOSITE)):
        if name in (metadata.get(field) or {}):
            del metadata[field][name]
            gone.append(f"metadata.{field}[{name}]")
            if not metadata[field]:
                del metadata[field]
    if document.pop("status", None) is not None:
        gone.append("status")
    if gone:
        yield f"left out, since API server and core keep them: {', '.join(gone)}"
    spec = document.get("spec")
    if isinstance(spec, dict) and spec.pop("crossplane", None) is not None:
        yield "spec.crossplane is left out: core keeps it in the cluster"


def _of_core(document: Json) -> Iterator[str]:
    """Yields what leaving out spec.crossplane does where the author wrote it."""
    system = (document.get("spec") or {}).get("crossplane") or {}
    if system.get("compositionUpdatePolicy") == "Manual":
        yield (
            "spec.crossplane held the claim on a revision of the Composition (Manual): where it is"
            " applied without that field, the claim follows the newest revision"
        )


def _of_applying(first: sameness.Composed, last: sameness.Composed) -> Iterator[str]:
    """Yields what applying the claim does to pods that run."""
    if sameness.restarts(first, last):
        yield (
            "applying it restarts the pods once, and they compile once more: they get the same"
            " arguments in another order"
        )
    elif renderings.claim_hash(first.plan) != renderings.claim_hash(last.plan):
        yield (
            "applying it is an edit of fields that pods follow from: the pods stay as they are,"
            " unless Current=False/PlatformChangePending: then the edit accepts the platform's"
            " changes"
        )
