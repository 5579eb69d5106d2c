"""What an answer costs, as the AI gateway works it out, and budgets as limits of that.

The AI gateway evaluates one expression for each answer, with the model that answered and with its
tokens (ai-gateway 1.0.0, llmcostcel). Tokens of prompts include those that a cache had. Whole
numbers alone are counted: millionths of the currency, rounded up.
"""

import decimal
from collections.abc import Iterator, Sequence

from function.api import gateway_money
from function.fleet import externals, pricing, situations
from function.planning import identity

# Under which key the AI gateway leaves what an answer costs.
MONEY = "inference_gateway_money"
# A price has four digits behind its point, and a whole number none.
_DIGITS = 10**4


def cost(now: situations.Situation) -> identity.Manifest:
    """Returns what the AI gateway tells of each answer: its cost in millionths."""
    return {"metadataKey": MONEY, "type": "CEL", "cel": expression(now)}


def millionths(budget: gateway_money.Budget) -> int:
    """Returns a budget as the limiter counts it."""
    return int(decimal.Decimal(budget.amount) * gateway_money.MILLIONTHS)


def expression(now: situations.Situation) -> str:
    """Returns the cost of an answer in CEL; nothing for a model without a price.

    A provider's model comes under the provider's own name, which may be that of a claim: whose
    answer it is, is asked first.
    """
    text = _halved([one.price for one in now.prices.derived])
    for price in reversed(now.prices.stated):
        text = f'model == "{price.model}" ? {_money(price)} : {text}'
    for match, price in reversed(list(_renamed(now))):
        text = f"{match} ? {_money(price)} : {text}"
    return text


def _halved(prices: Sequence[pricing.Price]) -> str:
    """Returns what an answer costs by prices in the order of their models.

    Each choice halves them: a parser of CEL takes 250 nested choices, and claims may be more.
    """
    if len(prices) > 1:
        middle = len(prices) // 2
        less, more = _halved(prices[:middle]), _halved(prices[middle:])
        return f'model < "{prices[middle].model}" ? ({less}) : ({more})'
    return "".join(f'model == "{one.model}" ? {_money(one)} : ' for one in prices) + "0u"


def _renamed(now: situations.Situation) -> Iterator[tuple[str, pricing.Price]]:
    """Yields how the AI gateway names models of providers that have another name there.

    A provider answers by its own route, and for claims whose fallback it is.
    """
    door, behind = now.door, now.members
    known = {price.model: price for price in now.prices.every}
    here = door.identity.namespace
    for provider in door.providers:
        for model in sorted(provider.models, key=lambda one: one.name):
            if model.upstream in (None, model.name) or model.name not in known:
                continue
            whose = f'backend.startsWith("{here}/{externals.object_name(door, provider.name)}/")'
            if any(one.fallback == (provider.name, model.name) for one in behind.members):
                # However many claims: a parser of CEL takes 250 nested choices.
                of_claims = f'backend.contains(".outside-{provider.name}/")'
                whose = f'({whose} || backend.startsWith("{here}/") && {of_claims})'
            yield f'{whose} && model == "{model.upstream}"', known[model.name]


def _money(price: pricing.Price) -> str:
    """Returns what tokens cost in millionths, rounded up."""
    whole = "input_tokens"
    terms = []
    if price.cached_input is not None:
        # A cache that claims more than there was would end the answer in an error.
        had = "(cached_input_tokens < input_tokens ? cached_input_tokens : input_tokens)"
        whole = f"(input_tokens - {had})"
        terms.append(f"{had} * {_parts(price.cached_input)}u")
    terms.append(f"{whole} * {_parts(price.input)}u")
    if price.output is not None:
        terms.append(f"output_tokens * {_parts(price.output)}u")
    return f"({' + '.join(terms)} + {_DIGITS - 1}u) / {_DIGITS}u"


def _parts(price: str) -> int:
    return int(decimal.Decimal(price) * _DIGITS)


def unpriced(now: situations.Situation) -> list[str]:
    """Returns the models without a price that callers with a budget may use, with the callers."""
    known = {price.model for price in now.prices.every}
    served = tuple(model.name for model in now.models)
    instead = dict(instead_of(now))
    named = []
    for grant in now.grants:
        if grant.caller.budget is None:
            continue
        used = served if grant.models is None else grant.models
        named += [f"{name} ({grant.caller.name})" for name in used if name not in known]
        named += [
            f"{instead[name]} in place of {name} ({grant.caller.name})"
            for name in used
            if name in instead
        ]
    return named


def instead_of(now: situations.Situation) -> Iterator[tuple[str, str]]:
    """Yields the claims with whose fallback budgets do not count, with the model that answers.

    An answer costs what the model costs that gave it, and one without a price costs nothing.
    """
    known = {price.model for price in now.prices.every}
    for member in now.members.members:
        model = member.standby if member.fallback is None else member.fallback[1]
        if member.published and model is not None and model not in known:
            yield member.name, model
