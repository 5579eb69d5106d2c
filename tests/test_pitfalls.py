"""Which test would catch each known pitfall, and each breach of a settled decision.

Pitfalls come from the module that this project replaces (0.9.0), its platform's runbooks and the
issue trackers of its peers; decisions are those of docs/how-it-decides.md. An entry names the tests
that fail when it comes back, or says why this project cannot meet it: then nothing here composes
the object, or runs the program, that it is about.
"""

import ast
import dataclasses
import functools
import re

import pytest

from tests import cluster


@dataclasses.dataclass(frozen=True)
class Entry:
    """One pitfall or decision.

    Attributes:
        words: The symptom, or what was decided.
        tests: `module::test` of each test that would catch it.
        elsewhere: Why no test here can; empty where tests do.
    """

    words: str
    tests: tuple[str, ...] = ()
    elsewhere: str = ""


def met(words: str, *tests: str) -> Entry:
    """An entry that tests of this repository catch."""
    return Entry(words, tests)


def foreign(words: str, reason: str) -> Entry:
    """An entry about something that this project neither composes nor runs."""
    return Entry(words, elsewhere=reason)


ARGUMENTS = "tests.engine.test_arguments"
DEPLOYMENT = "tests.resources.test_deployment"
GATEWAY = "tests.resources.test_gateway"
LIFE = "tests.test_lifecycle"
MONITORING = "tests.resources.test_monitoring"
PATCHES = "tests.resources.test_patches"
PLAN = "tests.test_plan"
POLICY = "tests.resources.test_policy"
PRELOAD = "tests.resources.test_preload"
PROGRAM = "tests.preload.test_program"
SCALER = "tests.resources.test_scaler"
SECRETS = "tests.resources.test_secrets"

