"""What each flag of `vllm serve` is and can do, for every supported version.

The table holds each flag of 0.18.0, 0.25.1, 0.32.0 and 0.33.0 (their own parsers, recorded under
`tests/engines/vllm/recorded`). What a flag can do was read in vLLM's source: where its value is
imported, opened, connected to or listened on. An author of claims is no author of pods, so the
question is what a value lets the author do that the claim's fields do not.

A flag that takes JSON is judged key by key. Where a key can carry code, a key that is not listed
counts as the worst that the flag can do. Where a flag's keys are the fields of a class and none
does harm, a key that is not listed counts as an unknown flag. A flag of text or open maps is plain
as a whole.
"""

import dataclasses
import enum
import re
from collections.abc import Callable, Iterator, Mapping, Sequence


class Kind(enum.StrEnum):
    """What a flag can do, in the hands of an author of claims."""

    PLAIN = "plain"
    MANAGED = "managed"
    CODE = "loads code"
    FILES = "reads or writes files"
    CONNECTS = "opens connections"
    LISTENS = "listens"
    SECRET = "carries a secret"  # noqa: S105
    UNKNOWN = "unknown"


class Takes(enum.StrEnum):
    """What follows a flag."""

    NOTHING = "nothing"
    TEXT = "text"
    WHOLE = "whole number"
    SIZE = "whole number or size, such as 8k"
    NUMBER = "number"
    JSON = "JSON"
    OPTIONAL = "text or nothing"
    MANY = "several values"


Judge = Callable[[str], bool]


@dataclasses.dataclass(frozen=True)
class Rule:
    """What one key of a JSON flag can do.

    Attributes:
        kind: The worst of it.
        plain: Tells whether a value does no harm, or None when no value is known not to.
        lists: Whether a list of such values does no harm either.
    """

    kind: Kind
    plain: Judge | None = None
    lists: bool = False


@dataclasses.dataclass(frozen=True)
class Flag:
    """One flag.

    Attributes:
        name: Without the leading dashes.
        kind: The worst that it can do; of a JSON flag, what a key does that `keys` lacks.
        takes: What follows it.
        why: What it does, as the end of a sentence that the flag begins.
        plain: Tells whether a value does no harm, or None when no value is known not to.
        keys: Rules of a JSON flag by dotted path. A rule holds for all below its path too, unless
            a longer path has its own. `*.name` is a key of that name at any depth,
            `*_end` one whose name ends so, at any depth too.
        repeats: Whether a second use adds to the first. Otherwise the last use counts.
    """

    name: str
    kind: Kind = Kind.PLAIN
    takes: Takes = Takes.TEXT
    why: str = ""
    plain: Judge | None = None
    keys: Mapping[str, Rule] = dataclasses.field(default_factory=dict)
    repeats: bool = False


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
MANAGED = tuple(INSTEAD)

_MANAGED_TAKES = {
    "cpu-offload-gb": Takes.NUMBER,
    "enable-auto-tool-choice": Takes.NOTHING,
    "enable-lora": Takes.NOTHING,
    "enable-prefix-caching": Takes.NOTHING,
    "gpu-memory-utilization": Takes.NUMBER,
    "lora-modules": Takes.MANY,
    "max-lora-rank": Takes.WHOLE,
    "max-loras": Takes.WHOLE,
    "max-model-len": Takes.SIZE,
    "max-num-seqs": Takes.WHOLE,
    "model-loader-extra-config": Takes.JSON,
    "port": Takes.WHOLE,
    "served-model-name": Takes.MANY,
}

# Second names of a flag, from 0.32.
ALIASES = {"device-memory-utilization": "gpu-memory-utilization"}

