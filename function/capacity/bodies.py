"""What a family's layers are put together from, and what all families read alike."""

from __future__ import annotations

import dataclasses

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


def partial(config: fields.Fields) -> float:
    """Returns the share of a head that has a rotary position."""
    nested = config.inside("rope_parameters")
    default = nested.number("partial_rotary_factor", 1.0) if nested is not None else 1.0
    return config.number("partial_rotary_factor", default)


def head_norms(kind: str, heads: int, kv_heads: int, size: int) -> int:
    """Returns the parameters of norms of q and k: for `each` head, or over `all`."""
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


def routed(config: fields.Fields, style: Experts, *, rest: int) -> shapes.Working:
    """Returns the experts that the fields tell of, with so many parameters in no matrix."""
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


def draft(hidden: int, layer: Layer) -> int:
    """Returns the parameters of a draft layer: a layer, the matrix that joins, three norms."""
    mixing, work = layer
    matrices = sum(matrix.parameters for matrix in mixing.matrices + work.matrices)
    return matrices + mixing.rest + work.rest + 2 * hidden**2 + 3 * hidden
