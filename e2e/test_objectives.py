"""How fast budgets are used up: the alerts on objectives, minute by minute, over hours.

`vmalert-tool unittest` evaluates the recorded series and the alerts that read them, as composed
for both operators, on counters as an engine and a gateway expose them. Each alert is checked for
each objective in each minute. The tool reads what it recorded one evaluation later, so an alert
comes two minutes after its condition holds; with Prometheus it comes at once.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from e2e import shipped, test_alerts
from e2e.alerts import cases, vmalert
from e2e.controlplane import api
from function.api import claim_metrics
from function.engines.vllm import metrics
from function.situation import situations as held
from tests.alerts import rendered

NEVER = 10_000
# When a fault begins: two hours of healthy traffic lie before it.
START = 120
TOKENS = 20
SLO: api.Object = {
    "ttft": {"percentile": "95", "seconds": "1"},
    "itl": {"percentile": "99", "seconds": "0.1"},
    "availability": {"percent": "99.5"},
}


@dataclasses.dataclass(frozen=True)
class Traffic:
    """What a claim's requests meet.

    Attributes:
        requests: Requests a minute.
        late: Share of the first tokens that come late.
        slow: Share of the tokens that come late behind the one before.
        failing: Share of the requests that are answered with 5xx.
        timed: Whether the engine has the histograms, with the bounds that count.
        counted: Whether anybody counts answers.
        scraped: Whether scrapes succeed.
        replicas: Replicas that are available.
    """

    requests: float = 60
    late: float = 0
    slow: float = 0
    failing: float = 0
    timed: bool = True
    counted: bool = True
    scraped: bool = True
    replicas: int = 2


GOOD = Traffic()
Changes = Mapping[int, Traffic]
# By alert and objective: from which minute on it fires, and from which on no longer.
Firing = Mapping[tuple[str, str], tuple[int, int]]


@dataclasses.dataclass(frozen=True)
class Case:
    """A claim's hours.

    Attributes:
        changes: What its requests meet from a minute on; healthy before.
        firing: What fires.
        minutes: How long.
        window: Of the objectives; its alerts look back for as long as the page says.
    """

    changes: Changes
    firing: Firing
    minutes: int = 240
    window: str = "7d"


def planned(site: str, window: str) -> held.Situation:
    """A claim with all objectives, behind the gateway where the site has one."""
    gateway = {"enabled": site == "reference"}
    slo = {**SLO, "window": window}
    subject = rendered.changed(slo=slo, gateway=gateway, loraAdapters=[])
    return rendered.planned(subject, rendered.ENVIRONMENTS[site])


# --- series


def _at(changes: Changes, minute: int) -> Traffic:
    past = [start for start in changes if start <= minute]
    return changes[max(past)] if past else GOOD


def _labels(plan: held.Situation, **more: str) -> dict[str, str]:
    who = plan.plan.identity
    scraped = {"namespace": who.namespace, "job": who.name, "pod": f"{who.name}-1"}
    return {**scraped, "instance": "10.0.0.1:8000", **more}


def _series(name: str, labels: Mapping[str, str], values: list[str]) -> dict[str, str]:
    inside = ",".join(f"{key}={json.dumps(value)}" for key, value in labels.items())
    return {"series": f"{name}{{{inside}}}", "values": " ".join(values)}


def _counter(
    case: Case, growth: Callable[[Traffic], float], shown: Callable[[Traffic], bool]
) -> list[str]:
    """A counter's value at each minute, missing where nobody shows it."""
    total, values = 0.0, []
    for minute in range(case.minutes + 1):
        total += growth(_at(case.changes, minute - 1))
        values.append(f"{total:.6g}" if shown(_at(case.changes, minute)) else "_")
    return values


def _gauge(case: Case, value: Callable[[Traffic], int]) -> list[str]:
    return [str(value(_at(case.changes, minute))) for minute in range(case.minutes + 1)]


def series(plan: held.Situation, case: Case) -> Iterator[dict[str, str]]:
    """The series that the rules of objectives read."""
    who = plan.plan.identity
    model = _labels(plan, model_name=who.name, engine="0")
    times: list[tuple[str, str, int, Callable[[Traffic], float]]] = [
        (metrics.FIRST_TOKEN, "1.0", 1, lambda one: one.late),
        (metrics.BETWEEN_TOKENS, "0.1", TOKENS, lambda one: one.slow),
    ]
    for name, bound, each, share in times:

        def timed(one: Traffic) -> bool:
            return one.timed and one.scraped

        def every(one: Traffic, each: int = each) -> float:
            return one.requests * (1 - one.failing) * each

        def within(
            one: Traffic, each: int = each, share: Callable[[Traffic], float] = share
        ) -> float:
            return one.requests * (1 - one.failing) * each * (1 - share(one))

        yield _series(f"{name}_count", model, _counter(case, every, timed))
        yield _series(f"{name}_bucket", {**model, "le": "+Inf"}, _counter(case, every, timed))
        yield _series(f"{name}_bucket", {**model, "le": bound}, _counter(case, within, timed))
    finished = {**model, "finished_reason": "stop"}
    ended = _counter(case, lambda one: one.requests, lambda one: one.scraped)
    yield _series(metrics.FINISHED, finished, ended)
    by_gateway = plan.plan.site.monitoring.requests is not None
    answers: list[tuple[str, Callable[[Traffic], float]]] = [
        ("2", lambda one: one.requests * (1 - one.failing))
    ]
    if any(one.failing for one in case.changes.values()):
        # The counter of failures begins with the first one.
        answers.append(("5", lambda one: one.requests * one.failing))
    for digit, growth in answers:
        values = _counter(case, growth, lambda one: one.counted and (one.scraped or by_gateway))
        if not by_gateway:
            labels = _labels(plan, handler="/v1/completions", method="POST", status=f"{digit}xx")
            yield _series(metrics.HTTP_REQUESTS, labels, values)
        else:
            route = f"httproute/{who.namespace}/{who.name}/rule/0"
            labels = {"envoy_cluster_name": route, "envoy_response_code_class": digit}
            yield _series("envoy_cluster_upstream_rq_xx", labels, values)
    yield _series("up", _labels(plan), _gauge(case, lambda one: int(one.scraped)))
    place = {"namespace": who.namespace, "deployment": who.name}
    available = _gauge(case, lambda one: one.replicas)
    yield _series("kube_deployment_status_replicas_available", place, available)


