"""What a model is made of, as far as memory and speed follow from it.

A model is a list of blocks of equal layers. A layer mixes tokens (attention, or a recurrent state)
and then works on each token (a dense network, or experts). All sizes are those of the whole model,
before tensor parallelism divides them.
"""

import dataclasses
import enum
import functools


class Mixing(enum.StrEnum):
    """How a layer lets tokens look at each other, which decides what it keeps of a token."""

    FULL = "full"
    """Keys and values of every token."""
    WINDOW = "window"
    """Keys and values of the last `window` tokens: sliding or chunked attention."""
    LATENT = "latent"
    """One compressed vector of every token (multi-head latent attention)."""
    STATE = "state"
    """A state of fixed size for each sequence (Mamba, gated delta networks)."""
    NONE = "none"
    """Nothing: the layer has no mixer."""


@dataclasses.dataclass(frozen=True)
class Mixer:
    """The mixing half of a layer.

    Attributes:
        kind: How it mixes.
        heads: Query heads.
        kv_heads: Heads of keys and values; one for a latent vector.
        head_size: Elements of a query or key head.
        value_size: Elements of a value head; `head_size` for most models.
        window: Tokens that are kept, for a window.
        latent: Elements kept of a token by latent attention: the rank and the rotary part.
        state: Elements kept of a sequence by a recurrent state, in `state_bytes` each.
        convolution: Elements kept of a sequence by a recurrent layer's convolution, in the model's
            dtype.
        index: Elements of a token that a sparse indexer keeps beside the latent vector.
        shares: True when the layer reads another layer's keys and values and keeps none itself.
        parameters: Parameters of its matrices, those that no quantization packs included.
        inputs: Sum of in- and output sizes of its modules, of which LoRA slots are multiples.
    """

    kind: Mixing
    heads: int = 0
    kv_heads: int = 0
    head_size: int = 0
    value_size: int = 0
    window: int = 0
    latent: int = 0
    state: int = 0
    state_bytes: int = 0
    convolution: int = 0
    index: int = 0
    shares: bool = False
    parameters: int = 0
    inputs: int = 0


@dataclasses.dataclass(frozen=True)
class Network:
    """The half of a layer that works on each token by itself.

    Attributes:
        intermediate: Width of the dense network; of one expert when there are experts. 0 for none.
        experts: Experts, or 0 for a dense network.
        chosen: Experts that a token goes through.
        shared: Width of the experts that every token goes through, in all.
        gated: True when there are two matrices before the activation (gate and up).
        inner: Size of the vector that experts work on; 0 for the model's own.
    """

    intermediate: int = 0
    experts: int = 0
    chosen: int = 0
    shared: int = 0
    gated: bool = True
    inner: int = 0


class Part(enum.StrEnum):
    """Which half of a layer a matrix belongs to, and whether a quantization may pack it."""

    MIXER = "mixer"
    DENSE = "dense"
    EXPERTS = "experts"
    SHARED = "shared"
    KEPT = "kept"
    """A router, a gate, a convolution: every quantization leaves it as it is."""


class Split(enum.StrEnum):
    """What tensor parallelism divides of a matrix."""

    OUTPUTS = "outputs"
    INPUTS = "inputs"
    HEADS = "heads"
    """Outputs for queries, keys and values: a GPU keeps at least one head of keys and values."""
    NONE = "none"
    """Nothing: every GPU has it whole."""


@dataclasses.dataclass(frozen=True)
class Matrix:
    """One matrix of a layer, as the engine holds it: q, k and v are one, gate and up are one.

    Attributes:
        name: The engine's name: `qkv`, `out`, `gate_up`, `down`, `experts_up`, `experts_down`.
        inputs: Size of the vector that goes in.
        outputs: Size of the vector that comes out.
        part: Where it belongs.
        split: What tensor parallelism divides.
        copies: Matrices of this shape in one allocation: one for each expert.
        modules: Modules of the checkpoint that it joins, each with an adapter of its own.
    """

    name: str
    inputs: int
    outputs: int
    part: Part
    split: Split = Split.OUTPUTS
    copies: int = 1
    modules: int = 1

    @property
    def parameters(self) -> int:
        """Parameters of all copies."""
        return self.inputs * self.outputs * self.copies

    @property
    def ends(self) -> int:
        """Inputs and outputs of its modules: elements of one row of an adapter."""
        return (self.inputs * self.modules + self.outputs) * self.copies


@dataclasses.dataclass(frozen=True)
class Block:
    """Layers of one make.

    Attributes:
        count: How many.
        mixer: Their mixing half.
        network: Their other half.
        matrices: The matrices of one layer, in the order in which the engine makes them.
    """

    count: int
    mixer: Mixer
    network: Network = Network()
    matrices: tuple[Matrix, ...] = ()

    @functools.cached_property
    def parameters(self) -> int:
        """Parameters of the matrices of one layer."""
        return sum(matrix.parameters for matrix in self.matrices)


