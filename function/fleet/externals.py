"""Models from outside: providers behind the address and the keys of the front door.

Each provider has a Backend with TLS, its key, and a route of its own, so that one that is refused
takes no other with it. A name that a claim serves is the claim's.
"""

from collections.abc import Iterator

from function import assembly, kinds
from function.api import gateway as api
from function.cluster import observed, routes
from function.concerns import reasons
from function.concerns.gateway import credentials
from function.fleet import doors, keys, rows, situations
from function.planning import identity

# What comes before the route, by the ends of their keys.
_FIRST = (rows.PROVIDER_BACKEND, rows.PROVIDER_AI_BACKEND, rows.PROVIDER_KEY)
_KEYS = {"OpenAI": ("APIKey", "apiKey"), "Anthropic": ("AnthropicAPIKey", "anthropicAPIKey")}
# Where a caller may have its token, and where this API has no key of the provider.
_UNUSED = {"OpenAI": credentials.API_KEY, "Anthropic": credentials.AUTHORIZATION.lower()}
_AI_GROUP = "aigateway.envoyproxy.io"
_PORT = 443


class ProvidersReady(reasons.Reasons):
    """Reasons of ProvidersReady."""

    NOT_REQUESTED = reasons.Reason("NotRequested", True, "There are no `providers`.")
    PUBLISHED = reasons.Reason(
        "Published",
        True,
        "Their routes are accepted. Whether a provider takes its key, requests alone show.",
    )
    ELSEWHERE = reasons.Reason(
        "Elsewhere",
        True,
        "`spec.gateway` names a Gateway of somebody else, whose providers are its own.",
    )
    NAME_TAKEN = reasons.Reason(
        "NameTaken",
        False,
        "A claim or another provider serves one of the names, and has it; the message names it.",
        "Give the model another `name`; `upstream` keeps what the provider calls it.",
        alarm=True,
    )
    NOT_PROVIDED = reasons.NO_AI_GATEWAY
    KIND_MISSING = reasons.MISSING_KIND
    UNRESOLVED = reasons.Reason(
        "Unresolved",
        False,
        "An object is not there yet or not accepted; the message is its controller's.",
        "`kubectl -n llm describe` the kind that the message names; the Secret of the key, the"
        " ConfigMap of the authority.",
    )


