"""Capacity: whether the model fits its GPUs, and what it costs. It composes nothing."""

import decimal
import math
from collections.abc import Iterator, Mapping
from typing import Any

from function import assembly, canonical, memo
from function.api import base, status
from function.capacity import fit, prices, ways_out
from function.cluster import observed
from function.concerns import reasons
from function.planning import forecasts, plans, prospects
from function.situation import renderings, situations


class Fits(reasons.Reasons):
    """Reasons of Fits."""

    FITS = reasons.Reason(
        "Fits",
        True,
        "The model and at least one sequence of the whole context window fit, even at the"
        " pessimistic end of the estimate. The message has the arithmetic.",
    )
    NO_GPU = reasons.Reason(
        "NoGpu",
        True,
        "The engine takes no memory of a GPU.",
    )
    NOT_MEASURED = reasons.Reason(
        "NotMeasured",
        None,
        "Nobody measured what the engine takes of a GPU. Pods are started.",
        "Watch the first start.",
    )
    TIGHT = reasons.Reason(
        "Tight",
        None,
        "It may fit or not: the error of the estimate decides. Pods are started.",
        "The smaller `gpu.memoryUtilization` where the message names one. Else watch the first"
        " start; for a margin: one of the ways under TooLarge.",
    )
    TOO_LARGE = reasons.Reason(
        "TooLarge",
        False,
        "The model does not fit, even at the optimistic end of the estimate. No GPU is asked for,"
        " and nothing is downloaded; what runs keeps running. The message names the cheapest ways"
        " out.",
        "A smaller `model.contextWindow`, `model.kvCacheDtype: fp8`, `model.quantization: fp8`,"
        " another `gpu.class` or `gpu.count`. Where the estimate is wrong: `gpu.fit: Ignore`, or"
        " `capacity.fit: Ignore` in the settings.",
        alarm=True,
    )
    UNKNOWN_MODEL = reasons.Reason(
        "UnknownModel",
        None,
        "Nothing is known of the model's memory. Pods are started.",
        "`inference-service facts` prints what `model.facts` or the settings' `capacity.models`"
        " take.",
    )
    UNKNOWN_CARD = reasons.Reason(
        "UnknownCard",
        None,
        "The settings do not say what GPU the class has. Pods are started.",
        "`gpu.classes.<class>.product` or `memoryGiB` in the settings.",
    )


