"""Verdicts, what binds, and the sentence."""

import dataclasses
import math

import pytest

from function.capacity import arrangements, facts, fit, interval
from tests.capacity import measurements

GIB = measurements.GIB
CARDS = measurements.CARDS

CODER = measurements.model("Qwen/Qwen3-Coder-30B-A3B-Instruct")
QWEN3_8B = measurements.model("Qwen/Qwen3-8B")
LLAMA_70B = measurements.model("meta-llama/Llama-3.3-70B-Instruct")


def asked(**changes: object) -> arrangements.Arrangement:
    fields = {
        "version": "0.25.1",
        "context": 8192,
        "sequences": 32,
        "utilization": 0.9,
        **changes,
    }
    return arrangements.Arrangement(**fields)  # type: ignore[arg-type]


def test_a_coder_with_128k_on_an_l40s_is_too_large() -> None:
    arrangement = asked(context=131072, quantization="fp8")
    answer = fit.fit(CODER, CARDS["L40S"], arrangement)
    assert (answer.verdict, answer.bound) == (fit.Verdict.TOO_LARGE, fit.Bound.CONTEXT)
    assert 104_000 < answer.longest.low < answer.longest.high < 114_000
    assert answer.sentence == (
        "of 40.0 GiB on each L40S (0.9 of 44.39) weights 29.1 GiB, activations 0.6 GiB,"
        " process 0.2 GiB, graphs set aside 0.1 GiB leave 9.9 GiB for the cache;"
        " a sequence of 131072 tokens takes 12.0 GiB, so 0.8 fit at a time"
    )


def test_fewer_sequences_may_be_what_fits() -> None:
    # 4096 sequences leave nothing; the sampler of fewer needs less.
    arrangement = asked(version="0.19.0", sequences=4096, context=2048)
    answer = fit.fit(measurements.model("google/gemma-2-2b-it"), CARDS["L4"], arrangement)
    assert answer.verdict is not fit.Verdict.FITS


def test_a_cache_of_8_bits_makes_room_for_it() -> None:
    arrangement = asked(context=131072, quantization="fp8", cache_dtype="fp8", sequences=1)
    answer = fit.fit(CODER, CARDS["L40S"], arrangement)
    assert (answer.verdict, answer.bound) == (fit.Verdict.FITS, fit.Bound.SEQUENCES)


def test_70b_on_one_h100_is_too_large() -> None:
    answer = fit.fit(LLAMA_70B, CARDS["H100-SXM-80GB"], asked(utilization=0.92))
    assert (answer.verdict, answer.bound) == (fit.Verdict.TOO_LARGE, fit.Bound.WEIGHTS)
    assert answer.available.high < 0
    assert answer.sequences.best == 0
    assert answer.sentence.endswith("take 133.9 GiB: nothing is left for the cache")


def test_weights_that_just_fit_leave_no_room_for_a_step() -> None:
    share = 0.9 * CARDS["L40S"].memory_gib
    answer = fit.fit(
        QWEN3_8B,
        CARDS["L40S"],
        asked(),
        interval.exactly((share - 0.5) * GIB),
    )
    assert (answer.verdict, answer.bound) == (fit.Verdict.TOO_LARGE, fit.Bound.ACTIVATIONS)


@pytest.mark.parametrize(
    ("context", "verdict", "bound"),
    [
        (66_000, fit.Verdict.FITS, fit.Bound.CACHE),
        # 69,696 tokens were measured.
        (69_500, fit.Verdict.TIGHT, fit.Bound.CONTEXT),
        (69_900, fit.Verdict.TIGHT, fit.Bound.CONTEXT),
        (71_000, fit.Verdict.TOO_LARGE, fit.Bound.CONTEXT),
    ],
)
def test_the_ends_of_the_interval_decide(
    context: int, verdict: fit.Verdict, bound: fit.Bound
) -> None:
    answer = fit.fit(QWEN3_8B, CARDS["L4"], asked(context=context, quantization="fp8"))
    assert (answer.verdict, answer.bound) == (verdict, bound)


@pytest.mark.parametrize(
    ("tensor", "utilization", "verdict", "bound"),
    [
        # Started.
        (2, 0.9, fit.Verdict.FITS, fit.Bound.CACHE),
        # Ran out of memory in the sampler's trial, once the cache was taken.
        (1, 0.95, fit.Verdict.TIGHT, fit.Bound.DEVICE),
        (2, 0.95, fit.Verdict.TIGHT, fit.Bound.DEVICE),
    ],
)
def test_what_comes_after_the_cache_needs_room(
    tensor: int, utilization: float, verdict: fit.Verdict, bound: fit.Bound
) -> None:
    arrangement = asked(
        version="0.19.0", sequences=1024, tensor=tensor, utilization=utilization, context=8192
    )
    answer = fit.fit(measurements.model("openai/gpt-oss-20b"), CARDS["H100-SXM-80GB"], arrangement)
    assert (answer.verdict, answer.bound) == (verdict, bound)
    if bound is fit.Bound.DEVICE:
        assert answer.size(fit.Part.FREE).best < 0
        assert "beside it" in answer.sentence


