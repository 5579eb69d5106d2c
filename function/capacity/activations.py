"""Bytes that an engine measures for a step's intermediate values, before it takes its cache.

The engine runs a step of `max_num_batched_tokens` tokens, and its sampler on `max_num_seqs`
requests, and takes the highest use of torch's allocator for what every step needs. The formulas and
their residuals are in `docs/accuracy.md`.
"""

from function.capacity import arrangements, cards, facts, interval, releases
from function.capacity.interval import Interval

GIB = releases.GIB
MIB = releases.MIB

# Bytes for each token and element of the intermediate size that are alive at once, in a 16-bit
# model: gate and up, and their product; fp8 multiplication packs the product as it makes it.
_PLAIN = Interval(6, 6, 6)
_FP8 = Interval(5, 5, 5)
_FP8_ADAPTERS = Interval(7, 7, 7)
_EIGHT_BITS = Interval(5, 5, 7)
"""compressed-tensors of 8 bits is fp8 or integers; integers keep the unpacked product too."""
_UNGATED = Interval(4, 4, 4)

# Of an eager step: nothing joins the packing with the product (Qwen3-8B in fp8, 2048 tokens).
_EAGER_FP8 = Interval(2, 2, 2)

# The compiler's trial of a table that tensor parallelism splits flushes the second-level cache of
# the card: 50 MiB on an H100.
_FLUSH = Interval(40, 50, 130) * MIB

# Latent attention unpacks the vectors of so many tokens at once: eight contexts or four blocks of
# each sequence, at most 65536, and a block of each at least
# (vllm/model_executor/layers/attention/mla_attention.py).
_LATENT_TOKENS = 65536
_LATENT_CONTEXTS = 8
_LATENT_BLOCKS = 4
_ROTARY = 64
"""Elements of a latent attention's head that carry the position: 64 in every model so far."""

# A tower's share was 0.01..0.15 GiB above its output for the tokens of a step (Gemma 3, Mistral
# Small, Kimi-VL, Llama 4 on vLLM 0.19).
_TOWER = Interval(0, 0.08, 0.16) * GIB

# Steps of recurrent layers were not measured.
_STATE = 0.5

_ONE_GPU_HIDDEN = 4
_SHARED_HIDDEN = 6
"""Rows of the hidden size in bytes: two of them, and one more for the sum over GPUs."""


def peak(
    model: facts.Facts,
    arrangement: arrangements.Arrangement,
    card: cards.Card,
    behaviour: releases.Behaviour,
) -> Interval:
    """Returns bytes of the highest use of memory by the engine's trial run.

    A cold start compiles first, and the compiler's trial copies the embedding table.
    """
    tokens = arrangement.tokens(card)
    width = model.dtype_bytes / 2
    sampler = _sampler(model, arrangement, tokens, behaviour) + _matmul(behaviour, model)
    step = interval.most(
        *(
            _layer(model, block, arrangement, tokens, card) * width
            for block in model.blocks
            if block.count
        )
    )
    plain = arrangement.quantization is None and model.quantization is None
    if plain or arrangement.adapter_slots:
        step += _matmul(behaviour, model)
    steady = step.at_least(sampler) + interval.exactly(_workspace(model, arrangement, tokens))
    if model.tower_parameters:
        rows = tokens * model.hidden * model.dtype_bytes
        steady += Interval(0, rows, rows) + _TOWER
    size = steady
    if arrangement.cold and not arrangement.eager:
        size = size.at_least(_copy(model, arrangement, tokens, card))
    if facts.Mixing.STATE in model.mixes:
        size = Interval(size.low, size.best, size.high * (1 + _STATE))
    residual = behaviour.residual * GIB
    return Interval(
        max(0, size.low + residual.low), size.best + residual.best, size.high + residual.high
    )


def _matmul(behaviour: releases.Behaviour, model: facts.Facts) -> Interval:
    return behaviour.matmul * GIB if model.dtype_bytes == 2 else interval.ZERO


def _sampler(
    model: facts.Facts,
    arrangement: arrangements.Arrangement,
    tokens: int,
    behaviour: releases.Behaviour,
) -> Interval:
    """Logits of every request, and the hidden states of the step that came before."""
    if model.runner is facts.Runner.POOLING:
        return interval.exactly(tokens * model.hidden * model.dtype_bytes)
    wider = model.dtype_bytes - 2
    each = behaviour.logits + interval.exactly(wider)
    states = interval.exactly(tokens * model.hidden * model.dtype_bytes)
    return each * (arrangement.sequences * model.vocabulary) + states


