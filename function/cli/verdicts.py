"""What applying a claim does to what is in the cluster: to its pods, its route, its callers.

Nothing is said of what was not looked at: a kind of which the observed objects of a namespace hold
none may be in the cluster all the same. What the claim that lives there makes of such a kind is
told as that.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal

from function.api import base, claim
from function.cli import changes, concerns, documents, pod_changes, rendering, snapshot
from function.cluster import observed
from function.concerns import workload
from function.planning import identity, misfits
from function.workloads import workloads

Outcome = Literal["new", "changed", "unchanged", "refused", "removed"]
Effect = Literal["created", "changed", "unchanged", "deleted", "unknown"]

INVALID = "Invalid"
MISSPELT = "Misspelt"
DUPLICATE = "Duplicate"
FAILED = "Failed"

NOT_LOOKED_AT = "NotLookedAt"
# What an object remembers of a pod template: the template's own fields say it.
_MEMORY = tuple(
    f"metadata.annotations.{name}"
    for name in (identity.TEMPLATE_ANNOTATION, identity.CLAIM_ANNOTATION)
)
# Its own version only guards a write.
_IGNORED = frozenset((*_MEMORY, "metadata.resourceVersion"))


@dataclasses.dataclass(frozen=True)
class Error:
    """Why a claim cannot be used as it is.

    Attributes:
        reason: Invalid, Misspelt, Duplicate, Failed, ExceedsGpuClass, TooLarge, or the name of a
            finding, which refuses nothing by itself.
        message: The same in words.
    """

    reason: str
    message: str


@dataclasses.dataclass(frozen=True)
class Object:
    """One object, and what becomes of it.

    Attributes:
        effect: unknown where its kind was not looked at and nothing says what it is so far.
        looked_at: False where what it is so far is what the living claim makes of it.
        ready: Whether its controller is content; None where nobody looked.
        waits: What it waits for, in words.
        fields: What changes in it, of what the function writes.
    """

    key: str
    kind: str
    name: str
    effect: Effect
    looked_at: bool
    ready: bool | None = None
    waits: str = ""
    fields: tuple[changes.Change, ...] = ()


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A claim, and what applying it does.

    Attributes:
        source: Where it was read; None for a claim that no file has.
        outcome: new, changed, unchanged, refused (nothing is composed) or removed (it lives in
            the cluster, and no file has it).
        errors: Why it cannot be used; the exit code is 1 then.
        notes: What a person should know that fails nothing.
        phase: Where it is in its life; None where that was not looked at.
        waiting_for: What it waits for, in words.
        conditions: Its conditions; of what was not looked at they are Unknown.
        pods: What happens to its pods.
        others: What else changes for people: route, canaries, callers, replicas, alerts.
        objects: What becomes of each object.
        not_looked_at: Kinds of it that were not looked at.
    """

    namespace: str
    name: str
    source: documents.Source | None
    outcome: Outcome
    errors: tuple[Error, ...] = ()
    notes: tuple[str, ...] = ()
    phase: str | None = None
    waiting_for: str = ""
    conditions: tuple[observed.Condition, ...] = ()
    pods: pod_changes.Pods = pod_changes.NONE
    others: concerns.Concerns = concerns.NONE
    objects: tuple[Object, ...] = ()
    not_looked_at: tuple[str, ...] = ()

    @property
    def current(self) -> str:
        """The reason of the condition Current, or an empty text."""
        return next((c.reason for c in self.conditions if c.type == workload.Current.type()), "")

    @property
    def unfit(self) -> bool:
        """Whether the claim is right in itself, and no replica could serve on its GPUs."""
        reasons = {error.reason for error in self.errors}
        return bool(reasons) and reasons <= {misfits.EXCEEDS_CLASS, misfits.TOO_LARGE}

    @property
    def miswritten(self) -> bool:
        """Whether the claim cannot be used as it is written, whatever GPUs there are."""
        return any(error.reason in (INVALID, MISSPELT, DUPLICATE) for error in self.errors)

    @property
    def doomed(self) -> bool:
        """Whether no replica could serve, and nothing refuses the claim: its pods start."""
        refused = self.miswritten or self.unfit
        return not refused and any(error.reason != FAILED for error in self.errors)


