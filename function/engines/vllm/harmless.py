"""Flags and settings of which a value lets an author do nothing beyond plain tuning."""

from function.engines.vllm import rows

# What is known to do nothing of the kind. `revision`, `tokenizer-revision` and `code-revision`
# choose among commits of a repository that is chosen elsewhere. `override-generation-config` holds
# sampling defaults. `allowed-media-domains` narrows what callers may name. Names that are looked
# up in a registry (parsers, backends, loaders, formats) reach what vLLM ships, no more.
FLAGS: dict[rows.Takes, str] = {
    rows.Takes.NOTHING: """
        aggregate-engine-logging allow-credentials allow-deprecated-quantization async-scheduling
        calculate-kv-scales cohere-is-reasoning-model cudagraph-metrics dcp-q-replicate
        disable-cascade-attn disable-chunked-mm-input disable-custom-all-reduce
        disable-fastapi-docs disable-frontend-multiprocessing disable-hybrid-kv-cache-manager
        disable-log-stats disable-nccl-for-dp-synchronization disable-sliding-window
        disable-uvicorn-access-log enable-batch-sharded-sampling enable-chunked-prefill
        enable-cumem-allocator enable-dbo enable-elastic-ep enable-ep-weight-filter enable-eplb
        enable-expert-parallel enable-fault-tolerance enable-flash-late-interaction
        enable-flashinfer-autotune enable-force-include-usage enable-hc-sp
        enable-layerwise-nvtx-tracing enable-log-deltas enable-log-outputs enable-log-requests
        enable-logging-iteration-details enable-mamba-cache-stochastic-rounding
        enable-mamba-shared-prefix-checkpoint enable-mfu-metrics enable-mixed-moe-lora-format
        enable-mm-embeds enable-moe-shared-loras enable-nccl-comm-suspend enable-offline-docs
        enable-per-request-metrics enable-prompt-embeds enable-prompt-tokens-details
        enable-request-id-headers enable-return-routed-experts enable-scale-out
        enable-server-load-tracking enable-shm-tensor-arena enable-sleep-mode
        enable-tokenizer-info-endpoint enable-tower-connector-lora enable-trace-replay
        enforce-eager exclude-tools-when-tool-choice-none fail-on-environ-validation
        fully-sharded-loras help interleave-mm-strings jit-monitor-verbose kv-cache-metrics
        kv-sharing-fast-prefill language-model-only log-error-stack
        long-prefill-token-threshold-adaptive mm-device-do-normalize mm-encoder-only monokernel
        numa-bind ray-workers-use-nsight return-sampling-mask return-tokens-as-token-ids
        scheduler-reserve-full-isl skip-mm-profiling skip-tokenizer-init
        sleep-mode-offload-cudagraph specialize-active-lora swa-bounded-replay tokens-only
        trust-request-chat-template use-fp64-gumbel use-replayssm
        use-tqdm-on-load""",
    rows.Takes.TEXT: """
        all2all-backend anthropic-disabled-thinking-effort attention-backend
        chat-template-content-format code-revision cohere-format config-format convert
        dcp-comm-backend device-ids disable-access-log-for-endpoints dtype
        expert-placement-strategy fingerprint-mode fingerprint-value gdn-prefill-backend
        jit-monitor-mode kda-decode-backend kda-prefill-backend kv-cache-dtype linear-backend
        log-level logprobs-mode lora-dtype mamba-backend mamba-cache-dtype mamba-cache-mode
        mamba-ssm-cache-dtype mamba-ssu-algorithm mm-encoder-attn-backend mm-encoder-attn-dtype
        mm-encoder-tp-mode mm-hasher-algorithm mm-processor-cache-type mm-processor-device
        mm-tensor-ipc moe-backend offload-backend optimization-level override-attention-dtype
        per-request-spec-decode-metrics performance-mode prefix-caching-hash-algo
        reasoning-parser response-role revision root-path runner safetensors-load-strategy
        scheduling-policy show-hidden-metrics-for-version sleep-mode-backend
        sparse-indexer-topk-backend tokenizer-mode tokenizer-revision tool-strict-level
        uvicorn-log-level video-pruning-method""",
    rows.Takes.WHOLE: """
        api-server-count block-size cp-kv-cache-interleave-size cpu-distributed-timeout-seconds
        data-parallel-size data-parallel-size-local dbo-decode-token-threshold
        dbo-prefill-token-threshold dcp-kv-cache-interleave-size decode-context-parallel-size
        distributed-timeout-seconds dp-supervisor-probe-failure-threshold dp-sync-interval
        elastic-ep-max-dp-size h11-max-header-count h11-max-incomplete-event-size
        long-prefill-token-threshold mamba-block-size mamba-cache-philox-rounds max-cpu-loras
        max-cudagraph-capture-size max-log-len max-logprobs max-long-partial-prefills
        max-lora-cls-labels max-num-active-seqs max-num-partial-prefills max-num-queued-reqs
        max-parallel-loading-workers mm-shm-cache-max-object-size-mb num-gpu-blocks-override
        offload-group-size offload-num-in-group offload-prefetch-step pipeline-parallel-size
        prefill-context-parallel-size prefill-schedule-interval prefix-cache-retention-interval
        prefix-match-unit renderer-num-workers replayssm-buffer-len
        safetensors-prefetch-num-threads seed shutdown-timeout spec-tokens sse-keep-alive-interval
        stream-interval tensor-parallel-size ubatch-size""",
    rows.Takes.SIZE: """
        kv-cache-memory-bytes max-num-batched-tokens max-num-queued-tokens
        max-num-scheduled-tokens safetensors-prefetch-block-size""",
    rows.Takes.NUMBER: """
        dp-supervisor-probe-interval-s dp-supervisor-probe-timeout-s kv-cache-metrics-sample
        kv-offloading-size mm-encoder-fp8-scale-save-margin mm-ipc-gpu-memory-gb
        mm-processor-cache-gb video-pruning-rate watermark""",
    rows.Takes.JSON: """
        allowed-headers allowed-methods allowed-origins custom-histogram-buckets
        default-chat-template-kwargs limit-mm-per-prompt media-io-kwargs override-generation-config
        pt-load-map-location reasoning-effort-map""",
    rows.Takes.MANY: """
        allowed-media-domains collect-detailed-traces cpu-offload-params cudagraph-capture-sizes
        ignore-patterns kv-cache-dtype-skip-layers lora-target-modules numa-bind-cpus
        numa-bind-nodes offload-params sleep-preserve-parameter-names""",
}


