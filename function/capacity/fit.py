"""Whether a model fits a GPU with an engine's flags, and what is left for the cache.

`fit` follows the engine's own arithmetic: a share of the GPU's memory, less weights, less what a
step needs, less the process, is the cache. Beside the share there must be room for the driver's
context, communication between GPUs, and CUDA graphs. All values are those of one GPU of a group.
"""

import dataclasses
import enum
import functools
import math

from function.capacity import (
    activations,
    arrangements,
    cache,
    cards,
    facts,
    interval,
    releases,
    weights,
)
from function.capacity.interval import Interval

GIB = releases.GIB


class Verdict(enum.StrEnum):
    """Whether it fits."""

    FITS = "fits"
    """Even when all is as large as it can be."""
    TIGHT = "tight"
    """Between: the estimate's error decides."""
    TOO_LARGE = "too large"
    """Not even when all is as small as it can be."""


class Part(enum.StrEnum):
    """What takes memory of a GPU."""

    WEIGHTS = "weights"
    ADAPTERS = "adapters"
    ACTIVATIONS = "activations"
    PROCESS = "process"
    GRAPHS_RESERVED = "graphs set aside"
    CACHE = "cache"
    CONTEXT = "context"
    COMMUNICATION = "communication"
    GRAPHS = "graphs"
    TRIAL = "trial of the sampler"
    FREE = "free"


# What is needed beside the engine's share of the memory.
_BESIDE = (Part.CONTEXT, Part.COMMUNICATION, Part.GRAPHS, Part.TRIAL)


class Bound(enum.StrEnum):
    """What decides about a misfit, or about how many sequences run at a time."""

    WEIGHTS = "weights"
    """They leave nothing for a cache."""
    ACTIVATIONS = "activations"
    """Weights fit; a step's values beside them leave nothing."""
    CONTEXT = "context"
    """One sequence of the full length is larger than the cache."""
    DEVICE = "device"
    """What comes beside the engine's share, graphs and context, is more than the GPU has."""
    CACHE = "cache"
    """It fits; the cache holds fewer full sequences than `sequences` allows."""
    SEQUENCES = "sequences"
    """It fits; the cache holds more full sequences than `sequences` allows."""


@dataclasses.dataclass(frozen=True)
class Term:
    """A part of a GPU's memory, in bytes."""

    part: Part
    size: Interval


@dataclasses.dataclass(frozen=True)
class Fit:
    """The answer for one GPU.

    Attributes:
        verdict: Whether it fits.
        bound: What decides.
        available: Bytes for the cache; below zero by how much it does not fit.
        tokens: Tokens that the cache holds, over all GPUs of a group.
        sequences: Sequences of the full context that fit at a time.
        terms: Parts of the GPU's memory; their best values sum up to `total`. Graphs are those
            beyond what the engine sets aside for them.
        total: Bytes that the driver gives.
        note: What a reader has to know about the engine's version, or an empty text.
        card: Each GPU of the group.
        arrangement: The engine's flags.
        layout: How the cache is laid out.
        most: Tokens of the longest sequence that is asked for or that the model takes.
    """

    verdict: Verdict
    bound: Bound
    available: Interval
    tokens: Interval
    sequences: Interval
    terms: tuple[Term, ...]
    total: float
    note: str
    # What was asked makes two answers no different.
    card: cards.Card = dataclasses.field(compare=False)
    arrangement: arrangements.Arrangement = dataclasses.field(compare=False)
    layout: cache.Layout = dataclasses.field(compare=False)
    most: int = dataclasses.field(compare=False)

    # Hundreds of arrangements are tried for one claim, and nobody asks most of them for these two.

    @functools.cached_property
    def longest(self) -> Interval:
        """Tokens of the longest sequence that fits by itself, up to the model's own length."""
        return Interval(*(self.layout.longest(end, self.most) for end in self.available.ends))

    @functools.cached_property
    def sentence(self) -> str:
        """The arithmetic in words."""
        sizes = {term.part: term.size for term in self.terms}
        return _sentence(
            self.card, self.arrangement, sizes, self.layout, self.sequences, self.bound
        )

    def size(self, part: Part) -> Interval:
        """Bytes of one part."""
        return next(term.size for term in self.terms if term.part is part)


@dataclasses.dataclass(frozen=True)
class _Budget:
    """One behaviour's arithmetic, in bytes."""

    behaviour: releases.Behaviour
    activations: Interval
    process: Interval
    reserved: Interval
    communication: Interval
    graphs: Interval
    trial: Interval


def fit(
    model: facts.Facts,
    card: cards.Card,
    arrangement: arrangements.Arrangement,
    held: Interval | None = None,
) -> Fit:
    """Returns whether a model fits, and what is left.

    Args:
        model: The model.
        card: Each GPU of the group.
        arrangement: The engine's flags.
        held: Bytes of weights and adapters on one GPU, the fullest of a pipeline, where they were
            measured; None works them out.

    Raises:
        ValueError: A flag has a value that nobody wrote a formula for; the message names it.
    """
    model = arrangement.cast(model)
    held_weights, adapters = (
        loaded(model, card, arrangement) if held is None else (held, interval.ZERO)
    )
    return _answer(model, card, arrangement, held_weights, adapters)