@dataclasses.dataclass(frozen=True)
class Quantization:
    """How a checkpoint packs its matrices.

    Attributes:
        method: vLLM's name: fp8, compressed-tensors, awq, gptq, mxfp4, modelopt.
        bits: Bits of a weight.
        group: Weights that share a scale; 0 when a whole row or matrix does.
        scale_bits: Bits of a scale, with its zero point.
        experts_only: True when only experts are packed.
        exceptions: Bits of the parts, or matrices by name, that are packed otherwise; 16 for what
            is not packed.
        tables: True when the output table is packed too.
    """

    method: str
    bits: int
    group: int = 0
    scale_bits: int = 0
    experts_only: bool = False
    exceptions: tuple[tuple[str, int], ...] = ()
    tables: bool = False

    def bits_of(self, matrix: Matrix, plain: int = 16) -> int:
        """Returns the bits of a weight of a matrix; `plain` for one that is not packed."""
        if matrix.part is Part.KEPT or (self.experts_only and matrix.part is not Part.EXPERTS):
            return plain
        apart = dict(self.exceptions)
        bits = apart.get(matrix.name, apart.get(matrix.part, self.bits))
        return plain if bits == 16 else bits


# Architectures, by their beginning, whose layers read in both directions.
_ENCODERS = ("Bert", "NomicBert", "XLMRoberta")


class Runner(enum.StrEnum):
    """What an engine runs the model for."""

    GENERATE = "generate"
    POOLING = "pooling"


@dataclasses.dataclass(frozen=True)
class Facts:
    """One model.

    Attributes:
        name: Repository, or the pattern by which the catalogue names it.
        architecture: First of `architectures` in config.json.
        hidden: Size of a token's vector.
        vocabulary: Rows of an embedding table.
        tied: True when input and output share one table.
        dtype_bytes: Bytes of a weight that is not packed.
        blocks: The layers.
        context: Tokens that the model was made for.
        rope_scaling: True when `context` already counts the checkpoint's own rope scaling.
        quantization: How the checkpoint packs matrices, or None.
        other_parameters: Parameters beside matrices and tables: norms, biases, convolutions.
        tower_parameters: Parameters of the tower that reads images or sound, with its projector.
        draft_parameters: Parameters of layers that only speculative decoding loads.
        checkpoint_bytes: Exact bytes of the weights' files, or None where nobody counted.
        maximum_positions: `max_position_embeddings` of config.json.
        rotary: The tables of rotary positions that the engine makes, each as rows and elements of
            a row.
        tool_parser: vLLM's tool parser for the family, or None.
        reasoning_parser: vLLM's reasoning parser for the family, or None.
        runner: What it is run for.
        gated: True when the hub asks for a licence to be accepted.
        complete: False when the figures come from a list and not from a config.json.
        source: Where the figures come from.
    """

    name: str
    architecture: str
    hidden: int
    vocabulary: int
    tied: bool
    dtype_bytes: int
    blocks: tuple[Block, ...]
    context: int
    rope_scaling: bool = False
    quantization: Quantization | None = None
    other_parameters: int = 0
    tower_parameters: int = 0
    draft_parameters: int = 0
    checkpoint_bytes: int | None = None
    maximum_positions: int = 0
    rotary: tuple[tuple[int, int], ...] = ()
    tool_parser: str | None = None
    reasoning_parser: str | None = None
    runner: Runner = Runner.GENERATE
    gated: bool = False
    complete: bool = True
    source: str = ""

    def __hash__(self) -> int:
        """The hash, worked out once: what is known of a model is kept by it."""
        return self._hash

    @functools.cached_property
    def _hash(self) -> int:
        return hash((self.name, self.dtype_bytes, self.blocks, self.context, self.source))

    @property
    def encodes(self) -> bool:
        """Whether it reads a text once and in both directions, so that nothing is cached."""
        return self.architecture.startswith(_ENCODERS)

    @property
    def scores(self) -> bool:
        """Whether it ranks or classifies texts, and makes no vectors of them.

        text-embeddings-inference tells it so too: router/src/lib.rs, `get_backend_model_type`.
        """
        return self.architecture.endswith("Classification")

    @functools.cached_property
    def layers(self) -> int:
        """Layers in all."""
        return sum(block.count for block in self.blocks)

    @functools.cached_property
    def tables(self) -> int:
        """Parameters of the tables of the vocabulary."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

    @functools.cached_property
    def parameters(self) -> int:
        """Parameters that an engine loads: without drafts, a shared table once."""
        layers = sum(block.count * block.parameters for block in self.blocks)
        return layers + self.tables + self.other_parameters + self.tower_parameters

    @functools.cached_property
    def mixes(self) -> frozenset[Mixing]:
        """Kinds of mixing that the model has."""
        return frozenset(block.mixer.kind for block in self.blocks)

    @functools.cached_property
    def experts(self) -> int:
        """Most experts of a layer; 0 for a dense model."""
        return max(block.network.experts for block in self.blocks)
