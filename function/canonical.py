"""Canonical forms: the same value has the same bytes and the same hash in every process."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any


def dumps(value: Any) -> str:
    """Returns the value as JSON with sorted keys and no white space."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


# Longer whole numbers are no doubles, which is what a protobuf Struct holds.
_MOST_DIGITS = 18
_DIGITS = re.compile(f"[0-9]{{1,{_MOST_DIGITS}}}")


def loads(text: str) -> Any:
    """Returns what a JSON text that somebody else wrote says, its nulls left out as by `plain`.

    Raises:
        ValueError: It is no JSON, or holds what protobuf cannot: NaN, half of a surrogate pair,
            nesting without end.
    """
    try:
        value = json.loads(text, parse_constant=_float, parse_float=_float, parse_int=_int)
        if "\\ud" in text.lower():
            dumps(value).encode()
        # Most texts have no null, and a copy takes as long as the reading.
        return plain(value) if "null" in text else value
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _float(word: str) -> float:
    number = float(word)
    if not math.isfinite(number):
        raise ValueError(f"{word} is no number of JSON")
    return number


def _int(word: str) -> int:
    if len(word) > _MOST_DIGITS:
        raise ValueError(f"{word[:_MOST_DIGITS]}... is too large")
    return int(word)


def whole(text: Any) -> int | None:
    """Returns the whole number that a text is, or None."""
    return int(text) if isinstance(text, str) and _DIGITS.fullmatch(text) else None


def digest(value: Any, length: int = 10) -> str:
    """Returns the first characters of the SHA-256, in hex, of the value's canonical JSON."""
    return text_digest(dumps(value), length)


def text_digest(text: str, length: int) -> str:
    """Returns the first characters of the SHA-256, in hex, of a text as it stands."""
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def plain(value: Any) -> Any:
    """Returns a deep copy in plain Python: sorted maps, ints where a float is integral.

    A protobuf Struct holds every number as a double, and iterates its keys in an order that
    differs between processes. Nulls go: applied, they would be values.
    """
    if isinstance(value, Mapping):
        return {key: plain(value[key]) for key in sorted(value) if value[key] is not None}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def prune(manifest: dict[str, Any]) -> dict[str, Any]:
    """Returns the map without its own entries that are None: applied, a null would be a value.

    Only this level: each literal with optional entries prunes itself.
    """
    return {key: item for key, item in manifest.items() if item is not None}


def merge_patch(target: Any, patch: Any) -> Any:
    """Returns the target after a JSON merge patch (RFC 7396); None removes a key."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key in sorted(patch):
        if patch[key] is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), patch[key])
    return merged


def differences(old: Any, new: Any, at: str = "") -> list[str]:
    """Returns the paths at which two plain values differ, the deepest that differ, in order.

    Lists of named items (containers, env, volumes) are compared by name, others by index.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        paths = []
        for key in sorted(old.keys() | new.keys()):
            step = f"{at}.{key}" if at else key
            if key not in old or key not in new:
                paths.append(step)
            else:
                paths += differences(old[key], new[key], step)
        return paths
    if isinstance(old, list) and isinstance(new, list) and (named := _by_name(old, new)):
        before, after = named
        paths = []
        for name in sorted(before.keys() | after.keys()):
            step = f"{at}[{name}]"
            if name not in before or name not in after:
                paths.append(step)
            else:
                paths += differences(before[name], after[name], step)
        # The same items in another order are another template too.
        return paths or ([] if list(before) == list(after) else [at])
    return [] if old == new else [at]


def _by_name(old: list[Any], new: list[Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    for items in (old, new):
        if not all(isinstance(item, dict) and "name" in item for item in items):
            return None
        if len({item["name"] for item in items}) != len(items):
            return None
    return {item["name"]: item for item in old}, {item["name"]: item for item in new}