# Settings of a part of the engine: numbers, switches and names of what vLLM ships. The fields of a
# configuration class are all keys that there are, so another key is of a version that nobody has
# judged. A map among them has keys of its own.
CONFIGURATIONS: dict[str, str] = {
    "attention-config": """
        backend backend_per_kind disable_flashinfer_prefill disable_flashinfer_q_quantization
        flash_attn_max_num_splits_for_cuda_graph flash_attn_version flex_attn_block_m
        flex_attn_block_n flex_attn_kv_block_size flex_attn_q_block_size
        hisparse_config.device_buffer_size hisparse_config.eager_host_mirror indexer_kv_dtype
        indexer_sparse_logits indexer_tp_shard_min_rows minimax_m3_indexer_cp
        minimax_m3_msa_decode_backend mla_prefill_backend sparse_mla_force_mqa
        sparse_mla_prefill_workspace_factor tokenspeed_mla_min_split_kv
        tq_max_kv_splits_for_cuda_graph trtllm_ragged_backend use_cudnn_prefill
        use_fp4_indexer_cache use_non_causal use_prefill_decode_attention
        use_prefill_query_quantization use_trtllm_attention use_trtllm_ragged_deepseek_prefill""",
    "aux-output-config": "enable_return_routed_experts max_bytes",
    "diffusion-config": "canvas_length max_denoising_steps",
    "engram-config": "cpu_offload dp_shared_memory embedding_across_dp use_thp",
    "eplb-config": """
        communicator enable_migration_batching log_balancedness log_balancedness_interval
        num_redundant_experts policy step_interval use_async window_size""",
    "fault-tolerance-config": "engine_recovery_timeout_sec",
    "ir-op-priority": "fused_add_rms_norm gelu_and_mul_sparse rms_norm",
    "kernel-config": """
        enable_cutedsl_warmup enable_flashinfer_autotune enable_jit_warmup
        enable_rocm_segmented_attn_autotune ir_op_priority.fused_add_rms_norm
        ir_op_priority.gelu_and_mul_sparse ir_op_priority.rms_norm linear_backend
        linear_backend_per_quant moe_backend monokernel sparse_indexer_topk_backend""",
    "pooler-config": """
        dimensions enable_chunked_processing enable_flash_late_interaction logit_bias logit_mean
        logit_sigma max_embed_len pooling_type returned_token_ids seq_pooling_type step_tag_id
        task tok_pooling_type use_activation""",
    "quantization-config": "ignore linear moe targets",
    "reasoning-config": "reasoning_end_str reasoning_parser reasoning_start_str",
    "watermark-config": """
        algorithm allow_target_only_watermarking alpha context_width deduplicate_contexts
        deduplicate_contexts_max_history key prf""",
}
