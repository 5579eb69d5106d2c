"""The Gateway of a front door, its proxies, and what its clients may send."""

from collections.abc import Iterator

from function import assembly, kinds
from function.cluster import observed, routes
from function.concerns import reasons
from function.concerns.gateway import envoy_ai_gateway
from function.fleet import doors, rows, situations
from function.planning import identity

# MiB of a request that is held while its model is read, where the settings say nothing: the AI
# gateway's own examples have it.
BUFFER_MIB = 50
_GROUP = "gateway.envoyproxy.io"
# By which a Gateway names its GatewayConfig (ai-gateway 1.0.0, ai_gateway_route.go).
CONFIG_ANNOTATION = "aigateway.envoyproxy.io/gateway-config"
# What is the gateway's to say: who calls, which model, and to which pod a picker sends a request.
_OURS = (
    routes.CALLER_HEADER,
    routes.MODEL_HEADER,
    envoy_ai_gateway.LISTING_HEADER,
    envoy_ai_gateway.PICKED_HEADER,
)


class GatewayReady(reasons.Reasons):
    """Reasons of GatewayReady."""

    PROGRAMMED = reasons.Reason("Programmed", True, "The Gateway has its address and proxies.")
    EXISTING = reasons.Reason(
        "Existing",
        True,
        "`spec.gateway` names a Gateway of somebody else, of which nothing is composed or judged.",
    )
    NOT_PROVIDED = reasons.NO_AI_GATEWAY
    KIND_MISSING = reasons.Reason(
        "KindMissing",
        False,
        "A kind is not installed; the message names it.",
        "Install Envoy Gateway"
        " ([a kind that is installed later](#a-kind-that-is-installed-later)).",
        alarm=True,
    )
    WITHHELD = reasons.Reason(
        "Withheld",
        False,
        "The Gateway comes after the policies that protect it.",
        "Wait a moment.",
    )
    UNRESOLVED = reasons.Reason(
        "Unresolved",
        False,
        "The Gateway, its proxies or its policy for clients is not accepted; the message is the"
        " controller's.",
        "`kubectl -n llm describe gateway`; the GatewayClass (`frontDoor.className`), the Secret of"
        " `tls`, the load balancer.",
        alarm=True,
    )


