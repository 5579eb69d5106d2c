"""Envoy AI Gateway's view of the model: backends, and the route by model name."""

from collections.abc import Iterator, Mapping, Sequence

from function import canonical, kinds, memo
from function.api import settings
from function.cluster import gating, routes
from function.concerns.gateway import credentials
from function.planning import identity, plans
from function.situation import rivals

# A rule that asks for this header has model names to list and takes no request.
LISTING_HEADER = "x-inference-service-listing"
# In which a picker names the pod.
PICKED_HEADER = "x-gateway-destination-endpoint"


@memo.per_plan
def backend(plan: plans.Plan, host: str, name: str | None = None) -> identity.Manifest:
    """Returns a Backend, by host name: the claim's own unless it has another name."""
    return {
        "apiVersion": kinds.BACKEND.api_versions[0],
        "kind": kinds.BACKEND.name,
        "metadata": plan.identity.metadata(name or f"{plan.identity.name}-direct"),
        "spec": {"endpoints": [{"fqdn": {"hostname": host, "port": plan.engine.PORT}}]},
    }


def service_host(plan: plans.Plan) -> str:
    """Returns the host name of the Service: one address for all pods."""
    return host_of(plan, plan.identity.name)


def host_of(plan: plans.Plan, service: str) -> str:
    """Returns the host name of a Service of the namespace.

    That of a headless one resolves to every ready pod.
    """
    return f"{service}.{plan.identity.namespace}.svc.{plan.site.network.cluster_domain}"


@memo.per_plan
def ai_service_backend(
    plan: plans.Plan, name: str, backend: str | None = None
) -> identity.Manifest:
    """Returns an AIServiceBackend over a Backend: the claim's own unless another is named."""
    return {
        "apiVersion": plan.site.gateway.api_version,
        "kind": kinds.AI_BACKEND.name,
        "metadata": plan.identity.metadata(name),
        "spec": {
            "schema": {"name": "OpenAI"},
            "backendRef": {
                "group": "gateway.envoyproxy.io",
                "kind": "Backend",
                "name": backend or f"{plan.identity.name}-direct",
            },
            **_without_credentials(plan),
        },
    }


def _without_credentials(plan: plans.Plan) -> identity.Manifest:
    """Returns that engines behind a front door get no token of a caller."""
    behind = plan.site.front_door_of(plan.identity.namespace) is not None
    return credentials.removed() if behind else {}


def fallback_name(plan: plans.Plan, claim: str) -> str:
    """Returns the name of the objects by which the route reaches another claim."""
    return plan.identity.part(f"fallback-{claim}")


def canary_name(plan: plans.Plan, adapter: str) -> str:
    """Returns the name of a canary's AIServiceBackend: by adapter, so that order means nothing."""
    return plan.identity.part(f"canary-{identity.object_name(adapter)}")


def former_canary_name(plan: plans.Plan, adapter: str) -> str:
    """Returns the name that a canary's AIServiceBackend had until 1.1."""
    return f"{plan.identity.name}-canary-{identity.object_name(adapter)}"


def canary_key_suffix(adapter: str) -> str:
    """Returns the suffix of a canary's key."""
    return f"gateway-canary-{adapter}"


def former_canary_key_suffix(adapter: str) -> str:
    """Returns the suffix that a canary's key had until 1.1."""
    return f"gateway-aiservicebackend-canary-{adapter}"


def canaries(plan: plans.Plan) -> list[tuple[str, int]]:
    """Returns adapter and weight of each canary, by adapter."""
    chosen = plan.spec.gateway.canaries if plan.spec.gateway is not None else None
    return sorted((canary.adapter, canary.weight_percent) for canary in chosen or [])