# A: what 0.9.0 did wrong.
PITFALLS_A = (
    met(
        "busy and KV triggers never ask for more than two replicas",
        f"{SCALER}::test_the_triggers_are_sums_over_the_claims_own_pods",
        "tests.scaling.test_paths::test_each_trigger_alone_goes_to_five_holds_and_comes_back",
        "tests.scaling.test_previous_triggers::test_a_maximum_of_shares_stalls_at_two",
    ),
    met(
        "cooldownSeconds has no effect above one replica",
        f"{SCALER}::test_the_cooldown_governs_every_step_down",
        "tests.scaling.test_paths::test_the_cooldown_holds_the_way_down",
    ),
    met(
        "minReplicas 0 renders 1; an empty policy list becomes the default one",
        f"{PLAN}::test_zero_without_a_wake_signal_is_held_at_one_and_said",
        f"{SCALER}::test_at_zero_a_gateway_side_signal_wakes",
        f"{POLICY}::test_an_empty_ingress_list_leaves_the_scraper_and_the_picker",
        f"{POLICY}::test_an_empty_egress_list_means_nothing_at_all",
    ),
    met(
        "KV offload makes decoding slow and leaves the KV cache as it was",
        f"{ARGUMENTS}::test_kv_blocks_are_offloaded_and_never_weights",
        "tests.engine.test_version::test_kv_offload_is_gated_by_the_version",
    ),
    met(
        "gpu.count 2 loads on one GPU",
        f"{ARGUMENTS}::test_tensor_parallel_follows_the_gpu_count",
    ),
    met(
        "the prefix cache cannot be turned off",
        f"{ARGUMENTS}::test_the_prefix_cache_can_be_turned_off",
    ),
    met(
        "wrong weights are served after a change of repository",
        f"{PLAN}::test_another_repository_or_revision_is_another_directory",
        f"{PROGRAM}::test_a_manifest_of_something_else_is_withdrawn",
    ),
    met(
        "a claim is never synced after an adapter was added",
        f"{PRELOAD}::test_another_download_is_another_job",
        f"{LIFE}::test_a_new_adapter_is_another_job_and_a_removed_one_leaves_nothing_behind",
    ),
    met(
        "the Job runs again every day",
        f"{PRELOAD}::test_it_is_not_deleted_by_a_clock",
        f"{PRELOAD}::test_it_stops_being_desired_once_the_status_says_what_it_made",
    ),
    met(
        "an adapter was updated and the old one is served",
        f"{PLAN}::test_directories_are_named_by_what_is_in_them",
        f"{PRELOAD}::test_an_added_adapter_downloads_beside_what_serves",
    ),
    met("the LoRA rank is fixed at 64", f"{ARGUMENTS}::test_the_lora_rank_is_legal"),
    met(
        "pods crash-loop at the first install, before the weights are there",
        f"{LIFE}::test_a_new_claim_downloads_before_it_asks_for_a_gpu",
        "tests.golden.test_golden::test_no_gpu_is_asked_for_at_first",
    ),
    met(
        "a claim's string runs as a command in the preload Job",
        f"{PRELOAD}::test_no_shell_holds_a_claims_string",
        "tests.api.test_cel_agrees::test_both_refuse",
    ),
    met(
        "an invalid Job name for refs/pr/1 or an upper-case tag",
        f"{PRELOAD}::test_a_revision_never_enters_the_name",
    ),
    met(
        "denied flags get through by underscore, dotted key, prefix or --config",
        "tests.engine.test_flags::test_a_managed_flag_is_refused_in_every_spelling",
        "tests.api.test_cel_agrees::test_both_refuse_every_spelling_of_a_managed_flag",
    ),
    met(
        "--model warns and is to be removed",
        f"{ARGUMENTS}::test_the_model_is_positional_and_named_by_the_claim",
    ),
    met("a partial resources.requests loses the CPU request", f"{PLAN}::test_resources"),
    met("the share of GPU memory cannot be set", f"{ARGUMENTS}::test_memory_utilization"),
    met(
        "the InferencePool picks the preload pod",
        f"{GATEWAY}::test_the_pool_selects_the_serving_pods_only",
    ),
    met(
        "two claims of one name in two namespaces scale and alert together",
        f"{SCALER}::test_two_claims_of_one_name_scale_apart",
        f"{MONITORING}::test_every_expression_is_about_this_claim_alone",
        "tests.alerts.test_expressions::test_one_name_in_two_namespaces_shares_no_series",
    ),
    met(
        "a second claim with the same ExternalSecret never becomes ready",
        f"{SECRETS}::test_a_second_claim_shares_by_reference_and_owns_nothing",
    ),
    met(
        "the order of canaries moves traffic",
        f"{GATEWAY}::test_the_order_of_canaries_moves_no_traffic",
    ),
    met(
        "the error alert fires on aborts, and divides nothing by nothing",
        "tests.alerts.test_rules::test_an_alert_is_a_condition",
        "tests.alerts.test_expressions::test_no_traffic_is_no_division_by_zero",
    ),
    met(
        "the cold-start alert measures the time to the first token",
        "tests.alerts.test_rules::test_the_cold_start_alert_follows_the_start_budget",
        "tests.alerts.test_expressions::test_the_cold_start_alert_finds_the_pods_of_any_claim",
    ),
    met("downtime at each model or image change", f"{DEPLOYMENT}::test_strategy"),
    met(
        "requests in flight are cut at scale-down",
        f"{DEPLOYMENT}::test_draining_fits_into_the_notice",
        f"{PLAN}::test_draining",
        f"{PLAN}::test_the_grace_period_holds_the_authors_own_shutdown_timeout",
        "tests.engine.test_version::test_an_engine_that_cannot_drain_is_refused",
    ),
    met(
        "a service account token is mounted for nothing",
        f"{DEPLOYMENT}::test_no_token_and_no_service_links",
        "tests.resources.test_service::test_the_service_account_mounts_no_token",
    ),
    met(
        "a pod is sent traffic that it cannot answer",
        f"{DEPLOYMENT}::test_the_default_probes",
        f"{DEPLOYMENT}::test_a_draining_pod_leaves_the_endpoints_within_its_pre_stop",
    ),
    met(
        "numbers from a protobuf Struct print as 8192.0",
        f"{ARGUMENTS}::test_no_argument_holds_a_decoded_float",
        "tests.test_runner::test_whole_numbers_reach_arguments_as_integers",
    ),
    met(
        "route objects use the deprecated v1alpha1",
        f"{GATEWAY}::test_the_default_version_is_not_the_deprecated_one",
        f"{GATEWAY}::test_the_version_is_the_sites",
    ),
)

