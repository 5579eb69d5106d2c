"""What of a claim contradicts its model, its GPUs or itself, before a GPU is rented for it.

Each rule is a row with a judge. A judge that needs a fact of the model yields nothing when nobody
knows the fact.
"""

import re
from collections.abc import Callable

from function import plural
from function.api import base
from function.capacity import facts as capacity
from function.engines import semver
from function.engines.vllm import adapters, forecast, recordings, serving, subjects
from function.findings import rules

_ERROR, _WARNING = rules.Severity.ERROR, rules.Severity.WARNING


QUANTIZED_TWICE = rules.Rule(
    "quantized-twice",
    _ERROR,
    "`spec.model.quantization: fp8` quantizes a 16-bit checkpoint while it loads, and the"
    " checkpoint is quantized already.",
    "vLLM refuses a method that differs from the checkpoint's and ends.",
    "Take `spec.model.quantization` away: the engine detects the checkpoint's own method.",
)
_QUANTIZED = re.compile(r"(?i)(^|[-_/.])(awq|gptq|int4|int8|w4a16|w8a16|w8a8|nvfp4|mxfp4|bnb)")


def _quantized_twice(subject: subjects.Subject) -> subjects.Broken:
    if subject.spec.model.quantization not in serving.ONLINE_QUANTIZATIONS:
        return
    field, remedy = "spec.model.quantization", "take the field away, the engine detects the method"
    packed = subject.facts.quantization if subject.facts is not None else None
    if packed is not None and packed.method != "fp8":
        words = f"fp8 is for a 16-bit checkpoint, and {subject.repository} is {packed.method}"
        yield QUANTIZED_TWICE.broken(field, f"{words}: {remedy}")
    elif subject.facts is None and (match := _QUANTIZED.search(subject.repository)):
        words = f"fp8 is for a 16-bit checkpoint, and the name {subject.repository} says {match[2]}"
        yield QUANTIZED_TWICE.broken(field, f"{words}: {remedy}", _WARNING)


NOT_APPLIED = rules.Rule(
    "quantization-not-applied",
    _WARNING,
    "`spec.model.quantization` names a packing that the checkpoint does not have.",
    "All but `fp8` are words about a checkpoint that is packed already, and are passed to no"
    " engine: the weights are served as they lie there, with the memory of their own type.",
    "Take the field away, or name a repository that is packed so (`-AWQ`, `-GPTQ-Int4`);"
    " `spec.model.quantization: fp8` packs a 16-bit checkpoint while it loads.",
)
# Words of the field for each method of a checkpoint; `auto` and its old name say nothing.
_SILENT = ("auto", "fp16", *serving.ONLINE_QUANTIZATIONS)


def _not_applied(subject: subjects.Subject) -> subjects.Broken:
    word = subject.spec.model.quantization
    if word is None or word in _SILENT or subject.facts is None:
        return
    packed = subject.facts.quantization
    if packed is not None and _method(packed.method) == _method(word):
        return
    held = "in 16 bit" if packed is None else packed.method
    words = f"{subject.repository} is {held}, and no flag is passed for {word}: it is served so"
    remedy = "take the field away, or name a repository that is packed as"
    yield NOT_APPLIED.broken("spec.model.quantization", f"{words}; {remedy} {word}")


def _method(name: str) -> str:
    """Returns the method of a packing: kernels of one method have names of their own."""
    return re.split(r"[-_]", name)[0]


CONTEXT_TOO_LONG = rules.Rule(
    "context-above-model",
    _ERROR,
    "`spec.model.contextWindow` is longer than the context that the model was made for, or than the"
    " one that a `yarn` of `--hf-overrides` makes: its original length times its factor.",
    "vLLM refuses a longer one and ends, unless VLLM_ALLOW_LONG_MAX_MODEL_LEN is set. Positions"
    " beyond the model's own give wrong text without a scaling of its rotary positions.",
    "Take a shorter context, or scale where the model's card says how:"
    " `--hf-overrides.rope_parameters` takes numbers and a `rope_type` without a permission, such"
    ' as `{"rope_type":"yarn","factor":4.0,"original_max_position_embeddings":32768}`.',
)


