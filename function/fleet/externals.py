"""Models from outside: providers behind the address and the keys of the front door.

Each provider has a Backend with TLS, its key, and a route of its own, so that one that is refused
takes no other with it. A name that a claim serves is the claim's.
"""

from collections.abc import Iterator

from function import assembly, kinds
from function.api import gateway as api
from function.cluster import observed, routes
from function.concerns import reasons
from function.concerns.gateway import outsiders
from function.fleet import doors, rows, situations
from function.planning import identity

# What comes before the route, by the ends of their keys.
_FIRST = (rows.PROVIDER_BACKEND, rows.PROVIDER_AI_BACKEND, rows.PROVIDER_KEY)


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
        metadata, version = _metadata(door, provider), door.site.gateway.api_version
        spoken = outsiders.ai_backend(
            metadata, provider, version, counted=door.limited, tokens=bool(door.issuers)
        )
        yield assembly.Part(f"{rows.PROVIDER_BACKEND}{name}", outsiders.backend(metadata, provider))
        yield assembly.Part(f"{rows.PROVIDER_AI_BACKEND}{name}", spoken)
        yield assembly.Part(
            f"{rows.PROVIDER_KEY}{name}", outsiders.key(metadata, provider, version)
        )
        models = [model for owner, model in now.externals if owner.name == name]
        suffixes = (f"{rows.PROVIDER_ROUTE}{name}", *(f"{first}{name}" for first in _FIRST))
        there = now.world.get(suffixes[0]) is not None or all(
            now.world.get(suffix) is not None for suffix in suffixes[1:]
        )
        if models and there:
            yield assembly.Part(suffixes[0], route(door, provider, models))


def object_name(door: doors.Door, provider: str) -> str:
    """Returns the name of the objects of a provider."""
    return door.identity.part(f"provider-{provider}")


def _metadata(door: doors.Door, provider: api.Provider) -> identity.Manifest:
    return door.identity.metadata(object_name(door, provider.name), component=doors.COMPONENT)


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
    target: identity.Manifest = {"name": object_name(door, provider.name), "weight": 100}
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
