"""Objectives as rules: what is counted, how fast budgets are used up, and whom that wakes.

Rates of five minutes are recorded once a minute. All else is sums over them, so that a window of
days costs one series and not one for each pod that ran. The burn rates and their windows are those
of Google's SRE workbook (chapter 5, multiwindow, multi-burn-rate), made for 30 days.
"""

import dataclasses
from collections.abc import Iterator

from function import plural
from function.api import claim_metrics
from function.engines import engine
from function.planning import identity, objectives, plans, running

# What is recorded; docs/objectives.md has the table.
EVENTS = "inference_service:slo_events:rate5m"
MISSED = "inference_service:slo_missed:rate5m"
BUDGET = "inference_service:slo_budget:ratio"
BURN_RATE = "inference_service:slo_burn_rate:ratio"
BUDGET_LEFT = "inference_service:slo_budget_left:ratio"

# Sums of rates are counts because of it: seconds between two evaluations.
_EVERY = 60
_RATE_MINUTES = 5
# A rate of bad luck among few requests wakes nobody.
LEAST_MISSED = 5


@dataclasses.dataclass(frozen=True)
class Pace:
    """How fast a budget is used up for an alert.

    Attributes:
        burn_rate: Times as fast as would last for all days.
        minutes: The window, of 30 days.
    """

    burn_rate: str
    minutes: int

    def window(self, days: int) -> str:
        """Returns the window, of so many days."""
        return _text(self.minutes * days / _MONTH)

    def recent(self, days: int) -> str:
        """Returns the window in which the pace must hold still: a twelfth."""
        return _text(self.minutes * days / _MONTH / 12)


_MONTH = 30
# 2 % of the budget of 30 days in an hour, 5 % in six hours.
FAST = (Pace("14.4", 60), Pace("6", 6 * 60))
# 10 % in a day, 10 % in three days.
SLOW = (Pace("3", 24 * 60), Pace("1", 3 * 24 * 60))


def _text(minutes: float) -> str:
    """Returns a window: whole minutes, and none shorter than the rates that it sums up."""
    whole = max(_RATE_MINUTES, round(minutes))
    for unit, size in (("d", 24 * 60), ("h", 60)):
        if whole % size == 0:
            return f"{whole // size}{unit}"
    return f"{whole}m"


def group(plan: plans.Plan, now: running.Running) -> list[identity.Manifest]:
    """Returns the group of recorded series, or none for a claim without objectives.

    Args:
        plan: The plan.
        now: What the pods that run are.
    """
    judged = judgeable(plan, now)
    if not judged:
        return []
    rules = [rule for one in judged for rule in _counted(plan, one)]
    return [
        {
            "name": f"{plan.identity.name}{claim_metrics.GROUP_SUFFIX}",
            "interval": f"{_EVERY}s",
            "rules": [*rules, *_burn_rates(plan)],
        }
    ]


def judgeable(plan: plans.Plan, now: running.Running) -> list[objectives.Objective]:
    """Returns the objectives that the pods which run can be judged by."""
    return [one for one in plan.objectives.each if one.name != "itl" or now.generates]


def own(plan: plans.Plan, **more: str) -> str:
    """Returns the matchers of a claim's recorded series."""
    labels = {**_labels(plan), **more}
    return "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}"


def _labels(plan: plans.Plan) -> dict[str, str]:
    return {"namespace": plan.identity.namespace, "model": plan.identity.name}


def _record(name: str, expression: str, labels: dict[str, str]) -> identity.Manifest:
    return {"record": name, "expr": expression, "labels": labels}


def _counted(plan: plans.Plan, one: objectives.Objective) -> Iterator[identity.Manifest]:
    labels = {**_labels(plan), "objective": one.name}
    every, missed = _rates(plan, one)
    yield _record(BUDGET, f"vector({one.budget.normalize():f})", labels)
    yield _record(EVENTS, every, labels)
    yield _record(MISSED, missed, labels)


def _rates(plan: plans.Plan, one: objectives.Objective) -> tuple[str, str]:
    """Returns what is counted each second, and what of it misses the objective."""
    measures = plan.engine.measures(plan.identity, plan.spec)
    if one.bound is not None:
        histogram = measures.times[one.name]
        every = _rate(histogram.every)
        return every, f"{every} - {_rate(histogram.within(one.bound))}"
    queries = plan.site.monitoring.requests
    if one.by_gateway and queries is not None:
        every, failed = (f"sum({_named(query, plan)})" for query in (queries.every, queries.failed))
    else:
        every, failed = map(_rate, measures.requests)
    # A counter of failures begins with the first one.
    return every, f"{failed} or {every} * 0"


