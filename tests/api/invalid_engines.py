"""What admission refuses of an engine and its arguments."""

import typing

from tests.api import entries

_REFERENCE = "a kubelet would put a variable's value there"
_MANAGED = "this flag is set by the composition"

FLAGS = (
    entries.Invalid("flag", entries.arguments("--model=x"), _MANAGED),
    entries.Invalid("managed flag without a value", entries.arguments("--enable-lora"), _MANAGED),
    entries.Invalid(
        "flag behind a good one", entries.arguments("--seed=1", "--port=1"), "spec.engineArgs[1]"
    ),
    entries.Invalid("flag in capitals", entries.arguments("--MODEL=x"), _MANAGED),
    entries.Invalid("flag in mixed case", entries.arguments("--Max-Model-Len=1"), _MANAGED),
    entries.Invalid("flag with underscores", entries.arguments("--max_num_seqs=1"), _MANAGED),
    entries.Invalid("flag with both", entries.arguments("--gpu_memory-Utilization=0.5"), _MANAGED),
    entries.Invalid("unique prefix of a flag", entries.arguments("--served-model=x"), _MANAGED),
    entries.Invalid("short prefix of a flag", entries.arguments("--quant=awq"), _MANAGED),
    entries.Invalid("one letter of a flag", entries.arguments("--m=x"), _MANAGED),
    entries.Invalid("prefix with an underscore", entries.arguments("--max_lora=1"), _MANAGED),
    entries.Invalid(
        "dotted key", entries.arguments("--model-loader-extra-config.concurrency=4"), _MANAGED
    ),
    entries.Invalid(
        "dotted key of a prefix", entries.arguments("--model_loader.concurrency=4"), _MANAGED
    ),
    entries.Invalid("negation", entries.arguments("--no-enable-prefix-caching"), _MANAGED),
    entries.Invalid("negation with underscores", entries.arguments("--no_enable_lora"), _MANAGED),
    entries.Invalid("disabling", entries.arguments("--disable-prefix-caching"), _MANAGED),
    entries.Invalid(
        "disabling with an underscore", entries.arguments("--disable_auto-tool-choice"), _MANAGED
    ),
    entries.Invalid("configuration file", entries.arguments("--config=/tmp/engine.yaml"), _MANAGED),
    entries.Invalid(
        "prefix of the configuration file", entries.arguments("--conf=/tmp/x"), _MANAGED
    ),
    entries.Invalid("host", entries.arguments("--host=0.0.0.0"), _MANAGED),
    entries.Invalid("load format", entries.arguments("--load-format=dummy"), _MANAGED),
    entries.Invalid("weights on the CPU", entries.arguments("--cpu-offload-gb=4"), _MANAGED),
    entries.Invalid("adapters", entries.arguments('--lora-modules={"name":"a"}'), _MANAGED),
    entries.Invalid("number of adapters", entries.arguments("--max-loras=2"), _MANAGED),
    entries.Invalid("rank of adapters", entries.arguments("--max-lora-rank=8"), _MANAGED),
    entries.Invalid("tool calls", entries.arguments("--tool-call-parser=hermes"), _MANAGED),
    entries.Invalid("nothing but a negation", entries.arguments("--no-"), _MANAGED),
    entries.Invalid("short flag", entries.arguments("-tp=2"), "spec.engineArgs[0]"),
    entries.Invalid(
        "flag and value as two words", entries.arguments("--seed 1"), "spec.engineArgs[0]"
    ),
    entries.Invalid(
        "value as its own argument", entries.arguments("--seed", "1"), "spec.engineArgs[1]"
    ),
    entries.Invalid("two dashes alone", entries.arguments("--"), "spec.engineArgs[0]"),
    entries.Invalid(
        "argument of two lines", entries.arguments("--seed=1\n2"), "spec.engineArgs[0]"
    ),
    entries.Invalid(
        "argument that is too long", entries.arguments("--x=" + "a" * 253), "spec.engineArgs[0]"
    ),
    entries.Invalid("argument that is a number", entries.arguments(1), "spec.engineArgs[0]"),
    entries.Invalid("too many arguments", entries.arguments(*["--seed=1"] * 17), "spec.engineArgs"),
    entries.Invalid(
        "arguments in one string", entries.claim(engineArgs="--seed=1"), "spec.engineArgs"
    ),
    entries.Invalid("argument with a reference", entries.arguments("--seed=$(A)"), _REFERENCE),
    entries.Invalid(
        "argument with a literal reference", entries.arguments("--seed=$$(A)"), _REFERENCE
    ),
    entries.Invalid(
        "variable with a reference", entries.pod(env=[{"name": "A", "value": "$(B)"}]), _REFERENCE
    ),
)

