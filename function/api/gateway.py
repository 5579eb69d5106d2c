"""The second kind of claim: the front door of a namespace, through which its models are called.

It selects InferenceServices, and holds what spans them: a Gateway, and who may call what. Every
field is optional: without callers the door is closed.
"""

from typing import Annotated, Any, ClassVar, Literal

import pydantic
from pydantic import alias_generators

from function.api import (
    base,
    claim,
    claim_model,
    claim_secrets,
    gateway_edge,
    gateway_evals,
    gateway_money,
    gateway_router,
    gateway_tokens,
)

GROUP = claim.GROUP
VERSION = claim.VERSION
KIND = "InferenceGateway"
PLURAL = "inferencegateways"
# The Gateway has the name, and Envoy Gateway writes it into labels of its own.
LONGEST_NAME = 54
# What Envoy Gateway can write down of one limit.
MOST_OF_A_LIMIT = 2**32 - 1


class Selector(base.Model):
    """Which InferenceServices of the namespace."""

    match_labels: base.Labels = pydantic.Field(
        default_factory=dict, description="Labels that they have; all of them when empty."
    )


class GatewayReference(base.Model):
    """A Gateway that somebody else keeps."""

    name: base.DnsSubdomain = pydantic.Field(description="Name of the Gateway.")
    namespace: base.DnsLabel = pydantic.Field(description="Namespace of the Gateway.")


class Tls(base.Model):
    """The certificate of the Gateway."""

    secret_name: base.DnsSubdomain = pydantic.Field(
        description="Secret of the namespace with tls.crt and tls.key."
    )


class SecretReference(base.Model):
    """A Secret of the namespace that holds the key of a caller."""

    name: base.DnsSubdomain = pydantic.Field(
        description="Name of the Secret. Its key is named as the caller, and the value is what the"
        " caller sends."
    )


class ExternalKey(base.Model):
    """The key of a caller in the platform's store, fetched by External Secrets."""

    remote_ref: Annotated[str, base.text(512), claim_secrets.STORE_PATH] = pydantic.Field(
        description="Path of the secret in the store; settings say which are allowed (remoteRefs)."
    )
    property: Annotated[str, base.text(253)] | None = pydantic.Field(
        None, description="Field of the secret; all of it is the key when absent."
    )
    refresh_interval: Annotated[base.Duration, claim_secrets.REFRESH] | None = pydantic.Field(
        None, description="1h when absent; 0s fetches once, otherwise at least 1m."
    )


class Models(base.Model):
    """Models that a caller may use: those of the names, and those of the claims."""

    names: Annotated[list[claim_model.Word], base.items(64)] = pydantic.Field(
        default_factory=base.no_items,
        description="Names of claims and adapters, as clients write them. One claim's adapters are"
        " not in its name.",
    )
    match_labels: base.Labels = pydantic.Field(
        default_factory=dict,
        description="Labels of claims: every name that such a claim serves. None when empty.",
    )


class Limit(base.Model):
    """So much in a minute, an hour or a day of UTC."""

    tokens: Annotated[int, base.number(1, MOST_OF_A_LIMIT)] | None = pydantic.Field(
        None,
        description="Tokens of prompts and answers together. They are known at the end of an"
        " answer: the one that passes the limit is whole, and the next request is refused.",
    )
    requests: Annotated[int, base.number(1, MOST_OF_A_LIMIT)] | None = pydantic.Field(
        None, description="Requests, refused ones too."
    )
    per: Literal["minute", "hour", "day"]
    model: claim_model.Word | None = pydantic.Field(
        None,
        description="The one name that counts, as clients write it; all models together when"
        " absent.",
    )

    RULES: ClassVar = (
        base.Rule(
            cel="has(self.tokens) != has(self.requests)",
            message="a limit counts one thing: tokens or requests",
            holds=lambda limit: (limit.tokens is None) != (limit.requests is None),
        ),
    )


class Caller(base.Model):
    """Somebody who may call."""

    name: base.DnsLabel = pydantic.Field(
        description="Sent on to engines in the header x-inference-caller, and a label of metrics."
    )
    secret_ref: SecretReference | None = None
    external_secret: ExternalKey | None = None
    jwt: gateway_tokens.Token | None = None
    models: Models | None = pydantic.Field(
        None, description="Every model of the selected claims when absent, and none when empty."
    )
    limits: Annotated[list[Limit], base.items(16)] | None = pydantic.Field(
        None,
        description="How much the caller may use; all of them hold. No end when absent. The"
        " settings say that the gateway can count (frontDoor.limiter).",
    )
    budget: gateway_money.Budget | None = pydantic.Field(
        None, description="How much money the caller may use, beside `limits`; no end when absent."
    )

    RULES: ClassVar = (
        base.Rule(
            cel="(has(self.secretRef) ? 1 : 0) + (has(self.externalSecret) ? 1 : 0)"
            " + (has(self.jwt) ? 1 : 0) == 1",
            message="a caller has one of secretRef, externalSecret and jwt",
            holds=lambda c: (c.secret_ref, c.external_secret, c.jwt).count(None) == 2,
        ),
    )