# Names with a single dash. An author cannot write them: an argument starts with two.
SHORT = {
    "-O": "optimization-level",
    "-ac": "attention-config",
    "-asc": "api-server-count",
    "-cc": "compilation-config",
    "-dc": "diffusion-config",
    "-dcp": "decode-context-parallel-size",
    "-dp": "data-parallel-size",
    "-dpa": "data-parallel-address",
    "-dpb": "data-parallel-backend",
    "-dpe": "data-parallel-external-lb",
    "-dph": "data-parallel-hybrid-lb",
    "-dpl": "data-parallel-size-local",
    "-dpm": "data-parallel-multi-port-external-lb",
    "-dpn": "data-parallel-rank",
    "-dpp": "data-parallel-rpc-port",
    "-dpr": "data-parallel-start-rank",
    "-ep": "enable-expert-parallel",
    "-h": "help",
    "-n": "nnodes",
    "-pcp": "prefill-context-parallel-size",
    "-pp": "pipeline-parallel-size",
    "-q": "quantization",
    "-r": "node-rank",
    "-sc": "speculative-config",
    "-tp": "tensor-parallel-size",
}

# What is known to do nothing of the kind. `revision`, `tokenizer-revision` and `code-revision`
# choose among commits of a repository that is chosen elsewhere. `override-generation-config` holds
# sampling defaults. `allowed-media-domains` narrows what callers may name. Names that are looked
# up in a registry (parsers, backends, loaders, formats) reach what vLLM ships, no more.
_PLAIN: dict[Takes, str] = {
    Takes.NOTHING: """
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
    Takes.TEXT: """
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
    Takes.WHOLE: """
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
    Takes.SIZE: """
        kv-cache-memory-bytes max-num-batched-tokens max-num-queued-tokens
        max-num-scheduled-tokens safetensors-prefetch-block-size""",
    Takes.NUMBER: """
        dp-supervisor-probe-interval-s dp-supervisor-probe-timeout-s kv-cache-metrics-sample
        kv-offloading-size mm-encoder-fp8-scale-save-margin mm-ipc-gpu-memory-gb
        mm-processor-cache-gb video-pruning-rate watermark""",
    Takes.JSON: """
        allowed-headers allowed-methods allowed-origins custom-histogram-buckets
        default-chat-template-kwargs limit-mm-per-prompt media-io-kwargs override-generation-config
        pt-load-map-location reasoning-effort-map""",
    Takes.MANY: """
        allowed-media-domains collect-detailed-traces cpu-offload-params cudagraph-capture-sizes
        ignore-patterns kv-cache-dtype-skip-layers lora-target-modules numa-bind-cpus
        numa-bind-nodes offload-params sleep-preserve-parameter-names""",
}


# Settings of a part of the engine: numbers, switches and names of what vLLM ships. The fields of a
# configuration class are all keys that there are, so another key is of a version that nobody has
# judged. A map among them has keys of its own.
_CONFIGURATIONS: dict[str, str] = {
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


def _one_of(*values: str) -> Judge:
    return frozenset(values).__contains__


_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")


def _model(value: str) -> bool:
    """Tells whether a value is a repository owner/name, or lies below the model's volume."""
    if ".." in value.split("/"):
        return False
    return value.startswith("/models/") or _REPOSITORY.fullmatch(value) is not None


def _template(value: str) -> bool:
    """Tells whether a chat template is the text itself, the model's own or one of the image's.

    vLLM opens the value first, and takes it as text only when no file has that name. A template
    ends in the prompt, so any file that is taken for one can be read through the model:
    `/proc/self/environ` holds the pod's Secrets.
    """
    if ".." in value.split("/"):
        return False
    if any(brace in value for brace in "{}\n"):
        return True
    # An image may have any directory as its own: / too.
    if not value.startswith("/"):
        return not of_the_system(f"/{value}", ())
    return value.startswith(("/models/", "/vllm-workspace/"))


# Where the kernel, the kubelet and the distribution keep files; no image has its templates there.
_SYSTEM = ("/dev", "/etc", "/proc", "/run", "/sys", "/var/run")


def of_the_system(path: str, mounted: Sequence[str]) -> bool:
    """Tells whether an absolute path without `..` is a file of the system.

    Args:
        path: The path.
        mounted: Directories of volumes that the claim itself mounts: below a system's directory
            too, their files are the claim's.
    """
    for directory in _SYSTEM:
        if f"{path}/".startswith(f"{directory}/"):
            own = [place.rstrip("/") for place in mounted if place.startswith(f"{directory}/")]
            return not any(place != directory and path.startswith(f"{place}/") for place in own)
    return False


def _word(value: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_.-]+", value) is not None


_rotary_type = _one_of(
    "default", "deepseek_yarn", "dynamic", "linear", "llama3", "longrope", "ntk", "yarn"
)


def _figure(value: str) -> bool:
    """Tells whether a value is a number or a switch, as JSON has them."""
    return re.fullmatch(r"True|False|-?[0-9]+([.][0-9]+)?(e[+-]?[0-9]+)?", value) is not None


_OPEN = Rule(Kind.PLAIN)


def _keys(names: str, kind: Kind = Kind.PLAIN) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), Rule(kind))


