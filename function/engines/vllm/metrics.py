"""Names of the engine's metrics.

The same in every supported version (0.18 to 0.33): `gpu_cache_usage_perc` went with 0.12.0 and
`time_per_output_token_seconds` before 0.32. A test finds each of these, with the labels that the
expressions use, in recorded expositions of 0.25.1 and 0.32.
"""

RUNNING = "vllm:num_requests_running"
WAITING = "vllm:num_requests_waiting"
# A share between 0 and 1, in spite of its name.
KV_CACHE_USAGE = "vllm:kv_cache_usage_perc"
PREEMPTIONS = "vllm:num_preemptions_total"
GENERATED_TOKENS = "vllm:generation_tokens_total"
FIRST_TOKEN = "vllm:time_to_first_token_seconds"  # noqa: S105
TIME_TO_FIRST_TOKEN = f"{FIRST_TOKEN}_bucket"
BETWEEN_TOKENS = "vllm:inter_token_latency_seconds"
# Grows when a request ends, for whatever reason; each reason is there from the start.
FINISHED = "vllm:request_success_total"
# Of the API server. No model label; 401s and probes are not counted.
HTTP_REQUESTS = "http_requests_total"
