"""The status of an InferenceGateway."""

from typing import Annotated, Literal

import pydantic

from function.api import base, status

Phase = Literal["Pending", "Starting", "Empty", "Serving", "Degraded"]
# So many names are listed, in the list and in its summary.
MOST_MODELS = 256
# So many prices follow from costs.
MOST_PRICES = 256


class Model(base.Model):
    """A name that callers may ask for."""

    name: Annotated[str, base.text(63)] = pydantic.Field(
        description="What clients put into the field model of a request."
    )
    claim: Annotated[str, base.text(63)] | None = pydantic.Field(
        None, description="The InferenceService that serves it."
    )
    provider: Annotated[str, base.text(63)] | None = pydantic.Field(
        None, description="The provider that serves it."
    )
    kind: Literal["base", "adapter", "external", "virtual"] = pydantic.Field(
        description="The base model, an adapter of it, a provider's, or a name behind which the"
        " semantic router picks."
    )


class Price(base.Model):
    """A price that followed from costs.

    It stays until its object asks for another, or the pods of its claim have another model.
    """

    model: Annotated[str, base.text(63)] = pydantic.Field(description="The name of the model.")
    claim: Annotated[str, base.text(63)] | None = pydantic.Field(
        None, description="The claim whose cost it followed from."
    )
    repository: Annotated[str, base.text(status.LONGEST_PLACE)] | None = pydantic.Field(
        None,
        description="Of which model's cost it is: what the claim's pods had then. Another model has"
        " a price of its own. Absent while `several`.",
    )
    several: bool | None = pydantic.Field(
        None,
        description="True while the claim's pods change from one model to another. The price is"
        " then that of the dearer one.",
    )
    input: base.Decimal = pydantic.Field(description="A million tokens of prompts.")
    output: base.Decimal = pydantic.Field(description="A million tokens of answers.")
    asked: Annotated[str, base.text(128)] = pydantic.Field(
        description="By which words of the object it followed."
    )
    margin_percent: Annotated[int, base.number(0, 1000)] = pydantic.Field(
        description="The margin that is in it."
    )


class Status(base.Model):
    """What `kubectl get` and `kubectl describe` show."""

    observed_generation: Annotated[int, base.number(0, 2**53 - 1)] | None = pydantic.Field(
        None, description="Generation of the object that the rest of the status is about."
    )
    phase: Phase | None = pydantic.Field(None, description="Whether callers are answered.")
    waiting_for: Annotated[str, base.text(1024, None, 0)] | None = pydantic.Field(
        None, description="What it waits for, in words; empty when it waits for nothing."
    )
    endpoint: Annotated[str, base.text(512)] | None = pydantic.Field(
        None, description="Address of the OpenAI API."
    )
    token_endpoint: Annotated[str, base.text(512)] | None = pydantic.Field(
        None, description="The same for callers with tokens."
    )
    edge_endpoint: Annotated[str, base.text(512)] | None = pydantic.Field(
        None, description="Address of the proxy of `edge` within the cluster."
    )
    claims: Annotated[str, base.text(16)] | None = pydantic.Field(
        None, description="Published and selected InferenceServices, for example 3/4."
    )
    models: Annotated[list[Model], base.items(MOST_MODELS)] | None = None
    models_summary: Annotated[str, base.text(1024, None, 0)] | None = pydantic.Field(
        None, description="Names of the models, comma-separated."
    )
    callers: Annotated[int, base.number(0, 64)] | None = pydantic.Field(
        None, description="Callers whose keys are in force."
    )
    prices: Annotated[list[Price], base.items(MOST_PRICES)] | None = pydantic.Field(
        None, description="Prices that followed from costs."
    )