class ProviderSecret(base.Model):
    """A Secret of the namespace that holds the key of a provider."""

    name: base.DnsSubdomain = pydantic.Field(
        description="Name of the Secret, whose key is `apiKey`."
    )


class ProviderModel(base.Model):
    """A model of a provider."""

    name: claim_model.Word = pydantic.Field(
        description="What clients write. A claim that serves this name has it."
    )
    upstream: Annotated[str, base.text(128, claim_model.REPOSITORY)] | None = pydantic.Field(
        None, description="What the provider calls it; the same when absent."
    )


class Credentials(base.Model):
    """The key of a provider."""

    secret_ref: ProviderSecret


class Provider(base.Model):
    """Somebody outside who serves models, by the same address and keys."""

    name: Annotated[str, base.text(32, base.DNS_LABEL, 1)]
    api: Literal["OpenAI", "Anthropic"] = pydantic.Field(
        description="What it speaks: OpenAI, asked by /v1/chat/completions and the like, or"
        " Anthropic, asked by /anthropic/v1/messages alone."
    )
    host: base.DnsSubdomain = pydantic.Field(
        description="Its host, which its certificate must name."
    )
    port: Annotated[int, base.number(1, 65535)] | None = pydantic.Field(
        None, description="443 when absent. Always TLS."
    )
    prefix: Annotated[str, base.text(128, r"^/[-._~A-Za-z0-9/]*$")] | None = pydantic.Field(
        None, description="Path of its API; /v1 when absent."
    )
    certificate_authority: gateway_router.AuthorityReference | None = pydantic.Field(
        None, description="Who signs its certificate; those that the gateway trusts when absent."
    )
    credentials: Credentials
    models: Annotated[
        list[ProviderModel],
        base.items(15, 1),  # the AI gateway: rules of one route, at most
        base.distinct("name", "models of a provider must have distinct names"),
    ]


def _of_its_own(field: str) -> base.Rule:
    alias = alias_generators.to_camel(field)
    return base.Rule(
        cel=f"!has(self.gateway) || !has(self.{alias})",
        message=f"gateway excludes {alias}: that is the business of the Gateway that it names",
        holds=lambda spec: spec.gateway is None or getattr(spec, field) is None,
        at=alias,
    )


def _issuers_there(spec: "Spec") -> bool:
    named = {issuer.name for issuer in spec.issuers or []}
    return all(c.jwt is None or c.jwt.issuer in named for c in spec.callers or [])