# B: scaling.
PITFALLS_B = (
    met(
        "KEDA at a minimum of zero never wakes",
        f"{SCALER}::test_at_zero_a_gateway_side_signal_wakes",
        f"{SCALER}::test_zero_without_a_signal_is_held_at_one",
        "tests.scaling.test_zero::test_a_request_wakes_one_replica_and_load_wakes_more",
    ),
    foreign(
        "the HTTP add-on truncates streams and its hosts collide",
        "no proxy of an autoscaler is composed: the wake signal is a query",
    ),
    met(
        "KEDA's context deadline exceeded: the wrong port of the metrics server",
        f"{SCALER}::test_the_address_is_the_sites",
        f"{LIFE}::test_what_ails_the_scaler_is_said",
    ),
    met(
        "HPA FailedGetExternalMetric: the platform's policies lack the metrics API",
        f"{LIFE}::test_what_ails_the_scaler_is_said",
        "tests.docs.test_docs::test_every_condition_reason_has_an_entry_and_no_other",
    ),
    met(
        "a scaled pod stays Pending: the node pool's cap is the sum of the minimums",
        f"{PLAN}::test_the_cap_on_gpus",
        f"{LIFE}::test_pods_explain_a_start_where_the_settings_allow_to_read_them",
    ),
    met(
        "the KV trigger is inert: with 32 sequences the cache cannot fill",
        "tests.scaling.test_binding::test_at_the_measured_saturation_the_kv_cache_is_no_signal",
        "tests.scaling.test_binding::test_the_boundary_of_the_measured_claim",
    ),
    met(
        "a trigger dies after an engine upgrade: metrics were renamed",
        "tests.alerts.test_expressions::test_every_series_and_label_exists",
        f"{SCALER}::test_above_zero_an_absent_series_is_an_error",
        "tests.scaling.test_failures::test_dead_exporters_are_not_an_idle_claim",
    ),
    met(
        "two owners of the replica count reset each other",
        f"{DEPLOYMENT}::test_a_scaler_owns_the_replica_count",
    ),
    met(
        "the scaler is down and the service falls to one replica",
        f"{SCALER}::test_the_fallback_never_gives_a_gpu_back",
        "tests.scaling.test_failures::test_a_dead_metrics_server_changes_nothing",
    ),
    met(
        "a live ScaledObject keeps a GPU",
        f"{SCALER}::test_suspending_pauses_at_zero_and_keeps_everything_else",
        f"{LIFE}::test_a_suspended_claim_gives_its_gpus_back_and_keeps_the_rest",
    ),
    met(
        "a rollout at one GPU waits for the GPU that the old pod holds",
        f"{DEPLOYMENT}::test_strategy",
        f"{DEPLOYMENT}::test_from_a_rolling_update_to_recreate_no_field_is_left",
    ),
    met(
        "warm pods are evicted by consolidation",
        f"{DEPLOYMENT}::test_do_not_disrupt_is_a_static_annotation_of_the_class",
    ),
    met(
        "a multi-GPU node eats the cap",
        f"{PLAN}::test_the_class_of_the_claim_wins",
        f"{DEPLOYMENT}::test_another_class_is_other_nodes",
    ),
    met(
        "a spot node is reclaimed before its pod has drained",
        f"{DEPLOYMENT}::test_draining_fits_into_the_notice",
    ),
)

# C: weights.
PITFALLS_C = (
    met(
        "a download hangs in the middle of a shard",
        f"{PRELOAD}::test_transfers_that_stall_are_off_and_bounded",
        f"{PROGRAM}::test_stalls_time_out",
        f"{PROGRAM}::test_gives_up_after_the_budget",
    ),
    met(
        "threads wait for locks on NFS",
        "tests.preload.test_process::test_two_at_once_without_any_lock_do_no_harm",
        "tests.preload.test_process::test_a_lease_of_the_dead_is_taken_over",
    ),
    met(
        "the engine dies on missing shards: config.json came first and was taken as proof",
        f"{PROGRAM}::test_content_is_durable_before_the_manifest_says_so",
        "tests.preload.test_process::test_kills_at_random_points_leave_no_lie",
    ),
    met(
        "a script aborts on a fresh volume, or glues the lines of an empty list",
        f"{PRELOAD}::test_no_shell_holds_a_claims_string",
        f"{PROGRAM}::test_publishes_base_and_adapter",
    ),
    met(
        "KeyError getpwuid, /.cache denied: unknown uid, read-only root",
        f"{DEPLOYMENT}::test_the_environment",
        f"{PRELOAD}::test_transfers_that_stall_are_off_and_bounded",
    ),
    met(
        "permission denied on the weights: the uid is not the access point's",
        f"{DEPLOYMENT}::test_the_pods_identity_is_the_volumes",
        f"{PROGRAM}::test_a_volume_that_is_not_writable",
    ),
    met(
        "weights are copied for each pod: slow starts, full nodes",
        f"{DEPLOYMENT}::test_weights_are_mounted_read_only",
    ),
    foreign(
        "the CSI node plugin runs out of memory with parallel preloads",
        "the driver is the platform's; each claim composes one Job, with one worker",
    ),
    foreign(
        "a PersistentVolume is stuck after a rebuild",
        "the volume is the platform's: a claim refers to its PersistentVolumeClaim by name",
    ),
    met(
        "the anonymous limit of a registry",
        f"{PLAN}::test_images",
        f"{DEPLOYMENT}::test_pull_secrets",
    ),
    met(
        "the hub's client changes under an unpinned install",
        "tests.test_pitfalls::test_the_preload_image_installs_what_is_pinned",
    ),
    met(
        "main drifts",
        f"{PROGRAM}::test_repairs_with_the_commit_that_was_published",
        f"{LIFE}::test_status_names_what_serves",
    ),
    met(
        "401 for a name that does not exist reads as a wrong token",
        f"{PRELOAD}::test_a_missing_name_and_a_closed_one_look_alike_to_the_hub",
        f"{PROGRAM}::test_401_says_that_the_name_may_not_exist",
    ),
    met(
        "the hub answers 429 to pods whose weights are there",
        f"{DEPLOYMENT}::test_the_environment",
        f"{POLICY}::test_what_the_engine_may_call",
        f"{PROGRAM}::test_a_rerun_asks_the_hub_nothing",
    ),
    foreign(
        "a model in an image fills the node's disk",
        "no source of that kind is in the API",
    ),
    met(
        "memory-backed shm is too small for the collectives",
        f"{DEPLOYMENT}::test_shared_memory_follows_the_gpu_count",
    ),
    met(
        "the engine compiles again at each start",
        f"{DEPLOYMENT}::test_the_compile_cache_is_keyed_by_image_class_and_arguments",
        f"{DEPLOYMENT}::test_the_compile_cache_is_a_directory_of_the_claim_alone",
    ),
)

