"""The catalogue: its sums against what the hub states, and how a repository is looked up."""

import csv
import json
import pathlib
import time

import pytest

from function.capacity import cards, catalogue, facts, forms, weights

MEASURED = pathlib.Path(__file__).parent / "measured"
NAMES = catalogue.names()


def model(name: str) -> facts.Facts:
    """Returns a model that the catalogue must have."""
    held = catalogue.lookup(name)
    assert held is not None, name
    return held


def figures(file: str) -> dict[str, float]:
    """Returns the second column of a file by its first."""
    with (MEASURED / file).open() as rows:
        return {name: float(value) for name, value in list(csv.reader(rows))[1:]}


# --- sums

# A pooling layer and numbers of positions, which the engine does not load.
_POOLER = "the files hold a pooling layer"
_GUESSED = "the stated total is a guess of the list"
_DRAFT = "the files hold a draft layer that config.json does not tell of"

DIFFER = {
    "BAAI/bge-base-en-v1.5": _POOLER,
    "BAAI/bge-large-en-v1.5": _POOLER,
    "BAAI/bge-reranker-large": _POOLER,
    "BAAI/bge-small-en-v1.5": _POOLER,
    "intfloat/multilingual-e5-large": _POOLER,
    "intfloat/multilingual-e5-large-instruct": _POOLER,
    "mixedbread-ai/mxbai-embed-large-v1": _POOLER,
    "Qwen/Qwen3-32B-FP8": _GUESSED,
    "allenai/Olmo-3.1-32B-Instruct": _GUESSED,
    "nvidia/Nemotron-H-56B-Base-8K": _GUESSED,
    "zai-org/GLM-4.5": _DRAFT,
    "zai-org/GLM-4.5-Air": _DRAFT,
}


def sums(held: facts.Facts) -> dict[str, int]:
    """Returns the totals that a hub may state for a model, by what it counted."""
    base = {
        "what is loaded": held.parameters,
        "with drafts": held.parameters + held.draft_parameters,
        "with drafts and their tables": held.parameters + held.draft_parameters + held.tables,
        "with the shared table twice": held.parameters + held.tables * held.tied,
    }
    packing = held.quantization
    if packing is None or packing.group == 0:
        return base
    packed = sum(
        block.count * matrix.parameters
        for block in held.blocks
        for matrix in block.matrices
        if packing.bits_of(matrix) == packing.bits
    )
    scales = packed // packing.group
    counted = {f"{how}, and scales": total + scales for how, total in base.items()}
    if packing.bits == 4:
        for how, total in base.items():
            counted[f"{how}, two weights as one"] = total - packed // 2
            counted[f"{how}, two weights as one, and scales"] = total - packed // 2 + scales
    return base | counted


def test_parameters_are_those_that_the_hub_states() -> None:
    stated = figures("parameters.csv")
    errors = {
        name: min(abs(counted / total - 1) for counted in sums(model(name)).values())
        for name, total in stated.items()
    }
    assert len(stated) > 250
    assert {name for name, error in errors.items() if error > 0.001} == set(DIFFER)


# gpt-oss's repositories hold each weight twice more, for other programs. Zero points of AWQ are
# packed in the file and unpacked by the engine.
OTHER_FILES = {"openai/gpt-oss-20b", "openai/gpt-oss-120b", "Qwen/Qwen3-8B-AWQ"}


def test_tensors_are_as_large_as_the_files() -> None:
    stated = figures("checkpoints.csv")
    errors = {name: files_gib(model(name)) / gib - 1 for name, gib in stated.items()}
    assert len(stated) > 30
    assert {name for name, error in errors.items() if abs(error) > 0.007} == OTHER_FILES


def files_gib(held: facts.Facts) -> float:
    """Returns GiB of the tensors that come from files."""
    positions = sum(rows * size * held.dtype_bytes for rows, size in held.rotary)
    return (weights.tensors(held, weights.Load(drafts=True)) - positions) / cards.GIB


# --- rows


def test_the_catalogue_is_large_and_sorted() -> None:
    assert len(NAMES) >= 300
    assert list(NAMES) == sorted(set(NAMES))


def test_a_row_is_whole_and_says_where_it_comes_from() -> None:
    for name in NAMES:
        held = model(name)
        assert held.source, name
        assert held.name == name
        assert held.context >= 512, name
        assert forms.read(json.loads(catalogue.line(held))).blocks == held.blocks, name
        assert all(block.matrices for block in held.blocks), name


def test_parsers_are_those_that_the_engine_has() -> None:
    """Names that vLLM 0.25.1 and later register (vllm/tool_parsers, vllm/reasoning)."""
    tools = {model(name).tool_parser for name in NAMES} - {None}
    reasoning = {model(name).reasoning_parser for name in NAMES} - {None}
    assert tools <= {
        *("deepseek_v3", "deepseek_v31", "deepseek_v32", "gemma4", "glm45", "glm47", "granite"),
        *("granite4", "hermes", "kimi_k2", "llama3_json", "llama4_pythonic", "minimax_m2"),
        *("mistral", "olmo3", "openai", "phi4_mini_json", "qwen3_coder", "qwen3_xml", "seed_oss"),
    }
    assert reasoning <= {
        *("deepseek_r1", "deepseek_v3", "gemma4", "glm45", "kimi_k2", "minimax_m2", "mistral"),
        *("nemotron_v3", "olmo3", "openai_gptoss", "qwen3", "seed_oss"),
    }


