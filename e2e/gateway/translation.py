"""What Envoy Gateway makes of the rendered objects for Envoy, written after its source.

Read in envoyproxy/gateway v1.9.0 (internal/xds/translator, files cluster.go and route.go, and
internal/xds/bootstrap/bootstrap.yaml.tpl) and envoyproxy/ai-gateway v1.1.0:

- An AIGatewayRoute becomes an HTTPRoute of its name, and each of its rules a cluster
  ``httproute/<namespace>/<name>/rule/<index>``, with a locality for each of the rule's backends.
- A Backend with host names makes an ``envoy.cluster.dns`` cluster, one endpoint for each address
  of an answer. Unless a policy says otherwise, DNS is asked when a record ends
  (``respect_dns_ttl``), every 30 s where records have no life, IPv4 first.
- Without a policy too the balancer is least-request. 1024 retries may be under way at once, where
  Envoy's own default is 3; the other circuit breakers are Envoy's own.
- Connections have a buffer of 32 KiB on either side (a ClientTrafficPolicy's ``bufferLimit``
  raises the clients'), and 10 s to open unless a policy says otherwise. There are no health checks
  unless a policy has them; both kinds become Envoy's own of the same names.
- Retries avoid the host that was tried before, with five attempts to choose another. Without a
  policy there are none.
- Backends have the priority that the route gives them; ``numAttemptsPerPriority`` of a policy
  becomes Envoy's ``previous_priorities``.
- A ``responseOverride`` becomes Envoy's filter ``custom_response`` (custom_response.go). Envoy
  Gateway adds a filter for each policy, which is off but on its routes; here one filter has its
  configuration from the route.
- The request timeout is the route's; 0 is none. The stream may be idle for as long as a policy says
  (``streamIdleTimeout``), without one for as long as the request timeout, an hour at least.

The AI gateway reads the model's name from the body with an external processor, which clears the
header, and has Envoy hold the whole body for it. That is left out here: the client sets the header.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Iterator

from e2e.controlplane import api
from function import duration

_TYPES = "type.googleapis.com/envoy"
BUFFER_BYTES = 32 * 1024
_CONNECT_SECONDS = 10
_REFRESH_SECONDS = 30
_IDLE_SECONDS = 3600
_NO_TRAFFIC_SECONDS = 60
# The fields that this module translates. Any other field fails an assertion, so that a new field is
# not dropped silently.
_POLICY_FIELDS = {"targetRefs", "loadBalancer", "dns", "timeout", "healthCheck", "retry"}
_POLICY_FIELDS |= {"responseOverride"}
_RETRY_FIELDS = {"numRetries", "numAttemptsPerPriority", "retryOn", "perRetry"}
CUSTOM_RESPONSE = "envoy.filters.http.custom_response"
_HTTP_FIELDS = {"connectionIdleTimeout", "streamIdleTimeout"}


@dataclasses.dataclass(frozen=True)
class Translation:
    """Clusters and routes for Envoy.

    Attributes:
        clusters: One cluster for each rule.
        routes: One route for each rule, in the order of the clusters.
    """

    clusters: list[api.Object]
    routes: list[api.Object]


def translate(objects: Iterable[api.Object], *, speed: float, port: int) -> Translation:
    """Translate the objects of one claim.

    Args:
        objects: The rendered objects; kinds that are not the gateway's are ignored.
        speed: Divisor of all durations.
        port: The pods' port on this machine, in place of the Backend's port.
    """
    by_kind: dict[str, list[api.Object]] = {}
    for one in objects:
        by_kind.setdefault(one["kind"], []).append(one)
    (route,) = by_kind["AIGatewayRoute"]
    policies = by_kind.get("BackendTrafficPolicy", [])
    assert len(policies) <= 1
    policy = policies[0]["spec"] if policies else {}
    name = route["metadata"]["name"]
    assert set(policy) <= _POLICY_FIELDS, policy
    assert not policy or [one["name"] for one in policy["targetRefs"]] == [name]
    hosts = dict(_hosts(by_kind))
    clusters, routes = [], []
    for index, rule in enumerate(route["spec"]["rules"]):
        cluster = f"httproute/{route['metadata']['namespace']}/{name}/rule/{index}"
        backends = [
            (hosts[one["name"]], one["weight"], one.get("priority", 0))
            for one in rule["backendRefs"]
        ]
        clusters.append(_cluster(cluster, backends, policy, speed, port))
        routes.append(_route(cluster, rule, policy, speed))
    return Translation(clusters, routes)


def _hosts(by_kind: dict[str, list[api.Object]]) -> Iterator[tuple[str, str]]:
    """The host of each AIServiceBackend."""
    backends = {one["metadata"]["name"]: one["spec"]["endpoints"] for one in by_kind["Backend"]}
    for service in by_kind["AIServiceBackend"]:
        (endpoint,) = backends[service["spec"]["backendRef"]["name"]]
        yield service["metadata"]["name"], endpoint["fqdn"]["hostname"]


def _cluster(
    name: str, backends: list[tuple[str, int, int]], policy: api.Object, speed: float, port: int
) -> api.Object:
    dns = policy.get("dns", {})
    refresh = (
        duration.milliseconds(dns["dnsRefreshRate"]) / 1000
        if "dnsRefreshRate" in dns
        else _REFRESH_SECONDS
    )
    assert policy.get("loadBalancer", {"type": "LeastRequest"}) == {"type": "LeastRequest"}
    return {
        "@type": f"{_TYPES}.config.cluster.v3.Cluster",
        "name": name,
        **_protocol(policy, speed),
        "cluster_type": {
            "name": "envoy.cluster.dns",
            "typed_config": {
                "@type": f"{_TYPES}.extensions.clusters.dns.v3.DnsCluster",
                "dns_lookup_family": "V4_PREFERRED",
                "dns_refresh_rate": _seconds(refresh, speed),
                "respect_dns_ttl": dns.get("respectDnsTtl", True),
            },
        },
        "connect_timeout": _connect_timeout(policy, speed),
        **_health(policy.get("healthCheck", {}), speed),
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "ignore_health_on_host_removal": True,
        "common_lb_config": {},
        "circuit_breakers": {"thresholds": [{"max_retries": 1024}]},
        "load_balancing_policy": {"policies": [{"typed_extension_config": _LEAST_REQUEST}]},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [
                _locality(f"{name}/backend/{index}", host, weight, port) | {"priority": priority}
                for index, (host, weight, priority) in enumerate(backends)
            ],
        },
    }


def _protocol(policy: api.Object, speed: float) -> api.Object:
    """Options for how long Envoy keeps an idle connection; an hour unless a policy sets a time."""
    if "timeout" not in policy:
        return {}
    assert set(policy["timeout"]) <= {"http", "tcp"}
    assert set(policy["timeout"]["http"]) <= _HTTP_FIELDS
    kind = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    idle = _scaled(policy["timeout"]["http"]["connectionIdleTimeout"], speed)
    options = {
        "@type": f"type.googleapis.com/{kind}",
        "common_http_protocol_options": {"idle_timeout": idle},
        "explicit_http_config": {"http_protocol_options": {}},
    }
    return {"typed_extension_protocol_options": {kind: options}}


def _connect_timeout(policy: api.Object, speed: float) -> str:
    tcp = policy.get("timeout", {}).get("tcp", {})
    return _scaled(tcp.get("connectTimeout", f"{_CONNECT_SECONDS}s"), speed)


def _health(health: api.Object, speed: float) -> api.Object:
    """Envoy's health checks and its outlier detection (buildXdsHealthCheck and its neighbour)."""
    assert set(health) <= {"active", "passive"}, health
    cluster: api.Object = {}
    if "active" in health:
        active = health["active"]
        assert active["type"] == "HTTP"
        cluster["health_checks"] = [
            {
                "timeout": _scaled(active["timeout"], speed),
                "interval": _scaled(active["interval"], speed),
                "unhealthy_threshold": active["unhealthyThreshold"],
                "healthy_threshold": active["healthyThreshold"],
                "http_health_check": {"host": "*", **active["http"]},
            }
        ]
        if speed != 1:
            # Envoy's own, of a cluster that had no request yet: the gateway leaves it out.
            idle = _seconds(_NO_TRAFFIC_SECONDS, speed)
            cluster["health_checks"][0]["no_traffic_interval"] = idle
    if "passive" in health:
        passive = health["passive"]
        cluster["outlier_detection"] = {
            "split_external_local_origin_errors": passive["splitExternalLocalOriginErrors"],
            "consecutive_local_origin_failure": passive["consecutiveLocalOriginFailures"],
            "consecutive_5xx": passive["consecutive5XxErrors"],
            "interval": _scaled(passive["interval"], speed),
            "base_ejection_time": _scaled(passive["baseEjectionTime"], speed),
            "max_ejection_percent": passive["maxEjectionPercent"],
        }
    return cluster