def _context_too_long(subject: subjects.Subject) -> subjects.Broken:
    window, stretched = subject.spec.model.context_window, forecast.stretched(subject.own)
    if window is None or forecast.unbounded(subject.spec):
        return
    if stretched is not None and window > stretched:
        words = f"{window} tokens are above the {stretched} that factor and original length of"
        words = f"{words} --hf-overrides make: take a shorter context, or a larger factor"
        yield CONTEXT_TOO_LONG.broken("spec.model.contextWindow", words)
    if subject.facts is None or window <= subject.facts.context:
        return
    if not forecast.scaled(subject.spec, subject.own):
        words = f"{window} tokens are above the {subject.facts.context} of {subject.repository}"
        remedy = "take a shorter context, or scale with --hf-overrides and rope_parameters"
        yield CONTEXT_TOO_LONG.broken("spec.model.contextWindow", f"{words}: {remedy}")


INDIVISIBLE = rules.Rule(
    "tensor-parallel-indivisible",
    _ERROR,
    "The GPUs that share each layer (`spec.gpu.count`, or `--tensor-parallel-size`) do not divide"
    " the model's attention heads, heads of keys and values, width or vocabulary.",
    "vLLM splits each of them evenly and ends when it cannot. Heads of keys and values that are"
    " fewer than the GPUs are repeated, when the GPUs are a multiple of them.",
    "Take a count of GPUs that divides them, such as 1, 2, 4 or 8, or split by layers with"
    " `--pipeline-parallel-size`.",
)
# GPUs that one node has at most.
_MOST_SHARES = 8
# Rows of an embedding table are filled up to a multiple (vocab_parallel_embedding.py).
_ROWS = 64


def _indivisible(subject: subjects.Subject) -> subjects.Broken:
    share = subject.tensor
    if subject.facts is None or share <= 1:
        return
    asked = base.of(base.of(subject.spec.gpu, "parallelism"), "tensor")
    written = "spec.gpu.count" if asked is None else "spec.gpu.parallelism.tensor"
    field = subject.field("tensor-parallel-size", written)
    parts = [f"{count} {what}" for what, count in _split(subject.facts, share)]
    if not parts:
        return
    possible = (count for count in range(1, _MOST_SHARES + 1) if not _split(subject.facts, count))
    *fewer, most = map(str, possible)
    words = f"{share} GPUs do not divide the {' and the '.join(parts)} of {subject.repository}"
    remedy = f"take {', '.join(fewer)} or {most}" if fewer else f"take {most}"
    yield INDIVISIBLE.broken(field, f"{words}: {remedy}")


