"""What an answer costs, as the AI gateway works it out, and budgets as limits of that.

The AI gateway evaluates one expression for each answer, with the name of the model that answered,
the route by which it was asked, and the tokens (ai-gateway 1.0.0: llmcostcel, processor_impl.go).
Tokens of prompts include those that a cache had. Whole numbers alone are counted: millionths of the
currency, rounded up.
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
    derived = [one.price for one in now.prices.derived]
    text = _halved("model", [(price.model, _money(price)) for price in derived])
    for price in reversed(now.prices.stated):
        text = f'model == "{price.model}" ? {_money(price)} : {text}'
    for match, money in reversed([*_renamed(now), *_represented(now)]):
        text = f"{match} ? {money} : {text}"
    return text


def _halved(variable: str, choices: Sequence[tuple[str, str]]) -> str:
    """Returns what the value of a variable chooses, of choices in the order of their values.

    Each choice halves them: a parser of CEL takes 250 nested choices, and claims may be more.
    """
    if len(choices) > 1:
        middle = len(choices) // 2
        less, more = _halved(variable, choices[:middle]), _halved(variable, choices[middle:])
        return f'{variable} < "{choices[middle][0]}" ? ({less}) : ({more})'
    return "".join(f'{variable} == "{value}" ? {cost} : ' for value, cost in choices) + "0u"


def _represented(now: situations.Situation) -> Iterator[tuple[str, str]]:
    """Yields what an answer costs that somebody without a price gave in a claim's place.

    The model has the name of whoever answered then, and the route is the claim's. Objects of a
    claim beside the one of its own pods have a dot in their names: a canary's, another claim's, a
    provider's.
    """
    known, here = {one.model: one for one in now.prices.every}, now.door.identity.namespace
    claims = sorted(now.members.represented & known.keys())
    if claims:
        priced = ", ".join(f'"{name}"' for name in known)
        choices = [(f"{here}/{name}", _money(known[name])) for name in claims]
        yield (
            f'!(model in [{priced}]) && backend.contains(".")',
            f"({_halved('route_name', choices)})",
        )


def _renamed(now: situations.Situation) -> Iterator[tuple[str, str]]:
    """Yields how the AI gateway names models of providers that have another name there, with costs.

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
            yield f'{whose} && model == "{model.upstream}"', _money(known[model.name])


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
    named = []
    for grant in now.grants:
        if grant.caller.budget is None:
            continue
        used = served if grant.models is None else grant.models
        named += [f"{name} ({grant.caller.name})" for name in used if name not in known]
    return named
