"""What `plan` says, in words: the same for a terminal, a pull request and a browser."""

import decimal
import math
from collections.abc import Iterator

from function import plural
from function.capacity import fit, prices
from function.cli import outlooks, verdicts
from function.planning import forecasts, misfits, plans

# Claims that a line names before it only counts.
_MOST_NAMES = 3


def verdict(fleet: outlooks.Fleet) -> str:
    """Returns the first line: what a person has to know before anything else."""
    parts = list(_parts(fleet))
    if parts:
        return "; ".join(parts) + "."
    if fleet.compared is None:
        counted = [plural.of(len(fleet.items), "claim")] if fleet.items or not fleet.doors else []
        counted += [plural.of(len(fleet.doors), "front door")] if fleet.doors else []
        return " and ".join(counted) + " can be used."
    return f"{_named([*fleet.moving])} changed." if fleet.moving else "Nothing changes."


def doors(fleet: outlooks.Fleet) -> list[str]:
    """Returns what is told of front doors: of all, or of those that change."""
    return [one.words for one in fleet.doors if fleet.compared is None or one.changes]


def _parts(fleet: outlooks.Fleet) -> Iterator[str]:
    if fleet.empty:
        yield "There is no claim to plan"
        return
    broken = [item for item in fleet.items if item.verdict.errors]
    unfit = [item for item in broken if item.verdict.unfit]
    doomed = [item for item in broken if item.verdict.doomed]
    written = [item for item in broken if item not in (*unfit, *doomed)]
    if written:
        runs = any(item.bill.gpus[1] for item in written)
        yield f"{_named(written)} cannot be used as written" + (": what runs goes on" * runs)
    if doomed:
        asked = any(item.bill.gpus[1] and item.forecast is None for item in doomed)
        words = ": nothing refuses the GPUs that are asked for" * asked
        yield f"{_named(doomed)} cannot serve as written{words}"
    yield from _unfit(unfit)
    if fleet.unreadable:
        yield f"{plural.of(len(fleet.unreadable), 'file')} cannot be read"
    if fleet.unusable is not None:
        yield f"{fleet.unusable.what} cannot be used"
    yield from _shortages(fleet)
    if fleet.compared is not None:
        for outcome, words in (("new", "new"), ("removed", "removed")):
            items = [item for item in fleet.items if item.verdict.outcome == outcome]
            if items:
                yield f"{words}: {_named(items)}"
        restarts = [i for i in fleet.items if i.verdict.pods.effect in ("restart", "restart-later")]
        if restarts:
            yield f"pods of {_named(restarts)} restart{_outage(restarts)}"
        for name, items in (
            ("needed flows of {} close", [i for i in fleet.items if i.flows.closes]),
            ("flows of {} open that nobody asks for", [i for i in fleet.items if i.flows.opens]),
        ):
            if items:
                yield name.format(_named(items))
        moved = [f"{one.namespace}/{one.name}" for one in fleet.doors if one.changes]
        if moved:
            more = f" and {len(moved) - _MOST_NAMES} more" * (len(moved) > _MOST_NAMES)
            named = ", ".join(moved[:_MOST_NAMES])
            noun = "front door" if len(moved) == 1 else "front doors"
            yield f"{noun} {named}{more} changed for callers"
        held = [item for item in fleet.items if item.verdict.pods.holds and item not in broken]
        if held:
            yield f"pods of {_named(held)} keep their template: the change is held back"
        ended = [
            item
            for item in fleet.items
            if item.verdict.pods.effect == "end" and item.verdict.outcome != "removed"
        ]
        if ended:
            yield f"pods of {_named(ended)} end"
        others = [
            item
            for item in fleet.moving
            if item.verdict.outcome == "changed" and item not in (*restarts, *held, *ended, *broken)
        ]
        if others:
            yield f"{_named(others)} changed without a restart"
        refits = [
            item
            for item in fleet.moving
            if item.refits and item.verdict.outcome == "unchanged" and item not in (*held, *broken)
        ]
        unknown = [item for item in refits if item.forgets]
        known = [item for item in refits if item not in unknown]
        if known:
            yield f"{_named(known)} will hold something else by these settings"
        if unknown:
            verb = "fits" if len(unknown) == 1 else "fit"
            yield f"by these settings nobody knows whether {_named(unknown)} {verb}"
    if fleet.compared is None or fleet.moving:
        yield from _money(fleet)


def _unfit(unfit: list[outlooks.Item]) -> Iterator[str]:
    for runs, words in ((False, "none is asked for"), (True, "what runs goes on")):
        items = [item for item in unfit if bool(item.bill.gpus[1]) is runs]
        exceeding = [item for item in items if not _too_large(item)]
        large = [item for item in items if _too_large(item)]
        if large:
            verb = "does" if len(large) == 1 else "do"
            yield f"{_named(large)} {verb} not fit the GPUs: {words}"
        if exceeding:
            verb = "asks" if len(exceeding) == 1 else "ask"
            yield f"{_named(exceeding)} {verb} for more than a node of its class has: {words}"


