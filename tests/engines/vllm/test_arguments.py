"""The engine's command line: which claim gives which flags, in which order."""

import itertools
from typing import Any

import pytest

from function.engines.vllm import command_line
from function.planning import plans
from tests import cluster
from tests.resources import scene

# The documented order of function/engines/vllm/arguments.py, flag by flag.
ORDER = (
    "--served-model-name",
    "--runner",
    "--max-model-len",
    "--max-num-seqs",
    "--gpu-memory-utilization",
    "--tensor-parallel-size",
    "--dtype",
    "--quantization",
    "--kv-cache-dtype",
    "--enable-prefix-caching",
    "--kv-offloading-size",
    "--enable-auto-tool-choice",
    "--tool-call-parser",
    "--reasoning-parser",
    "--chat-template",
    "--enable-lora",
    "--max-loras",
    "--max-lora-rank",
    "--lora-modules",
    "--load-format",
    "--model-loader-extra-config",
    "--shutdown-timeout",
)
EVERYTHING = scene.of(
    model={
        "runner": "generate",
        "contextWindow": 8192,
        "maxNumSeqs": 16,
        "dtype": "bfloat16",
        "quantization": "fp8",
        "kvCacheDtype": "fp8",
        "toolCallParser": "hermes",
        "reasoningParser": "qwen3",
        "chatTemplate": "/models/a.jinja",
        "maxLoraRank": 32,
        "streaming": {"enabled": True, "concurrency": 8},
    },
    gpu={"count": 2, "memoryUtilization": "0.85"},
    cache={"kvOffload": {"enabled": True, "sizeGB": 12}, "prefixCache": {"enabled": True}},
    loraAdapters=scene.ADAPTERS,
    engineArgs=["--seed=1", "--enforce-eager"],
    drainSeconds=30,
)
PLAIN = scene.site("plain")


def serve_plan(plan: plans.Plan) -> list[str]:
    return plan.engine.container(plan).arguments


def serve(claimed: cluster.Object, config: cluster.Object | None = None) -> list[str]:
    return serve_plan(scene.planned(claimed, config or PLAIN))


def flag_values(**spec: Any) -> dict[str, str | None]:
    return scene.values(serve(scene.of(**spec)))


def test_a_claim_with_every_field_gives_every_flag_in_the_documented_order() -> None:
    plan = scene.planned(EVERYTHING, PLAIN)
    base, sql, law = plan.storage.directories
    assert serve_plan(plan) == [
        base.path,
        "--served-model-name=model",
        "--runner=generate",
        "--max-model-len=8192",
        "--max-num-seqs=16",
        "--gpu-memory-utilization=0.85",
        "--tensor-parallel-size=2",
        "--dtype=bfloat16",
        "--quantization=fp8",
        "--kv-cache-dtype=fp8",
        "--enable-prefix-caching",
        "--kv-offloading-size=12",
        "--enable-auto-tool-choice",
        "--tool-call-parser=hermes",
        "--reasoning-parser=qwen3",
        "--chat-template=/models/a.jinja",
        "--enable-lora",
        "--max-loras=2",
        "--max-lora-rank=32",
        "--lora-modules",
        f"sql={sql.path}",
        f"law={law.path}",
        "--load-format=runai_streamer",
        '--model-loader-extra-config={"concurrency":8}',
        "--shutdown-timeout=30",
        "--seed=1",
        "--enforce-eager",
    ]


def test_the_order_has_no_other_flag() -> None:
    ours = scene.values(serve(EVERYTHING))
    assert [flag for flag in ours if flag not in ("--seed", "--enforce-eager")] == list(ORDER)


def test_the_smallest_claim_gives_the_defaults() -> None:
    plan = scene.planned(scene.of(), PLAIN)
    assert serve_plan(plan) == [
        plan.storage.directories[0].path,
        "--served-model-name=model",
        "--max-model-len=4096",
        "--max-num-seqs=64",
        "--gpu-memory-utilization=0.92",
        "--enable-prefix-caching",
        "--shutdown-timeout=120",
    ]


@pytest.mark.pitfall("--model warns and is to be removed")
def test_the_model_is_positional_and_named_by_the_claim() -> None:
    arguments = serve(scene.of())
    assert arguments[0].startswith("/models/base-")
    assert not any(argument.startswith("--model=") for argument in arguments)
    assert scene.values(arguments)["--served-model-name"] == "model"