def test_what_is_doubtful_is_told_by_the_number_that_makes_it_so() -> None:
    """The best value fits beside the engine's share; the high end does not."""
    arrangement = asked(version="0.19.0", sequences=256, utilization=0.97, context=8192)
    answer = fit.fit(measurements.model("openai/gpt-oss-20b"), CARDS["H100-SXM-80GB"], arrangement)
    free = answer.size(fit.Part.FREE)
    assert (answer.bound, free.low < 0) == (fit.Bound.DEVICE, True)
    assert " at most, and " in answer.sentence


def test_a_whole_gpu_leaves_no_room_for_the_context() -> None:
    answer = fit.fit(QWEN3_8B, CARDS["L4"], asked(quantization="fp8", utilization=1))
    assert answer.verdict is not fit.Verdict.FITS
    assert answer.size(fit.Part.FREE).best < 0


def test_the_longest_context_is_the_one_in_the_engines_message() -> None:
    # "4.12 GiB ... the estimated maximum model length is 29952", with a warm compile cache.
    arrangement = asked(context=32768, cold=False)
    answer = fit.fit(QWEN3_8B, CARDS["L4"], arrangement)
    assert answer.verdict is fit.Verdict.TOO_LARGE
    assert answer.longest.best == pytest.approx(29952, rel=0.01)


# Starts of vLLM 0.25.1 that failed, with the memory of the named card.
@pytest.mark.parametrize(
    ("model", "card", "changes", "bound"),
    [
        ("Qwen/Qwen3-8B", "L4", {"context": 32768}, fit.Bound.CONTEXT),
        (
            "RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8-dynamic",
            "L4",
            {"context": 131072},
            fit.Bound.CONTEXT,
        ),
        ("Qwen/Qwen3-32B", "L40S", {}, fit.Bound.WEIGHTS),
        (
            "Qwen/Qwen2.5-32B-Instruct-AWQ",
            "L4",
            {"context": 4096, "sequences": 16},
            fit.Bound.ACTIVATIONS,
        ),
    ],
)
def test_starts_that_failed(
    model: str, card: str, changes: dict[str, object], bound: fit.Bound
) -> None:
    answer = fit.fit(measurements.model(model), CARDS[card], asked(**changes))
    assert (answer.verdict, answer.bound) == (fit.Verdict.TOO_LARGE, bound)


def test_parts_sum_up_to_the_memory() -> None:
    for model, card, changes in (
        ("Qwen/Qwen3-8B", "L4", {"quantization": "fp8", "adapter_slots": 2}),
        ("Qwen/Qwen3-30B-A3B", "H100-SXM-80GB", {"tensor": 2}),
        ("openai/gpt-oss-20b", "L4", {}),
    ):
        answer = fit.fit(measurements.model(model), CARDS[card], asked(**changes))
        sizes = [term.size.best for term in answer.terms]
        assert sum(sizes) == pytest.approx(answer.total, abs=1)


@pytest.mark.parametrize(
    ("card", "sequences", "tokens"),
    [
        ("L4", 32, 2048),
        ("L4", 4096, 4096),
        ("H100-SXM-80GB", 32, 8192),
        # vLLM counts an A100 to the small cards, whatever its memory.
        ("A100-SXM-80GB", 32, 2048),
    ],
)
def test_tokens_of_a_step(card: str, sequences: int, tokens: int) -> None:
    assert asked(sequences=sequences).tokens(CARDS[card]) == tokens


def test_adapters_have_a_part_of_their_own() -> None:
    plain = asked(quantization="fp8", context=32768)
    model, card = measurements.model("Qwen/Qwen2.5-Coder-7B-Instruct"), CARDS["L4"]
    # Two slots of rank 64: 0.602 GiB measured.
    slots = dataclasses.replace(plain, adapter_slots=2, adapter_rank=64)
    answer = fit.fit(model, card, slots)
    assert answer.size(fit.Part.ADAPTERS).best / GIB == pytest.approx(0.602, abs=0.02)
    assert answer.available.best < fit.fit(model, card, plain).available.best


def test_a_model_without_a_cache_fits_by_its_memory_alone() -> None:
    encoder = dataclasses.replace(
        measurements.model("Qwen/Qwen3-Embedding-0.6B"),
        blocks=(facts.Block(12, facts.Mixer(facts.Mixing.NONE), facts.Network(3072)),),
    )
    answer = fit.fit(encoder, CARDS["L4"], asked(), interval.exactly(GIB))
    assert (answer.verdict, answer.sequences.best) == (fit.Verdict.FITS, math.inf)
    full = fit.fit(encoder, CARDS["L4"], asked(), interval.exactly(30 * GIB))
    assert full.verdict is fit.Verdict.TOO_LARGE


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"utilization": 0}, "utilization: 0 is no share of a GPU"),
        ({"utilization": 1.1}, "utilization: 1.1 is no share of a GPU"),
        ({"context": 0}, "context: 0 is below 1; give at least 1"),
        ({"tensor": 0}, "tensor: 0 is below 1"),
        ({"batched_tokens": 0}, "batched_tokens: 0 is below 1"),
        ({"adapter_slots": -1}, "adapter_slots: -1 is below 0"),
        ({"adapter_rank": 0}, "adapter_rank: 0 is below 1"),
    ],
)
def test_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        asked(**changes)
