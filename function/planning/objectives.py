"""What a claim's users are promised, and by what it is judged."""

import dataclasses
import decimal
from collections.abc import Collection, Iterator

from function import duration, explanation
from function.api import base, claim, claim_metrics, settings
from function.engines import engine
from function.planning import ways

DAYS = "30d"
# Rates over five minutes need four scrapes, as those of alerts do.
_LONGEST_SCRAPE = 75 * duration.SECOND
_COUNTED = {
    "ttft": "requests have their first token",
    "itl": "tokens follow the one before",
}


@dataclasses.dataclass(frozen=True)
class Objective:
    """One promise.

    Attributes:
        name: `ttft`, `itl` or `availability`.
        budget: The share of what is counted that may miss it, between 0 and 1.
        bound: Seconds that are kept to: one of the engine's bounds. None for availability.
        by_gateway: Whether the gateway counts, and not the engine.
        sentence: The promise, in words.
    """

    name: str
    budget: decimal.Decimal
    bound: float | None
    by_gateway: bool
    sentence: str


@dataclasses.dataclass(frozen=True)
class Objectives:
    """All that a claim promises.

    Attributes:
        each: One for each promise that can be judged.
        days: Over how many days that end now the budgets count.
    """

    each: tuple[Objective, ...] = ()
    days: int = int(DAYS[:-1])


def refusals(
    slo: claim_metrics.Objectives | None, measures: engine.Measures
) -> Iterator[base.Problem]:
    """Yields the times that are below all that the engine tells apart."""
    for name, asked in _times(slo):
        histogram = measures.times.get(name)
        if histogram is None or histogram.lowered(float(asked.seconds)) is not None:
            continue
        words = "the claim's engineArgs set no bounds"
        if histogram.bounds:
            words = f"the engine tells no times apart below {histogram.bounds[0]:g} s: raise it"
        yield base.Problem(f"spec.slo.{name}.seconds", f"{asked.seconds} cannot be judged: {words}")


def objectives(
    spec: claim.Spec,
    site: settings.Settings,
    measures: engine.Measures,
    reached: ways.Ways,
    why: list[explanation.Explanation],
    *,
    generates: bool,
) -> Objectives:
    """Returns what users are promised.

    Args:
        spec: What the author asks for.
        site: The settings.
        measures: By which of the engine's series objectives are judged.
        reached: By which ways requests reach the claim.
        why: Explanations are added here.
        generates: Whether the engine writes tokens.
    """
    slo = spec.slo
    if slo is None:
        return Objectives()
    window = base.given(slo.window, DAYS)
    judged = [
        *_of_times(slo, measures, window, why, generates=generates),
        *_of_requests(slo, site, reached.counted, window, why),
    ]
    if site.providers.monitoring == "none":
        why.append(_unjudged("slo", "the settings have no provider of monitoring"))
    interval = base.of(base.of(spec.observability, "metrics"), "interval")
    if interval is not None and duration.milliseconds(interval) > _LONGEST_SCRAPE:
        words = "objectives are judged by rates over five minutes: name at most 75s"
        why.append(_surprise("observability.metrics.interval", interval, words))
    return Objectives(tuple(judged), int(window[:-1]))


def _times(
    slo: claim_metrics.Objectives | None,
) -> Iterator[tuple[str, claim_metrics.Latency]]:
    for name in _COUNTED:
        asked = base.of(slo, name)
        if asked is not None:
            yield name, asked


def _of_times(
    slo: claim_metrics.Objectives,
    measures: engine.Measures,
    window: str,
    why: list[explanation.Explanation],
    *,
    generates: bool,
) -> Iterator[Objective]:
    for name, asked in _times(slo):
        histogram = measures.times.get(name)
        bound = None if histogram is None else histogram.lowered(float(asked.seconds))
        if histogram is None or bound is None:
            why.append(_unjudged(f"slo.{name}", "the engine does not time it"))
            continue
        if name == "itl" and not generates:
            why.append(_unjudged(f"slo.{name}", "the model writes no tokens"))
            continue
        sentence = f"{asked.percentile} % of {_COUNTED[name]} within {bound:g} s, over {window}"
        why.append(_bound(name, asked.seconds, bound, histogram, sentence))
        yield Objective(name, _budget(asked.percentile), bound, False, sentence)


def _bound(
    name: str, seconds: str, bound: float, histogram: engine.Histogram, sentence: str
) -> explanation.Explanation:
    """Returns by which of the engine's bounds a time is judged."""
    rule = "the engine counts by fixed bounds, and this is one of them"
    lowered = bound != float(seconds)
    if lowered:
        above = [one for one in histogram.bounds if one > bound]
        either = f"{bound:g} or {above[0]:g}" if above else f"{bound:g}"
        rule = (
            f"spec.slo.{name}.seconds: the engine counts by fixed bounds, and {seconds} is none: it"
            f" is judged as the next lower one, {bound:g}; name {either}"
        )
    return explanation.Explanation(
        f"objective {name}",
        sentence,
        rule,
        f"slo.{name}.seconds={seconds}, {histogram.name}",
        surprising=lowered,
        field=f"spec.slo.{name}.seconds",
    )


def _of_requests(
    slo: claim_metrics.Objectives,
    site: settings.Settings,
    counted: Collection[str],
    window: str,
    why: list[explanation.Explanation],
) -> Iterator[Objective]:
    if slo.availability is None:
        return
    asked, queries = slo.availability.percent, site.monitoring.requests
    by_gateway = queries is not None and not set(queries.counts).isdisjoint(counted)
    sentence = f"{asked} % of requests are answered without a server error, over {window}"
    words = "the gateway's count, by the settings' monitoring.requests"
    if not by_gateway:
        words = "the engine's count: what no replica answers is not in it, since"
        words += (
            " the settings have no monitoring.requests"
            if queries is None
            else f" the settings' monitoring.requests see {' and '.join(queries.counts)} alone"
        )
    why.append(
        explanation.Explanation(
            "objective availability",
            sentence,
            words,
            f"slo.availability.percent={asked}",
            field="spec.slo.availability",
        )
    )
    yield Objective("availability", _budget(asked), None, by_gateway, sentence)


def _budget(percent: str) -> decimal.Decimal:
    return (100 - decimal.Decimal(percent)) / 100


def _unjudged(field: str, words: str) -> explanation.Explanation:
    return _surprise(field, "left out", f"{words}: nothing judges it")


def _surprise(field: str, result: str, words: str) -> explanation.Explanation:
    return explanation.Explanation(
        f"objectives: {field}",
        result,
        f"spec.{field}: {words}",
        field,
        surprising=True,
        field=f"spec.{field}",
    )