def compose(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields nothing: capacity is knowledge."""
    del now
    yield from ()


def conditions(
    now: situations.Situation, desired: assembly.Desired
) -> Iterator[observed.Condition]:
    """Yields Fits, of what the claim asks for."""
    del desired
    yield fits(now.plan)


@memo.per_plan
def fits(plan: plans.Plan) -> observed.Condition:
    """Returns Fits, of what a plan asks for: with the arithmetic, and with the ways out."""
    outlook = plan.serving.outlook
    if outlook is None and not plan.hardware.without_gpu:
        words = f"nobody measured what {plan.engine.NAME} takes of a GPU"
        return Fits.NOT_MEASURED.condition(_with_remarks(words, plan))
    if outlook is None:
        return Fits.NO_GPU.condition(_with_remarks("the engine takes no memory of a GPU", plan))
    answer = outlook.fit
    if answer is None:
        reason = Fits.UNKNOWN_CARD if outlook.reason == prospects.UNKNOWN_CARD else None
        return (reason or Fits.UNKNOWN_MODEL).condition(outlook.unknown)
    note = f" ({answer.note})" if answer.note else ""
    if answer.verdict is fit.Verdict.FITS:
        return Fits.FITS.condition(answer.sentence + note)
    out = "; ".join(_way(way, plan.site.pricing.currency) for way in outlook.ways)
    if answer.verdict is fit.Verdict.TIGHT:
        surely = f". It surely fits with {out}" if out else ""
        return Fits.TIGHT.condition(answer.sentence + note + surely)
    overruled = plan.misfit is None
    ignored = "; asked for all the same (fit: Ignore)" if overruled else ""
    words = f". Ways out: {out}" if out else f". {_no_way(plan)}"
    return Fits.TOO_LARGE.condition(f"{answer.sentence}{note}{ignored}{words}")


def _with_remarks(words: str, plan: plans.Plan) -> str:
    every = (remark[:1].upper() + remark[1:] for remark in plan.engine.remarks(plan))
    return ". ".join((words, *every))


def _no_way(plan: plans.Plan) -> str:
    if plan.hardware.split.written:
        return "Neither other GPUs nor more of them were tried: gpu.parallelism says how they share"
    return "No class of the settings holds it"


def _way(way: ways_out.Way, currency: str) -> str:
    """Returns a way out in words, as the claim would be written."""
    if way.price is None:
        return way.written
    return f"{way.written} ({prices.text(decimal.Decimal(str(way.price)), currency)}/h a replica)"


@memo.per_plan
def capacity(plan: plans.Plan) -> dict[str, Any] | None:
    """Returns `status.capacity`, or None where nobody knows."""
    outlook = plan.serving.outlook
    if outlook is None or outlook.fit is None:
        return None
    answer, context = outlook.fit, outlook.flags.context
    if not math.isfinite(answer.tokens.low):
        return None
    full = fit.tenths(answer.sequences.low)
    return {
        "kvTokens": max(int(answer.tokens.low), 0),
        "fullSequences": full,
        "longestContext": max(int(answer.longest.low), 0),
        "weightsGiB": f"{answer.size(fit.Part.WEIGHTS).best / fit.GIB:.1f}",
        "summary": f"{full} x {context} tokens",
    }


def cost(now: situations.Situation) -> dict[str, Any] | None:
    """Returns `status.cost`, or None where the class has no price."""
    plan, state = now.plan, now.rollout.state
    kept = None
    if not now.withheld:
        priced_as = now.kept_class or plan.hardware.priced_as
        kept = forecasts.Kept(priced_as, now.rollout.running.gpus)
    stored = {record["directory"] for record in now.ledger.records}
    hour = forecasts.cost(plan, state.wanted if state else 0, kept, stored)
    if hour is None:
        return None
    return canonical.prune(
        {
            "currency": hour.currency,
            "perHourMin": _money(hour.minimum),
            "perHourMax": _money(hour.maximum),
            "perHourNow": None if hour.now is None else _money(hour.now),
            "priceDate": hour.date,
            "perMillionTokens": answers(now, hour.currency) if plan.ways.gateway else None,
        }
    )


def answers(now: situations.Situation, currency: str) -> list[dict[str, str]] | None:
    """Returns what tokens cost of the models that pods have, or None where nobody knows.

    The dearer of them while they have several: who is asked is chance, and nobody is to buy the
    large one at the price of the small one. What pods cost whose model the claim asks for no more
    is what the status has told of it, as long as it does.
    """
    wanted, told = now.plan.storage.base.model, frozenset(now.memory.repositories)
    if not now.models:
        return None
    others = [model for model in now.models if model != wanted]
    if not others:
        return tokens(now.plan)
    # What the status tells is of the models that it names. Releases that named none told the cost
    # of what was asked for, whatever ran.
    before = _told(now.memory.cost, currency) if told.issuperset(others) else None
    return before if now.models[-1] != wanted else _dearer(before, tokens(now.plan))


def _told(cost: Mapping[str, Any], currency: str) -> list[dict[str, str]] | None:
    """Returns what the status tells of the cost of tokens, in the currency of the settings."""
    known = cost.get("perMillionTokens") if cost.get("currency") == currency else None
    amounts = [one[kind] for one in known or [] for kind in ("input", "output")]
    return known if all(map(status.is_cost, amounts)) else None


def _dearer(
    one: list[dict[str, str]] | None, other: list[dict[str, str]] | None
) -> list[dict[str, str]] | None:
    """Returns what tokens cost of the dearer of two; of a load that one cannot tell, nothing."""
    others = {each["load"]: each for each in other or []}
    return [
        {
            "load": each["load"],
            "input": max(each["input"], others[each["load"]]["input"], key=decimal.Decimal),
            "output": max(each["output"], others[each["load"]]["output"], key=decimal.Decimal),
        }
        for each in one or []
        if each["load"] in others
    ] or None


@memo.per_plan
def tokens(plan: plans.Plan) -> list[dict[str, str]] | None:
    """Returns what a million tokens cost by load, or None where nobody knows.

    Prices follow from it: what the claim's author states of the model makes no cost, be it facts or
    the repository of files that no Job verified. Nor does a GPU for nothing.
    """
    if plan.spec.model.facts is not None or not plan.storage.base.proven or moved_away(plan):
        return None
    return [
        {
            "load": name,
            "input": _money(_THREE_DIGITS.create_decimal(apart.prompts)),
            "output": _money(_THREE_DIGITS.create_decimal(apart.answers)),
        }
        for name, apart in forecasts.tokens_apart(plan).items()
        if apart.prompts > 0 and apart.answers > 0
    ] or None


def moved_away(plan: plans.Plan) -> bool:
    """Tells whether a patch has pods read another directory than that of the base model."""
    if plan.workload.SUFFIX not in (plan.spec.patches or {}):
        return False
    try:
        return not renderings.facts(plan, renderings.rendered(plan)).model
    except base.InvalidError:
        return False  # `Valid` says so, and nothing of it runs


# More would claim to know more, and change with each constant of the estimate.
_THREE_DIGITS = decimal.Context(prec=3)


def _money(amount: decimal.Decimal) -> str:
    return f"{amount.normalize():f}"
