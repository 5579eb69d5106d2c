"""What a checkpoint is, read from its own files."""

import json
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from preload import plan

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

_LARGEST_HEADER = 100_000_000
"""Bytes; the limit of the safetensors format itself."""


def _read_json(path: pathlib.Path) -> Mapping[str, Any]:
    """A JSON object, or an empty one if there is none: a description is no verification."""
    try:
        document = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _layers(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The configuration and what is nested in it, outermost first."""
    yield config
    for name in _NESTED:
        inner = config.get(name)
        if isinstance(inner, dict):
            yield from _layers(inner)


def _first(config: Mapping[str, Any], names: Iterable[str], kind: type) -> Any:
    for layer in _layers(config):
        for name in names:
            value = layer.get(name)
            if isinstance(value, kind) and not isinstance(value, bool):
                return value
    return None


def _header_dtype(weights: pathlib.Path, paths: Iterable[str]) -> str | None:
    """The element type of most bytes of the first safetensors file."""
    for path in sorted(paths):
        if "/" in path or not path.endswith(".safetensors"):
            continue
        with (weights / path).open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > _LARGEST_HEADER:
                return None
            try:
                header = json.loads(file.read(length))
                sizes: dict[str, int] = {}
                for name, tensor in header.items():
                    if name != "__metadata__":
                        begin, end = tensor["data_offsets"]
                        dtype = tensor["dtype"]
                        sizes[dtype] = sizes.get(dtype, 0) + end - begin
            except (ValueError, KeyError, TypeError, AttributeError):
                return None
        if sizes:
            largest = max(sizes, key=lambda dtype: sizes[dtype])
            return _DTYPES.get(largest, largest.lower())
    return None


def _quantization(config: Mapping[str, Any], weights: pathlib.Path) -> str | None:
    declared = _first(config, ("quantization_config", "compression_config"), dict)
    if declared is not None:
        method = declared.get("quant_method")
        return method.lower() if isinstance(method, str) else None
    # ModelOpt's checkpoints carried it in a file of its own before config.json had a field.
    if _read_json(weights / "hf_quant_config.json").get("quantization"):
        return "modelopt"
    return None


def _lora_rank(config: Mapping[str, Any]) -> int | None:
    """The largest rank that any layer has: what the engine must allow for."""
    pattern = config.get("rank_pattern")
    declared_ranks = [config.get("r"), *(pattern.values() if isinstance(pattern, dict) else ())]
    ranks = [
        rank for rank in declared_ranks if isinstance(rank, int) and not isinstance(rank, bool)
    ]
    return max(ranks, default=None)


def describe(weights: pathlib.Path, kind: plan.Kind, paths: Iterable[str]) -> Description:
    """Describe a checkpoint for whoever decides about the engine's arguments.

    Args:
        weights: The directory with the files.
        kind: Base model or adapter.
        paths: The files in it.

    Returns:
        `architectures` (list), `dtype` (as PyTorch names it), `quantization` (method or None),
        `contextLimit` (tokens, as trained, before any rope scaling by arguments), `loraRank`
        and `baseModel` (adapters). What is not known is None.
    """
    paths = list(paths)
    config = _read_json(weights / "config.json") or _read_json(weights / "params.json")
    dtype = _first(config, ("dtype", "torch_dtype"), str)
    architectures = config.get("architectures")
    adapter = _read_json(weights / "adapter_config.json") if kind == "adapter" else {}
    base = adapter.get("base_model_name_or_path")
    return {
        "architectures": [str(name) for name in architectures]
        if isinstance(architectures, list)
        else [],
        "dtype": dtype.removeprefix("torch.") if dtype else _header_dtype(weights, paths),
        "quantization": _quantization(config, weights),
        "contextLimit": _first(config, _CONTEXT, int),
        "loraRank": _lora_rank(adapter),
        "baseModel": base if isinstance(base, str) and base else None,
    }
