"""What of a claim contradicts its model, its GPUs or itself."""

import dataclasses
from typing import Any

import pytest

from function.api import base, claim
from function.capacity import facts
from function.engines import adviser
from function.engines.vllm import contract, contradictions, subjects
from function.findings import table
from tests import cluster
from tests.resources import scene

REPOSITORY = scene.REPOSITORY
QWEN3_8B = facts.Facts(
    name=REPOSITORY,
    architecture="Qwen3ForCausalLM",
    hidden=4096,
    vocabulary=151936,
    tied=False,
    dtype_bytes=2,
    blocks=(
        facts.Block(
            36,
            facts.Mixer(facts.Mixing.FULL, heads=32, kv_heads=8, head_size=128),
            facts.Network(intermediate=12288),
        ),
    ),
    context=40960,
    tool_parser="hermes",
    reasoning_parser="qwen3",
)
AWQ = facts.Quantization("awq", 4, 128)
ADAPTER = adviser.Adapter(base="Qwen/Qwen3-8B", rank=128)
SQL: cluster.Object = {"loraAdapters": [{"name": "sql", "repository": "org/sql"}]}


def _gpus(count: int, *arguments: str) -> cluster.Object:
    return {"gpu": {"count": count}, "engineArgs": list(arguments)}


def _yarn(window: int, factor: float, *, dotted: bool = False) -> cluster.Object:
    rope = f'{{"rope_type":"yarn","factor":{factor},"original_max_position_embeddings":32768}}'
    argument = f".rope_parameters={rope}" if dotted else f'={{"rope_parameters":{rope}}}'
    return {"model": {"contextWindow": window}, "engineArgs": [f"--hf-overrides{argument}"]}


def findings(
    spec: cluster.Object,
    changes: dict[str, Any] | None,
    adapters: dict[str, adviser.Adapter] | None = None,
) -> list[str]:
    """Returns what is found, as people read it; `changes` of the facts, None for no facts."""
    document = scene.of(**{"model": {}, **spec})
    resource = base.parse(claim.InferenceService, document, what="claim")
    known = None if changes is None else dataclasses.replace(QWEN3_8B, **changes)
    subject = subjects.Subject(resource.spec, (0, 25, 1), known, adapters or {})
    return [str(finding) for finding in contradictions.judge(subject)]