def loaded(
    model: facts.Facts, card: cards.Card, arrangement: arrangements.Arrangement
) -> tuple[Interval, Interval]:
    """Returns bytes of weights, and of adapters' slots, on the fullest GPU."""
    bare = weights.per_gpu(model, arrangement.load(model, card, adapters=False))
    if not arrangement.adapter_slots:
        return bare, interval.ZERO
    both = weights.per_gpu(model, arrangement.load(model, card, adapters=True))
    return bare, interval.exactly(max(0, both.best - bare.best))


def _answer(
    model: facts.Facts,
    card: cards.Card,
    arrangement: arrangements.Arrangement,
    held: Interval,
    adapters: Interval,
) -> Fit:
    reading = releases.readings(arrangement.version, model, arrangement.runner)
    budgets = [
        _budget(model, card, arrangement, row, reading.widening) for row in reading.behaviours
    ]
    total = card.memory_gib * GIB
    share = arrangement.utilization * total
    nearest = budgets[0]

    def over(name: str) -> Interval:
        size: Interval = getattr(nearest, name)
        for budget in budgets[1:]:
            size = size.around(getattr(budget, name))
        return size

    sizes = {
        Part.WEIGHTS: held,
        Part.ADAPTERS: adapters,
        Part.ACTIVATIONS: over("activations"),
        Part.PROCESS: over("process"),
        Part.GRAPHS_RESERVED: over("reserved"),
    }
    available = interval.exactly(share) - interval.total(*sizes.values())
    outside = {
        Part.CONTEXT: interval.exactly(card.context_gib * GIB),
        Part.COMMUNICATION: over("communication"),
        Part.GRAPHS: (over("graphs") - over("reserved")).at_least(interval.ZERO),
        Part.TRIAL: over("trial"),
    }
    sizes |= {Part.CACHE: available, **outside}
    free = interval.exactly(total - share) - interval.total(*outside.values())
    sizes[Part.FREE] = free
    layout = _layout(model, card, arrangement, nearest.behaviour)
    context = arrangement.context
    ends = available.ends
    sequences = Interval(*(layout.sequences(end, context) for end in ends))
    verdict, bound = _judge(sizes, share, sequences, arrangement.sequences)
    terms = tuple(Term(part, size) for part, size in sizes.items())
    return Fit(
        verdict=verdict,
        bound=bound,
        available=available,
        tokens=Interval(*(layout.tokens(end, context) for end in ends)),
        sequences=sequences,
        terms=terms,
        total=total,
        note=reading.note,
        card=card,
        arrangement=arrangement,
        layout=layout,
        most=max(model.context, context),
    )


def _budget(
    model: facts.Facts,
    card: cards.Card,
    arrangement: arrangements.Arrangement,
    behaviour: releases.Behaviour,
    widening: float,
) -> _Budget:
    """What one behaviour takes, with a wider error for a version that nobody measured."""
    tensor, pipeline = arrangement.tensor, arrangement.pipeline
    peak = activations.peak(model, arrangement, card, behaviour)

    def wide(size: Interval) -> Interval:
        return Interval(size.low * (1 - widening), size.best, size.high * (1 + widening))

    return _Budget(
        behaviour,
        wide(peak),
        wide(releases.process(behaviour, model, tensor, pipeline)),
        wide(_graphs(model, arrangement, behaviour.estimate)),
        wide(releases.beside(behaviour, model, tensor, pipeline)),
        wide(_graphs(model, arrangement, _graph_size(model, behaviour))),
        wide(_trial(model, arrangement, behaviour)),
    )


def _trial(
    model: facts.Facts, arrangement: arrangements.Arrangement, behaviour: releases.Behaviour
) -> Interval:
    """Bytes that the sampler's trial takes beside the budget, once the cache is there.

    The room of the activations should serve it. It did not for gpt-oss on vLLM 0.19, which ran out
    of memory there at 0.95 on one GPU and on two, and started at 0.90. On vLLM 0.25.1 the V2 runner
    held up to its size more at the end of a start (Qwen3-8B with 1024 sequences).
    """
    logits = behaviour.logits * (arrangement.sequences * model.vocabulary)
    if model.quantization is not None and model.quantization.method == "mxfp4":
        return Interval(0, logits.best, logits.high)
    if behaviour.runner is releases.ModelRunner.V2:
        return Interval(0, 0, logits.high)
    return interval.ZERO


def _graph_size(model: facts.Facts, behaviour: releases.Behaviour) -> Interval:
    routed = model.experts or facts.Mixing.LATENT in model.mixes
    return behaviour.graphs_routed if routed else behaviour.graphs


