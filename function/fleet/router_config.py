"""What the pods of a semantic router read: the router's configuration, and its proxy's.

The router judges and never sends. Its proxy, in the same pod, hands it each prompt by Envoy's
external processing, and sends what it gets back to the Gateway, with the router's own key: rules,
limits, pickers and fallbacks of the chosen model hold as for any caller.
"""

from typing import Any

from function import canonical
from function.api import gateway_router as api
from function.fleet import doors, gateways, meaning, situations
from function.planning import identity

VERSION = "v0.3"
# Ports of a pod: where prompts come in, and where the router judges and tells its metrics.
PROMPTS = 8801
JUDGE = 50051
METRICS = 9190
READY_PATH = "/ready"
# The variable of the proxy with the key.
KEY = "ROUTER_KEY"
AUTHORITY = "/etc/authority/ca.crt"
_TRUSTED = "/etc/ssl/certs/ca-certificates.crt"
# The router's own default takes prompts for a subject at less.
_CONFIDENCE = "0.5"
_TYPES = "type.googleapis.com/envoy"
_HTTP = f"{_TYPES}.extensions.filters.http"


def judge(now: situations.Situation) -> identity.Manifest:
    """Returns the router's configuration, of the names that can be published."""
    routed = now.routed
    host, port = gateway_address(now.door)
    models = sorted(frozenset().union(*(virtual.targets for virtual in routed)))
    place = {"name": "gateway", "endpoint": f"{host}:{port}"}
    return {
        "version": VERSION,
        "listeners": [],
        "providers": {
            # Each name has a default of its own: this one answers for none of them.
            "defaults": {"model": routed[0].default},
            "models": [{"name": model, "backend_refs": [place]} for model in models],
        },
        "routing": {"modelCards": [{"name": model} for model in models]},
        "entrypoints": [{"model_names": [one.name], "recipe": one.name} for one in routed],
        "recipes": [{"name": one.name, "routing": _routing(one)} for one in routed],
        "global": _everywhere(now.door),
    }


def _everywhere(door: doors.Door) -> identity.Manifest:
    """Returns what holds for all names: the router judges, and does nothing else.

    By default it answers from a cache of its own, keeps conversations in a Redis, sends traces to
    a host that is not there, and chooses tools.
    """
    router = door.router
    confidence = (router.confidence if router is not None else None) or _CONFIDENCE
    return {
        "model_catalog": {
            # Without a path the router fetches a model of embeddings, which nothing here asks for.
            "embeddings": {"semantic": {"mmbert_model_path": ""}},
            "modules": {
                "classifier": {"domain": {"threshold": float(confidence)}},
                "feedback_detector": {"enabled": False},
                "prompt_guard": {"enabled": False},
            },
        },
        "router": {"model_selection": {"enabled": False}},
        "services": {
            "observability": {"tracing": {"enabled": False}},
            "response_api": {"enabled": False},
        },
        "stores": {"response_cache": {"enabled": False}},
        "integrations": {
            # Of this the router takes the size of its messages alone: a prompt with its images.
            "looper": {"grpc_max_msg_size_mb": gateways.buffer_mib(door) + 1},
            "tools": {"enabled": False},
        },
    }


def _routing(virtual: meaning.Virtual) -> identity.Manifest:
    decided = virtual.decided
    domains = sorted({name for decision, _ in decided for name in decision.when.domains or []})
    signals = {
        "keywords": [
            {
                "name": decision.name,
                "operator": "OR",
                "keywords": decision.when.keywords,
                "case_sensitive": False,
            }
            for decision, _ in decided
            if decision.when.keywords is not None
        ],
        "domains": [{"name": name, "description": name} for name in domains],
        "context": [
            _band(decision.name, decision.when.tokens)
            for decision, _ in decided
            if decision.when.tokens is not None
        ],
    }
    # The first counts: of several that hold the router takes the one of the highest priority.
    decisions = [
        _decision(decision.name, len(decided) - place, _conditions(decision), model)
        for place, (decision, model) in enumerate(decided)
    ]
    # No author's decision has a capital in its name.
    otherwise = _decision("Default", 0, [], str(virtual.default))
    return {
        "strategy": "priority",
        "signals": {family: listed for family, listed in signals.items() if listed},
        "decisions": [*decisions, otherwise],
    }


def _band(name: str, tokens: api.Tokens) -> identity.Manifest:
    # Releases before 0.4 leave out a band without one of its ends.
    least, most = tokens.at_least or 0, tokens.at_most or api.MOST_TOKENS
    return {"name": name, "min_tokens": str(least), "max_tokens": str(most)}


def _decision(name: str, priority: int, conditions: list[Any], model: str) -> identity.Manifest:
    return {
        "name": name,
        "priority": priority,
        "rules": {"operator": "AND", "conditions": conditions},
        "modelRefs": [{"model": model, "use_reasoning": False}],
    }


def _conditions(decision: api.Decision) -> list[identity.Manifest]:
    conditions: list[identity.Manifest] = []
    if decision.when.keywords is not None:
        conditions.append({"type": "keyword", "name": decision.name})
    if decision.when.domains is not None:
        named = [{"type": "domain", "name": name} for name in sorted(set(decision.when.domains))]
        conditions.append({"operator": "OR", "conditions": named})
    if decision.when.tokens is not None:
        conditions.append({"type": "context", "name": decision.name})
    return conditions