def _too_large(item: outlooks.Item) -> bool:
    return any(error.reason == misfits.TOO_LARGE for error in item.verdict.errors)


def _shortages(fleet: outlooks.Fleet) -> Iterator[str]:
    """Yields how many node pools and limits of a claim are too small."""
    pools = [one for one in fleet.shortages if one.pool]
    limits = [one for one in fleet.shortages if not one.pool]
    verb = "has" if len(pools) == 1 else "have"
    for few, words in (
        (pools, f"{plural.of(len(pools), 'node pool')} {verb} too few GPUs"),
        (limits, f"{plural.of(len(limits), 'limit')} of GPUs would be exceeded"),
    ):
        if few:
            yield words + (", even at the minimum" if any(one.lasting for one in few) else "")


def _outage(items: list[outlooks.Item]) -> str:
    outages = [item.change.outage for item in items if item.change.outage is not None]
    if not outages:
        return ", one after the other"
    longest = max((one.seconds for one in outages), key=lambda seconds: seconds.high)
    at_least = "at least " if any(one.missing for one in outages) else ""
    return f", without answers for {at_least}{forecasts.seconds(longest)}"


def _money(fleet: outlooks.Fleet) -> Iterator[str]:
    before, after = fleet.month("maximum", before=True), fleet.month("maximum")
    least = fleet.month("minimum")
    if not after and not before:
        return
    currency, unpriced = fleet.currency, list(fleet.unpriced)
    without = f"{_named(unpriced)}, whose price is not known" if unpriced else ""
    same = (before, fleet.currency_before) == (after, currency)
    if fleet.compared is None or same:
        sums = f"{money(least, currency)} to {money(after, currency)} a month"
        yield f"at least {sums}, and {without}" if without else sums
        return
    if currency != fleet.currency_before:
        sums = (
            f"was {money(before, fleet.currency_before)} a month at most,"
            f" becomes {money(after, currency)}: no difference of two currencies"
        )
        yield f"{sums}, without {without}" if without else sums
        return
    change = after - before
    more = "more" if change > 0 else "less"
    sums = (
        f"{money(abs(change), currency)} {more} a month at most"
        f" (was {money(before, currency)}, becomes {money(after, currency)})"
    )
    yield f"{sums}, without {without}" if without else sums


def money(amount: decimal.Decimal, currency: str) -> str:
    """Returns money, for a month to the cent."""
    return prices.text(amount, currency)


def _named(items: list[outlooks.Item]) -> str:
    names = ", ".join(item.verdict.name for item in items[:_MOST_NAMES])
    more = len(items) - _MOST_NAMES
    return f"{names} and {more} more" if more > 0 else names


# --- the cells of a row


def columns(fleet: outlooks.Fleet) -> tuple[str, ...]:
    """Returns the names of the cells."""
    answers = f"answers ({fleet.answers})"
    return ("claim", "change", "fits", "context x requests", "GPUs", "a month", answers)


def row(item: outlooks.Item, fleet: outlooks.Fleet) -> tuple[str, ...]:
    """Returns a line about a claim, in the order of `columns`."""
    return (
        item.name,
        change(item, fleet),
        fits(item),
        _size(item, fleet),
        _from_to(item.change.bill.gpus, item.bill.gpus, fleet),
        _cost(item, fleet),
        speed(item, fleet.answers),
    )


def change(item: outlooks.Item, fleet: outlooks.Fleet) -> str:
    """Returns what becomes of a claim, in a few words."""
    if item.verdict.errors:
        return "error: " + item.verdict.errors[0].reason
    if fleet.compared is None:
        return item.verdict.pods.sentence(_MOST_NAMES) if item.verdict.outcome != "new" else ""
    if item.verdict.pods.holds:
        return "pods held"
    if item.verdict.outcome == "unchanged" and item.reprices:
        return "price"
    if item.verdict.outcome == "unchanged" and item.refits:
        return "fit"
    if item.verdict.outcome == "changed" and item.verdict.pods.effect in ("stay", "none"):
        return "changed, pods stay"
    if item.verdict.outcome == "changed":
        return f"pods {item.verdict.pods.effect.replace('-', ' ')}"
    return item.verdict.outcome


def fits(item: outlooks.Item) -> str:
    """Returns whether the model fits, with the share of the GPU that is left for the cache."""
    if item.forecast is None:
        return _nothing(item)
    answer = item.forecast.fit
    if answer is None and item.forecast.plan.hardware.without_gpu:
        return "no GPU"
    if answer is None:
        return "unknown"
    if answer.verdict is fit.Verdict.TOO_LARGE:
        return "no"
    return "yes" if answer.verdict is fit.Verdict.FITS else "perhaps"


