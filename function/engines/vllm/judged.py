"""Flags by which an author could do more: code, files, connections, listeners, secrets.

Each row names the worst, and where it can, which values do no harm.
"""

import re
from collections.abc import Sequence

from function.engines import judgements
from function.engines.vllm import rows

Kind = judgements.Kind


def _one_of(*values: str) -> judgements.Judge:
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


_OPEN = rows.Rule(Kind.PLAIN)


def ruled(names: str, kind: Kind = Kind.PLAIN) -> dict[str, rows.Rule]:
    """Returns the same rule for each of some keys."""
    return dict.fromkeys(names.split(), rows.Rule(kind))


# A key of `kv_connector_extra_config` is read by the connector, each its own. These are of the two
# connectors that keep blocks in the pod's memory. All others have module paths, directories or
# addresses among their keys (`spec_module_path`, `secondary_tiers`, `disk_path`).
_OFFLOADING = "kv_connector_extra_config."
_KV_TRANSFER = {
    "kv_connector": rows.Rule(
        Kind.CONNECTS, _one_of("OffloadingConnector", "SimpleCPUOffloadConnector")
    ),
    "kv_connector_module_path": rows.Rule(Kind.CODE),
    # Part of a file's name in /dev/shm.
    "engine_id": rows.Rule(Kind.FILES, _word),
    "kv_ip": rows.Rule(Kind.CONNECTS),
    "kv_port": rows.Rule(Kind.CONNECTS),
    "kv_connector_extra_config": rows.Rule(Kind.CODE),
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
    _OFFLOADING + "eviction_policy": rows.Rule(Kind.CODE, _one_of("lru", "arc")),
    _OFFLOADING + "spec_name": rows.Rule(Kind.CODE, _one_of("CPUOffloadingSpec")),
} | ruled(
    """
    enable_permute_local_kv kv_buffer_device kv_buffer_size kv_load_failure_policy
    kv_parallel_size kv_rank kv_role
    """
)

_EC_TRANSFER = ruled(
    """
    ec_buffer_device ec_buffer_size ec_connector ec_ip ec_parallel_size ec_port ec_rank ec_role
    engine_id
    """,
    Kind.CONNECTS,
) | {
    "ec_connector_module_path": rows.Rule(Kind.CODE),
    "ec_connector_extra_config": rows.Rule(Kind.CODE),
}

