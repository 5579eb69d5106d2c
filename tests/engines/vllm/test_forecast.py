"""The author's own arguments, and the claim's dtype, count in what decides about memory."""

from typing import Any

import pytest

from function.capacity import fit
from function.concerns import capacity
from function.engines import engine
from tests.resources import scene

CLASSES: dict[str, Any] = {
    "defaultClass": "l4",
    "classes": {"l4": {"product": "L4"}, "h100": {"product": "H100", "nodeGpus": 8}},
}
LARGE = "meta-llama/Llama-3.3-70B-Instruct"


def outlook(*arguments: str, repository: str = "Qwen/Qwen3-8B", **model: Any) -> engine.Outlook:
    claimed = scene.of(model={"repository": repository, **model}, engineArgs=list(arguments))
    plan = scene.planned(claimed, scene.site(gpu=CLASSES))
    assert plan.serving.outlook is not None
    return plan.serving.outlook


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        (["--block-size=32"], "block", 32),
        (["--block-size=²"], "block", 16),
        (["--max-num-batched-tokens=32k"], "batched_tokens", 32000),
        (["--max-num-batched-tokens=4K"], "batched_tokens", 4096),
        (["--max-num-batched-tokens=-4"], "batched_tokens", None),
        (["--max-num-batched-tokens=" + "9" * 200 + "k"], "batched_tokens", None),
        (["--enforce-eager"], "eager", True),
        (["--no-enforce-eager"], "eager", False),
        ([], "eager", False),
    ],
)
def test_arguments_of_the_author_count(arguments: list[str], field: str, value: Any) -> None:
    assert getattr(outlook(*arguments).flags, field) == value


def test_an_eager_engine_captures_no_graphs() -> None:
    answer = outlook("--enforce-eager").fit
    assert answer is not None
    assert answer.size(fit.Part.GRAPHS).best == 0


@pytest.mark.parametrize(
    ("argument", "verdict"),
    [
        ("--kv-cache-memory-bytes=8G", fit.Verdict.TIGHT),
        ("--num-gpu-blocks-override=4096", fit.Verdict.TIGHT),
        ("--language-model-only", fit.Verdict.TIGHT),
        ('--limit-mm-per-prompt={"image":0}', fit.Verdict.TIGHT),
        ("--max-num-batched-tokens=1k", fit.Verdict.TOO_LARGE),
    ],
)
def test_a_flag_without_a_formula_withholds_no_gpu(argument: str, verdict: fit.Verdict) -> None:
    answer = outlook(argument, repository=LARGE).fit
    assert answer is not None
    assert answer.verdict is verdict
    assert (argument.partition("=")[0] in answer.note) == (verdict is fit.Verdict.TIGHT)


def test_the_dtype_of_the_claim_counts() -> None:
    wide, plain = outlook(dtype="float32").fit, outlook().fit
    assert wide is not None
    assert plain is not None
    assert wide.verdict is fit.Verdict.TOO_LARGE
    ratio = wide.size(fit.Part.WEIGHTS).best / plain.size(fit.Part.WEIGHTS).best
    assert ratio == pytest.approx(2, rel=0.01)
    same = outlook(dtype="bfloat16", contextWindow=4096).fit
    assert same == outlook(contextWindow=4096).fit


def test_ways_out_leave_alone_how_an_author_shares_the_model() -> None:
    """Another number of GPUs in a pod would be another number of pods, or none that is whole."""
    shared = {"class": "h100", "count": 2, "parallelism": {"tensor": 1, "data": 2}}
    claimed = scene.of(model={"repository": LARGE}, gpu=shared)
    told = capacity.fits(scene.planned(claimed, scene.site(gpu=CLASSES)))
    assert told.reason == "TooLarge"
    assert told.message.endswith("Ways out: model.quantization: fp8")
    claimed["spec"]["model"]["quantization"] = "awq"
    claimed["spec"]["gpu"]["class"] = "l4"
    told = capacity.fits(scene.planned(claimed, scene.site(gpu=CLASSES)))
    assert told.message.endswith("were tried: gpu.parallelism says how they share")
