"""Facts of a checkpoint from the figures that its manifest brings.

The preload program reads them in the checkpoint's own files, and anybody who makes pods can write
them as well. They are taken where the sum of what the formulas make of them is the size of the
tensors: a formula that misses what is on disk is no fact.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import zlib
from collections.abc import Mapping

from function import canonical
from function.capacity import facts, interval, reading, weights

# Characters of a config.json that the preload program keeps.
_LARGEST = 64 << 10

# Checkpoints whose families have a formula lie within 1 % of it; the rest is norms and scales.
_TOLERANCE = 0.03

_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}


def read(config: str, tensors: Mapping[str, int], name: str) -> facts.Facts | None:
    """Returns the facts, or None where nothing can be told or the files do not agree.

    Args:
        config: Figures of config.json as the preload program's message has them: JSON, deflated,
            in base64.
        tensors: Bytes of all tensors by safetensors' name of their type.
        name: The repository.
    """
    return _read(config, tuple(sorted(tensors.items())), name)


@functools.lru_cache(64)
def _read(config: str, tensors: tuple[tuple[str, int], ...], name: str) -> facts.Facts | None:
    try:
        # What is longer is cut, and then it is no JSON.
        text = zlib.decompressobj().decompress(base64.b64decode(config, validate=True), _LARGEST)
        figures = canonical.loads(text.decode())
        if not isinstance(figures, dict):
            return None
        model = reading.read(figures, name, source="the checkpoint's own files")
    # What figures that somebody made up can raise is no list that ends.
    except (zlib.error, ValueError, ArithmeticError, LookupError, TypeError, AttributeError):
        return None
    size = _loaded(model, dict(tensors))
    if size is None or not expected(model).holds(size):
        return None
    return dataclasses.replace(model, checkpoint_bytes=sum(dict(tensors).values()))


def _loaded(model: facts.Facts, tensors: Mapping[str, int]) -> int | None:
    """Returns the bytes that tensors have in the types of the engine, or None for strange types."""
    if model.quantization is not None:
        return sum(tensors.values())
    # Indices of positions are in no engine's memory.
    plain = {kind: size for kind, size in tensors.items() if kind not in ("I64", "I32", "BOOL")}
    if not plain.keys() <= _BYTES.keys():
        return None
    return sum(size * model.dtype_bytes // _BYTES[kind] for kind, size in plain.items())


def expected(model: facts.Facts) -> interval.Interval:
    """Returns the bytes that the files may have; tables of positions are made by the engine."""
    least = weights.tensors(dataclasses.replace(model, rotary=()), weights.Load())
    # Drafts lie beside the model, and some checkpoints hold a table that is shared twice.
    table = model.vocabulary * model.hidden if model.tied else 0
    most = least + (model.draft_parameters + table) * model.dtype_bytes
    return interval.Interval(least * (1 - _TOLERANCE), least, most * (1 + _TOLERANCE))
