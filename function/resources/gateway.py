"""The AI gateway's view of the model: backends, the route by model name, how traffic spreads."""

from collections.abc import Iterator

from function import canonical
from function import plan as plans
from function.resources import meta, service

MODEL_HEADER = "x-ai-eg-model"
# Seconds between two tries of a request that waits for a replica, at most.
LONGEST_PAUSE = 10
# For which the gateway keeps a connection that no request uses: shorter than the engine, which ends
# it after five seconds (vllm/envs.py, VLLM_HTTP_TIMEOUT_KEEP_ALIVE). What is sent at that moment is
# lost, and cannot be tried again, as the engine may have begun it.
IDLE_CONNECTION = "3s"


def backend(plan: plans.Plan, host: str) -> meta.Manifest:
    """Returns the Backend, by host name."""
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "Backend",
        "metadata": meta.metadata(plan, f"{plan.name}-direct"),
        "spec": {"endpoints": [{"fqdn": {"hostname": host, "port": plans.PORT}}]},
    }


def service_host(plan: plans.Plan) -> str:
    """Returns the host name of the Service: one address for all pods."""
    return f"{plan.name}.{plan.namespace}.svc.{plan.site.network.cluster_domain}"


def pods_host(plan: plans.Plan) -> str:
    """Returns the host name that resolves to every ready pod."""
    name = service.pods_service_name(plan)
    return f"{name}.{plan.namespace}.svc.{plan.site.network.cluster_domain}"


def ai_service_backend(plan: plans.Plan, name: str) -> meta.Manifest:
    """Returns an AIServiceBackend over the Backend."""
    return {
        "apiVersion": plan.site.gateway.api_version,
        "kind": "AIServiceBackend",
        "metadata": meta.metadata(plan, name),
        "spec": {
            "schema": {"name": "OpenAI"},
            "backendRef": {
                "group": "gateway.envoyproxy.io",
                "kind": "Backend",
                "name": f"{plan.name}-direct",
            },
        },
    }


def canary_name(plan: plans.Plan, adapter: str) -> str:
    """Returns the name of a canary's AIServiceBackend: by adapter, so that order means nothing."""
    return f"{plan.name}-canary-{meta.object_name(adapter)}"


def canary_key_suffix(adapter: str) -> str:
    """Returns the suffix of a canary's key."""
    return f"gateway-aiservicebackend-canary-{adapter}"


def canaries(plan: plans.Plan) -> list[tuple[str, int]]:
    """Returns adapter and weight of each canary, by adapter."""
    chosen = plan.spec.gateway.canaries if plan.spec.gateway is not None else None
    return sorted((canary.adapter, canary.weight_percent) for canary in chosen or [])


def ai_gateway_route(plan: plans.Plan, adapters: frozenset[str], *, pool: bool) -> meta.Manifest:
    """Returns the AIGatewayRoute: the base model with its canaries, and a rule for each adapter.

    An adapter's own name always reaches it, whatever the canaries' weights: the engine serves
    adapters verbatim under their names.

    Args:
        plan: The plan.
        adapters: Those that every running pod serves; the others get no traffic yet.
        pool: Whether the InferencePool is there to be named.
    """
    parent = plan.site.gateway.parent
    return {
        "apiVersion": plan.site.gateway.api_version,
        "kind": "AIGatewayRoute",
        "metadata": meta.metadata(plan),
        "spec": {
            "parentRefs": [
                {
                    "group": "gateway.networking.k8s.io",
                    "kind": "Gateway",
                    "name": parent.name,
                    "namespace": parent.namespace,
                }
            ],
            "rules": list(_rules(plan, adapters, pool)),
        },
    }


def _rules(plan: plans.Plan, adapters: frozenset[str], pool: bool) -> Iterator[meta.Manifest]:
    # The default of a minute would cut long streams.
    timeouts = {"request": f"{plan.site.gateway.request_timeout_seconds}s"}
    yield {
        "matches": [_match(plan.name)],
        "backendRefs": _base_backends(plan, adapters, pool),
        "timeouts": timeouts,
    }
    for adapter in plan.adapters:
        if adapter.name not in adapters:
            continue
        yield {
            "matches": [_match(adapter.name)],
            "backendRefs": [_pool(plan)] if pool else [{"name": plan.name, "weight": 100}],
            "timeouts": timeouts,
        }


def _match(model_name: str) -> meta.Manifest:
    return {"headers": [{"type": "Exact", "name": MODEL_HEADER, "value": model_name}]}