def _eight_bits(
    model: facts.Facts, arrangement: arrangements.Arrangement, card: cards.Card
) -> bool:
    """Whether the card multiplies in 8 bits, for which each step packs its values."""
    packed = model.quantization
    if packed is None:
        return arrangement.quantization == "fp8" and card.fp8 is True
    return packed.bits == 8 and not packed.experts_only and card.fp8 is True


def _multiplier(
    model: facts.Facts, arrangement: arrangements.Arrangement, card: cards.Card
) -> Interval:
    """Bytes for each token and element of the intermediate size."""
    if not _eight_bits(model, arrangement, card):
        return _PLAIN
    packed = model.quantization
    exactly_fp8 = packed is None or packed.method == "fp8"
    bytes_of = _FP8 if exactly_fp8 else _EIGHT_BITS
    if arrangement.adapter_slots:
        bytes_of = _FP8_ADAPTERS
    return bytes_of + _EAGER_FP8 if arrangement.eager else bytes_of


def _layer(
    model: facts.Facts,
    block: facts.Block,
    arrangement: arrangements.Arrangement,
    tokens: int,
    card: cards.Card,
) -> Interval:
    """Bytes of one layer's step in a 16-bit model."""
    mixer, network = block.mixer, block.network
    tensor = arrangement.tensor
    shared = tensor > 1 or arrangement.eager
    hidden = (_SHARED_HIDDEN if shared else _ONE_GPU_HIDDEN) * model.hidden
    queries = mixer.heads * mixer.head_size / tensor
    keys = max(1, mixer.kv_heads / tensor) * mixer.head_size
    inner = (network.shared if network.experts else network.intermediate) / tensor
    multiplier = _multiplier(model, arrangement, card) if network.gated else _UNGATED
    dense = multiplier * (tokens * inner) + interval.exactly(tokens * (hidden + 2 * queries))
    if not network.experts:
        return dense.at_least(interval.exactly(_unpacked(mixer, arrangement, tokens, hidden)))
    # Where the experts' rows are in a workspace of their own, attention is the widest part:
    # queries, keys and values, normed, rotated, and the output. Qwen3-30B-A3B has 44,032 bytes a
    # token.
    attention = tokens * (hidden + 8 * queries + 6 * keys)
    unpacked = _unpacked(mixer, arrangement, tokens, hidden)
    if mixer.kind is facts.Mixing.LATENT:
        attention = 0
    return dense.at_least(interval.exactly(max(attention, unpacked)))


def _unpacked(
    mixer: facts.Mixer, arrangement: arrangements.Arrangement, tokens: int, hidden: float
) -> float:
    """Bytes of keys and values that latent attention unpacks for earlier tokens."""
    if mixer.kind is not facts.Mixing.LATENT:
        return 0
    heads = mixer.heads / arrangement.tensor
    width = mixer.head_size - _ROTARY + (mixer.value_size or mixer.head_size)
    page = arrangement.sequences * arrangement.block
    wanted = max(_LATENT_CONTEXTS * arrangement.context, _LATENT_BLOCKS * page)
    rows = max(min(wanted, _LATENT_TOKENS), page)
    return rows * heads * width * 2 + tokens * (hidden + 2 * heads * mixer.head_size)


def _workspace(model: facts.Facts, arrangement: arrangements.Arrangement, tokens: int) -> float:
    """Bytes of the two buffers that experts share, which stay while the sampler is tried.

    A row for each token and chosen expert, as wide as the hidden size or the experts' own
    (vllm/model_executor/layers/fused_moe); mxfp4 kernels have no such buffers.
    """
    if model.quantization is not None and model.quantization.method == "mxfp4":
        return 0
    most = 0.0
    for block in model.blocks:
        network = block.network
        if not network.experts:
            continue
        inner = network.intermediate / arrangement.tensor
        outer = 2 * inner if network.gated else inner
        rows = tokens * network.chosen * model.dtype_bytes
        most = max(most, rows * (max(inner, model.hidden) + max(outer, model.hidden)))
    return most


def _copy(
    model: facts.Facts,
    arrangement: arrangements.Arrangement,
    tokens: int,
    card: cards.Card,
) -> Interval:
    """Bytes of the embedding table that the compiler copies for its trial, with a step's rows."""
    table = model.vocabulary / arrangement.tensor * model.hidden * model.dtype_bytes
    if arrangement.tensor > 1:
        return interval.exactly(table + tokens * model.hidden * 2) + _FLUSH
    each = 5 if _eight_bits(model, arrangement, card) else 4
    return interval.exactly(table + tokens * model.hidden * each)
