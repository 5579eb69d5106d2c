"""The model of the autoscaler gives the answers that follow from KEDA and HPA sources."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.scaling import autoscaler, promql

Manifest = dict[str, Any]


class Target:
    """A replica count."""

    def __init__(self, replicas: int) -> None:
        self.replicas = replicas

    def scale(self, replicas: int) -> None:
        self.replicas = replicas


class Answers:
    """A server that answers each query by name; a name without an answer fails."""

    def __init__(self, **values: Sequence[float]) -> None:
        self.values = dict(values)

    def query(self, text: str) -> Sequence[float]:
        if text not in self.values:
            raise autoscaler.QueryError(text)
        return self.values[text]


def scaled_object(*triggers: Manifest, **spec: Any) -> Manifest:
    return {"metadata": {}, "spec": {"minReplicaCount": 1, "triggers": list(triggers), **spec}}


def trigger(query: str = "a", threshold: str = "10", **metadata: str) -> Manifest:
    return {
        "type": "prometheus",
        "metadata": {"query": query, "threshold": threshold, **metadata},
    }


def keda(replicas: int, answers: Answers, spec: Manifest) -> autoscaler.Keda:
    result = autoscaler.Keda(Target(replicas), answers)
    result.apply(spec, 0)
    return result


@pytest.mark.parametrize(
    ("usage", "current", "wanted"),
    [
        (36_000, 4, 4),  # 0.9 of the target: still within the tolerance.
        (35_999, 4, 4),  # Outside the tolerance, but ceil(3.5999) is the same count.
        (30_000, 4, 3),
        (44_000, 4, 4),  # 1.1 of the target: still within the tolerance.
        (44_001, 4, 5),
        (100_000, 1, 10),
        (0, 5, 0),
    ],
)
def test_an_average_value_divides_and_rounds_up_outside_the_tolerance(
    usage: int, current: int, wanted: int
) -> None:
    assert autoscaler.per_pod(usage, 10_000, current) == wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(22.4, 22400), (0.6, 600), (0.0004, 0), (1 / 3, 333), (-1, 0), (float("nan"), 0)],
)
def test_numbers_reach_the_hpa_in_thousandths(value: float, wanted: int) -> None:
    assert autoscaler.milli(value) == wanted


def test_a_target_that_rounds_to_nothing_is_refused_as_the_hpa_would() -> None:
    with pytest.raises(ValueError, match=r"0\.0004"):
        autoscaler.Spec.read(scaled_object(trigger(threshold="0.0004")))


def test_the_largest_metric_wins_and_bounds_hold() -> None:
    subject = keda(
        3, Answers(a=[10], b=[80]), scaled_object(trigger("a"), trigger("b"), maxReplicaCount=6)
    )
    subject.sync(0)
    assert subject.target.replicas == 6


def test_default_policies_add_four_or_double_and_then_wait_fifteen_seconds() -> None:
    subject = keda(1, Answers(a=[1000]), scaled_object(trigger()))
    counts = []
    for now in (0, 14, 15, 30):
        subject.sync(now)
        counts.append(subject.target.replicas)
    assert counts == [5, 5, 10, 20]


def test_a_metric_that_fails_forbids_down_but_not_up() -> None:
    answers = Answers(a=[10])
    subject = keda(3, answers, scaled_object(trigger("a"), trigger("b")))
    subject.sync(0)
    subject.sync(1000)
    assert subject.target.replicas == 3
    answers.values["a"] = [50]
    subject.sync(1015)
    assert subject.target.replicas == 5


def test_windows_take_the_lowest_going_up_and_the_highest_going_down() -> None:
    behavior = {
        "scaleUp": {"stabilizationWindowSeconds": 30},
        "scaleDown": {"stabilizationWindowSeconds": 120},
    }
    answers = Answers(a=[20])
    spec = scaled_object(
        trigger(), advanced={"horizontalPodAutoscalerConfig": {"behavior": behavior}}
    )
    subject = keda(2, answers, spec)
    counts = []
    for now in range(0, 301, 15):
        answers.values["a"] = [40] if 60 <= now < 120 else [20]
        subject.sync(now)
        counts.append((now, subject.target.replicas))
    # The count rises once no answer within 30 s asked for less. The count falls once no answer
    # within 120 s asked for more.
    assert [pair for pair, last in zip(counts[1:], counts, strict=False) if pair[1] != last[1]] == [
        (75, 4),
        (225, 2),
    ]


def test_one_pod_a_minute_counts_from_the_last_removal() -> None:
    behavior = {
        "scaleDown": {
            "stabilizationWindowSeconds": 0,
            "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
        }
    }
    spec = scaled_object(
        trigger(), advanced={"horizontalPodAutoscalerConfig": {"behavior": behavior}}
    )
    subject = keda(3, Answers(a=[0]), spec)
    counts = []
    for now in (0, 15, 59, 60, 120):
        subject.sync(now)
        counts.append(subject.target.replicas)
    assert counts == [3 - 1, 2, 2, 1, 1]


def test_the_hpa_does_nothing_at_zero() -> None:
    subject = keda(0, Answers(a=[1000]), scaled_object(trigger(), minReplicaCount=0))
    subject.sync(0)
    assert subject.target.replicas == 0


@pytest.mark.parametrize(("value", "replicas"), [(5, 0), (5.01, 1)])
def test_activation_is_strict(value: float, replicas: int) -> None:
    subject = keda(
        0, Answers(a=[value]), scaled_object(trigger(activationThreshold="5"), minReplicaCount=0)
    )
    subject.poll(0)
    assert subject.target.replicas == replicas


def test_the_fallback_starts_above_the_threshold_and_ends_with_the_first_answer() -> None:
    fallback = {"failureThreshold": 2, "replicas": 3}
    answers = Answers()
    subject = keda(0, answers, scaled_object(trigger(), minReplicaCount=0, fallback=fallback))
    states = []
    for now in range(0, 60, 15):
        subject.poll(now)
        states.append((subject.target.replicas, subject.falls_back))
    assert states == [(0, False), (0, False), (1, True), (1, True)]
    subject.sync(60)
    assert subject.target.replicas == 3
    answers.values["a"] = [1]
    subject.poll(75)
    assert not subject.falls_back


def test_without_a_fallback_an_error_at_zero_is_for_ever() -> None:
    subject = keda(0, Answers(), scaled_object(trigger()))
    for now in range(0, 3600, 15):
        subject.poll(now)
    assert subject.target.replicas == 0


@pytest.mark.parametrize(
    ("behavior", "replicas"),
    [("static", 2), ("currentReplicas", 4), ("currentReplicasIfHigher", 4)],
)
def test_fallback_behaviors(behavior: str, replicas: int) -> None:
    fallback = {"failureThreshold": 0, "replicas": 2, "behavior": behavior}
    down = {"scaleDown": {"stabilizationWindowSeconds": 0}}
    spec = scaled_object(
        trigger(),
        fallback=fallback,
        advanced={"horizontalPodAutoscalerConfig": {"behavior": down}},
    )
    subject = keda(4, Answers(), spec)
    subject.sync(15)
    subject.sync(30)
    assert subject.target.replicas == replicas


@pytest.mark.parametrize(
    ("ignores", "values", "fails"),
    [("true", [], False), ("false", [], True), ("true", [1, 2], True), ("false", [0], False)],
)
def test_null_and_many_series(ignores: str, values: list[float], fails: bool) -> None:
    answers = Answers(a=values)
    subject = autoscaler.Trigger.read(0, trigger(ignoreNullValues=ignores))
    if fails:
        with pytest.raises(autoscaler.QueryError):
            subject.value(answers)
    else:
        assert subject.value(answers) == 0


def test_the_cooldown_holds_only_the_step_to_zero() -> None:
    answers = Answers(a=[1])
    spec = scaled_object(trigger(), minReplicaCount=0, cooldownPeriod=60)
    subject = keda(0, answers, spec)
    subject.poll(0)
    answers.values["a"] = [0]
    counts = []
    for now in (15, 60, 61):
        subject.poll(now)
        counts.append(subject.target.replicas)
    assert counts == [1, 1, 0]


def test_a_target_that_was_never_active_has_the_initial_cooldown() -> None:
    spec = scaled_object(trigger(), minReplicaCount=0, cooldownPeriod=1, initialCooldownPeriod=600)
    subject = keda(1, Answers(a=[0]), spec)
    subject.poll(600)
    assert subject.target.replicas == 1
    subject.poll(601)
    assert subject.target.replicas == 0


def test_pausing_sets_the_count_and_stops_both_loops() -> None:
    subject = keda(4, Answers(a=[1000]), scaled_object(trigger()))
    paused = scaled_object(trigger())
    paused["metadata"] = {"annotations": {autoscaler.PAUSED: "0"}}
    subject.apply(paused, 15)
    subject.poll(30)
    subject.sync(30)
    assert subject.target.replicas == 0


def test_forced_activation_leaves_zero_at_once() -> None:
    forced = scaled_object(trigger())
    forced["metadata"] = {"annotations": {autoscaler.FORCED: "true"}}
    subject = keda(0, Answers(), forced)
    subject.poll(0)
    assert subject.target.replicas == 1


class Samples:
    """A store of instant values."""

    def __init__(self, *samples: promql.Sample) -> None:
        self._samples = samples

    def instant(self) -> Sequence[promql.Sample]:
        return self._samples

    def increase(self, seconds: float) -> Sequence[promql.Sample]:
        del seconds
        return self._samples


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ('sum(m{job="a"})', [5]),
        ('sum(m{job="a",namespace="other"})', []),
        ('max(m{job="a"}) / scalar(vector(2))', [1.5]),
        ('sum(m{job="none"}) or vector(0)', [0]),
        ('sum(m{job="a"}) or vector(0)', [5]),
        ("sum(rate(m[2m])) or vector(0)", [1 / 8]),
        ('m{job="a"}', [2, 3]),
    ],
)
def test_queries_mean_what_prometheus_takes_them_to_mean(query: str, values: list[float]) -> None:
    store = Samples(
        promql.Sample("m", {"job": "a", "pod": "1"}, 2),
        promql.Sample("m", {"job": "a", "pod": "2"}, 3),
        promql.Sample("m", {"job": "b", "pod": "3"}, 10),
    )
    assert promql.evaluate(query, store) == values


@pytest.mark.parametrize("query", ["avg(m)", "sum by (pod) (m)", "m > 1", "m offset 5m", "m - m"])
def test_other_queries_are_not_guessed_at(query: str) -> None:
    with pytest.raises(promql.UnsupportedError):
        promql.evaluate(query, Samples())
