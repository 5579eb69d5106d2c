"""Envoy AI Gateway's view of the model: backends, the route by model name, how traffic spreads."""

from collections.abc import Iterator, Mapping, Sequence

from function import canonical, duration, kinds, memo
from function.api import settings
from function.cluster import gating, routes
from function.concerns.gateway import credentials
from function.planning import identity, plans
from function.situation import rivals

# Seconds between two tries of a request that waits for a replica, at most.
LONGEST_PAUSE = 10
# Seconds by which the gateway ends a connection that no request uses before the engine does. What
# is sent at that moment is lost, and cannot be tried again, as the engine may have begun it.
IDLE_MARGIN = 2
# A rule that asks for this header has model names to list and takes no request.
LISTING_HEADER = "x-inference-service-listing"
# In which a picker names the pod.
PICKED_HEADER = "x-gateway-destination-endpoint"
# Seconds until a connection has failed: a second SYN is sent after one. A node that is gone answers
# none, and Envoy Gateway's ten would keep a request from the next pod.
CONNECT_SECONDS = 3
# Seconds between two looks at a pod's health, and for an answer to one.
CHECK_SECONDS = 3

# In the form of the OpenAI API, whose clients wait and ask again.
_FULL = (
    '{"error":{"message":"the queue of this model is full; ask again later",'
    '"type":"rate_limit_error","param":null,"code":"queue_full"}}'
)
_OVER_LIMIT = (
    '{"error":{"message":"a limit of this caller is reached; ask again later",'
    '"type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}'
)


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
        held: What the route remembers of their steps that held, or None.
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
                _rules(plan, adapters - refused, former, there, pool, fallback, dict(gated))
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
) -> Iterator[identity.Manifest]:
    # The default of a minute would cut long streams.
    timeouts = {"request": "0s" if lasts(plan) else f"{_whole_seconds(plan)}s"}
    served = [adapter.name for adapter in plan.storage.adapters if adapter.name in adapters]
    base = {"name": plan.identity.name, "weight": 100}
    if pool:
        yield from _pool_rules(plan, [plan.identity.name, *served], timeouts)
        return
    beside = [] if fallback is None else [_fallback(*fallback)]
    yield {
        "matches": [_match(plan.identity.name)],
        "backendRefs": _base_backends(plan, adapters, former, there, gated) + beside,
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
    gated: Mapping[str, int],
) -> list[identity.Manifest]:
    """Returns the base model and its canaries, with their weights.

    The gateway's processor knows a backend once a kubelet has refreshed its configuration, a minute
    after the route named it, and answers 500 until then. So a canary is named while the pods that
    serve its adapter still come, and weighs nothing.
    """
    shifted = [
        (name, gated.get(name, weight) if name in adapters else 0)
        for name, weight in canaries(plan)
        if name in adapters | there
    ]
    base = {"name": plan.identity.name, "weight": 100 - sum(weight for _, weight in shifted)}
    return [base] + [
        {
            "name": (former_canary_name if adapter in former else canary_name)(plan, adapter),
            "modelNameOverride": adapter,
            "weight": weight,
        }
        for adapter, weight in shifted
    ]


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


@memo.per_plan
def traffic_policy(
    plan: plans.Plan, *, fallback: bool = False, outside: bool = False
) -> identity.Manifest:
    """Returns the BackendTrafficPolicy of a route to the pods themselves.

    Requests differ by orders of magnitude in length: least-request spreads them, round-robin
    does not. DNS is asked often because pods come and go, and a refused connection is tried on
    another pod: no byte of the request was taken. Of a claim that may sleep the first request is
    tried again until the gateway's request timeout ends it, so it waits for the replica that it
    wakes; not while the claim is suspended, when nothing wakes it. Where another claim answers
    then, two tries are for pods of this one, and the third goes there.

    Args:
        plan: The plan.
        fallback: Whether the route has a fallback.
        outside: Whether it is a provider, which knows nothing of an engine's health.
    """
    retry: identity.Manifest = {
        "numRetries": 2,
        "retryOn": {"triggers": ["connect-failure", "refused-stream"]},
    }
    if plan.awaits:
        # Envoy waits between zero and the interval, which doubles up to the longest: half of it on
        # the average. Twice as many tries as that takes, so that the timeout comes first.
        pause = {"baseInterval": "1s", "maxInterval": f"{LONGEST_PAUSE}s"}
        retry |= {
            "numRetries": plan.site.gateway.request_timeout_seconds * 4 // LONGEST_PAUSE,
            "perRetry": {"backOff": pause},
        }
    if fallback:
        retry["numAttemptsPerPriority"] = 2
    timeouts = {"http": _timeouts(plan), "tcp": {"connectTimeout": f"{CONNECT_SECONDS}s"}}
    return _policy(
        plan,
        {
            "loadBalancer": {"type": "LeastRequest"},
            "dns": {"dnsRefreshRate": "5s", "respectDnsTtl": False},
            "timeout": timeouts,
            "healthCheck": _health(plan, outside=outside),
            "retry": retry,
        },
    )


@memo.per_plan
def pool_traffic_policy(plan: plans.Plan) -> identity.Manifest:
    """Returns the BackendTrafficPolicy of a route to an InferencePool.

    The picker names the one pod to which a request goes: there is nothing to spread, to check or to
    try again. The AI gateway sets the timeout of connections itself (10 s; its
    post_cluster_modify.go).
    """
    return _policy(plan, {"timeout": {"http": _timeouts(plan)}})


