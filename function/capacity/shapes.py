"""The halves of a layer, with their matrices: attention, recurrent states, networks, experts.

Shapes are those of vLLM's modules, in the order in which vLLM makes them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from function.capacity import facts

Part = facts.Part
Split = facts.Split


@dataclasses.dataclass(frozen=True)
class Mixing:
    """The mixing half of a layer; `rest` counts parameters that are in no matrix."""

    mixer: facts.Mixer
    matrices: tuple[facts.Matrix, ...] = ()
    rest: int = 0


@dataclasses.dataclass(frozen=True)
class Working:
    """The half that works on each token by itself; `rest` as above."""

    network: facts.Network
    matrices: tuple[facts.Matrix, ...] = ()
    rest: int = 0


NO_MIXING = Mixing(facts.Mixer(facts.Mixing.NONE))
NO_WORK = Working(facts.Network())


def attention(
    hidden: int,
    heads: int,
    kv_heads: int,
    head_size: int,
    *,
    value_size: int = 0,
    window: int = 0,
    shares: bool = False,
    gated: bool = False,
    keys_are_values: bool = False,
    rest: int = 0,
) -> Mixing:
    """Returns grouped attention, over all tokens or a window.

    Args:
        hidden: Size of a token's vector.
        heads: Query heads.
        kv_heads: Heads of keys and values.
        head_size: Elements of a query or key head.
        value_size: Elements of a value head, when it differs.
        window: Tokens that are kept; 0 for all.
        shares: The layer reads another layer's keys and values.
        gated: The query matrix has a gate for each of its outputs.
        keys_are_values: One matrix makes keys and values.
        rest: Parameters in no matrix.
    """
    value_size = value_size or head_size
    queries = heads * head_size * (2 if gated else 1)
    made = 0 if shares else kv_heads * (head_size + (0 if keys_are_values else value_size))
    return Mixing(
        facts.Mixer(
            facts.Mixing.WINDOW if window else facts.Mixing.FULL,
            heads=heads,
            kv_heads=kv_heads,
            head_size=head_size,
            value_size=value_size,
            window=window,
            shares=shares,
        ),
        (
            facts.Matrix("qkv", hidden, queries + made, Part.MIXER, Split.HEADS, modules=3),
            facts.Matrix("out", heads * value_size, hidden, Part.MIXER, Split.INPUTS),
        ),
        rest,
    )


def latent(
    hidden: int,
    heads: int,
    *,
    query_rank: int,
    rank: int,
    plain: int,
    rotary: int,
    value_size: int,
    index_heads: int = 0,
    index_size: int = 0,
) -> Mixing:
    """Returns multi-head latent attention; with a sparse indexer when it has heads.

    Args:
        hidden: Size of a token's vector.
        heads: Query heads.
        query_rank: Rank of the compressed queries; 0 when they are not compressed.
        rank: Rank of the compressed keys and values.
        plain: Elements of a head without position.
        rotary: Elements of a head with position.
        value_size: Elements of a value head.
        index_heads: Heads of the indexer.
        index_size: Elements of one of them, and of what it keeps of a token.
    """
    if query_rank:
        queries = [
            facts.Matrix("qkv_a", hidden, query_rank + rank + rotary, Part.MIXER, Split.NONE),
            facts.Matrix("q_b", query_rank, heads * (plain + rotary), Part.MIXER),
        ]
    else:
        queries = [
            facts.Matrix("q", hidden, heads * (plain + rotary), Part.MIXER),
            facts.Matrix("kv_a", hidden, rank + rotary, Part.MIXER, Split.NONE),
        ]
    index = []
    if index_heads:
        index = [
            facts.Matrix("index_q", query_rank, index_heads * index_size, Part.MIXER, Split.NONE),
            facts.Matrix("index_k", hidden, index_size, Part.MIXER, Split.NONE),
            facts.Matrix("index_weights", hidden, index_heads, Part.KEPT, Split.NONE),
        ]
    return Mixing(
        facts.Mixer(
            facts.Mixing.LATENT,
            heads=heads,
            kv_heads=1,
            head_size=plain + rotary,
            value_size=value_size,
            latent=rank + rotary,
            index=index_size if index_heads else 0,
        ),
        (
            *queries,
            facts.Matrix("kv_b", rank, heads * (plain + value_size), Part.MIXER),
            facts.Matrix("out", heads * value_size, hidden, Part.MIXER, Split.INPUTS),
            *index,
        ),
        rank + query_rank + (2 * index_size if index_heads else 0),
    )


def gated_delta(
    hidden: int,
    *,
    key_heads: int,
    value_heads: int,
    key_size: int,
    value_size: int,
    kernel: int,
    state_bytes: int,
) -> Mixing:
    """Returns a gated delta network (Qwen3-Next, Qwen3.5)."""
    keys, values = key_heads * key_size, value_heads * value_size
    convolved = 2 * keys + values
    return Mixing(
        facts.Mixer(
            facts.Mixing.STATE,
            heads=value_heads,
            kv_heads=key_heads,
            head_size=key_size,
            value_size=value_size,
            state=value_heads * key_size * value_size,
            state_bytes=state_bytes,
            convolution=(kernel - 1) * convolved,
        ),
        (
            facts.Matrix("convolution", kernel, convolved, Part.KEPT),
            facts.Matrix("qkvz", hidden, convolved + values, Part.MIXER),
            facts.Matrix("ba", hidden, 2 * value_heads, Part.KEPT),
            facts.Matrix("out", values, hidden, Part.MIXER, Split.INPUTS),
        ),
        2 * value_heads + value_size,
    )


def mamba(
    hidden: int,
    *,
    heads: int,
    head_size: int,
    groups: int,
    state_size: int,
    kernel: int,
    state_bytes: int,
) -> Mixing:
    """Returns a Mamba 2 layer."""
    inner = heads * head_size
    convolved = inner + 2 * groups * state_size
    return Mixing(
        facts.Mixer(
            facts.Mixing.STATE,
            heads=heads,
            kv_heads=groups,
            head_size=state_size,
            value_size=head_size,
            state=inner * state_size,
            state_bytes=state_bytes,
            convolution=(kernel - 1) * convolved,
        ),
        (
            facts.Matrix("convolution", kernel, convolved, Part.KEPT),
            facts.Matrix("in", hidden, inner + convolved + heads, Part.MIXER),
            facts.Matrix("out", inner, hidden, Part.MIXER, Split.INPUTS),
        ),
        convolved + 3 * heads + inner,
    )


def dense(hidden: int, intermediate: int, *, gated: bool = True, rest: int = 0) -> Working:
    """Returns a dense network of this width."""
    return Working(
        facts.Network(intermediate=intermediate, gated=gated),
        _pair(hidden, intermediate, Part.DENSE, gated=gated),
        rest,
    )


def experts(
    hidden: int,
    intermediate: int,
    count: int,
    chosen: int,
    *,
    shared: int = 0,
    shared_gate: bool = False,
    gated: bool = True,
    inner: int = 0,
    beside: int = 0,
    rest: int = 0,
) -> Working:
    """Returns a network of experts.

    Args:
        hidden: Size of a token's vector.
        intermediate: Width of one expert.
        count: Experts.
        chosen: Experts that a token goes through.
        shared: Width of the experts that every token goes through, in all.
        shared_gate: The shared experts have a gate.
        gated: There are two matrices before the activation.
        inner: Size of the vector that experts work on, when it is not the model's.
        beside: Width of a dense network that works beside the experts (Gemma 4).
        rest: Parameters in no matrix.
    """
    size = inner or hidden
    matrices = [facts.Matrix("router", hidden, count, Part.KEPT, Split.NONE)]
    if beside:
        matrices += _pair(hidden, beside, Part.DENSE, gated=gated)
    if inner:
        matrices += [
            facts.Matrix("inner_in", hidden, inner, Part.SHARED, Split.NONE),
            facts.Matrix("inner_out", inner, hidden, Part.SHARED, Split.NONE),
        ]
    if shared:
        matrices += _pair(hidden, shared, Part.SHARED, gated=gated, name="shared_")
    if shared_gate:
        matrices.append(facts.Matrix("shared_gate", hidden, 1, Part.KEPT, Split.NONE))
    matrices += _pair(size, intermediate, Part.EXPERTS, gated=gated, name="experts_", copies=count)
    return Working(
        facts.Network(
            intermediate=intermediate,
            experts=count,
            chosen=chosen,
            shared=shared + beside,
            gated=gated,
            inner=inner,
        ),
        tuple(matrices),
        rest,
    )


def _pair(
    hidden: int, width: int, part: Part, *, gated: bool, name: str = "", copies: int = 1
) -> tuple[facts.Matrix, ...]:
    before = facts.Matrix(
        name + ("gate_up" if gated else "up"),
        hidden,
        width * (2 if gated else 1),
        part,
        copies=copies,
        modules=2 if gated else 1,
    )
    return (before, facts.Matrix(name + "down", width, hidden, part, Split.INPUTS, copies))


def blocks(layers: Iterable[tuple[Mixing, Working]]) -> tuple[tuple[facts.Block, ...], int]:
    """Returns layers as blocks of equal ones, and their parameters that are in no matrix."""
    counts: dict[tuple[Mixing, Working], int] = {}
    for layer in layers:
        counts[layer] = counts.get(layer, 0) + 1
    made = tuple(block(count, mixing, work) for (mixing, work), count in counts.items())
    rest = sum((mixing.rest + work.rest) * count for (mixing, work), count in counts.items())
    return made, rest


def block(count: int, mixing: Mixing, work: Working) -> facts.Block:
    """Returns so many layers of two halves."""
    mixer = summed(mixing.mixer, mixing.matrices)
    return facts.Block(count, mixer, work.network, mixing.matrices + work.matrices)


def summed(mixer: facts.Mixer, matrices: Iterable[facts.Matrix]) -> facts.Mixer:
    """Returns a mixing half with the sums of its matrices among those of a layer."""
    own = [matrix for matrix in matrices if matrix.part in (Part.MIXER, Part.KEPT)]
    own = [matrix for matrix in own if matrix.name not in _GATES]
    return dataclasses.replace(
        mixer,
        parameters=sum(matrix.parameters for matrix in own),
        inputs=sum(matrix.ends for matrix in own if matrix.part is not Part.KEPT),
    )


# Matrices of the working half that no quantization packs.
_GATES = ("router", "shared_gate")


def plain(
    mixer: facts.Mixer, network: facts.Network, hidden: int
) -> tuple[facts.Matrix, ...] | None:
    """Returns the matrices of the plainest layer of two halves, or None where there is none."""
    if mixer.kind in (facts.Mixing.LATENT, facts.Mixing.STATE) or network.inner:
        return None
    mixing = NO_MIXING
    if mixer.kind is not facts.Mixing.NONE:
        mixing = attention(
            hidden,
            mixer.heads,
            mixer.kv_heads,
            mixer.head_size,
            value_size=mixer.value_size,
            shares=mixer.shares,
        )
    work = NO_WORK
    if network.experts:
        work = experts(
            hidden,
            network.intermediate,
            network.experts,
            network.chosen,
            shared=network.shared,
            gated=network.gated,
        )
    elif network.intermediate:
        work = dense(hidden, network.intermediate, gated=network.gated)
    return mixing.matrices + work.matrices
