"""How Envoy Gateway treats requests to a claim's pods: where they go, tries, health, timeouts.

A BackendTrafficPolicy of the claim's own route, and what callers read in place of Envoy's words.
"""

from function import duration, kinds, memo
from function.concerns.gateway import envoy_ai_gateway
from function.planning import identity, plans

# Seconds between two tries of a request that waits for a replica, at most.
LONGEST_PAUSE = 10
# Seconds by which the gateway ends a connection that no request uses before the engine does. What
# is sent at that moment is lost, and cannot be tried again, as the engine may have begun it.
IDLE_MARGIN = 2
# Seconds until a connection has failed: a second SYN is sent after one. A node that is gone answers
# none, and Envoy Gateway's ten would keep a request from the next pod.
CONNECT_SECONDS = 3
# Seconds between two looks at a pod's health, and for an answer to one.
CHECK_SECONDS = 3
# Connections to a pod that fail one after the other until it is put aside.
FAILURES = 3

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
def traffic_policy(
    plan: plans.Plan, *, fallback: bool = False, outside: bool = False
) -> identity.Manifest:
    """Returns the BackendTrafficPolicy of a route to the pods themselves.

    Requests differ by orders of magnitude in length: least-request spreads them, round-robin
    does not. DNS is asked often because pods come and go, and a refused connection is tried on
    another pod: no byte of the request was taken. Envoy may choose the dead pod again, which has no
    requests: a request has so many tries that its own failures put that pod aside. Of a claim that
    may sleep the first request is tried again until the gateway's request timeout ends it, so it
    waits for the replica that it wakes; not while the claim is suspended, when nothing wakes it.
    Where another claim answers then, two tries are for pods of this one, and the third goes there.

    Args:
        plan: The plan.
        fallback: Whether the route has a fallback.
        outside: Whether it is a provider, which knows nothing of an engine's health.
    """
    retry: identity.Manifest = {
        "numRetries": 2 if fallback else FAILURES,
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
    if envoy_ai_gateway.lasts(plan):
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
        "consecutiveLocalOriginFailures": FAILURES,
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
