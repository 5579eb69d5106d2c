"""The checks of expressions: each check refuses the mistake that it exists for."""

import pytest

from tests.alerts import promql, sources

LABELS = {
    "a": frozenset(("namespace", "pod", "le")),
    "b": frozenset(("namespace", "pod")),
}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a", {"namespace", "pod", "le"}),
        ("sum(a)", set()),
        ("sum by (pod, other) (a)", {"pod"}),
        ("sum without (pod) (a)", {"namespace", "le"}),
        ("histogram_quantile(0.9, sum by (le, pod) (rate(a[5m])))", {"pod"}),
        ("time() - b", {"namespace", "pod"}),
        ("(b) > 3", {"namespace", "pod"}),
        ("vector(0)", set()),
    ],
)
def test_labels_of_a_result(text: str, wanted: set[str]) -> None:
    assert promql.labels(promql.parse(text), LABELS.__getitem__) == frozenset(wanted)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("sum(a) > 0 and on() max(b) > 0", True),
        ("sum(a) > 0 and max(b) > 0", True),
        ("sum by (pod) (a) and on (pod) b", True),
        ("b and on (namespace, pod) a", True),
        ("a and b", False),
        ("sum(a) and on (pod) b", False),
        ("a unless on() sum(b)", False),
        ("sum(a) or b", False),
        ("a / on (pod) b", False),
        ("sum by (pod) (a) - sum by (pod) (b)", True),
        ("sum by (pod) (a) - sum(b)", False),
        ("a and ignoring (le) b", False),
        ("sum(a) > 0 or max(sum(a) and b) > 1", False),
    ],
)
def test_operands_that_can_never_match(text: str, fits: bool) -> None:
    assert (not list(promql.mismatches(promql.parse(text), LABELS.__getitem__))) == fits


@pytest.mark.parametrize(
    ("text", "guarded"),
    [
        ("sum(a) / (sum(b) > 0)", True),
        ("sum(a) / 60", True),
        ("sum(a) / sum(b)", False),
        ("sum(a) / 0", False),
        ("sum(a) / (sum(b) > bool 0)", False),
        ("sum(a) / (sum(b) >= 0)", False),
        ("max(sum(a) / clamp_min(sum(b), 1)) > 1", False),
    ],
)
def test_denominators(text: str, guarded: bool) -> None:
    assert (not list(promql.unguarded(promql.parse(text)))) == guarded


def test_selectors_know_what_they_stand_in() -> None:
    selectors = list(promql.selectors(promql.parse('sum(rate(a{x="1"}[5m])) > b{y=~"2"}')))
    assert [(s.name, s.inside, s.equals("x"), s.equals("y")) for s in selectors] == [
        ("a", ("sum", "rate"), "1", None),
        ("b", (), None, None),
    ]


@pytest.mark.parametrize("version", sources.VERSIONS)
def test_an_exposition_tells_kinds_and_labels(version: str) -> None:
    engine = sources.engine(version)
    assert engine["vllm:num_requests_running"].kind == sources.GAUGE
    assert engine["vllm:generation_tokens_total"].kind == sources.COUNTER
    assert engine["vllm:time_to_first_token_seconds_bucket"].kind == sources.BUCKET
    assert engine["vllm:time_to_first_token_seconds_count"].kind == sources.COUNTER
    assert "le" in engine["vllm:time_to_first_token_seconds_bucket"].labels
    assert "model_name" not in engine["http_requests_total"].labels
    for gone in ("vllm:gpu_cache_usage_perc", "vllm:num_preemptions", "vllm:num_requests_swapped"):
        assert gone not in engine
