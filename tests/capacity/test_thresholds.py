"""Which scaling trigger binds."""

import hypothesis
import pytest
from hypothesis import strategies

from function.capacity import thresholds

RUNNING, CACHE, QUEUE = thresholds.Trigger
# The defaults of `function/planning/scaling.py` for 32 sequences.
DEFAULTS = thresholds.Targets(running=22.4, cache=0.6, queue=8)


@pytest.mark.decision(21)
def test_running_requests_bind_before_the_cache_at_usual_lengths() -> None:
    # 7B fp8 on an L4: 190,640 tokens, S=32. Measured at saturation: 0.16 to 0.21 of the cache.
    binding = thresholds.binding(DEFAULTS, 32, 190_640, 1152, 8192)
    assert binding.first is RUNNING
    assert binding.never == ()
    assert binding.sequence_tokens == pytest.approx(0.6 * 190_640 / (0.7 * 32))
    assert "kvCache does not: 32 such requests use 0.19 of the KV cache" in binding.sentence


@hypothesis.given(
    strategies.integers(1, 1024), strategies.floats(1e3, 1e6), strategies.floats(0.01, 2)
)
def test_the_crossing_is_where_the_first_changes(
    sequences: int, cache_tokens: float, share: float
) -> None:
    targets = thresholds.Targets(running=0.7 * sequences, cache=0.6, queue=None)
    crossing = 0.6 * cache_tokens / (0.7 * sequences)
    hypothesis.assume(abs(share - 1) > 0.01)
    binding = thresholds.binding(targets, sequences, cache_tokens, crossing * share, 10**9)
    assert binding.sequence_tokens == pytest.approx(crossing)
    assert binding.first is (CACHE if share > 1 else RUNNING)


@pytest.mark.parametrize(
    ("targets", "sequence_tokens", "context", "first", "never", "why"),
    [
        # Long requests: the cache fires.
        (DEFAULTS, 8000, 8192, CACHE, (), "the KV cache is full with 23.8 such"),
        # Above what a replica runs, tolerance included: 0.95 x 32 x 1.1 = 33.4.
        (
            thresholds.Targets(30.4, 0.6, 8),
            1000,
            8192,
            QUEUE,
            (RUNNING,),
            "never runs more than its 32 sequences",
        ),
        # Even 32 requests of the whole context are too little.
        (
            DEFAULTS,
            1000,
            2048,
            RUNNING,
            (CACHE,),
            "32 requests of the whole context of 2048 tokens use less than 0.66",
        ),
        (
            thresholds.Targets(None, 0.95, None),
            1000,
            8192,
            None,
            (CACHE,),
            "No trigger can fire",
        ),
        (thresholds.Targets(None, None, 8), 1000, 8192, QUEUE, (), "queue fires first"),
        # Two lengths of requests: from which it fires at all, and from which it is the first.
        (
            DEFAULTS,
            1000,
            8192,
            RUNNING,
            (),
            "it can fire at all above 3932 tokens a request; kvCache fires before running above"
            " 5106 tokens a request.",
        ),
    ],
)
def test_what_binds_and_what_never_does(
    targets: thresholds.Targets,
    sequence_tokens: float,
    context: int,
    first: thresholds.Trigger | None,
    never: tuple[thresholds.Trigger, ...],
    why: str,
) -> None:
    binding = thresholds.binding(targets, 32, 190_640, sequence_tokens, context)
    assert binding.first is first
    assert binding.never == never
    assert why in binding.sentence + " ".join(verdict.why for verdict in binding.verdicts)


@hypothesis.given(
    strategies.integers(1, 512),
    strategies.floats(1e3, 1e6),
    strategies.floats(1, 1e5),
    strategies.floats(0.1, 600),
    strategies.floats(0.01, 1),
)
def test_a_replica_filled_with_requests_agrees(
    sequences: int, cache_tokens: float, tokens: float, running: float, cache: float
) -> None:
    """Adds requests one by one to a replica and looks which value passes its target first."""
    targets = thresholds.Targets(running, cache, None)
    binding = thresholds.binding(targets, sequences, cache_tokens, tokens, 10**9)
    fired = None
    steps = 2000
    most = min(float(sequences), cache_tokens / tokens)
    for step in range(steps):
        runs = most * step / steps
        over = [
            trigger
            for trigger, value, target in (
                (RUNNING, runs, running),
                (CACHE, runs * tokens / cache_tokens, cache),
            )
            if value > target * 1.1
        ]
        if over:
            fired = over
            break
    if fired is not None:
        assert binding.first in fired
    else:
        # No whole step of the way to full: at most in the last one.
        assert all(v.at is None or v.at >= most * (1 - 2 / steps) for v in binding.verdicts)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((0, 1.0, 1.0, 1), "sequences: 0"),
        ((1, 0.0, 1.0, 1), "cache_tokens: 0"),
        ((1, 1.0, 0.0, 1), "sequence_tokens: 0"),
        ((1, 1.0, 9.0, 8), "raise contextWindow"),
    ],
)
def test_bad_numbers_are_named(numbers: tuple[int, float, float, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        thresholds.binding(DEFAULTS, *numbers)


def test_no_crossing_is_told_of_requests_that_nobody_can_make() -> None:
    targets = thresholds.Targets(running=0.7 * 8, cache=0.6, queue=8)
    binding = thresholds.binding(targets, 8, 190_640, 1152, 4096)
    assert binding.never == (CACHE,)
    assert binding.sequence_tokens is None
    assert "fires before" not in binding.sentence
