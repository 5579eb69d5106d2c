"""What the cache of keys and values holds: blocks, tokens and sequences, as vLLM counts them.

vLLM has one pool of blocks. A block is `block` tokens of all layers of one group; layers that keep
different things of a token are in different groups of equally many layers, and a sequence takes
blocks of each group (vllm/v1/core/kv_cache_utils.py). The arithmetic was equal to the engine's in
every measured start.
"""

import collections
import dataclasses
import math

from function.capacity import arrangements, facts

# A sparse indexer keeps its key in 8 bits, with a float32 scale for 128 elements.
_INDEX_SCALE = 4 / 128

_DTYPES = {"bfloat16": 2, "float16": 2, "fp8": 1, "fp8_e4m3": 1, "fp8_e5m2": 1}


def element_bytes(model: facts.Facts, dtype: str) -> int:
    """Returns bytes of an element of a key or value.

    Raises:
        ValueError: The dtype is none that the cache can have.
    """
    if dtype == "auto":
        return model.dtype_bytes
    if dtype not in _DTYPES:
        raise ValueError(
            f"cache_dtype: {dtype!r} is no dtype of a cache; give auto or"
            f" {', '.join(sorted(_DTYPES))}"
        )
    return _DTYPES[dtype]


@dataclasses.dataclass(frozen=True)
class Group:
    """Layers that share a table of blocks.

    Attributes:
        kind: What they keep.
        window: Tokens that they keep, for a window.
        tokens: Tokens of a block.
        count: How many groups of this make there are.
    """

    kind: facts.Mixing
    window: int
    tokens: int
    count: int

    def blocks(self, context: int, step: int) -> int:
        """Blocks of a sequence of `context` tokens, computed `step` tokens at a time."""
        match self.kind:
            case facts.Mixing.STATE:
                return self.count
            case facts.Mixing.WINDOW:
                # A window that begins inside of a block needs one more.
                kept = min(self.window - 1 + step, context)
                return self.count * (math.ceil(kept / self.tokens) + 1)
            case _:
                return self.count * math.ceil(context / self.tokens)


@dataclasses.dataclass(frozen=True)
class Layout:
    """How one GPU's cache is divided.

    Attributes:
        block_bytes: Bytes of a block of the pool, over all layers of a group.
        groups: The groups; empty for a model that keeps nothing.
        step: Tokens of a step.
    """

    block_bytes: int
    groups: tuple[Group, ...]
    step: int

    def blocks(self, available: float) -> int:
        """Blocks that so many bytes give."""
        if not self.groups or available <= 0:
            return 0
        return int(available // self.block_bytes)

    def sequence(self, context: int) -> int:
        """Blocks that a sequence of so many tokens takes."""
        return sum(group.blocks(context, self.step) for group in self.groups)

    def sequence_bytes(self, context: int) -> int:
        """Bytes that a sequence of so many tokens takes."""
        return self.sequence(context) * self.block_bytes

    def sequences(self, available: float, context: int) -> float:
        """Sequences of so many tokens that fit at a time."""
        needed = self.sequence(context)
        return self.blocks(available) / needed if needed else math.inf

    def tokens(self, available: float, context: int) -> float:
        """Tokens that fit, in sequences of the full context."""
        if len(self.groups) == 1 and self.groups[0].count == 1:
            only = self.groups[0]
            if only.kind is not facts.Mixing.STATE:
                return self.blocks(available) * only.tokens
        return self.sequences(available, context) * context

    def longest(self, available: float, bound: int) -> int:
        """The longest sequence that fits by itself, at most `bound` tokens."""
        blocks = self.blocks(available)
        if self.sequence(bound) <= blocks:
            return bound
        low, high = 0, bound
        while high - low > 1:
            middle = (low + high) // 2
            if self.sequence(middle) <= blocks:
                low = middle
            else:
                high = middle
        return low


@dataclasses.dataclass(frozen=True)
class _Make:
    """What one layer keeps on one GPU.

    Attributes:
        kind: How it mixes.
        window: Tokens of a window.
        token_bytes: Bytes of a token; 0 for a state.
        fixed_bytes: Bytes of a sequence, for a state.
    """

    kind: facts.Mixing
    window: int
    token_bytes: int
    fixed_bytes: int


def _make(mixer: facts.Mixer, model: facts.Facts, element: int, tensor: int) -> _Make:
    heads = max(1, mixer.kv_heads // tensor)
    match mixer.kind:
        case facts.Mixing.LATENT:
            indexed = mixer.index + math.ceil(mixer.index * _INDEX_SCALE)
            return _Make(mixer.kind, 0, mixer.latent * element + indexed, 0)
        case facts.Mixing.STATE:
            elements = mixer.state * mixer.state_bytes + mixer.convolution * model.dtype_bytes
            return _Make(mixer.kind, 0, 0, math.ceil(elements / tensor))
        case _:
            width = mixer.head_size + (mixer.value_size or mixer.head_size)
            return _Make(mixer.kind, mixer.window, heads * width * element, 0)


def layout(
    model: facts.Facts, arrangement: arrangements.Arrangement, step: int, padding: float = 1.5
) -> Layout:
    """Returns how the cache of one GPU is divided.

    Args:
        model: What is cached.
        arrangement: Dtype, block size, and how many GPUs share.
        step: Tokens of a step.
        padding: Groups are as large as the largest when that is below so many times the smallest.
    """
    element = element_bytes(model, arrangement.cache_dtype)
    if model.encodes:
        return Layout(0, (), step)
    layers: collections.Counter[_Make] = collections.Counter()
    for block in model.blocks:
        if block.mixer.kind is facts.Mixing.NONE or block.mixer.shares or not block.count:
            continue
        # The fullest stage of a pipeline decides for all.
        count = math.ceil(block.count / arrangement.pipeline)
        layers[_make(block.mixer, model, element, arrangement.tensor)] += count
    if not layers:
        return Layout(0, (), step)
    kinds = {(make.kind, make.window) for make in layers}
    if len(kinds) == 1:
        return _uniform(layers, arrangement.block, step)
    return _mixed(layers, arrangement.block, step, padding)


def _uniform(layers: collections.Counter[_Make], block: int, step: int) -> Layout:
    """One group of all layers, when all keep the same tokens."""
    first = next(iter(layers))
    if first.kind is facts.Mixing.STATE:
        size = sum(make.fixed_bytes * count for make, count in layers.items())
        return Layout(size, (Group(first.kind, 0, 1, 1),), step)
    size = sum(make.token_bytes * block * count for make, count in layers.items())
    return Layout(size, (Group(first.kind, first.window, block, 1),), step)


def _mixed(layers: collections.Counter[_Make], block: int, step: int, padding: float) -> Layout:
    """Groups of equally many layers with equal pages."""
    page = max(make.token_bytes for make in layers) * block
    largest = max((make.fixed_bytes for make in layers), default=0)
    if largest > page:
        # Blocks of attention grow, in multiples of the block, until a state fits into a page.
        block *= math.ceil(largest / page)
        page = max(make.token_bytes for make in layers) * block
    fewest, most = min(layers.values()), max(layers.values())
    size = most if most < fewest * padding else fewest
    groups = []
    for make, count in layers.items():
        # A smaller page holds more tokens where it divides the larger, and is padded where not.
        whole = make.token_bytes and page % (make.token_bytes * block) == 0
        tokens = block * (page // (make.token_bytes * block)) if whole else block
        groups.append(Group(make.kind, make.window, tokens, math.ceil(count / size)))
    return Layout(page * size, tuple(groups), step)
