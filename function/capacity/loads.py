"""What a replica gives for a workload: tokens and requests a second, latency, replicas for a rate.

A replica that holds `concurrency` requests spends its time on their prompts, one after the other,
and on steps in which all others get a token.
"""

import dataclasses
import enum
import math

from function.capacity import arrangements, cache, cards, estimates, facts, speed, work


@dataclasses.dataclass(frozen=True)
class Workload:
    """Requests of one kind.

    Attributes:
        prompt: Tokens of a prompt, on average.
        output: Tokens of an answer, on average.
        cached: Tokens of a prompt that lie in the prefix cache, on average.
        source: Where the lengths come from.
    """

    prompt: int
    output: int
    cached: int = 0
    source: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError for lengths that no request has."""
        for field, value, least in (
            ("prompt", self.prompt, 1),
            ("output", self.output, 1),
            ("cached", self.cached, 0),
        ):
            if value < least:
                raise ValueError(f"{field}: {value} tokens are below {least}")

    @property
    def tokens(self) -> float:
        """Tokens that a request holds in the KV cache while it runs, on average."""
        return self.prompt + self.output / 2

    def held(self, context: int) -> float:
        """Returns those tokens where no request is longer than the context."""
        return min(self.tokens, float(context))


WORKLOADS = {
    "chat": Workload(1155, 211, source="means of the Azure LLM inference trace 2023, conversation"),
    "code-completion": Workload(
        2048, 28, source="means of the Azure LLM inference trace 2023, code"
    ),
    "agent": Workload(
        12035,
        343,
        source="means of Mooncake's conversation trace (FAST 2025): long talks that are sent whole"
        " each time; 0.37 of the blocks of its prompts were there before",
    ),
    "rag": Workload(
        15325,
        149,
        source="means of Mooncake's synthetic trace (FAST 2025): questions about long texts; 0.64"
        " of the blocks of its prompts were there before",
    ),
    "batch": Workload(
        360, 301, source="means of ServeGen's m-large service, first window: short calls of an API"
    ),
    "reasoning": Workload(
        1054, 1354, source="means of ServeGen's deepseek-r1 service, first window"
    ),
}
"""Workloads by name. Nothing is taken from the prefix cache: say `cached` where it is known."""

USUAL = "chat"
"""The workload by which a replica is judged where nobody names another: talks with people."""


@dataclasses.dataclass(frozen=True)
class Engine:
    """One replica as it is set up.

    Attributes:
        does: What the model does on one GPU.
        card: The GPU.
        sequences: maxNumSeqs: requests that run at once.
        cache_tokens: Tokens that the KV cache of a replica holds.
        batched_tokens: Tokens that a step has at most.
    """

    does: work.Work
    card: cards.Card
    sequences: int
    cache_tokens: float
    batched_tokens: int

    def room(self, workload: Workload) -> float:
        """Returns the requests that run at once: sequences, or fewer where the cache is full."""
        return min(float(self.sequences), self.cache_tokens / workload.tokens)


def replica(
    model: facts.Facts, card: cards.Card, flags: arrangements.Arrangement, cache_tokens: float
) -> Engine:
    """Returns one replica of a model.

    Args:
        model: What it is made of.
        card: The GPU.
        flags: The engine's flags that decide about memory.
        cache_tokens: Tokens that the KV cache of a replica holds.
    """
    model = flags.cast(model)
    packing = work.FP8 if flags.quantization == "fp8" else None
    does = work.of(model, packing, flags.tensor, cache.element_bytes(model, flags.cache_dtype))
    return Engine(does, card, flags.sequences, cache_tokens, flags.tokens(card))


@dataclasses.dataclass(frozen=True)
class Load:
    """A replica that holds a number of requests all the time.

    Attributes:
        concurrency: Requests that run at once.
        requests: Requests a second.
        output_tokens: Tokens of answers a second.
        tokens: Tokens of prompts and answers a second.
        between_tokens: Milliseconds between two tokens of an answer, on average.
        first_token: Milliseconds until the first token of a request that need not wait for a place.
        request: Seconds of a whole request.
        prompt: Milliseconds that a replica spends on one prompt.
        answer: Milliseconds that it spends on one answer, of steps that it shares with the others.
    """

    concurrency: float
    requests: estimates.Estimate
    output_tokens: estimates.Estimate
    tokens: estimates.Estimate
    between_tokens: estimates.Estimate
    first_token: estimates.Estimate
    request: estimates.Estimate
    prompt: estimates.Estimate
    answer: estimates.Estimate


def load(engine: Engine, workload: Workload, concurrency: float) -> Load | None:
    """Returns what a replica gives that holds so many requests; None when the card is unknown.

    Raises:
        ValueError: `concurrency` is not above zero.
    """
    if concurrency <= 0:
        raise ValueError(f"concurrency: {concurrency} must be above 0")
    decoding = speed.step(engine.does, engine.card, concurrency, workload.tokens)
    reading = speed.prompt(
        engine.does,
        engine.card,
        workload.prompt,
        engine.batched_tokens,
        cached=workload.cached,
    )
    if decoding is None or reading is None:
        return None
    decoding = _served(decoding)
    own = decoding.scaled(workload.output)
    others = reading.scaled(max(0.0, concurrency - 1))
    answering = estimates.total([own, others])
    whole = dataclasses.replace(estimates.total([answering, reading]), source=decoding.source)
    seconds = whole.scaled(1e-3)
    requests = _inverse(seconds, concurrency)
    # A prompt waits for those that came before it: half of the share of time that prompts take.
    busy = concurrency * reading.best / (2 * own.best)
    waiting = reading.scaled(1 + busy)
    parts = math.ceil((workload.prompt - workload.cached) / engine.batched_tokens)
    return Load(
        concurrency=concurrency,
        requests=requests,
        output_tokens=requests.scaled(workload.output),
        tokens=requests.scaled(workload.output + workload.prompt),
        between_tokens=_named(answering.scaled(1 / workload.output), whole.source),
        first_token=_named(estimates.total([waiting, decoding.scaled(parts + 1)]), whole.source),
        request=seconds,
        # Of a cache that holds less than one request the replica is one request's alone.
        prompt=reading.scaled(max(1.0, 1 / concurrency)),
        answer=own.scaled(1 / concurrency),
    )


class Bound(enum.StrEnum):
    """What keeps a replica from taking more."""

    SEQUENCES = "maxNumSeqs"
    CACHE = "the KV cache"
    BETWEEN_TOKENS = "the time between tokens"
    FIRST_TOKEN = "the time to the first token"  # noqa: S105


@dataclasses.dataclass(frozen=True)
class Targets:
    """What users are promised, in milliseconds; None for no promise.

    Attributes:
        between_tokens: Between two tokens, on average.
        first_token: Until the first token, on average.
    """

    between_tokens: float | None = None
    first_token: float | None = None


@dataclasses.dataclass(frozen=True)
class Replicas:
    """How many replicas a rate needs.

    Attributes:
        low: If the engine is as fast as is believable.
        best: Most likely.
        high: If the engine is as slow as is believable; None when no number of replicas is enough.
        each: The most that one replica gives at the targets, most likely.
        bound: What keeps a replica from giving more.
        headroom: Share of a replica that stays free.
    """

    low: int
    best: int
    high: int | None
    each: Load
    bound: Bound
    headroom: float


def most(
    engine: Engine, workload: Workload, targets: Targets, end: str = "best"
) -> tuple[Load, Bound] | None:
    """Returns the most that one replica gives at the targets, and what bounds it.

    Args:
        engine: The replica.
        workload: The requests.
        targets: What users are promised.
        end: The end of the interval by which the engine is judged: `low` is the fast one.

    Returns:
        None when the card is unknown, or when a single request already misses the targets.
    """
    room = engine.room(workload)
    full = Bound.SEQUENCES if room >= engine.sequences else Bound.CACHE
    if room <= 0:
        return None
    top = load(engine, workload, room)
    if top is None:
        return None
    missed = _missed(top, targets, end)
    if missed is None:
        return top, full
    low, high = min(1.0, room), room
    chosen = load(engine, workload, low)
    if chosen is None or _missed(chosen, targets, end) is not None:
        return None
    # Twenty halvings: a part in a million of maxNumSeqs.
    for _ in range(20):
        middle = (low + high) / 2
        tried = load(engine, workload, middle)
        if tried is None:
            return None
        over = _missed(tried, targets, end)
        if over is None:
            chosen, low = tried, middle
        else:
            high, missed = middle, over
    return chosen, missed


def replicas(
    engine: Engine,
    workload: Workload,
    rate: float,
    targets: Targets | None = None,
    headroom: float = 0.3,
) -> Replicas | None:
    """Returns the replicas that a rate needs.

    Args:
        engine: One replica.
        workload: The requests.
        rate: Requests a second, in the busiest minutes.
        targets: What users are promised; nothing when None.
        headroom: Share of a replica that stays free, since requests do not come evenly.

    Returns:
        None when the card is unknown, or when a single request already misses the targets.

    Raises:
        ValueError: `rate` is negative, or `headroom` is not from 0 to below 1.
    """
    if rate < 0:
        raise ValueError(f"rate: {rate} requests a second are below 0")
    if not 0 <= headroom < 1:
        raise ValueError(f"headroom: {headroom} must be from 0 to below 1")
    promised = targets or Targets()
    judged = most(engine, workload, promised)
    if judged is None:
        return None
    each, bound = judged

    def count(end: str, speed_end: str) -> int | None:
        reached = most(engine, workload, promised, end)
        if reached is None:
            return None
        given: float = getattr(reached[0].requests, speed_end)
        return max(1, math.ceil(rate / (given * (1 - headroom)) - 1e-9))

    best = count("best", "best") or 1
    # Ends of time and of rate are each other's opposite.
    low = count("low", "high") or best
    return Replicas(low, best, count("high", "low"), each, bound, headroom)


_SERVER = 1.4
"""What a server may take more than the engine alone: steps were measured without HTTP, detokenizing
or adapters. One server with two adapters and 32 requests running had 8.35 ms between tokens on an
H200, where a step takes 6.0."""


def _served(step: estimates.Estimate) -> estimates.Estimate:
    """Returns the time of a step in a server."""
    return dataclasses.replace(
        step,
        high=step.high * _SERVER,
        grade=estimates.worse(step.grade, estimates.Grade.PREDICTED),
        source=step.source + "; the engine without its server",
    )


def _missed(judged: Load, targets: Targets, end: str) -> Bound | None:
    """Returns the target that a load misses."""
    for promised, measured, bound in (
        (targets.between_tokens, judged.between_tokens, Bound.BETWEEN_TOKENS),
        (targets.first_token, judged.first_token, Bound.FIRST_TOKEN),
    ):
        if promised is not None and getattr(measured, end) > promised:
            return bound
    return None


def _inverse(seconds: estimates.Estimate, amount: float) -> estimates.Estimate:
    """Returns how often in a second, of something that takes so long for an amount."""
    return dataclasses.replace(
        seconds,
        low=amount / seconds.high,
        best=amount / seconds.best,
        high=amount / seconds.low,
    )


def _named(estimate: estimates.Estimate, source: str) -> estimates.Estimate:
    return dataclasses.replace(estimate, source=source)
