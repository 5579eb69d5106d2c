"""What more of anything may do to a fit, for any model and flags."""

import dataclasses

import hypothesis
import pytest
from hypothesis import strategies

from function.capacity import arrangements, cards, facts, fit, interval
from tests.capacity import measurements

GIB = measurements.GIB

# From the least memory to the most. Cards without fp8 keep larger products, so they are apart.
BY_MEMORY = ("L4", "L40S", "H100-SXM-80GB", "H200-SXM-141GB", "B200-SXM")

# Doublings of GPUs that halve each head count that a generated model has.
HALVES = (1, 2, 4)


@strategies.composite
def models(draw: strategies.DrawFn) -> facts.Facts:
    """Models of one to three makes of layers whose heads four GPUs can share."""
    kinds = draw(
        strategies.lists(
            strategies.sampled_from(
                [facts.Mixing.FULL, facts.Mixing.WINDOW, facts.Mixing.LATENT, facts.Mixing.STATE]
            ),
            min_size=1,
            max_size=2,
            unique=True,
        )
    )
    # vLLM has no model that mixes latent vectors with others.
    if facts.Mixing.LATENT in kinds:
        kinds = [facts.Mixing.LATENT]
    if facts.Mixing.STATE in kinds and facts.Mixing.FULL not in kinds:
        kinds.append(facts.Mixing.FULL)
    heads = draw(strategies.sampled_from([16, 32, 64]))
    mixer = facts.Mixer(
        facts.Mixing.FULL,
        heads=heads,
        kv_heads=draw(strategies.sampled_from([4, 8, heads])),
        head_size=draw(strategies.sampled_from([64, 128, 256])),
        window=draw(strategies.sampled_from([128, 1024, 4096])),
        latent=576,
        state=draw(strategies.integers(16, 4096)) * 256,
        state_bytes=4,
        convolution=8192,
    )
    experts = draw(strategies.sampled_from([0, 0, 8, 128]))
    network = facts.Network(
        draw(strategies.integers(4, 128)) * 256, experts, min(experts, 8), gated=True
    )
    return facts.Facts(
        name="test/model",
        architecture=draw(strategies.sampled_from(["Test", "GptOssForCausalLM"])),
        hidden=draw(strategies.integers(8, 64)) * 128,
        vocabulary=draw(strategies.integers(250, 4000)) * 64,
        tied=draw(strategies.booleans()),
        dtype_bytes=2,
        blocks=tuple(
            facts.Block(
                draw(strategies.integers(1, 40)), dataclasses.replace(mixer, kind=kind), network
            )
            for kind in kinds
        ),
        context=draw(strategies.sampled_from([8192, 40960, 262144])),
        tower_parameters=draw(strategies.sampled_from([0, 400_000_000])),
    )


def flags() -> strategies.SearchStrategy[arrangements.Arrangement]:
    return strategies.builds(
        arrangements.Arrangement,
        version=strategies.sampled_from(["0.17.0", "0.19.0", "0.22.1", "0.25.1", "0.33.0"]),
        context=strategies.integers(1, 262144),
        sequences=strategies.integers(1, 2048),
        utilization=strategies.floats(0.5, 0.98),
        batched_tokens=strategies.integers(256, 32768),
        quantization=strategies.sampled_from([None, "fp8"]),
        cache_dtype=strategies.sampled_from(["auto", "fp8"]),
        adapter_slots=strategies.sampled_from([0, 2]),
        eager=strategies.booleans(),
        cold=strategies.booleans(),
    )


# GiB of weights that were measured, and weights that are worked out.
HELD = strategies.none() | strategies.floats(0.5, 60)
CASES = (models(), flags(), strategies.sampled_from(BY_MEMORY), HELD)


def answer(
    model: facts.Facts,
    card: str | cards.Card,
    arrangement: arrangements.Arrangement,
    gib: float | None,
) -> fit.Fit:
    table = measurements.CARDS
    held = None
    if gib is not None:
        held = interval.Interval(0.98 * gib * GIB, gib * GIB, 1.02 * gib * GIB)
    return fit.fit(model, table[card] if isinstance(card, str) else card, arrangement, held)


ORDER = [fit.Verdict.TOO_LARGE, fit.Verdict.TIGHT, fit.Verdict.FITS]


def assert_no_worse(more: fit.Fit, less: fit.Fit, *, cache_alone: bool = False) -> None:
    """Nothing that is good got less."""
    for ends in ("available", "sequences", "longest"):
        better, worse = getattr(more, ends), getattr(less, ends)
        assert better.low >= worse.low
        assert better.best >= worse.best
        assert better.high >= worse.high
    # What a step takes is free again for graphs: one that takes less leaves them less room.
    if not cache_alone and more.bound is not fit.Bound.DEVICE:
        assert ORDER.index(more.verdict) >= ORDER.index(less.verdict)


