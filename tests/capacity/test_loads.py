"""Throughput, latency and replicas of a workload."""

import hypothesis
import pytest
from hypothesis import strategies

from function.capacity import cards, estimates, loads, speed
from tests.capacity import running

QWEN = "Qwen/Qwen3-8B"
CHAT = loads.WORKLOADS["chat"]


def engine(
    card: str = "H100-SXM-80GB", sequences: int = 64, cache_tokens: float = 455_136
) -> loads.Engine:
    does = running.of(QWEN, "fp8")
    return loads.Engine(does, running.card(card), sequences, cache_tokens, 2048)


def given(made: loads.Load | None) -> loads.Load:
    assert made is not None
    return made


def test_one_request_takes_its_prompt_and_its_steps() -> None:
    alone = given(loads.load(engine(), loads.Workload(512, 100), 1))
    step = speed.step(engine().does, engine().card, 1, 562)
    reading = speed.prompt(engine().does, engine().card, 512, 2048)
    assert step is not None
    assert reading is not None
    assert alone.request.best * 1e3 == pytest.approx(reading.best + 100 * step.best)
    assert alone.requests.best == pytest.approx(1 / alone.request.best)
    assert alone.between_tokens.best == pytest.approx(step.best)
    assert alone.output_tokens.best == pytest.approx(100 * alone.requests.best)
    assert alone.tokens.best == pytest.approx(612 * alone.requests.best)


@hypothesis.given(strategies.sampled_from(sorted(loads.WORKLOADS)), strategies.floats(0.1, 500))
def test_prompts_and_answers_are_all_of_a_replicas_time(name: str, concurrency: float) -> None:
    """So what they cost apart is what they cost together."""
    load = given(loads.load(engine(), loads.WORKLOADS[name], concurrency))
    each = (load.prompt.best + load.answer.best) / 1e3
    assert each == pytest.approx(1 / load.requests.best)


def test_a_measured_server_lies_in_the_interval() -> None:
    # Qwen2.5-Coder-7B fp8 with two adapters on an H200, S=32, T=2048, prompts of 1024 and answers
    # of 256 tokens, 64 clients: 30 to 32 running, 8.35 ms between tokens on average.
    coder = running.of("Qwen/Qwen2.5-Coder-7B-Instruct", "fp8")
    server = loads.Engine(coder, running.H200, 32, 203_680, 2048)
    between = given(loads.load(server, loads.Workload(1024, 256), 32)).between_tokens
    assert between.low < 8.35 < between.high
    assert between.grade is estimates.Grade.PREDICTED


@hypothesis.given(
    strategies.sampled_from(sorted(loads.WORKLOADS)),
    strategies.floats(1, 500),
    strategies.floats(0, 500),
)
def test_more_requests_give_more_and_take_longer(name: str, few: float, more: float) -> None:
    workload = loads.WORKLOADS[name]
    one, other = (given(loads.load(engine(), workload, count)) for count in (few, few + more))
    assert one.requests.best <= other.requests.best * (1 + 1e-9)
    assert one.between_tokens.best <= other.between_tokens.best * (1 + 1e-9)
    assert one.first_token.best <= other.first_token.best * (1 + 1e-9)


def test_what_lies_in_the_prefix_cache_is_not_read_again() -> None:
    plain = loads.Workload(8000, 100)
    cached = loads.Workload(8000, 100, cached=6000)
    slow, fast = (given(loads.load(engine(), workload, 8)) for workload in (plain, cached))
    assert fast.first_token.best < 0.5 * slow.first_token.best
    assert fast.requests.best > slow.requests.best


@pytest.mark.parametrize(
    ("setup", "targets", "bound"),
    [
        (engine(sequences=16), loads.Targets(), loads.Bound.SEQUENCES),
        (engine(cache_tokens=10_000), loads.Targets(), loads.Bound.CACHE),
        (engine(), loads.Targets(between_tokens=8), loads.Bound.BETWEEN_TOKENS),
        (engine(), loads.Targets(first_token=35), loads.Bound.FIRST_TOKEN),
    ],
)
def test_what_bounds_a_replica(
    setup: loads.Engine, targets: loads.Targets, bound: loads.Bound
) -> None:
    most = loads.most(setup, CHAT, targets)
    assert most is not None
    assert most[1] is bound
    assert most[0].concurrency <= setup.room(CHAT)
    for promised, reached in (
        (targets.between_tokens, most[0].between_tokens.best),
        (targets.first_token, most[0].first_token.best),
    ):
        if promised is not None:
            # Met, and used up.
            assert 0.99 * promised < reached <= promised


def test_replicas_give_the_rate_with_headroom() -> None:
    for rate in (1.0, 30.0, 400.0):
        needed = loads.replicas(engine(), CHAT, rate, loads.Targets(between_tokens=20))
        assert needed is not None
        assert needed.high is not None
        assert needed.low <= needed.best <= needed.high
        assert needed.best * 0.7 * needed.each.requests.best >= rate
        assert needed.best == 1 or (needed.best - 1) * 0.7 * needed.each.requests.best < rate


@pytest.mark.parametrize(
    ("card", "targets"),
    [
        # One request alone is slower than that.
        ("L4", loads.Targets(between_tokens=5)),
        # Its arithmetic is unknown.
        ("MI300X", loads.Targets()),
    ],
)
def test_no_number_of_replicas_is_a_guess(card: str, targets: loads.Targets) -> None:
    assert loads.replicas(engine(card), CHAT, 1, targets) is None


def test_the_pessimist_may_find_no_number() -> None:
    alone = given(loads.load(engine(), CHAT, 1)).between_tokens
    tight = loads.Targets(between_tokens=(alone.best + alone.high) / 2)
    needed = loads.replicas(engine(), CHAT, 10, tight)
    assert needed is not None
    assert needed.high is None


def test_workloads_name_their_source() -> None:
    assert sorted(loads.WORKLOADS) == [
        "agent",
        "batch",
        "chat",
        "code-completion",
        "rag",
        "reasoning",
    ]
    assert all(workload.source for workload in loads.WORKLOADS.values())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: loads.Workload(0, 1), "prompt: 0 tokens"),
        (lambda: loads.Workload(1, 0), "output: 0 tokens"),
        (lambda: loads.Workload(1, 1, cached=-1), "cached: -1 tokens"),
        (lambda: loads.load(engine(), CHAT, 0), "concurrency: 0"),
        (lambda: loads.replicas(engine(), CHAT, -1), "rate: -1"),
        (lambda: loads.replicas(engine(), CHAT, 1, headroom=1), "headroom: 1"),
    ],
)
def test_bad_numbers_are_named(call: object, words: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=words):
        call()


def test_a_replica_without_a_known_card_has_no_load() -> None:
    unknown = cards.Card("T4", 14.57, 0, 0, 0)
    blind = loads.Engine(running.of(QWEN), unknown, 8, 1000, 2048)
    assert loads.load(blind, CHAT, 1) is None
    assert loads.most(blind, CHAT, loads.Targets()) is None