# `custom_class` imports `model`, and so does every version from 0.25 by itself when it is a
# dotted path without a slash.
_METHOD_OF_CODE = "custom_class"
_SPECULATIVE = {
    "method": rows.Rule(Kind.CODE, lambda value: value != _METHOD_OF_CODE),
    "model": rows.Rule(
        Kind.CODE, lambda value: _model(value) or value in ("ngram", "[ngram]", "suffix")
    ),
    # A whole loader, with its files and addresses.
    "draft_load_config": rows.Rule(Kind.CODE),
    # Objects of the engine's own, which it makes itself.
    "draft_model_config": rows.Rule(Kind.CODE),
    "draft_parallel_config": rows.Rule(Kind.CODE),
    "target_model_config": rows.Rule(Kind.CODE),
    "target_parallel_config": rows.Rule(Kind.CODE),
} | ruled(
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
    "": rows.Rule(Kind.CODE, str.isdigit),
    # Any other name is imported.
    "backend": rows.Rule(Kind.CODE, _one_of("", "eager", "inductor")),
    # Compiled code is loaded from it.
    "cache_dir": rows.Rule(Kind.CODE, _one_of("")),
    # Options of Inductor: passes, and the compiler that it runs.
    "inductor_compile_config": rows.Rule(Kind.CODE),
    "inductor_passes": rows.Rule(Kind.CODE),
    "debug_dump_path": rows.Rule(Kind.FILES),
} | ruled(
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
    f"{whole}{parameters}{layers}.{key}": rows.Rule(
        Kind.CODE, judge, lists=judge is not _rotary_type
    )
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
    "torch_profiler_dir": rows.Rule(Kind.FILES, _one_of("")),
    "proton_profiler_dir": rows.Rule(Kind.FILES, _one_of("")),
} | ruled(
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

FLAGS = (
    # Code.
    rows.Flag("trust-remote-code", Kind.CODE, rows.Takes.NOTHING, "runs code of the repository"),
    rows.Flag(
        "trust-request-mm-kwargs",
        Kind.CODE,
        rows.Takes.NOTHING,
        "lets callers say where the processor's code comes from",
    ),
    rows.Flag("tool-parser-plugin", Kind.CODE, why=_IMPORTS),
    rows.Flag("reasoning-parser-plugin", Kind.CODE, why=_IMPORTS),
    rows.Flag("middleware", Kind.CODE, why=_IMPORTS, repeats=True),
    rows.Flag("logits-processors", Kind.CODE, rows.Takes.MANY, _IMPORTS),
    rows.Flag("worker-cls", Kind.CODE, why=_IMPORTS, plain=_one_of("auto")),
    rows.Flag("worker-extension-cls", Kind.CODE, why=_IMPORTS),
    rows.Flag("scheduler-cls", Kind.CODE, why=_IMPORTS),
    rows.Flag("io-processor-plugin", Kind.CODE, why="loads a plugin"),
    rows.Flag("model-class-overrides", Kind.CODE, rows.Takes.JSON, _IMPORTS),
    rows.Flag(
        "hf-overrides",
        Kind.CODE,
        rows.Takes.JSON,
        "can choose the classes that the model is made of",
        keys=_ROTARY,
    ),
    rows.Flag(
        "model-impl",
        Kind.CODE,
        why="runs modelling code outside of vLLM",
        plain=_one_of("auto", "vllm"),
    ),
    rows.Flag("log-config-file", Kind.CODE, why="names a file whose entries are called"),
    rows.Flag(
        "logging-config",
        Kind.CODE,
        rows.Takes.JSON,
        "names a file whose entries are called",
        keys=ruled("configure_logging formatter log_level")
        | {"pylogging_config_file": rows.Rule(Kind.CODE)},
    ),
    rows.Flag(
        "structured-outputs-config",
        Kind.CODE,
        rows.Takes.JSON,
        "imports a plugin",
        keys=ruled(
            """
            backend disable_additional_properties disable_any_whitespace enable_in_reasoning
            reasoning_parser
            """
        )
        | {"reasoning_parser_plugin": rows.Rule(Kind.CODE)},
    ),
    rows.Flag(
        "ec-manager-config",
        Kind.CODE,
        rows.Takes.JSON,
        _IMPORTS,
        keys={
            "encoder_cache_manager_cls": rows.Rule(Kind.CODE),
            "manager_config": rows.Rule(Kind.CODE),
        },
    ),
    rows.Flag("additional-config", Kind.CODE, rows.Takes.JSON, "is handed to plugins as it is"),
    rows.Flag(
        "compilation-config",
        Kind.CODE,
        rows.Takes.JSON,
        "imports or compiles what it names",
        keys=_COMPILATION,
    ),
    rows.Flag(
        "kv-transfer-config",
        Kind.CODE,
        rows.Takes.JSON,
        "imports a connector, or opens its connections and files",
        keys=_KV_TRANSFER,
    ),
    rows.Flag(
        "ec-transfer-config",
        Kind.CODE,
        rows.Takes.JSON,
        "imports a connector, or opens its connections",
        keys=_EC_TRANSFER,
    ),
    rows.Flag(
        "speculative-config",
        Kind.CODE,
        rows.Takes.JSON,
        "imports a proposer, or loads a model from elsewhere",
        keys=_SPECULATIVE,
    ),
    rows.Flag(
        "spec-method",
        Kind.CODE,
        why="imports a proposer",
        plain=lambda value: value != _METHOD_OF_CODE,
    ),
    rows.Flag(
        "spec-model",
        Kind.CODE,
        why="imports a proposer, or loads a model from elsewhere",
        plain=_SPECULATIVE["model"].plain,
    ),
    rows.Flag(
        "distributed-executor-backend",
        Kind.CODE,
        why="imports an executor, or starts Ray",
        plain=_one_of("mp", "uni", "external_launcher"),
    ),
    rows.Flag(
        "mm-processor-kwargs",
        Kind.PLAIN,
        rows.Takes.JSON,
        "chooses where the processor's code and files come from",
        # All go to the processor of the model's own directory; these would leave it.
        keys={
            "*.auto_map": rows.Rule(Kind.CODE),
            # Each tokenizer names its files by itself: vocab_file, merges_file, spm_file, ...
            "*_dir": rows.Rule(Kind.FILES),
            "*_file": rows.Rule(Kind.FILES),
            "*_filename": rows.Rule(Kind.FILES),
            "*_path": rows.Rule(Kind.FILES),
            "*.code_revision": rows.Rule(Kind.CODE),
            "*.proxies": rows.Rule(Kind.CONNECTS),
            "*.subfolder": rows.Rule(Kind.FILES),
            "*.token": rows.Rule(Kind.SECRET),
            "*.trust_remote_code": rows.Rule(Kind.CODE),
            "*.use_auth_token": rows.Rule(Kind.SECRET),
        },
    ),
    # Files. A path below /models is the model's own volume, which the claim reads anyway.
    rows.Flag(
        "allowed-local-media-path",
        Kind.FILES,
        why="lets callers read files of the pod",
    ),
    rows.Flag("chat-template", Kind.FILES, why="puts a file into the prompt", plain=_template),
    rows.Flag(
        "tokenizer",
        Kind.FILES,
        why="reads files outside of the model's volume",
        plain=_model,
    ),
    rows.Flag(
        "hf-config-path",
        Kind.FILES,
        why="reads files outside of the model's volume",
        plain=_model,
    ),
    rows.Flag(
        "generation-config",
        Kind.FILES,
        why="reads files outside of the model's volume",
        plain=lambda value: _model(value) or value in ("auto", "vllm"),
    ),
    rows.Flag(
        "default-mm-loras",
        Kind.FILES,
        rows.Takes.JSON,
        "reads adapters outside of the model's volume",
        keys={"*": rows.Rule(Kind.FILES, _model)},
    ),
    rows.Flag("download-dir", Kind.FILES, why="writes files where it says"),
    rows.Flag(
        "mm-encoder-fp8-scale-path",
        Kind.FILES,
        why="reads the file that it names",
        plain=_model,
    ),
    rows.Flag("mm-encoder-fp8-scale-save-path", Kind.FILES, why="writes the file that it names"),
    rows.Flag(
        "profiler-config",
        Kind.FILES,
        rows.Takes.JSON,
        "writes files where it says",
        keys=_PROFILER,
    ),
    rows.Flag(
        "watchdog-config",
        Kind.FILES,
        rows.Takes.JSON,
        "writes files where it says",
        keys=ruled("check_interval timeout") | {"dump_dir": rows.Rule(Kind.FILES)},
    ),
    rows.Flag("ssl-ca-certs", Kind.FILES, why=_TLS),
    rows.Flag("ssl-certfile", Kind.FILES, why=_TLS),
    rows.Flag("ssl-keyfile", Kind.FILES, why=_TLS),
    rows.Flag("ssl-cert-reqs", Kind.FILES, rows.Takes.WHOLE, _TLS),
    rows.Flag("ssl-ciphers", Kind.FILES, why=_TLS),
    rows.Flag("enable-ssl-refresh", Kind.FILES, rows.Takes.NOTHING, _TLS),
    # Connections.
    rows.Flag(
        "otlp-traces-endpoint",
        Kind.CONNECTS,
        why="sends traces to the address that it names",
    ),
    rows.Flag(
        "tool-server",
        Kind.CONNECTS,
        why="connects to tool servers, or runs the model's code",
    ),
    rows.Flag(
        "kv-offloading-backend",
        Kind.CONNECTS,
        why="connects to a cache server",
        plain=_one_of("native"),
    ),
    rows.Flag(
        "weight-transfer-config",
        Kind.CONNECTS,
        rows.Takes.JSON,
        "takes weights from others",
        keys={"backend": rows.Rule(Kind.CONNECTS)},
    ),
    rows.Flag("data-parallel-address", Kind.CONNECTS, why=_OTHER_HOSTS),
    rows.Flag("data-parallel-backend", Kind.CONNECTS, why=_OTHER_HOSTS, plain=_one_of("mp")),
    rows.Flag("data-parallel-rank", Kind.CONNECTS, rows.Takes.WHOLE, _OTHER_HOSTS),
    rows.Flag("data-parallel-start-rank", Kind.CONNECTS, rows.Takes.WHOLE, _OTHER_HOSTS),
    rows.Flag("data-parallel-external-lb", Kind.CONNECTS, rows.Takes.NOTHING, _OTHER_HOSTS),
    rows.Flag("data-parallel-hybrid-lb", Kind.CONNECTS, rows.Takes.NOTHING, _OTHER_HOSTS),
    rows.Flag("headless", Kind.CONNECTS, rows.Takes.NOTHING, _OTHER_HOSTS),
    rows.Flag("master-addr", Kind.CONNECTS, why=_OTHER_HOSTS),
    rows.Flag("master-port", Kind.CONNECTS, rows.Takes.WHOLE, _OTHER_HOSTS),
    rows.Flag("nnodes", Kind.CONNECTS, rows.Takes.WHOLE, _OTHER_HOSTS, plain=_one_of("1")),
    rows.Flag("node-rank", Kind.CONNECTS, rows.Takes.WHOLE, _OTHER_HOSTS, plain=_one_of("0")),
    # Sockets beside the one of the Service.
    rows.Flag("data-parallel-rpc-port", Kind.LISTENS, rows.Takes.WHOLE, "opens a port"),
    rows.Flag("data-parallel-supervisor-port", Kind.LISTENS, rows.Takes.WHOLE, "opens a port"),
    rows.Flag(
        "data-parallel-multi-port-external-lb",
        Kind.LISTENS,
        rows.Takes.NOTHING,
        "opens a port a rank",
    ),
    rows.Flag(
        "grpc",
        Kind.LISTENS,
        rows.Takes.NOTHING,
        "takes the port of the Service for another protocol",
    ),
    rows.Flag("grpc-port", Kind.LISTENS, rows.Takes.WHOLE, "opens a port"),
    rows.Flag("uds", Kind.LISTENS, why="listens on a socket file in place of the port"),
    rows.Flag(
        "kv-events-config",
        Kind.LISTENS,
        rows.Takes.JSON,
        "publishes on a port",
        keys=ruled(
            """
            buffer_steps enable_kv_cache_events endpoint hwm max_queue_size publisher
            replay_endpoint topic
            """,
            Kind.LISTENS,
        ),
    ),
    # Secrets: nobody gains anything, and everyone who reads the claim learns them.
    rows.Flag("api-key", Kind.SECRET, rows.Takes.MANY, _READABLE),
    rows.Flag("hf-token", Kind.SECRET, rows.Takes.OPTIONAL, _READABLE),
)
