"""Who may reach the pods, and what the pods may reach: worked out once, spelt by each provider."""

import dataclasses

from function.api import settings_forms
from function.planning import plans, stores
from function.workloads import analyses

# The label of the endpoint picker's pods, which its chart sets.
PICKER_LABEL = "inferencepool"
# Ports of the endpoint picker: the external processor, its health and its metrics.
PICKER_EXT_PROC = 9002
PICKER_HEALTH = 9003
PICKER_METRICS = 9090
# The API server, as pods reach it.
API_SERVER = (443, 6443)


@dataclasses.dataclass(frozen=True)
class Peer:
    """Pods that may call the engine on a port."""

    namespace: str
    labels: tuple[tuple[str, str], ...]
    port: int


@dataclasses.dataclass(frozen=True)
class Metrics:
    """Where metrics are asked for.

    Attributes:
        pods: Pods of the store, or None.
        networks: Networks of a store elsewhere.
        port: Its port there.
    """

    pods: Peer | None
    networks: tuple[str, ...]
    port: int


def peer(plan: plans.Plan, namespace: str | None, labels: dict[str, str], port: int | None) -> Peer:
    """Returns a peer; the claim's own namespace and the engine's port where none is named."""
    return Peer(
        plan.identity.namespace if namespace is None else namespace,
        tuple(sorted(labels.items())),
        plan.engine.PORT if port is None else port,
    )


def callers(plan: plans.Plan) -> list[Peer]:
    """Returns the pods that call the engine: those of site, gateway, route and claim."""
    site = plan.site
    peers = [peer(plan, p.namespace, p.pod_labels, p.port) for p in site.network.callers]
    if site.providers.gateway != "none":
        # Whether or not this claim has the route: hand-written routes reach the same pods.
        peers.append(gateway_proxies(plan))
    if plan.ways.route and site.route.proxy is not None:
        proxy = site.route.proxy
        peers.append(peer(plan, proxy.namespace, proxy.pod_labels, proxy.port))
    return list(dict.fromkeys(peers + claimed(plan)))


def gateway_proxies(plan: plans.Plan) -> Peer:
    """Returns the AI gateway's proxies."""
    parent = plan.site.parent_of(plan.identity.namespace)
    labels = {
        "gateway.envoyproxy.io/owning-gateway-name": parent.name,
        "gateway.envoyproxy.io/owning-gateway-namespace": parent.namespace,
    }
    return peer(plan, plan.site.gateway.proxy_namespace, labels, None)


def claimed(plan: plans.Plan) -> list[Peer]:
    """Returns the callers that the claim itself names."""
    access = plan.spec.access
    return [
        peer(plan, caller.namespace, caller.pod_labels, caller.port)
        for caller in (access.from_ if access is not None else [])
    ]


def platform(plan: plans.Plan, *, picker: bool) -> list[Peer]:
    """Returns the peers that no claim can remove: the scrapers and the endpoint picker."""
    peers = [peer(plan, p.namespace, p.pod_labels, p.port) for p in plan.site.network.scrapers]
    if picker:
        peers.append(peer(plan, None, {PICKER_LABEL: plan.identity.picker_name}, None))
    return peers


def picker_callers(plan: plans.Plan) -> list[Peer]:
    """Returns who calls the picker: the gateway's proxies and the scrapers."""
    scrapers = [
        dataclasses.replace(peer(plan, p.namespace, p.pod_labels, None), port=PICKER_METRICS)
        for p in plan.site.network.scrapers
    ]
    return [dataclasses.replace(gateway_proxies(plan), port=PICKER_EXT_PROC), *scrapers]


def store(plan: plans.Plan, read: tuple[str, ...]) -> stores.Store | None:
    """Returns the object store that pods reach, by the addresses that they read."""
    return stores.store(plan.site, read)


def metrics(plan: plans.Plan) -> Metrics:
    """Returns where the pods that judge canaries ask for metrics."""
    site = plan.site.canary_gates
    port = settings_forms.port(analyses.query_url(plan))
    pods = site.store
    return Metrics(
        None if pods is None else peer(plan, pods.namespace, pods.pod_labels, pods.port or port),
        tuple(site.egress_cidrs),
        port,
    )


def hub_ports(plan: plans.Plan) -> list[int]:
    """Returns the ports of the hub, its mirror or the proxy."""
    ports = [plan.site.hub.egress_port]
    for address in (plan.site.hub.endpoint, plan.site.hub.proxy):
        if address is not None:
            ports.append(settings_forms.port(address))
    return sorted(set(ports))