# D: the engine.
PITFALLS_D = (
    met(
        "a new model fails to load on an old engine",
        "tests.engine.test_version::test_an_engine_that_cannot_drain_is_refused",
        f"{PLAN}::test_images",
    ),
    met(
        "tool calls answer 400: parser flags are missing",
        f"{ARGUMENTS}::test_a_tool_parser_turns_tool_calls_on",
    ),
    met(
        "fp8 with LoRA is refused by an old engine",
        "tests.engine.test_version::test_an_engine_that_cannot_drain_is_refused",
    ),
    met(
        "runtime loading of adapters opens the engine to callers",
        f"{DEPLOYMENT}::test_runtime_adapter_loading_is_off",
    ),
    met(
        "the engine crashes with an external KV cache on",
        f"{ARGUMENTS}::test_flags_that_must_not_be_there",
        "tests.engine.test_version::test_kv_offload_is_gated_by_the_version",
    ),
    met(
        "the engine runs out of memory at the start: no reserve beside its share",
        f"{ARGUMENTS}::test_memory_utilization",
        f"{PLAN}::test_what_fits_on_no_node_is_said",
    ),
)

# E: network.
PITFALLS_E = (
    met(
        "egress by name is denied though DNS is open",
        f"{POLICY}::test_every_name_rule_has_its_dns_rule",
    ),
    met(
        "* does not span dots",
        f"{POLICY}::test_names_reach_through_the_dns_proxy_with_the_region_filled_in",
    ),
    met(
        "a link-local agent is neither a CIDR nor the world",
        f"{POLICY}::test_a_link_local_agent_is_the_host_entity",
    ),
    met(
        "a caller from another namespace is dropped",
        f"{POLICY}::test_every_peer_of_a_cilium_policy_names_its_namespace",
        f"{POLICY}::test_who_may_call_the_engine",
    ),
    met(
        "gateway traffic is dropped: its proxies live elsewhere",
        f"{POLICY}::test_who_may_call_the_engine",
    ),
    met(
        "one side of a hop was opened",
        f"{POLICY}::test_what_the_picker_may_call",
        f"{POLICY}::test_who_may_call_the_picker",
    ),
    met(
        "an allow-list of the hub's content hosts rots",
        f"{POLICY}::test_the_preload_pod_reaches_the_hub_and_nothing_inside",
        f"{POLICY}::test_what_the_engine_may_call",
    ),
    met(
        "an author's ingress rules lose the platform's peers",
        f"{POLICY}::test_raw_cilium_rules_replace_the_default_peers_and_keep_the_platforms",
        f"{POLICY}::test_a_claim_lets_more_callers_in",
    ),
    met(
        "budgets are bypassed by calling the pod",
        f"{POLICY}::test_who_may_call_the_engine",
        f"{POLICY}::test_without_callers_in_the_settings_nobody_may_call",
    ),
    met(
        "a portable cluster has no Cilium",
        f"{POLICY}::test_native_policies_govern_both_directions",
        f"{POLICY}::test_changing_the_provider_changes_the_key_and_never_the_kind_under_one",
    ),
)

