"""From the concerns' parts to the desired objects: patches, readiness, kinds that are absent."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping

from function import claim_rows, composition, kinds
from function.boundary import patches
from function.cluster import observed, readiness
from function.planning import identity
from function.situation import situations


@dataclasses.dataclass(frozen=True)
class Part:
    """One object of a concern.

    Attributes:
        suffix: End of its key.
        manifest: The object.
        verdict: Whether it is ready, where its kind's own signal does not decide.
        finished: True when the author's patch is in it already.
    """

    suffix: str
    manifest: identity.Manifest
    verdict: readiness.Readiness | None = None
    finished: bool = False


@dataclasses.dataclass(frozen=True)
class Desired:
    """What is desired.

    Attributes:
        resources: Objects by key.
        missing: Kinds that the cluster lacks (`<apiVersion> <kind>`), by key suffix.
        optional: `(apiVersion, kind)` of every kind that the cluster may lack and that has no
            observed object: core is asked whether it is installed.
        unobserved: What no observed object has the key of: its name may be taken.
        table: The rows of the kind of claim.
    """

    resources: Mapping[str, composition.Composed]
    missing: Mapping[str, str]
    optional: frozenset[tuple[str, str]]
    unobserved: tuple[composition.Composed, ...]
    table: kinds.Table = claim_rows.TABLE

    def lacking(self, condition: str) -> str | None:
        """Returns the first missing kind that a condition speaks for, or None."""
        for suffix, absent in self.missing.items():
            if self.table.row(suffix).condition == condition:
                return absent
        return None

    def waits(self, condition: str) -> str | None:
        """Returns what the first object that a condition speaks for waits for, or None.

        The first by the order of causes: what is named is what the others wait for.
        """
        waiting = [
            composed
            for composed in self.resources.values()
            if not composed.ready and self.table.row(composed.suffix).condition == condition
        ]
        first = min(waiting, key=self._rank, default=None)
        return None if first is None else first.waits

    def first_wait(self) -> str | None:
        """Returns what the first object of all waits for, by the order of causes, or None."""
        waiting = [composed for composed in self.resources.values() if not composed.ready]
        first = min(waiting, key=self._rank, default=None)
        return None if first is None else first.waits

    def _rank(self, composed: composition.Composed) -> tuple[int, str]:
        return self.table.rank(composed.suffix)


def assemble(now: situations.Situation, parts: Iterable[Part]) -> Desired:
    """Returns what is desired of an InferenceService, with its author's patches.

    Raises:
        base.InvalidError: A patch of the author's touches what no patch may touch.
        ValueError: Two parts have one key: two builders claim one object.
    """

    def patched(part: Part, row: kinds.Row) -> identity.Manifest:
        if row.patch is None or part.finished:
            return part.manifest
        return patches.apply(now.plan.resource, now.plan.site, row.patch, part.manifest)

    return assembled(now.world, now.plan.identity, parts, claim_rows.TABLE, patched)


def _unpatched(part: Part, _: kinds.Row) -> identity.Manifest:
    return part.manifest


def assembled(
    world: observed.Observed,
    who: identity.Identity,
    parts: Iterable[Part],
    table: kinds.Table,
    patched: Callable[[Part, kinds.Row], identity.Manifest] = _unpatched,
) -> Desired:
    """Returns what is desired of a claim of any kind.

    Args:
        world: What the cluster reports.
        who: Whose objects they are.
        parts: The objects of all concerns.
        table: The rows of the kind of claim.
        patched: Returns an object with what its author changes in it.

    Raises:
        ValueError: Two parts have one key: two builders claim one object.
    """
    resources: dict[str, composition.Composed] = {}
    missing: dict[str, str] = {}
    optional: set[tuple[str, str]] = set()
    unobserved: list[composition.Composed] = []
    for part in parts:
        key = who.key(part.suffix)
        if key in resources:
            raise ValueError(f"two builders for key {key}")
        row = table.row(part.suffix)
        resource = world.get(part.suffix)
        if row.kind.optional and resource is None:
            kind = (part.manifest["apiVersion"], part.manifest["kind"])
            optional.add(kind)
            if world.lacks(*kind):
                missing[part.suffix] = " ".join(kind)
                continue
        resources[key] = _composed(part, patched(part, row), row, resource)
        if resource is None:
            unobserved.append(resources[key])
    return Desired(resources, missing, frozenset(optional), tuple(unobserved), table)


def _composed(
    part: Part,
    manifest: identity.Manifest,
    row: kinds.Row,
    resource: observed.Object | None,
) -> composition.Composed:
    verdict = part.verdict
    if verdict is None:
        check = row.kind.ready or readiness.there
        verdict = readiness.NOT_CREATED if resource is None else check(resource)
    return composition.Composed(
        suffix=part.suffix,
        manifest=manifest,
        ready=verdict.ready,
        waits="" if verdict.ready else f"{manifest['kind']}: {verdict.message}",
    )