# A key of `kv_connector_extra_config` is read by the connector, each its own. These are of the two
# connectors that keep blocks in the pod's memory. All others have module paths, directories or
# addresses among their keys (`spec_module_path`, `secondary_tiers`, `disk_path`).
_OFFLOADING = "kv_connector_extra_config."
_KV_TRANSFER = {
    "kv_connector": Rule(
        Kind.CONNECTS, _one_of("OffloadingConnector", "SimpleCPUOffloadConnector")
    ),
    "kv_connector_module_path": Rule(Kind.CODE),
    # Part of a file's name in /dev/shm.
    "engine_id": Rule(Kind.FILES, _word),
    "kv_ip": Rule(Kind.CONNECTS),
    "kv_port": Rule(Kind.CONNECTS),
    "kv_connector_extra_config": Rule(Kind.CODE),
    **{
        _OFFLOADING + key: _OPEN
        for key in (
            "block_size",
            "blocks_per_chunk",
            "cpu_bytes_to_use",
            "cpu_bytes_to_use_per_rank",
            "lazy_offload",
            "max_tracker_size",
            "num_cpu_blocks",
            "offload_prompt_only",
            "store_threshold",
        )
    },
    _OFFLOADING + "eviction_policy": Rule(Kind.CODE, _one_of("lru", "arc")),
    _OFFLOADING + "spec_name": Rule(Kind.CODE, _one_of("CPUOffloadingSpec")),
} | _keys(
    """
    enable_permute_local_kv kv_buffer_device kv_buffer_size kv_load_failure_policy
    kv_parallel_size kv_rank kv_role
    """
)

_EC_TRANSFER = _keys(
    """
    ec_buffer_device ec_buffer_size ec_connector ec_ip ec_parallel_size ec_port ec_rank ec_role
    engine_id
    """,
    Kind.CONNECTS,
) | {"ec_connector_module_path": Rule(Kind.CODE), "ec_connector_extra_config": Rule(Kind.CODE)}

# `custom_class` imports `model`, and so does every version from 0.25 by itself when it is a
# dotted path without a slash.
_METHOD_OF_CODE = "custom_class"
_SPECULATIVE = {
    "method": Rule(Kind.CODE, lambda value: value != _METHOD_OF_CODE),
    "model": Rule(
        Kind.CODE, lambda value: _model(value) or value in ("ngram", "[ngram]", "suffix")
    ),
    # A whole loader, with its files and addresses.
    "draft_load_config": Rule(Kind.CODE),
    # Objects of the engine's own, which it makes itself.
    "draft_model_config": Rule(Kind.CODE),
    "draft_parallel_config": Rule(Kind.CODE),
    "target_model_config": Rule(Kind.CODE),
    "target_parallel_config": Rule(Kind.CODE),
} | _keys(
    """
    attention_backend code_revision disable_eagle_block_drop disable_lookahead_block_hashes
    disable_padded_drafter_batch draft_lm_head_quantization draft_sample_method
    draft_tensor_parallel_size dspark_draft_topk enable_adaptive_verification enforce_eager
    fly_entropy_threshold fly_entropy_top_k fly_window_size index_share_for_mtp_iteration
    kv_cache_dtype max_model_len moe_backend num_speculative_tokens
    num_speculative_tokens_per_batch_size parallel_drafting prompt_lookup_max prompt_lookup_min
    quantization rejection_sample_method revision speculative_token_tree
    suffix_decoding_max_cached_requests suffix_decoding_max_spec_factor
    suffix_decoding_max_tree_depth suffix_decoding_min_token_prob synthetic_acceptance_length
    synthetic_acceptance_rates tensor_parallel_size use_heterogeneous_vocab
    use_local_argmax_reduction xpress_topc
    """
)

