"""Another way in: a proxy with keys, teams and budgets of its own, before a front door."""

from typing import Annotated, ClassVar

import pydantic

from function.api import base, claim_model, gateway_money, gateway_router


class EdgeSecret(base.Model):
    """A Secret of the namespace with what the proxy keeps to itself."""

    name: base.DnsSubdomain = pydantic.Field(
        description="Name of the Secret, whose keys are `master-key` and `database-url`."
    )


class Alias(base.Model):
    """Another name of a model."""

    name: claim_model.Word = pydantic.Field(
        description="What clients write. A model that has this name is not at the edge."
    )
    model: claim_model.Word = pydantic.Field(description="The name that is served.")


class Team(base.Model):
    """Callers who share a budget."""

    name: base.DnsLabel
    callers: Annotated[list[base.DnsLabel], base.items(64, 1)] = pydantic.Field(
        description="Names of callers; each is in one team at most."
    )
    budget: gateway_money.Budget | None = pydantic.Field(
        None, description="What they may spend together; no end when absent."
    )


class LiteLLM(base.Model):
    """LiteLLM's proxy: it calls the models as one of the callers."""

    caller: base.DnsLabel = pydantic.Field(
        description="The one of callers whose key the proxy has. The models at the edge are those"
        " that this caller may use, and its limits hold for all of them together."
    )
    secret_ref: EdgeSecret | None = pydantic.Field(
        None,
        description="The proxy's own key, `master-key`, which opens everything there, and the"
        " address of its PostgreSQL with user and password, `database-url`.",
    )
    certificate_authority: gateway_router.AuthorityReference | None = pydantic.Field(
        None,
        description="Who signed the certificate of `tls`, for the proxy; those that its image"
        " trusts when absent.",
    )
    aliases: Annotated[
        list[Alias],
        base.items(64),
        base.distinct("name", "aliases must have distinct names"),
    ] = pydantic.Field(default_factory=base.no_items, description="More names of models.")
    teams: Annotated[
        list[Team],
        base.items(32),
        base.distinct("name", "teams must have distinct names"),
    ] = pydantic.Field(default_factory=base.no_items, description="Who shares a budget.")
    configuration_only: bool | None = pydantic.Field(
        None,
        description="The ConfigMap alone, for a proxy that somebody else keeps: no pods.",
    )

    RULES: ClassVar = (
        base.Rule(
            cel="has(self.secretRef) || (has(self.configurationOnly) && self.configurationOnly)",
            message="a proxy needs its own key and a database: secretRef, or configurationOnly",
            holds=lambda one: one.secret_ref is not None or bool(one.configuration_only),
        ),
    )


class Edge(base.Model):
    """What stands before the Gateway."""

    litellm: LiteLLM
