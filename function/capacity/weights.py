"""What a model's weights take of each GPU, as vLLM counts them ("Model loading took").

The sum of the tensors follows from the model's facts. The loader adds what the allocator hands out
beyond them, which follows from the sizes and from their order (`arena`): without it weights in 8
bits are up to 4 % off.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator

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

# A method that was not measured may be off by this share.
_UNMEASURED = 0.02
_MEASURED = (None, "fp8")

# Rows of an embedding table are padded to a multiple (vLLM, `DEFAULT_VOCAB_PADDING_SIZE`).
_VOCABULARY_PADDING = 64


@dataclasses.dataclass(frozen=True)
class Padding:
    """What kernels that multiply mxfp4 pad the experts' sizes to multiples of.

    Attributes:
        hidden: Of the hidden size.
        inner: Of the experts' own.
    """

    hidden: int
    inner: int


# Read in vLLM (fused_moe/oracle/mxfp4.py, before it quantization/mxfp4.py).
TRITON = Padding(1, 64)
CUTLASS = Padding(128, 128)
MARLIN = Padding(256, 128)
TRTLLM = Padding(256, 256)

_UNPADDED = Padding(1, 1)

# Compute capabilities. Triton's kernels for mxfp4 are for those from 9.0 to below 11.0.
_HOPPER, _BLACKWELL, _NO_TRITON = (9, 0), (10, 0), (11, 0)


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
        capability: The GPU's compute capability, or None for one that is unknown.
        adapted: The engine takes adapters, whether their slots are counted here or not.
    """

    version: tuple[int, ...] = (0, 25, 1)
    quantization: str | None = None
    dtype_bytes: int | None = None
    tensor_parallel: int = 1
    stages: int = 1
    adapters: Adapters = Adapters()
    drafts: bool = False
    capability: tuple[int, int] | None = None
    adapted: bool = False


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
    limits = [limit for limit in (None, _UNDIVIDED) if _possible(load.version, limit)]
    least: list[int] = []
    held: list[list[int]] = []
    for limit in limits:
        paddings = _paddings(load, limit) if pads(model) else (_UNPADDED,)
        padded = [tuple(_tensors(model, load, padding)) for padding in paddings]
        least += map(_sum, padded)
        held.append([_loaded(each, limit) for each in padded])
    most = max(map(max, held))
    workspace = _WORKSPACE if _eight_bits(model, load) and limits[-1] else 0
    doubt = 0 if load.quantization in _MEASURED else _UNMEASURED * most
    return interval.Interval(
        max(0, min(*least, *map(min, held)) - _ROUNDING - doubt),
        held[-1][0] + workspace,
        most + _spread(model, load) + doubt,
    )


def tensors(model: facts.Facts, load: Load) -> int:
    """Returns the bytes of the tensors alone, without what the allocator and kernels add."""
    return _sum(_tensors(model, load, _UNPADDED))


def _sum(given: Iterable[Tensor]) -> int:
    return sum(tensor.size for tensor in given)


def _paddings(load: Load, limit: int | None) -> tuple[Padding, ...]:
    """Returns how a release may pad mxfp4 on the card, the likeliest first.

    With adapters, and on a card that Triton's kernels are not for, Marlin is all that is left:
    gpt-oss-20b took 13.72 GiB on an A100 (0.19.0). Hopper takes Triton's since 0.25, as measured,
    and flashinfer's when a variable asks for them. What 0.19 took there fits none of them exactly:
    7.01 GiB on each of two H100, of 6.57, 6.89 and 7.10.
    """
    card = load.capability
    if load.adapted or (card is not None and card < _HOPPER):
        return (MARLIN,)
    if card is not None and card >= _NO_TRITON:
        return (MARLIN, CUTLASS, TRTLLM)
    if card is not None and card >= _BLACKWELL:
        return (TRTLLM, CUTLASS, TRITON)
    likely = (TRITON, CUTLASS) if limit else (CUTLASS, TRITON, MARLIN)
    return likely if card is not None else (*likely, MARLIN, TRTLLM)


def _possible(version: tuple[int, ...], undivided: int | None) -> bool:
    if undivided is None:
        return version[:2] < _UNDIVIDED_SINCE
    return version[:2] > _DIVIDES_UNTIL


def pads(model: facts.Facts) -> bool:
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


def _tensors(model: facts.Facts, load: Load, padding: Padding) -> Iterator[Tensor]:
    dtype = load.dtype_bytes or model.dtype_bytes
    rows = -(-model.vocabulary // _VOCABULARY_PADDING) * _VOCABULARY_PADDING
    table = rows * model.hidden // load.tensor_parallel
    yield Tensor(table * dtype)
    yield from _layers(model, load, dtype, padding)
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


def _layers(model: facts.Facts, load: Load, dtype: int, padding: Padding) -> Iterator[Tensor]:
    rotary = [_rotary(rows, size, dtype) for rows, size in model.rotary]
    for block in model.blocks:
        layer = _layer(model, load, block, dtype, padding)
        for _ in range(-(-block.count // load.stages)):
            for name, tensors in layer:
                yield from tensors
                if name == "out" and block.mixer.kind is not facts.Mixing.STATE:
                    yield from rotary
                    rotary = []


def _layer(
    model: facts.Facts, load: Load, block: facts.Block, dtype: int, padding: Padding
) -> list[tuple[str, list[Tensor]]]:
    """Returns the tensors of each matrix of one layer, by the matrix' name."""
    padded = pads(model)
    copies = load.version[:2] <= _DIVIDES_UNTIL
    layer = []
    for matrix in block.matrices:
        inputs, outputs = _share(matrix, block.mixer, load.tensor_parallel)
        if padded and matrix.part is facts.Part.EXPERTS:
            inputs, outputs = _padded(matrix, padding, inputs, outputs)
        packing = _packing(model, load, matrix)
        elements = inputs * outputs * matrix.copies
        tensors = list(_matrix_tensors(packing, elements, outputs * matrix.copies, dtype))
        if copies and matrix.name == "kv_b":
            # 0.19 keeps the halves of this matrix once more, as attention multiplies them.
            tensors.append(Tensor(elements * dtype))
        layer.append((matrix.name, tensors))
    return layer


def _padded(matrix: facts.Matrix, padding: Padding, inputs: int, outputs: int) -> tuple[int, int]:
    """Returns inputs and outputs of a matrix of experts as kernels hold it."""
    down = matrix.split is facts.Split.INPUTS
    before, after = (padding.inner, padding.hidden) if down else (padding.hidden, padding.inner)
    joined = after * matrix.modules
    return -(-inputs // before) * before, -(-outputs // joined) * joined


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


def _loaded(given: Iterable[Tensor], undivided: int | None) -> int:
    memory = arena.Arena(undivided)
    for tensor in given:
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