def _policy(plan: plans.Plan, spec: identity.Manifest) -> identity.Manifest:
    """Returns a policy on the HTTPRoute that the AI gateway generates."""
    refusal = _refusal(plan)
    limited = _limited(plan)
    answers = [] if refusal is None else [refusal, *(over_limit() if limited else ())]
    return {
        "apiVersion": kinds.TRAFFIC_POLICY.api_versions[0],
        "kind": kinds.TRAFFIC_POLICY.name,
        "metadata": plan.identity.metadata(),
        "spec": {
            "targetRefs": [
                {
                    "group": "gateway.networking.k8s.io",
                    "kind": "HTTPRoute",
                    "name": plan.identity.name,
                }
            ],
            # Limits of callers are in a policy on the Gateway, which this one would replace. A list
            # of both is this one's alone.
            **({"mergeType": "StrategicMerge"} if limited else {}),
            **spec,
            **({"responseOverride": answers} if answers else {}),
        },
    }


def _limited(plan: plans.Plan) -> bool:
    """Tells whether the claim is behind a front door whose callers may have limits."""
    door = plan.site.front_door_of(plan.identity.namespace)
    return door is not None and plan.site.front_door.limiter != "none"


def over_limit() -> tuple[identity.Manifest, ...]:
    """Returns what a caller over a limit reads: Envoy's own answer has no words.

    An answer in its place loses the headers of the limiter, of which the one with the seconds until
    the next minute, hour or day is read before. Clients wait a minute by themselves, and no hour.
    """
    status = {"statusCodes": [{"type": "Value", "value": 429}]}
    soon = {
        "name": "x-ratelimit-reset",
        "value": {"type": "RegularExpression", "value": "^([0-9]|[1-5][0-9]|60)$"},
    }
    response = {
        "statusCode": 429,
        "contentType": "application/json",
        "body": {"type": "Inline", "inline": _OVER_LIMIT},
    }
    wait = {"set": [{"name": "retry-after", "value": "60"}]}
    return (
        {
            "match": {**status, "responseHeaders": [soon]},
            "source": "Local",
            "response": {**response, "header": wait},
        },
        {"match": status, "source": "Local", "response": response},
    )


def _refusal(plan: plans.Plan) -> identity.Manifest | None:
    """Returns how a request is refused by a full replica, or None where no queue has a bound.

    The engine answers 503, as Envoy does by itself when there is no pod; the header tells whose
    answer it is (Envoy Gateway 1.9; older ones do not read it, and v1alpha1 is the API of those).
    """
    seconds = plan.spec.model.longest_queue_seconds
    if seconds is None or plan.site.gateway.api_version.endswith("/v1alpha1"):
        return None
    server = {"name": "server", "value": {"type": "Exact", "value": plan.engine.SERVER}}
    return {
        "match": {
            "statusCodes": [{"type": "Value", "value": 503}],
            "responseHeaders": [server],
        },
        "response": {
            "statusCode": 429,
            "contentType": "application/json",
            "header": {"set": [{"name": "retry-after", "value": str(seconds)}]},
            "body": {"type": "Inline", "inline": _FULL},
        },
    }


_MOST_OF_A_UNIT = 10**5


def _timeouts(plan: plans.Plan) -> identity.Manifest:
    site = plan.site.gateway
    http = {"connectionIdleTimeout": f"{max(plan.engine.IDLE_SECONDS - IDLE_MARGIN, 1)}s"}
    if lasts(plan):
        http["streamIdleTimeout"] = f"{site.request_timeout_seconds}s"
        if site.longest_stream_seconds is not None:
            longest = f"{site.longest_stream_seconds}s"
            # Gateway API takes five digits of a unit.
            fits = site.longest_stream_seconds < _MOST_OF_A_UNIT
            http["maxStreamDuration"] = longest if fits else duration.normal(longest)
    return http


def _health(plan: plans.Plan, *, outside: bool) -> identity.Manifest:
    """Returns by what a pod that died or hangs is left before DNS drops it.

    Three connections that fail one after the other put a pod aside, and so do two checks. An answer
    does not: an engine whose queue is full answers 503 and is well. Half of the pods are used
    whatever their health (Envoy's panic threshold), so an only pod is never put aside. Nothing that
    began is ended or repeated.

    A check is of all that a rule may ask (Envoy Gateway 1.9 has no other for one backend). So
    beside a provider there is none: it would be asked all day for a path that it does not have, and
    count as dead.
    """
    passive = {
        "splitExternalLocalOriginErrors": True,
        "consecutiveLocalOriginFailures": 3,
        "consecutive5XxErrors": 0,
        "interval": f"{CHECK_SECONDS}s",
        "baseEjectionTime": "15s",
        "maxEjectionPercent": 50,
    }
    wake = plan.site.scaling.wake
    # A check asks for the Service too, and would wake a claim whose wake signal counts that.
    if outside or (plan.scaling.wakes and wake and "service" in wake.counts):
        return {"passive": passive}
    active = {
        "type": "HTTP",
        "http": {"path": plan.engine.HEALTH_PATH},
        "interval": f"{CHECK_SECONDS}s",
        "timeout": f"{CHECK_SECONDS}s",
        "unhealthyThreshold": 2,
        "healthyThreshold": 1,
    }
    return {"active": active, "passive": passive}


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
