"""What a step of an engine reads and computes on one GPU, from the facts of a model.

A step reads every matrix once, of the experts those that a token of the batch chose, and the keys
and values of each sequence. The input table is not read: a token looks up one row of it.
"""

import dataclasses
import functools

from function.capacity import facts

FP8 = facts.Quantization("fp8", 8)
"""What `quantization: fp8` packs as it loads a checkpoint of 16 bits."""


@dataclasses.dataclass(frozen=True)
class Experts:
    """The experts of the layers of one make.

    Attributes:
        bytes: Bytes of all of them on one GPU, in all layers.
        count: Experts of a layer.
        chosen: Experts that a token goes through.
    """

    bytes: float
    count: int
    chosen: int

    def read(self, tokens: float) -> float:
        """Returns the bytes that a step of so many tokens reads, when routing is even."""
        missed: float = (1 - self.chosen / self.count) ** tokens
        return self.bytes * (1 - missed)


@dataclasses.dataclass(frozen=True)
class Attention:
    """What the layers of one make keep and read of a sequence.

    Attributes:
        layers: How many layers.
        token_bytes: Bytes of one token in one layer on one GPU.
        window: Tokens that are looked at; 0 for all.
        width: Elements of queries and values on one GPU: what a pair of tokens is multiplied by.
    """

    layers: int
    token_bytes: float
    window: int
    width: float

    def read(self, context: float) -> float:
        """Returns the bytes that a step reads for a sequence of so many tokens."""
        tokens = min(context, self.window) if self.window else context
        return self.layers * self.token_bytes * tokens

    def pairs(self, begin: float, tokens: float) -> float:
        """Returns pairs of tokens that one layer looks at while `tokens` follow `begin`."""
        end = begin + tokens
        if not self.window:
            return (end * end - begin * begin) / 2
        growing = min(end, self.window) ** 2 - min(begin, self.window) ** 2
        return growing / 2 + self.window * (end - max(begin, min(end, self.window)))


@dataclasses.dataclass(frozen=True)
class Work:
    """What a step reads and computes on one GPU.

    Attributes:
        hidden: Size of a token's vector.
        vocabulary: Rows of the output table on this GPU; 0 for a model that generates nothing.
        layers: Layers in all.
        packed_expert_layers: Layers whose experts are packed in 8 bits.
        weights: Bytes of the matrices that every step reads.
        experts: Experts of each make of layer.
        attention: What is kept of tokens, for each make of layer.
        sequence_bytes: Bytes that a step reads and writes for a sequence of any length.
        dense_parameters: Parameters of the layers, without tables and experts.
        expert_parameters: The same of its experts.
        bits: 8 where matrices are multiplied in 8 bits by a card that can, else 16.
        tensor_parallel: GPUs of one replica.
        unmeasured: What no measured model had, in words.
    """

    hidden: int
    vocabulary: float
    layers: int
    packed_expert_layers: int
    weights: float
    experts: tuple[Experts, ...]
    attention: tuple[Attention, ...]
    sequence_bytes: float
    dense_parameters: float
    expert_parameters: float
    bits: int
    tensor_parallel: int
    unmeasured: tuple[str, ...]

    def cache_bytes(self, context: float) -> float:
        """Returns the bytes that a step reads and writes for one sequence."""
        return self.sequence_bytes + sum(layer.read(context) for layer in self.attention)

    def expert_bytes(self, tokens: float) -> float:
        """Returns the bytes of the experts that a step of so many tokens reads."""
        return sum(experts.read(tokens) for experts in self.experts)

    def operations(self, begin: float, tokens: float) -> float:
        """Returns the operations of attention while `tokens` follow `begin`."""
        return sum(
            2 * layer.layers * layer.width * layer.pairs(begin, tokens) for layer in self.attention
        )


