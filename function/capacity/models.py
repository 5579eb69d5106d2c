"""Sizes of checkpoints that claims use often, in GiB of 16-bit weights.

Parameter counts come from the models' configurations instantiated on the meta device; they match
the published totals. A model that is not here has no size until its author says `model.sizeGiB`.
"""

WEIGHTS_GIB = {
    "Qwen/Qwen2.5-Coder-1.5B": 2.9,
    "Qwen/Qwen2.5-Coder-1.5B-Instruct": 2.9,
    "Qwen/Qwen2.5-Coder-7B-Instruct": 14.2,
    "Qwen/Qwen3-8B": 15.3,
    "Qwen/Qwen3-Coder-30B-A3B-Instruct": 56.9,
    "meta-llama/Llama-Guard-3-1B": 2.3,
}
