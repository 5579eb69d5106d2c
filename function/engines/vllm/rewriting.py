"""Arguments that 0.9.0's claims named and that are fields today, each by itself."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from function.engines import adviser
from function.engines.vllm import command_line

Json = dict[str, Any]


def steps() -> Iterator[Callable[[Json], adviser.Step | None]]:
    """Yields for each such flag what writes it as its field."""
    for flag, place in _ARGUMENTS.items():
        yield functools.partial(_argument, flag=flag, place=place)


def _argument(
    claim: Json, *, flag: str, place: Callable[[Json, str], str | None]
) -> adviser.Step | None:
    """Moves an argument to the field that says the same."""
    tokens = claim["spec"].get("engineArgs") or []
    stated = command_line.CommandLine.read(tokens).of(flag)
    if len(stated) != 1 or stated[0].key is not None or stated[0].value is None:
        return None
    written = tokens[stated[0].index]
    target = place(claim["spec"], stated[0].value)
    if target is None:
        return None
    tokens.pop(stated[0].index)
    if not tokens:
        del claim["spec"]["engineArgs"]
    return adviser.Step(
        claim, f"spec.engineArgs {written}", f"spec.engineArgs {written} is {target}"
    )


def _field(spec: Json, value: str, *, path: tuple[str, ...], whole: bool = False) -> str | None:
    """Puts a value where the claim has nothing yet, and returns that in words."""
    if whole and not value.isdecimal():
        return None
    *parents, name = path
    held = spec
    for parent in parents:
        held = held.setdefault(parent, {})
    if held.get(name) is not None:
        return None
    held[name] = int(value) if whole else value
    return f"spec.{'.'.join(path)}: {value}"


def _gpus(spec: Json, value: str) -> str | None:
    count = (spec.get("gpu") or {}).get("count", 1)
    return f"what follows from spec.gpu.count: {count}" if value == str(count) else None


def _offload(spec: Json, value: str) -> str | None:
    if not value.isdecimal() or int(value) < 1:
        return None
    cache = spec["cache"] = spec.get("cache") or {}
    cache["kvOffload"] = {"enabled": True, "sizeGB": int(value)}
    return f"spec.cache.kvOffload: enabled with sizeGB {value}"


def _to(*path: str, whole: bool = False) -> Callable[[Json, str], str | None]:
    return functools.partial(_field, path=path, whole=whole)


_ARGUMENTS: Mapping[str, Callable[[Json, str], str | None]] = {
    "tensor-parallel-size": _gpus,
    "kv-cache-dtype": _to("model", "kvCacheDtype"),
    "kv-offloading-size": _offload,
    "reasoning-parser": _to("model", "reasoningParser"),
    "chat-template": _to("model", "chatTemplate"),
    "dtype": _to("model", "dtype"),
    "runner": _to("model", "runner"),
    "shutdown-timeout": _to("drainSeconds", whole=True),
}