def size(item: outlooks.Item) -> str:
    """Returns the longest sequence, and how many of that length fit at a time."""
    if item.forecast is None:
        return _nothing(item)
    return _held(item.forecast.plan)


def _size(item: outlooks.Item, fleet: outlooks.Fleet) -> str:
    """Returns the same, with what was before."""
    new, plan = size(item), item.change.plan
    old = new if plan is None or fleet.compared is None else _held(plan)
    if old == new:
        return new
    return f"{old}, held back: {new}" if item.verdict.pods.held else f"{old} -> {new}"


def _held(plan: plans.Plan) -> str:
    outlook = plan.serving.outlook
    if outlook is None:
        return ""
    flags = outlook.flags
    if outlook.fit is None:
        return f"{flags.context} x {flags.sequences}"
    if math.isinf(outlook.fit.sequences.low):
        return f"{flags.context} x {flags.sequences}"
    full = fit.tenths(max(outlook.fit.sequences.low, 0))
    return f"{flags.context} x {flags.sequences} ({full} full)"


def speed(item: outlooks.Item, name: str) -> str:
    """Returns how fast a full replica answers requests of a workload."""
    if item.forecast is None:
        return _nothing(item)
    forecast = item.forecast
    load = forecast.loads.get(name)
    if load is None:
        if not forecast.plan.serving.generates:
            return "no text"
        if forecasts.refuses(forecast.plan, forecast.workloads[name]):
            return "refused"
        return "unknown" if forecasts.untimed(forecast.plan, forecast.workloads[name]) else ""
    return (
        f"{load.first_token.best / 1000:.1f} s, then {1000 / load.between_tokens.best:.0f} tokens/s"
        f" ({load.between_tokens.grade})"
    )


def _nothing(item: outlooks.Item) -> str:
    """Returns the cell of a claim of which nothing is foretold."""
    return "-" if item.verdict.errors else ""


def _from_to(old: tuple[int, int], new: tuple[int, int], fleet: outlooks.Fleet) -> str:
    shown = _range(*new)
    if fleet.compared is None or old == new:
        return shown
    return f"{_range(*old)} -> {shown}"


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"


def _cost(item: outlooks.Item, fleet: outlooks.Fleet) -> str:
    def shown(bill: outlooks.Bill) -> str:
        if bill.gpus[1] == 0:
            return "0"
        if bill.cost is None:
            return "?"
        month = bill.cost.month
        low, high = (f"{amount:,.0f}" for amount in (month.minimum, month.maximum))
        return low if low == high else f"{low} to {high}"

    if item.bill.asked is None and item.change.bill.asked is None:
        return _nothing(item)
    forecast = item.forecast
    if forecast and forecast.plan.hardware.without_gpu and not item.change.bill.gpus[1]:
        return "no GPU"
    new, old = shown(item.bill), shown(item.change.bill)
    if fleet.currency_before != fleet.currency:
        old += f" {fleet.currency_before}"
    if fleet.compared is None or old == new:
        return f"{new} {fleet.currency}"
    return f"{old} -> {new} {fleet.currency}"


# --- the details of a claim


def details(item: outlooks.Item) -> Iterator[tuple[str, str]]:
    """Yields name and words of everything that is known of a claim, the gravest first."""
    errors = [error.message for error in item.verdict.errors]
    for message in errors:
        yield "error", message
    for name, words in _beside_errors(item):
        # What an error says whole is not repeated.
        for message in errors:
            words = words.removesuffix(f": {message}")
        yield name, words


def _beside_errors(item: outlooks.Item) -> Iterator[tuple[str, str]]:
    for note in item.verdict.notes:
        yield "note", note
    refused = item.verdict.outcome == "refused" and item.bill.gpus[1] > 0
    if refused or (item.verdict.unfit and item.verdict.pods.effect == "stay"):
        yield "pods", "what runs goes on as it is"
    if item.verdict.outcome in ("changed", "removed", "new") or item.verdict.pods.holds:
        yield from _effects(item.verdict)
        yield from _gpus_change(item)
    yield from item.flows.words()
    if item.change.outage is not None:
        outage = item.change.outage
        words = forecasts.seconds(outage.seconds)
        words = f"at least {words}" if outage.missing else words
        words = f"no replica answers for {words}: the only one ends before the next starts"
        if outage.missing:
            words += f"; nobody knows how long these take: {', '.join(outage.missing)}"
        yield "outage", words
    for download in item.change.downloads:
        amount = "" if download.gib is None else f", {download.gib:.1f} GiB"
        yield "download", f"{download.name}{amount}"
    for fetch in item.change.fetches:
        yield fetch.how, fetch.words
    for adapter, words in item.unread.items():
        judged = "judged by the name of its repository alone, as nobody read its files"
        yield "adapter", f"{adapter}: {judged}" + (f": {words}" if words else "")
    if item.forecast is not None:
        yield from _forecast(item.forecast)


