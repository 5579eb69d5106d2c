"""What vLLM takes of a GPU for a claim: whether the model fits, and what would make it fit."""

import dataclasses
import decimal
import functools
from collections.abc import Iterator
from typing import Any

from function import explanation, plural
from function.api import base, claim, claim_pod, settings
from function.capacity import arrangements, cards, facts, fit, ways_out
from function.engines import engine, semver
from function.engines.vllm import command_line
from function.planning import hardware, parallelism, prospects, scaling

# vLLM's own rank of adapters' slots when a claim names none is that of `arguments.py`.
LORA_RANK = 64
# Hot adapters that are computed side by side, whatever their number is now: a number that followed
# them would start pods anew. More of them take turns.
HOT_SLOTS = 4

# Bytes of a weight that is not packed, by the claim's dtype; `auto` is the model's own.
_BYTES = {"half": 2, "float16": 2, "bfloat16": 2, "float": 4, "float32": 4}

# Arguments that can make a model fit, in a way that has no formula here.
_WITHOUT_FORMULA = (
    "kv-cache-memory-bytes",
    "num-gpu-blocks-override",
    "language-model-only",
    "limit-mm-per-prompt",
    "skip-mm-profiling",
    "decode-context-parallel-size",
    "prefill-context-parallel-size",
    "enable-expert-parallel",
    "hf-overrides",
    "offload-backend",
    "offload-group-size",
    "offload-num-in-group",
    "offload-params",
)


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

    version: semver.Version
    context: int
    sequences: int
    utilization: float
    quantization: str | None


def slots(spec: claim.Spec) -> int:
    """Returns how many adapters a batch may ask for."""
    static, loaded = _adapters(spec)
    return static + (HOT_SLOTS if loaded else 0)


def explained_slots(spec: claim.Spec) -> Iterator[explanation.Explanation]:
    """Yields why a batch may ask for so many adapters, where that is not their number."""
    static, loaded = _adapters(spec)
    if loaded:
        yield explanation.Explanation(
            "max-loras",
            str(slots(spec)),
            f"the adapters that pods start with, and {HOT_SLOTS} for hot ones whatever their"
            " number: one that followed them would start pods anew, and more of them take turns",
            f"{plural.of(static, 'adapter')} without hot, {loaded} with it",
            field="spec.loraAdapters",
        )


