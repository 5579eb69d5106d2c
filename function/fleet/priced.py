"""What a front door says of prices that follow from costs: a condition, events, explanations."""

from collections.abc import Iterator

from function import composition, explanation
from function.cluster import observed
from function.concerns import reasons
from function.fleet import pricing, situations

# So many models are in a message.
_MOST_NAMED = 8


class PricesReady(reasons.Reasons):
    """Reasons of PricesReady."""

    NOT_REQUESTED = reasons.Reason("NotRequested", True, "No price is to follow from costs.")
    DERIVED = reasons.Reason(
        "Derived",
        True,
        "Every price that is to follow from costs does; `status.prices` has them.",
    )
    UNKNOWN_MODEL = reasons.Reason(
        "UnknownModel",
        True,
        "The same, and a row of `spec.prices` lets the price of a model follow that nobody serves;"
        " the message names it. It has none.",
        "Correct the name, or wait for the claim.",
    )
    COSTS_MOVED = reasons.Reason(
        "CostsMoved",
        True,
        "The same, and by the costs of now some would be others; the message has both, as prompts"
        "/answers of a million tokens. Those that are kept hold.",
        "Nothing, to keep them. Raise `generation` of `fromCost` to take the costs of now; what is"
        " spent of a budget stays. While the pods of a claim change to another model, the price is"
        " that of the dearer one.",
    )
    COST_UNKNOWN = reasons.Reason(
        "CostUnknown",
        False,
        "Nobody knows what a model costs; the message names it. Callers with a budget may not use"
        " it, as it would cost them nothing, unless it has a price of before, of the same model;"
        " others may, and what they spend there is not recorded.",
        "State the price in `spec.prices`; or look why the claim's `status.cost.perMillionTokens`"
        " lacks the load: no `pricePerHour` of its GPU class, or 0; a model or GPU of which nothing"
        " is known; `spec.model.facts` of the claim, from which no price follows (the settings'"
        " `capacity.models` may have them); requests longer than its context; a model that answers"
        " with vectors (`inference-service plan` says which).",
        alarm=True,
    )


def condition(now: situations.Situation) -> observed.Condition:
    """Returns PricesReady."""
    known = now.prices
    if not pricing.asks(now.door):
        return PricesReady.NOT_REQUESTED.condition("no price follows from costs")
    named = [f"{name} ({why})" for name, why in known.unknown.items()]
    if named:
        return PricesReady.COST_UNKNOWN.condition(f"cost unknown: {_listed(named)}")
    if known.unserved:
        words = f"nobody serves {_listed(list(known.unserved))}"
        return PricesReady.UNKNOWN_MODEL.condition(words)
    moved = [
        f"{one.price.model} {one.price.words}, now {one.now.words}"
        for one in known.derived
        if one.now is not None and one.now != one.price
    ]
    if moved:
        return PricesReady.COSTS_MOVED.condition(f"other costs: {_listed(moved)}")
    return PricesReady.DERIVED.condition("every price that is to follow from costs does")


def events(now: situations.Situation) -> Iterator[composition.Event]:
    """Yields one event for all prices that are others than before, or the first of their model."""
    told = [
        f"{one.price.model} {one.price.words}"
        + (f" (was {one.before.words})" if one.before is not None else "")
        for one in now.prices.derived
        if one.fresh or one.before is not None
    ]
    if told:
        message = f"a million tokens, prompts/answers in {now.door.site.pricing.currency}"
        yield composition.Event(False, "PricesFollowed", f"{message}: {_listed(told)}")


def explanations(now: situations.Situation) -> Iterator[explanation.Explanation]:
    """Yields why each price that followed from costs is what it is."""
    for one in now.prices.derived:
        yield explanation.Explanation(
            f"price of {one.price.model}",
            one.price.words,
            "what a million tokens of prompts and answers cost where a replica is full, with what"
            " idle time and the margin add, rounded up to two digits; it stays until its fromCost"
            " asks for another",
            f"{one.kept.asked}; margin {one.kept.margin_percent}%",
            field="spec.pricing.fromCost",
        )


def _listed(words: list[str]) -> str:
    more = len(words) - _MOST_NAMED
    return ", ".join(words[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
