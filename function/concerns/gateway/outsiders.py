"""Somebody outside who serves models, in the objects by which the gateway reaches it.

A front door has them for its providers, and a claim for the provider that is its fallback.
"""

from collections.abc import Iterator

from function import assembly, canonical, kinds, route_rows
from function.api import gateway
from function.cluster import observed, routes
from function.concerns.gateway import credentials
from function.planning import identity
from function.situation import situations

_KEYS = {"OpenAI": ("APIKey", "apiKey"), "Anthropic": ("AnthropicAPIKey", "anthropicAPIKey")}
# Where a caller may have its token, and where this API has no key of the provider.
_UNUSED = {"OpenAI": credentials.API_KEY, "Anthropic": credentials.AUTHORIZATION.lower()}
_AI_GROUP = "aigateway.envoyproxy.io"
_PORT = 443


def backend(metadata: identity.Manifest, provider: gateway.Provider) -> identity.Manifest:
    """Returns where the provider is, and how it shows that it is no other."""
    authority = provider.certificate_authority
    trust: identity.Manifest = {"wellKnownCACertificates": "System"}
    if authority is not None:
        reference = {"group": "", "kind": "ConfigMap", "name": authority.name}
        trust = {"caCertificateRefs": [reference]}
    address = {"hostname": provider.host, "port": provider.port or _PORT}
    return {
        "apiVersion": kinds.BACKEND.api_versions[0],
        "kind": kinds.BACKEND.name,
        "metadata": metadata,
        "spec": {
            "endpoints": [{"fqdn": address}],
            # With a name of its own Envoy Gateway has the certificate compared with it.
            "tls": {"sni": provider.host, **trust},
        },
    }


def ai_backend(
    metadata: identity.Manifest,
    provider: gateway.Provider,
    api_version: str,
    *,
    counted: bool,
    tokens: bool,
) -> identity.Manifest:
    """Returns what the provider speaks.

    Args:
        metadata: Of the object; its Backend has the same name.
        provider: The provider.
        api_version: Of the AI gateway.
        counted: Whether tokens are counted by the caller's name. Envoy counts them at the end of an
            answer by what the request's headers are then, so that a name that was taken away would
            have no limit of tokens.
        tokens: Whether callers may have tokens. A key is taken away where it is judged, and a token
            goes on to whoever answers.
    """
    spoken: identity.Manifest = {"name": provider.api}
    if provider.prefix is not None:
        spoken["prefix"] = provider.prefix
    # Who asks is nobody's business outside.
    removed = [] if counted else [routes.CALLER_HEADER]
    if tokens:
        removed.append(_UNUSED[provider.api])
    return {
        "apiVersion": api_version,
        "kind": kinds.AI_BACKEND.name,
        "metadata": metadata,
        "spec": {
            "schema": spoken,
            "backendRef": {
                "group": "gateway.envoyproxy.io",
                "kind": kinds.BACKEND.name,
                "name": metadata["name"],
            },
            **({"headerMutation": {"remove": removed}} if removed else {}),
        },
    }


def key(
    metadata: identity.Manifest, provider: gateway.Provider, api_version: str
) -> identity.Manifest:
    """Returns the provider's key, which callers never have, for the AIServiceBackend so named."""
    kind, field = _KEYS[provider.api]
    secret = {"name": provider.credentials.secret_ref.name, "namespace": metadata["namespace"]}
    target = {"group": _AI_GROUP, "kind": kinds.AI_BACKEND.name, "name": metadata["name"]}
    return {
        "apiVersion": api_version,
        "kind": kinds.PROVIDER_KEY.name,
        "metadata": metadata,
        "spec": {"targetRefs": [target], "type": kind, field: {"secretRef": secret}},
    }


def compose(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields the objects by which the route reaches the provider that is the claim's fallback.

    Those that the observed route still names stay as they are: core deletes before it applies.
    """
    plan, chosen = now.plan, now.traffic.fallback.outside
    wanted = None if chosen is None else chosen.provider.name
    if chosen is not None:
        provider, version = chosen.provider, plan.site.gateway.api_version
        metadata = plan.identity.metadata(plan.identity.outside(provider.name))
        spoken = ai_backend(
            metadata, provider, version, counted=chosen.counted, tokens=chosen.tokens
        )
        yield assembly.Part(f"{route_rows.OUTSIDE_BACKEND}{wanted}", backend(metadata, provider))
        yield assembly.Part(f"{route_rows.OUTSIDE_AI_BACKEND}{wanted}", spoken)
        yield assembly.Part(f"{route_rows.OUTSIDE_KEY}{wanted}", key(metadata, provider, version))
    for prefix in (
        route_rows.OUTSIDE_BACKEND,
        route_rows.OUTSIDE_AI_BACKEND,
        route_rows.OUTSIDE_KEY,
    ):
        for suffix, resource in now.world.starting(prefix):
            name = str(observed.at(resource, "metadata", "name"))
            named = name in now.traffic.named[kinds.AI_BACKEND.name]
            if named and suffix.removeprefix(prefix) != wanted:
                kept = canonical.plain(resource)
                yield assembly.Part(
                    suffix,
                    {
                        "apiVersion": kept["apiVersion"],
                        "kind": kept["kind"],
                        "metadata": plan.identity.metadata(name),
                        "spec": kept["spec"],
                    },
                )
