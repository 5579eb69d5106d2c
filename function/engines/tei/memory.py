"""The memory that a replica takes on CPUs: the program computes one whole text when it starts.

`warmup` of backends/src/lib.rs. candle keeps two arrays of heads x tokens x tokens at once: the
scores and their softmax (`forward` of backends/candle/src/models/bert.rs). Texts of one batch that
differ in length need a third, which hides their padding; `models` has what other families hold, of
which Qwen3 took 3.05 arrays of one text of 1,024 tokens. Batches have `--max-batch-tokens` at most,
padding included (core/src/queue.rs). Measured with the program, one layer of 16 heads: 570 MB with
2,048 tokens, 2.16 GB with 4,096, 8.47 GB with 8,192, of which two arrays are 524,288, 2,097,152 and
8,388,608 KiB; 850 MB with four texts of about 1,024, of which three are 786,432 KiB.
"""

import dataclasses
import math
from collections.abc import Iterator

from function.capacity import cards, facts, quantity
from function.engines.tei import models
from function.planning import hardware

# Beside weights and attention: the program, its tokenizers, and the vectors of one layer.
_PROGRAM = cards.GIB
# Shorter texts than those of most models are not worth their place.
SHORTEST = 512
# A pod asks for 4 CPUs. The smallest common nodes that offer them have 8 CPUs and 16 GiB of memory,
# and keep some.
USUAL_GIB = 14
_BYTES = {"float16": 2, "float32": 4}
# A limit is some GiB above it, and has to stay an amount that Kubernetes can hold.
_MOST_GIB = quantity.MOST // cards.GIB // 2


@dataclasses.dataclass(frozen=True)
class Memory:
    """What a replica takes.

    Attributes:
        weights: Bytes of the weights.
        heads: Heads of a layer's attention.
        tokens: Tokens of a text in the largest batch.
        texts: Texts of that batch.
        number: Bytes of a number that the model is computed in.
        held: Arrays that are held at once: for one text, and for several.
    """

    weights: int
    heads: int
    tokens: int
    texts: int
    number: int
    held: tuple[int, int]

    @property
    def arrays(self) -> int:
        """Arrays that are held at once."""
        return self.held[0 if self.texts == 1 else 1]

    @property
    def attention(self) -> int:
        """Bytes of the arrays of one layer."""
        return self.arrays * self.heads * self.texts * self.tokens**2 * self.number

    @property
    def bytes(self) -> int:
        """All of it."""
        return self.weights + self.attention + _PROGRAM

    @property
    def gib(self) -> int:
        """The same in whole GiB."""
        return min(math.ceil(self.bytes / cards.GIB), _MOST_GIB)

    def within(self, limit: int) -> int | None:
        """Returns tokens of a batch for which so many bytes suffice, or None for too few."""
        for tokens in self._lesser(SHORTEST):
            if self.of_one(tokens).bytes <= limit:
                return tokens
        return None

    def of_one(self, tokens: int) -> "Memory":
        """Returns what it takes with one text of so many tokens."""
        return dataclasses.replace(self, tokens=tokens, texts=1)

    def least(self, shortest: int) -> int:
        """Returns the fewest tokens of a batch that are no fewer than so many."""
        return min(self._lesser(shortest), default=self.tokens)

    def _lesser(self, shortest: int) -> Iterator[int]:
        """Yields halves of the longest text: nobody wants a number that looks exact."""
        tokens = self.tokens // (2 if self.texts == 1 else 1)
        while tokens >= shortest:
            yield tokens
            tokens //= 2

    @property
    def words(self) -> str:
        """The sum, for people."""
        texts = "" if self.texts == 1 else f"{self.texts} texts x "
        return (
            f"weights {_gib(self.weights)}, attention {self.arrays} x {self.heads} heads x {texts}"
            f"{self.tokens}^2 tokens x {self.number} bytes = {_gib(self.attention)}, program"
            f" {_gib(_PROGRAM)}: {_gib(self.bytes)}"
        )

    @property
    def needs(self) -> hardware.Needs:
        """The same for the container's requests and limits."""
        return hardware.Needs(
            self.gib,
            "before it is ready tei computes its longest text, and later whole batches, and holds"
            " the attention of a layer; weights and the program are added",
            self.words,
        )


def _gib(count: int) -> str:
    return f"{count / cards.GIB:.1f} GiB"


def of(model: facts.Facts | None, tokens: int | None, batch: int, dtype: str) -> Memory | None:
    """Returns what a replica takes on CPUs, or None where nobody knows.

    Args:
        model: The model.
        tokens: The longest text that it computes, in tokens.
        batch: Tokens in a batch at most.
        dtype: What it computes in.
    """
    if model is None or tokens is None or dtype not in _BYTES:
        return None
    family = models.family(model.architecture)
    heads = max((block.mixer.heads for block in model.blocks), default=0)
    if family is None or not family.on_cpu or heads == 0:
        return None
    number = _BYTES[dtype]
    batches = (
        Memory(
            model.parameters * number,
            heads,
            min(tokens, batch // texts),
            texts,
            number,
            family.arrays,
        )
        for texts in range(1, models.BATCH_ON_CPU + 1)
    )
    return max(batches, key=lambda one: one.attention)