def _gpus_change(item: outlooks.Item) -> Iterator[tuple[str, str]]:
    """Yields the GPUs of a replica, where they become others."""
    before, forecast = item.change.plan, item.forecast
    if before is None or forecast is None:
        return
    old, new = before.hardware.words, forecast.plan.hardware.words
    if old != new:
        yield "GPUs", f"{old} -> {new}"


def _effects(verdict: verdicts.Verdict) -> Iterator[tuple[str, str]]:
    if verdict.pods.effect not in ("none", "stay") or verdict.outcome == "new":
        yield "pods", verdict.pods.sentence()
    if verdict.outcome == "changed":
        yield from verdict.others.words()


def _forecast(forecast: forecasts.Forecast) -> Iterator[tuple[str, str]]:
    outlook, answer = forecast.plan.serving.outlook, forecast.fit
    if answer is None:
        yield "fit", outlooks.words_of_unknown(forecast)
    else:
        yield (
            "fit",
            f"{answer.verdict}: {answer.sentence}" + (f" ({answer.note})" if answer.note else ""),
        )
        if answer.verdict is fit.Verdict.TOO_LARGE and not (outlook and outlook.ways):
            yield "way out", "none: no class of the settings holds it, whatever is changed"
        for way in outlook.ways if outlook is not None else ():
            price = "" if way.price is None else f", {_hour(way.price, forecast)}"
            yield "way out", f"{way.written}{price}: {way.sentence}"
    for name, workload in forecast.workloads.items():
        load = forecast.loads.get(name)
        if load is None:
            why = forecasts.untimed(forecast.plan, workload)
            if why:
                yield f"speed, {name}", why
            continue
        first, between = load.first_token, load.between_tokens
        yield (
            f"speed, {name}",
            f"{plural.of(f'{load.concurrency:.0f}', 'request')} at a time:"
            f" {load.requests.best:.2g} a second, first token after"
            f" {_milliseconds(first.low, first.high)}, then one each"
            f" {_milliseconds(between.low, between.high)} ({between.grade})",
        )
        yield from _at_rate(forecast, name)
    for name, binding in forecast.triggers.items():
        yield f"triggers, {name}", binding.sentence
    if forecast.start.steps:
        yield "first start", "; ".join(_stages(forecast))


def _at_rate(forecast: forecasts.Forecast, name: str) -> Iterator[tuple[str, str]]:
    """Yields the replicas that the stated rate needs, and what tokens cost."""
    tokens, most = forecast.tokens.get(name), forecast.plan.scaling.maximum
    if name in forecast.needs:
        needed = forecast.needs[name]
        if needed is None:
            yield f"replicas, {name}", "a single request misses a time of spec.slo: none are enough"
        else:
            slow = "no number, if the engine is slow" if needed.high is None else str(needed.high)
            words = plural.of(needed.best, "replica")
            words += "" if needed.low == needed.high else f" ({needed.low} to {slow})"
            words += f", with {needed.headroom:.0%} of each kept free; {needed.bound} bounds each"
            if needed.best > most:
                words += f"; spec.scaling.maxReplicas is {most}"
            yield f"replicas, {name}", words
    if tokens is not None:
        best, low = (prices.text(each, tokens.currency) for each in (tokens.best, tokens.low))
        high = "?" if tokens.high is None else prices.text(tokens.high, tokens.currency)
        ends = f"{low} to {high}"
        at = "full replicas" if tokens.rate is None else f"{tokens.rate:g} requests a second"
        apart = tokens.apart
        prompts = prices.text(apart.prompts, tokens.currency)
        answers = prices.text(apart.answers, tokens.currency)
        yield (
            f"tokens, {name}",
            f"{best} a million of prompts and answers ({ends}), at {at};"
            f" {prompts} of prompts and {answers} of answers where replicas are full",
        )


def _hour(price: float, forecast: forecasts.Forecast) -> str:
    amount = prices.text(decimal.Decimal(str(price)), forecast.plan.site.pricing.currency)
    return f"{amount} an hour"


def _milliseconds(low: float, high: float) -> str:
    if high < 1000:
        return f"{low:.0f} to {high:.0f} ms"
    return f"{low / 1000:.1f} to {high / 1000:.1f} s"


def _stages(forecast: forecasts.Forecast) -> Iterator[str]:
    for step in forecast.start.steps:
        if step.seconds is None:
            yield f"{step.stage} unknown ({step.missing})"
        else:
            yield f"{step.stage} {forecasts.seconds(step.seconds)}"
    yield f"in all at least {forecasts.seconds(forecast.start.total)}"
