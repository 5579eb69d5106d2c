"""Callers with a token of an identity provider (JWT) in place of a key."""

from typing import Annotated, ClassVar, Literal

import pydantic

from function.api import base

# The gateway reads an issuer with a colon as an address.
ISSUER = base.form(r"^https?://[!-~]+$", "an address, as the tokens have it in iss")
_PART = "[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?"
JWKS = base.form(
    rf"^https://{_PART}(\.{_PART})*(:{base.PORT})?/[-._~%/A-Za-z0-9]*$",
    "an address with https, for example https://sso.example.com/keys, its port at most 65535",
)
# A claim of a token, or one inside of another behind a dot.
CLAIM = base.form(r"^[A-Za-z_][-A-Za-z0-9_]*(\.[A-Za-z_][-A-Za-z0-9_]*)*$", "the name of a claim")
SUBJECT = "sub"
_PORT, _TLS_PORT = 8080, 8443


def port(*, tls: bool) -> int:
    """Returns the port on which a front door asks for tokens."""
    return _TLS_PORT if tls else _PORT


class KeysReference(base.Model):
    """A ConfigMap of the namespace that holds the keys of an issuer."""

    name: base.DnsSubdomain = pydantic.Field(
        description="Name of the ConfigMap, whose key is `jwks`."
    )


class Issuer(base.Model):
    """Somebody whose tokens count."""

    name: Annotated[str, base.text(32, base.DNS_LABEL, 1)]
    issuer: Annotated[str, base.text(253, ISSUER)] = pydantic.Field(
        description="What tokens have in iss."
    )
    audiences: Annotated[list[Annotated[str, base.text(253)]], base.items(8, 1)] = pydantic.Field(
        description="One of them must be in aud: a token for somebody else opens nothing."
    )
    jwks_uri: Annotated[str, base.text(253, JWKS)] | None = pydantic.Field(
        None,
        alias="jwksURI",
        description="Where the gateway's proxies fetch the issuer's keys, each five minutes."
        " Settings say which hosts (tokenHosts).",
    )
    jwks_config_map: KeysReference | None = pydantic.Field(
        None, description="Keys that lie in the namespace, where the proxies can fetch none."
    )
    caller_claim: Annotated[str, base.text(128, CLAIM)] | None = pydantic.Field(
        None,
        description="The claim whose value is a caller's name, for example azp or client_id; sub"
        " when absent.",
    )

    RULES: ClassVar = (
        base.Rule(
            cel="has(self.jwksURI) != has(self.jwksConfigMap)",
            message="an issuer's keys are in one place: jwksURI or jwksConfigMap",
            holds=lambda one: (one.jwks_uri is None) != (one.jwks_config_map is None),
        ),
    )


def named_by(issuer: Issuer) -> str:
    """Returns the claim of an issuer's tokens whose value is a caller's name."""
    return issuer.caller_claim or SUBJECT


class Claim(base.Model):
    """What a token must say beside the caller's name."""

    name: Annotated[str, base.text(128, CLAIM)]
    values: Annotated[list[Annotated[str, base.text(253)]], base.items(16, 1)] = pydantic.Field(
        description="One of them."
    )
    type: Literal["String", "StringArray"] | None = pydantic.Field(
        None, description="Whether the claim is a text or a list of texts; String when absent."
    )


class Token(base.Model):
    """A token of one of the issuers, with the caller's name in it."""

    issuer: Annotated[str, base.text(32, base.DNS_LABEL, 1)] = pydantic.Field(
        description="Name of one of `issuers`."
    )
    claims: (
        Annotated[
            list[Claim],
            base.items(8),
            base.distinct("name", "a claim of a token is named once"),
        ]
        | None
    ) = pydantic.Field(None, description="What the token must say too; all of it.")