# vLLM captures gpt-oss up to 1024 tokens whatever `max_num_seqs` is, others up to twice that
# number, at most 512; sizes 1, 2, 4, then every 8 up to 256, then every 16.
_LARGEST_GRAPH = 512
_LARGEST_GRAPH_GPT_OSS = 1024
_GPT_OSS = "GptOssForCausalLM"


def captures(model: facts.Facts, arrangement: arrangements.Arrangement) -> int:
    """Returns how many sizes of batches get a CUDA graph."""
    if arrangement.eager or model.runner is facts.Runner.POOLING:
        return 0
    largest = min(2 * arrangement.sequences, _LARGEST_GRAPH)
    if model.architecture == _GPT_OSS:
        largest = _LARGEST_GRAPH_GPT_OSS
    small = sum(size <= largest for size in (1, 2, 4))
    return small + min(largest, 256) // 8 + max(0, largest - 256) // 16


def _graphs(model: facts.Facts, arrangement: arrangements.Arrangement, each: Interval) -> Interval:
    """Bytes of CUDA graphs, from MiB for each layer and size."""
    layers = math.ceil(model.layers / arrangement.pipeline)
    return each * (layers * captures(model, arrangement) * releases.MIB)


def _layout(
    model: facts.Facts,
    card: cards.Card,
    arrangement: arrangements.Arrangement,
    behaviour: releases.Behaviour,
) -> cache.Layout:
    return cache.layout(model, arrangement, arrangement.tokens(card), behaviour.padding)


def _judge(
    sizes: dict[Part, Interval], share: float, sequences: Interval, asked: int
) -> tuple[Verdict, Bound]:
    """Verdict from the ends of the intervals, and what decides at the best value or the low end."""
    free = sizes[Part.FREE]
    # A start takes memory of the share again for graphs once its trial run is over.
    spare = free.high + sizes[Part.ACTIVATIONS].high
    left = sizes[Part.CACHE]
    if min(left.high, spare) < 0 or sequences.high < 1:
        verdict = Verdict.TOO_LARGE
    elif min(left.low, free.low) < 0 or sequences.low < 1:
        verdict = Verdict.TIGHT
    else:
        verdict = Verdict.FITS
    if verdict is Verdict.FITS:
        return verdict, Bound.SEQUENCES if sequences.best >= asked else Bound.CACHE
    held = sizes[Part.WEIGHTS].best + sizes[Part.ADAPTERS].best
    if held >= share:
        return verdict, Bound.WEIGHTS
    if sizes[Part.CACHE].best <= 0:
        return verdict, Bound.ACTIVATIONS
    if sequences.best < 1 or (sequences.low < 1 and free.low >= 0):
        return verdict, Bound.CONTEXT
    return verdict, Bound.DEVICE


def tenths(count: float) -> str:
    """Returns a number of sequences for people, to a tenth: what is not there is not promised."""
    return f"{math.floor(count * 10) / 10:g}"


def _gib(size: float, digits: int = 1) -> str:
    return f"{size / GIB:.{digits}f} GiB"


def _sentence(
    card: cards.Card,
    arrangement: arrangements.Arrangement,
    sizes: dict[Part, Interval],
    layout: cache.Layout,
    sequences: Interval,
    bound: Bound,
) -> str:
    """The arithmetic in one sentence."""
    share = arrangement.utilization * card.memory_gib * GIB
    taken = ", ".join(
        f"{part} {_gib(sizes[part].best)}"
        for part in (
            Part.WEIGHTS,
            Part.ADAPTERS,
            Part.ACTIVATIONS,
            Part.PROCESS,
            Part.GRAPHS_RESERVED,
        )
        if sizes[part].best >= 0.05 * GIB
    )
    head = (
        f"of {_gib(share)} on each {card.name} ({arrangement.utilization:g} of {card.memory_gib:g})"
    )
    available = sizes[Part.CACHE].best
    if bound in (Bound.WEIGHTS, Bound.ACTIVATIONS):
        return f"{head} {taken} take {_gib(share - available)}: nothing is left for the cache"
    if not layout.groups:
        return f"{head} {taken} leave {_gib(available)}; the model keeps no cache"
    needed = layout.sequence_bytes(arrangement.context)
    tail = (
        f"{head} {taken} leave {_gib(available)} for the cache;"
        f" a sequence of {arrangement.context} tokens takes {_gib(needed)}"
    )
    if math.isfinite(sequences.best):
        best, least = tenths(sequences.best), tenths(max(sequences.low, 0))
        tail += f", so {best} fit at a time" + (f", at least {least}" if least != best else "")
    if bound is Bound.DEVICE:
        outside = interval.total(*(sizes[part] for part in _BESIDE))
        rest = card.memory_gib * GIB - share
        # What decides may be less than a tenth.
        digits = 2 if _gib(outside.high) == _gib(rest) else 1
        needed_beside, most = _gib(outside.best, digits), _gib(outside.high, digits)
        doubt = f", {most} at most" if most != needed_beside else ""
        tail += f"; beside it {needed_beside} are needed{doubt}, and {_gib(rest, digits)} are there"
    return tail
