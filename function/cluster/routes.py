"""What observed routes and backends name: what is named cannot be taken away."""

from typing import NamedTuple

from function.cluster import observed

# The header in which the AI gateway puts the model name of a request.
MODEL_HEADER = "x-ai-eg-model"
# In which the gateway tells who asks.
CALLER_HEADER = "x-inference-caller"


def backends(resource: observed.Object | None) -> dict[str, frozenset[str]]:
    """Returns the names that an observed AI gateway route names, by kind."""
    names: dict[str, set[str]] = {"AIServiceBackend": set(), "InferencePool": set()}
    for rule in observed.items(resource, "spec", "rules"):
        for backend in observed.items(rule, "backendRefs"):
            kind = observed.at(backend, "kind") or "AIServiceBackend"
            names.setdefault(str(kind), set()).add(str(observed.at(backend, "name")))
    return {kind: frozenset(listed) for kind, listed in names.items()}


def models(resource: observed.Object | None) -> frozenset[str]:
    """Returns the model names that an observed AI gateway route publishes."""
    return frozenset(
        str(observed.at(header, "value"))
        for rule in observed.items(resource, "spec", "rules")
        for match in observed.items(rule, "matches")
        for header in observed.items(match, "headers")
        if observed.at(header, "name") == MODEL_HEADER
        and observed.at(header, "type") != "RegularExpression"
    )


# In the place of the fallback's name, which may be that of a canary. No model has it.
FALLBACK = ""


class Places(NamedTuple):
    """Models in the order of a route.

    Attributes:
        beside: Those that stand beside the base model: canaries by their names, and `FALLBACK`.
        names: Those that have a rule.
    """

    beside: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def places(resource: observed.Object | None) -> Places:
    """Returns the models that an observed AI gateway route has, in its order.

    The AI gateway's processor knows a backend by the places of rule and backend in the route, and
    answers 500 for a place that it has not read yet (internalapi.PerRouteRuleRefBackendName, 1.0).
    """
    names = [
        str(observed.at(header, "value"))
        for rule in observed.items(resource, "spec", "rules")
        for match in observed.items(rule, "matches")
        for header in observed.items(match, "headers")
        if observed.at(header, "name") == MODEL_HEADER
    ]
    beside = [
        str(observed.at(backend, "modelNameOverride")) if _shares(backend) else FALLBACK
        for rule in observed.items(resource, "spec", "rules")
        for backend in observed.items(rule, "backendRefs")
        if observed.at(backend, "modelNameOverride") is not None
    ]
    return Places(tuple(beside), tuple(names))


def weights(resource: observed.Object | None) -> dict[str, int]:
    """Returns the weight of each backend of an observed AI gateway route that has its own model.

    A fallback is no canary: its priority says so, whatever the model is called there. Where none is
    written the API server writes 0.
    """
    return {
        str(observed.at(backend, "modelNameOverride")): observed.number(
            observed.at(backend, "weight"), -1
        )
        for rule in observed.items(resource, "spec", "rules")
        for backend in observed.items(rule, "backendRefs")
        if observed.at(backend, "modelNameOverride") is not None and _shares(backend)
    }


def _shares(backend: observed.Object) -> bool:
    """Tells whether a backend takes requests while others are healthy."""
    return observed.number(observed.at(backend, "priority"), 0) == 0


def hosts(resource: observed.Object | None) -> frozenset[str]:
    """Returns the host names that an observed Backend names."""
    return frozenset(
        str(observed.at(endpoint, "fqdn", "hostname"))
        for endpoint in observed.items(resource, "spec", "endpoints")
    )
