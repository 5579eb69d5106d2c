"""What a model's weights take of each GPU, as vLLM counts them ("Model loading took").

The sum of the tensors follows from the model's facts. The loader adds what the allocator hands out
beyond them, which follows from the sizes and from their order (`arena`): without it weights in 8
bits are up to 4 % off.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

from function.capacity import arena, facts, interval

_MIB = arena.MIB

# vLLM 0.25.1 loads with blocks from 20 MiB on undivided, 0.19 divides all: with these rules the
# measured starts of both agree to 0.1 MiB a model (tests/capacity/test_weights.py).
_DIVIDES_UNTIL = (0, 19)
_UNDIVIDED_SINCE = (0, 25)
_UNDIVIDED = 20 * _MIB

# Once in the loader's count, in each start with weights of 8 bits on an H200 and in none on an H100
# (0.25.1): the size of a workspace of cuBLAS on Hopper.
_WORKSPACE = 32 * _MIB

# What the sum of the tensors and the allocator's rounding may be off in small tensors.
_ROUNDING = 8 * _MIB

# mxfp4: kernels of flashinfer and Marlin want sizes that are multiples of these; Triton's, which
# 0.25.1 was measured with, want none. 0.19 was measured with flashinfer.
_PADDED = 128
_PADDED_MOST = 256

# A method that was not measured may be off by this share.
_UNMEASURED = 0.02
_MEASURED = (None, "fp8")

# Rows of an embedding table are padded to a multiple (vLLM, `DEFAULT_VOCAB_PADDING_SIZE`).
_VOCABULARY_PADDING = 64


class UnknownMethodError(ValueError):
    """A quantization at load that has no formula here."""


@dataclasses.dataclass(frozen=True)
class Adapters:
    """Slots for LoRA adapters, which the engine allocates whatever adapters it is given.

    Attributes:
        slots: `--max-loras`.
        rank: `--max-lora-rank`.
    """

    slots: int = 0
    rank: int = 16


@dataclasses.dataclass(frozen=True)
class Load:
    """How an engine loads a model.

    Attributes:
        version: vLLM's version, as numbers.
        quantization: `--quantization`: what is packed at load, or None.
        dtype_bytes: Bytes of a weight that is not packed, or None for the model's own.
        tensor_parallel: GPUs that divide the matrices.
        stages: GPUs that divide the layers; the fullest of them is answered.
        adapters: Slots for LoRA adapters.
        drafts: Layers for speculative decoding are loaded too.
    """

    version: tuple[int, ...] = (0, 25, 1)
    quantization: str | None = None
    dtype_bytes: int | None = None
    tensor_parallel: int = 1
    stages: int = 1
    adapters: Adapters = Adapters()
    drafts: bool = False


@dataclasses.dataclass(frozen=True)
class Packing:
    """How one matrix is held: bits of a weight, and what its scales take.

    Attributes:
        bits: Bits of a weight.
        group: Weights that share a scale; 0 for one scale a row of outputs, or fewer.
        scale_bits: Bits of a scale with its zero point.
        rows: True when each output has a scale of 4 bytes.
        before: Bytes of a weight before it was packed, when the loader packs it itself.
    """

    bits: int
    group: int = 0
    scale_bits: int = 0
    rows: bool = False
    before: int = 0


# Methods that vLLM applies to a checkpoint of 16 bits as it loads it. fp8 was measured; the others
# follow from what their formats hold of a weight.
_ONLINE = {
    "fp8": Packing(8),
    "fp8_per_tensor": Packing(8),
    "fp8_per_block": Packing(8, 128 * 128, 32),
    "ptpc_fp8": Packing(8, rows=True),
    "experts_int8": Packing(8, rows=True),
    "bitsandbytes": Packing(4, 64, 32),
    "mxfp8": Packing(8, 32, 8),
}


# A few milliseconds for a large model, and the same for every claim of it.
@functools.lru_cache(512)
def per_gpu(model: facts.Facts, load: Load) -> interval.Interval:
    """Returns bytes that the engine's loader holds on the fullest GPU.

    Raises:
        UnknownMethodError: The quantization at load has no formula here.
    """
    releases = [limit for limit in (None, _UNDIVIDED) if _possible(load.version, limit)]
    pads = {limit: 1 if limit else _PADDED for limit in releases}
    likely = [_loaded(model, load, limit, pads[limit]) for limit in releases]
    most = max(likely)
    if _pads(model):
        most = max(most, *(_loaded(model, load, limit, _PADDED_MOST) for limit in releases))
    workspace = _WORKSPACE if _eight_bits(model, load) and releases[-1] else 0
    least = min(tensors(model, load), *likely)
    doubt = 0 if load.quantization in _MEASURED else _UNMEASURED * most
    return interval.Interval(
        max(0, least - _ROUNDING - doubt),
        likely[-1] + workspace,
        most + _spread(model, load) + doubt,
    )


def tensors(model: facts.Facts, load: Load) -> int:
    """Returns the bytes of the tensors alone, without what the allocator adds."""
    return sum(tensor.size for tensor in _tensors(model, load, 1))


def _possible(version: tuple[int, ...], undivided: int | None) -> bool:
    if undivided is None:
        return version[:2] < _UNDIVIDED_SINCE
    return version[:2] > _DIVIDES_UNTIL


def _pads(model: facts.Facts) -> bool:
    """Tells whether kernels pad the experts: those of mxfp4 do."""
    packed = model.quantization
    return packed is not None and (packed.bits, packed.group) == (4, 32) and packed.scale_bits == 8


def _eight_bits(model: facts.Facts, load: Load) -> bool:
    packed = load.quantization or (model.quantization and model.quantization.method)
    return packed is not None and any(
        packing.bits == 8
        for block in model.blocks
        for matrix in block.matrices
        if (packing := _packing(model, load, matrix)) is not None
    )


def _spread(model: facts.Facts, load: Load) -> int:
    """Returns bytes that workspaces, and the order in a real checkpoint, may add."""
    base = 2 * _WORKSPACE
    if any(block.mixer.kind is facts.Mixing.LATENT for block in model.blocks):
        base += 2 * _WORKSPACE
    if load.quantization is None or model.quantization is not None:
        return base
    return base + 2 * _MIB * model.layers


# --- what is loaded


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One allocation that stays.

    Attributes:
        size: Bytes.
        before: Bytes of another one that is held while this one is made, then given back.
        scratch: Bytes of allocations that are made before it and given back.
    """

    size: int
    before: int = 0
    scratch: tuple[int, ...] = ()