# F: gateway, picker, routing.
PITFALLS_F = (
    met(
        "503 and 404 on new claims: the route came before the pods",
        f"{GATEWAY}::test_the_route_waits_for_the_engine_and_is_never_withdrawn",
    ),
    met(
        "the same route twice",
        "tests.resources.test_meta::test_no_two_objects_are_one",
        "tests.resources.test_route::test_beside_the_ai_gateway_it_has_another_key_and_name",
    ),
    met(
        "the picker is rejected by Pod Security",
        f"{GATEWAY}::test_the_pickers_pod_is_made_restricted",
    ),
    met(
        "the picker answers 200 and is blind: the policy selected labels that it has not",
        f"{POLICY}::test_what_the_picker_may_call",
        f"{MONITORING}::test_the_picker_is_scraped_by_its_own_labels",
    ),
    met("401 on the picker's metrics", f"{GATEWAY}::test_the_picker_fits_on_a_small_node"),
    met(
        "the scrape of the picker is inert and routing is dead: 9090 and 9002 are closed",
        f"{POLICY}::test_who_may_call_the_picker",
    ),
    met("the picker stays Pending", f"{GATEWAY}::test_the_picker_fits_on_a_small_node"),
    foreign(
        "HTTP 500 with everything green: the gateway does not know InferencePool",
        "the gateway's own configuration; a pool that is not accepted is said by RouteReady",
    ),
    foreign(
        "the gateway's controller crashes for want of rights",
        "the gateway's own installation",
    ),
    met(
        "a pool and canaries exclude each other",
        "tests.api.test_cel_agrees::test_both_refuse",
        f"{GATEWAY}::test_pool_and_picker_take_the_releases_name",
    ),
    foreign(
        "the semantic router answers 404 or runs out of memory",
        "the router is the platform's; routing is metadata of a claim and composes nothing",
    ),
    foreign(
        "large prompts fail at 32 KB", "a client traffic policy belongs to the Gateway's owner"
    ),
    foreign("an API key is sent raw", "no key of a client or backend is composed"),
    foreign(
        "no healthy upstream behind a ClusterIP with local traffic policy",
        "the proxies' own Service is the gateway's",
    ),
    met(
        "a pool in another namespace is ignored",
        "tests.resources.test_meta::test_everything_is_in_the_claims_namespace_under_the_four_labels",
        f"{GATEWAY}::test_pool_and_picker_take_the_releases_name",
    ),
    foreign("InferenceModel is gone", "neither it nor its successor is composed"),
    met(
        "503 at zero endpoints",
        f"{SCALER}::test_zero_without_a_signal_is_held_at_one",
        f"{LIFE}::test_zero_without_a_wake_signal_is_held_at_one",
    ),
    met(
        "an adapter's name is prefixed twice",
        f"{ARGUMENTS}::test_adapters_are_one_flag_with_many_values",
        f"{GATEWAY}::test_adapters_keep_their_names_with_any_spelling",
    ),
    met(
        "what was asked is taken for what was served",
        f"{SCALER}::test_at_zero_a_gateway_side_signal_wakes",
    ),
)

# G: observability.
PITFALLS_G = (
    met(
        "a failure of all requests shows as none",
        "tests.alerts.test_expressions::test_no_traffic_is_no_division_by_zero",
        "tests.alerts.test_rules::test_every_alert_has_a_situation_and_every_situation_an_alert",
    ),
    met(
        "a query is empty: the metric has another name",
        "tests.alerts.test_expressions::test_every_series_and_label_exists",
    ),
    met(
        "counters drop at a rollout",
        "tests.alerts.test_expressions::test_kinds_are_used_as_what_they_are",
    ),
    met(
        "an alert never fires: nothing is scraped",
        f"{MONITORING}::test_the_scrape_finds_the_service_and_its_port",
        f"{MONITORING}::test_a_scrape_never_waits_longer_than_its_interval",
        "tests.alerts.test_rules::test_every_alert_has_a_situation_and_every_situation_an_alert",
    ),
)

# H: Crossplane, schema, tests.
PITFALLS_H = (
    met(
        "the CRD is never established: CEL cost, unbounded lists",
        "tests.api.test_schema::test_every_value_is_bounded",
        "e2e.test_admission::test_the_crd_is_established",
    ),
    met(
        "a deny-list in admission alone",
        "tests.api.test_cel_agrees::test_both_refuse_every_mistake_in_a_full_section",
        "e2e.test_life::test_a_bad_claim_past_admission_leaves_what_runs",
    ),
    met(
        "a phantom composed resource: the XR was emitted as one",
        "tests.test_runner::test_only_status_is_desired_of_the_claim",
    ),
    met(
        "duplicates, shadowed names, corrupted YAML",
        "tests.resources.test_meta::test_no_two_objects_are_one",
        "tests.golden.test_golden::test_render",
    ),
    met(
        "timeout waiting for an informer: no rights on composed kinds",
        "tests.docs.test_docs::test_crossplane_may_do_what_is_composed",
    ),
    met(
        "a cluster lacks a kind, or hides it",
        f"{LIFE}::test_a_missing_kind_is_said_and_left_out_until_it_is_there",
    ),
    met(
        "a namespaced XR composes what has no namespace",
        "tests.resources.test_meta::test_everything_is_in_the_claims_namespace_under_the_four_labels",
    ),
    met(
        "green tests over a broken module",
        "tests.test_properties::test_whatever_is_valid_lives_well",
        "e2e.test_validation::test_a_mutation_is_refused",
        "tests.schemas.test_structural::test_each_kind_has_a_known_bad_mutation_here_and_two_for_kubernetes",
    ),
    met(
        "a printer column with a wildcard shows the first entry only",
        "tests.api.test_generated::test_printer_columns",
        f"{GATEWAY}::test_adapters_keep_their_names_with_any_spelling",
    ),
    foreign("big CRDs do not fit into a Helm release", "the packages are not Helm charts"),
    met(
        "Flux eats ${} in queries",
        "tests.alerts.test_expressions::test_flux_finds_nothing_to_substitute",
    ),
    met(
        "Multi-Attach: a volume of one node and a rolling update",
        f"{DEPLOYMENT}::test_strategy",
    ),
    foreign(
        "webhooks of a queue block Jobs that are none of theirs",
        "no queue is composed; the webhook's scope is the platform's",
    ),
    met(
        "a field that a webhook or the API server fills in drifts",
        f"{SECRETS}::test_an_interval_is_written_as_its_controller_writes_it",
        "e2e.test_fleet::test_nothing_is_written_at_steady_state",
    ),
    met("an image by digest, and its tag", f"{PLAN}::test_images"),
    foreign("an evaluation tool's schema drifts", "no evaluation tool is part of this project"),
    met(
        "a guard model holds a GPU without traffic",
        f"{SCALER}::test_suspending_pauses_at_zero_and_keeps_everything_else",
        "tests.scaling.test_zero::test_a_single_replica_falls_asleep_after_the_cooldown_and_no_earlier",
    ),
)