@pytest.mark.pitfall("numbers from a protobuf Struct print as 8192.0")
@pytest.mark.parametrize("name", cluster.EXAMPLES)
@pytest.mark.parametrize("profile", cluster.PROFILES)
def test_no_argument_holds_a_decoded_float(name: str, profile: str) -> None:
    """A Struct's numbers are doubles: 32768 must not become 32768.0 on its way."""
    world = scene.serving(cluster.example(name), cluster.environment(profile))
    values = scene.values(world.arguments)
    for flag in ("--max-model-len", "--max-num-seqs", "--shutdown-timeout", "--max-lora-rank"):
        assert str(values.get(flag, "0")).isdigit(), (flag, values[flag])


@pytest.mark.decision(3)
@pytest.mark.parametrize(
    ("quantization", "flag"),
    [
        (None, None),
        ("auto", None),
        ("fp16", None),
        ("fp8", "fp8"),
        ("awq", None),
        ("gptq", None),
        ("bitsandbytes", None),
        ("compressed-tensors", None),
        ("modelopt", None),
        ("mxfp4", None),
    ],
)
def test_only_online_quantization_is_a_flag(quantization: str | None, flag: str | None) -> None:
    model = {} if quantization is None else {"quantization": quantization}
    assert flag_values(model=model).get("--quantization") == flag


@pytest.mark.pitfall("gpu.count 2 loads on one GPU")
@pytest.mark.parametrize("count", range(1, 5))
def test_tensor_parallel_follows_the_gpu_count(count: int) -> None:
    values = flag_values(gpu={"count": count})
    assert values.get("--tensor-parallel-size") == (None if count == 1 else str(count))


@pytest.mark.pitfall("the prefix cache cannot be turned off")
@pytest.mark.parametrize(
    ("prefix", "runner", "flag"),
    [
        (None, None, "--enable-prefix-caching"),
        ({}, None, "--enable-prefix-caching"),
        ({"enabled": True}, None, "--enable-prefix-caching"),
        ({"enabled": False}, None, "--no-enable-prefix-caching"),
        (None, "pooling", None),
        ({"enabled": True}, "pooling", "--enable-prefix-caching"),
        ({"enabled": False}, "pooling", "--no-enable-prefix-caching"),
    ],
)
def test_the_prefix_cache_can_be_turned_off(
    prefix: cluster.Object | None, runner: str | None, flag: str | None
) -> None:
    """`--no-enable-x` is the only spelling of "off" that both 0.32 and 0.33 accept."""
    model = {} if runner is None else {"runner": runner}
    spec: dict[str, Any] = {} if prefix is None else {"cache": {"prefixCache": prefix}}
    arguments = [a for a in serve(scene.of(model=model, **spec)) if "prefix-caching" in a]
    assert arguments == ([] if flag is None else [flag])


@pytest.mark.pitfall("KV offload makes decoding slow and leaves the KV cache as it was")
@pytest.mark.parametrize(
    ("offload", "size"),
    [
        (None, None),
        ({"enabled": False, "sizeGB": 8}, None),
        ({"sizeGB": 8}, None),
        ({"enabled": True}, "16"),
        ({"enabled": True, "sizeGB": 8}, "8"),
    ],
)
def test_kv_blocks_are_offloaded_and_never_weights(
    offload: cluster.Object | None, size: str | None
) -> None:
    values = flag_values(cache={} if offload is None else {"kvOffload": offload})
    assert values.get("--kv-offloading-size") == size
    assert "--cpu-offload-gb" not in values
    assert "--swap-space" not in values


@pytest.mark.pitfall("the share of GPU memory cannot be set")
@pytest.mark.pitfall("the engine runs out of memory at the start: no reserve beside its share")
@pytest.mark.parametrize(
    ("sequences", "chosen", "utilization"),
    [(255, None, "0.92"), (256, None, "0.90"), (256, "0.5", "0.5"), (1, "0.98", "0.98")],
)
def test_memory_utilization(sequences: int, chosen: str | None, utilization: str) -> None:
    gpu = {} if chosen is None else {"memoryUtilization": chosen}
    values = flag_values(model={"maxNumSeqs": sequences}, gpu=gpu)
    assert values["--gpu-memory-utilization"] == utilization


@pytest.mark.pitfall("tool calls answer 400: parser flags are missing")
def test_a_tool_parser_turns_tool_calls_on() -> None:
    values = flag_values(model={"toolCallParser": "hermes"})
    assert values["--tool-call-parser"] == "hermes"
    assert values["--enable-auto-tool-choice"] is None
    assert "--enable-auto-tool-choice" not in flag_values()


