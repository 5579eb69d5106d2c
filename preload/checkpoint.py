"""What a checkpoint is, read from its own files."""

import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from preload import documents, figures, plan

Description = dict[str, Any]

_NESTED = ("text_config", "llm_config", "language_config", "thinker_config")
"""Where multimodal configurations keep the language model's part."""

_CONTEXT = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
"""Names of the context limit, in order of preference; most families use the first."""

_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I8": "int8",
    "U8": "uint8",
}
"""safetensors' names of element types and PyTorch's, as `torch_dtype` would say."""

_PACKING = "hf_quant_config.json"
"""Where ModelOpt's checkpoints say how they are packed, if not in config.json."""

_LARGEST_CONFIG = 16 << 20
"""Bytes; the largest of known models have less than one MB."""

_DEEPEST = 4
"""Configurations inside of one another."""

_LONGEST = 200
"""Characters of a name: it stands in the claim's status."""


def _read_json(path: pathlib.Path) -> Mapping[str, Any]:
    """A JSON object, or an empty one if there is none: a description is no verification."""
    return documents.read(path, limit=_LARGEST_CONFIG, follow=True) or {}


def _layers(config: Mapping[str, Any], depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """The configuration and what is nested in it, outermost first."""
    yield config
    for name in _NESTED if depth < _DEEPEST else ():
        inner = config.get(name)
        if isinstance(inner, dict):
            yield from _layers(inner, depth + 1)


def _first(config: Mapping[str, Any], names: Iterable[str], kind: type) -> Any:
    for layer in _layers(config):
        for name in names:
            value = layer.get(name)
            if isinstance(value, kind) and not isinstance(value, bool):
                return value
    return None


def _text(value: object) -> str | None:
    """A name that a repository gives, fit for a status; None where it is none."""
    return documents.line(value, _LONGEST) if isinstance(value, str) and value else None


def _most(tensors: Mapping[str, int] | None) -> str | None:
    """The element type of most bytes."""
    if not tensors:
        return None
    largest = max(tensors, key=lambda dtype: tensors[dtype])
    return _DTYPES.get(largest, largest.lower())


def _quantization(config: Mapping[str, Any], weights: pathlib.Path) -> str | None:
    declared = _first(config, ("quantization_config", "compression_config"), dict)
    if declared is not None:
        method = declared.get("quant_method")
        named = _text(method)
        return None if named is None else named.lower()
    if _read_json(weights / _PACKING).get("quantization"):
        return "modelopt"
    return None


def _lora_rank(config: Mapping[str, Any]) -> int | None:
    """The largest rank that any layer has: what the engine must allow for."""
    pattern = config.get("rank_pattern")
    declared = [config.get("r"), *(pattern.values() if isinstance(pattern, dict) else ())]
    ranks = [number for rank in declared if (number := figures.whole(rank)) is not None]
    return max(ranks, default=None)


def _figures(config: Mapping[str, Any], weights: pathlib.Path) -> dict[str, Any] | None:
    """The figures of a model; None where config.json has none (params.json has other names)."""
    if "architectures" not in config:
        return None
    packing = {} if "quantization_config" in config else _read_json(weights / _PACKING)
    return figures.of({**config, "hf_quant_config": packing} if packing else config)


def describe(weights: pathlib.Path, kind: plan.Kind, paths: Iterable[str]) -> Description:
    """Describe a checkpoint for whoever decides about the engine's arguments.

    Args:
        weights: The directory with the files.
        kind: Base model or adapter.
        paths: The files in it.

    Returns:
        `architectures` (list), `dtype` (as PyTorch names it), `quantization` (method or None),
        `contextLimit` (tokens, as trained, before any rope scaling by arguments), `loraRank`
        and `baseModel` (adapters); of a base model `config`, the figures of its config.json with
        those of `hf_quant_config.json` beside them, and `tensors`, the bytes of its weights by
        type. What is not known is None.
    """
    config = _read_json(weights / "config.json") or _read_json(weights / "params.json")
    dtype = _text(_first(config, ("dtype", "torch_dtype"), str))
    architectures = config.get("architectures")
    adapter = _read_json(weights / "adapter_config.json") if kind == "adapter" else {}
    base = adapter.get("base_model_name_or_path")
    tensors = figures.tensors(weights, paths)
    own = {"config": _figures(config, weights), "tensors": tensors} if kind == "base" else {}
    return {
        "architectures": [documents.line(name, _LONGEST) for name in architectures[:16]]
        if isinstance(architectures, list)
        else [],
        "dtype": dtype.removeprefix("torch.") if dtype else _most(tensors),
        "quantization": _quantization(config, weights),
        "contextLimit": figures.whole(_first(config, _CONTEXT, int)),
        "loraRank": _lora_rank(adapter),
        "baseModel": _text(base),
        **own,
    }