def compose(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields the Gateway and what goes with it; nothing beside a Gateway of somebody else."""
    if not (now.door.own and now.door.provided):
        return
    yield assembly.Part(rows.PROXY, proxy(now.door))
    yield assembly.Part(rows.CLIENTS, client_policy(now.door))
    if now.emits_gateway:
        yield assembly.Part(rows.GATEWAY, gateway(now.door))


def target(door: doors.Door) -> identity.Manifest:
    """Returns the Gateway as a policy names it."""
    return {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": door.identity.name}


def gateway(door: doors.Door) -> identity.Manifest:
    """Returns the Gateway: for routes of the namespace alone, with a listener more for tokens."""
    spec, name = door.resource.spec, door.identity.name
    listeners = [_listener(door, "https", 443) if spec.tls else _listener(door, "http", 80)]
    if door.token_port is not None:
        listeners.append(_listener(door, doors.TOKENS, door.token_port))
    return {
        "apiVersion": kinds.GATEWAY.api_versions[0],
        "kind": kinds.GATEWAY.name,
        "metadata": door.identity.metadata(
            component=doors.COMPONENT,
            annotations={CONFIG_ANNOTATION: name} if door.counts else None,
        ),
        "spec": {
            "gatewayClassName": door.site.front_door.class_name,
            "infrastructure": {
                "parametersRef": {"group": _GROUP, "kind": kinds.PROXY.name, "name": name}
            },
            "listeners": listeners,
        },
    }


def _listener(door: doors.Door, name: str, port: int) -> identity.Manifest:
    spec = door.resource.spec
    listener: identity.Manifest = {
        "name": name,
        "protocol": "HTTPS" if spec.tls else "HTTP",
        "port": port,
        "allowedRoutes": {
            "namespaces": {"from": "Same"},
            "kinds": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}],
        },
    }
    if spec.hostname is not None:
        listener["hostname"] = spec.hostname
    if spec.tls is not None:
        certificate = {"group": "", "kind": "Secret", "name": spec.tls.secret_name}
        listener["tls"] = {"mode": "Terminate", "certificateRefs": [certificate]}
    return listener


def proxy(door: doors.Door) -> identity.Manifest:
    """Returns how the proxies run.

    The AI gateway puts its processor before the first filter of a few kinds, of which the one for
    responses of a route's own stands first of all (ai-gateway 1.0.0, post_translate_modify.go;
    Envoy Gateway 1.9.0, httpfilters.go). A claim with a bounded queue has such a response, and the
    list of models would be answered before a key is asked for. Moved behind the keys, it does the
    same.
    """
    site = door.site.front_door
    service: identity.Manifest = {"type": site.service_type}
    if site.service_annotations:
        service["annotations"] = dict(site.service_annotations)
    kubernetes: identity.Manifest = {
        "envoyDeployment": {"replicas": site.replicas},
        "envoyService": service,
    }
    if site.replicas > 1:
        kubernetes["envoyPDB"] = {"maxUnavailable": 1}
    return {
        "apiVersion": kinds.PROXY.api_versions[0],
        "kind": kinds.PROXY.name,
        "metadata": door.identity.metadata(component=doors.COMPONENT),
        "spec": {
            "provider": {"type": "Kubernetes", "kubernetes": kubernetes},
            "filterOrder": [
                {
                    "name": "envoy.filters.http.custom_response",
                    "before": "envoy.filters.http.rbac",
                }
            ],
            "shutdown": {"drainTimeout": f"{site.drain_seconds}s"},
        },
    }


def client_policy(door: doors.Door) -> identity.Manifest:
    """Returns what clients may send, and for how long nothing may come.

    A prompt is larger than Envoy's 32 KiB, and the first byte of an answer later than its five
    minutes. What names a caller, a model or a pod is the gateway's to say: from a client it is
    dropped before anything reads it.
    """
    return {
        "apiVersion": kinds.CLIENT_POLICY.api_versions[0],
        "kind": kinds.CLIENT_POLICY.name,
        "metadata": door.identity.metadata(component=doors.COMPONENT),
        "spec": {
            "targetRefs": [target(door)],
            "connection": {"bufferLimit": f"{buffer_mib(door)}Mi"},
            "timeout": {
                "http": {"streamIdleTimeout": f"{door.site.gateway.request_timeout_seconds}s"}
            },
            "headers": {"earlyRequestHeaders": {"remove": list(_OURS)}},
        },
    }


def buffer_mib(door: doors.Door) -> int:
    """Returns the MiB of a request that are held while its model is read."""
    return door.site.gateway.buffer_mi_b or BUFFER_MIB


def condition(now: situations.Situation, desired: assembly.Desired) -> observed.Condition:
    """Returns GatewayReady."""
    if not now.door.own:
        return GatewayReady.EXISTING.condition(f"the Gateway is {'/'.join(now.door.parent)}")
    if not now.door.provided:
        return GatewayReady.NOT_PROVIDED.condition("the settings have no provider of gateway")
    absent = desired.lacking(GatewayReady.type())
    if absent is not None:
        return GatewayReady.KIND_MISSING.condition(reasons.missing(absent, "gateway"))
    if not now.emits_gateway:
        return GatewayReady.WITHHELD.condition("the Gateway comes after its policies")
    waits = desired.waits(GatewayReady.type())
    if waits is not None:
        return GatewayReady.UNRESOLVED.condition(waits)
    return GatewayReady.PROGRAMMED.condition("the Gateway is programmed")


def endpoint(now: situations.Situation, port: int | None = None) -> str | None:
    """Returns the address of the Gateway's OpenAI API, or None while it has none.

    Args:
        now: What holds now.
        port: That of another listener than the one of keys.
    """
    spec = now.door.resource.spec
    host = spec.hostname
    if host is None:
        addresses = observed.items(now.world.get(rows.GATEWAY), "status", "addresses")
        values = [observed.at(address, "value") for address in addresses]
        host = next((value for value in values if isinstance(value, str) and value), None)
    if host is None or len(host) > _LONGEST_HOST:
        return None
    host = f"[{host}]" if ":" in host else host
    place = host if port is None else f"{host}:{port}"
    return f"{'https' if spec.tls else 'http'}://{place}/v1"


_LONGEST_HOST = 253
