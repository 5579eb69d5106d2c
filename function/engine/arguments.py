"""The command line of `vllm serve`, in a fixed order.

Checked against `vllm serve --help=all` of 0.25.1, 0.32 and 0.33. Booleans are bare and negatives
are `--no-enable-x`, the spelling that all of them accept; a value is joined with `=`, so that a
claim's string is never read as a flag. The model is positional: `--model` is to be removed.
"""

from collections.abc import Iterator

from function import plan as plans
from function.engines.vllm import command_line

# Quantizations that are passed to the engine. All others describe a checkpoint that is already
# quantized: the engine detects it, and a flag that does not match is fatal at start.
ONLINE_QUANTIZATIONS = ("fp8",)


def serve(plan: plans.Plan) -> list[str]:
    """Returns the arguments after `vllm serve`.

    In order: path, model and memory, caches, parsers, adapters, loading, drain, and last the
    claim's own, of which each replaces ours of the same flag.
    """
    arguments = list(plan.spec.engine_args or [])
    own = command_line.CommandLine.read(arguments)
    taken = {argument.flag for argument in own.arguments}
    groups = _ours(plan)
    if taken:
        groups = (group for group in groups if _flag(group) not in taken)
    ours = [argument for group in groups for argument in group]
    return [plan.weights[0].path, *ours, *arguments]


def _flag(group: list[str]) -> str | None:
    return command_line.CommandLine.read(group).arguments[0].flag


def _ours(plan: plans.Plan) -> Iterator[list[str]]:
    model = plan.spec.model
    yield [f"--served-model-name={plan.name}"]
    if model.runner is not None:
        yield [f"--runner={model.runner}"]
    yield [f"--max-model-len={plan.context_window}"]
    yield [f"--max-num-seqs={plan.max_num_seqs}"]
    yield [f"--gpu-memory-utilization={plan.utilization}"]
    if plan.gpu_count > 1:
        yield [f"--tensor-parallel-size={plan.gpu_count}"]
    if model.dtype is not None:
        yield [f"--dtype={model.dtype}"]
    if model.quantization in ONLINE_QUANTIZATIONS and plan.checkpoint_quantization is None:
        yield [f"--quantization={model.quantization}"]
    yield from _caches(plan)
    yield from _parsers(plan)
    yield from _adapters(plan)
    yield from _loading(plan)
    yield [f"--shutdown-timeout={plan.drain.shutdown}"]


def _caches(plan: plans.Plan) -> Iterator[list[str]]:
    if plan.spec.model.kv_cache_dtype is not None:
        yield [f"--kv-cache-dtype={plan.spec.model.kv_cache_dtype}"]
    prefix = plan.spec.cache.prefix_cache if plan.spec.cache is not None else None
    if prefix is not None and prefix.enabled is False:
        yield ["--no-enable-prefix-caching"]
    elif plan.generates or (prefix is not None and prefix.enabled is True):
        yield ["--enable-prefix-caching"]
    if plan.kv_offload_gb is not None:
        yield [f"--kv-offloading-size={plan.kv_offload_gb}"]


def _parsers(plan: plans.Plan) -> Iterator[list[str]]:
    model = plan.spec.model
    if model.tool_call_parser is not None:
        yield ["--enable-auto-tool-choice"]
        yield [f"--tool-call-parser={model.tool_call_parser}"]
    if model.reasoning_parser is not None:
        yield [f"--reasoning-parser={model.reasoning_parser}"]
    if model.chat_template is not None:
        yield [f"--chat-template={model.chat_template}"]


def _adapters(plan: plans.Plan) -> Iterator[list[str]]:
    if not plan.adapters:
        return
    rank = plan.spec.model.max_lora_rank
    yield ["--enable-lora"]
    yield [f"--max-loras={len(plan.adapters)}"]
    yield [f"--max-lora-rank={plans.LORA_RANK if rank is None else rank}"]
    # One flag with many values: a repeated flag would keep the last only.
    yield ["--lora-modules", *(f"{adapter.name}={adapter.path}" for adapter in plan.adapters)]


def _loading(plan: plans.Plan) -> Iterator[list[str]]:
    streaming = plan.spec.model.streaming
    if streaming is None or streaming.enabled is not True:
        return
    yield ["--load-format=runai_streamer"]
    if streaming.concurrency is not None:
        yield [f'--model-loader-extra-config={{"concurrency":{streaming.concurrency}}}']


def number(arguments: list[str], flag: str) -> int | None:
    """Returns the whole number that a command line, ours or 0.9.0's, gives a flag, or None."""
    for index, argument in enumerate(arguments):
        name, _, joined = argument.partition("=")
        if name == f"--{flag}":
            text = joined or (arguments[index + 1] if index + 1 < len(arguments) else "")
            return int(text) if text.isdigit() else None
    return None


def adapters(arguments: list[str]) -> frozenset[str]:
    """Returns the names of the adapters that a command line, ours or 0.9.0's, serves."""
    names = set()
    listed = False
    for argument in arguments:
        if argument.startswith("--"):
            listed = argument == "--lora-modules"
        elif listed:
            names.add(argument.partition("=")[0])
    return frozenset(names)