_LEAST_REQUEST: typing.Final = {
    "name": "envoy.load_balancing_policies.least_request",
    "typed_config": {
        "@type": f"{_TYPES}.extensions.load_balancing_policies.least_request.v3.LeastRequest",
        "locality_lb_config": {"locality_weighted_lb_config": {}},
    },
}


def _locality(region: str, host: str, weight: int, port: int) -> api.Object:
    address = {"socket_address": {"address": host, "port_value": port}}
    return {
        "locality": {"region": region},
        "load_balancing_weight": weight,
        "lb_endpoints": [{"endpoint": {"address": address}, "load_balancing_weight": 1}],
    }


def _route(cluster: str, rule: api.Object, policy: api.Object, speed: float) -> api.Object:
    (match,) = rule["matches"]
    (header,) = match["headers"]
    assert header["type"] == "Exact"
    timeout = duration.milliseconds(rule["timeouts"]["request"]) / 1000
    action: api.Object = {
        "cluster": cluster,
        "timeout": _seconds(timeout, speed),
        "idle_timeout": _idle_timeout(timeout, policy, speed),
    }
    if "retry" in policy:
        action["retry_policy"] = _retry(policy["retry"], speed)
    matched = {"name": header["name"], "string_match": {"exact": header["value"]}}
    route = {"match": {"prefix": "/", "headers": [matched]}, "route": action}
    if "responseOverride" in policy:
        route["typed_per_filter_config"] = {CUSTOM_RESPONSE: _overrides(policy["responseOverride"])}
    return route