def _adapters(spec: claim.Spec) -> tuple[int, int]:
    """Returns how many adapters pods start with, and how many they load while they run."""
    adapters = spec.lora_adapters or []
    loaded = sum(adapter.hot is True for adapter in adapters)
    return len(adapters) - loaded, loaded


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
    pipeline = base.given(own.whole("pipeline-parallel-size"), parallelism.split(spec).pipeline)
    return arrangements.Arrangement(
        version=semver.show(asked.version),
        context=asked.context,
        sequences=asked.sequences,
        utilization=asked.utilization,
        batched_tokens=own.whole("max-num-batched-tokens"),
        quantization=asked.quantization,
        cache_dtype=own.value("kv-cache-dtype") or base.given(spec.model.kv_cache_dtype, "auto"),
        tensor=base.given(own.whole("tensor-parallel-size"), max(gpus // pipeline, 1)),
        pipeline=pipeline,
        adapter_slots=slots(spec),
        adapter_rank=base.given(spec.model.max_lora_rank, LORA_RANK),
        eager=own.switched("enforce-eager") is True,
        block=base.given(own.whole("block-size"), 16),
        dtype_bytes=_BYTES.get(spec.model.dtype or "auto"),
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
    own: command_line.CommandLine,
    pinned_gib: int | None,
    flags: arrangements.Arrangement,
) -> engine.Outlook:
    """Returns whether the model fits, and the cheapest ways out when it does not."""
    held, split = prospect.checkpoint, parallelism.split(spec)
    if split.expert and split.data > 1:
        words = "nobody measured experts that are spread over several copies of a model"
        return engine.Outlook(prospect, flags, None, (), prospects.UNKNOWN_MODEL, words)
    if held is None or prospect.card is None:
        return engine.Outlook(prospect, flags, None, (), prospect.reason, prospect.unknown)
    result = _noted(_doubted(answer(held, prospect.card, flags), own), own)
    if result is None:
        words = (
            f"nothing is known of the memory of {held.name} with quantization"
            f" {flags.quantization or 'as in the checkpoint'} and KV cache {flags.cache_dtype}"
        )
        return engine.Outlook(prospect, flags, None, (), prospects.UNKNOWN_MODEL, words)
    ways: tuple[ways_out.Way, ...] = ()
    name = base.given(base.of(spec.gpu, "class_"), site.gpu.default_class)
    if result.verdict is fit.Verdict.TOO_LARGE:
        ways = ways_out.ways(held, name, flags, _offer(spec, site, own, pinned_gib))
    else:
        ways = ways_out.share(held, name, result)
    return engine.Outlook(prospect, flags, result, ways)


def _doubted(result: fit.Fit | None, own: command_line.CommandLine) -> fit.Fit | None:
    """Returns a misfit as a doubt where an argument may make the model fit, and names it."""
    names = [f"--{flag}" for flag in _WITHOUT_FORMULA if own.sets(flag)]
    if result is None or result.verdict is not fit.Verdict.TOO_LARGE or not names:
        return result
    note = f"nothing is known of what {' and '.join(names)} changes"
    note = f"{result.note}; {note}" if result.note else note
    return dataclasses.replace(result, verdict=fit.Verdict.TIGHT, note=note)


UNCOUNTED_DRAFT = "the draft takes GPU memory beside the model, which no estimate counts"


def _noted(result: fit.Fit | None, own: command_line.CommandLine) -> fit.Fit | None:
    """Returns an answer that says what it does not count."""
    if result is None or not drafts(own):
        return result
    note = f"{result.note}; {UNCOUNTED_DRAFT}" if result.note else UNCOUNTED_DRAFT
    return dataclasses.replace(result, note=note)


def drafts(own: command_line.CommandLine) -> bool:
    """Tells whether the engine loads a draft: a model of its own, or layers of the checkpoint."""
    method, model = drafting(own)
    if model is None:
        return method.endswith("mtp")
    return "ngram" not in (method, model)


def drafting(own: command_line.CommandLine) -> tuple[str, str | None]:
    """Returns how tokens are drafted, empty where nobody says, and the draft model, or None."""
    keys = own.keys("speculative-config")
    method = keys.get("method") or own.value("spec-method") or ""
    model = keys.get("model") or own.value("spec-model")
    return str(method), None if model is None else str(model)


def unbounded(spec: claim.Spec) -> bool:
    """Tells whether the engine is told to take any context."""
    extra = base.of(spec.pod_template, "env") or []
    return any(variable.name == "VLLM_ALLOW_LONG_MAX_MODEL_LEN" for variable in extra)


def scaled(spec: claim.Spec, own: command_line.CommandLine) -> bool:
    """Tells whether the engine takes a context above the model's own."""
    return unbounded(spec) or any("rope" in path for path in own.keys("hf-overrides"))


def stretched(own: command_line.CommandLine) -> int | None:
    """Returns the longest context of a yarn that the author's own arguments state whole.

    vLLM takes the original length times the factor, whatever the model's own context is. None where
    there is no such yarn, or where layers have several.
    """
    maps: dict[str, dict[str, Any]] = {}
    for path, value in own.keys("hf-overrides").items():
        where, _, key = path.rpartition(".")
        if "rope" in where:
            maps.setdefault(where, {})[key] = value
    if len(maps) != 1:
        return None
    (rope,) = maps.values()
    if rope.get("rope_type", rope.get("type")) != "yarn":
        return None
    try:
        return int(rope["original_max_position_embeddings"] * rope["factor"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None  # the model's own counts, or the contract says it


def _offer(
    spec: claim.Spec,
    site: settings.Settings,
    own: command_line.CommandLine,
    pinned_gib: int | None,
) -> ways_out.Offer:
    """Returns the GPUs that the settings have for a claim, with their prices."""
    resource = base.of(spec.gpu, "resource_name")
    cards = {
        name: prospects.card_of(name, gpu)
        for name, gpu in site.gpu.classes.items()
        if resource in (None, gpu.resource_name)
    }
    return ways_out.Offer(
        {name: card for name, card in cards.items() if card is not None},
        {
            name: float(decimal.Decimal(gpu.price_per_hour))
            for name, gpu in site.gpu.classes.items()
            if gpu.price_per_hour is not None
        },
        {name: _counts(spec, site, own, pinned_gib, name) for name in cards},
        cache=not own.sets("kv-cache-dtype"),
        scaled=scaled(spec, own),
    )


# Arguments that say by themselves how many GPUs a replica has.
_PARALLEL = ("tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size")


def _counts(
    spec: claim.Spec,
    site: settings.Settings,
    own: command_line.CommandLine,
    pinned_gib: int | None,
    name: str,
) -> tuple[int, ...]:
    """Returns the GPUs of a replica that a node of a class has and the settings allow."""
    gpu = spec.gpu or claim_pod.Gpu()
    if gpu.parallelism is not None:
        return ()  # `gpu.count` alone does not say how more GPUs would share the model
    fixed = any(own.sets(flag) for flag in _PARALLEL)
    counts = (gpu.count,) if fixed else range(1, site.gpu.classes[name].node_gpus + 1)

    def runs(count: int) -> bool:
        changed = gpu.model_copy(update={"class_": name, "count": count})
        asked = spec.model_copy(update={"gpu": changed})
        most = site.limits.max_gpus
        _, replicas = scaling.bounds(asked, site)
        if most is not None and replicas * hardware.gpus_of_a_pod(asked) > most:
            return False
        hard = hardware.hardware(asked, site, pinned_gib, [], on_gpus=True)
        # A process sees one slice, however many its pod has.
        return hard.misfit is None and not (count > 1 and hard.sliced)

    return tuple(count for count in counts if runs(count))
