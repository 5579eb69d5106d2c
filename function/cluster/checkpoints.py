"""What is known of the weights on the volume: recorded in the status, or just downloaded.

It is an input of planning: what a checkpoint is decides how it can be served.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from function import canonical
from function.capacity import forms, published
from function.cluster import jobs, memory, observed, pods

# Fields of the preload program's last words that the status keeps.
LEARNT = (
    "sha",
    "bytes",
    "dtype",
    "quantization",
    "architecture",
    "contextLimit",
    "loraRank",
    "baseModel",
)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What a published manifest says of a checkpoint; None for what it does not say.

    Attributes:
        quantization: How it is packed.
        architecture: Class of the model.
        context: Longest sequence in tokens that the model was made for.
        bytes: Size of all files.
        facts: What the model is made of, from its own files: the short form as canonical JSON.
        rank: An adapter's rank.
        base: The model that an adapter was trained on, as its own files name it.
    """

    quantization: str | None = None
    architecture: str | None = None
    context: int | None = None
    bytes: int | None = None
    facts: str | None = None
    rank: int | None = None
    base: str | None = None


UNREAD = Checkpoint()


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known of the directories on the volume.

    Attributes:
        records: What is known of each directory that is verified, by <volume claim>/<sub-path>/
            <directory>.
        cached: Whether a Job of 1.1 or later made, or makes, the engine's own caches.
    """

    records: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    cached: bool = False

    def checkpoint(self, directory: str) -> Checkpoint:
        """Returns what the manifest of a directory says, nothing before it is published."""
        record = self.records.get(directory)
        if not record:
            return UNREAD
        return Checkpoint(
            quantization=_text(record.get("quantization")),
            architecture=_text(record.get("architecture")),
            context=observed.number(record.get("contextLimit")) or None,
            bytes=observed.number(record.get("bytes")) or None,
            facts=canonical.dumps(record["facts"]) if "facts" in record else None,
            rank=observed.number(record.get("loraRank")) or None,
            base=_text(record.get("baseModel")),
        )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def recorded(remembered: memory.Memory, world: observed.Observed) -> Facts:
    """Returns what is known of the weights: the status' records, and what Jobs just finished."""
    records: dict[str, dict[str, Any]] = {
        directory: dict(record) for directory, record in remembered.records.items()
    }
    for job in jobs.preloads(world):
        if job.stage is jobs.Stage.COMPLETE:
            for directory in job.makes:
                records.setdefault(directory, {"directory": directory})
    for directory, learnt in _learnt(world):
        if directory in records:
            records[directory] |= learnt
    cached = remembered.cache is not None or any(job.cache for job in jobs.preloads(world))
    return Facts(records, cached)


def _learnt(world: observed.Observed) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields directory and what ended preload pods say of it, where pods were read.

    A pod names a directory relative to the sub-path that it mounts; its Job names it whole.
    """
    makes = {job.name: job.makes for job in jobs.preloads(world)}
    for words in pods.last_words(world):
        for item in words.items:
            short = observed.at(item, "directory")
            for directory in makes.get(words.job, ()):
                if isinstance(short, str) and directory.endswith(f"/{short}"):
                    learnt = {k: item[k] for k in LEARNT if observed.at(item, k) is not None}
                    learnt |= _facts(item)
                    record = memory.verified({"directory": directory, **learnt}) or {}
                    yield directory, {k: record[k] for k in learnt if k in record}


def _facts(item: observed.Object) -> dict[str, Any]:
    """Returns what the model is made of, from the figures that the program read."""
    config, tensors = observed.at(item, "config"), observed.at(item, "tensors")
    if not isinstance(config, str) or not isinstance(tensors, Mapping):
        return {}
    sizes = {kind: observed.number(size, -1) for kind, size in tensors.items()}
    if min(sizes.values(), default=-1) < 0:
        return {}
    model = published.read(config, sizes, str(observed.at(item, "repository") or ""))
    return {} if model is None else {"facts": forms.document(model)}
