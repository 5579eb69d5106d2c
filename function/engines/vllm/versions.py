"""vLLM versions, and what each gate stands for."""

from function.engines import semver

# `--shutdown-timeout`, without which requests in flight hang at SIGTERM (vllm#24885).
MINIMUM: semver.Version = (0, 18, 0)
# `--kv-offloading-size` works with every model that this project serves.
KV_OFFLOAD: semver.Version = (0, 22, 0)
# `--max-num-queued-reqs`: the first judged version that has it.
QUEUE: semver.Version = (0, 32, 0)
# The first judged version whose prefix cache goes by an adapter's path as well as by its name.
HOT_ADAPTERS: semver.Version = (0, 32, 0)

# An s3:// address together with HF_HUB_OFFLINE, which every pod has: read in 0.25.1's arg_utils.py,
# and in no older version.
OBJECT_STORE: semver.Version = (0, 25, 1)