@hypothesis.given(*CASES, strategies.integers(1, 100_000))
def test_more_context_frees_nothing(
    model: facts.Facts,
    arrangement: arrangements.Arrangement,
    card: str,
    gib: float | None,
    added: int,
) -> None:
    longer = dataclasses.replace(arrangement, context=arrangement.context + added)
    less, more = answer(model, card, longer, gib), answer(model, card, arrangement, gib)
    assert more.available.best >= less.available.best
    assert more.sequences.best >= less.sequences.best
    assert ORDER.index(more.verdict) >= ORDER.index(less.verdict)


@hypothesis.given(*CASES, strategies.integers(1, 2048))
def test_fewer_sequences_need_no_more(
    model: facts.Facts,
    arrangement: arrangements.Arrangement,
    card: str,
    gib: float | None,
    fewer: int,
) -> None:
    # At one share: the one that is derived has a step (`tests/engines/vllm/test_sizing.py`).
    smaller = dataclasses.replace(arrangement, sequences=min(fewer, arrangement.sequences))
    assert_no_worse(answer(model, card, smaller, gib), answer(model, card, arrangement, gib))


@hypothesis.given(*CASES)
def test_a_larger_card_fits_no_less(
    model: facts.Facts, arrangement: arrangements.Arrangement, card: str, gib: float | None
) -> None:
    larger = BY_MEMORY[BY_MEMORY.index(card) + 1 :]
    less = answer(model, card, arrangement, gib)
    for name in larger:
        more = answer(model, name, arrangement, gib)
        assert_no_worse(more, less)


@pytest.mark.parametrize(
    "better",
    [
        {"cold": False},
        {"adapter_slots": 0},
        {"batched_tokens": 256},
    ],
    ids=lambda changes: "-".join(changes),
)
@hypothesis.given(*CASES)
def test_what_takes_less_fits_no_less(
    better: dict[str, object],
    model: facts.Facts,
    arrangement: arrangements.Arrangement,
    card: str,
    gib: float | None,
) -> None:
    lighter = dataclasses.replace(arrangement, **better)  # type: ignore[arg-type]
    assert_no_worse(answer(model, card, lighter, gib), answer(model, card, arrangement, gib))


@hypothesis.given(*CASES)
def test_an_eager_start_leaves_more_of_the_gpu(
    model: facts.Facts, arrangement: arrangements.Arrangement, card: str, gib: float | None
) -> None:
    # Its step can take more of the share: nothing joins its kernels (measured in fp8).
    eager = dataclasses.replace(arrangement, eager=True)
    compiled = dataclasses.replace(arrangement, eager=False)
    more, less = answer(model, card, eager, gib), answer(model, card, compiled, gib)
    assert more.size(fit.Part.GRAPHS).high == 0
    assert more.size(fit.Part.FREE).low >= less.size(fit.Part.FREE).low


@hypothesis.given(*CASES)
def test_a_cache_of_8_bits_holds_no_less(
    model: facts.Facts, arrangement: arrangements.Arrangement, card: str, gib: float | None
) -> None:
    # With recurrent layers, blocks grow until a state fits, so the gain may be lost in rounding.
    hypothesis.assume(facts.Mixing.STATE not in model.mixes)
    plain = dataclasses.replace(arrangement, cache_dtype="auto")
    packed = dataclasses.replace(arrangement, cache_dtype="fp8")
    assert_no_worse(answer(model, card, packed, gib), answer(model, card, plain, gib))


@hypothesis.given(*CASES, strategies.floats(0.01, 0.4))
def test_more_utilization_leaves_more_for_the_cache(
    model: facts.Facts,
    arrangement: arrangements.Arrangement,
    card: str,
    gib: float | None,
    added: float,
) -> None:
    most = min(1.0, arrangement.utilization + added)
    larger = dataclasses.replace(arrangement, utilization=most)
    more, less = answer(model, card, larger, gib), answer(model, card, arrangement, gib)
    assert_no_worse(more, less, cache_alone=True)
    assert more.size(fit.Part.FREE).best <= less.size(fit.Part.FREE).best


@hypothesis.given(*CASES, strategies.sampled_from(HALVES[1:]))
def test_more_gpus_hold_more(
    model: facts.Facts,
    arrangement: arrangements.Arrangement,
    card: str,
    gib: float | None,
    gpus: int,
) -> None:
    shared = dataclasses.replace(arrangement, tensor=2 * gpus)
    halves = dataclasses.replace(arrangement, tensor=gpus)
    if gib is None:
        on = measurements.CARDS[card]
        freed = fit.loaded(model, on, halves)[0].best - fit.loaded(model, on, shared)[0].best
        # Communication takes 2.2 GiB of each GPU at most: what is shared has to be more.
        hypothesis.assume(freed > 2.3 * GIB)
    else:
        hypothesis.assume(gib > 6)
        hypothesis.assume(gib / gpus / 2 > 2.3 or gpus == 1)
    more = answer(model, card, shared, None if gib is None else gib / gpus / 2)
    less = answer(model, card, halves, None if gib is None else gib / gpus)
    assert_no_worse(more, less, cache_alone=True)