_COMPILATION = {
    # A level alone, as older versions took it.
    "": Rule(Kind.CODE, str.isdigit),
    # Any other name is imported.
    "backend": Rule(Kind.CODE, _one_of("", "eager", "inductor")),
    # Compiled code is loaded from it.
    "cache_dir": Rule(Kind.CODE, _one_of("")),
    # Options of Inductor: passes, and the compiler that it runs.
    "inductor_compile_config": Rule(Kind.CODE),
    "inductor_passes": Rule(Kind.CODE),
    "debug_dump_path": Rule(Kind.FILES),
} | _keys(
    """
    compile_cache_save_format compile_mm_encoder compile_ranges_endpoints compile_sizes
    cudagraph_capture_sizes cudagraph_copy_inputs cudagraph_decoder_replay cudagraph_mm_encoder
    cudagraph_mode cudagraph_num_of_warmups cudagraph_specialize_lora custom_ops
    decoder_replay_cudagraph_capture_sizes decoder_replay_trim_threshold dynamic_shapes_config
    encoder_cudagraph_max_frames_per_batch encoder_cudagraph_max_vision_items_per_batch
    encoder_cudagraph_token_budgets fast_moe_cold_start ir_enable_torch_wrap
    max_cudagraph_capture_size mode pass_config splitting_ops use_inductor_graph_partition
    """
)

# How positions are scaled. vLLM picks one of its own classes by the type and hands it the numbers
# (`get_rope`); with another type it ends. A model whose layers differ has a map for each kind of
# layer, and one that reads images has all of it in `text_config`.
_ROTARY = {
    f"{whole}{parameters}{layers}.{key}": Rule(Kind.CODE, judge, lists=judge is not _rotary_type)
    for whole in ("", "text_config.")
    for parameters in ("rope_parameters", "rope_scaling")
    for layers in ("", ".full_attention", ".sliding_attention")
    for keys, judge in (
        ("rope_type type", _rotary_type),
        (
            """
            alpha apply_yarn_scaling attention_factor attn_factor beta_fast beta_slow
            extrapolation_factor factor high_freq_factor long_factor long_mscale low_freq_factor
            mixed_b mrope_interleaved mrope_section mscale mscale_all_dim
            original_max_position_embeddings partial_rotary_factor rope_theta short_factor
            short_mscale truncate
            """,
            _figure,
        ),
    )
    for key in keys.split()
}

_PROFILER = {
    "torch_profiler_dir": Rule(Kind.FILES, _one_of("")),
    "proton_profiler_dir": Rule(Kind.FILES, _one_of("")),
} | _keys(
    """
    active_iterations capture_torch_profiler delay_iterations detailed_trace_annotation
    ignore_frontend max_iterations profiler proton_backend proton_context proton_data
    proton_graph_attribution proton_hook proton_mode proton_output_format
    torch_profiler_activities torch_profiler_dump_cuda_time_total torch_profiler_record_shapes
    torch_profiler_use_gzip torch_profiler_with_flops torch_profiler_with_memory
    torch_profiler_with_stack wait_iterations warmup_iterations
    """
)

_IMPORTS = "imports what it names"
_OTHER_HOSTS = "connects the engine to others, or has it wait for them"
_TLS = "names files of the server's TLS; probes, Service and gateway speak HTTP"
_READABLE = "is readable in the claim and the pod: take the variable of it from a Secret"