def _tensors(model: facts.Facts, load: Load, multiple: int) -> Iterator[Tensor]:
    dtype = load.dtype_bytes or model.dtype_bytes
    rows = -(-model.vocabulary // _VOCABULARY_PADDING) * _VOCABULARY_PADDING
    table = rows * model.hidden // load.tensor_parallel
    yield Tensor(table * dtype)
    yield from _layers(model, load, dtype, multiple)
    if load.stages > 1:
        # The other table is on the last stage.
        pass
    elif not model.tied:
        packed = model.quantization is not None and model.quantization.tables
        yield from _matrix_tensors(
            Packing(model.quantization.bits) if packed and model.quantization else None,
            table,
            rows,
            dtype,
        )
    yield Tensor(model.other_parameters * dtype // load.stages)
    if model.tower_parameters:
        yield Tensor(model.tower_parameters * dtype // load.tensor_parallel)
    if load.drafts and model.draft_parameters:
        # Packed by 8 bits as the rest is; checkpoints of 4 bits leave drafts as they were.
        eight = model.quantization is not None and model.quantization.bits == 8
        yield Tensor(model.draft_parameters * (1 if eight else dtype) // load.tensor_parallel)
    yield from _slots(model, load)


def _layers(model: facts.Facts, load: Load, dtype: int, multiple: int) -> Iterator[Tensor]:
    rotary = [_rotary(rows, size, dtype) for rows, size in model.rotary]
    for block in model.blocks:
        layer = _layer(model, load, block, dtype, multiple)
        for _ in range(-(-block.count // load.stages)):
            for name, tensors in layer:
                yield from tensors
                if name == "out" and block.mixer.kind is not facts.Mixing.STATE:
                    yield from rotary
                    rotary = []


def _layer(
    model: facts.Facts, load: Load, block: facts.Block, dtype: int, multiple: int
) -> list[tuple[str, list[Tensor]]]:
    """Returns the tensors of each matrix of one layer, by the matrix' name."""
    pads = _pads(model)
    copies = load.version[:2] <= _DIVIDES_UNTIL
    layer = []
    for matrix in block.matrices:
        inputs, outputs = _share(matrix, block.mixer, load.tensor_parallel)
        if pads and matrix.part is facts.Part.EXPERTS:
            joined = multiple * matrix.modules
            inputs = -(-inputs // multiple) * multiple
            outputs = -(-outputs // joined) * joined
        packing = _packing(model, load, matrix)
        elements = inputs * outputs * matrix.copies
        tensors = list(_matrix_tensors(packing, elements, outputs * matrix.copies, dtype))
        if copies and matrix.name == "kv_b":
            # 0.19 keeps the halves of this matrix once more, as attention multiplies them.
            tensors.append(Tensor(elements * dtype))
        layer.append((matrix.name, tensors))
    return layer


def _rotary(rows: int, size: int, dtype: int) -> Tensor:
    """Returns a table of positions; it is worked out in 32 bits, from angles, cosines and sines."""
    half = rows * size // 2 * 4
    return Tensor(rows * size * dtype, scratch=(half, half, half, 2 * half))


def _matrix_tensors(
    packing: Packing | None, elements: int, outputs: int, dtype: int
) -> Iterator[Tensor]:
    if packing is None:
        yield Tensor(elements * dtype)
        return
    yield Tensor(elements * packing.bits // 8, before=elements * packing.before)
    if packing.group:
        # A zero point of a few bits is unpacked to the size of its scale.
        scales = elements // packing.group
        yield Tensor(scales * packing.scale_bits // 8)
    elif packing.rows:
        yield Tensor(outputs * 4)


def _packing(model: facts.Facts, load: Load, matrix: facts.Matrix) -> Packing | None:
    """Returns how a matrix is held, or None for one that is not packed."""
    if matrix.part is facts.Part.KEPT:
        return None
    if model.quantization is not None:
        packed = model.quantization
        bits = packed.bits_of(matrix)
        if bits == 16:
            return None
        if bits != packed.bits:
            return Packing(bits)
        scale = packed.scale_bits
        if packed.method in ("awq", "gptq") and scale > 16:
            scale = 32
        return Packing(bits, packed.group, scale, rows=packed.method == "compressed-tensors")
    if load.quantization is None:
        return None
    online = _ONLINE.get(load.quantization)
    if online is None:
        raise UnknownMethodError(
            f"quantization {load.quantization!r} of a checkpoint that is not packed: "
            f"{', '.join(_ONLINE)} have a formula"
        )
    return dataclasses.replace(online, before=load.dtype_bytes or model.dtype_bytes)


def _share(matrix: facts.Matrix, mixer: facts.Mixer, gpus: int) -> tuple[int, int]:
    """Returns inputs and outputs of a matrix that one of so many GPUs holds."""
    if matrix.split is facts.Split.NONE or gpus == 1:
        return matrix.inputs, matrix.outputs
    if matrix.split is facts.Split.INPUTS:
        return matrix.inputs // gpus, matrix.outputs
    if matrix.split is facts.Split.OUTPUTS:
        return matrix.inputs, matrix.outputs // gpus
    queries = _queries(matrix, mixer)
    made = matrix.outputs - queries
    kept = made // mixer.kv_heads * max(1, mixer.kv_heads // gpus) if made else 0
    return matrix.inputs, queries // gpus + kept


def _queries(matrix: facts.Matrix, mixer: facts.Mixer) -> int:
    plain = mixer.heads * mixer.head_size
    return 2 * plain if matrix.outputs > 2 * plain + mixer.kv_heads * mixer.head_size else plain


def _slots(model: facts.Facts, load: Load) -> Iterator[Tensor]:
    """Yields the slots of adapters: all linear modules have them, whatever an adapter changes.

    Inputs of a matrix that tensor parallelism divides by its outputs are whole on each GPU.
    """
    many = load.adapters.slots * load.adapters.rank * 2
    if not many:
        return
    gpus = load.tensor_parallel
    for block in model.blocks:
        for matrix in block.matrices:
            if matrix.part is facts.Part.KEPT:
                continue
            inputs, outputs = _share(matrix, block.mixer, gpus)
            for _ in range(block.count):
                for _ in range(matrix.modules):
                    yield Tensor(many * inputs * matrix.copies)
                yield Tensor(many * outputs * matrix.copies)


# --- what the allocator makes of it


def _loaded(model: facts.Facts, load: Load, undivided: int | None, multiple: int) -> int:
    memory = arena.Arena(undivided)
    for tensor in _tensors(model, load, multiple):
        if not (tensor.before or tensor.scratch):
            memory.take(tensor.size)
            continue
        before = memory.take(tensor.before) if tensor.before else None
        scratch = [memory.take(size) for size in tensor.scratch]
        for block in scratch[:-1]:
            memory.give(block)
        memory.take(tensor.size)
        for block in [*scratch[-1:], *([before] if before else [])]:
            memory.give(block)
    return memory.allocated
