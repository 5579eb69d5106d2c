"""Routing by meaning: names of a front door behind which a semantic router picks the model.

The router is vLLM Semantic Router 0.4, which reads a configuration of version v0.3. A prompt is
judged by its words, its subject and its length; who answers is a model that claims or providers
serve.
"""

from typing import Annotated, ClassVar, Literal

import pydantic

from function.api import base, claim_metrics, claim_model

# The router's own classifier knows these and no other.
Domain = Literal[
    "biology",
    "business",
    "chemistry",
    "computer science",
    "economics",
    "engineering",
    "health",
    "history",
    "law",
    "math",
    "other",
    "philosophy",
    "physics",
    "psychology",
]
# Not more than the router counts in a prompt of any model that is served today.
MOST_TOKENS = 10_000_000
PHRASE = base.form(
    r"^[^\x00-\x20\x7f]([^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?$",
    "a word or a phrase, without blanks at its ends and without control characters",
)


class AuthorityReference(base.Model):
    """A ConfigMap of the namespace that holds a certificate authority."""

    name: base.DnsSubdomain = pydantic.Field(
        description="Name of the ConfigMap, whose key is `ca.crt`."
    )


class RouterSecret(base.Model):
    """A Secret of the namespace that holds the key of the router."""

    name: base.DnsSubdomain = pydantic.Field(
        description="Name of the Secret, whose key is `semantic-router`: as a caller's, with that"
        " name."
    )


class Tokens(base.Model):
    """A band of lengths, both ends in it."""

    at_least: Annotated[int, base.number(1, MOST_TOKENS)] | None = None
    at_most: Annotated[int, base.number(1, MOST_TOKENS)] | None = None

    RULES: ClassVar = (
        base.Rule(
            cel="has(self.atLeast) || has(self.atMost)",
            message="a band of tokens has an end: atLeast, atMost or both",
            holds=lambda band: band.at_least is not None or band.at_most is not None,
        ),
        base.Rule(
            cel="!has(self.atLeast) || !has(self.atMost) || self.atLeast <= self.atMost",
            message="atLeast is not above atMost",
            holds=lambda band: (
                band.at_least is None or band.at_most is None or band.at_least <= band.at_most
            ),
        ),
    )


class When(base.Model):
    """What a prompt is like. Of one kind any will do; of several kinds all must hold."""

    keywords: Annotated[list[Annotated[str, base.text(64, PHRASE)]], base.items(64, 1)] | None = (
        pydantic.Field(
            None, description="Whole words or phrases, in small letters or capitals; one is enough."
        )
    )
    domains: Annotated[list[Domain], base.items(14, 1)] | None = pydantic.Field(
        None,
        description="Subjects, by the router's own classifier, which it fetches from the hub; one"
        " is enough. `other` is what it can place nowhere.",
    )
    tokens: Tokens | None = pydantic.Field(
        None,
        description="Length of the conversation as the router estimates it: a token for four"
        " bytes.",
    )

    RULES: ClassVar = (
        base.Rule(
            cel="has(self.keywords) || has(self.domains) || has(self.tokens)",
            message="a decision asks for something: keywords, domains or tokens",
            holds=lambda when: any(
                value is not None for value in (when.keywords, when.domains, when.tokens)
            ),
        ),
    )


class Target(base.Model):
    """Who answers: a model by its name, or the first claim by name that has what is asked for."""

    model: claim_model.Word | None = pydantic.Field(
        None, description="A name that a claim or a provider serves; an adapter has one too."
    )
    tier: Literal["small", "medium", "large"] | None = pydantic.Field(
        None, description="The claim's `routing.tier`."
    )
    specialty: (
        Literal["general", "code", "code-fim", "math", "guardrail", "multilingual"] | None
    ) = pydantic.Field(None, description="The claim's `routing.specialty`.")
    match_labels: base.Labels | None = pydantic.Field(None, description="Labels of the claim.")

    RULES: ClassVar = (
        base.Rule(
            cel="has(self.model) != (has(self.tier) || has(self.specialty)"
            " || has(self.matchLabels))",
            message="who answers is named in one way: model, or what a claim has",
            holds=lambda target: (
                (target.model is not None)
                != any(
                    value is not None
                    for value in (target.tier, target.specialty, target.match_labels)
                )
            ),
        ),
    )


class Decision(base.Model):
    """Who answers prompts of a kind."""

    name: Annotated[str, base.text(32, base.DNS_LABEL, 1)] = pydantic.Field(
        description="For the router's metrics and logs."
    )
    when: When
    to: Target


class VirtualModel(base.Model):
    """A name behind which the router picks."""

    name: claim_model.Word = pydantic.Field(
        description="What clients write. A claim or a provider that serves this name has it."
    )
    default: Target = pydantic.Field(
        description="Who answers where no decision holds. While nobody serves it the name is not"
        " published."
    )
    decisions: Annotated[
        list[Decision],
        base.items(16),
        base.distinct("name", "decisions of a model must have distinct names"),
    ] = pydantic.Field(
        default_factory=base.no_items, description="The first that holds counts, in their order."
    )


class SemanticRouter(base.Model):
    """A router that reads prompts, and what it is to decide."""

    secret_ref: RouterSecret | None = pydantic.Field(
        None,
        description="The key with which the router calls the models. What they may be follows from"
        " the decisions.",
    )
    certificate_authority: AuthorityReference | None = pydantic.Field(
        None,
        description="Who signed the certificate of `tls`, for the router; those that the image of"
        " its proxy trusts when absent.",
    )
    confidence: claim_metrics.Share | None = pydantic.Field(
        None,
        description="How sure the router must be of a domain, from 0 to 1; 0.5 when absent.",
    )
    configuration_only: bool | None = pydantic.Field(
        None,
        description="The ConfigMap alone, for a router that somebody else keeps: no pods and no"
        " route.",
    )
    models: Annotated[
        list[VirtualModel],
        base.items(8, 1),
        base.distinct("name", "virtual models must have distinct names"),
    ]

    RULES: ClassVar = (
        base.Rule(
            cel="has(self.secretRef) || (has(self.configurationOnly) && self.configurationOnly)",
            message="a router needs a key: secretRef, or configurationOnly",
            holds=lambda router: router.secret_ref is not None or bool(router.configuration_only),
        ),
    )


# Who the router is among callers; the key of its Secret has the name too.
CALLER = "semantic-router"
