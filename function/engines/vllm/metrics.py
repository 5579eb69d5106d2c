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
PROMPT_TOKENS = "vllm:prompt_tokens_total"
GENERATED_TOKENS = "vllm:generation_tokens_total"
FIRST_TOKEN = "vllm:time_to_first_token_seconds"  # noqa: S105
TIME_TO_FIRST_TOKEN = f"{FIRST_TOKEN}_bucket"
BETWEEN_TOKENS = "vllm:inter_token_latency_seconds"
WHOLE_REQUEST = "vllm:e2e_request_latency_seconds"
# Tokens that were looked up in the prefix cache, and those that it had.
PREFIX_QUERIES = "vllm:prefix_cache_queries_total"
PREFIX_HITS = "vllm:prefix_cache_hits_total"
# Its value is the time at which the adapters of its labels were computed with. No model label.
ADAPTERS = "vllm:lora_requests_info"
# Grows when a request ends, for whatever reason; each reason is there from the start.
FINISHED = "vllm:request_success_total"
# Of the API server. No model label; 401s and probes are not counted.
HTTP_REQUESTS = "http_requests_total"
