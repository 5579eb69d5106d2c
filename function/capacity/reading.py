"""Reads the facts of a model from its Hugging Face `config.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from function.capacity import bodies, facts, families, fields, packing, towers

UnreadableError = fields.UnreadableError

# Fields that transformers fills in by itself where a published config.json leaves them out.
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "gemma3_text": {
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "vocab_size": 262208,
        "max_position_embeddings": 131072,
        "sliding_window": 4096,
        "rope_local_base_freq": 10000,
    },
}

_DTYPE_BYTES = {"bfloat16": 2, "float16": 2, "half": 2, "float32": 4, "float": 4}

# Positions of XLM-RoBERTa begin behind that of the padding.
_OFFSET = 2

# What vLLM serves for embeddings, scores and rewards (`--runner pooling`).
_POOLING = ("Model", "ForSequenceClassification", "ForTokenClassification", "ForRewardModel")


def read(
    config: Mapping[str, Any],
    name: str,
    *,
    files: int | Mapping[str, Any] | None = None,
    source: str = "config.json",
) -> facts.Facts:
    """Returns the facts of a model.

    Args:
        config: The content of config.json; `hf_quant_config` beside its fields when there is one.
        name: The repository.
        files: Bytes of the weights' files, or the content of `model.safetensors.index.json`.
        source: Where the config.json was taken from.

    Raises:
        UnreadableError: A field is missing or wrong, or nobody wrote a formula for the
            architecture; the message names the field and what to do.
    """
    whole = fields.Fields(config)
    architecture = _architecture(whole)
    text = whole.inside("text_config") or whole.inside("llm_config") or whole
    defaults = _DEFAULTS.get(text.text("model_type"), {})
    text = fields.Fields({**defaults, **text.values}, text.place)
    formula = families.of(architecture)
    if formula is None:
        raise UnreadableError(
            f"config.json: architectures is {architecture}: no formula for it yet: write the "
            "model's facts by hand, or ask the maintainers to add it"
        )
    body = formula(text)
    hidden = text.whole("hidden_size", "n_embd")
    positions = text.whole("max_position_embeddings", "n_positions")
    return facts.Facts(
        name=name,
        architecture=architecture,
        hidden=hidden,
        vocabulary=text.whole("vocab_size"),
        # A model without a head for words has one table.
        tied=architecture.endswith(_POOLING) or _tied(whole, text, default=body.tied),
        dtype_bytes=_dtype(whole, text),
        blocks=body.blocks,
        context=_context(text, positions) - (_OFFSET if "XLMRoberta" in architecture else 0),
        rope_scaling=_rope(text) is not None,
        quantization=packing.read(whole, sum(block.count for block in body.blocks)),
        other_parameters=body.rest,
        tower_parameters=towers.parameters(whole, hidden),
        draft_parameters=body.draft,
        checkpoint_bytes=_bytes(files),
        maximum_positions=positions,
        rotary=_rotary(text, body, positions),
        runner=facts.Runner.POOLING if architecture.endswith(_POOLING) else facts.Runner.GENERATE,
        source=source,
    )


def _architecture(whole: fields.Fields) -> str:
    listed = whole.items("architectures", 1)
    if listed is None:
        raise UnreadableError(
            "config.json: architectures is missing: take the config.json that lies beside the "
            "model's weights"
        )
    return str(listed[0])


def _tied(whole: fields.Fields, text: fields.Fields, *, default: bool) -> bool:
    inner = text.flag("tie_word_embeddings", default=default)
    return whole.flag("tie_word_embeddings", default=inner)


def _dtype(whole: fields.Fields, text: fields.Fields) -> int:
    """Returns bytes of a weight as vLLM loads it: 32 bits become 16 (`--dtype auto`)."""
    for place in (whole, text):
        for name in ("torch_dtype", "dtype"):
            given = place.text(name)
            if given and given.removeprefix("torch.") not in _DTYPE_BYTES:
                raise place.wrong(name, f"one of {', '.join(_DTYPE_BYTES)}")
    return 2


def _rope(text: fields.Fields) -> fields.Fields | None:
    for name in ("rope_scaling", "rope_parameters"):
        scaling = text.inside(name)
        if scaling is not None and "factor" in scaling:
            return scaling
    return None


def _rotary(text: fields.Fields, body: bodies.Body, positions: int) -> tuple[tuple[int, int], ...]:
    """Returns rows and elements of each table of rotary positions that vLLM makes."""
    sizes = body.rotary
    if sizes is None:
        head = bodies.head_size(text)
        sizes = (int(head * bodies.partial(text)),)
    scaling = _rope(text)
    rows = [positions] * len(sizes)
    if scaling is not None:
        kind = scaling.text("rope_type", scaling.text("type"))
        factor = scaling.number("factor", 1)
        if kind in ("linear", "dynamic"):
            # Layers with a window keep their own, unscaled one (Gemma 3).
            rows[0] = int(positions * factor)
            if "rope_local_base_freq" in text:
                return ((rows[0], sizes[0]), (positions, sizes[0]))
        elif kind == "yarn":
            rows = [_context(text, positions)] * len(sizes)
    elif "rope_local_base_freq" in text:
        return ((positions, sizes[0]), (positions, sizes[0]))
    other = text.inside("rope_scaling") or text.inside("rope_parameters")
    if other is not None and "long_factor" in other:
        original = text.whole("original_max_position_embeddings", default=positions)
        rows = [positions + original]
    if other is not None and "mrope_section" in other:
        # Positions of images run further than those of text (vLLM, `MRotaryEmbedding`).
        rows = [4 * positions]
    return tuple(zip(rows, sizes, strict=True))


def _context(text: fields.Fields, positions: int) -> int:
    """Returns the context as vLLM derives it: yarn's factor counts from the original length."""
    scaling = _rope(text)
    if scaling is None or scaling.text("rope_type", scaling.text("type")) != "yarn":
        return positions
    original = scaling.whole("original_max_position_embeddings", default=positions)
    return max(positions, int(original * scaling.number("factor", 1)))


def _bytes(files: int | Mapping[str, Any] | None) -> int | None:
    if files is None or isinstance(files, int):
        return files
    metadata = fields.Fields(files).inside("metadata")
    if metadata is None:
        raise UnreadableError(
            "model.safetensors.index.json: metadata is missing: take the file of the repository"
        )
    return int(metadata.number("total_size", 0)) or None
