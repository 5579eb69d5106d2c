"""Who reaches the pods before a front door, and whom they reach, in both forms of policies.

Callers reach the API, scrapers the metrics. The pods reach the Gateway's proxies, their database
and DNS.
"""

import dataclasses
from collections.abc import Callable, Mapping

from function import kinds
from function.api import settings_traffic
from function.concerns import providers
from function.concerns.access import cilium
from function.fleet import doors, router_config
from function.fleet.edge import litellm, pods
from function.planning import identity

# Envoy Gateway moves ports below 1024 up by so much in its proxies' pods.
_MOVED = 10000
_DATABASE_PORT = 5432
_DNS_PORT = 53


@dataclasses.dataclass(frozen=True)
class Peer:
    """Pods, and the port on which one of both sides listens.

    Attributes:
        namespace: Their namespace.
        labels: Their labels; all pods of the namespace when empty.
        port: The port.
    """

    namespace: str
    labels: dict[str, str]
    port: int


@dataclasses.dataclass(frozen=True)
class Reach:
    """Who reaches the pods, and whom they reach.

    Attributes:
        callers: Who may call, and who may scrape, each with a port of the pods.
        called: Whom they may call.
        dns: Who answers names.
        networks: Networks that they reach beside.
        ports: The ports there.
    """

    callers: tuple[Peer, ...]
    called: tuple[Peer, ...]
    dns: Peer
    networks: tuple[str, ...]
    ports: tuple[int, ...]


def reach(door: doors.Door) -> Reach:
    """Returns who reaches the pods, and whom they reach."""
    site, own = door.site, door.site.front_door.litellm

    def peer(of: settings_traffic.Peer, port: int) -> Peer:
        return Peer(of.namespace or door.identity.namespace, of.pod_labels, port)

    proxies = {
        "gateway.envoyproxy.io/owning-gateway-name": door.identity.name,
        "gateway.envoyproxy.io/owning-gateway-namespace": door.identity.namespace,
    }
    _, listener = router_config.gateway_address(door)
    database = _DATABASE_PORT if own.database is None else own.database.port or _DATABASE_PORT
    called = [Peer(site.gateway.proxy_namespace, proxies, listener + _MOVED)]
    if own.database is not None:
        called.append(peer(own.database, database))
    watched = site.network.scrapers if litellm.watched(door) else []
    return Reach(
        (
            Peer(door.identity.namespace, {}, litellm.PORT),
            *(peer(one, litellm.PORT) for one in own.callers),
            *(peer(one, litellm.METRICS) for one in watched),
        ),
        tuple(called),
        peer(site.network.dns, site.network.dns.port or _DNS_PORT),
        tuple(own.egress_cidrs),
        tuple(sorted({listener, database})),
    )


def _native(door: doors.Door) -> identity.Manifest:
    may = reach(door)
    names = [{"port": may.dns.port, "protocol": protocol} for protocol in ("UDP", "TCP")]
    egress: list[identity.Manifest] = [
        *({"to": [_selected(peer)], "ports": _numbers(peer.port)} for peer in may.called),
        {"to": [_selected(may.dns)], "ports": names},
    ]
    if may.networks:
        blocks = [{"ipBlock": {"cidr": network}} for network in may.networks]
        egress.append({"to": blocks, "ports": _numbers(*may.ports)})
    return {
        "apiVersion": kinds.NETWORK_POLICY.api_versions[0],
        "kind": kinds.NETWORK_POLICY.name,
        "metadata": pods.metadata(door),
        "spec": {
            "podSelector": {"matchLabels": pods.labels(door)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"from": [_selected(peer)], "ports": _numbers(peer.port)} for peer in may.callers
            ],
            "egress": egress,
        },
    }


def _selected(peer: Peer) -> identity.Manifest:
    named = {"matchLabels": {"kubernetes.io/metadata.name": peer.namespace}}
    chosen = {"podSelector": {"matchLabels": dict(peer.labels)}} if peer.labels else {}
    return {"namespaceSelector": named, **chosen}


def _numbers(*ports: int) -> list[identity.Manifest]:
    return [{"port": port, "protocol": "TCP"} for port in ports]


def _cilium(door: doors.Door) -> identity.Manifest:
    may = reach(door)
    names = [{"port": str(may.dns.port), "protocol": protocol} for protocol in ("UDP", "TCP")]
    dns = {"ports": names, "rules": {"dns": [{"matchPattern": "*"}]}}
    egress: list[identity.Manifest] = [
        *({"toEndpoints": [_endpoints(peer)], "toPorts": _ports(peer.port)} for peer in may.called),
        {"toEndpoints": [_endpoints(may.dns)], "toPorts": [dns]},
    ]
    if may.networks:
        egress.append({"toCIDR": list(may.networks), "toPorts": _ports(*may.ports)})
    return {
        "apiVersion": kinds.CILIUM_POLICY.api_versions[0],
        "kind": kinds.CILIUM_POLICY.name,
        "metadata": pods.metadata(door),
        "spec": {
            "endpointSelector": {"matchLabels": pods.labels(door)},
            "ingress": [
                {"fromEndpoints": [_endpoints(peer)], "toPorts": _ports(peer.port)}
                for peer in may.callers
            ],
            "egress": egress,
        },
    }


def _endpoints(peer: Peer) -> identity.Manifest:
    return {"matchLabels": {cilium.NAMESPACE_LABEL: peer.namespace, **peer.labels}}


def _ports(*ports: int) -> list[identity.Manifest]:
    return [{"ports": [{"port": str(port), "protocol": "TCP"} for port in ports]}]


PROVIDERS: Mapping[str, Callable[[doors.Door], identity.Manifest]] = providers.table(
    "network_policy", {"cilium": _cilium, "kubernetes": _native}
)
