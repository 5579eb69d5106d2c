"""How an engine is to run a model: what of a claim decides about memory."""

import dataclasses

from function.capacity import cards, facts, releases, weights

# GPUs with at least so much memory get the larger default of `vllm serve`; an A100 does not,
# whatever its memory (vllm/engine/arg_utils.py).
LARGE_GIB = 70
LARGE_BATCH = 8192
SMALL_BATCH = 2048
SLOW_LARGE_CARD = "A100"


@dataclasses.dataclass(frozen=True)
class Arrangement:
    """One engine's flags.

    Attributes:
        version: Release of vLLM, such as 0.25.1.
        context: Tokens of the longest sequence (`--max-model-len`).
        sequences: Most sequences at a time (`--max-num-seqs`).
        utilization: Share of the GPU's memory that the engine takes.
        batched_tokens: Tokens of a step (`--max-num-batched-tokens`); None for the default.
        quantization: Quantization at load, or None for the checkpoint's own.
        cache_dtype: Dtype of keys and values (`--kv-cache-dtype`).
        tensor: GPUs that share each layer.
        pipeline: Stages that share the layers.
        adapter_slots: LoRA adapters at a time; 0 for none.
        adapter_rank: The highest rank that an adapter may have.
        eager: True without compilation and CUDA graphs.
        cold: True when the engine compiles at its start, which takes memory while it measures. An
            engine without a persistent compile cache always does.
        block: Tokens of a block of the cache.
        dtype_bytes: Bytes of a weight that is not packed (`--dtype`), or None for the model's own.
        runner: vLLM's model runner (`V1`, `V2`), or None for the release's own choice.
    """

    version: str
    context: int
    sequences: int
    utilization: float
    batched_tokens: int | None = None
    quantization: str | None = None
    cache_dtype: str = "auto"
    tensor: int = 1
    pipeline: int = 1
    adapter_slots: int = 0
    adapter_rank: int = 16
    eager: bool = False
    cold: bool = True
    block: int = 16
    dtype_bytes: int | None = None
    runner: str | None = None

    def __post_init__(self) -> None:
        for field in ("context", "sequences", "tensor", "pipeline", "block", "adapter_rank"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field}: {getattr(self, field)} is below 1; give at least 1")
        if self.batched_tokens is not None and self.batched_tokens < 1:
            raise ValueError(f"batched_tokens: {self.batched_tokens} is below 1; leave it out")
        if self.adapter_slots < 0:
            raise ValueError(f"adapter_slots: {self.adapter_slots} is below 0; give 0 for none")
        if not 0 < self.utilization <= 1:
            raise ValueError(
                f"utilization: {self.utilization} is no share of a GPU; give a number above 0,"
                " at most 1"
            )

    def cast(self, model: facts.Facts) -> facts.Facts:
        """The model in the dtype that the engine loads it in."""
        if self.dtype_bytes in (None, model.dtype_bytes):
            return model
        return dataclasses.replace(model, dtype_bytes=self.dtype_bytes)

    def load(self, model: facts.Facts, card: cards.Card, *, adapters: bool) -> weights.Load:
        """How the engine loads a model on a card, with or without the slots of adapters.

        Cards that hold a model alike get the same answer, so that it is worked out once.
        """
        pads = weights.pads(model)
        return weights.Load(
            version=releases.parse(self.version),
            quantization=self.quantization,
            tensor_parallel=self.tensor,
            stages=self.pipeline,
            adapters=weights.Adapters(self.adapter_slots if adapters else 0, self.adapter_rank),
            capability=card.capability if pads else None,
            adapted=pads and self.adapter_slots > 0,
        )

    def tokens(self, card: cards.Card) -> int:
        """Tokens of a step on this card.

        `vllm serve` takes 8192 from 70 GiB of memory on and 2048 below. A step holds a token of
        each sequence at least.
        """
        if self.batched_tokens is not None:
            return self.batched_tokens
        large = card.memory_gib >= LARGE_GIB and not card.name.startswith(SLOW_LARGE_CARD)
        return max(LARGE_BATCH if large else SMALL_BATCH, self.sequences)
