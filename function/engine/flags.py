"""How vLLM reads a command line, and which flags belong to the composition.

vLLM's `FlexibleArgumentParser` (vllm/utils/argparse_utils.py) folds `_` into `-`, takes dotted keys
for JSON options (`--model-loader-extra-config.concurrency=4`), and by argparse's default accepts
any unique prefix of a flag; a boolean has a negation (`--no-enable-x`, from 0.33 also
`--disable-x`). The last value wins, and a claim's own arguments come last. So a managed flag is
refused in every spelling that vLLM could read as it.
"""

# Refused: the 18 flags that 0.9.0 managed, and the file that could hold any of them.
MANAGED = (
    "config",
    "cpu-offload-gb",
    "enable-auto-tool-choice",
    "enable-lora",
    "enable-prefix-caching",
    "gpu-memory-utilization",
    "host",
    "load-format",
    "lora-modules",
    "max-lora-rank",
    "max-loras",
    "max-model-len",
    "max-num-seqs",
    "model",
    "model-loader-extra-config",
    "port",
    "quantization",
    "served-model-name",
    "tool-call-parser",
)

# Where a managed flag is set instead, for the message.
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


def normal(argument: str) -> str:
    """Returns the flag that an argument names, without dashes, value, key, case or negation."""
    name = argument.split("=")[0].split(".")[0].lower().replace("_", "-")
    # `--no-enable-x` and `--disable-x` are spellings of `--enable-x`.
    name = name.replace("--no-", "--").replace("--disable-", "--enable-")
    return name.removeprefix("--")


def managed(argument: str) -> str | None:
    """Returns the managed flag that vLLM could read the argument as, if any.

    Every prefix counts: which prefixes are unique changes with each release of vLLM.
    """
    name = normal(argument)
    if not name:
        return MANAGED[0]
    return next((flag for flag in MANAGED if flag.startswith(name)), None)


def normal_cel(argument: str) -> str:
    """Returns `normal` in CEL, with the leading dashes, over the named variable."""
    return (
        f"{argument}.split('=')[0].split('.')[0].lowerAscii().replace('_', '-')"
        ".replace('--no-', '--').replace('--disable-', '--enable-')"
    )


def managed_cel() -> str:
    """Returns CEL over one argument: true when it is no spelling of a managed flag."""
    flags = ", ".join(f"'--{flag}'" for flag in MANAGED)
    return f"![{flags}].exists(f, f.startsWith({normal_cel('self')}))"


def sets(arguments: list[str], flag: str) -> bool:
    """Tells whether one of the arguments sets the flag, by its full name or a prefix of it.

    A prefix shorter than four letters is not taken for the flag: vLLM itself refuses it as
    ambiguous.
    """
    return any(
        name == flag or (len(name) >= 4 and flag.startswith(name))
        for name in map(normal, arguments)
    )


# Flags by which vLLM imports code that a claim's author could have put among the weights.
CODE_LOADING = (
    "trust-remote-code",
    "tool-parser-plugin",
    "reasoning-parser-plugin",
    "middleware",
    "logits-processors",
    "worker-extension-cls",
    "worker-cls",
    "scheduler-cls",
    "io-processor-plugin",
    "hf-overrides",
    "model-impl",
)
_CODE_LOADING_ENVIRONMENT = ("PYTHON", "LD_", "VLLM_PLUGINS", "BASH_ENV", "GCONV_PATH")


# A flag of its own, though another one starts with it.
_WHOLE = ("reasoning-parser",)


def loads_code(argument: str) -> bool:
    """Tells whether vLLM could read the argument as a flag that imports code, by any prefix."""
    name = normal(argument)
    if name in _WHOLE:
        return False
    return any(name == flag or (len(name) >= 4 and flag.startswith(name)) for flag in CODE_LOADING)


def loads_code_by_environment(name: str) -> bool:
    """Tells whether an environment variable makes the interpreter or the loader import code."""
    return name.startswith(_CODE_LOADING_ENVIRONMENT)


def value(arguments: list[str], flag: str) -> float | None:
    """Returns the number that the author's own arguments give a flag, or None."""
    found = None
    for argument in arguments:
        if sets([argument], flag) and "=" in argument:
            try:
                found = float(argument.split("=", 1)[1])
            except ValueError:
                continue
    return found