_DANGEROUS = (
    # Code.
    Flag("trust-remote-code", Kind.CODE, Takes.NOTHING, "runs code of the repository"),
    Flag(
        "trust-request-mm-kwargs",
        Kind.CODE,
        Takes.NOTHING,
        "lets callers say where the processor's code comes from",
    ),
    Flag("tool-parser-plugin", Kind.CODE, why=_IMPORTS),
    Flag("reasoning-parser-plugin", Kind.CODE, why=_IMPORTS),
    Flag("middleware", Kind.CODE, why=_IMPORTS, repeats=True),
    Flag("logits-processors", Kind.CODE, Takes.MANY, _IMPORTS),
    Flag("worker-cls", Kind.CODE, why=_IMPORTS, plain=_one_of("auto")),
    Flag("worker-extension-cls", Kind.CODE, why=_IMPORTS),
    Flag("scheduler-cls", Kind.CODE, why=_IMPORTS),
    Flag("io-processor-plugin", Kind.CODE, why="loads a plugin"),
    Flag("model-class-overrides", Kind.CODE, Takes.JSON, _IMPORTS),
    Flag(
        "hf-overrides",
        Kind.CODE,
        Takes.JSON,
        "can choose the classes that the model is made of",
        keys=_ROTARY,
    ),
    Flag(
        "model-impl",
        Kind.CODE,
        why="runs modelling code outside of vLLM",
        plain=_one_of("auto", "vllm"),
    ),
    Flag("log-config-file", Kind.CODE, why="names a file whose entries are called"),
    Flag(
        "logging-config",
        Kind.CODE,
        Takes.JSON,
        "names a file whose entries are called",
        keys=_keys("configure_logging formatter log_level")
        | {"pylogging_config_file": Rule(Kind.CODE)},
    ),
    Flag(
        "structured-outputs-config",
        Kind.CODE,
        Takes.JSON,
        "imports a plugin",
        keys=_keys(
            """
            backend disable_additional_properties disable_any_whitespace enable_in_reasoning
            reasoning_parser
            """
        )
        | {"reasoning_parser_plugin": Rule(Kind.CODE)},
    ),
    Flag(
        "ec-manager-config",
        Kind.CODE,
        Takes.JSON,
        _IMPORTS,
        keys={
            "encoder_cache_manager_cls": Rule(Kind.CODE),
            "manager_config": Rule(Kind.CODE),
        },
    ),
    Flag("additional-config", Kind.CODE, Takes.JSON, "is handed to plugins as it is"),
    Flag(
        "compilation-config",
        Kind.CODE,
        Takes.JSON,
        "imports or compiles what it names",
        keys=_COMPILATION,
    ),
    Flag(
        "kv-transfer-config",
        Kind.CODE,
        Takes.JSON,
        "imports a connector, or opens its connections and files",
        keys=_KV_TRANSFER,
    ),
    Flag(
        "ec-transfer-config",
        Kind.CODE,
        Takes.JSON,
        "imports a connector, or opens its connections",
        keys=_EC_TRANSFER,
    ),
    Flag(
        "speculative-config",
        Kind.CODE,
        Takes.JSON,
        "imports a proposer, or loads a model from elsewhere",
        keys=_SPECULATIVE,
    ),
    Flag(
        "spec-method",
        Kind.CODE,
        why="imports a proposer",
        plain=lambda value: value != _METHOD_OF_CODE,
    ),
    Flag(
        "spec-model",
        Kind.CODE,
        why="imports a proposer, or loads a model from elsewhere",
        plain=_SPECULATIVE["model"].plain,
    ),
    Flag(
        "distributed-executor-backend",
        Kind.CODE,
        why="imports an executor, or starts Ray",
        plain=_one_of("mp", "uni", "external_launcher"),
    ),
    Flag(
        "mm-processor-kwargs",
        Kind.PLAIN,
        Takes.JSON,
        "chooses where the processor's code and files come from",
        # All go to the processor of the model's own directory; these would leave it.
        keys={
            "*.auto_map": Rule(Kind.CODE),
            # Each tokenizer names its files by itself: vocab_file, merges_file, spm_file, ...
            "*_dir": Rule(Kind.FILES),
            "*_file": Rule(Kind.FILES),
            "*_filename": Rule(Kind.FILES),
            "*_path": Rule(Kind.FILES),
            "*.code_revision": Rule(Kind.CODE),
            "*.proxies": Rule(Kind.CONNECTS),
            "*.subfolder": Rule(Kind.FILES),
            "*.token": Rule(Kind.SECRET),
            "*.trust_remote_code": Rule(Kind.CODE),
            "*.use_auth_token": Rule(Kind.SECRET),
        },
    ),
    # Files. A path below /models is the model's own volume, which the claim reads anyway.
    Flag(
        "allowed-local-media-path",
        Kind.FILES,
        why="lets callers read files of the pod",
    ),
    Flag("chat-template", Kind.FILES, why="puts a file into the prompt", plain=_template),
    Flag("tokenizer", Kind.FILES, why="reads files outside of the model's volume", plain=_model),
    Flag(
        "hf-config-path", Kind.FILES, why="reads files outside of the model's volume", plain=_model
    ),
    Flag(
        "generation-config",
        Kind.FILES,
        why="reads files outside of the model's volume",
        plain=lambda value: _model(value) or value in ("auto", "vllm"),
    ),
    Flag(
        "default-mm-loras",
        Kind.FILES,
        Takes.JSON,
        "reads adapters outside of the model's volume",
        keys={"*": Rule(Kind.FILES, _model)},
    ),
    Flag("download-dir", Kind.FILES, why="writes files where it says"),
    Flag("mm-encoder-fp8-scale-path", Kind.FILES, why="reads the file that it names", plain=_model),
    Flag("mm-encoder-fp8-scale-save-path", Kind.FILES, why="writes the file that it names"),
    Flag("profiler-config", Kind.FILES, Takes.JSON, "writes files where it says", keys=_PROFILER),
    Flag(
        "watchdog-config",
        Kind.FILES,
        Takes.JSON,
        "writes files where it says",
        keys=_keys("check_interval timeout") | {"dump_dir": Rule(Kind.FILES)},
    ),
    Flag("ssl-ca-certs", Kind.FILES, why=_TLS),
    Flag("ssl-certfile", Kind.FILES, why=_TLS),
    Flag("ssl-keyfile", Kind.FILES, why=_TLS),
    Flag("ssl-cert-reqs", Kind.FILES, Takes.WHOLE, _TLS),
    Flag("ssl-ciphers", Kind.FILES, why=_TLS),
    Flag("enable-ssl-refresh", Kind.FILES, Takes.NOTHING, _TLS),
    # Connections.
    Flag("otlp-traces-endpoint", Kind.CONNECTS, why="sends traces to the address that it names"),
    Flag("tool-server", Kind.CONNECTS, why="connects to tool servers, or runs the model's code"),
    Flag(
        "kv-offloading-backend",
        Kind.CONNECTS,
        why="connects to a cache server",
        plain=_one_of("native"),
    ),
    Flag(
        "weight-transfer-config",
        Kind.CONNECTS,
        Takes.JSON,
        "takes weights from others",
        keys={"backend": Rule(Kind.CONNECTS)},
    ),
    Flag("data-parallel-address", Kind.CONNECTS, why=_OTHER_HOSTS),
    Flag("data-parallel-backend", Kind.CONNECTS, why=_OTHER_HOSTS, plain=_one_of("mp")),
    Flag("data-parallel-rank", Kind.CONNECTS, Takes.WHOLE, _OTHER_HOSTS),
    Flag("data-parallel-start-rank", Kind.CONNECTS, Takes.WHOLE, _OTHER_HOSTS),
    Flag("data-parallel-external-lb", Kind.CONNECTS, Takes.NOTHING, _OTHER_HOSTS),
    Flag("data-parallel-hybrid-lb", Kind.CONNECTS, Takes.NOTHING, _OTHER_HOSTS),
    Flag("headless", Kind.CONNECTS, Takes.NOTHING, _OTHER_HOSTS),
    Flag("master-addr", Kind.CONNECTS, why=_OTHER_HOSTS),
    Flag("master-port", Kind.CONNECTS, Takes.WHOLE, _OTHER_HOSTS),
    Flag("nnodes", Kind.CONNECTS, Takes.WHOLE, _OTHER_HOSTS, plain=_one_of("1")),
    Flag("node-rank", Kind.CONNECTS, Takes.WHOLE, _OTHER_HOSTS, plain=_one_of("0")),
    # Sockets beside the one of the Service.
    Flag("data-parallel-rpc-port", Kind.LISTENS, Takes.WHOLE, "opens a port"),
    Flag("data-parallel-supervisor-port", Kind.LISTENS, Takes.WHOLE, "opens a port"),
    Flag(
        "data-parallel-multi-port-external-lb", Kind.LISTENS, Takes.NOTHING, "opens a port a rank"
    ),
    Flag("grpc", Kind.LISTENS, Takes.NOTHING, "takes the port of the Service for another protocol"),
    Flag("grpc-port", Kind.LISTENS, Takes.WHOLE, "opens a port"),
    Flag("uds", Kind.LISTENS, why="listens on a socket file in place of the port"),
    Flag(
        "kv-events-config",
        Kind.LISTENS,
        Takes.JSON,
        "publishes on a port",
        keys=_keys(
            """
            buffer_steps enable_kv_cache_events endpoint hwm max_queue_size publisher
            replay_endpoint topic
            """,
            Kind.LISTENS,
        ),
    ),
    # Secrets: nobody gains anything, and everyone who reads the claim learns them.
    Flag("api-key", Kind.SECRET, Takes.MANY, _READABLE),
    Flag("hf-token", Kind.SECRET, Takes.OPTIONAL, _READABLE),
)


