"""What a config.json says about a model, and what it does not."""

import collections
import json
from typing import Any

import pytest

from function.capacity import facts, forms, reading
from tests.capacity import configurations

Config = configurations.Config


def read(config: Config, **files: Any) -> facts.Facts:
    return reading.read(config, "org/model", **files)


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        # Parameters of the safetensors files, from the hub.
        (configurations.LLAMA_8B, 8_030_261_248),
        (configurations.QWEN3_8B, 8_190_735_360),
        (configurations.GEMMA2_9B, 9_241_705_984),
        (configurations.GEMMA3_27B, 27_432_406_640),
        (configurations.QWEN3_30B, 30_532_122_624),
        (configurations.DEEPSEEK_V2_LITE, 15_706_484_224),
        (configurations.MAVERICK, 401_583_781_376),
    ],
)
def test_parameters_follow_from_the_fields(config: Config, parameters: int) -> None:
    assert read(config).parameters == parameters


def test_drafts_are_counted_apart() -> None:
    # The hub counts both.
    model = read(configurations.QWEN3_NEXT)
    assert model.parameters + model.draft_parameters == 81_324_862_720


@pytest.mark.parametrize(
    ("config", "kinds"),
    [
        (configurations.LLAMA_8B, {"full": 32}),
        (configurations.GEMMA2_9B, {"window 4096": 21, "full": 21}),
        (configurations.GEMMA3_27B, {"window 1024": 52, "full": 10}),
        (configurations.GPT_OSS_20B, {"window 128": 12, "full": 12}),
        (configurations.MAVERICK, {"window 8192": 36, "full": 12}),
        (configurations.QWEN3_NEXT, {"state": 36, "full": 12}),
        (configurations.NEMOTRON_NANO, {"state": 23, "none": 23, "full": 6}),
        (configurations.DEEPSEEK_V32, {"latent": 61}),
        (configurations.GEMMA4_E2B, {"window 512": 12, "full": 3, "shared": 20}),
        (configurations.LLAMA_8B | {"sliding_window": 4096}, {"window 4096": 32}),
        (configurations.LLAMA_8B | {"sliding_window": 131072}, {"full": 32}),
        (
            configurations.LLAMA_8B | {"sliding_window": 4096, "use_sliding_window": False},
            {"full": 32},
        ),
        (configurations.puzzle([(8, 2.625), (None, 5.25), (16, None)]), {"full": 2, "none": 1}),
    ],
)
def test_layers_are_of_their_kinds(config: Config, kinds: dict[str, int]) -> None:
    counts: collections.Counter[str] = collections.Counter()
    for block in read(config).blocks:
        mixer = block.mixer
        kind = f"window {mixer.window}" if mixer.window else str(mixer.kind)
        counts["shared" if mixer.shares else kind] += block.count
    assert counts == kinds


def test_what_a_sequence_keeps() -> None:
    latent = read(configurations.DEEPSEEK_V32).blocks[0].mixer
    assert (latent.kv_heads, latent.latent, latent.index) == (1, 576, 128)
    state = next(b.mixer for b in read(configurations.QWEN3_NEXT).blocks if b.mixer.state)
    assert (state.state, state.state_bytes, state.convolution) == (32 * 128 * 128, 2, 3 * 8192)
    mamba = next(b.mixer for b in read(configurations.NEMOTRON_NANO).blocks if b.mixer.state)
    assert (mamba.state, mamba.state_bytes, mamba.convolution) == (4096 * 128, 4, 3 * 6144)


def test_experts_and_what_stands_beside_them() -> None:
    dense, sparse = read(configurations.DEEPSEEK_V32).blocks
    assert (dense.count, dense.network.intermediate, dense.network.experts) == (3, 18432, 0)
    assert sparse.count == 58
    assert sparse.network == facts.Network(2048, experts=256, chosen=8, shared=2048)


def test_a_searched_model_has_layers_without_halves() -> None:
    blocks = read(configurations.puzzle([(8, 2.625), (None, 5.25), (16, None)])).blocks
    halves = [(block.mixer.kv_heads, block.network.intermediate) for block in blocks]
    assert halves == [(8, 14336), (0, 28672), (4, 0)]


@pytest.mark.parametrize(
    ("config", "context", "tables"),
    [
        (configurations.LLAMA_8B, 131072, ((131072, 128),)),
        (configurations.GPT_OSS_20B, 131072, ((131072, 64),)),
        (configurations.DEEPSEEK_V32, 163840, ((163840, 64),)),
        # A linear factor makes the table longer, not the context.
        (configurations.GEMMA3_27B, 131072, ((1048576, 128), (131072, 128))),
        (
            configurations.QWEN3_8B
            | {
                "rope_scaling": {
                    "rope_type": "yarn",
                    "factor": 4.0,
                    "original_max_position_embeddings": 32768,
                }
            },
            131072,
            ((131072, 128),),
        ),
        (configurations.QWEN3_NEXT, 262144, ((262144, 64),)),
        (configurations.BGE_M3, 8192, ()),
    ],
)
def test_context_and_rotary_positions(
    config: Config, context: int, tables: tuple[tuple[int, int], ...]
) -> None:
    model = read(config)
    assert (model.context, model.rotary) == (context, tables)


def test_an_encoder_is_run_for_pooling_and_has_one_table() -> None:
    model = read(configurations.BGE_M3)
    assert (model.runner, model.tied) == (facts.Runner.POOLING, True)


# --- packing

COMPRESSED = {"quant_method": "compressed-tensors", "ignore": ["lm_head"]}


def compressed(**weights: Any) -> Config:
    return COMPRESSED | {"config_groups": {"group_0": {"weights": {"symmetric": True} | weights}}}


