"""Ways out of a misfit: which, in which order, at which price, and what users notice."""

import dataclasses

import pytest

from function.capacity import arrangements, facts, fit, ways_out
from tests.capacity import measurements
from tests.capacity.test_fit import CODER, LLAMA_70B, QWEN3_8B, asked

Change = ways_out.Change

CLASSES = {
    "l4": measurements.CARDS["L4"],
    "a10g": measurements.CARDS["A10G"],
    "l40s": measurements.CARDS["L40S"],
    "h100": measurements.CARDS["H100-SXM-80GB"],
    "h200": measurements.CARDS["H200-SXM-141GB"],
}
# AWS us-east-1, July 2026, dollars for each GPU.
PRICES = {"l4": 0.805, "a10g": 1.006, "l40s": 1.861, "h100": 6.88, "h200": 7.912}
OFFER = ways_out.Offer(CLASSES, PRICES)


def ways(
    model: facts.Facts,
    gpu_class: str,
    arrangement: arrangements.Arrangement,
    offer: ways_out.Offer = OFFER,
) -> list[tuple[Change, str, int, float | None]]:
    return [
        (
            way.change,
            way.gpu_class,
            way.arrangement.tensor,
            None if way.price is None else round(way.price, 3),
        )
        for way in ways_out.ways(model, gpu_class, arrangement, offer)
    ]


@pytest.mark.parametrize(
    ("model", "gpu_class", "changes", "expected"),
    [
        # A coder with 128k: the same card with another cache or context, or two of it.
        (
            CODER,
            "l40s",
            {"context": 131072, "quantization": "fp8"},
            [
                (Change.CACHE, "l40s", 1, 1.861),
                (Change.CONTEXT, "l40s", 1, 1.861),
                (Change.GPUS, "l40s", 2, 3.722),
            ],
        ),
        # 70B of 16 bits: no flag helps one H100. Packed weights need half of the GPUs of a class.
        (
            LLAMA_70B,
            "h100",
            {"context": 8192},
            [
                (Change.OTHER_GPUS_AND_QUANTIZATION, "l4", 4, 3.22),
                (Change.CLASS, "l4", 8, 6.44),
                (Change.CLASS, "l40s", 4, 7.444),
            ],
        ),
        # 8B of 16 bits with 32k on an L4.
        (
            QWEN3_8B,
            "l4",
            {"context": 32768},
            [
                (Change.CACHE, "l4", 1, 0.805),
                (Change.QUANTIZATION, "l4", 1, 0.805),
                (Change.CONTEXT, "l4", 1, 0.805),
            ],
        ),
        # A10G has no fp8: its cache stays, its weights are unpacked.
        (
            QWEN3_8B,
            "a10g",
            {"context": 32768},
            [
                (Change.QUANTIZATION, "a10g", 1, 1.006),
                (Change.CONTEXT, "a10g", 1, 1.006),
                (Change.CLASS, "l4", 2, 1.61),
            ],
        ),
        # The sampler's trial for 4096 sequences is what does not fit.
        (
            measurements.model("google/gemma-2-2b-it"),
            "l4",
            {"version": "0.19.0", "sequences": 4096, "context": 2048},
            [
                (Change.SEQUENCES, "l4", 1, 0.805),
                (Change.QUANTIZATION, "l4", 1, 0.805),
                (Change.CLASS, "l40s", 1, 1.861),
            ],
        ),
    ],
)
def test_the_cheapest_three(
    model: facts.Facts,
    gpu_class: str,
    changes: dict[str, object],
    expected: list[tuple[Change, str, int, float]],
) -> None:
    assert ways(model, gpu_class, asked(**changes)) == expected


def test_every_way_fits() -> None:
    for model, gpu_class, context in ((CODER, "l40s", 131072), (LLAMA_70B, "h100", 8192)):
        for way in ways_out.ways(model, gpu_class, asked(context=context), OFFER):
            assert way.answer.verdict is fit.Verdict.FITS
            again = fit.fit(model, CLASSES[way.gpu_class], way.arrangement)
            assert again == way.answer


def test_what_fits_needs_no_way_out() -> None:
    assert ways(QWEN3_8B, "l4", asked(quantization="fp8")) == []


def test_a_class_without_a_price_comes_last() -> None:
    offer = ways_out.Offer(CLASSES, {"h100": 6.88})
    answer = ways(LLAMA_70B, "h100", asked(), offer)
    assert answer[0] == (Change.GPUS, "h100", 2, 13.76)
    assert [price for *_, price in answer[1:]] == [None, None]


