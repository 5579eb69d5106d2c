"""The command line of `vllm serve`, in a fixed order.

Checked against `vllm serve --help=all` of 0.25.1, 0.32 and 0.33. Booleans are bare and negatives
are `--no-enable-x`, the spelling that all of them accept; a value is joined with `=`, so that a
claim's string is never read as a flag. The model is positional: `--model` is to be removed.
"""

from collections.abc import Iterator

from function.api import base, claim, claim_model
from function.engines import engine
from function.engines.vllm import command_line, forecast, group, hot, serving
from function.planning import storage

LORA_RANK = 64


def serve(plan: engine.Planned, planned: serving.Serving) -> list[str]:
    """Returns the arguments after `vllm serve`.

    In order: path, model and memory, caches, parsers, adapters, loading, drain, and last the
    claim's own, of which each replaces ours of the same flag.
    """
    arguments = list(plan.spec.engine_args or [])
    own = command_line.CommandLine.read(arguments)
    taken = {argument.flag for argument in own.arguments}
    groups = _ours(plan, planned)
    if taken:
        groups = (words for words in groups if _flag(words) not in taken)
    ours = [argument for words in groups for argument in words]
    return [plan.storage.base.path, *ours, *arguments]


def _flag(words: list[str]) -> str | None:
    return command_line.CommandLine.read(words).arguments[0].flag


def _ours(plan: engine.Planned, planned: serving.Serving) -> Iterator[list[str]]:
    model = plan.spec.model
    yield [f"--served-model-name={plan.identity.name}"]
    if planned.runner is not None:
        yield [f"--runner={planned.runner}"]
    yield [f"--max-model-len={planned.context_window}"]
    yield [f"--max-num-seqs={planned.max_num_seqs}"]
    if planned.max_in_flight is not None:
        yield [f"--max-num-queued-reqs={planned.max_in_flight}"]
    yield [f"--gpu-memory-utilization={planned.utilization}"]
    yield from group.flags(plan.hardware.split, plan.hardware.count, plan.start.seconds)
    if model.dtype is not None:
        yield [f"--dtype={model.dtype}"]
    if planned.quantization is not None:
        yield [f"--quantization={planned.quantization}"]
    yield from _caches(plan.spec, planned)
    yield from _parsers(model, planned)
    yield from _adapters(plan.spec, plan.storage)
    yield from _loading(model)
    yield [f"--shutdown-timeout={plan.drain.shutdown}"]


def _caches(spec: claim.Spec, planned: serving.Serving) -> Iterator[list[str]]:
    if spec.model.kv_cache_dtype is not None:
        yield [f"--kv-cache-dtype={spec.model.kv_cache_dtype}"]
    prefix = spec.cache.prefix_cache if spec.cache is not None else None
    if prefix is not None and prefix.enabled is False:
        yield ["--no-enable-prefix-caching"]
    elif planned.generates or (prefix is not None and prefix.enabled is True):
        yield ["--enable-prefix-caching"]
    if planned.kv_offload_gb is not None:
        yield [f"--kv-offloading-size={planned.kv_offload_gb}"]


def _parsers(model: claim_model.ModelSpec, planned: serving.Serving) -> Iterator[list[str]]:
    if planned.tool_parser is not None:
        yield ["--enable-auto-tool-choice"]
        yield [f"--tool-call-parser={planned.tool_parser}"]
    if planned.reasoning_parser is not None:
        yield [f"--reasoning-parser={planned.reasoning_parser}"]
    if model.chat_template is not None:
        yield [f"--chat-template={model.chat_template}"]


def _adapters(spec: claim.Spec, stored: storage.Storage) -> Iterator[list[str]]:
    if not stored.adapters:
        return
    rank = spec.model.max_lora_rank
    yield ["--enable-lora"]
    yield [f"--max-loras={forecast.slots(spec)}"]
    yield [f"--max-lora-rank={LORA_RANK if rank is None else rank}"]
    # One flag with many values: a repeated flag would keep the last only.
    if stored.static:
        yield ["--lora-modules", *(f"{one.name}={one.path}" for one in stored.static)]
    if stored.hot:
        yield [hot.MIDDLEWARE]


def _loading(model: claim_model.ModelSpec) -> Iterator[list[str]]:
    # Of an s3:// address no other loader reads.
    if model.source != "s3" and base.of(model.streaming, "enabled") is not True:
        return
    yield ["--load-format=runai_streamer"]
    concurrency = base.of(model.streaming, "concurrency")
    if concurrency is not None:
        yield [f'--model-loader-extra-config={{"concurrency":{concurrency}}}']