@pytest.mark.parametrize(
    ("spec", "changes", "expected"),
    [
        ({"model": {"quantization": "fp8"}}, {}, None),
        ({"model": {"quantization": "fp8"}}, {"quantization": facts.Quantization("fp8", 8)}, None),
        ({"model": {"quantization": "awq"}}, {"quantization": AWQ}, None),
        ({"model": {"quantization": "gptq"}}, None, None),
        (
            {"model": {"quantization": "awq"}},
            {},
            "warning: spec.model.quantization: org/model is in 16 bit, and no flag is passed for",
        ),
        (
            {"model": {"quantization": "gptq"}},
            {"quantization": facts.Quantization("fp8", 8)},
            "warning: spec.model.quantization: org/model is fp8, and no flag is passed for gptq",
        ),
        (
            {"model": {"quantization": "fp8"}},
            {"quantization": AWQ},
            "error: spec.model.quantization: fp8 is for a 16-bit checkpoint, and org/model is awq",
        ),
        (
            {"model": {"quantization": "fp8", "repository": "Qwen/Qwen3-8B-AWQ"}},
            None,
            "warning: spec.model.quantization: fp8 is for a 16-bit checkpoint, and the name",
        ),
        ({"model": {"contextWindow": 40960}}, {}, None),
        ({"model": {"contextWindow": 65536}}, None, None),
        (
            {"model": {"contextWindow": 65536}},
            {},
            "error: spec.model.contextWindow: 65536 tokens are above the 40960 of org/model",
        ),
        (
            {
                "model": {"contextWindow": 65536},
                "engineArgs": ['--hf-overrides={"rope_parameters": {"factor": 2.0}}'],
            },
            {},
            None,
        ),
        (
            {
                "model": {"contextWindow": 65536},
                "podTemplate": {"env": [{"name": "VLLM_ALLOW_LONG_MAX_MODEL_LEN", "value": "1"}]},
            },
            {},
            None,
        ),
        (_yarn(131072, 4.0), {}, None),
        (_yarn(262144, 4.0), {}, "262144 tokens are above the 131072 that factor and original"),
        (_yarn(131072, 2.0), None, "131072 tokens are above the 65536 that factor and original"),
        (_yarn(131072, 2.0, dotted=True), {}, "above the 65536 that factor"),
        (_yarn(40960, 1.0), {}, "40960 tokens are above the 32768 that factor"),
        (
            {
                **_yarn(262144, 4.0),
                "podTemplate": {"env": [{"name": "VLLM_ALLOW_LONG_MAX_MODEL_LEN", "value": "1"}]},
            },
            {},
            None,
        ),
        ({"model": {"contextWindow": 4096}}, {"context": 2048}, "4096 tokens are above the 2048"),
        (_gpus(8), {}, None),
        (_gpus(6), {}, "error: spec.gpu.count: 6 GPUs do not divide the 151936 rows of the vocab"),
        (
            _gpus(8),
            {"blocks": (facts.Block(1, facts.Mixer(facts.Mixing.FULL, 28, 4), facts.Network()),)},
            "error: spec.gpu.count: 8 GPUs do not divide the 28 attention heads",
        ),
        (
            _gpus(8),
            {"blocks": (facts.Block(1, facts.Mixer(facts.Mixing.FULL, 24, 3), facts.Network()),)},
            "error: spec.gpu.count: 8 GPUs do not divide the 3 heads of keys and values",
        ),
        (
            _gpus(8),
            {"blocks": (facts.Block(1, facts.Mixer(facts.Mixing.FULL, 32, 2), facts.Network()),)},
            None,
        ),
        # One mistake is one line: no count of GPUs makes 3 shares possible.
        (
            _gpus(2, "--tensor-parallel-size=3"),
            {},
            "error: spec.engineArgs[0]: 3 GPUs do not divide the 151936 rows of the vocabulary and"
            " the 32 attention heads and the 8 heads of keys and values of org/model: take 1, 2, 4"
            " or 8",
        ),
        (_gpus(4, "--tensor-parallel-size=2", "--pipeline-parallel-size=2"), {}, None),
        (
            _gpus(2, "--tensor-parallel-size=4"),
            None,
            "error: spec.engineArgs[0]: --tensor-parallel-size=4 needs 4 GPUs, and spec.gpu.count"
            " is 2: set spec.gpu.count to 4",
        ),
        (
            _gpus(4, "--seed=1", "--tensor-parallel-size=2"),
            None,
            "warning: spec.engineArgs[1]: --tensor-parallel-size=2 needs 2 GPUs",
        ),
        (
            _gpus(2, "--pipeline-parallel-size=2"),
            None,
            "error: spec.engineArgs[0]: --pipeline-parallel-size=2 needs 4 GPUs, and spec.gpu.count"
            " is 2: set --tensor-parallel-size too",
        ),
        (
            {"model": {"repository": "unsloth/Qwen3-8B-GGUF"}},
            None,
            "error: spec.model.repository: unsloth/Qwen3-8B-GGUF is GGUF, which vLLM 0.25.1",
        ),
        ({}, {"quantization": facts.Quantization("gguf", 4)}, "error: spec.model.repository"),
        ({"model": {"runner": "pooling"}}, {"runner": facts.Runner.POOLING}, None),
        # The runner follows from the model where the claim names none.
        ({}, {"runner": facts.Runner.POOLING}, None),
        (
            {"model": {"runner": "generate"}},
            {"runner": facts.Runner.POOLING},
            "warning: spec.model.runner: org/model is a pool",
        ),
        (
            {"engineArgs": ["--runner=generate"]},
            {"runner": facts.Runner.POOLING, "architecture": "XLMRobertaModel"},
            "error: spec.engineArgs[0]: org/model cannot generate: set spec.model.runner to",
        ),
        ({"model": {"toolCallParser": "hermes", "reasoningParser": "qwen3"}}, {}, None),
        ({"model": {"toolCallParser": "qwen3_xml"}}, {"tool_parser": "qwen3_coder"}, None),
        ({"model": {"toolCallParser": "mistral"}}, {"tool_parser": None}, None),
        (
            {"model": {"toolCallParser": "mistral"}},
            {},
            "warning: spec.model.toolCallParser: mistral is not the parser of org/model: take herm",
        ),
        (
            {"model": {"reasoningParser": "mistral"}},
            {},
            "warning: spec.model.reasoningParser: mistral is not the parser of org/model: take qwe",
        ),
        ({**SQL, "model": {"runner": "pooling"}}, None, "warning: spec.loraAdapters: org/model"),
        (SQL, {}, None),
        (
            SQL,
            {"architecture": "FalconForCausalLM"},
            "warning: spec.loraAdapters: FalconForCausalLM, the architecture of org/model, takes",
        ),
        (
            {},
            {"architecture": "BeamForCausalLM"},
            "warning: spec.model.repository: vLLM 0.25.1 has no BeamForCausalLM, the architecture"
            " of org/model: 0.33.0 has it",
        ),
        ({"engineArgs": ['--speculative-config={"method": "ngram"}']}, {}, None),
        (
            {"engineArgs": ['--speculative-config={"method": "mtp"}']},
            {},
            "error: spec.engineArgs[0]: mtp reads draft layers, and org/model has none",
        ),
        (
            {"engineArgs": ['--speculative-config={"model": "org/draft"}']},
            None,
            "warning: spec.engineArgs[0]: the draft takes GPU memory beside the model",
        ),
        (
            {
                "engineArgs": ['--speculative-config={"model": "org/draft"}'],
                "gpu": {"memoryUtilization": "0.88"},
            },
            None,
            None,
        ),
    ],
)
def test_judge(spec: cluster.Object, changes: dict[str, Any] | None, expected: str | None) -> None:
    lines = findings(spec, changes)
    if expected is None:
        assert lines == []
    else:
        assert [expected in line for line in lines] == [True], lines