def of(item: rendering.Rendered, others: tuple[str, ...] = ()) -> Verdict:
    """Returns the verdict on a claim that was rendered.

    Args:
        item: The claim.
        others: Where else a claim of its name stands.
    """
    moved = pod_changes.of(item)
    objects = tuple(_objects(item, moved))
    unknown = not_looked_at(item)
    looked = unknown == () or not item.observed
    shown = item.answer.conditions if looked else tuple(_conditions(item, unknown))
    differs = any(one.effect in ("created", "changed", "deleted") for one in objects)
    changed = moved.moves or differs
    outcome: Outcome = "new" if not item.observed else "changed" if changed else "unchanged"
    return Verdict(
        namespace=item.resource.namespace,
        name=item.resource.name,
        source=item.source,
        outcome=outcome,
        errors=tuple(_errors(item, others)),
        notes=tuple(rendering.notes(item)),
        phase=_phase(item),
        waiting_for=_waiting_for(item, shown),
        conditions=shown,
        pods=moved,
        others=concerns.of(item),
        objects=objects,
        not_looked_at=unknown,
    )


def refused(source: documents.Source, reason: str, messages: tuple[str, ...]) -> Verdict:
    """Returns the verdict on a claim of which nothing is composed."""
    return Verdict(
        namespace=source.namespace,
        name=source.name,
        source=source,
        outcome="refused",
        errors=tuple(Error(reason, message) for message in messages),
    )


def removed(cluster: snapshot.Snapshot, namespace: str, name: str) -> Verdict:
    """Returns the verdict on a claim that lives in the cluster and that no file has."""
    composed = cluster.composed(namespace, name)
    alive = cluster.claim(namespace, name) or {}
    return Verdict(
        namespace=namespace,
        name=name,
        source=None,
        outcome="removed",
        phase=observed.at(alive, "status", "phase"),
        pods=pod_changes.of_removed(
            composed, rendering.live(alive), lambda kind: cluster.looked_at(kind, namespace)
        ),
        objects=tuple(
            Object(key, item["kind"], str(observed.at(item, "metadata", "name")), "deleted", True)
            for key, item in sorted(composed.items())
        ),
    )


def _errors(item: rendering.Rendered, others: tuple[str, ...]) -> Iterator[Error]:
    for other in others:
        yield Error(DUPLICATE, f"{other} has a claim of this name too: one would replace the other")
    if item.likely.misfit is not None:
        yield Error(item.likely.misfit.reason, item.likely.misfit.message)
    elif item.answer.status["phase"] == FAILED and _phase(item) == FAILED:
        yield Error(FAILED, str(item.answer.status.get("waitingFor") or "it failed"))


def not_looked_at(item: rendering.Rendered) -> tuple[str, ...]:
    """Returns the kinds that the claim becomes and that were not looked at."""
    if not item.observed:
        return ()
    kinds = {one.manifest["kind"] for one in item.likely.resources.values()}
    kinds |= {item.before[key]["kind"] for key in item.unseen}
    if "status" not in item.source.document:
        kinds.add(claim.KIND)
    return tuple(sorted(kind for kind in kinds if not item.looks(kind)))


def _conditions(item: rendering.Rendered, unknown: tuple[str, ...]) -> Iterator[observed.Condition]:
    """Yields the conditions; one that depends on what was not looked at is Unknown.

    It does when it is another where everything that was not looked at is there and well.
    """
    pairs = zip(item.answer.conditions, item.likely.conditions, strict=True)
    words = f"depends on what was not looked at: {', '.join(unknown)}"
    for answered, likely in pairs:
        if (answered.status, answered.reason) == (likely.status, likely.reason):
            yield answered
        else:
            yield observed.Condition(answered.type, "Unknown", NOT_LOOKED_AT, words)


def _phase(item: rendering.Rendered) -> str | None:
    """Returns the phase; the claim's last word where it depends on what was not looked at."""
    answered, likely = item.answer.status["phase"], item.likely.status["phase"]
    if answered == likely:
        return str(answered)
    phase = observed.at(item.source.document, "status", "phase")
    if phase is None and item.live is not None:
        phase = item.live.status.get("phase")
    return None if phase is None else str(phase)


