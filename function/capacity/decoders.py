"""Decoders whose layers are alike: dense ones, ones with experts, ones with latent attention."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from function.capacity import bodies, fields, shapes


@dataclasses.dataclass(frozen=True)
class Style:
    """How a family of dense decoders differs from the plainest one.

    Attributes:
        norms: Vectors of the model's size in a layer's norms.
        qkv_bias: q, k and v have biases; None asks `attention_bias`.
        out_bias: The output of attention has one; None asks `attention_bias`.
        network_bias: The network has biases; None asks `mlp_bias`.
        head_norms: `each` for norms of q and k a head, `all` for norms over all heads.
        norm_bias: Norms have biases.
        gated: There are two matrices before the activation.
        tied: What an absent `tie_word_embeddings` means.
        pattern: One of how many layers attends to all tokens, when the others have a window and
            config.json does not say which; 0 when all layers are alike.
    """

    norms: int = 2
    qkv_bias: bool | None = None
    out_bias: bool | None = None
    network_bias: bool | None = None
    head_norms: str = ""
    norm_bias: bool = False
    gated: bool = True
    tied: bool = False
    pattern: int = 0


STYLES = {
    "LlamaForCausalLM": Style(),
    "MistralForCausalLM": Style(),
    "MistralModel": Style(),
    "Mistral3ForConditionalGeneration": Style(),
    "Ministral3ForCausalLM": Style(),
    "VoxtralForConditionalGeneration": Style(),
    "GraniteForCausalLM": Style(),
    "LlavaNextForConditionalGeneration": Style(),
    "SmolLM3ForCausalLM": Style(tied=True),
    "Phi3ForCausalLM": Style(),
    "PhiForCausalLM": Style(
        norms=1, qkv_bias=True, out_bias=True, network_bias=True, norm_bias=True, gated=False
    ),
    "Starcoder2ForCausalLM": Style(
        qkv_bias=True, out_bias=True, network_bias=True, norm_bias=True, gated=False, tied=True
    ),
    "Qwen2ForCausalLM": Style(qkv_bias=True, out_bias=False),
    "Qwen2_5_VLForConditionalGeneration": Style(qkv_bias=True, out_bias=False),
    "Qwen3ForCausalLM": Style(head_norms="each"),
    "Qwen3VLForConditionalGeneration": Style(head_norms="each"),
    "MiMoForCausalLM": Style(out_bias=False),
    "SeedOssForCausalLM": Style(qkv_bias=True, out_bias=False),
    "Glm4ForCausalLM": Style(norms=4, out_bias=False),
    "Exaone4ForCausalLM": Style(head_norms="each"),
    "Olmo2ForCausalLM": Style(head_norms="all"),
    "Olmo3ForCausalLM": Style(head_norms="all", pattern=4),
    "GemmaForCausalLM": Style(tied=True),
    "Gemma2ForCausalLM": Style(norms=4, tied=True, pattern=2),
    "Gemma3ForCausalLM": Style(norms=4, head_norms="each", tied=True, pattern=6),
    "Gemma3ForConditionalGeneration": Style(norms=4, head_norms="each", tied=True, pattern=6),
    "Cohere2ForCausalLM": Style(norms=1, tied=True, pattern=4),
}


def decoder(config: fields.Fields, style: Style) -> bodies.Body:
    """Returns a decoder whose layers all have a dense network."""
    hidden, layers = config.whole("hidden_size"), config.whole("num_hidden_layers")
    size = bodies.head_size(config)
    heads = config.whole("num_attention_heads")
    kv_heads = config.whole("num_key_value_heads", default=heads)
    width = config.whole("intermediate_size")
    biased = config.flag("attention_bias")
    qkv = biased if style.qkv_bias is None else style.qkv_bias
    out = biased if style.out_bias is None else style.out_bias
    network = config.flag("mlp_bias") if style.network_bias is None else style.network_bias
    rest = (heads + 2 * kv_heads) * size * qkv + hidden * out
    rest += bodies.head_norms(style.head_norms, heads, kv_heads, size)
    norm = hidden * (2 if style.norm_bias else 1)
    work = shapes.dense(
        hidden,
        width,
        gated=style.gated,
        rest=(width * (2 if style.gated else 1) + hidden) * network + style.norms * norm,
    )

    def each() -> Iterator[bodies.Layer]:
        for window in bodies.windows(config, layers, style.pattern):
            yield (
                shapes.attention(hidden, heads, kv_heads, size, window=window, rest=rest),
                work,
            )

    blocks, rest_of_layers = shapes.blocks(each())
    drafts = config.whole("num_nextn_predict_layers", default=0, least=0)
    draft = drafts * (blocks[0].parameters + rest + work.rest + 2 * hidden**2)
    # Phi's output table has a bias of its own.
    last = config.whole("vocab_size") if style.norms == 1 and style.norm_bias else 0
    return bodies.Body(blocks, rest_of_layers + norm + last, draft, style.tied)


EXPERTS = {
    "MixtralForCausalLM": bodies.Experts(width=("intermediate_size",)),
    "Qwen2MoeForCausalLM": bodies.Experts(qkv_bias=True, shared_gate=True),
    "Qwen3MoeForCausalLM": bodies.Experts(head_norms="each"),
    "Qwen3VLMoeForConditionalGeneration": bodies.Experts(head_norms="each"),
    "Glm4MoeForCausalLM": bodies.Experts(head_norms="config", router_bias=True),
    "MiniMaxM2ForCausalLM": bodies.Experts(head_norms="all", router_bias=True),
}


def with_experts(config: fields.Fields, style: bodies.Experts) -> bodies.Body:
    """Returns a decoder with experts, after dense layers if there are any."""
    hidden, layers = config.whole("hidden_size"), config.whole("num_hidden_layers")
    size = bodies.head_size(config)
    heads = config.whole("num_attention_heads")
    kv_heads = config.whole("num_key_value_heads", default=heads)
    norms = style.head_norms
    if norms == "config":
        norms = "each" if config.flag("use_qk_norm") else ""
    biased = config.flag("attention_bias") if style.qkv_bias is None else style.qkv_bias
    rest = (heads + 2 * kv_heads) * size * biased + bodies.head_norms(norms, heads, kv_heads, size)
    sparse = bodies.routed(config, style, rest=2 * hidden)
    plain = shapes.dense(hidden, config.whole("intermediate_size"), rest=2 * hidden)
    dense = set(config.items("mlp_only_layers") or [])
    dense |= set(range(config.whole("first_k_dense_replace", default=0, least=0)))
    step = config.whole("decoder_sparse_step", default=1)
    every = bodies.windows(config, layers)
    made = [
        (
            shapes.attention(hidden, heads, kv_heads, size, window=every[i], rest=rest),
            plain if i in dense or (i + 1) % step else sparse,
        )
        for i in range(layers)
    ]
    blocks, rest_of_layers = shapes.blocks(made)
    drafts = config.whole("num_nextn_predict_layers", default=0, least=0)
    return bodies.Body(blocks, rest_of_layers + hidden, drafts * bodies.draft(hidden, made[-1]))


def deepseek(config: fields.Fields) -> bodies.Body:
    """Returns DeepSeek V2, V3 and V3.2, Kimi K2, GLM 5: latent attention with experts."""
    hidden, layers = config.whole("hidden_size"), config.whole("num_hidden_layers")
    biased = config.text("topk_method") == "noaux_tc"
    mixing = shapes.latent(
        hidden,
        config.whole("num_attention_heads"),
        query_rank=config.whole("q_lora_rank", default=0, least=0),
        rank=config.whole("kv_lora_rank"),
        plain=config.whole("qk_nope_head_dim"),
        rotary=config.whole("qk_rope_head_dim"),
        value_size=config.whole("v_head_dim"),
        index_heads=config.whole("index_n_heads", default=0, least=0),
        index_size=config.whole("index_head_dim", default=0, least=0),
    )
    sparse = bodies.routed(config, bodies.Experts(router_bias=biased), rest=2 * hidden)
    plain = shapes.dense(hidden, config.whole("intermediate_size"), rest=2 * hidden)
    first = config.whole("first_k_dense_replace", default=0, least=0)
    made = [(mixing, plain if i < first else sparse) for i in range(layers)]
    blocks, rest = shapes.blocks(made)
    drafts = config.whole("num_nextn_predict_layers", default=0, least=0)
    return bodies.Body(
        blocks,
        rest + hidden,
        drafts * bodies.draft(hidden, made[-1]),
        rotary=(config.whole("qk_rope_head_dim"),),
    )
