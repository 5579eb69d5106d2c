"""Which weights lie verified on the volume.

The directories that the claim wants gate the engine: they are recorded in the claim's status when a
Job that makes them has finished.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from function import canonical, claim_rows
from function.cluster import checkpoints, jobs, memory, observed
from function.planning import storage

MOST_RECORDS = 32


@dataclasses.dataclass(frozen=True)
class Ledger:
    """Which weights lie verified on the volume.

    Attributes:
        records: What is verified, in order, to be written to the status.
        generation: model.preload.generation of the last finished Job, or None.
        verified: True when every wanted directory is verified, or when the claim has no Job that
            verifies; and when pods could read what lies elsewhere.
        shown: True when the observed status already shows what is wanted as verified, for the
            generation that is wanted.
        unread: Why pods could not read what lies elsewhere, or None.
        listed: Where the observed list has adapters for pods that run, by name: verified ones.
        hot: Where pods of the claim's base model find its hot adapters. One of which another
            revision is not verified yet is where it was.
        loaded: Directories that pods may have loaded while they ran, and may read again.
    """

    records: tuple[Mapping[str, Any], ...]
    generation: int | None
    verified: bool
    shown: bool
    unread: str | None = None
    listed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    hot: Mapping[str, str] = dataclasses.field(default_factory=dict)
    loaded: frozenset[str] = frozenset()

    def ready(
        self, stored: storage.Storage, chosen: tuple[storage.Directory, ...]
    ) -> tuple[storage.Directory, ...]:
        """Returns those of some directories that are verified."""
        there = {record["directory"] for record in self.records}
        return tuple(one for one in chosen if stored.recorded(one) in there)

    def sha(self, directory: str) -> str | None:
        """Returns the commit that a directory holds, or None where nobody knows."""
        for record in self.records:
            if record["directory"] == directory and record.get("sha") is not None:
                return str(record["sha"])
        return None


def ledger(
    stored: storage.Storage,
    facts: checkpoints.Facts,
    remembered: memory.Memory,
    world: observed.Observed,
    unread: str | None = None,
) -> Ledger:
    """Returns which weights lie verified on the volume.

    Args:
        stored: Where the weights lie.
        facts: What is known of them.
        remembered: What the claim's status remembers.
        world: What the cluster reports.
        unread: Why pods could not read what lies elsewhere, or None.
    """
    if not stored.preloads:
        records = {name: dict(record) for name, record in remembered.records.items()}
        kept = _kept(records, stored.wanted)
        return Ledger(kept, remembered.generation, unread is None, True, unread)
    records = {name: dict(record) for name, record in facts.records.items()}
    for directory in stored.directories:
        name = stored.recorded(directory)
        if name in records:
            origin = {"repository": directory.repository, "revision": directory.revision}
            records[name] |= canonical.prune(origin)
    paths = {name: path for name in records if (path := storage.loadable(name)) is not None}
    verified = set(paths.values())
    listed = {name: path for name, path in _listed(world).items() if path in verified}
    ready = {one.name: one.path for one in stored.hot if stored.recorded(one) in records}
    hot = {one.name: listed[one.name] for one in stored.hot if one.name in listed} | ready
    used = {*listed.values(), *hot.values()}
    loaded = frozenset(name for name, path in paths.items() if path in used)
    finished = [job for job in jobs.preloads(world) if job.stage is jobs.Stage.COMPLETE]
    return Ledger(
        records=_kept(records, (*stored.wanted, *loaded)),
        generation=finished[-1].generation if finished else remembered.generation,
        verified=unread is None and all(name in records for name in stored.wanted),
        shown=all(name in remembered.records for name in stored.wanted)
        and remembered.generation == stored.generation,
        unread=unread,
        listed=listed,
        hot=hot,
        loaded=loaded,
    )


def _listed(world: observed.Observed) -> dict[str, str]:
    """Returns the path of each adapter in the observed list of hot ones, by name.

    Somebody else may have written it: what is in it proves nothing.
    """
    text = observed.at(world.get(claim_rows.ADAPTERS), "data", storage.ADAPTERS)
    try:
        listed = canonical.loads(text) if isinstance(text, str) else {}
    except ValueError:
        return {}
    entries = listed.items() if isinstance(listed, dict) else ()
    return {name: path for name, path in entries if isinstance(path, str)}


def _kept(
    records: Mapping[str, Mapping[str, Any]], wanted: tuple[str, ...]
) -> tuple[Mapping[str, Any], ...]:
    """Returns the records in order; past the limit, what is wanted or loaded is kept."""
    order = sorted(records, key=lambda directory: (directory not in wanted, directory))
    return tuple(records[directory] for directory in sorted(order[:MOST_RECORDS]))
