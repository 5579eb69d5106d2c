"""What observed routes and backends name: what is named cannot be taken away."""

from function.cluster import observed


def backends(resource: observed.Object | None) -> dict[str, frozenset[str]]:
    """Returns the names that an observed AI gateway route names, by kind."""
    names: dict[str, set[str]] = {"AIServiceBackend": set(), "InferencePool": set()}
    for rule in observed.items(resource, "spec", "rules"):
        for backend in observed.items(rule, "backendRefs"):
            kind = observed.at(backend, "kind") or "AIServiceBackend"
            names.setdefault(str(kind), set()).add(str(observed.at(backend, "name")))
    return {kind: frozenset(listed) for kind, listed in names.items()}


def hosts(resource: observed.Object | None) -> frozenset[str]:
    """Returns the host names that an observed Backend names."""
    return frozenset(
        str(observed.at(endpoint, "fqdn", "hostname"))
        for endpoint in observed.items(resource, "spec", "endpoints")
    )