@memo.per_plan
def ai_gateway_route(
    plan: plans.Plan,
    adapters: frozenset[str],
    former: frozenset[str],
    *,
    there: frozenset[str],
    pool: bool,
    refused: frozenset[str] = frozenset(),
    mark: str | None = None,
    fallback: tuple[str, str] | None = None,
    gated: tuple[tuple[str, int], ...] = (),
    places: routes.Places = routes.Places(),  # noqa: B008 (it holds nothing)
    held: str | None = None,
) -> identity.Manifest:
    """Returns the AIGatewayRoute: the base model with its canaries, and a rule for each adapter.

    An adapter's own name always reaches it, whatever the canaries' weights: the engine serves
    adapters verbatim under their names.

    Args:
        plan: The plan.
        adapters: Those that every running pod serves; the others get no traffic yet.
        former: Canaries whose backend is still named as until 1.1.
        there: Canaries whose backend is there: the route names them before they have a weight, and
            one that names a missing backend fails as a whole.
        pool: Whether the InferencePool is there to be named.
        refused: Model names that another route has.
        mark: What the route remembers of its model names, or None.
        fallback: The backend that answers for the base model when no pod of the claim does, and
            what it calls the model; or None.
        gated: Weights that canaries with a gate have now.
        places: Models that the observed route has, in its order: they keep it, and new ones follow,
            because the gateway's processor knows a backend by its place.
        held: What the route remembers of the steps of canaries, or None where there is none.
    """
    parent = plan.site.parent_of(plan.identity.namespace)
    return {
        "apiVersion": plan.site.gateway.api_version,
        "kind": kinds.AI_ROUTE.name,
        "metadata": plan.identity.metadata(
            extra=rivals.labels(plan, refused),
            annotations=canonical.prune({rivals.ANNOTATION: mark, gating.HELD_ANNOTATION: held}),
        ),
        "spec": {
            "parentRefs": [
                {
                    "group": "gateway.networking.k8s.io",
                    "kind": "Gateway",
                    "name": parent.name,
                    "namespace": parent.namespace,
                }
            ],
            "rules": list(
                _rules(plan, adapters - refused, former, there, pool, fallback, dict(gated), places)
            ),
        },
    }


def _rules(
    plan: plans.Plan,
    adapters: frozenset[str],
    former: frozenset[str],
    there: frozenset[str],
    pool: bool,
    fallback: tuple[str, str] | None,
    gated: Mapping[str, int],
    places: routes.Places,
) -> Iterator[identity.Manifest]:
    # The default of a minute would cut long streams.
    timeouts = {"request": "0s" if lasts(plan) else f"{_whole_seconds(plan)}s"}
    served = [adapter.name for adapter in plan.storage.adapters if adapter.name in adapters]
    served.sort(key=lambda name: _place(name, places.names))
    base = {"name": plan.identity.name, "weight": 100}
    if pool:
        yield from _pool_rules(plan, [plan.identity.name, *served], timeouts)
        return
    yield {
        "matches": [_match(plan.identity.name)],
        "backendRefs": _base_backends(plan, adapters, former, there, fallback, gated, places),
        "timeouts": timeouts,
    }
    for name in served:
        yield {"matches": [_match(name)], "backendRefs": [base], "timeouts": timeouts}


def _match(model_name: str) -> identity.Manifest:
    return {"headers": [{"type": "Exact", "name": routes.MODEL_HEADER, "value": model_name}]}


def _pool_rules(
    plan: plans.Plan, names: Sequence[str], timeouts: identity.Manifest
) -> Iterator[identity.Manifest]:
    """Yields the one rule that names the pool, and one that lists the model names.

    The AI gateway 1.0 asks the picker once for each match of the pool: a request would be picked
    for, and its canary drawn, as often as the route has names (its post_translate_modify.go,
    listenerToInferencePools). So one match has all names. It reads the names of `/v1/models` from
    exact matches alone; those of the second rule ask for a header that nobody sends.
    """
    if len(names) == 1:
        yield {"matches": [_match(*names)], "backendRefs": [_pool(plan)], "timeouts": timeouts}
        return
    # Of what a name may hold, the dot alone means something in a pattern.
    pattern = "|".join(name.replace(".", r"\.") for name in names)
    header = {"type": "RegularExpression", "name": routes.MODEL_HEADER, "value": f"^({pattern})$"}
    yield {
        "matches": [{"headers": [header]}],
        "backendRefs": [_pool(plan)],
        "timeouts": timeouts,
    }
    unsent = {"type": "Exact", "name": LISTING_HEADER, "value": "true"}
    yield {
        "matches": [{"headers": [*_match(name)["headers"], unsent]} for name in names],
        "backendRefs": [{"name": plan.identity.name, "weight": 100}],
        "timeouts": timeouts,
    }


