"""Measured starts of vLLM, and the models that they ran."""

import csv
import dataclasses
import functools
import pathlib

from function.capacity import arrangements, cards, catalogue, facts, interval

DIRECTORY = pathlib.Path(__file__).parent / "measured"
GIB = 1024**3

CARDS = {card.name: card for card in cards.CARDS}
HOPPER = CARDS["H100-SXM-80GB"].capability


def rows(name: str) -> list[dict[str, str]]:
    """Rows of one of the files beside this."""
    with (DIRECTORY / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def _ran_on(card: cards.Card) -> cards.Card:
    """Returns a card with the kernels of Hopper: all starts ran on an H100 or an H200."""
    return dataclasses.replace(card, capability=HOPPER)


def _number(text: str) -> int:
    return int(text or 0)


@functools.cache
def model(repository: str, variant: str = "") -> facts.Facts:
    """A model of the catalogue, in the form that was measured."""
    held = catalogue.lookup(repository)
    assert held is not None, repository
    if repository == "Qwen/Qwen3-Embedding-0.6B":
        held = dataclasses.replace(held, runner=facts.Runner.POOLING)
    match variant:
        case "text":
            return dataclasses.replace(held, name=f"{held.name}, text", tower_parameters=0)
        case "float32":
            return dataclasses.replace(held, name=f"{held.name}, float32", dtype_bytes=4)
    return held


@dataclasses.dataclass(frozen=True)
class Start:
    """One start of an engine and what it logged, in bytes.

    Attributes:
        name: Its name at the source.
        model: What it ran.
        card: On which GPU, or with which GPU's memory.
        arrangement: Its flags.
        weights: Bytes of weights and adapters on a GPU.
        activations: Peak of the trial step.
        process: Beside torch's allocator.
        reserved: Set aside for CUDA graphs.
        available: For the cache.
        blocks: Of the cache.
        sequences: Sequences of the full context, or None where it was not logged.
        graphs: CUDA graphs, or None.
        used: Of the device in the end, or None.
    """

    name: str
    model: facts.Facts
    card: cards.Card
    arrangement: arrangements.Arrangement
    weights: interval.Interval
    activations: float
    process: float
    reserved: float
    available: float
    blocks: int
    sequences: float | None
    graphs: float | None
    used: float | None


def _bytes(text: str) -> float:
    return float(text) * GIB


def _optional(text: str) -> float | None:
    return _bytes(text) if text else None


def _start(row: dict[str, str]) -> Start:
    return Start(
        name=row["start"],
        model=model(row["model"], row["variant"]),
        card=_ran_on(CARDS[row["card"]]),
        arrangement=arrangements.Arrangement(
            version=row["version"],
            runner=row["runner"] or None,
            context=int(row["context"]),
            sequences=int(row["sequences"]),
            utilization=float(row["utilization"]),
            batched_tokens=int(row["batched_tokens"]),
            quantization=row["quantization"] or None,
            cache_dtype=row["cache_dtype"],
            tensor=int(row["tensor"]),
            pipeline=int(row["pipeline"]),
            adapter_slots=int(row["adapter_slots"]),
            adapter_rank=int(row["adapter_rank"]) or 16,
            eager=row["eager"] == "true",
            cold=row["cold"] == "true",
        ),
        weights=interval.exactly(_bytes(row["weights_gib"])),
        activations=_bytes(row["activations_gib"]),
        process=_bytes(row["process_gib"]),
        reserved=_bytes(row["reserved_gib"]),
        available=_bytes(row["available_gib"]),
        blocks=int(row["blocks"]),
        sequences=float(row["sequences_of_context"]) if row["sequences_of_context"] else None,
        graphs=_optional(row["graphs_gib"]),
        used=_optional(row["used_at_end_gib"]),
    )


@functools.cache
def starts(version: str) -> tuple[Start, ...]:
    """Starts of one version: 0.19 or 0.25.1."""
    return tuple(_start(row) for row in rows(f"memory-vllm-{version}"))


@dataclasses.dataclass(frozen=True)
class Peak:
    """Activations of a first and a second start of vLLM 0.25.1, in bytes.

    Attributes:
        name: Its name at the source; the end names the card.
        model: What it ran.
        row: Its flags, as written.
        first: The first start's peak.
        second: The second's.
    """

    name: str
    model: facts.Facts
    row: dict[str, str]
    first: float
    second: float

    @property
    def card(self) -> cards.Card:
        """Whose kernels it ran: those that unpack fp8 were forced in one start."""
        forced = "VLLM_TEST_FORCE_FP8_MARLIN" in self.row["env"]
        return CARDS["A10G" if forced else "H200-SXM-141GB"]

    def arrangement(self, *, cold: bool) -> arrangements.Arrangement:
        """Its flags."""
        return arrangements.Arrangement(
            version="0.25.1",
            runner="V1" if "VLLM_USE_V2_MODEL_RUNNER" in self.row["env"] else None,
            context=int(self.row["context"]),
            sequences=int(self.row["sequences"]),
            utilization=0.9,
            batched_tokens=int(self.row["batched_tokens"]),
            quantization=self.row["quantization"] or None,
            adapter_slots=int(self.row["adapter_slots"]),
            eager=self.row["eager"] == "true",
            cold=cold,
        )


@functools.cache
def peaks() -> tuple[Peak, ...]:
    """All measured pairs of peaks."""
    return tuple(
        Peak(
            row["start"],
            model(row["model"], row["variant"]),
            row,
            _bytes(row["first_gib"]),
            _bytes(row["second_gib"]),
        )
        for row in rows("activations-vllm-0.25.1")
    )