def _rate(selector: str) -> str:
    return f"sum(rate({selector}[{_RATE_MINUTES}m]))"


def _named(query: str, plan: plans.Plan) -> str:
    who = plan.identity
    return query.replace("{name}", who.name).replace("{namespace}", who.namespace)


def _burn_rates(plan: plans.Plan) -> Iterator[identity.Manifest]:
    days = plan.objectives.days
    windows = [pace.window(days) for pace in (*FAST, *SLOW)]
    windows += [pace.recent(days) for pace in (*FAST, *SLOW)]
    for window in dict.fromkeys(windows):
        labels = {**_labels(plan), "window": window}
        yield _record(BURN_RATE, _burn_rate(plan, window), labels)
    yield _record(BUDGET_LEFT, f"1 - {_burn_rate(plan, f'{days}d')}", _labels(plan))


def _burn_rate(plan: plans.Plan, window: str) -> str:
    """Returns how many times as fast as it may a budget is used up; nothing without traffic."""
    who = own(plan)
    return (
        f"sum_over_time({MISSED}{who}[{window}]) / (sum_over_time({EVENTS}{who}[{window}]) > 0)"
        f" / ({BUDGET}{who} > 0)"
    )


# --- alerts


def alerts(plan: plans.Plan, now: running.Running) -> Iterator[engine.Alert]:
    """Yields the alerts on objectives; none for a claim without them."""
    judged = judgeable(plan, now)
    if not judged:
        return
    who, days = plan.identity.name, plan.objectives.days
    named = "the objective {{ $labels.objective }}"
    yield engine.Alert(
        "InferenceServiceBudgetBurnsFast",
        _burns(plan, FAST),
        "2m",
        "critical",
        f"{who} misses {named} fast",
        f"At this pace the budget of {days} days lasts {plural.of(_lasts(days), 'day')} at most.",
    )
    yield engine.Alert(
        "InferenceServiceBudgetBurnsSlowly",
        _burns(plan, SLOW),
        "15m",
        "warning",
        f"{who} misses {named} slowly",
        f"At this pace the budget of {days} days is gone before they are over.",
    )
    yield engine.Alert(
        "InferenceServiceObjectiveUnmeasured",
        _unmeasured(plan, judged),
        "15m",
        "warning",
        f"Nothing counts for {named} of {who}",
        "Replicas serve, and the series by which the objective is judged are missing: no alert"
        " would come from it.",
    )


def _lasts(days: int) -> str:
    """Returns for how many days a budget lasts at the slower of the fast paces."""
    return f"{days / max(float(pace.burn_rate) for pace in FAST[1:]):.2g}"


def _burns(plan: plans.Plan, paces: tuple[Pace, ...]) -> str:
    """Returns when a budget is used up at one of the paces, over its window and still."""
    days = plan.objectives.days

    def rate(window: str) -> str:
        return f"max by (objective) ({BURN_RATE}{own(plan, window=window)})"

    return " or ".join(
        f"{rate(pace.window(days))} > {pace.burn_rate}"
        f" and {rate(pace.recent(days))} > {pace.burn_rate}"
        f" and max by (objective) (sum_over_time({MISSED}{own(plan)}[{pace.window(days)}]))"
        f" * {_EVERY} >= {LEAST_MISSED}"
        for pace in paces
    )


def _unmeasured(plan: plans.Plan, judged: list[objectives.Objective]) -> str:
    """Returns when replicas serve and an objective has no series, or none that count."""
    series, measures = plan.workload.SERIES, plan.engine.measures(plan.identity, plan.spec)
    keeper = series.matchers(plan.identity, plan.workload.name(plan.identity))
    clauses = []
    if any(one.bound is not None for one in judged):
        # Histograms are there before the first request.
        clauses.append(
            f"max by (objective) ({BUDGET}{_timed(plan)}) unless"
            f" max by (objective) ({MISSED}{_timed(plan)})"
            f" and on() max({series.available}{keeper}) > 0"
            f" and on() sum(up{engine.matchers(plan.identity)}) > 0"
        )
    if any(one.bound is None for one in judged):
        # Counters of answers begin with the first one, and a gateway's are another scrape's.
        who = own(plan, objective="availability")
        clauses.append(
            f"max by (objective) ({BUDGET}{who}) unless"
            f" max by (objective) (sum_over_time({EVENTS}{who}[1h])) > 0"
            f" and on() sum(rate({measures.finished}[1h])) > 0"
        )
    return " or ".join(clauses)


def _timed(plan: plans.Plan) -> str:
    return own(plan)[:-1] + ',objective=~"itl|ttft"}'
