"""Which function reads the layers of a model, by `architectures` of its config.json.

Shapes were read in transformers 5 and vLLM 0.25; tests hold the sum of parameters of each family
against totals that the hub states.
"""

from collections.abc import Callable

from function.capacity import bodies, decoders, fields, hybrids


def of(architecture: str) -> Callable[[fields.Fields], bodies.Body] | None:
    """Returns what reads a family, or None when nobody wrote its formula."""
    style = decoders.STYLES.get(architecture)
    if style is not None:
        return lambda config: decoders.decoder(config, style)
    experts = decoders.EXPERTS.get(architecture)
    if experts is not None:
        return lambda config: decoders.with_experts(config, experts)
    return _FAMILIES.get(architecture)


_FAMILIES: dict[str, Callable[[fields.Fields], bodies.Body]] = {
    "DeepseekV2ForCausalLM": decoders.deepseek,
    "DeepseekV3ForCausalLM": decoders.deepseek,
    "DeepseekV32ForCausalLM": decoders.deepseek,
    "GlmMoeDsaForCausalLM": decoders.deepseek,
    "Glm4MoeLiteForCausalLM": decoders.deepseek,
    "KimiK2ForCausalLM": decoders.deepseek,
    "KimiK25ForConditionalGeneration": decoders.deepseek,
    "KimiVLForConditionalGeneration": decoders.deepseek,
    "Qwen3NextForCausalLM": hybrids.gated_delta,
    "Qwen3_5ForCausalLM": hybrids.gated_delta,
    "Qwen3_5ForConditionalGeneration": hybrids.gated_delta,
    "Qwen3_5MoeForCausalLM": hybrids.gated_delta,
    "Qwen3_5MoeForConditionalGeneration": hybrids.gated_delta,
    "GptOssForCausalLM": hybrids.gpt_oss,
    "Llama4ForConditionalGeneration": hybrids.llama4,
    "NemotronHForCausalLM": hybrids.nemotron_h,
    "DeciLMForCausalLM": hybrids.deci,
    "Gemma4ForConditionalGeneration": hybrids.gemma4,
    "Gemma4ForCausalLM": hybrids.gemma4,
    "MiMoV2FlashForCausalLM": hybrids.mimo_v2,
    "BertModel": hybrids.encoder,
    "BertForSequenceClassification": hybrids.encoder,
    "NomicBertModel": hybrids.nomic,
    "XLMRobertaModel": hybrids.encoder,
    "XLMRobertaForSequenceClassification": hybrids.encoder,
}