def _table() -> Iterator[Flag]:
    for name, instead in INSTEAD.items():
        yield Flag(name, Kind.MANAGED, _MANAGED_TAKES.get(name, Takes.TEXT), instead)
    for takes, names in _PLAIN.items():
        yield from (Flag(name, Kind.PLAIN, takes) for name in names.split())
    for name, keys in _CONFIGURATIONS.items():
        why = "is no setting of a judged version"
        yield Flag(name, Kind.UNKNOWN, Takes.JSON, why, keys=_keys(keys))
    yield from _DANGEROUS


TABLE: Mapping[str, Flag] = {flag.name: flag for flag in sorted(_table(), key=lambda f: f.name)}


def _options() -> Iterator[tuple[str, tuple[str, bool]]]:
    """Yields each long option of any version, with its flag and whether it negates it.

    A switch has `--no-x`, and from 0.33 `--disable-x` beside `--enable-x` and the reverse.
    """
    switches = [flag.name for flag in TABLE.values() if flag.takes is Takes.NOTHING]
    for name in switches:
        yield f"no-{name}", (name, True)
        for prefix, inverse in (("enable-", "disable-"), ("disable-", "enable-")):
            if name.startswith(prefix):
                yield inverse + name.removeprefix(prefix), (name, True)
    for alias, name in ALIASES.items():
        yield alias, (name, False)
    for name in TABLE:
        yield name, (name, False)


# Each long option without its dashes: the flag, and whether it is switched off. A flag's own name
# is last, and wins over a negation of the same spelling.
OPTIONS: Mapping[str, tuple[str, bool]] = dict(_options())

# Numbers of an author that planning reckons with: least and most. Seconds, of which a day is more
# than any pod is given; GiB, more than the memory of any node.
BOUNDS: Mapping[str, tuple[int, int]] = {
    "kv-offloading-size": (0, 16384),
    "shutdown-timeout": (0, 86400),
}

# What an author needs a permission for, by the name of its field in the settings. Code that is run
# can do all the others too: its permission opens them all.
PERMISSION: Mapping[Kind, str] = {
    Kind.CODE: "trust_remote_code",
    Kind.FILES: "engine_files",
    Kind.CONNECTS: "engine_connections",
    Kind.LISTENS: "engine_listeners",
    Kind.SECRET: "engine_secrets",
    Kind.UNKNOWN: "unknown_arguments",
}


# The managed flags as the API server refuses them.


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
