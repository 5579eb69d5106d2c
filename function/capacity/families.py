"""The layers of each family of models that has a formula here, by `architectures` of config.json.

Shapes were read in transformers 5 and vLLM 0.25; tests hold the sum of parameters of each family
against totals that the hub states.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from function.capacity import facts, fields, shapes

Layer = tuple[shapes.Mixing, shapes.Working]


@dataclasses.dataclass(frozen=True)
class Body:
    """What a family makes of its fields.

    Attributes:
        blocks: The layers.
        rest: Parameters in no matrix and no table.
        draft: Parameters of the layers that only speculative decoding loads.
        tied: What an absent `tie_word_embeddings` means.
        rotary: Elements of a row of each table of rotary positions; None for one of a head's size.
    """

    blocks: tuple[facts.Block, ...]
    rest: int
    draft: int = 0
    tied: bool = False
    rotary: tuple[int, ...] | None = None


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


_STYLES = {
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


def of(architecture: str) -> Callable[[fields.Fields], Body] | None:
    """Returns what reads a family, or None when nobody wrote its formula."""
    style = _STYLES.get(architecture)
    if style is not None:
        return lambda config: _decoder(config, style)
    return _FAMILIES.get(architecture)


def head_size(config: fields.Fields) -> int:
    """Returns the elements of a query head."""
    heads = config.whole("num_attention_heads")
    return config.whole("head_dim", "attention_head_dim", default=0, least=0) or (
        config.whole("hidden_size") // heads
    )


def windows(config: fields.Fields, layers: int, pattern: int = 0) -> list[int]:
    """Returns the window of each layer in tokens, 0 for one that attends to all.

    Args:
        config: The model's fields.
        layers: Layers of the model.
        pattern: One of how many layers attends to all, where config.json does not say.
    """
    window = config.whole("sliding_window", default=0, least=0)
    chunk = config.whole("attention_chunk_size", default=0, least=0)
    kinds = config.items("layer_types", layers)
    if kinds is not None:
        sizes = {"sliding_attention": window, "chunked_attention": chunk}
        return [sizes.get(str(kind), 0) for kind in kinds[:layers]]
    if not window or window >= config.whole("max_position_embeddings"):
        return [0] * layers
    if config.values.get("use_sliding_window") is False:
        return [0] * layers
    written = config.values.get("sliding_window_pattern")
    if isinstance(written, str) and written:
        letters = [written[i % len(written)] for i in range(layers)]
        # The last layer of EXAONE 4 attends to all tokens.
        letters[-1] = "G"
        return [window if letter == "L" else 0 for letter in letters]
    every = config.whole("sliding_window_pattern", "_sliding_window_pattern", default=0, least=0)
    every = every or pattern
    return [0 if every and (i + 1) % every == 0 else window for i in range(layers)]


def _decoder(config: fields.Fields, style: Style) -> Body:
    hidden, layers = config.whole("hidden_size"), config.whole("num_hidden_layers")
    size = head_size(config)
    heads = config.whole("num_attention_heads")
    kv_heads = config.whole("num_key_value_heads", default=heads)
    width = config.whole("intermediate_size")
    biased = config.flag("attention_bias")
    qkv = biased if style.qkv_bias is None else style.qkv_bias
    out = biased if style.out_bias is None else style.out_bias
    network = config.flag("mlp_bias") if style.network_bias is None else style.network_bias
    rest = (heads + 2 * kv_heads) * size * qkv + hidden * out
    rest += _head_norms(style.head_norms, heads, kv_heads, size)
    norm = hidden * (2 if style.norm_bias else 1)
    work = shapes.dense(
        hidden,
        width,
        gated=style.gated,
        rest=(width * (2 if style.gated else 1) + hidden) * network + style.norms * norm,
    )

    def each() -> Iterator[Layer]:
        for window in windows(config, layers, style.pattern):
            yield (
                shapes.attention(hidden, heads, kv_heads, size, window=window, rest=rest),
                work,
            )

    blocks, rest_of_layers = shapes.blocks(each())
    drafts = config.whole("num_nextn_predict_layers", default=0, least=0)
    draft = drafts * (
        blocks[0].parameters + blocks[0].mixer.heads * 0 + rest + work.rest + 2 * hidden**2
    )
    # Phi's output table has a bias of its own.
    last = config.whole("vocab_size") if style.norms == 1 and style.norm_bias else 0
    return Body(blocks, rest_of_layers + norm + last, draft, style.tied)


def _head_norms(kind: str, heads: int, kv_heads: int, size: int) -> int:
    return {"": 0, "each": 2 * size, "all": (heads + kv_heads) * size}[kind]


@dataclasses.dataclass(frozen=True)
class Experts:
    """How a family with experts differs.

    Attributes:
        head_norms: As in `Style`.
        qkv_bias: q, k and v have biases; None asks `attention_bias`.
        router_bias: The router has a bias for each expert.
        shared_gate: The shared experts have a gate.
        width: Fields for the width of an expert.
        count: Fields for the number of experts.
    """

    head_norms: str = ""
    qkv_bias: bool | None = None
    router_bias: bool = False
    shared_gate: bool = False
    width: tuple[str, ...] = ("moe_intermediate_size", "intermediate_size")
    count: tuple[str, ...] = ("num_experts", "num_local_experts", "n_routed_experts")


_EXPERTS = {
    "MixtralForCausalLM": Experts(width=("intermediate_size",)),
    "Qwen2MoeForCausalLM": Experts(qkv_bias=True, shared_gate=True),
    "Qwen3MoeForCausalLM": Experts(head_norms="each"),
    "Qwen3VLMoeForConditionalGeneration": Experts(head_norms="each"),
    "Glm4MoeForCausalLM": Experts(head_norms="config", router_bias=True),
    "MiniMaxM2ForCausalLM": Experts(head_norms="all", router_bias=True),
}


def _with_experts(config: fields.Fields, style: Experts) -> Body:
    hidden, layers = config.whole("hidden_size"), config.whole("num_hidden_layers")
    size = head_size(config)
    heads = config.whole("num_attention_heads")
    kv_heads = config.whole("num_key_value_heads", default=heads)
    norms = style.head_norms
    if norms == "config":
        norms = "each" if config.flag("use_qk_norm") else ""
    biased = config.flag("attention_bias") if style.qkv_bias is None else style.qkv_bias
    rest = (heads + 2 * kv_heads) * size * biased + _head_norms(norms, heads, kv_heads, size)
    sparse = _routed(config, style, rest=2 * hidden)
    plain = shapes.dense(hidden, config.whole("intermediate_size"), rest=2 * hidden)
    dense = set(config.items("mlp_only_layers") or [])
    dense |= set(range(config.whole("first_k_dense_replace", default=0, least=0)))
    step = config.whole("decoder_sparse_step", default=1)
    every = windows(config, layers)
    made = [
        (
            shapes.attention(hidden, heads, kv_heads, size, window=every[i], rest=rest),
            plain if i in dense or (i + 1) % step else sparse,
        )
        for i in range(layers)
    ]
    blocks, rest_of_layers = shapes.blocks(made)
    drafts = config.whole("num_nextn_predict_layers", default=0, least=0)
    return Body(blocks, rest_of_layers + hidden, drafts * _draft(hidden, made[-1]))


def _routed(config: fields.Fields, style: Experts, *, rest: int) -> shapes.Working:
    hidden = config.whole("hidden_size")
    count = config.whole(*style.count)
    width = config.whole(*style.width)
    shared = config.whole("shared_expert_intermediate_size", default=0, least=0)
    shared = shared or width * config.whole("n_shared_experts", default=0, least=0)
    return shapes.experts(
        hidden,
        width,
        count,
        config.whole("num_experts_per_tok"),
        shared=shared,
        shared_gate=style.shared_gate and shared > 0,
        rest=rest + (count if style.router_bias else 0),
    )


def _draft(hidden: int, layer: Layer) -> int:
    """Returns the parameters of a draft layer: a layer, the matrix that joins, three norms."""
    mixing, work = layer
    matrices = sum(matrix.parameters for matrix in mixing.matrices + work.matrices)
    return matrices + mixing.rest + work.rest + 2 * hidden**2 + 3 * hidden


def _deepseek(config: fields.Fields) -> Body:
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
    sparse = _routed(config, Experts(router_bias=biased), rest=2 * hidden)
    plain = shapes.dense(hidden, config.whole("intermediate_size"), rest=2 * hidden)
    first = config.whole("first_k_dense_replace", default=0, least=0)
    made = [(mixing, plain if i < first else sparse) for i in range(layers)]
    blocks, rest = shapes.blocks(made)
    drafts = config.whole("num_nextn_predict_layers", default=0, least=0)
    return Body(
        blocks,
        rest + hidden,
        drafts * _draft(hidden, made[-1]),
        rotary=(config.whole("qk_rope_head_dim"),),
    )


def _gated_delta(config: fields.Fields) -> Body:
    """Returns Qwen3-Next and Qwen3.5: gated delta networks, and attention in every fourth layer."""
    hidden, layers = config.whole("hidden_size"), config.whole("num_hidden_layers")
    size = head_size(config)
    full = shapes.attention(
        hidden,
        config.whole("num_attention_heads"),
        config.whole("num_key_value_heads"),
        size,
        gated=config.flag("attn_output_gate", default=True),
        rest=2 * size,
    )
    precise = config.text("mamba_ssm_dtype") == "float32"
    delta = shapes.gated_delta(
        hidden,
        key_heads=config.whole("linear_num_key_heads"),
        value_heads=config.whole("linear_num_value_heads"),
        key_size=config.whole("linear_key_head_dim"),
        value_size=config.whole("linear_value_head_dim"),
        kernel=config.whole("linear_conv_kernel_dim"),
        state_bytes=4 if precise else 2,
    )
    if "num_experts" in config:
        work = _routed(config, Experts(shared_gate=True), rest=2 * hidden)
    else:
        work = shapes.dense(hidden, config.whole("intermediate_size"), rest=2 * hidden)
    every = config.whole("full_attention_interval", default=4)
    kinds = config.items("layer_types", layers)
    made = [
        (
            full if (kinds[i] == "full_attention" if kinds else (i + 1) % every == 0) else delta,
            work,
        )
        for i in range(layers)
    ]
    blocks, rest = shapes.blocks(made)
    drafts = config.whole("mtp_num_hidden_layers", default=1, least=0)
    rotary = int(size * partial(config))
    return Body(blocks, rest + hidden, drafts * _draft(hidden, (full, work)), rotary=(rotary,))


def partial(config: fields.Fields) -> float:
    """Returns the share of a head that has a rotary position."""
    nested = config.inside("rope_parameters")
    default = nested.number("partial_rotary_factor", 1.0) if nested is not None else 1.0
    return config.number("partial_rotary_factor", default)


def _gpt_oss(config: fields.Fields) -> Body:
    hidden, layers = config.whole("hidden_size"), config.whole("num_hidden_layers")
    size, heads = head_size(config), config.whole("num_attention_heads")
    kv_heads = config.whole("num_key_value_heads")
    width, count = config.whole("intermediate_size"), config.whole("num_local_experts")
    # Biases of q, k, v and output, and a sink for each head.
    rest = (heads + 2 * kv_heads) * size + hidden + heads
    work = shapes.experts(
        hidden,
        width,
        count,
        config.whole("num_experts_per_tok", "experts_per_token"),
        rest=count * (1 + 2 * width + hidden) + 2 * hidden,
    )
    made = [
        (shapes.attention(hidden, heads, kv_heads, size, window=window, rest=rest), work)
        for window in windows(config, layers, 2)
    ]
    blocks, rest_of_layers = shapes.blocks(made)
    return Body(blocks, rest_of_layers + hidden)


def _llama4(config: fields.Fields) -> Body:
    hidden, layers = config.whole("hidden_size"), config.whole("num_hidden_layers")
    size, heads = head_size(config), config.whole("num_attention_heads")
    kv_heads = config.whole("num_key_value_heads")
    chunk = config.whole("attention_chunk_size", default=0, least=0)
    width = config.whole("intermediate_size")
    sparse = shapes.experts(
        hidden,
        width,
        config.whole("num_local_experts"),
        config.whole("num_experts_per_tok"),
        shared=width,
        rest=2 * hidden,
    )
    plain = shapes.dense(hidden, config.whole("intermediate_size_mlp"), rest=2 * hidden)
    step = config.whole("interleave_moe_layer_step", default=1)
    # Every fourth layer has no rotary positions and attends to all tokens.
    made = [
        (
            shapes.attention(
                hidden, heads, kv_heads, size, window=0 if (i + 1) % 4 == 0 else chunk
            ),
            sparse if (i + 1) % step == 0 else plain,
        )
        for i in range(layers)
    ]
    blocks, rest = shapes.blocks(made)
    return Body(blocks, rest + hidden)


def _nemotron_h(config: fields.Fields) -> Body:
    """Returns Nemotron-H and Nemotron 3: each layer has one half, behind one norm."""
    hidden = config.whole("hidden_size")
    letters = _letters(config)
    halves = _nemotron_halves(config, letters)
    blocks, rest = shapes.blocks(halves[letter] for letter in letters)
    draft = config.text("mtp_hybrid_override_pattern")
    types = config.items("mtp_layers_block_type") or []
    drafts = config.whole("num_nextn_predict_layers", default=0, least=0)
    pattern = draft or "".join(_LETTERS[str(kind)] for kind in types)
    made, more = shapes.blocks(halves[letter] for letter in pattern)
    size = sum(block.count * block.parameters for block in made) + more
    return Body(blocks, rest + hidden, drafts * (size + 2 * hidden**2 + 3 * hidden), rotary=())


_LETTERS = {"mamba": "M", "moe": "E", "attention": "*", "mlp": "-"}


def _letters(config: fields.Fields) -> str:
    kinds = config.items("layers_block_type")
    if kinds is not None:
        unknown = next((kind for kind in kinds if kind not in _LETTERS), None)
        if unknown is not None:
            raise config.wrong("layers_block_type", f"a list of {', '.join(_LETTERS)}")
        return "".join(_LETTERS[str(kind)] for kind in kinds)
    pattern = config.text("hybrid_override_pattern")
    if not pattern or set(pattern) - set(_LETTERS.values()):
        raise config.wrong("hybrid_override_pattern", "a text of the letters M, E, * and -")
    return pattern


def _nemotron_halves(config: fields.Fields, letters: str) -> dict[str, Layer]:
    hidden, heads = config.whole("hidden_size"), config.whole("num_attention_heads")
    kv_heads = config.whole("num_key_value_heads")
    norm = shapes.Working(facts.Network(), (), hidden)
    halves: dict[str, Layer] = {
        "*": (shapes.attention(hidden, heads, kv_heads, head_size(config)), norm),
        "M": (
            shapes.mamba(
                hidden,
                heads=config.whole("mamba_num_heads"),
                head_size=config.whole("mamba_head_dim"),
                groups=config.whole("n_groups"),
                state_size=config.whole("ssm_state_size"),
                kernel=config.whole("conv_kernel"),
                state_bytes=4 if config.text("mamba_ssm_cache_dtype") == "float32" else 2,
            ),
            norm,
        ),
    }
    if "-" in letters:
        width = config.whole("intermediate_size")
        halves["-"] = shapes.NO_MIXING, shapes.dense(hidden, width, gated=False, rest=hidden)
    if "E" in letters:
        halves["E"] = (
            shapes.NO_MIXING,
            shapes.experts(
                hidden,
                config.whole("moe_intermediate_size"),
                config.whole("n_routed_experts"),
                config.whole("num_experts_per_tok"),
                shared=config.whole("moe_shared_expert_intermediate_size", default=0, least=0),
                gated=False,
                inner=config.whole("moe_latent_size", default=0, least=0),
                rest=hidden + config.whole("n_routed_experts"),
            ),
        )
    return halves


def _deci(config: fields.Fields) -> Body:
    """Returns Nemotron NAS: layers of which a search left out halves, or narrowed networks."""
    hidden, layers = config.whole("hidden_size"), config.whole("num_hidden_layers")
    heads = config.whole("num_attention_heads")
    given = config.items("block_configs", layers)
    if given is None:
        raise fields.UnreadableError("config.json: block_configs is missing: it lists the layers")
    made = []
    for i, entry in enumerate(given[:layers]):
        block = fields.Fields(entry, f"block_configs[{i}].")
        mixer, network = block.inside("attention"), block.inside("ffn")
        if mixer is None or network is None:
            raise config.wrong("block_configs", "a list of mappings with attention and ffn")
        half = shapes.NO_MIXING
        if not mixer.flag("no_op"):
            group = mixer.whole("n_heads_in_group")
            half = shapes.attention(hidden, heads, heads // group, head_size(config), rest=hidden)
        work = shapes.NO_WORK
        if not network.flag("no_op"):
            # The width is rounded up to a multiple of 256 (the model's own code).
            width = -(-int(2 * network.number("ffn_mult", 0) * hidden / 3) // 256) * 256
            work = shapes.dense(hidden, width, rest=hidden)
        made.append((half, work))
    blocks, rest = shapes.blocks(made)
    return Body(blocks, rest + hidden)


def _gemma4(config: fields.Fields) -> Body:
    hidden, layers = config.whole("hidden_size"), config.whole("num_hidden_layers")
    heads, kv_heads = config.whole("num_attention_heads"), config.whole("num_key_value_heads")
    size = head_size(config)
    wide = config.whole("global_head_dim", default=size)
    few = config.whole("num_global_key_value_heads", default=kv_heads)
    alike = config.flag("attention_k_eq_v")
    sharing = config.whole("num_kv_shared_layers", default=0, least=0)
    each = config.whole("hidden_size_per_layer_input", default=0, least=0)
    width = config.whole("intermediate_size")
    made: list[Layer] = []
    for i, window in enumerate(windows(config, layers, 6)):
        shares = i >= layers - sharing
        wider = 2 if shares and config.flag("use_double_wide_mlp") else 1
        rest = (4 * hidden + 1) + (2 * hidden * each + hidden if each else 0)
        if config.flag("enable_moe_block"):
            count = config.whole("num_experts")
            work = shapes.experts(
                hidden,
                config.whole("moe_intermediate_size"),
                count,
                config.whole("top_k_experts"),
                beside=width,
                rest=rest + 4 * hidden + count,
            )
        else:
            work = shapes.dense(hidden, width * wider, rest=rest)
        head = size if window else wide
        made.append(
            (
                shapes.attention(
                    hidden,
                    heads,
                    kv_heads if window or not alike else few,
                    head,
                    window=window,
                    shares=shares,
                    keys_are_values=alike and not window,
                    rest=head if shares else 2 * head,
                ),
                work,
            )
        )
    blocks, rest_of_layers = shapes.blocks(made)
    # Per-layer inputs: a table of their own, the matrix that makes them, its norm.
    table = config.whole("vocab_size_per_layer_input", default=0, least=0) * each * layers
    table += (hidden * each * layers + each) if each else 0
    return Body(blocks, rest_of_layers + hidden + table, tied=True, rotary=(size, wide))


def _mimo_v2(config: fields.Fields) -> Body:
    hidden, layers = config.whole("hidden_size"), config.whole("num_hidden_layers")
    pattern = config.items("hybrid_layer_pattern", layers)
    sparse_at = config.items("moe_layer_freq", layers)
    if pattern is None or sparse_at is None:
        raise fields.UnreadableError(
            "config.json: hybrid_layer_pattern or moe_layer_freq is missing: they list the layers"
        )
    sparse = _routed(config, Experts(router_bias=True), rest=2 * hidden)
    plain = shapes.dense(hidden, config.whole("intermediate_size"), rest=2 * hidden)
    made = []
    for i in range(layers):
        before = "swa_" if pattern[i] else ""
        heads = config.whole(before + "num_attention_heads")
        sinks = heads if before and config.flag("add_swa_attention_sink_bias") else 0
        made.append(
            (
                shapes.attention(
                    hidden,
                    heads,
                    config.whole(before + "num_key_value_heads"),
                    config.whole(before + "head_dim"),
                    value_size=config.whole(before + "v_head_dim"),
                    window=config.whole("sliding_window") if before else 0,
                    rest=sinks,
                ),
                sparse if sparse_at[i] else plain,
            )
        )
    blocks, rest = shapes.blocks(made)
    return Body(blocks, rest + hidden)


def _encoder(config: fields.Fields) -> Body:
    """Returns BERT and XLM-RoBERTa: learned positions, biases, a norm after each half."""
    hidden, layers = config.whole("hidden_size"), config.whole("num_hidden_layers")
    heads, width = config.whole("num_attention_heads"), config.whole("intermediate_size")
    rest = 4 * hidden + width + hidden + 4 * hidden
    made = [
        (
            shapes.attention(hidden, heads, heads, hidden // heads),
            shapes.dense(hidden, width, gated=False, rest=rest),
        )
    ] * layers
    blocks, rest_of_layers = shapes.blocks(made)
    positions = config.whole("max_position_embeddings")
    tables = (positions + config.whole("type_vocab_size", default=2)) * hidden + 2 * hidden
    return Body(blocks, rest_of_layers + tables, tied=True, rotary=())


def _nomic(config: fields.Fields) -> Body:
    """Returns Nomic's encoder: rotary positions, a gated network, no biases but in norms."""
    hidden, layers = config.whole("n_embd", "hidden_size"), config.whole("n_layer")
    heads, width = config.whole("n_head"), config.whole("n_inner")
    made = [
        (
            shapes.attention(hidden, heads, heads, hidden // heads),
            shapes.dense(hidden, width, rest=4 * hidden),
        )
    ] * layers
    blocks, rest = shapes.blocks(made)
    tables = config.whole("type_vocab_size", default=2) * hidden + 2 * hidden
    return Body(blocks, rest + tables, tied=True, rotary=(hidden // heads,))


_FAMILIES: dict[str, Callable[[fields.Fields], Body]] = {
    **{
        name: (lambda config, style=style: _with_experts(config, style))  # type: ignore[misc]
        for name, style in _EXPERTS.items()
    },
    "DeepseekV2ForCausalLM": _deepseek,
    "DeepseekV3ForCausalLM": _deepseek,
    "DeepseekV32ForCausalLM": _deepseek,
    "GlmMoeDsaForCausalLM": _deepseek,
    "Glm4MoeLiteForCausalLM": _deepseek,
    "KimiK2ForCausalLM": _deepseek,
    "KimiK25ForConditionalGeneration": _deepseek,
    "KimiVLForConditionalGeneration": _deepseek,
    "Qwen3NextForCausalLM": _gated_delta,
    "Qwen3_5ForCausalLM": _gated_delta,
    "Qwen3_5ForConditionalGeneration": _gated_delta,
    "Qwen3_5MoeForCausalLM": _gated_delta,
    "Qwen3_5MoeForConditionalGeneration": _gated_delta,
    "GptOssForCausalLM": _gpt_oss,
    "Llama4ForConditionalGeneration": _llama4,
    "NemotronHForCausalLM": _nemotron_h,
    "DeciLMForCausalLM": _deci,
    "Gemma4ForConditionalGeneration": _gemma4,
    "Gemma4ForCausalLM": _gemma4,
    "MiMoV2FlashForCausalLM": _mimo_v2,
    "BertModel": _encoder,
    "BertForSequenceClassification": _encoder,
    "NomicBertModel": _nomic,
    "XLMRobertaModel": _encoder,
    "XLMRobertaForSequenceClassification": _encoder,
}