# --- lookups

TRAITS = [
    # repository, tools, reasoning, runner, gated, tokens of context
    ("Qwen/Qwen3-8B", "hermes", "qwen3", "generate", False, 40960),
    ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "qwen3_coder", None, "generate", False, 262144),
    ("Qwen/Qwen3-Embedding-0.6B", None, None, "pooling", False, 32768),
    ("BAAI/bge-m3", None, None, "pooling", False, 8192),
    ("meta-llama/Llama-3.3-70B-Instruct", "llama3_json", None, "generate", True, 131072),
    ("meta-llama/Llama-Guard-3-1B", None, None, "generate", True, 131072),
    ("deepseek-ai/DeepSeek-V3.2", "deepseek_v32", "deepseek_v3", "generate", False, 163840),
    ("openai/gpt-oss-20b", "openai", "openai_gptoss", "generate", False, 131072),
    ("google/gemma-3-27b-it", None, None, "generate", True, 131072),
    ("zai-org/GLM-4.7", "glm47", "glm45", "generate", False, 202752),
]


def test_no_context_of_llama_3_is_multiplied_by_its_rope_factor() -> None:
    """A list does so, and vLLM does not: `rope_type: llama3` lengthens nothing."""
    llamas = [
        held for name in NAMES if (held := model(name.replace("*", "x"))).vocabulary == 128256
    ]
    longest = {held.name: held.context for held in llamas}
    assert len(longest) > 20
    assert max(longest.values()) <= 131072


@pytest.mark.parametrize(("name", "tool", "reasoning", "runner", "gated", "context"), TRAITS)
def test_a_family_has_its_traits(
    name: str, tool: str | None, reasoning: str | None, runner: str, gated: bool, context: int
) -> None:
    held = model(name)
    assert (held.tool_parser, held.reasoning_parser) == (tool, reasoning)
    assert (held.runner, held.gated, held.context) == (runner, gated, context)


@pytest.mark.parametrize(
    ("repository", "answer"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"),
        ("meta-llama/Meta-Llama-3.1-8B-Instruct", "meta-llama/Meta-Llama-3.1-8B*"),
        ("openai/gpt-oss-20b-BF16", "openai/gpt-oss-20b*"),
        # Packed by somebody: other sizes than the family's.
        ("meta-llama/Llama-3.1-8B-Instruct-FP8", None),
        ("Qwen/Qwen3-VL-8B-Instruct-AWQ", None),
        ("org/model", None),
    ],
)
def test_a_repository_is_found_by_name_then_by_pattern(repository: str, answer: str | None) -> None:
    held = catalogue.lookup(repository)
    assert (None if held is None else held.name) == answer


def test_a_pattern_has_the_traits_of_the_repository_that_was_asked_for() -> None:
    assert model("meta-llama/Meta-Llama-3.1-8B-Instruct").tool_parser == "llama3_json"
    assert model("meta-llama/Meta-Llama-3.1-8B-Base").tool_parser is None


def test_a_first_lookup_takes_10_ms_at_most() -> None:
    assert min(first_lookup_seconds() for _ in range(5)) < 0.010


def first_lookup_seconds() -> float:
    catalogue.lookup.cache_clear()
    catalogue._lines.cache_clear()
    start = time.process_time()
    catalogue.lookup("Qwen/Qwen3-8B")
    return time.process_time() - start


# --- sizes for start budgets


# --- forms


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": None}, "hidden is missing"),
        ({"hidden": "4096"}, "hidden is '4096': must be a whole number"),
        ({"hidden": -1}, "hidden is -1: must not be negative"),
        ({"context": 10**300}, "context is too large: must be at most"),
        ({"name": "a\x1b[2J"}, r"name is 'a\\x1b\[2J': must be text of one line"),
        ({"dtypeBytes": 0}, "dtypeBytes is 0: must be from 1 to 8"),
        ({"toolParser": "a$(HF_TOKEN)"}, "toolParser is .*: must be the name of one of the engine"),
        ({"tied": 1}, "tied is 1: must be true or false"),
        ({"hiden": 1}, "hiden is no field"),
        ({"runner": "chat"}, "runner is 'chat': must be one of generate, pooling"),
        ({"blocks": [{"count": 1}]}, r"blocks\[0\].mixer is missing"),
        ({"blocks": {}}, "blocks is {}: must be a list"),
        ({"rotary": [[1]]}, r"rotary\[0\] has 1 items: must have 2"),
        (
            {"blocks": [{"count": 1, "mixer": {"kind": "state"}}]},
            r"blocks\[0\].matrices is missing: they do not follow",
        ),
    ],
)
def test_a_form_that_is_wrong_names_the_field(change: dict[str, object], message: str) -> None:
    form = forms.document(model("Qwen/Qwen3-8B")) | change
    with pytest.raises(forms.FormError, match=message):
        forms.read({name: value for name, value in form.items() if value is not None})


def test_a_line_takes_the_place_of_its_namesake() -> None:
    first, second = model("Qwen/Qwen3-8B"), model("Qwen/Qwen3-14B")
    lines = catalogue.merged([catalogue.line(first)], {second.name: second, first.name: first})
    assert lines == [catalogue.line(second), catalogue.line(first)]