def _waiting_for(item: rendering.Rendered, shown: tuple[observed.Condition, ...]) -> str:
    answered = str(item.answer.status.get("waitingFor", ""))
    if shown == item.answer.conditions:
        return answered
    return str(item.likely.status.get("waitingFor", ""))


# --- objects


def _objects(item: rendering.Rendered, verdict: pod_changes.Pods) -> Iterator[Object]:
    for key, composed in item.likely.resources.items():
        manifest = composed.manifest
        kind, looked = manifest["kind"], item.looks(manifest["kind"])
        before = item.before.get(key)
        ready = composed.ready if looked else None
        waits = composed.waits.removeprefix(f"{kind}: ") if looked else ""
        fields: tuple[changes.Change, ...] = ()
        effect: Effect = "created"
        if before is not None:
            fields = tuple(_fields(item, key, before, manifest))
            if workloads.of(manifest) is not None and not verdict.held:
                fields += verdict.fields
            effect = "changed" if fields else "unchanged"
        elif item.observed and not looked and item.dropped is None:
            effect = "unknown"
        name = str(manifest["metadata"]["name"])
        yield Object(key, kind, name, effect, looked or not item.observed, ready, waits, fields)
    for key in sorted(item.before.keys() - item.likely.resources.keys()):
        before = item.before[key]
        name = str(observed.at(before, "metadata", "name"))
        yield Object(key, str(before["kind"]), name, "deleted", key not in item.unseen)


def _fields(
    item: rendering.Rendered, key: str, before: observed.Object, manifest: dict[str, Any]
) -> Iterator[changes.Change]:
    """Yields what changes in an object, of what the function writes.

    A field that it writes no more goes when the claim as it lives still has it; of what else is
    in the object others are the owners.
    """
    old, new = _without_template(dict(before)), _without_template(manifest)
    yield from (c for c in changes.between(old, new, ours=True) if c.path not in _IGNORED)
    if item.dropped is not None and key in item.dropped:
        lived = {change.path for change in _gone(_without_template(item.dropped[key]), new)}
        yield from (change for change in _gone(old, new) if change.path in lived - _IGNORED)


def _gone(old: dict[str, Any], new: dict[str, Any]) -> Iterator[changes.Change]:
    """Yields the fields of maps that are there no more, one by one."""
    for change in changes.between(old, new):
        if change.new is changes.ABSENT and "[" not in change.path:
            yield from changes.leaves(change)


def _without_template(manifest: dict[str, Any]) -> dict[str, Any]:
    """Returns what there is of a manifest beside its status and its pod template.

    The template that runs is remembered word for word: what the API server defaulted in the
    workload's own copy is no change.
    """
    keeper = workloads.of(manifest)
    kept = manifest if keeper is None else keeper.without_templates(manifest)
    return {field: kept[field] for field in ("metadata", "spec", "data") if field in kept}


# --- for machines


def document(verdict: Verdict) -> dict[str, Any]:
    """Returns the verdict on a claim as it stands in JSON."""
    return {
        "namespace": verdict.namespace,
        "name": verdict.name,
        "file": None if verdict.source is None else verdict.source.file,
        "outcome": verdict.outcome,
        "errors": [dataclasses.asdict(error) for error in verdict.errors],
        "notes": list(verdict.notes),
        "phase": verdict.phase,
        "waitingFor": verdict.waiting_for,
        "conditions": [dataclasses.asdict(condition) for condition in verdict.conditions],
        "pods": verdict.pods.document(),
        **verdict.others.document(),
        "objects": [_object(item) for item in verdict.objects],
        "notLookedAt": list(verdict.not_looked_at),
    }


def _object(item: Object) -> dict[str, Any]:
    return {
        "key": item.key,
        "kind": item.kind,
        "name": item.name,
        "effect": item.effect,
        "lookedAt": item.looked_at,
        "ready": item.ready,
        "waitsFor": item.waits,
        "fields": [field.document() for field in item.fields],
    }


def problems(error: base.InvalidError) -> tuple[str, ...]:
    """Returns the problems of an error, each in a line."""
    return tuple(map(str, error.problems))
