"""Facts that a manifest brings: read by one program, judged by another, and anybody's to forge."""

import base64
import json
import math
import time
import zlib
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from function.capacity import facts, published, reading
from preload import figures
from tests import effort
from tests.capacity import configurations

Config = configurations.Config
EVERY = {
    name: value
    for name, value in vars(configurations).items()
    if isinstance(value, dict) and any(value.get("architectures", ()))
}
LLAMA = configurations.LLAMA_8B
SIZE = 2 * reading.read(LLAMA, "org/model").parameters


def read(config: Config, **tensors: int) -> facts.Facts | None:
    return published.read(figures.packed(figures.of(config) or {}), tensors, "org/model")


@pytest.mark.parametrize("config", EVERY.values(), ids=EVERY)
def test_what_the_preload_program_keeps_is_all_that_is_read(config: Config) -> None:
    kept = figures.of(config)
    assert kept is not None
    assert reading.read(kept, "org/model") == reading.read(config, "org/model")


def test_facts_come_with_the_exact_bytes() -> None:
    model = read(LLAMA, BF16=SIZE)
    assert model is not None
    assert (model.layers, model.checkpoint_bytes) == (32, SIZE)


@pytest.mark.parametrize(
    ("config", "tensors", "taken"),
    [
        (LLAMA, {"BF16": SIZE}, True),
        (LLAMA, {"F32": 2 * SIZE}, True),
        (LLAMA, {"BF16": SIZE, "I64": SIZE}, True),
        (LLAMA, {"BF16": int(1.05 * SIZE)}, False),
        (LLAMA, {"BF16": int(0.95 * SIZE)}, False),
        (LLAMA, {"F8_E4M3": SIZE}, False),
        (LLAMA, {}, False),
        (LLAMA | {"architectures": ["NobodyKnows"]}, {"BF16": SIZE}, False),
        (LLAMA | {"quantization_config": {"quant_method": "fp8"}}, {"BF16": SIZE}, False),
    ],
)
def test_facts_are_taken_where_the_tensors_agree(
    config: Config, tensors: dict[str, int], taken: bool
) -> None:
    assert (read(config, **tensors) is not None) is taken


@pytest.mark.parametrize(
    "packed",
    [
        "",
        "äöü",
        "AAAA",
        base64.b64encode(b"{}").decode(),
        figures.packed(LLAMA | {"more": [1] * 100_000}),
        base64.b64encode(zlib.compress(b"[" * 60_000)).decode(),
        base64.b64encode(zlib.compress(b"\xff")).decode(),
        base64.b64encode(zlib.compress(json.dumps(LLAMA).encode())[:-9]).decode(),
    ],
)
def test_a_message_that_is_none_brings_nothing(packed: str) -> None:
    assert published.read(packed, {"BF16": SIZE}, "org/model") is None


# --- hostile figures: read in the function's own process


SLOW: dict[str, Callable[[], Config]] = {
    "layers": lambda: LLAMA | {"num_hidden_layers": 10**12},
    "dense layers": lambda: configurations.DEEPSEEK_V32 | {"first_k_dense_replace": 10**12},
    "an expression that takes years": lambda: _leaves_out(["re:(.*.*)*.*.*x"]),
    "choices in choices": lambda: _leaves_out([f"re:{'(m|m)' * 30}x"]),
    "wildcards": lambda: _leaves_out(["*a" * 2000]),
    "many patterns": lambda: _leaves_out([f"layers.{i}.{i}*" for i in range(9000)]),
}


def _leaves_out(patterns: list[str]) -> Config:
    return LLAMA | {"quantization_config": {"quant_method": "fp8", "ignored_layers": patterns}}


@pytest.mark.parametrize("config", SLOW.values(), ids=SLOW)
def test_figures_that_would_take_long_end_at_once(config: Callable[[], Config]) -> None:
    begin = time.process_time()
    read(config(), BF16=SIZE)
    assert time.process_time() - begin < 0.5


_ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, 0, -1, 1, 2**35, 10**17, 1e-300, 1e300, math.pi, "", "x", "full_attention", True]
) | st.sampled_from([[], {}, [[]], [{}], {"factor": 0}, [0], ["x"] * 100])


@hypothesis.given(st.data())
@effort.examples(100, 300)
def test_figures_that_somebody_made_up_break_nothing(data: st.DataObject) -> None:
    config = json.loads(json.dumps(data.draw(st.sampled_from(list(EVERY.values())))))
    for _ in range(data.draw(st.integers(1, 4))):
        owner = config
        for _ in range(data.draw(st.integers(0, 2))):
            inner = [value for value in owner.values() if isinstance(value, dict) and value]
            owner = data.draw(st.sampled_from(inner)) if inner else owner
        owner[data.draw(st.sampled_from(sorted(owner)))] = data.draw(_ODD)
    read(config, BF16=SIZE)