@pytest.mark.parametrize(
    ("repository", "rank", "rules"),
    [
        ("Qwen/Qwen3-8B", 128, []),
        ("mirror/Qwen3-8B-FP8", 128, []),
        ("Qwen/Qwen3-8B", 64, ["adapter-rank"]),
        ("Qwen/Qwen3-4B", 128, ["adapter-of-another-base"]),
    ],
)
def test_an_adapter_fits_its_base(repository: str, rank: int, rules: list[str]) -> None:
    spec = {**SQL, "model": {"repository": repository, "maxLoraRank": rank}}
    lines = findings(spec, None, {"sql": ADAPTER})
    assert [line.rpartition(" ")[2].strip("()") for line in lines] == rules
    assert all("spec.loraAdapters[0]: " in line for line in lines)


def test_a_planned_claim_is_judged_by_contract_and_contradictions() -> None:
    plan = scene.planned(
        scene.of(
            model={"toolCallParser": "hermess"},
            engine={"version": "0.25.1"},
            gpu={"count": 2},
            engineArgs=["--seed=x", "--tensor-parallel-size=4"],
        )
    )
    rules = [(finding.rule.name, finding.field) for finding in table.judge(plan)]
    assert rules == [
        ("engine-name-unknown", "spec.model.toolCallParser"),
        ("engine-flag-value", "spec.engineArgs[0]"),
        ("gpu-count", "spec.engineArgs[1]"),
    ]


def test_every_rule_has_a_name_of_its_own_and_a_page() -> None:
    names = [rule.name for rule in (*contract.RULES, *contradictions.RULES)]
    assert len(set(names)) == len(names)
    for rule in table.RULES.values():
        assert f"## {rule.name}\n" in table.page()
        assert all(text.endswith(".") for text in (rule.what, rule.why, rule.remedy)), rule.name