@functools.lru_cache(maxsize=256)
def of(
    model: facts.Facts,
    quantization: facts.Quantization | None = None,
    tensor_parallel: int = 1,
    cache_bytes: int = 2,
) -> Work:
    """Returns the work of a model on one of its GPUs.

    Args:
        model: The model.
        quantization: How its matrices are packed while it runs; the checkpoint's own when None.
        tensor_parallel: GPUs of one replica.
        cache_bytes: Bytes of an element of the KV cache.

    Raises:
        ValueError: `tensor_parallel` is below one.
    """
    if tensor_parallel < 1:
        raise ValueError(f"tensor_parallel: {tensor_parallel} is below 1: a replica has a GPU")
    packing = quantization or model.quantization
    weights = dense = chosen = sequence = 0.0
    expert_layers = 0
    experts: list[Experts] = []
    attention: list[Attention] = []
    for block in model.blocks:
        network, mixer = block.network, block.mixer
        packed = 0.0
        for matrix in block.matrices:
            share = 1.0 if matrix.split is facts.Split.NONE else 1 / tensor_parallel
            parameters = block.count * matrix.parameters * share
            size = parameters * _weight_bytes(packing, matrix, model.dtype_bytes)
            if matrix.part is facts.Part.EXPERTS:
                packed += size
                chosen += parameters * network.chosen / network.experts
            else:
                weights += size
                dense += parameters
        if packed:
            experts.append(Experts(packed, network.experts, network.chosen))
            expert_layers += block.count
        kept = _kept(mixer, tensor_parallel, cache_bytes)
        if kept:
            wide = mixer.heads * (mixer.head_size + (mixer.value_size or mixer.head_size))
            attention.append(Attention(block.count, kept, mixer.window, wide / tensor_parallel))
        state = mixer.state * mixer.state_bytes + mixer.convolution * model.dtype_bytes
        sequence += 2 * block.count * state / tensor_parallel
    generates = model.runner is facts.Runner.GENERATE
    rows = model.vocabulary / tensor_parallel if generates else 0.0
    row_bits = packing.bits if packing is not None and packing.tables else 8 * model.dtype_bytes
    eight = packing is not None and packing.bits == 8
    return Work(
        hidden=model.hidden,
        vocabulary=rows,
        layers=model.layers,
        packed_expert_layers=expert_layers if eight else 0,
        weights=weights + rows * model.hidden * row_bits / 8,
        experts=tuple(experts),
        attention=tuple(attention),
        sequence_bytes=sequence,
        dense_parameters=dense,
        expert_parameters=chosen,
        bits=8 if eight else 16,
        tensor_parallel=tensor_parallel,
        unmeasured=_unmeasured(model, packing, tensor_parallel, cache_bytes),
    )


def _weight_bytes(packing: facts.Quantization | None, matrix: facts.Matrix, plain: int) -> float:
    """Returns the bytes of a weight, with its part of a scale."""
    if packing is None:
        return float(plain)
    bits = packing.bits_of(matrix, 8 * plain)
    if bits != packing.bits or not packing.group:
        return bits / 8
    return (bits + packing.scale_bits / packing.group) / 8


def _kept(mixer: facts.Mixer, tensor_parallel: int, cache_bytes: int) -> float:
    """Returns the bytes that a layer reads of each token on one GPU.

    A layer that shares another's keys and values reads them too. A GPU has at least one head of
    keys and values, and all of a latent vector.
    """
    if mixer.latent:
        return (mixer.latent + mixer.index) * cache_bytes
    heads = max(1.0, mixer.kv_heads / tensor_parallel) if mixer.kv_heads else 0.0
    return heads * (mixer.head_size + (mixer.value_size or mixer.head_size)) * cache_bytes


_MEASURED_MIXES = {facts.Mixing.FULL}
_MEASURED_BITS = (8, 16)
_MEASURED_GPUS = (1, 2)


def _unmeasured(
    model: facts.Facts,
    packing: facts.Quantization | None,
    tensor_parallel: int,
    cache_bytes: int,
) -> tuple[str, ...]:
    """Returns what no measured model had."""
    reasons = [f"{mix} layers" for mix in sorted(model.mixes - _MEASURED_MIXES)]
    if model.experts:
        reasons.append("experts, which one measured model has")
    if packing is not None and packing.bits not in _MEASURED_BITS:
        reasons.append(f"weights of {packing.bits} bits")
    if tensor_parallel not in _MEASURED_GPUS:
        reasons.append(f"{tensor_parallel} GPUs a replica")
    if cache_bytes != 2:
        reasons.append(f"a KV cache of {8 * cache_bytes} bits")
    return tuple(reasons)
