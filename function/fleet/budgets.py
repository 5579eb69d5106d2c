"""What an answer costs, as the AI gateway works it out, and budgets as limits of that.

The AI gateway evaluates one expression for each answer, with the name of the model that answered,
the route by which it was asked, and the tokens (ai-gateway 1.0.0: llmcostcel, processor_impl.go).
Tokens of prompts include those that a cache had. Whole numbers alone are counted: millionths of the
currency, rounded up.
"""

import decimal
from collections.abc import Iterable

from function import canonical
from function.api import gateway_money
from function.fleet import externals, members, pricing, situations
from function.planning import identity

# Under which key the AI gateway leaves what an answer costs.
MONEY = "inference_gateway_money"
# A price has four digits behind its point, and a whole number none.
_DIGITS = 10**4
# A cache that claims more than there was would end the answer in an error.
_HAD = "(cached_input_tokens < input_tokens ? cached_input_tokens : input_tokens)"
# What tokens cost in millionths, rounded up.
_MONEY = (
    f"((input_tokens - {_HAD}) * priced[one][0] + {_HAD} * priced[one][1]"
    f" + output_tokens * priced[one][2] + {_DIGITS - 1}u) / {_DIGITS}u"
)


def cost(now: situations.Situation) -> identity.Manifest:
    """Returns what the AI gateway tells of each answer: its cost in millionths."""
    return {"metadataKey": MONEY, "type": "CEL", "cel": expression(now)}


def millionths(budget: gateway_money.Budget) -> int:
    """Returns a budget as the limiter counts it."""
    return int(decimal.Decimal(budget.amount) * gateway_money.MILLIONTHS)


def expression(now: situations.Situation) -> str:
    """Returns the cost of an answer in CEL; nothing for a model without a price.

    A parser of CEL takes 100,000 code points and 250 nested choices: names and prices are in one
    table, each once, and what is asked of it is as long for many claims as for few.
    """
    # A status that somebody else wrote may have names that no model has.
    prices = [price for price in now.prices.every if members.is_name(price.model)]
    if not prices:
        return "0u"
    table = _map((price.model, _row(price)) for price in prices)
    text = f"({_whose(now)}.filter(one, one in priced).map(one, {_MONEY}) + [0u])[0]"
    outside = _priced(now)
    if outside:
        names = [
            (provider, _map((upstream, _text(name)) for upstream, name in models.items()))
            for provider, models in outside.items()
        ]
        text = f"[{_map(names)}].map(outside, {text})[0]"
    return f"[{table}].map(priced, {text})[0]"


def _whose(now: situations.Situation) -> str:
    """Returns by whose price an answer costs: a list of one name, or of none.

    A provider's model comes under the provider's own name, which may be that of a claim: whose
    answer it is, is asked first. Who answers in a claim's place and has no price costs what the
    claim does. The route says for whom: a claim may ask for something else by now.
    """
    door, here = now.door, now.door.identity.namespace
    beside = f"({_instead('.')} || {_instead('-canary-')}) && !(model in priced)"
    of_claim = f"priced.filter(one, {_text(f'{here}/')} + one == route_name)"
    text = f"{_instead('.outside-')} || {beside} ? {of_claim} : [model]"
    if door.providers:
        own = _text(f"{here}/{externals.object_name(door, '')}")
        text = f"backend.startsWith({own}) ? [] : {text}"
    for provider in reversed(_priced(now)):
        own = _text(f"{here}/{externals.object_name(door, provider)}/")
        known = f"outside[{_text(provider)}]"
        answers = f"(backend.startsWith({own}) || {_instead(f'.outside-{provider}/')})"
        text = f"{answers} && model in {known} ? [{known}[model]] : {text}"
    return f"({text})"


def _instead(ending: str) -> str:
    """Returns whether an object beside the one of a claim's own pods answered on its route.

    The names of such objects begin with the claim's: a canary's, another claim's, a provider's. No
    other route has such a backend.
    """
    return f"backend.startsWith(route_name + {_text(ending)})"


def _priced(now: situations.Situation) -> dict[str, dict[str, str]]:
    """Returns the models of providers that have a price, by provider.

    Of each what the provider calls it, and its name. The price is stated: one that followed under
    the name is a claim's.
    """
    stated, priced = {price.model for price in now.prices.stated}, dict[str, dict[str, str]]()
    for provider in now.door.providers:
        for model in sorted(provider.models, key=lambda one: one.name):
            if model.name in stated:
                priced.setdefault(provider.name, {}).setdefault(
                    model.upstream or model.name, model.name
                )
    return priced


def _map(entries: Iterable[tuple[str, str]]) -> str:
    return "{" + ", ".join(f"{_text(key)}: {value}" for key, value in entries) + "}"


def _text(value: str) -> str:
    """Returns a text as CEL writes it."""
    return canonical.dumps(value)


def _row(price: pricing.Price) -> str:
    """Returns the prices of prompts, of what a cache had of them, and of answers."""
    had = price.input if price.cached_input is None else price.cached_input
    return f"[{', '.join(f'{_parts(one)}u' for one in (price.input, had, price.output or '0'))}]"


def _parts(price: str) -> int:
    return int(decimal.Decimal(price) * _DIGITS)


def unpriced(now: situations.Situation) -> list[str]:
    """Returns the models without a price that callers with a budget may use, with the callers."""
    known = {price.model for price in now.prices.every}
    served = tuple(model.name for model in now.models)
    named = []
    for grant in now.grants:
        if grant.caller.budget is None:
            continue
        used = served if grant.models is None else grant.models
        named += [f"{name} ({grant.caller.name})" for name in used if name not in known]
    return named
