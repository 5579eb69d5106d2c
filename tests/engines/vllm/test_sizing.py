"""Context, sequences, parsers and runner follow from model and GPU; an author's are literal."""

import itertools
from typing import Any

import pytest

from function.capacity import arrangements, cards, catalogue, fit, ways_out
from function.concerns import capacity
from function.engines.vllm import forecast, sizing
from function.planning import plans
from tests.resources import scene

CLASSES: dict[str, Any] = {
    "defaultClass": "l4",
    "classes": {
        "l4": {"product": "L4"},
        "l40s": {"product": "L40S"},
        "h100": {"product": "H100"},
        "unknown": {},
    },
}


def planned(model: dict[str, Any], gpu: str = "l4", **capacity: int) -> plans.Plan:
    claimed = scene.of(model=model, gpu={"class": gpu})
    return scene.planned(claimed, scene.site(gpu=CLASSES, capacity=capacity))


def arguments(plan: plans.Plan) -> dict[str, str | None]:
    container = plan.engine.container(plan)
    return scene.values(container.arguments)


@pytest.mark.parametrize(
    ("model", "gpu", "context", "sequences"),
    [
        ("Qwen/Qwen3-8B", "l4", "6144", "8"),
        ("Qwen/Qwen3-8B", "l40s", "40960", "80"),
        ("Qwen/Qwen3-8B", "h100", "40960", "192"),
        ("meta-llama/Llama-3.2-1B-Instruct", "h100", "131072", "256"),
        ("Qwen/Qwen3-8B", "unknown", "4096", "64"),
        ("org/nobody-knows", "l4", "4096", "64"),
    ],
)
def test_sizes_follow_from_model_and_gpu(
    model: str, gpu: str, context: str, sequences: str
) -> None:
    values = arguments(planned({"repository": model}, gpu))
    assert (values["--max-model-len"], values["--max-num-seqs"]) == (context, sequences)


def test_what_the_author_names_is_literal() -> None:
    values = arguments(planned({"repository": "Qwen/Qwen3-8B", "contextWindow": 4096}))
    assert values["--max-model-len"] == "4096"
    values = arguments(planned({"repository": "Qwen/Qwen3-8B", "maxNumSeqs": 3}))
    assert values["--max-num-seqs"] == "3"


@pytest.mark.parametrize("room", [1, 2, 8])
def test_the_derived_window_leaves_the_room_that_the_settings_ask(room: int) -> None:
    plan = planned({"repository": "Qwen/Qwen3-8B"}, fullSequences=room)
    outlook = plan.serving.outlook
    assert outlook is not None
    assert outlook.fit is not None
    assert outlook.fit.verdict is fit.Verdict.FITS
    longer = scene.planned(
        scene.of(
            model={
                "repository": "Qwen/Qwen3-8B",
                "contextWindow": outlook.flags.context + 1024,
                "maxNumSeqs": outlook.flags.sequences,
            },
            gpu={"class": "l4"},
        ),
        scene.site(gpu=CLASSES),
    ).serving.outlook
    assert longer is not None
    assert longer.fit is not None
    likely = outlook.fit.sequences.best
    # 4096 is the least that is derived, whatever room that leaves.
    more = longer.fit.sequences
    assert (likely >= room and (more.best < room or more.low < 1)) or outlook.flags.context == 4096


def test_sequences_that_are_not_run_take_nothing_from_the_context() -> None:
    plan = planned({"repository": "openai/gpt-oss-120b"}, "h100")
    outlook = plan.serving.outlook
    assert outlook is not None
    assert outlook.fit is not None
    assert (outlook.flags.context, outlook.flags.sequences) == (62464, 48)
    # The low end holds one, and the likely value those that the settings ask for.
    assert outlook.fit.verdict is fit.Verdict.FITS
    assert outlook.fit.sequences.best >= 4