def _overrides(overrides: list[api.Object]) -> api.Object:
    """The configuration of Envoy's filter: the first override that matches is the answer."""
    return {
        "@type": f"{_TYPES}.extensions.filters.http.custom_response.v3.CustomResponse",
        "custom_response_matcher": {
            "matcher_list": {"matchers": [_override(one) for one in overrides]}
        },
    }


def _override(override: api.Object) -> api.Object:
    match, response = override["match"], override["response"]
    (status,) = match["statusCodes"]
    headers = [{"name": "content-type", "value": response["contentType"]}]
    headers += response["header"]["set"]
    policy = f"{_TYPES}.extensions.http.custom_response.local_response_policy.v3"
    matched = [_input("HttpResponseStatusCodeMatchInput", str(status["value"]))]
    for one in match["responseHeaders"]:
        assert one["value"]["type"] == "Exact"
        value = one["value"]["value"]
        matched.append(_input("HttpResponseHeaderMatchInput", value, header_name=one["name"]))
    action = {
        "@type": f"{policy}.LocalResponsePolicy",
        "status_code": response["statusCode"],
        "body": {"inline_string": response["body"]["inline"]},
        "response_headers_to_add": [
            {
                "header": {"key": one["name"], "value": one["value"]},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
            for one in headers
        ],
    }
    return {
        "predicate": {"and_matcher": {"predicate": matched}},
        "on_match": {"action": {"name": "override", "typed_config": action}},
    }


def _input(kind: str, value: str, **more: str) -> api.Object:
    typed = {"@type": f"{_TYPES}.type.matcher.v3.{kind}", **more}
    return {
        "single_predicate": {
            "input": {"name": kind, "typed_config": typed},
            "value_match": {"exact": value},
        }
    }


def _idle_timeout(request_timeout: float, policy: api.Object, speed: float) -> str:
    http = policy.get("timeout", {}).get("http", {})
    if "streamIdleTimeout" in http:
        return _scaled(http["streamIdleTimeout"], speed)
    return _seconds(max(request_timeout, _IDLE_SECONDS) if request_timeout else 0, speed)


def _retry(retry: api.Object, speed: float) -> api.Object:
    assert set(retry) <= _RETRY_FIELDS, retry
    assert set(retry["retryOn"]) == {"triggers"}
    predicate = "envoy.retry_host_predicates.previous_hosts"
    kind = f"{_TYPES}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    retry_policy: api.Object = {
        "retry_on": ",".join(retry["retryOn"]["triggers"]),
        "num_retries": retry["numRetries"],
        "retry_host_predicate": [{"name": predicate, "typed_config": {"@type": kind}}],
        "host_selection_retry_max_attempts": 5,
    }
    if "numAttemptsPerPriority" in retry:
        previous = f"{_TYPES}.extensions.retry.priority.previous_priorities.v3"
        retry_policy["retry_priority"] = {
            "name": "envoy.retry_priorities.previous_priorities",
            "typed_config": {
                "@type": f"{previous}.PreviousPrioritiesConfig",
                "update_frequency": retry["numAttemptsPerPriority"],
            },
        }
    if "perRetry" in retry:
        pause = retry["perRetry"]["backOff"]
        assert set(retry["perRetry"]) == {"backOff"}
        assert set(pause) == {"baseInterval", "maxInterval"}
        retry_policy["retry_back_off"] = {
            "base_interval": _scaled(pause["baseInterval"], speed),
            "max_interval": _scaled(pause["maxInterval"], speed),
        }
    return retry_policy


def _scaled(text: str, speed: float) -> str:
    return _seconds(duration.milliseconds(text) / 1000, speed)


def _seconds(seconds: float, speed: float) -> str:
    return f"{seconds / speed:.3f}s"