FLAGS_AND_FIELDS = tuple(
    entries.Invalid(
        f"--{flag} and its field",
        value | {"spec": value["spec"] | {"engineArgs": [f"--{flag}=x"]}},
        f"engineArgs sets --{flag} and",
    )
    for flag, value in (
        ("kv-cache-dtype", entries.model(kvCacheDtype="fp8")),
        ("reasoning-parser", entries.model(reasoningParser="qwen3")),
        ("chat-template", entries.model(chatTemplate="/templates/chat.jinja")),
        ("dtype", entries.model(dtype="bfloat16")),
        ("runner", entries.model(runner="generate")),
        ("max-num-queued-reqs", entries.model(longestQueueSeconds=10)),
        ("shutdown-timeout", entries.claim(drainSeconds=0)),
    )
)


def tei(path: str, value: typing.Any) -> entries.Json:
    """Returns a claim of text-embeddings-inference with one field below spec."""
    document = entries.claim(engine={"kind": "tei"})
    *parents, name = path.split(".")
    node = document["spec"]
    for parent in parents:
        node = node.setdefault(parent, {})
    node[name] = value
    return document


# What text-embeddings-inference has no use for, each with a value that is good for vLLM.
OF_VLLM: entries.Json = {
    "loraAdapters": [{"name": "sql", "repository": "org/sql"}],
    "cache": {"prefixCache": {"enabled": False}},
    "model.quantization": "fp8",
    "model.kvCacheDtype": "fp8",
    "model.contextWindow": 4096,
    "model.longestQueueSeconds": 10,
    "model.toolCallParser": "hermes",
    "model.reasoningParser": "qwen3",
    "model.chatTemplate": "/models/chat.jinja",
    "model.maxLoraRank": 64,
    "model.streaming": {"enabled": True},
    "model.runner": "generate",
    "model.dtype": "bfloat16",
    "gpu.count": 2,
    "gpu.parallelism": {"data": 2},
    "gpu.memoryUtilization": "0.9",
    "scaling.cacheUtilizationThreshold": "0.6",
    "scaling.triggers.kvCache": {"enabled": False},
    "slo.ttft": {"percentile": "95", "seconds": "2"},
    "slo.itl": {"percentile": "95", "seconds": "0.1"},
    "observability.alerts.kvCacheUsage": "0.9",
    "observability.alerts.preemptionsPerMinute": "6",
    "observability.alerts.timeToFirstTokenSeconds": "10",
}
TEI: tuple[entries.Invalid, ...] = (
    *(
        entries.Invalid(f"tei with {path}", tei(path, value), f"{path}: tei ")
        for path, value in OF_VLLM.items()
    ),
    entries.Invalid(
        "tei with a bucket",
        entries.claim(engine={"kind": "tei"}, model={"source": "s3", "uri": "s3://models/bge"}),
        "model.source: tei ",
    ),
    entries.Invalid(
        "tei with a picker", tei("gateway", entries.PICKER), "gateway.endpointPicker: tei "
    ),
    entries.Invalid(
        "an engine that nobody has", entries.claim(engine={"kind": "ollama"}), "spec.engine.kind"
    ),
)
