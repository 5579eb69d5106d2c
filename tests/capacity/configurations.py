"""Figures of public configurations, one model for each family, with the parameters of its files."""

from typing import Any

Config = dict[str, Any]


def decoder(
    architecture: str,
    hidden: int,
    layers: int,
    heads: int,
    kv_heads: int,
    intermediate: int,
    vocabulary: int,
    positions: int,
    **more: Any,
) -> Config:
    """Returns the fields that all decoders have, and more of them."""
    return {
        "architectures": [architecture],
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": intermediate,
        "vocab_size": vocabulary,
        "max_position_embeddings": positions,
        **more,
    }


LLAMA_8B = decoder("LlamaForCausalLM", 4096, 32, 32, 8, 14336, 128256, 131072)

QWEN3_8B = decoder("Qwen3ForCausalLM", 4096, 36, 32, 8, 12288, 151936, 40960, head_dim=128)

GEMMA2_9B = decoder(
    "Gemma2ForCausalLM", 3584, 42, 16, 8, 14336, 256000, 8192, head_dim=256, sliding_window=4096
)

GEMMA3_27B = {
    "architectures": ["Gemma3ForConditionalGeneration"],
    "text_config": decoder(
        "",
        *(5376, 62, 32, 16, 21504, 262208, 131072),
        model_type="gemma3_text",
        head_dim=128,
        sliding_window=1024,
        sliding_window_pattern=6,
        rope_scaling={"factor": 8.0, "rope_type": "linear"},
    ),
    "vision_config": {
        "model_type": "siglip_vision_model",
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_hidden_layers": 27,
        "patch_size": 14,
        "image_size": 896,
    },
}

QWEN3_30B = decoder(
    "Qwen3MoeForCausalLM",
    *(2048, 48, 32, 4, 6144, 151936, 40960),
    head_dim=128,
    moe_intermediate_size=768,
    num_experts=128,
    num_experts_per_tok=8,
)

QWEN3_NEXT = decoder(
    "Qwen3NextForCausalLM",
    *(2048, 48, 16, 2, 5120, 151936, 262144),
    head_dim=256,
    full_attention_interval=4,
    linear_num_key_heads=16,
    linear_num_value_heads=32,
    linear_key_head_dim=128,
    linear_value_head_dim=128,
    linear_conv_kernel_dim=4,
    moe_intermediate_size=512,
    shared_expert_intermediate_size=512,
    num_experts=512,
    num_experts_per_tok=10,
    partial_rotary_factor=0.25,
)

DEEPSEEK_V32 = decoder(
    "DeepseekV32ForCausalLM",
    *(7168, 61, 128, 128, 18432, 129280, 163840),
    q_lora_rank=1536,
    kv_lora_rank=512,
    qk_nope_head_dim=128,
    qk_rope_head_dim=64,
    v_head_dim=128,
    index_n_heads=64,
    index_head_dim=128,
    moe_intermediate_size=2048,
    n_routed_experts=256,
    n_shared_experts=1,
    num_experts_per_tok=8,
    first_k_dense_replace=3,
    topk_method="noaux_tc",
    rope_scaling={"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096},
    quantization_config={"quant_method": "fp8", "weight_block_size": [128, 128]},
)

DEEPSEEK_V2_LITE = decoder(
    "DeepseekV2ForCausalLM",
    *(2048, 27, 16, 16, 10944, 102400, 163840),
    q_lora_rank=None,
    kv_lora_rank=512,
    qk_nope_head_dim=128,
    qk_rope_head_dim=64,
    v_head_dim=128,
    moe_intermediate_size=1408,
    n_routed_experts=64,
    n_shared_experts=2,
    num_experts_per_tok=6,
    first_k_dense_replace=1,
)

MAVERICK_TEXT = decoder(
    "",
    *(5120, 48, 40, 8, 8192, 202048, 1048576),
    head_dim=128,
    intermediate_size_mlp=16384,
    attention_chunk_size=8192,
    num_local_experts=128,
    num_experts_per_tok=1,
    interleave_moe_layer_step=2,
)

MAVERICK = {
    "architectures": ["Llama4ForConditionalGeneration"],
    "text_config": MAVERICK_TEXT,
    "vision_config": {
        "model_type": "llama4_vision_model",
        "hidden_size": 1408,
        "intermediate_size": 5632,
        "num_hidden_layers": 34,
        "patch_size": 14,
        "image_size": 336,
        "projector_input_dim": 4096,
        "projector_output_dim": 4096,
        "vision_output_dim": 4096,
    },
}

NEMOTRON_NANO = {
    **decoder("NemotronHForCausalLM", 2688, 52, 32, 2, 1856, 131072, 262144, head_dim=128),
    "hybrid_override_pattern": "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME",
    "mamba_num_heads": 64,
    "mamba_head_dim": 64,
    "n_groups": 8,
    "ssm_state_size": 128,
    "conv_kernel": 4,
    "mamba_ssm_cache_dtype": "float32",
    "moe_intermediate_size": 1856,
    "moe_shared_expert_intermediate_size": 3712,
    "n_routed_experts": 128,
    "num_experts_per_tok": 6,
}

GPT_OSS_20B = decoder(
    "GptOssForCausalLM",
    *(2880, 24, 64, 8, 2880, 201088, 131072),
    head_dim=64,
    sliding_window=128,
    layer_types=["sliding_attention", "full_attention"] * 12,
    num_local_experts=32,
    num_experts_per_tok=4,
    rope_scaling={
        "rope_type": "yarn",
        "factor": 32.0,
        "original_max_position_embeddings": 4096,
    },
    quantization_config={"quant_method": "mxfp4"},
)

GEMMA4_E2B = {
    "architectures": ["Gemma4ForConditionalGeneration"],
    "text_config": decoder(
        "",
        *(1536, 35, 8, 1, 6144, 262144, 131072),
        head_dim=256,
        global_head_dim=512,
        hidden_size_per_layer_input=256,
        vocab_size_per_layer_input=262144,
        num_kv_shared_layers=20,
        use_double_wide_mlp=True,
        sliding_window=512,
        layer_types=(["sliding_attention"] * 4 + ["full_attention"]) * 7,
    ),
}

BGE_M3 = {
    **decoder("XLMRobertaModel", 1024, 24, 16, 16, 4096, 250002, 8194),
    "type_vocab_size": 1,
}


def puzzle(layers: list[tuple[int | None, float | None]]) -> Config:
    """Returns a Nemotron NAS model of layers with so many heads a group, and so wide a network."""
    return {
        **decoder("DeciLMForCausalLM", 8192, len(layers), 64, 8, 0, 128256, 131072),
        "num_key_value_heads": None,
        "intermediate_size": None,
        "block_configs": [
            {
                "attention": {"n_heads_in_group": group, "no_op": group is None},
                "ffn": {"ffn_mult": width, "no_op": width is None},
            }
            for group, width in layers
        ],
    }


MODELS = [
    *(LLAMA_8B, QWEN3_8B, GEMMA2_9B, GEMMA3_27B, QWEN3_30B, QWEN3_NEXT, DEEPSEEK_V32),
    *(DEEPSEEK_V2_LITE, MAVERICK, NEMOTRON_NANO, GPT_OSS_20B, GEMMA4_E2B, BGE_M3),
    puzzle([(8, 2.625), (None, 5.25), (16, None)]),
]
