"""What `plan` tells, for machines: everything as it stands in JSON."""

import dataclasses
import decimal
import math
from typing import Any

from function.capacity import estimates, fit, interval, loads, prices, thresholds
from function.cli import outlooks, verdicts
from function.concerns import capacity
from function.findings import rules
from function.planning import forecasts


def of(fleet: outlooks.Fleet) -> dict[str, Any]:
    """Returns everything as it stands in JSON."""
    return {
        "apiVersion": "inference-service.cloud.ogenki.io/v1alpha1",
        "kind": "Plan",
        "exitCode": fleet.exit_code,
        "against": fleet.compared,
        "notes": list(fleet.notes),
        "unreadable": list(fleet.unreadable),
        "unusable": [] if fleet.unusable is None else list(fleet.unusable.faults),
        "shortages": [one.sentence for one in fleet.shortages],
        "currency": fleet.currency,
        "currencyBefore": fleet.currency_before,
        "month": {
            "min": _step(fleet.month("minimum", before=True), fleet.month("minimum")),
            "max": _step(fleet.month("maximum", before=True), fleet.month("maximum")),
        },
        "gpus": {
            "min": _step(fleet.gpus(before=True)[0], fleet.gpus()[0]),
            "max": _step(fleet.gpus(before=True)[1], fleet.gpus()[1]),
        },
        "claims": [_document(item) for item in fleet.items],
        "frontDoors": [dataclasses.asdict(door) for door in fleet.doors],
    }


def _step(old: Any, new: Any) -> dict[str, Any]:
    words = [str(value) if isinstance(value, decimal.Decimal) else value for value in (old, new)]
    return {"before": words[0], "after": words[1]}


def _document(item: outlooks.Item) -> dict[str, Any]:
    change, forecast = item.change, item.forecast
    result: dict[str, Any] = {
        **verdicts.document(item.verdict),
        "gpus": {
            "min": _step(change.bill.gpus[0], item.bill.gpus[0]),
            "max": _step(change.bill.gpus[1], item.bill.gpus[1]),
        },
        "costPerHour": {"before": _cost(change.bill.cost), "after": _cost(item.bill.cost)},
        "outageSeconds": None if change.outage is None else _estimate(change.outage.seconds),
        "outageMissing": [] if change.outage is None else list(map(str, change.outage.missing)),
        "downloads": [dataclasses.asdict(one) for one in change.downloads],
        "fetches": [dataclasses.asdict(one) for one in change.fetches],
        "adaptersUnread": list(item.unread),
        "flows": {
            "appear": [_flow(one) for one in item.flows.appear],
            "end": [_flow(one) for one in item.flows.end],
        },
    }
    if forecast is None:
        return result
    return result | {
        "fit": _fit(forecast),
        "speed": {name: _speed(forecast, name) for name in forecast.loads},
        "triggers": {name: _triggers(one) for name, one in forecast.triggers.items()},
        "start": [
            {
                "stage": str(step.stage),
                "seconds": _estimate(step.seconds),
                "missing": step.missing,
            }
            for step in forecast.start.steps
        ],
    }


def _flow(finding: rules.Finding) -> dict[str, str]:
    return {"rule": finding.rule.name, "message": finding.message}


def _cost(cost: prices.Cost | None) -> dict[str, Any] | None:
    if cost is None:
        return None
    return {"min": str(cost.minimum), "max": str(cost.maximum), "currency": cost.currency}


def _estimate(estimate: estimates.Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    return {
        "low": round(estimate.low, 3),
        "best": round(estimate.best, 3),
        "high": round(estimate.high, 3),
        "grade": str(estimate.grade),
        "source": estimate.source,
    }


def _fit(forecast: forecasts.Forecast) -> dict[str, Any]:
    outlook = forecast.plan.serving.outlook
    if outlook is None or outlook.fit is None:
        reason = capacity.fits(forecast.plan).reason if outlook is None else outlook.reason
        return {
            "verdict": "unknown",
            "reason": reason,
            "sentence": outlooks.words_of_unknown(forecast),
        }
    answer = outlook.fit
    return {
        "verdict": str(answer.verdict),
        "bound": str(answer.bound),
        "sentence": answer.sentence,
        "note": answer.note,
        "context": outlook.flags.context,
        "sequences": outlook.flags.sequences,
        "kvTokens": _interval(answer.tokens),
        "fullSequences": _interval(answer.sequences),
        "longestContext": _interval(answer.longest),
        "gpuGiB": round(answer.total / fit.GIB, 3),
        "partsGiB": {str(term.part): round(term.size.best / fit.GIB, 3) for term in answer.terms},
        "waysOut": [
            {
                "change": str(way.change),
                "fields": dict(way.fields),
                "class": way.gpu_class,
                "gpus": way.arrangement.tensor * way.arrangement.pipeline,
                "pricePerHour": way.price,
                "meaning": way.sentence,
            }
            for way in outlook.ways
        ],
    }


def _interval(value: interval.Interval) -> dict[str, float] | None:
    """Returns an interval, or None for one without a bound: a model that keeps no cache."""
    if not math.isfinite(value.high):
        return None
    return {"low": round(value.low, 2), "best": round(value.best, 2), "high": round(value.high, 2)}


def _speed(forecast: forecasts.Forecast, name: str) -> dict[str, Any]:
    load, tokens = forecast.loads[name], forecast.tokens.get(name)
    return {
        "millionTokens": None if tokens is None else _token_price(tokens),
        "replicas": _replicas(forecast.needs[name]) if name in forecast.needs else None,
        "concurrency": round(load.concurrency, 1),
        "requestsPerSecond": _estimate(load.requests),
        "outputTokensPerSecond": _estimate(load.output_tokens),
        "firstTokenMs": _estimate(load.first_token),
        "betweenTokensMs": _estimate(load.between_tokens),
    }


def _token_price(tokens: forecasts.TokenPrice) -> dict[str, Any]:
    ends = {"low": tokens.low, "best": tokens.best, "high": tokens.high}
    return {
        **{end: None if money is None else f"{money:.6f}" for end, money in ends.items()},
        "currency": tokens.currency,
        "requestsPerSecond": tokens.rate,
        "full": {
            "input": f"{tokens.apart.prompts:.6f}",
            "output": f"{tokens.apart.answers:.6f}",
        },
    }


def _replicas(needed: loads.Replicas | None) -> dict[str, Any]:
    if needed is None:
        return {"low": None, "best": None, "high": None, "bound": None, "headroom": None}
    return {
        "low": needed.low,
        "best": needed.best,
        "high": needed.high,
        "bound": str(needed.bound),
        "headroom": needed.headroom,
    }


def _triggers(binding: thresholds.Binding) -> dict[str, Any]:
    return {
        "first": None if binding.first is None else str(binding.first),
        "never": [str(trigger) for trigger in binding.never],
        "sentence": binding.sentence,
    }
