"""The flags that the composition sets: refused in every spelling, by the API server too."""

from function.engines.vllm import rows

# Refused: the 18 flags that 0.9.0 managed, and the file that could hold any of them; with where
# each is set instead, for the message.
INSTEAD = {
    "config": "list the flags in spec.engineArgs",
    "cpu-offload-gb": "use spec.cache.kvOffload (it offloads KV blocks, not weights)",
    "enable-auto-tool-choice": "use spec.model.toolCallParser",
    "enable-lora": "use spec.loraAdapters",
    "enable-prefix-caching": "use spec.cache.prefixCache.enabled",
    "gpu-memory-utilization": "use spec.gpu.memoryUtilization",
    "host": "the address is fixed: Service, probes and gateway depend on it",
    "load-format": "use spec.model.streaming.enabled",
    "lora-modules": "use spec.loraAdapters",
    "max-lora-rank": "use spec.model.maxLoraRank",
    "max-loras": "use spec.loraAdapters",
    "max-model-len": "use spec.model.contextWindow",
    "max-num-seqs": "use spec.model.maxNumSeqs",
    "model": "use spec.model.repository",
    "model-loader-extra-config": "use spec.model.streaming.concurrency",
    "port": "the port is fixed at 8000: Service, probes and gateway depend on it",
    "quantization": "use spec.model.quantization",
    "served-model-name": "the served name is the claim's name",
    "tool-call-parser": "use spec.model.toolCallParser",
}
FLAGS = tuple(INSTEAD)

# What follows them, where it is not text.
TAKES = {
    "cpu-offload-gb": rows.Takes.NUMBER,
    "enable-auto-tool-choice": rows.Takes.NOTHING,
    "enable-lora": rows.Takes.NOTHING,
    "enable-prefix-caching": rows.Takes.NOTHING,
    "gpu-memory-utilization": rows.Takes.NUMBER,
    "lora-modules": rows.Takes.MANY,
    "max-lora-rank": rows.Takes.WHOLE,
    "max-loras": rows.Takes.WHOLE,
    "max-model-len": rows.Takes.SIZE,
    "max-num-seqs": rows.Takes.WHOLE,
    "model-loader-extra-config": rows.Takes.JSON,
    "port": rows.Takes.WHOLE,
    "served-model-name": rows.Takes.MANY,
}


def normal(argument: str) -> str:
    """Returns the flag that an argument names, without dashes, value, key, case or negation."""
    name = argument.split("=")[0].split(".")[0].lower().replace("_", "-")
    # `--no-enable-x` and `--disable-x` are spellings of `--enable-x`.
    name = name.replace("--no-", "--").replace("--disable-", "--enable-")
    return name.removeprefix("--")


def of(argument: str) -> str | None:
    """Returns the managed flag that vLLM could read the argument as, if any.

    Every prefix counts: which prefixes are unique changes with each release of vLLM.
    """
    name = normal(argument)
    if not name:
        return FLAGS[0]
    return next((flag for flag in FLAGS if flag.startswith(name)), None)


def normal_cel(argument: str) -> str:
    """Returns `normal` in CEL, with the leading dashes, over the named variable."""
    return (
        f"{argument}.split('=')[0].split('.')[0].lowerAscii().replace('_', '-')"
        ".replace('--no-', '--').replace('--disable-', '--enable-')"
    )


def cel() -> str:
    """Returns CEL over one argument: true when it is no spelling of a managed flag."""
    flags = ", ".join(f"'--{flag}'" for flag in FLAGS)
    return f"![{flags}].exists(f, f.startsWith({normal_cel('self')}))"