def _split(facts: capacity.Facts, share: int) -> dict[tuple[str, int], None]:
    """Returns what cannot be split, each once."""
    rows = -(-facts.vocabulary // _ROWS) * _ROWS
    parts = {("rows of the vocabulary", rows): rows % share}
    for block in facts.blocks:
        mixer, network = block.mixer, block.network
        parts["attention heads", mixer.heads] = mixer.heads % share
        if mixer.kind in (capacity.Mixing.FULL, capacity.Mixing.WINDOW):
            few, many = sorted((mixer.kv_heads, share))
            parts["heads of keys and values", mixer.kv_heads] = many % few if few else 0
        parts["columns of a layer", network.intermediate] = network.intermediate % share
    return {part: None for part, rest in parts.items() if rest}


GPU_COUNT = rules.Rule(
    "gpu-count",
    _ERROR,
    "`--tensor-parallel-size`, `--pipeline-parallel-size` and `--data-parallel-size` multiply to"
    " another number than `spec.gpu.count`.",
    "With more than the pod has, vLLM ends. With fewer, the rest of the GPUs are paid for and"
    " idle.",
    "Set `spec.gpu.count` to the product of the three.",
)
_PARALLEL = ("tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size")


def _gpu_count(subject: subjects.Subject) -> subjects.Broken:
    given = [flag for flag in _PARALLEL if subject.own.sets(flag)]
    if not given:
        return
    needed = subject.tensor
    for flag in _PARALLEL[1:]:
        needed *= subject.size(flag, 1)
    # A share that no model takes is not to be had by other GPUs.
    if subject.facts is not None and subject.tensor > 1 and _split(subject.facts, subject.tensor):
        return
    if needed != subject.gpus:
        names = ", ".join(f"--{flag}={subject.own.value(flag)}" for flag in given)
        words = f"{names} needs {plural.of(needed, 'GPU')}, and spec.gpu.count is {subject.gpus}"
        severity = _ERROR if needed > subject.gpus else _WARNING
        remedy = f"set spec.gpu.count to {needed}"
        if "tensor-parallel-size" not in given and subject.gpus > 1:
            remedy = (
                f"set --tensor-parallel-size too, which is {subject.gpus} without it, or {remedy}"
            )
        yield GPU_COUNT.broken(subject.field(given[0], ""), f"{words}: {remedy}", severity)


GGUF = rules.Rule(
    "gguf",
    _ERROR,
    "The model is a GGUF file.",
    "vLLM loads no GGUF since 0.25 without a plugin, and the images have none.",
    "Take the repository with safetensors that the GGUF was made from, and a smaller type by"
    " `spec.model.quantization: fp8` or an AWQ, GPTQ or FP8 repository.",
)
_GGUF_LEFT: semver.Version = (0, 25, 0)


def _gguf(subject: subjects.Subject) -> subjects.Broken:
    named = re.search(r"(?i)(^|[-_/.])gguf($|[-_/.])", subject.repository) is not None
    packed = subject.facts.quantization if subject.facts is not None else None
    sure = packed is not None and packed.method == "gguf"
    if (named or sure) and subject.version >= _GGUF_LEFT:
        where = f"spec.model.{subject.spec.model.naming}"
        words = f"{subject.repository} is GGUF, which vLLM {semver.show(subject.version)} lacks"
        yield GGUF.broken(where, f"{words}: take the repository with safetensors")


NOT_POOLING = rules.Rule(
    "embedding-without-pooling",
    _ERROR,
    "The model embeds, classifies or ranks, and the claim names another runner than `pooling`.",
    "vLLM ends with a model that reads in both directions: it cannot generate. With another one it"
    " is a warning: alerts count tokens that never come, and /v1/embeddings may answer 404.",
    "Set `spec.model.runner: pooling`, or take the field away: it follows from the model.",
)


def _not_pooling(subject: subjects.Subject) -> subjects.Broken:
    pooling = subject.facts is not None and subject.facts.runner is capacity.Runner.POOLING
    told = (subject.spec.model.runner, subject.own.value("runner"))
    # Without a word of the author the runner is the model's.
    if pooling and not subject.pools and any(told):
        encodes = subject.facts is not None and subject.facts.encodes
        kind = "cannot generate" if encodes else "is a pooling model"
        words = f"{subject.repository} {kind}: set spec.model.runner to pooling"
        field = subject.field("runner", "spec.model.runner")
        yield NOT_POOLING.broken(field, words, _ERROR if encodes else _WARNING)


OTHER_PARSER = rules.Rule(
    "parser-of-another-family",
    _WARNING,
    "`spec.model.toolCallParser` or `spec.model.reasoningParser` is not the one of the model's"
    " family.",
    "The engine starts. Tool calls or thoughts stay in the text of the answer, or are cut wrongly.",
    "Take the family's parser: the message names it.",
)
# Two parsers of one format.
_ALIKE = frozenset(("qwen3_coder", "qwen3_xml"))


def _other_parser(subject: subjects.Subject) -> subjects.Broken:
    model, facts = subject.spec.model, subject.facts
    if facts is None:
        return
    for field, chosen, right in (
        ("toolCallParser", model.tool_call_parser, facts.tool_parser),
        ("reasoningParser", model.reasoning_parser, facts.reasoning_parser),
    ):
        alike = {chosen, right} <= _ALIKE
        if chosen in (None, serving.NO_PARSER) or right is None:
            continue
        if chosen != right and not alike:
            words = f"{chosen} is not the parser of {subject.repository}: take {right}"
            yield OTHER_PARSER.broken(f"spec.model.{field}", words)


LORA_UNSUPPORTED = rules.Rule(
    "lora-unsupported",
    _WARNING,
    "`spec.loraAdapters` are given to a model whose architecture takes none in the claim's version"
    " of vLLM.",
    "vLLM loads the whole model, says that it does not support LoRA, and ends.",
    "Take the adapters away, serve a checkpoint that they are merged into, or set"
    " `spec.engine.version` to a version that supports it.",
)
UNKNOWN_ARCHITECTURE = rules.Rule(
    "architecture-unknown",
    _WARNING,
    "The claim's version of vLLM has no class of its own for the model's architecture.",
    "A model that is newer than the engine ends it. Some run by the code of transformers, slower.",
    "Set `spec.engine.version` to a version that knows the architecture, or take another model.",
)


def _architecture(subject: subjects.Subject) -> subjects.Broken:
    """Yields what every recorded version around the claim's says alike."""
    if subject.facts is None:
        return
    name, served = subject.facts.architecture, semver.show(subject.version)
    around = recordings.around(subject.version)
    adapts = [parser.adapts.get(name) for parser in around]
    if adapts.count(None) == len(around):
        having = [v for v in recordings.recorded() if name in recordings.parser(v).adapts]
        remedy = f"{semver.show(having[0])} has it" if having else "take a newer version"
        where = subject.spec.engine is not None and subject.spec.engine.version is not None
        field = "spec.engine.version" if where else "spec.model.repository"
        words = f"vLLM {served} has no {name}, the architecture of {subject.repository}"
        yield UNKNOWN_ARCHITECTURE.broken(field, f"{words}: {remedy}")
    elif subject.spec.lora_adapters and True not in adapts:
        words = f"{name}, the architecture of {subject.repository}, takes none in vLLM {served}"
        yield LORA_UNSUPPORTED.broken("spec.loraAdapters", f"{words}: take them away")


NO_DRAFT = rules.Rule(
    "speculative-without-draft",
    _ERROR,
    "`--speculative-config` names a method that reads layers of the checkpoint, and the model has"
    " none for drafting.",
    "vLLM finds no such weights and ends.",
    "Take `--speculative-config` away, or use the method `ngram`.",
)
DRAFT_MEMORY = rules.Rule(
    "speculative-memory",
    _WARNING,
    "`--speculative-config` loads a draft, and the share of GPU memory is the one without a draft.",
    "The draft's weights and keys come out of the same share: the KV cache shrinks, and CUDA"
    " graphs of the draft lie outside of it. The engine may end for want of memory.",
    "Lower `spec.gpu.memoryUtilization` by the CUDA graphs of the draft (0.02 to 0.05), and check"
    " that one sequence of `spec.model.contextWindow` still fits.",
)


def _speculative(subject: subjects.Subject) -> subjects.Broken:
    if not forecast.drafts(subject.own):
        return
    method, model = forecast.drafting(subject.own)
    field = subject.field("speculative-config", subject.field("spec-method", "spec.engineArgs"))
    if model is None and subject.facts is not None and subject.facts.draft_parameters == 0:
        words = f"{method} reads draft layers, and {subject.repository} has none"
        yield NO_DRAFT.broken(field, f"{words}: take it away, or use the method ngram")
    elif base.of(subject.spec.gpu, "memory_utilization") is None:
        words = f"{forecast.UNCOUNTED_DRAFT}: set spec.gpu.memoryUtilization, below 0.90"
        yield DRAFT_MEMORY.broken(field, words)


Judge = Callable[[subjects.Subject], subjects.Broken]
TABLE: tuple[tuple[tuple[rules.Rule, ...], Judge], ...] = (
    ((QUANTIZED_TWICE,), _quantized_twice),
    ((NOT_APPLIED,), _not_applied),
    ((CONTEXT_TOO_LONG,), _context_too_long),
    ((INDIVISIBLE,), _indivisible),
    ((GPU_COUNT,), _gpu_count),
    ((GGUF,), _gguf),
    ((NOT_POOLING,), _not_pooling),
    ((adapters.FOREIGN_ADAPTER,), adapters.foreign),
    ((adapters.ADAPTER_RANK,), adapters.rank),
    ((OTHER_PARSER,), _other_parser),
    ((adapters.LORA_POOLING,), adapters.pooling),
    ((UNKNOWN_ARCHITECTURE, LORA_UNSUPPORTED), _architecture),
    ((NO_DRAFT, DRAFT_MEMORY), _speculative),
)
RULES = tuple(rule for row, _ in TABLE for rule in row)


def judge(subject: subjects.Subject) -> list[rules.Finding]:
    """Returns what contradicts the model, the GPUs or itself."""
    return [finding for _, judge in TABLE for finding in judge(subject)]
