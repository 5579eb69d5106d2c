"""Models whose layers differ: states beside attention, chunks, shared keys, searched layers.

Encoders are here too.
"""

from __future__ import annotations

from function.capacity import bodies, facts, fields, shapes


def gated_delta(config: fields.Fields) -> bodies.Body:
    """Returns Qwen3-Next and Qwen3.5: gated delta networks, and attention in every fourth layer."""
    hidden, layers = config.whole("hidden_size"), config.whole("num_hidden_layers")
    size = bodies.head_size(config)
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
        work = bodies.routed(config, bodies.Experts(shared_gate=True), rest=2 * hidden)
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
    rotary = int(size * bodies.partial(config))
    return bodies.Body(
        blocks, rest + hidden, drafts * bodies.draft(hidden, (full, work)), rotary=(rotary,)
    )


def gpt_oss(config: fields.Fields) -> bodies.Body:
    """Returns gpt-oss: windows and full attention in turn, sinks, biases everywhere."""
    hidden, layers = config.whole("hidden_size"), config.whole("num_hidden_layers")
    size, heads = bodies.head_size(config), config.whole("num_attention_heads")
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
        for window in bodies.windows(config, layers, 2)
    ]
    blocks, rest_of_layers = shapes.blocks(made)
    return bodies.Body(blocks, rest_of_layers + hidden)


def llama4(config: fields.Fields) -> bodies.Body:
    """Returns Llama 4: chunks of tokens, and all of them in every fourth layer."""
    hidden, layers = config.whole("hidden_size"), config.whole("num_hidden_layers")
    size, heads = bodies.head_size(config), config.whole("num_attention_heads")
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
    return bodies.Body(blocks, rest + hidden)


def nemotron_h(config: fields.Fields) -> bodies.Body:
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
    return bodies.Body(
        blocks, rest + hidden, drafts * (size + 2 * hidden**2 + 3 * hidden), rotary=()
    )


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


def _nemotron_halves(config: fields.Fields, letters: str) -> dict[str, bodies.Layer]:
    hidden, heads = config.whole("hidden_size"), config.whole("num_attention_heads")
    kv_heads = config.whole("num_key_value_heads")
    norm = shapes.Working(facts.Network(), (), hidden)
    halves: dict[str, bodies.Layer] = {
        "*": (shapes.attention(hidden, heads, kv_heads, bodies.head_size(config)), norm),
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


def deci(config: fields.Fields) -> bodies.Body:
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
            half = shapes.attention(
                hidden, heads, heads // group, bodies.head_size(config), rest=hidden
            )
        work = shapes.NO_WORK
        if not network.flag("no_op"):
            # The width is rounded up to a multiple of 256 (the model's own code).
            width = -(-int(2 * network.number("ffn_mult", 0) * hidden / 3) // 256) * 256
            work = shapes.dense(hidden, width, rest=hidden)
        made.append((half, work))
    blocks, rest = shapes.blocks(made)
    return bodies.Body(blocks, rest + hidden)


def gemma4(config: fields.Fields) -> bodies.Body:
    """Returns Gemma 4: wide heads for all tokens, shared keys, inputs of their own for layers."""
    hidden, layers = config.whole("hidden_size"), config.whole("num_hidden_layers")
    heads, kv_heads = config.whole("num_attention_heads"), config.whole("num_key_value_heads")
    size = bodies.head_size(config)
    wide = config.whole("global_head_dim", default=size)
    few = config.whole("num_global_key_value_heads", default=kv_heads)
    alike = config.flag("attention_k_eq_v")
    sharing = config.whole("num_kv_shared_layers", default=0, least=0)
    each = config.whole("hidden_size_per_layer_input", default=0, least=0)
    width = config.whole("intermediate_size")
    made: list[bodies.Layer] = []
    for i, window in enumerate(bodies.windows(config, layers, 6)):
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
    return bodies.Body(blocks, rest_of_layers + hidden + table, tied=True, rotary=(size, wide))


def mimo_v2(config: fields.Fields) -> bodies.Body:
    """Returns MiMo V2: layers that attend to a window have heads of their own."""
    hidden, layers = config.whole("hidden_size"), config.whole("num_hidden_layers")
    pattern = config.items("hybrid_layer_pattern", layers)
    sparse_at = config.items("moe_layer_freq", layers)
    if pattern is None or sparse_at is None:
        raise fields.UnreadableError(
            "config.json: hybrid_layer_pattern or moe_layer_freq is missing: they list the layers"
        )
    sparse = bodies.routed(config, bodies.Experts(router_bias=True), rest=2 * hidden)
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
    return bodies.Body(blocks, rest + hidden)


def encoder(config: fields.Fields) -> bodies.Body:
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
    return bodies.Body(blocks, rest_of_layers + tables, tied=True, rotary=())


def nomic(config: fields.Fields) -> bodies.Body:
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
    return bodies.Body(blocks, rest + tables, tied=True, rotary=(hidden // heads,))
