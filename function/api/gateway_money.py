"""What models cost at a front door, and how much money a caller may use."""

from typing import Annotated, ClassVar, Literal

import pydantic

from function.api import base, claim_model

# A budget is counted in millionths, of which the limiter holds 32 bits.
MILLIONTHS = 10**6
MOST_MONEY = 4294

Amount = Annotated[
    base.Decimal,
    base.Rule(
        cel=f"double(self) > 0.0 && double(self) <= {MOST_MONEY}.0",
        message=f"a budget is above 0 and at most {MOST_MONEY}: the gateway counts millionths in 32"
        " bits",
        holds=lambda text: 0 < float(text) <= MOST_MONEY,
    ),
]


# Requests by which a claim tells what its tokens cost: those of `plan --workload` by name.
Load = Literal["agent", "batch", "chat", "code-completion", "rag", "reasoning"]


class FromCost(base.Model):
    """How a price follows from what the GPUs of a claim cost.

    A price that followed once stays, whatever its claim costs since: `PricesReady` says what it
    would be now.
    """

    load: Load | None = pydantic.Field(
        None,
        description="Requests by whose lengths prompts and answers share the time of the GPUs;"
        " chat when absent.",
    )
    utilization_percent: Annotated[int, base.number(1, 100)] | None = pydantic.Field(
        None,
        description="How much of what the replicas could answer they are asked for on average: the"
        " rest of the time has to be paid too. 100 when absent, the least that tokens cost.",
    )
    margin_percent: Annotated[int, base.number(0, 1000)] | None = pydantic.Field(
        None,
        description="What comes on top; that of the settings when absent"
        " (pricing.fromCost.marginPercent).",
    )
    generation: Annotated[int, base.number(0, 2**31 - 1)] | None = pydantic.Field(
        None, description="Raise it to take the costs of now. 0 when absent."
    )


class Pricing(base.Model):
    """Where the prices of models come from that `prices` does not name."""

    from_cost: FromCost = pydantic.Field(
        description="From the costs of the claim that serves the model."
    )


class Price(base.Model):
    """What a million tokens of a model cost, in the currency of the settings."""

    model: claim_model.Word = pydantic.Field(description="The name that clients write.")
    input: base.Decimal | None = pydantic.Field(
        None, description='A million tokens of prompts, in quotes: "0.5".'
    )
    cached_input: base.Decimal | None = pydantic.Field(
        None,
        description="A million tokens of prompts that a cache had; as the others when absent.",
    )
    output: base.Decimal | None = pydantic.Field(
        None, description="A million tokens of answers; nothing when absent."
    )
    from_cost: FromCost | None = pydantic.Field(
        None,
        description="In place of the three: the price follows from the costs of the claim that"
        " serves the model. What is absent here is that of `pricing.fromCost`.",
    )

    RULES: ClassVar = (
        base.Rule(
            cel="has(self.input) != has(self.fromCost)",
            message="a price is stated or follows from costs: input or fromCost",
            holds=lambda price: (price.input is None) != (price.from_cost is None),
        ),
        base.Rule(
            cel="!has(self.fromCost) || (!has(self.cachedInput) && !has(self.output))",
            message="fromCost excludes cachedInput and output: they follow from costs too",
            holds=lambda price: (
                price.from_cost is None or (price.cached_input, price.output) == (None, None)
            ),
        ),
    )


class Budget(base.Model):
    """So much money in a day of UTC, or in 30 days."""

    amount: Amount = pydantic.Field(
        description="In the currency of the settings, by `prices`. What an answer costs is known at"
        " its end: the one that passes the budget is whole, and the next request is refused."
    )
    per: Literal["day", "month"] = pydantic.Field(
        description="A month is 30 days, counted from 1970-01-01: the gateway knows no other."
    )