class Spec(base.Model):
    """What the author asks for."""

    selector: Selector | None = pydantic.Field(
        None, description="Which InferenceServices; all of the namespace when absent."
    )
    gateway: GatewayReference | None = pydantic.Field(
        None,
        description="A Gateway that is there, on which the settings publish the claims. Its keys"
        " and limits are its own. Without it the object has a Gateway of its own.",
    )
    hostname: base.DnsSubdomain | None = pydantic.Field(
        None,
        description="Host that the Gateway answers for; any when absent. Settings say which"
        " (gatewayHostnames).",
    )
    tls: Tls | None = pydantic.Field(
        None, description="HTTPS on port 443 alone; HTTP on port 80 when absent."
    )
    callers: (
        Annotated[
            list[Caller],
            base.items(64),
            base.distinct("name", "callers must have distinct names"),
        ]
        | None
    ) = pydantic.Field(None, description="Who may call. Nobody when absent.")
    issuers: (
        Annotated[
            list[gateway_tokens.Issuer],
            base.items(16),
            base.distinct("name", "issuers must have distinct names"),
            base.distinct("issuer", "issuers must be distinct"),
        ]
        | None
    ) = pydantic.Field(
        None,
        description="Whose tokens callers may have (`callers[].jwt`). Tokens are asked for on a"
        " port of their own: 8080, or 8443 with `tls`.",
    )
    providers: (
        Annotated[
            list[Provider],
            base.items(16),
            base.distinct("name", "providers must have distinct names"),
        ]
        | None
    ) = pydantic.Field(None, description="Models from outside, beside those of the claims.")
    prices: (
        Annotated[
            list[gateway_money.Price],
            base.items(64),
            base.distinct("model", "a model has one price"),
        ]
        | None
    ) = pydantic.Field(
        None,
        description="What models cost callers: for budgets, and recorded by caller and model.",
    )
    pricing: gateway_money.Pricing | None = pydantic.Field(
        None,
        description="Prices of the models that `prices` does not name. Callers with a budget may"
        " use no model without a price then.",
    )
    semantic_router: gateway_router.SemanticRouter | None = pydantic.Field(
        None, description="Names behind which a router picks the model by what a prompt is about."
    )
    evals: gateway_evals.Evals | None = pydantic.Field(
        None, description="Asks each model by a schedule whether it still answers as it should."
    )
    edge: gateway_edge.Edge | None = pydantic.Field(
        None,
        description="Another way in, with keys, teams and budgets of its own, before the Gateway.",
    )
    crossplane: claim.SystemFields | None = None

    RULES: ClassVar = (
        *map(_of_its_own, ("hostname", "tls", "callers", "issuers", "providers", "prices")),
        *map(_of_its_own, ("semantic_router", "evals", "edge", "pricing")),
        base.Rule(
            cel="!has(self.callers) || self.callers.all(c, !has(c.jwt)"
            " || (has(self.issuers) && self.issuers.exists(i, i.name == c.jwt.issuer)))",
            message="callers[].jwt.issuer must name one of issuers",
            holds=_issuers_there,
            at="callers",
        ),
        base.Rule(
            cel="!has(self.callers) || has(self.prices) || has(self.pricing)"
            " || self.callers.all(c, !has(c.budget))",
            message="a budget counts by prices: name what models cost",
            holds=lambda spec: spec.has_prices or all(c.budget is None for c in spec.callers or []),
            at="prices",
        ),
        base.Rule(
            cel="!has(self.evals) || (has(self.callers)"
            " && self.callers.exists(c, c.name == self.evals.caller && !has(c.jwt)))",
            message="evals.caller must be one of callers, with a key",
            holds=lambda spec: (
                spec.evals is None
                or any(c.name == spec.evals.caller and c.jwt is None for c in spec.callers or [])
            ),
            at="evals.caller",
        ),
        base.Rule(
            cel="!has(self.edge) || (has(self.callers)"
            " && self.callers.exists(c, c.name == self.edge.litellm.caller && !has(c.jwt)))",
            message="edge.litellm.caller must be one of callers, with a key",
            holds=lambda spec: (
                spec.edge is None
                or any(
                    c.name == spec.edge.litellm.caller and c.jwt is None for c in spec.callers or []
                )
            ),
            at="edge.litellm.caller",
        ),
        base.Rule(
            cel="!has(self.edge) || has(self.prices) || has(self.pricing)"
            " || !has(self.edge.litellm.teams) || self.edge.litellm.teams.all(t, !has(t.budget))",
            message="a team's budget counts by prices: name what models cost",
            holds=lambda spec: (
                spec.edge is None
                or spec.has_prices
                or all(team.budget is None for team in spec.edge.litellm.teams)
            ),
            at="prices",
        ),
    )

    @property
    def has_prices(self) -> bool:
        """Whether prices are stated, or said to follow from costs."""
        return self.prices is not None or self.pricing is not None

    @property
    def follows_costs(self) -> bool:
        """Whether a price is to follow from costs."""
        return self.pricing is not None or any(one.from_cost for one in self.prices or [])

    @property
    def limits_callers(self) -> bool:
        """Whether a caller has a limit or a budget."""
        return any(one.limits or one.budget for one in self.callers or [])


class InferenceGateway(base.Model):
    """A front door."""

    api_version: Literal["cloud.ogenki.io/v1alpha1"]
    kind: Literal["InferenceGateway"]
    metadata: claim.Metadata
    spec: Spec
    status: dict[str, Any] = pydantic.Field(default_factory=dict)

    RULES: ClassVar = (
        base.Rule(
            cel="oldSelf.hasValue() || self.metadata.name.matches('" + claim.NAME + "')",
            message="the name must be a DNS-1035 label, as a claim's",
            holds=lambda door: True,  # Metadata.name carries the same pattern.
            on_create=True,
            at="metadata.name",
        ),
    )

    @property
    def name(self) -> str:
        """The object's name, which its Gateway has too."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """The object's namespace, which is that of everything that it composes."""
        return self.metadata.namespace
