"""Names of the engine's series, as the program of 1.9.3 showed them.

metrics-exporter-prometheus 0.15 adds no `_total` to a counter. A series begins with the first
request that changes it: before that `/metrics` is empty. Times are histograms in seconds.
"""

# Inputs that wait for a batch. A request of 32 texts is 32 of them (core/src/queue.rs).
WAITING = "te_queue_size"
# Requests, by `method` single or batch; grows when one arrives (router/src/http/server.rs).
REQUESTS = "te_request_count"
# By `err`: tokenization, validation, batch_size, model_type, overloaded, dropped and inference.
# Of a request with several texts each that fails counts (core/src/infer.rs).
FAILURES = "te_request_failure"
# The engine's own fault. It is answered with 424, and no failure with a status of 500 or above but
# that of a check of its health.
INFERENCE = "inference"
# More than --max-concurrent-requests: 429.
OVERLOADED = "overloaded"
DURATION = "te_request_duration"
QUEUED = "te_request_queue_duration"
COMPUTED = "te_request_inference_duration"
# Of each text by itself: of a model that embeds, or of one that ranks or classifies.
COMPUTED_EACH = ("te_embed_inference_duration", "te_predict_inference_duration")
# Texts in a batch, and their tokens; one for each look into the queue, also an empty one.
BATCH = "te_batch_next_size"
BATCH_TOKENS = "te_batch_next_tokens"
# Tokens of each text: the sum is a counter of tokens (core/src/tokenization.rs).
INPUT_LENGTH = "te_request_input_length"