@pytest.mark.pitfall("the LoRA rank is fixed at 64")
@pytest.mark.parametrize(("rank", "flag"), [(None, "64"), (8, "8"), (512, "512")])
def test_the_lora_rank_is_legal(rank: int | None, flag: str) -> None:
    model = {} if rank is None else {"maxLoraRank": rank}
    values = flag_values(model=model, loraAdapters=scene.ADAPTERS)
    assert values["--max-lora-rank"] == flag
    assert values["--max-loras"] == "2"


@pytest.mark.pitfall("an adapter's name is prefixed twice")
def test_adapters_are_one_flag_with_many_values() -> None:
    """A repeated flag would keep the last adapter only; names are served verbatim."""
    arguments = serve(scene.of(loraAdapters=scene.ADAPTERS))
    at = arguments.index("--lora-modules")
    names = [
        value.partition("=")[0]
        for value in itertools.takewhile(lambda a: not a.startswith("--"), arguments[at + 1 :])
    ]
    assert names == ["sql", "law"]
    assert arguments.count("--lora-modules") == 1


def test_a_rank_without_adapters_gives_no_lora_flag() -> None:
    assert not [a for a in serve(scene.of(model={"maxLoraRank": 8})) if "lora" in a]


def test_streaming() -> None:
    assert "--load-format" not in flag_values(model={"streaming": {"concurrency": 4}})
    values = flag_values(model={"streaming": {"enabled": True}})
    assert values["--load-format"] == "runai_streamer"
    assert "--model-loader-extra-config" not in values


def test_pooling_has_a_runner_and_no_generation_flags() -> None:
    values = flag_values(model={"runner": "pooling"})
    assert values["--runner"] == "pooling"
    assert not {"--task", "--enable-prefix-caching", "--enable-auto-tool-choice"} & set(values)


@pytest.mark.decision(4)
@pytest.mark.parametrize(
    ("argument", "ours"),
    [
        ("--tensor-parallel-size=4", "--tensor-parallel-size"),
        ("--tensor_parallel_size=4", "--tensor-parallel-size"),
        ("--Tensor-Parallel-Size=4", "--tensor-parallel-size"),
        ("--kv-offloading-size=3", "--kv-offloading-size"),
        ("--shutdown-timeout=5", "--shutdown-timeout"),
    ],
)
def test_the_authors_flag_replaces_ours_and_comes_last(argument: str, ours: str) -> None:
    arguments = serve(
        scene.of(
            gpu={"count": 2},
            cache={"kvOffload": {"enabled": True}},
            engineArgs=[argument, "--seed=3"],
        )
    )
    assert arguments[-2:] == [argument, "--seed=3"]
    assert ours not in scene.values(arguments[:-2])
    # The argument replaces no other flag.
    assert "--max-num-seqs" in scene.values(arguments)


def test_a_flag_that_only_resembles_ours_replaces_nothing() -> None:
    arguments = serve(scene.of(engineArgs=["--max-num-batched-tokens=8192", "--dtype=half"]))
    assert scene.values(arguments)["--max-num-seqs"] == "64"
    assert arguments[-2:] == ["--max-num-batched-tokens=8192", "--dtype=half"]


@pytest.mark.pitfall("the engine crashes with an external KV cache on")
@pytest.mark.parametrize(
    "removed",
    [
        "--model",
        "--swap-space",
        "--task",
        "--disable-log-requests",
        "--disable-log-stats",
        "--cpu-offload-gb",
        "--kv-offloading-backend",
        "--kv-transfer-config",
        "--api-key",
        "--trust-remote-code",
    ],
)
def test_flags_that_must_not_be_there(removed: str) -> None:
    assert removed not in scene.values(serve(EVERYTHING))


def test_booleans_are_bare_and_values_are_joined() -> None:
    """`--enable-x=true` is an error, and a value after a space could be read as a flag."""
    for argument in serve(EVERYTHING):
        if argument.startswith("--enable"):
            assert "=" not in argument
    assert command_line.CommandLine.read(serve(EVERYTHING)).sets("max-model-len")
    bare = [f for f, value in scene.values(serve(EVERYTHING)).items() if value is None]
    assert sorted(bare) == [
        "--enable-auto-tool-choice",
        "--enable-lora",
        "--enable-prefix-caching",
        "--enforce-eager",
        "--lora-modules",
    ]
