"""What vLLM takes of a GPU for a claim: whether the model fits, and what would make it fit."""

import dataclasses
import decimal
import functools

from function.api import base, claim, settings
from function.capacity import arrangements, cards, facts, fit, ways_out
from function.engines import engine
from function.engines.vllm import command_line, versions
from function.planning import parallelism, prospects

# vLLM's own rank of adapters' slots when a claim names none is that of `arguments.py`.
LORA_RANK = 64


@dataclasses.dataclass(frozen=True)
class Asked:
    """What decides about memory beside the fields that a claim's arguments replace.

    Attributes:
        version: vLLM's version.
        context: Longest sequence in tokens.
        sequences: Sequences at once.
        utilization: Share of the GPU's memory.
        quantization: What the checkpoint is quantized to while it loads, or None.
    """

    version: versions.Version
    context: int
    sequences: int
    utilization: float
    quantization: str | None


def arrangement(
    spec: claim.Spec, own: command_line.CommandLine, gpus: int, asked: Asked
) -> arrangements.Arrangement:
    """Returns the engine's flags, those of the author's own arguments included.

    Args:
        spec: What the author asks for.
        own: The author's own arguments: each replaces what follows from a field.
        gpus: GPUs that hold one copy of the model.
        asked: The rest.
    """

    def number(flag: str, default: int) -> int:
        value = own.value(flag)
        return int(value) if value is not None and value.isdigit() and int(value) else default

    pipeline = number("pipeline-parallel-size", parallelism.split(spec).pipeline)
    adapters = len(spec.lora_adapters or [])
    return arrangements.Arrangement(
        version=versions.show(asked.version),
        context=asked.context,
        sequences=asked.sequences,
        utilization=asked.utilization,
        batched_tokens=number("max-num-batched-tokens", 0) or None,
        quantization=asked.quantization,
        cache_dtype=own.value("kv-cache-dtype") or base.given(spec.model.kv_cache_dtype, "auto"),
        tensor=number("tensor-parallel-size", max(gpus // pipeline, 1)),
        pipeline=pipeline,
        adapter_slots=adapters,
        adapter_rank=base.given(spec.model.max_lora_rank, LORA_RANK),
        eager=own.value("enforce-eager") is not None,
        block=number("block-size", 16),
    )


def answer(
    model: facts.Facts | None, card: cards.Card | None, flags: arrangements.Arrangement
) -> fit.Fit | None:
    """Returns whether a model fits, or None where nobody knows."""
    return None if model is None or card is None else _answer(model, card, flags)


# A fleet has few models and classes, and many claims.
@functools.lru_cache(1024)
def _answer(
    model: facts.Facts, card: cards.Card, flags: arrangements.Arrangement
) -> fit.Fit | None:
    try:
        return fit.fit(model, card, flags)
    except ValueError:
        # A flag that has no formula: a load in a way that nobody measured.
        return None


def outlook(
    spec: claim.Spec,
    site: settings.Settings,
    prospect: prospects.Prospect,
    flags: arrangements.Arrangement,
) -> engine.Outlook:
    """Returns whether the model fits, and the cheapest ways out when it does not."""
    held, split = prospect.checkpoint, parallelism.split(spec)
    if split.expert and split.data > 1:
        words = "nobody measured experts that are spread over several copies of a model"
        return engine.Outlook(prospect, flags, None, (), prospects.UNKNOWN_MODEL, words)
    if held is None or prospect.card is None:
        return engine.Outlook(prospect, flags, None, (), prospect.reason, prospect.unknown)
    result = answer(held, prospect.card, flags)
    if result is None:
        words = (
            f"nothing is known of the memory of {held.name} with quantization"
            f" {flags.quantization or 'as in the checkpoint'} and KV cache {flags.cache_dtype}"
        )
        return engine.Outlook(prospect, flags, None, (), prospects.UNKNOWN_MODEL, words)
    ways: tuple[ways_out.Way, ...] = ()
    if result.verdict is fit.Verdict.TOO_LARGE:
        name = base.given(base.of(spec.gpu, "class_"), site.gpu.default_class)
        ways = ways_out.ways(held, name, flags, _offer(site))
    return engine.Outlook(prospect, flags, result, ways)


def _offer(site: settings.Settings) -> ways_out.Offer:
    """Returns the GPUs that the settings have, with their prices."""
    cards = {name: prospects.card_of(name, gpu) for name, gpu in site.gpu.classes.items()}
    return ways_out.Offer(
        {name: card for name, card in cards.items() if card is not None},
        {
            name: float(decimal.Decimal(gpu.price_per_hour))
            for name, gpu in site.gpu.classes.items()
            if gpu.price_per_hour is not None
        },
        max(gpu.node_gpus for gpu in site.gpu.classes.values()),
    )
