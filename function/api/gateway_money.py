"""What models cost at a front door, and how much money a caller may use."""

from typing import Annotated, Literal

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


class Price(base.Model):
    """What a million tokens of a model cost, in the currency of the settings."""

    model: claim_model.Word = pydantic.Field(description="The name that clients write.")
    input: base.Decimal = pydantic.Field(
        description='A million tokens of prompts, in quotes: "0.5".'
    )
    cached_input: base.Decimal | None = pydantic.Field(
        None,
        description="A million tokens of prompts that a cache had; as the others when absent.",
    )
    output: base.Decimal | None = pydantic.Field(
        None, description="A million tokens of answers; nothing when absent."
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