@pytest.mark.parametrize(
    ("given", "packing"),
    [
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, (8, 16384, 32)),
        ({"quant_method": "fp8", "activation_scheme": "static"}, (8, 0, 0)),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, (4, 128, 20)),
        ({"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True}, (4, 128, 16)),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1, "sym": True}, (8, 0, 16)),
        ({"quant_method": "mxfp4"}, (4, 32, 8)),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, (4, 16, 8)),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, (8, 0, 0)),
        (compressed(num_bits=8, type="float", strategy="channel"), (8, 0, 0)),
        (compressed(num_bits=4, type="int", group_size=32), (4, 32, 16)),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, (4, 64, 32)),
    ],
)
def test_packing_is_read(given: Config, packing: tuple[int, int, int]) -> None:
    held = read(configurations.LLAMA_8B | {"quantization_config": given}).quantization
    assert held is not None
    assert (held.bits, held.group, held.scale_bits) == packing


def test_packing_may_lie_in_a_file_of_its_own() -> None:
    own = {"quantization": {"quant_algo": "NVFP4", "exclude_modules": ["lm_head"]}}
    held = read(configurations.LLAMA_8B | {"hf_quant_config": own}).quantization
    assert held is not None
    assert (held.method, held.bits) == ("modelopt", 4)


@pytest.mark.parametrize(
    ("left_out", "kept"),
    [
        (["lm_head"], set()),
        (["re:.*self_attn.*"], {"qkv_a", "q_b", "kv_b", "out", "index_q", "index_k"}),
        (
            [f"model.layers.{i}.self_attn*" for i in range(61)],
            {"qkv_a", "q_b", "kv_b", "out", "index_q", "index_k"},
        ),
        (["model.layers.3.self_attn*"], set()),
        ([f"model.layers.{i}.self_attn.q_b_proj" for i in range(61)], {"q_b"}),
        (["re:.*shared_experts.*"], {"shared_gate_up", "shared_down"}),
        ([r"re:model\.layers\.\d+\.self_attn\.(q_b_proj|o_proj)$"], {"q_b", "out"}),
        (["re:.*self_attn.q_b$"], set()),
    ],
)
def test_what_a_checkpoint_leaves_in_16_bits(left_out: list[str], kept: set[str]) -> None:
    given = {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": left_out}
    model = read(configurations.DEEPSEEK_V32 | {"quantization_config": given})
    assert model.quantization is not None
    plain = {m.name for m in model.blocks[1].matrices if model.quantization.bits_of(m) == 16}
    assert plain == kept | {"router", "index_weights"}


def test_experts_alone_are_packed_in_mxfp4() -> None:
    model = read(configurations.GPT_OSS_20B)
    assert model.quantization is not None
    bits = {m.name: model.quantization.bits_of(m) for m in model.blocks[0].matrices}
    assert {name for name, size in bits.items() if size == 4} == {
        "experts_gate_up",
        "experts_down",
    }


# --- files


def test_bytes_come_from_the_index_of_the_files() -> None:
    index = {"metadata": {"total_size": 16_060_522_496}, "weight_map": {}}
    assert read(configurations.LLAMA_8B, files=index).checkpoint_bytes == 16_060_522_496
    assert read(configurations.LLAMA_8B, files=5).checkpoint_bytes == 5
    assert read(configurations.LLAMA_8B).checkpoint_bytes is None


# --- errors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architectures": None}, "architectures is missing"),
        ({"architectures": ["RwkvForCausalLM"]}, "RwkvForCausalLM: no formula for it yet"),
        ({"hidden_size": None}, "hidden_size is missing"),
        ({"hidden_size": "4096"}, "hidden_size is '4096': must be a whole number"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0: must be a whole number from 1 to 1000"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000: must be .* to 1000"),
        ({"vocab_size": True}, "vocab_size is True"),
        ({"head_dim": 10**12}, "head_dim is 1000000000000: must be a whole number from 0 to"),
        (
            {"quantization_config": {"quant_method": "fp8", "ignored_layers": ["re:(?!x)"]}},
            r"leaves out 're:\(\?!x\)': nobody translates such an expression",
        ),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings is 'no': must be true or false"),
        ({"torch_dtype": "int3"}, "torch_dtype is 'int3': must be one of"),
        ({"layer_types": ["full_attention"]}, "layer_types is .*: must be a list of at least 32"),
        ({"rope_scaling": [4]}, r"rope_scaling is \[4\]: must be a mapping"),
        ({"quantization_config": {"quant_method": "exl3"}}, "quantization_config.quant_method"),
        (
            {"quantization_config": {"quant_method": "awq", "bits": "4"}},
            "quantization_config.bits is '4'",
        ),
        (
            {"vision_config": {"model_type": "new_vision"}},
            "vision_config.model_type is 'new_vision': no formula for this tower",
        ),
    ],
)
def test_a_field_that_is_wrong_is_named(change: Config, message: str) -> None:
    with pytest.raises(reading.UnreadableError, match=message):
        read(configurations.LLAMA_8B | change)


def test_a_field_inside_is_named_with_its_place() -> None:
    text = configurations.MAVERICK_TEXT | {"intermediate_size_mlp": None}
    with pytest.raises(reading.UnreadableError, match=r"text_config\.intermediate_size_mlp is mis"):
        read(configurations.MAVERICK | {"text_config": text})


# --- the short form


@pytest.mark.parametrize("config", configurations.MODELS)
def test_the_short_form_holds_all(config: Config) -> None:
    model = read(config)
    assert forms.read(json.loads(json.dumps(forms.document(model)))) == model