def _base_backends(
    plan: plans.Plan,
    adapters: frozenset[str],
    former: frozenset[str],
    there: frozenset[str],
    fallback: tuple[str, str] | None,
    gated: Mapping[str, int],
    places: routes.Places,
) -> list[identity.Manifest]:
    """Returns the base model with its canaries, their weights, and its fallback.

    The gateway's processor knows a backend once a kubelet has refreshed its configuration, a minute
    after the route named it, and answers 500 until then. So a canary is named while the pods that
    serve its adapter still come, and weighs nothing. What the route has keeps its place.
    """
    shifted = [
        (name, gated.get(name, weight) if name in adapters else 0)
        for name, weight in canaries(plan)
        if name in adapters | there
    ]
    base = {"name": plan.identity.name, "weight": 100 - sum(weight for _, weight in shifted)}
    beside = {
        adapter: {
            "name": (former_canary_name if adapter in former else canary_name)(plan, adapter),
            "modelNameOverride": adapter,
            "weight": weight,
        }
        for adapter, weight in shifted
    }
    if fallback is not None:
        beside[routes.FALLBACK] = _fallback(*fallback)
    ordered = sorted(beside, key=lambda one: _place(one, places.beside))
    return [base, *(beside[one] for one in ordered)]


def _place(name: str, places: Sequence[str]) -> int:
    """Returns the place of a model in the observed route; behind all others where it has none."""
    return places.index(name) if name in places else len(places)


def _fallback(name: str, model: str) -> identity.Manifest:
    """Returns the backend of the lowest priority: Envoy uses it when no other is healthy.

    It takes a share already when less than 1/1.4 of the others are (Envoy's overprovisioning
    factor, which Envoy Gateway does not set).
    """
    return {
        "name": name,
        "modelNameOverride": model,
        "priority": 1,
        "weight": 1,
    }


def _pool(plan: plans.Plan) -> identity.Manifest:
    return {
        "group": "inference.networking.k8s.io",
        "kind": "InferencePool",
        "name": plan.identity.name,
    }


def lasts(plan: plans.Plan) -> bool:
    """Tells whether a stream may outlast the request timeout while its bytes come.

    Envoy's own timeout counts the whole answer. In its place the policy ends a stream of which no
    byte came for so long, the first included (`streamIdleTimeout`, Envoy Gateway 1.8; v1alpha1 is
    the API of AI gateways that run on older ones).
    """
    site = plan.site.gateway
    if site.longest_stream_seconds is None:
        return not site.api_version.endswith("/v1alpha1")
    return site.longest_stream_seconds > site.request_timeout_seconds


def _whole_seconds(plan: plans.Plan) -> int:
    """Returns after how long a request ends, streams included."""
    site = plan.site.gateway
    longest = site.longest_stream_seconds or site.request_timeout_seconds
    return min(longest, site.request_timeout_seconds)


def endpoint(plan: plans.Plan) -> str | None:
    """Returns the URL that clients of the AI gateway use, when the site has a host for it.

    Of a claim behind an InferenceGateway the status of that one tells the address.
    """
    if plan.site.front_door_of(plan.identity.namespace) is not None:
        return None
    return shared_endpoint(plan.site)


def shared_endpoint(site: settings.Settings) -> str | None:
    """Returns the URL of the Gateway of the settings, when the site has a host for it."""
    host = site.gateway.hostname
    if host is None and site.private_domain_name is not None:
        host = f"llm.{site.private_domain_name}"
    return None if host is None else f"https://{host}/v1"