def compose(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields the objects of each provider; the route once what it names is there."""
    door = now.door
    if not (door.own and door.provided):
        return
    for provider in door.providers:
        name = provider.name
        yield assembly.Part(f"{rows.PROVIDER_BACKEND}{name}", backend(door, provider))
        yield assembly.Part(f"{rows.PROVIDER_AI_BACKEND}{name}", ai_backend(door, provider))
        yield assembly.Part(f"{rows.PROVIDER_KEY}{name}", key(door, provider))
        models = [model for owner, model in now.externals if owner.name == name]
        suffixes = (f"{rows.PROVIDER_ROUTE}{name}", *(f"{first}{name}" for first in _FIRST))
        there = now.world.get(suffixes[0]) is not None or all(
            now.world.get(suffix) is not None for suffix in suffixes[1:]
        )
        if models and there:
            yield assembly.Part(suffixes[0], route(door, provider, models))


def object_name(door: doors.Door, provider: api.Provider) -> str:
    """Returns the name of the objects of a provider."""
    return door.identity.part(f"provider-{provider.name}")


def _metadata(door: doors.Door, provider: api.Provider) -> identity.Manifest:
    return door.identity.metadata(object_name(door, provider), component=doors.COMPONENT)


def backend(door: doors.Door, provider: api.Provider) -> identity.Manifest:
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
        "metadata": _metadata(door, provider),
        "spec": {
            "endpoints": [{"fqdn": address}],
            # With a name of its own Envoy Gateway has the certificate compared with it.
            "tls": {"sni": provider.host, **trust},
        },
    }


def ai_backend(door: doors.Door, provider: api.Provider) -> identity.Manifest:
    """Returns what the provider speaks."""
    spoken: identity.Manifest = {"name": provider.api}
    if provider.prefix is not None:
        spoken["prefix"] = provider.prefix
    # Who asks is nobody's business outside. Envoy counts tokens at the end of an answer by what the
    # request's headers are then, so that a name that was taken away would have no limit of tokens.
    removed = [] if door.limited else [keys.CALLER_HEADER]
    if door.issuers:
        # A key is taken away where it is judged, and a token goes on to whoever answers.
        removed.append(_UNUSED[provider.api])
    mutated = {"headerMutation": {"remove": removed}} if removed else {}
    return {
        "apiVersion": door.site.gateway.api_version,
        "kind": kinds.AI_BACKEND.name,
        "metadata": _metadata(door, provider),
        "spec": {
            "schema": spoken,
            "backendRef": {
                "group": "gateway.envoyproxy.io",
                "kind": kinds.BACKEND.name,
                "name": object_name(door, provider),
            },
            **mutated,
        },
    }


def key(door: doors.Door, provider: api.Provider) -> identity.Manifest:
    """Returns the provider's key, which callers never have."""
    kind, field = _KEYS[provider.api]
    secret = {"name": provider.credentials.secret_ref.name, "namespace": door.identity.namespace}
    target = {
        "group": _AI_GROUP,
        "kind": kinds.AI_BACKEND.name,
        "name": object_name(door, provider),
    }
    return {
        "apiVersion": door.site.gateway.api_version,
        "kind": kinds.PROVIDER_KEY.name,
        "metadata": _metadata(door, provider),
        "spec": {"targetRefs": [target], "type": kind, field: {"secretRef": secret}},
    }


def route(
    door: doors.Door, provider: api.Provider, models: list[api.ProviderModel]
) -> identity.Manifest:
    """Returns the route by the provider's names."""
    return {
        "apiVersion": door.site.gateway.api_version,
        "kind": kinds.AI_ROUTE.name,
        "metadata": _metadata(door, provider),
        "spec": {
            "parentRefs": [
                {
                    "group": "gateway.networking.k8s.io",
                    "kind": kinds.GATEWAY.name,
                    "name": door.identity.name,
                    "namespace": door.identity.namespace,
                }
            ],
            "rules": [_rule(door, provider, model) for model in models],
        },
    }


def _rule(door: doors.Door, provider: api.Provider, model: api.ProviderModel) -> identity.Manifest:
    target: identity.Manifest = {"name": object_name(door, provider), "weight": 100}
    if model.upstream is not None:
        target["modelNameOverride"] = model.upstream
    named = {"type": "Exact", "name": routes.MODEL_HEADER, "value": model.name}
    return {
        "matches": [{"headers": [named]}],
        "backendRefs": [target],
        # The AI gateway's own minute would cut long answers.
        "timeouts": {"request": f"{door.site.gateway.request_timeout_seconds}s"},
        "modelsOwnedBy": provider.name,
    }


def condition(now: situations.Situation, desired: assembly.Desired) -> observed.Condition:
    """Returns ProvidersReady."""
    door = now.door
    if not door.own:
        return ProvidersReady.ELSEWHERE.condition("the Gateway has providers of its own, or none")
    if not door.providers:
        return ProvidersReady.NOT_REQUESTED.condition("there are no providers")
    if not door.provided:
        return ProvidersReady.NOT_PROVIDED.condition("the settings have no provider of gateway")
    absent = desired.lacking(ProvidersReady.type())
    if absent is not None:
        return ProvidersReady.KIND_MISSING.condition(reasons.missing(absent, "gateway"))
    waits = desired.waits(ProvidersReady.type())
    if waits is not None:
        return ProvidersReady.UNRESOLVED.condition(waits)
    published = {(owner.name, model.name) for owner, model in now.externals}
    taken = [
        f"{model.name} ({provider.name})"
        for provider in door.providers
        for model in provider.models
        if (provider.name, model.name) not in published
    ]
    if taken:
        words = f"somebody else serves {', '.join(taken)}"
        return ProvidersReady.NAME_TAKEN.condition(words)
    return ProvidersReady.PUBLISHED.condition("their routes are accepted")
