"""What a family's models have in common beside their sizes, by patterns of repositories.

The first pattern that matches decides. Names of parsers are those that vLLM 0.25.1 to 0.33 register
(`vllm/tool_parsers`, `vllm/reasoning`); which parser a family wants is in vLLM's recipes and in the
models' cards.
"""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Iterable

from function.capacity import facts


@dataclasses.dataclass(frozen=True)
class Trait:
    """One row.

    Attributes:
        patterns: Patterns of repositories, with `*`.
        tool: vLLM's tool parser, or None.
        reasoning: vLLM's reasoning parser, or None.
    """

    patterns: tuple[str, ...]
    tool: str | None = None
    reasoning: str | None = None


def _row(patterns: str, tool: str | None = None, reasoning: str | None = None) -> Trait:
    return Trait(tuple(patterns.split()), tool, reasoning)


TRAITS = (
    _row("*-Base *-Base-* *-base *Embedding* *embed* *Reranker* *reranker* *Guard* *-Math-*"),
    # Qwen
    _row("Qwen/Qwen3-Coder* */Qwen3-Coder*", "qwen3_coder"),
    _row("*/Qwen3.[5-9]*", "qwen3_coder", "qwen3"),
    _row("*/Qwen3*-Instruct*", "hermes"),
    _row("*/Qwen3-* nvidia/Qwen3-*", "hermes", "qwen3"),
    _row("*/QwQ-32B*", "hermes", "deepseek_r1"),
    _row("*/Qwen2.5-*Instruct*", "hermes"),
    # DeepSeek
    _row("*/DeepSeek-R1-Distill-*", None, "deepseek_r1"),
    _row("*/DeepSeek-R1-0528-Qwen3-8B", None, "deepseek_r1"),
    _row("*/DeepSeek-R1*", "deepseek_v3", "deepseek_r1"),
    _row("*/DeepSeek-V3.2*", "deepseek_v32", "deepseek_v3"),
    _row("*/DeepSeek-V3.1*", "deepseek_v31", "deepseek_v3"),
    _row("*/DeepSeek-V3 */DeepSeek-V3-*", "deepseek_v3"),
    # Llama
    _row("*/Llama-4-* */Meta-Llama-4-*", "llama4_pythonic"),
    _row("nvidia/Llama-3_3-Nemotron-* nvidia/Llama-3.1-Nemotron-*"),
    _row("*/*Llama-3.[1-3]*-Instruct*", "llama3_json"),
    _row("NousResearch/Hermes-*", "hermes"),
    # Mistral
    _row("*/Magistral-* */Ministral-3-*Reasoning*", "mistral", "mistral"),
    _row(
        "mistralai/Mistral-7B-Instruct-v0.3 */Mistral-Nemo-Instruct-* */Mistral-Small-* "
        "*/Mistral-Large-* */Mistral-Medium-* */Devstral-* */Ministral-*",
        "mistral",
    ),
    # Google, OpenAI, Microsoft, IBM
    _row("*/gemma-4-* */Gemma-4-*", "gemma4", "gemma4"),
    _row("openai/gpt-oss-safeguard-*", None, "openai_gptoss"),
    _row("*/gpt-oss-*", "openai", "openai_gptoss"),
    _row("microsoft/Phi-4-mini-*", "phi4_mini_json"),
    _row("ibm-granite/granite-4*", "granite4"),
    _row("ibm-granite/granite-3*-instruct", "granite"),
    # Others
    _row("*/GLM-4.[56]*", "glm45", "glm45"),
    _row("*/GLM-4.7* */GLM-5*", "glm47", "glm45"),
    _row("*/Kimi-K2-Instruct*", "kimi_k2"),
    _row("*/Kimi-K2*", "kimi_k2", "kimi_k2"),
    _row("*/MiniMax-M2*", "minimax_m2", "minimax_m2"),
    _row("*/*Nemotron-3*", "qwen3_coder", "nemotron_v3"),
    _row("XiaomiMiMo/MiMo-V2-*", "qwen3_xml", "qwen3"),
    _row("LGAI-EXAONE/EXAONE-4*", "hermes", "deepseek_r1"),
    _row("HuggingFaceTB/SmolLM3-3B", "hermes"),
    _row("ByteDance-Seed/Seed-OSS-*", "seed_oss", "seed_oss"),
    _row("allenai/Olmo-3*Think*", "olmo3", "olmo3"),
    _row("allenai/Olmo-3*-Instruct*", "olmo3"),
    _row("Salesforce/*xLAM-*", "xlam"),
)

# The hub asks for a licence to be accepted, and for a token, before it gives the files.
GATED = (
    "meta-llama/*",
    "google/gemma-[23]*",
    "google/gemma-7b*",
    "google/gemma-2b*",
    "bigcode/starcoder2-15b*",
    "mistralai/Codestral-*",
    "mistralai/Ministral-8B-Instruct-2410",
    "mistralai/Mistral-Large-Instruct-*",
    "mistralai/Mistral-Small-Instruct-2409",
    "CohereLabs/*",
)


def apply(model: facts.Facts, repository: str) -> facts.Facts:
    """Returns the facts of a model with the traits of a repository's family."""
    trait = next((row for row in TRAITS if _matches(repository, row.patterns)), Trait(()))
    generates = model.runner is facts.Runner.GENERATE
    return dataclasses.replace(
        model,
        tool_parser=trait.tool if generates else None,
        reasoning_parser=trait.reasoning if generates else None,
        gated=_matches(repository, GATED),
    )


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