def test_no_more_gpus_than_the_platform_has() -> None:
    offer = dataclasses.replace(OFFER, counts=dict.fromkeys(CLASSES, (1, 2)))
    first, second = ways(LLAMA_70B, "h100", asked(), offer)[:2]
    assert first == (Change.OTHER_GPUS_AND_QUANTIZATION, "l40s", 2, 3.722)
    assert second == (Change.GPUS, "h100", 2, 13.76)
    none = dataclasses.replace(OFFER, counts=dict.fromkeys(CLASSES, (1,)))
    assert {gpus for _, _, gpus, _ in ways(LLAMA_70B, "h100", asked(), none)} <= {1}


def test_stages_of_a_pipeline_are_gpus_too() -> None:
    offer = dataclasses.replace(OFFER, counts={**dict.fromkeys(CLASSES, ()), "h100": (2, 4)})
    answer = ways(LLAMA_70B, "l4", asked(pipeline=2), offer)
    assert (Change.CLASS, "h100", 1, 13.76) in answer
    sentences = [way.sentence for way in ways_out.ways(LLAMA_70B, "l4", asked(pipeline=2), offer)]
    assert any("2 GPUs of one node of class h100" in words for words in sentences)


def test_a_shorter_context_is_one_that_the_model_has() -> None:
    question = asked(context=131072, quantization="fp8")
    answer = {way.change: way for way in ways_out.ways(QWEN3_8B, "l4", question, OFFER)}
    assert answer[Change.CONTEXT].arrangement.context == QWEN3_8B.context
    scaled = dataclasses.replace(OFFER, scaled=True)
    answer = {way.change: way for way in ways_out.ways(QWEN3_8B, "l4", question, scaled)}
    assert answer[Change.CONTEXT].arrangement.context > QWEN3_8B.context


def test_a_way_says_what_it_buys() -> None:
    first, *_ = ways_out.ways(LLAMA_70B, "h100", asked(context=8192), OFFER)
    assert first.written == "gpu.class: l4, gpu.count: 4, model.quantization: fp8"
    assert first.sentence.endswith("requests may have 8192 tokens")
    held = float(first.sentence.rpartition("at least ")[2].split()[0])
    assert 1 <= held <= first.answer.sequences.low


def test_a_packed_checkpoint_is_not_packed_again() -> None:
    model = measurements.model("Qwen/Qwen2.5-32B-Instruct-AWQ")
    changes = {change for change, *_ in ways(model, "l4", asked(context=4096))}
    assert not changes & {Change.QUANTIZATION, Change.QUANTIZATION_AND_CACHE}


def test_sentences() -> None:
    answer = {
        way.change: way.sentence
        for way in (
            *ways_out.ways(CODER, "l40s", asked(context=131072, quantization="fp8"), OFFER),
            *ways_out.ways(QWEN3_8B, "a10g", asked(context=32768), OFFER),
            *ways_out.ways(LLAMA_70B, "h100", asked(context=8192), OFFER)[:1],
        )
    }
    answer = {change: words.partition("; at least ")[0] for change, words in answer.items()}
    assert answer[Change.CACHE] == (
        "keys and values are kept in 8 bits: answers can differ, so measure their quality"
    )
    assert answer[Change.QUANTIZATION] == (
        "weights are packed into 8 bits at the start: answers can differ, so measure them;"
        " A10G unpacks them as it multiplies, so prompts get no faster"
    )
    assert answer[Change.OTHER_GPUS_AND_QUANTIZATION] == (
        "weights are packed into 8 bits at the start: answers can differ, so measure them;"
        " each replica takes 4 GPUs of one node of class l4"
    )
    assert answer[Change.CLASS] == (
        "answers stay the same; each replica takes 2 GPUs of one node of class l4"
    )
    assert "are refused" in answer[Change.CONTEXT]


@pytest.mark.parametrize(
    ("model", "gpus", "expected"),
    [
        (QWEN3_8B, 2, True),
        (QWEN3_8B, 8, True),
        # 8 heads of keys: each of 16 GPUs keeps one.
        (QWEN3_8B, 16, True),
        (QWEN3_8B, 3, False),
        # vLLM refused this: neither 40 heads nor 151936 rows are the matter alone.
        (measurements.model("Qwen/Qwen3-14B"), 5, False),
        # 40 heads, 10 of keys, but 100352 rows.
        (measurements.model("microsoft/phi-4"), 5, False),
        # 28 heads, 4 of keys.
        (measurements.model("Qwen/Qwen2.5-Coder-7B-Instruct"), 4, True),
        (measurements.model("Qwen/Qwen2.5-Coder-7B-Instruct"), 8, False),
        # A latent vector is whole on each.
        (measurements.model("deepseek-ai/DeepSeek-V2-Lite"), 4, True),
        # 49155 rows, padded to 49216.
        (measurements.model("ibm-granite/granite-3.1-8b-instruct"), 2, True),
    ],
)
def test_counts_that_divide(model: facts.Facts, gpus: int, *, expected: bool) -> None:
    assert ways_out.divides(model, gpus) is expected
