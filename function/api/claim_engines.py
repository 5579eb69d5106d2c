"""Which fields of a claim an engine has no use for: each is refused by its name.

A field that did nothing would promise something. None of these rules can be broken by a claim that
was stored before there was a second engine.
"""

from collections.abc import Callable, Iterator
from typing import Any

from function.api import base

_TEI = "has(self.engine) && has(self.engine.kind) && self.engine.kind == 'tei'"

# What text-embeddings-inference lacks: the field below `spec`, and why.
ABSENT = {
    "loraAdapters": "tei serves no adapters",
    "cache": "tei has no KV cache and no prefix cache",
    "model.quantization": "tei quantizes nothing, and reads no packed checkpoint",
    "model.kvCacheDtype": "tei has no KV cache",
    "model.contextWindow": "tei takes the model's own, and engineArgs --max-batch-tokens and"
    " --auto-truncate say what becomes of longer texts",
    "model.longestQueueSeconds": "tei bounds its queue by a number: engineArgs"
    " --max-concurrent-requests",
    "model.toolCallParser": "tei generates no text",
    "model.reasoningParser": "tei generates no text",
    "model.chatTemplate": "tei generates no text",
    "model.maxLoraRank": "tei serves no adapters",
    "model.streaming": "tei maps its weights' files by itself",
    "gpu.parallelism": "tei runs on one GPU",
    "gpu.memoryUtilization": "tei takes what it needs of a GPU, and keeps no share of it",
    "gateway.endpointPicker": "tei has neither the KV cache nor the adapters that a picker reads",
    "scaling.cacheUtilizationThreshold": "tei has no KV cache",
    "scaling.triggers.kvCache": "tei has no KV cache",
    "slo.ttft": "tei writes no tokens: promise an availability",
    "slo.itl": "tei writes no tokens: promise an availability",
    "observability.alerts.kvCacheUsage": "tei has no KV cache",
    "observability.alerts.preemptionsPerMinute": "tei has no KV cache",
    "observability.alerts.timeToFirstTokenSeconds": "tei writes no tokens",
}


def rules() -> Iterator[base.Rule]:
    """Yields the rules, for the node `spec`: the nearest that holds engine and field."""
    for path, words in ABSENT.items():
        yield base.Rule(
            cel=f"!({_TEI} && {_written(path)})",
            message=f"{path}: {words}",
            holds=_absent(path),
            at=path,
        )
    for path, test, holds, words in (
        ("gpu.count", "self.gpu.count > 1", lambda count: count <= 1, "tei runs on one GPU"),
        (
            "model.runner",
            "self.model.runner == 'generate'",
            lambda runner: runner != "generate",
            "tei generates no text",
        ),
        (
            "model.source",
            "self.model.source == 's3'",
            lambda source: source != "s3",
            "tei reads files, and no bucket: name another source",
        ),
        (
            "model.dtype",
            "self.model.dtype == 'bfloat16'",
            lambda dtype: dtype != "bfloat16",
            "tei computes in float16 or float32",
        ),
    ):
        yield base.Rule(
            cel=f"!({_TEI} && {_written(path)} && {test})",
            message=f"{path}: {words}",
            holds=_kept(path, holds),
            at=path,
        )


def _written(path: str) -> str:
    """Returns in CEL whether a field is there."""
    parts = path.split(".")
    return " && ".join(f"has(self.{'.'.join(parts[: n + 1])})" for n in range(len(parts)))


def _value(spec: Any, path: str) -> Any:
    """Returns the value of a field, or None where it or what holds it is absent."""
    node = spec
    for part in path.split("."):
        names = (name for name, field in type(node).model_fields.items() if field.alias == part)
        name = next(names)
        node = getattr(node, name) if name in node.model_fields_set else None
        if node is None:
            return None
    return node


def _absent(path: str) -> Callable[[Any], bool]:
    return lambda spec: not _of_tei(spec) or _value(spec, path) is None


def _kept(path: str, holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    def kept(spec: Any) -> bool:
        value = _value(spec, path)
        return not _of_tei(spec) or value is None or holds(value)

    return kept


def _of_tei(spec: Any) -> bool:
    return bool(base.of(spec.engine, "kind") == "tei")