def _base_backends(plan: plans.Plan, adapters: frozenset[str], pool: bool) -> list[meta.Manifest]:
    if pool:
        return [_pool(plan)]
    shifted = [(name, weight) for name, weight in canaries(plan) if name in adapters]
    base = {"name": plan.name, "weight": 100 - sum(weight for _, weight in shifted)}
    return [base] + [
        {
            "name": canary_name(plan, adapter),
            "modelNameOverride": adapter,
            "weight": weight,
        }
        for adapter, weight in shifted
    ]


def _pool(plan: plans.Plan) -> meta.Manifest:
    return {
        "group": "inference.networking.k8s.io",
        "kind": "InferencePool",
        "name": plan.name,
    }


def traffic_policy(plan: plans.Plan) -> meta.Manifest:
    """Returns the BackendTrafficPolicy on the HTTPRoute that the AI gateway generates.

    Requests differ by orders of magnitude in length: least-request spreads them, round-robin
    does not. DNS is asked often because pods come and go, and a refused connection is tried on
    another pod: no byte of the request was taken. Of a claim that may sleep the first request is
    tried again until the gateway's request timeout ends it, so it waits for the replica that it
    wakes; not while the claim is suspended, when nothing wakes it.
    """
    retry: meta.Manifest = {
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
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "BackendTrafficPolicy",
        "metadata": meta.metadata(plan),
        "spec": {
            "targetRefs": [
                {
                    "group": "gateway.networking.k8s.io",
                    "kind": "HTTPRoute",
                    "name": plan.name,
                }
            ],
            "loadBalancer": {"type": "LeastRequest"},
            "dns": {"dnsRefreshRate": "5s", "respectDnsTtl": False},
            "timeout": {"http": {"connectionIdleTimeout": IDLE_CONNECTION}},
            "retry": retry,
        },
    }


def endpoint(plan: plans.Plan) -> str | None:
    """Returns the URL that clients of the AI gateway use, when the site has a host for it."""
    host = plan.site.gateway.hostname
    if host is None and plan.site.private_domain_name is not None:
        host = f"llm.{plan.site.private_domain_name}"
    return None if host is None else f"https://{host}/v1"


# --- the endpoint picker


def picker_release(plan: plans.Plan) -> meta.Manifest:
    """Returns the HelmRelease of the InferencePool and its endpoint picker."""
    picker = plan.site.endpoint_picker
    return {
        "apiVersion": "helm.toolkit.fluxcd.io/v2",
        "kind": "HelmRelease",
        "metadata": meta.metadata(plan, picker_name(plan)),
        "spec": {
            "interval": "10m0s",
            # The pool takes the release's name, and the picker that name and -epp.
            "releaseName": plan.name,
            "chartRef": {
                "kind": "OCIRepository",
                "name": picker.oci_repository,
                "namespace": plan.namespace,
            },
            "install": {"remediation": {"retries": 3}},
            "upgrade": {"remediation": {"retries": 3}},
            "values": _picker_values(plan),
            "postRenderers": [{"kustomize": {"patches": [_picker_patch(plan)]}}],
        },
    }


def picker_name(plan: plans.Plan) -> str:
    """Returns the picker's name, which the chart derives from the release's."""
    return f"{plan.name}-epp"


def _picker_values(plan: plans.Plan) -> meta.Manifest:
    picker = plan.site.endpoint_picker
    return {
        "inferencePool": {
            "apiVersion": "inference.networking.k8s.io/v1",
            "modelServerType": "vllm",
            # All four labels: the name alone also matches the preload pod.
            "modelServers": {"matchLabels": meta.labels(plan)},
            "targetPorts": [{"number": plans.PORT}],
        },
        "inferenceExtension": {
            "replicas": 1,
            "image": {
                "registry": picker.image_registry,
                "repository": picker.image_repository,
                "tag": picker.image_tag,
            },
            # The chart's default of 4 CPU and 8 GiB stays Pending on small nodes.
            "resources": {"requests": dict(picker.requests), "limits": dict(picker.limits)},
            # The policy below lets only the scraper in.
            "monitoring": {"prometheus": {"auth": {"enabled": False}}},
        },
        "provider": {"name": "none"},
    }


def _picker_patch(plan: plans.Plan) -> meta.Manifest:
    """Returns the patch that makes the chart's pod pass Pod Security `restricted`.

    By index: the chart gives the container no name that its values fix.
    """
    pod = {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    template = "/spec/template/spec"
    operations = [
        {"op": "add", "path": f"{template}/securityContext", "value": pod},
        {"op": "add", "path": f"{template}/containers/0/securityContext", "value": container},
    ]
    return {
        "target": {"kind": "Deployment", "name": picker_name(plan)},
        "patch": canonical.dumps(operations),
    }