# --- cases

FAST, SLOWLY, UNMEASURED = cases.BURNS_FAST, cases.BURNS_SLOWLY, cases.UNMEASURED


def lasting(**traffic: Any) -> Changes:
    """A fault that does not end."""
    return {START: dataclasses.replace(GOOD, **traffic)}


def always(**traffic: Any) -> Changes:
    """The same at all times."""
    return {0: dataclasses.replace(GOOD, **traffic)}


CASES: dict[str, Case] = {
    "every first token is late": Case(
        lasting(late=1), {(FAST, "ttft"): (136, NEVER), (SLOWLY, "ttft"): (146, NEVER)}
    ),
    "every token is late": Case(
        lasting(slow=1), {(FAST, "itl"): (128, NEVER), (SLOWLY, "itl"): (141, NEVER)}
    ),
    "every request fails": Case(
        lasting(failing=1),
        {(FAST, "availability"): (127, NEVER), (SLOWLY, "availability"): (140, NEVER)},
    ),
    # Four hundredths of the budget of a week, and quickly over.
    "every request of two minutes fails": Case(
        {**lasting(failing=1), START + 2: GOOD},
        {(FAST, "availability"): (127, 131), (SLOWLY, "availability"): (140, 210)},
    ),
    "half an hour of late first tokens": Case(
        {**lasting(late=1), START + 30: GOOD},
        {(FAST, "ttft"): (136, 159), (SLOWLY, "ttft"): (146, 233)},
    ),
    # 0.72 are allowed for an hour: the 59 minutes that it sums up must nearly all be such.
    "three in four first tokens are late, of 30 days": Case(
        lasting(late=0.75),
        {(FAST, "ttft"): (183, NEVER), (SLOWLY, "ttft"): (148, NEVER)},
        window="30d",
    ),
    # Five have missed after two minutes; two later it is read, and 15 minutes go by.
    "six in a hundred first tokens are late": Case(
        always(late=0.06), {(SLOWLY, "ttft"): (18, NEVER)}
    ),
    # Rates of five minutes end, and 15 minutes go by.
    "the histograms go": Case(
        lasting(timed=False),
        {(UNMEASURED, "ttft"): (140, NEVER), (UNMEASURED, "itl"): (140, NEVER)},
    ),
    # An hour without a request that anybody counted, while requests end.
    "nobody counts answers": Case(
        lasting(counted=False), {(UNMEASURED, "availability"): (198, NEVER)}
    ),
    "fewer miss than may": Case(always(late=0.049, slow=0.0099, failing=0.0049), {}),
    "four late first tokens in a quiet night": Case(
        {**always(requests=0.04), **lasting(requests=0.04, late=1)}, {}, minutes=START + 100
    ),
    "traffic stops": Case(lasting(requests=0), {}),
    "scrapes fail": Case(lasting(scraped=False), {}),
    "no replica is left": Case(lasting(requests=0, scraped=False, replicas=0), {}),
}


def expected(plan: held.Situation, case: Case) -> dict[tuple[str, str, int], list[vmalert.Alert]]:
    """The alerts that fire, by group, alert and minute."""
    group = f"{plan.plan.identity.name}{claim_metrics.GROUP_SUFFIX}"
    firing: dict[tuple[str, str, int], list[vmalert.Alert]] = {}
    for (name, objective), (since, until) in case.firing.items():
        rule = test_alerts.rule(plan, name)
        notes = {
            key: text.replace("{{ $labels.objective }}", objective)
            for key, text in rule["annotations"].items()
        }
        alert = vmalert.Alert.of({**rule, "annotations": notes}, group, objective=objective)
        for minute in range(since, min(until, case.minutes + 1)):
            firing.setdefault((group, name, minute), []).append(alert)
    return firing


@pytest.mark.parametrize("site", shipped.PROFILES)
@pytest.mark.parametrize("name", CASES)
def test_budgets_wake_whom_they_should(name: str, site: str, tmp_path: pathlib.Path) -> None:
    """Each alert of each objective at each minute, for both operators and both counts."""
    case = CASES[name]
    plan = planned(site, case.window)
    manifest = rendered.manifest(plan)
    own = [group for group in manifest["spec"]["groups"] if group["name"].endswith("-slo")]
    timeline = vmalert.Timeline(
        name, list(series(plan, case)), expected(plan, case), case.minutes, "1m"
    )
    assert vmalert.check(tmp_path, [{"spec": {"groups": own}}], [timeline]) == ""


def test_every_alert_and_objective_has_a_case() -> None:
    """Each pair fires in one of them."""
    pairs = {pair for case in CASES.values() for pair in case.firing}
    assert pairs == {(alert, name) for alert in (FAST, SLOWLY, UNMEASURED) for name in SLO}