# I: found while this project was planned.
PITFALLS_I = (
    met(
        "the AI gateway overwrites an HTTPRoute of its own route's name",
        "tests.resources.test_route::test_beside_the_ai_gateway_it_has_another_key_and_name",
    ),
    met(
        "a rule at the root blocks updates and deletion of live claims",
        "tests.api.test_schema::test_rules_sit_on_the_node_that_they_are_about",
        "e2e.test_validation::test_a_stored_mistake_does_not_block_another_change",
    ),
    foreign(
        "removing the XRD from git deletes all claims while everything reports ready",
        "what Flux prunes is outside the function; the migration's order is written down",
    ),
)

DECISIONS = (
    met(
        "1 defaults live in the function",
        f"{PLAN}::test_the_smallest_claim_gets_every_default",
        "tests.api.test_schema::test_null_is_a_value_only_where_it_switches_off_a_default",
    ),
    met(
        "2 preload absent means true, false means 0.9.0's paths",
        f"{PLAN}::test_preload_is_on_unless_the_author_says_no",
        f"{PLAN}::test_an_explicit_no_to_preload_means_the_paths_of_0_9_0",
        f"{LIFE}::test_raising_the_generation_starts_another_try",
    ),
    met(
        "3 quantization: only fp8 of a 16-bit checkpoint is a flag",
        f"{ARGUMENTS}::test_only_online_quantization_is_a_flag",
        f"{LIFE}::test_a_checkpoint_that_is_quantized_already_gets_no_flag",
    ),
    met(
        "4 engine arguments: refused, or replacing ours",
        "tests.engine.test_flags::test_a_managed_flag_is_refused_in_every_spelling",
        f"{ARGUMENTS}::test_the_authors_flag_replaces_ours_and_comes_last",
        f"{PLAN}::test_the_memory_holds_the_authors_own_offloading_flag",
    ),
    met(
        "5 provider-neutral access, triggers, the hub token",
        f"{POLICY}::test_a_claim_lets_more_callers_in",
        f"{PLAN}::test_targets",
        f"{SECRETS}::test_engine_and_job_get_the_listed_secrets_and_the_job_alone_the_hub_token",
        "tests.api.test_cel_agrees::test_both_refuse",
    ),
    met(
        "6 rules sit on the deepest node that they read",
        "tests.api.test_schema::test_rules_sit_on_the_node_that_they_are_about",
        "e2e.test_validation::test_a_stored_mistake_does_not_block_another_change",
    ),
    met(
        "7 zero is held without a wake signal; cooldown is clamped; names are shortened",
        f"{SCALER}::test_zero_without_a_signal_is_held_at_one",
        f"{PLAN}::test_a_cooldown_longer_than_the_hpa_takes_is_clamped_and_said",
        "tests.resources.test_meta::test_a_longest_name_still_fits_everywhere",
    ),
    met(
        "8 a claim's author is not a pod's author",
        f"{PLAN}::test_escape_hatches_are_closed_until_the_settings_open_them",
        f"{PLAN}::test_the_cap_on_gpus",
        f"{PATCHES}::test_forbidden_paths",
        f"{PATCHES}::test_a_patch_never_touches_a_held_template",
        f"{PATCHES}::test_a_patch_cannot_change_how_many_gpus_there_are",
        f"{PRELOAD}::test_a_patch_of_the_job_is_another_job",
        "tests.resources.test_baseline::test_a_claim_cannot_weaken_its_pods_unless_the_settings_say_so",
    ),
    met(
        "9 settings come from labelled EnvironmentConfigs",
        "tests.test_runner::test_without_settings_nothing_is_rendered",
        "tests.test_runner::test_settings_merge_in_name_order_whatever_the_order_of_arrival",
        "tests.test_runner::test_the_shipped_composition_asks_for_the_settings_by_label",
        "tests.cli.test_render::test_the_shipped_composition_needs_an_environment",
    ),
    met(
        "10 settings hold every fact of the site",
        f"{MONITORING}::test_alerts_carry_the_sites_labels_and_runbook",
        f"{PRELOAD}::test_the_hub_is_the_sites",
        f"{PRELOAD}::test_placement_and_resources_are_the_sites",
        f"{GATEWAY}::test_the_endpoint",
        "tests.resources.test_meta::test_the_sites_labels_are_on_every_object_and_never_win",
    ),
    met(
        "11 one directory for each base and adapter, published by a manifest",
        f"{PLAN}::test_two_claims_on_one_sub_path_share_a_base_and_an_adapter",
        f"{PROGRAM}::test_takes_a_verified_directory_over",
        f"{PROGRAM}::test_downloads_where_links_are_refused",
        f"{PROGRAM}::test_a_manifest_is_replaced_whole_or_not_at_all",
    ),
    met(
        "12 the weights and the Job have identities of their own",
        f"{PRELOAD}::test_another_pod_is_another_job",
        f"{PLAN}::test_the_order_of_adapters_is_no_part_of_the_weights_key",
        f"{PRELOAD}::test_each_known_code_fails_the_job_at_once_under_its_own_rule",
        f"{LIFE}::test_the_job_stays_until_the_status_shows_what_it_made",
    ),
    met(
        "13 nothing restarts by surprise",
        f"{LIFE}::test_a_swap_keeps_the_old_template_until_the_new_weights_are_verified",
        f"{LIFE}::test_a_settings_change_waits_for_the_author",
        f"{LIFE}::test_a_take_over_restarts_and_deletes_nothing",
        "tests.test_canonical::test_differences",
    ),
    met(
        "14 no pod before the weights were verified once, none at zero",
        f"{LIFE}::test_a_new_claim_downloads_before_it_asks_for_a_gpu",
        f"{LIFE}::test_a_claim_born_at_zero_starts_no_pod",
        f"{LIFE}::test_a_claim_born_suspended_has_no_pod_at_all_but_its_weights",
    ),
    met(
        "15 strategy, deadline, spread",
        f"{DEPLOYMENT}::test_strategy",
        f"{DEPLOYMENT}::test_the_progress_deadline_is_above_the_start_budget",
        f"{DEPLOYMENT}::test_pods_spread_over_nodes_but_always_schedule",
        f"{DEPLOYMENT}::test_scaling_never_enters_the_pod_template",
        f"{DEPLOYMENT}::test_without_a_scaler_the_count_is_ours",
    ),
    met(
        "16 serving is an available replica; pods are read only where allowed",
        f"{LIFE}::test_the_gateway_route_comes_when_the_engine_serves_and_stays_through_an_outage",
        f"{LIFE}::test_pods_explain_a_start_where_the_settings_allow_to_read_them",
        f"{DEPLOYMENT}::test_one_container_with_the_images_entrypoint",
    ),
    met(
        "17 drain: 15 s, 120 s, 180 s, capped by the notice",
        f"{PLAN}::test_draining",
        f"{DEPLOYMENT}::test_draining_fits_into_the_notice",
    ),
    met(
        "18 status, phases and conditions",
        f"{LIFE}::test_status_names_what_serves",
        f"{LIFE}::test_a_failed_download_leaves_the_old_model_serving_and_says_why",
        f"{LIFE}::test_fewer_replicas_than_wanted_is_degraded",
    ),
    met(
        "19 latches are status fields; a fatal answer writes no status",
        f"{GATEWAY}::test_the_route_waits_for_the_engine_and_is_never_withdrawn",
        f"{LIFE}::test_what_cannot_be_rendered_changes_nothing_and_says_so",
        f"{LIFE}::test_conditions_that_core_spoilt_are_no_transition",
    ),
    met(
        "20 triggers are sums with AverageValue, and a fallback",
        f"{SCALER}::test_the_triggers_are_sums_over_the_claims_own_pods",
        f"{SCALER}::test_the_fallback_never_gives_a_gpu_back",
        "tests.scaling.test_paths::test_a_hundred_requests_for_pods_of_thirty_two",
        "tests.scaling.test_zero::test_unsuspending_brings_the_minimum_back",
    ),
    met(
        "21 what binds first is known, and said by an alert",
        "tests.scaling.test_binding::test_the_rendered_targets_change_places_there",
        "tests.alerts.test_rules::test_every_alert_has_a_situation_and_every_situation_an_alert",
    ),
    met(
        "22 probes",
        f"{PLAN}::test_the_startup_budget",
        f"{PLAN}::test_a_startup_probe_of_the_author",
        f"{DEPLOYMENT}::test_the_default_probes",
        f"{DEPLOYMENT}::test_the_claims_probe_values_win_one_by_one",
    ),
    met(
        "23 the compile cache",
        f"{DEPLOYMENT}::test_the_compile_cache_is_a_directory_of_the_claim_alone",
        f"{DEPLOYMENT}::test_the_compile_cache_is_keyed_by_image_class_and_arguments",
        f"{DEPLOYMENT}::test_without_preload_the_compile_cache_is_the_pods_own",
    ),
    met(
        "24 keys of new kinds; a key never changes kind; index-named canaries",
        "tests.resources.test_meta::test_keys_and_names_are_those_of_0_9_0_and_those_settled_since",
        f"{GATEWAY}::test_index_named_canaries_stay_until_the_observed_route_forgets_them",
    ),
    met(
        "25 the plain route beside the AI gateway",
        "tests.resources.test_route::test_beside_the_ai_gateway_it_has_another_key_and_name",
        "tests.resources.test_route::test_turning_the_gateway_on_moves_the_route_to_its_other_name",
    ),
    met(
        "26 traffic spreads over the pods",
        f"{GATEWAY}::test_traffic_spreads_when_there_may_be_two",
        f"{GATEWAY}::test_the_traffic_policy",
        f"{GATEWAY}::test_the_backend_only_ever_names_a_service_that_is_there",
    ),
    met(
        "27 names of ExternalSecrets, disruption budget, do-not-disrupt",
        f"{SECRETS}::test_an_external_secret_keeps_the_secrets_name",
        "tests.resources.test_service::test_the_disruption_budget_never_blocks_a_drain_for_ever",
        f"{DEPLOYMENT}::test_do_not_disrupt_is_a_static_annotation_of_the_class",
    ),
    met(
        "28 Cilium's deny-all; kinds are asked about only until they are observed",
        f"{POLICY}::test_an_empty_ingress_list_without_platform_peers_is_deny_all",
        f"{POLICY}::test_nobody_reaches_the_preload_pod",
        f"{LIFE}::test_kinds_are_asked_about_only_until_they_are_observed",
    ),
    met(
        "29 a dependency is named after its repository's path",
        "e2e.test_package::test_names_of_functions_that_come_as_dependencies",
    ),
    met(
        "30 take-over deletes nothing",
        f"{LIFE}::test_a_take_over_restarts_and_deletes_nothing",
        f"{LIFE}::test_a_finished_job_of_0_9_0_proves_nothing",
        "tests.golden.test_golden::test_render",
    ),
)