@pytest.mark.parametrize(
    ("model", "tool", "reasoning", "runner"),
    [
        ({"repository": "Qwen/Qwen3-8B"}, "hermes", "qwen3", None),
        ({"repository": "Qwen/Qwen3-8B", "toolCallParser": "none"}, None, "qwen3", None),
        ({"repository": "Qwen/Qwen3-8B", "reasoningParser": "granite"}, "hermes", "granite", None),
        ({"repository": "Qwen/Qwen2.5-Coder-1.5B"}, None, None, None),
        ({"repository": "Qwen/Qwen3-Embedding-0.6B"}, None, None, "pooling"),
        ({"repository": "Qwen/Qwen3-8B", "runner": "pooling"}, None, None, "pooling"),
        ({"repository": "org/nobody-knows"}, None, None, None),
    ],
)
def test_parsers_and_runner_are_those_of_the_family(
    model: dict[str, Any], tool: str | None, reasoning: str | None, runner: str | None
) -> None:
    values = arguments(planned(model))
    assert values.get("--tool-call-parser") == tool
    assert ("--enable-auto-tool-choice" in values) == (tool is not None)
    assert values.get("--reasoning-parser") == reasoning
    assert values.get("--runner") == runner


def test_every_derived_value_is_explained() -> None:
    plan = planned({"repository": "Qwen/Qwen3-8B"})
    named = {why.value for why in plan.explanations}
    assert {"max-model-len", "max-num-seqs", "tool-call-parser", "reasoning-parser"} <= named


# From the least to the most, on both sides of the step of the derived share.
COUNTS = (8, 64, 152, 248, 255, 256, 264, 512)
ORDER = [fit.Verdict.TOO_LARGE, fit.Verdict.TIGHT, fit.Verdict.FITS]


def answers(
    repository: str, product: str, gpus: int, context: int, share: float | None
) -> dict[int, fit.Fit]:
    """Returns whether a model fits, by its sequences, at a share or at the one that is derived."""
    model, card = catalogue.lookup(repository), cards.lookup(product)
    given = {}
    for count in COUNTS:
        flags = arrangements.Arrangement(
            version="0.25.1",
            context=context,
            sequences=count,
            utilization=share or float(sizing.utilization(count)),
            tensor=gpus,
        )
        answer = forecast.answer(model, card, flags)
        assert answer is not None
        given[count] = answer
    return given


@pytest.mark.parametrize("repository", ["Qwen/Qwen3-8B", "Qwen/Qwen3-32B", "openai/gpt-oss-20b"])
@pytest.mark.parametrize("product", ["L4", "A10G", "A100-SXM-40GB", "L40S", "H100-SXM-80GB"])
def test_fewer_sequences_need_more_only_where_the_derived_share_steps(
    repository: str, product: str
) -> None:
    """One share never needs more for fewer sequences, and a derived one has one step.

    It is 0.92, and 0.90 from 256 sequences on. Fewer sequences leave less beside the larger share
    then, and may be in doubt where more fit. The share is an argument of pods that run, so it
    stays: the answer names the share that surely fits.
    """
    model = catalogue.lookup(repository)
    assert model is not None
    for gpus, context in itertools.product((1, 2, 4, 8), (4096, 16384)):
        for share in (0.9, 0.92, None):
            given = answers(repository, product, gpus, context, share)
            for fewer, more in itertools.combinations(COUNTS, 2):
                less, than = given[fewer], given[more]
                if ORDER.index(less.verdict) >= ORDER.index(than.verdict):
                    continue
                assert less.arrangement.utilization > than.arrangement.utilization
                if than.verdict is fit.Verdict.FITS:
                    (way,) = ways_out.share(model, "own", less)
                    assert way.answer.verdict is fit.Verdict.FITS
                    assert way.arrangement.utilization >= than.arrangement.utilization


def test_the_step_of_the_derived_share_is_told_with_its_cure() -> None:
    classes = {"a100": {"product": "A100-SXM-40GB", "nodeGpus": 8}}
    verdicts = {}
    for count in (64, 152, 248, 256):
        model = {"repository": "Qwen/Qwen3-32B", "contextWindow": 16384, "maxNumSeqs": count}
        claimed = scene.of(model=model, gpu={"class": "a100", "count": 4})
        plan = scene.planned(claimed, scene.site(gpu={"classes": classes}))
        outlook = plan.serving.outlook
        assert outlook is not None
        assert outlook.fit is not None
        verdicts[count] = outlook.fit.verdict
        cure = "It surely fits with gpu.memoryUtilization: 0.9"
        assert (cure in capacity.fits(plan).message) is (verdicts[count] is fit.Verdict.TIGHT)
    assert verdicts == {
        64: fit.Verdict.FITS,
        152: fit.Verdict.TIGHT,
        248: fit.Verdict.TIGHT,
        256: fit.Verdict.FITS,
    }
