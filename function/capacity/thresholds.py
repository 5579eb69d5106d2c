"""Which scaling trigger can fire for a model and its workload, which fires first, and which never.

A replica that runs `n` requests of `t` tokens each uses `n * t / K` of a KV cache of `K` tokens. It
runs at most `maxNumSeqs` of them, and at most as many as the cache holds; more wait.
"""

import dataclasses
import enum

from function import plural


class Trigger(enum.StrEnum):
    """A trigger, as the claim writes it."""

    RUNNING = "running"
    CACHE = "kvCache"
    QUEUE = "queue"


TOLERANCE = 0.1
"""The HPA adds no replica while a value is at most a tenth above its target."""


@dataclasses.dataclass(frozen=True)
class Targets:
    """The targets for one replica; None for a trigger that is off.

    Attributes:
        running: Requests that run.
        cache: Share of the KV cache that is used.
        queue: Requests that wait.
        tolerance: What a value must be above its target for a replica to be added, as a share.
    """

    running: float | None
    cache: float | None
    queue: float | None
    tolerance: float = TOLERANCE


@dataclasses.dataclass(frozen=True)
class Verdict:
    """One trigger.

    Attributes:
        trigger: Which.
        at: Requests on one replica, running and waiting, above which it fires; None where such
            requests do not make it fire.
        why: In a sentence.
        never: True when no requests at all make it fire.
    """

    trigger: Trigger
    at: float | None
    why: str
    never: bool = False

    @property
    def fires(self) -> bool:
        """Whether such requests make it fire."""
        return self.at is not None


@dataclasses.dataclass(frozen=True)
class Binding:
    """The triggers of a claim.

    Attributes:
        verdicts: One for each trigger that is on.
        first: The one that fires at the fewest requests; None when none can.
        sequence_tokens: Tokens a sequence above which the KV cache fires before running requests;
            None when one of the two is off or can never fire, or no request is as long.
        sentence: What binds, for people.
    """

    verdicts: tuple[Verdict, ...]
    first: Trigger | None
    sequence_tokens: float | None
    sentence: str

    @property
    def never(self) -> tuple[Trigger, ...]:
        """Triggers that are on and can never fire, whatever is asked."""
        return tuple(verdict.trigger for verdict in self.verdicts if verdict.never)


def binding(
    targets: Targets,
    sequences: int,
    cache_tokens: float,
    sequence_tokens: float,
    context: int,
) -> Binding:
    """Returns which trigger binds.

    Args:
        targets: The claim's targets.
        sequences: maxNumSeqs: requests that a replica runs at once.
        cache_tokens: Tokens that the KV cache of a replica holds.
        sequence_tokens: Tokens of a running request in the cache, on average: a prompt that others
            share counts once among them.
        context: The longest that a request may be.

    Raises:
        ValueError: A number is not above zero, or `sequence_tokens` is above `context`.
    """
    for field, value in (
        ("sequences", sequences),
        ("cache_tokens", cache_tokens),
        ("sequence_tokens", sequence_tokens),
        ("context", context),
    ):
        if value <= 0:
            raise ValueError(f"{field}: {value} must be above 0")
    if sequence_tokens > context:
        raise ValueError(
            f"sequence_tokens: {sequence_tokens:g} tokens a request are above the context of"
            f" {context}: raise contextWindow, or name shorter requests"
        )
    most = 1 + targets.tolerance
    held = cache_tokens / sequence_tokens
    verdicts: list[Verdict] = []
    if targets.running is not None:
        verdicts.append(_running(targets.running * most, sequences, held))
    if targets.cache is not None:
        verdicts.append(_cache(targets.cache * most, sequences, held, cache_tokens, context))
    if targets.queue is not None:
        verdicts.append(_queue(targets.queue * most, sequences, held))
    able = [(verdict.at, verdict.trigger) for verdict in verdicts if verdict.at is not None]
    first = min(able, default=(None, None), key=lambda pair: pair[0])[1]
    crossing = _crossing(targets, sequences, cache_tokens, context)
    return Binding(
        tuple(verdicts),
        first,
        crossing,
        _sentence(verdicts, first, crossing, sequence_tokens),
    )


def _crossing(targets: Targets, sequences: int, cache_tokens: float, context: int) -> float | None:
    """Returns the tokens a sequence at which running requests and the cache fire together.

    With the targets' defaults it is 0.6 K / (0.7 S).
    """
    if targets.running is None or targets.cache is None:
        return None
    most = 1 + targets.tolerance
    if targets.running * most >= sequences or targets.cache * most >= 1:
        return None
    if targets.cache * most * cache_tokens / sequences >= context:
        return None
    crossing = targets.cache * cache_tokens / targets.running
    return crossing if crossing < context else None


def _limit(limit: float) -> str:
    """Returns above which value a trigger fires, and why that is not its target."""
    return f"above {limit:.4g}, which is the target and what the autoscaler tolerates"


def _running(limit: float, sequences: int, held: float) -> Verdict:
    if limit >= sequences:
        most = plural.of(sequences, "sequence")
        why = f"a replica never runs more than its {most}, and the trigger fires {_limit(limit)}"
        return Verdict(Trigger.RUNNING, None, why, never=True)
    if limit >= held:
        why = f"the KV cache is full with {held:.1f} such requests, and the trigger fires"
        return Verdict(Trigger.RUNNING, None, f"{why} {_limit(limit)}")
    above = plural.of(f"{limit:.4g}", "running request")
    return Verdict(Trigger.RUNNING, limit, f"fires above {above}")


def _cache(limit: float, sequences: int, held: float, cache_tokens: float, context: int) -> Verdict:
    if limit >= 1:
        why = f"no more than all of the KV cache is used, and the trigger fires {_limit(limit)}"
        return Verdict(Trigger.CACHE, None, why, never=True)
    needed = limit * cache_tokens / sequences
    use = "uses" if sequences == 1 else "use"
    if needed >= context:
        why = (
            f"{plural.of(sequences, 'request')} of the whole context of {context} tokens {use} less"
            f" than {limit:.4g} of the KV cache"
        )
        return Verdict(Trigger.CACHE, None, why, never=True)
    at = limit * held
    if at >= sequences:
        why = (
            f"{plural.of(sequences, 'such request')} {use} {sequences / held:.2g} of the KV cache;"
            f" it can fire at all above {needed:.0f} tokens a request"
        )
        return Verdict(Trigger.CACHE, None, why)
    above = plural.of(f"{at:.4g}", "such request")
    return Verdict(Trigger.CACHE, at, f"fires above {above}")


def _queue(limit: float, sequences: int, held: float) -> Verdict:
    """Requests wait once a replica is full: a burst of any size does that."""
    at = min(float(sequences), held) + limit
    above = plural.of(f"{at:.4g}", "request")
    return Verdict(Trigger.QUEUE, at, f"fires above {above}, of which some wait")


def _sentence(
    verdicts: list[Verdict],
    first: Trigger | None,
    crossing: float | None,
    sequence_tokens: float,
) -> str:
    if first is None:
        return "No trigger can fire: the claim stays at its minimum."
    words = [f"{first} fires first for requests of {sequence_tokens:.0f} tokens"]
    words += [
        f"{v.trigger} {'can never fire' if v.never else 'does not'}: {v.why}"
        for v in verdicts
        if not v.fires
    ]
    if crossing is not None:
        words.append(
            f"{Trigger.CACHE} fires before {Trigger.RUNNING} above {crossing:.0f} tokens a request"
        )
    return "; ".join(words) + "."
