"""The models and cards of the measured times, as they ran."""

from function.capacity import cards, catalogue, facts, work

QWEN, LLAMA = "Qwen/Qwen3-8B", "meta-llama/Llama-3.1-8B-Instruct"
MIXTURE = "Qwen/Qwen3-30B-A3B"
MODELS = (
    LLAMA,
    "Qwen/Qwen2.5-Coder-1.5B",
    "Qwen/Qwen3-14B",
    MIXTURE,
    "Qwen/Qwen3-32B",
    QWEN,
)


def card(name: str) -> cards.Card:
    """Returns a card of the table."""
    chosen = cards.lookup(name)
    assert chosen is not None, name
    return chosen


def model(name: str) -> facts.Facts:
    """Returns a model of the catalogue."""
    chosen = catalogue.lookup(name)
    assert chosen is not None, name
    return chosen


H100, H200 = card("H100"), card("H200")


def of(name: str, weights: str = "bf16", tensor_parallel: int = 1) -> work.Work:
    """Returns the work of a model, its weights in bf16 or packed as fp8 at load."""
    return work.of(model(name), work.FP8 if weights == "fp8" else None, tensor_parallel)