def gateway_address(door: doors.Door) -> tuple[str, int]:
    """Returns host and port of the Gateway within the cluster: the Service of its proxies.

    Envoy Gateway names it after the Gateway (1.9.0, infrastructure/kubernetes/proxy/resource.go).
    An address that callers have may lie outside of the cluster.
    """
    named = f"{door.identity.namespace}/{door.identity.name}"
    short = named.replace("/", "-")
    if len(short) > _LONGEST_PROXY:
        short = short[:_LONGEST_PROXY].removesuffix("-")
    service = f"envoy-{short}-{canonical.text_digest(named, 8)}"
    domain = door.site.network.cluster_domain
    port = 443 if door.resource.spec.tls is not None else 80
    return f"{service}.{door.site.gateway.proxy_namespace}.svc.{domain}", port


_LONGEST_PROXY = 48


def proxy(door: doors.Door) -> identity.Manifest:
    """Returns the configuration of the router's proxy."""
    return {
        "static_resources": {
            "listeners": [
                {
                    "name": "prompts",
                    # The policy lets in the proxies of the Gateway alone.
                    "address": _address("0.0.0.0", PROMPTS),  # noqa: S104
                    "per_connection_buffer_limit_bytes": gateways.buffer_mib(door) * 1024**2,
                    "filter_chains": [{"filters": [_connections(door)]}],
                }
            ],
            "clusters": [_router_cluster(), _gateway_cluster(door)],
        }
    }


def _address(host: str, port: int) -> identity.Manifest:
    return {"socket_address": {"address": host, "port_value": port}}


def _connections(door: doors.Door) -> identity.Manifest:
    wait = f"{door.site.gateway.request_timeout_seconds}s"
    host = door.resource.spec.hostname
    action: identity.Manifest = {
        "cluster": "gateway",
        # A stream has no end but silence.
        "timeout": "0s",
        "idle_timeout": wait,
        **({"auto_host_rewrite": True} if host is None else {"host_rewrite_literal": host}),
    }
    key = {"key": "Authorization", "value": f"Bearer %ENVIRONMENT({KEY})%"}
    route = {
        "match": {"prefix": "/"},
        "route": action,
        "request_headers_to_add": [
            {"header": key, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"},
        ],
    }
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": f"{_TYPES}.extensions.filters.network.http_connection_manager.v3"
            ".HttpConnectionManager",
            "stat_prefix": "prompts",
            "stream_idle_timeout": wait,
            # A connection ends between requests, so that none is left to a pod that goes.
            "common_http_protocol_options": {"max_connection_duration": "30s"},
            "route_config": {
                "name": "gateway",
                "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}],
            },
            "http_filters": [_readiness(), _judging(door), _sending()],
        },
    }


def _readiness() -> identity.Manifest:
    path = {"name": ":path", "string_match": {"exact": READY_PATH}}
    return {
        "name": "envoy.filters.http.health_check",
        "typed_config": {
            "@type": f"{_HTTP}.health_check.v3.HealthCheck",
            "pass_through_mode": False,
            "headers": [path],
        },
    }


def _judging(door: doors.Door) -> identity.Manifest:
    """Returns the filter that asks the router.

    Without the router's word nothing is sent: with the virtual name still in it, a prompt would
    come round again. Answers pass untouched, so that streams stream.
    """
    seconds = door.site.front_door.semantic_router.timeout_seconds
    return {
        "name": "envoy.filters.http.ext_proc",
        "typed_config": {
            "@type": f"{_HTTP}.ext_proc.v3.ExternalProcessor",
            "grpc_service": {"envoy_grpc": {"cluster_name": "router"}},
            "failure_mode_allow": False,
            "status_on_error": {"code": 503},
            "message_timeout": f"{seconds}s",
            "processing_mode": {
                "request_header_mode": "SEND",
                "request_body_mode": "BUFFERED",
                "request_trailer_mode": "SKIP",
                "response_header_mode": "SKIP",
                "response_body_mode": "NONE",
                "response_trailer_mode": "SKIP",
            },
        },
    }


def _sending() -> identity.Manifest:
    return {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{_HTTP}.router.v3.Router"},
    }


def _cluster(name: str, kind: str, host: str, port: int, **more: Any) -> identity.Manifest:
    endpoint = {"endpoint": {"address": _address(host, port)}}
    return {
        "name": name,
        "type": kind,
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        **more,
    }


def _router_cluster() -> identity.Manifest:
    options = {
        "@type": f"{_TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    protocol = {
        f"{_TYPES.partition('/')[2]}.extensions.upstreams.http.v3.HttpProtocolOptions": options
    }
    return _cluster(
        "router", "STATIC", "127.0.0.1", JUDGE, typed_extension_protocol_options=protocol
    )


def _gateway_cluster(door: doors.Door) -> identity.Manifest:
    host, port = gateway_address(door)
    spec, router = door.resource.spec, door.router
    tls: identity.Manifest = {}
    if spec.tls is not None:
        own = router is not None and router.certificate_authority is not None
        name = spec.hostname or host
        trust = {
            "trusted_ca": {"filename": AUTHORITY if own else _TRUSTED},
            "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": name}}],
        }
        context = {
            "@type": f"{_TYPES}.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": name,
            "common_tls_context": {"validation_context": trust},
        }
        tls = {"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context}}
    return _cluster("gateway", "STRICT_DNS", host, port, **tls)
