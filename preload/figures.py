"""What memory and speed of a model follow from, read from its own files.

The figures of `config.json` are kept as they stand there, because who reads them knows families of
models and this program does not. A repository is anybody's: what is kept has a bound, and a figure
beyond it is none.
"""

import base64
import json
import math
import pathlib
import re
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from preload import documents

LARGEST_NUMBER = 2**53

_LARGEST = 64 << 10
"""Characters of all figures as JSON; a checkpoint that lists each packed module has 40,000."""

_LARGEST_HEADER = 32 << 20
"""Bytes; the format allows 100 MB, which become a gigabyte in memory, and models have a few MB."""

_LONGEST = 1000
"""Characters of a text; the pattern of a hybrid model has a letter for each layer."""

_DEEPEST = 8
"""Maps and lists inside of one another."""

_TYPES = 16
"""Types of elements in one checkpoint; those that are packed have four."""

_NO_FIGURE = re.compile(
    r".*_token_(id|index)s?|id2label|label2id|auto_map|_name_or_path|task_specific_params"
    r"|transformers_version"
)
"""Fields of a config.json that say nothing of sizes and take most of many."""


def of(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns the figures of a config.json, or None where there are none or too many."""
    kept = _map(config, _DEEPEST)
    return kept if kept and len(json.dumps(kept)) <= _LARGEST else None


def packed(figures: Mapping[str, Any]) -> str:
    """Returns figures as short as they fit into a message: JSON, deflated, in base64."""
    text = json.dumps(figures, separators=(",", ":"), sort_keys=True)
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def tensors(weights: pathlib.Path, paths: Iterable[str]) -> dict[str, int] | None:
    """Returns the bytes of all tensors by safetensors' name of their type.

    Args:
        weights: The directory with the files.
        paths: The files in it. Mistral's repositories hold the weights twice, and the engine reads
            one of the two.

    Returns:
        None where there is no safetensors file, or one whose header is none.

    Raises:
        OSError: Of the volume.
    """
    files = [path for path in paths if "/" not in path and path.endswith(".safetensors")]
    files = [path for path in files if not path.startswith("consolidated")] or files
    total: dict[str, int] = {}
    try:
        for path in sorted(files):
            _add(total, weights / path)
    except (documents.NotRegularError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return total if 0 < len(total) <= _TYPES else None


def _add(total: dict[str, int], path: pathlib.Path) -> None:
    """Adds the bytes of one file by type.

    Raises:
        ValueError: The header is none, as are KeyError, TypeError and AttributeError.
        OSError: Of the volume.
    """
    length = int.from_bytes(documents.head(path, 8, follow=True), "little")
    if length > _LARGEST_HEADER:
        raise ValueError("a header that is too long")
    header = documents.decode(documents.head(path, 8 + length, follow=True)[8:])
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        begin, end = (whole(offset) for offset in tensor["data_offsets"])
        if begin is None or end is None or end < begin:
            raise ValueError("an offset that is none")
        dtype = documents.line(tensor["dtype"], 32)
        total[dtype] = total.get(dtype, 0) + end - begin


def whole(value: object) -> int | None:
    """Returns a whole number that a repository gives, as far as it can be one."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= LARGEST_NUMBER else None


def _map(values: Mapping[str, Any], levels: int) -> dict[str, Any]:
    named = {
        documents.line(name, 64): _figure(value, levels)
        for name, value in values.items()
        if not _NO_FIGURE.fullmatch(name)
    }
    return {name: value for name, value in named.items() if value is not None}


def _figure(value: Any, levels: int) -> Any:
    """Returns what is kept of a value, or None for nothing."""
    if isinstance(value, dict):
        return _map(value, levels - 1) if levels else None
    if isinstance(value, list):
        return [_figure(item, levels - 1) for item in value] if levels else None
    if isinstance(value, str):
        return value if len(value) <= _LONGEST and value.isprintable() else None
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= LARGEST_NUMBER else None
    return value if isinstance(value, float) and math.isfinite(value) else None