SECTIONS = {
    "A": (PITFALLS_A, 30),
    "B": (PITFALLS_B, 14),
    "C": (PITFALLS_C, 17),
    "D": (PITFALLS_D, 6),
    "E": (PITFALLS_E, 10),
    "F": (PITFALLS_F, 19),
    "G": (PITFALLS_G, 4),
    "H": (PITFALLS_H, 17),
    "I": (PITFALLS_I, 3),
    "decision": (DECISIONS, 30),
}
TABLE = {
    f"{section}-{number}": entry
    for section, (entries, _) in SECTIONS.items()
    for number, entry in enumerate(entries, 1)
}


@functools.cache
def _names(module: str) -> frozenset[str]:
    """Returns the names of a module's tests, without importing it."""
    path = cluster.ROOT / f"{module.replace('.', '/')}.py"
    tree = ast.parse(path.read_text()) if path.exists() else ast.Module([], [])
    return frozenset(
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    )


@pytest.mark.parametrize("section", SECTIONS)
def test_no_entry_is_missing(section: str) -> None:
    """A removed entry is as good as a removed test: the counts are written down twice."""
    entries, count = SECTIONS[section]
    assert len(entries) == count
    assert len({entry.words for entry in entries}) == count


@pytest.mark.parametrize("name", TABLE)
def test_every_named_test_exists(name: str) -> None:
    entry = TABLE[name]
    assert len(set(entry.tests)) == len(entry.tests)
    for named in entry.tests:
        module, _, test = named.partition("::")
        assert test in _names(module), f"{name} ({entry.words}): {named}"


