"""The cache's blocks, tokens and sequences: vLLM's arithmetic on measured starts and on makes."""

import dataclasses
import math

import pytest

from function.capacity import arrangements, cache, facts
from tests.capacity import measurements

MEASURED = [
    start
    for version in ("0.25.1", "0.19")
    for start in measurements.starts(version)
    # The last stage of a pipeline decides, and the log has the first one's memory.
    if start.arrangement.pipeline == 1
]


def layout_of(start: measurements.Start) -> cache.Layout:
    return cache.layout(start.model, start.arrangement, start.arrangement.tokens(start.card))


@pytest.mark.parametrize("start", MEASURED, ids=lambda start: start.name)
def test_blocks_are_the_engines(start: measurements.Start) -> None:
    # Logs of 0.19 round memory to 0.01 GiB; those of 0.25.1 here have four digits.
    layout = layout_of(start)
    rounding = 0.006 if start.arrangement.version == "0.19.0" else 0.0001
    blocks = layout.blocks(start.available)
    assert abs(blocks - start.blocks) <= 1 + rounding * measurements.GIB / layout.block_bytes


@pytest.mark.parametrize("start", MEASURED, ids=lambda start: start.name)
def test_sequences_are_the_engines(start: measurements.Start) -> None:
    if start.sequences is None:
        return
    sequences = start.blocks / layout_of(start).sequence(start.arrangement.context)
    # vLLM counts a chunked window (Llama 4) without the block that a sliding one may begin in.
    chunked = start.model.architecture == "Llama4ForConditionalGeneration"
    assert sequences == pytest.approx(start.sequences, rel=0.002 if chunked else 0, abs=0.006)


def model_of(*blocks: facts.Block, dtype_bytes: int = 2) -> facts.Facts:
    return facts.Facts("test/model", "Test", 4096, 32000, False, dtype_bytes, blocks, 131072)


def mixer(kind: facts.Mixing = facts.Mixing.FULL, **fields: int) -> facts.Mixer:
    plain = facts.Mixer(kind, heads=32, kv_heads=8, head_size=128)
    return dataclasses.replace(plain, **fields)  # type: ignore[arg-type]


FULL = facts.Block(10, mixer(), facts.Network(14336))
WINDOW = facts.Block(50, mixer(facts.Mixing.WINDOW, window=1024), facts.Network(14336))
ASKED = arrangements.Arrangement("0.25.1", 32768, 32, 0.9, 2048)


@pytest.mark.parametrize(
    ("blocks", "changes", "block_bytes", "of_a_sequence"),
    [
        ([FULL], {}, 10 * 16 * 8 * 256 * 2, 2048),
        ([FULL], {"cache_dtype": "fp8"}, 10 * 16 * 8 * 256, 2048),
        ([FULL], {"block": 32}, 10 * 32 * 8 * 256 * 2, 1024),
        ([FULL], {"tensor": 4}, 10 * 16 * 2 * 256 * 2, 2048),
        # Fewer heads than GPUs: each GPU keeps one.
        ([FULL], {"tensor": 16}, 10 * 16 * 1 * 256 * 2, 2048),
        ([FULL], {"pipeline": 3}, 4 * 16 * 8 * 256 * 2, 2048),
        # One group of full attention, five of windows: (1023 + 2048) / 16, and one to begin in.
        ([FULL, WINDOW], {}, 10 * 16 * 8 * 256 * 2, 2048 + 5 * (192 + 1)),
        # A window beyond the context keeps the context.
        ([FULL, WINDOW], {"context": 1024}, 10 * 16 * 8 * 256 * 2, 64 + 5 * (64 + 1)),
        # Layers that read another layer's cache keep none.
        (
            [FULL, facts.Block(20, mixer(shares=True), facts.Network(14336))],
            {},
            10 * 16 * 8 * 256 * 2,
            2048,
        ),
        # Fewer than 1.5 times as many: groups of the larger size, one of them padded.
        (
            [FULL, dataclasses.replace(WINDOW, count=12)],
            {},
            12 * 16 * 8 * 256 * 2,
            2048 + 192 + 1,
        ),
        # Keys of 192 and values of 128 elements.
        (
            [facts.Block(4, mixer(head_size=192, value_size=128), facts.Network(1))],
            {},
            4 * 16 * 8 * 320 * 2,
            2048,
        ),
        # A page half as large holds twice the tokens.
        (
            [
                facts.Block(4, mixer(head_size=512, kv_heads=4), facts.Network(1)),
                facts.Block(4, mixer(facts.Mixing.WINDOW, window=512), facts.Network(1)),
            ],
            {},
            4 * 16 * 4 * 1024 * 2,
            2048 + (math.ceil((511 + 2048) / 32) + 1),
        ),
        # One latent vector, whole on each GPU.
        (
            [facts.Block(27, mixer(facts.Mixing.LATENT, latent=576), facts.Network(1))],
            {"tensor": 2},
            27 * 16 * 576 * 2,
            2048,
        ),
        # Its sparse index in 8 bits, with a scale.
        (
            [facts.Block(2, mixer(facts.Mixing.LATENT, latent=576, index=128), facts.Network(1))],
            {},
            2 * 16 * (576 * 2 + 132),
            2048,
        ),
        # A state of 33 blocks' bytes: attention's blocks grow to 33 times 16 tokens.
        (
            [
                dataclasses.replace(FULL, count=12),
                facts.Block(
                    36,
                    mixer(facts.Mixing.STATE, state=33 * 16 * 8 * 256 // 2, state_bytes=4),
                    facts.Network(1),
                ),
            ],
            {},
            12 * 33 * 16 * 8 * 256 * 2,
            math.ceil(32768 / (33 * 16)) + 3,
        ),
        ([facts.Block(12, facts.Mixer(facts.Mixing.NONE), facts.Network(1))], {}, 0, 0),
    ],
)
def test_layout(
    blocks: list[facts.Block], changes: dict[str, object], block_bytes: int, of_a_sequence: int
) -> None:
    asked = dataclasses.replace(ASKED, **changes)  # type: ignore[arg-type]
    layout = cache.layout(model_of(*blocks), asked, 2048)
    assert (layout.block_bytes, layout.sequence(asked.context)) == (block_bytes, of_a_sequence)


def test_tokens_of_one_kind_are_its_blocks() -> None:
    layout = cache.layout(model_of(FULL), ASKED, 2048)
    assert layout.tokens(100 * layout.block_bytes + 1, 32768) == 1600


def test_tokens_of_several_kinds_count_full_sequences() -> None:
    layout = cache.layout(model_of(FULL, WINDOW), ASKED, 2048)
    blocks = 2 * layout.sequence(32768)
    assert layout.tokens(blocks * layout.block_bytes, 32768) == 2 * 32768


def test_longest_is_the_last_that_fits() -> None:
    layout = cache.layout(model_of(FULL, WINDOW), ASKED, 2048)
    available = 1500 * layout.block_bytes
    longest = layout.longest(available, 131072)
    assert layout.sequence(longest) <= 1500 < layout.sequence(longest + 1)
    assert layout.longest(available, 500) == 500
    assert layout.longest(-1, 131072) == 0


def test_a_float32_model_keeps_float32() -> None:
    assert cache.element_bytes(model_of(FULL, dtype_bytes=4), "auto") == 4


def test_an_unknown_dtype_is_refused() -> None:
    with pytest.raises(ValueError, match="cache_dtype: 'int4' is no dtype of a cache; give auto"):
        cache.element_bytes(model_of(FULL), "int4")