@pytest.mark.parametrize("name", TABLE)
def test_every_entry_is_caught_or_says_why_it_cannot_be_met(name: str) -> None:
    entry = TABLE[name]
    assert bool(entry.tests) is not bool(entry.elsewhere), entry.words


def test_decisions_are_those_of_the_documentation() -> None:
    text = (cluster.ROOT / "docs/how-it-decides.md").read_text()
    documented = {int(number) for number in re.findall(r"^([0-9]+)[.] [*][*]", text, re.M)}
    assert {int(entry.words.split()[0]) for entry in DECISIONS} == documented


def test_the_preload_image_installs_what_is_pinned() -> None:
    """The hub's client changed its command line and its files under an unpinned install."""
    pins = re.findall(
        r"^([a-z0-9-]+)==([^ ]+) .*\n( +--hash=sha256:[0-9a-f]{64})",
        (cluster.ROOT / "requirements/preload.txt").read_text().replace("\\\n", " \\\n"),
        re.M,
    )
    assert "huggingface-hub" in {name for name, _, _ in pins}
    image = (cluster.ROOT / "Dockerfile").read_text()
    installs = [line for line in image.replace("\\\n", " ").splitlines() if "pip install" in line]
    assert installs
    for line in installs:
        assert "--require-hashes" in line, line
