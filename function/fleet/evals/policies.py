"""What evaluations may reach: the door's proxies, the metrics store and DNS. Nobody reaches them.

Worked out once, and spelt for each provider.
"""

import dataclasses
from collections.abc import Callable, Mapping

from function import kinds
from function.api import settings_forms
from function.concerns import providers
from function.concerns.access import cilium
from function.fleet import doors
from function.fleet.evals import wanted
from function.planning import identity

# Envoy Gateway: a port of the proxies' pods for one that only root may listen on.
_PRIVILEGED = 10000
_DNS_PORT = 53


@dataclasses.dataclass(frozen=True)
class Peer:
    """Pods on some ports."""

    namespace: str
    labels: dict[str, str]
    port: int


@dataclasses.dataclass(frozen=True)
class Reach:
    """What the pods may reach.

    Attributes:
        peers: Pods: the proxies, and those of the store.
        dns: The pods that answer names.
        networks: Networks beside them.
        ports: The ports there.
    """

    peers: tuple[Peer, ...]
    dns: Peer
    networks: tuple[str, ...]
    ports: tuple[int, ...]


def reach(door: doors.Door) -> Reach:
    """Returns what the evaluations of a front door may reach."""
    site, evals = door.site, door.site.front_door.evals
    listener = 443 if door.resource.spec.tls else 80
    proxies = Peer(
        site.gateway.proxy_namespace,
        {
            "gateway.envoyproxy.io/owning-gateway-name": door.identity.name,
            "gateway.envoyproxy.io/owning-gateway-namespace": door.identity.namespace,
        },
        listener + _PRIVILEGED,
    )
    pushed = settings_forms.port(str(evals.push_url))
    peers = [proxies]
    if evals.store is not None:
        namespace = evals.store.namespace or door.identity.namespace
        peers.append(Peer(namespace, evals.store.pod_labels, evals.store.port or pushed))
    dns = site.network.dns
    return Reach(
        tuple(peers),
        Peer(dns.namespace or door.identity.namespace, dns.pod_labels, dns.port or _DNS_PORT),
        tuple(evals.egress_cidrs),
        tuple(sorted({listener, pushed})),
    )


def native_policy(door: doors.Door) -> identity.Manifest:
    """Returns the NetworkPolicy; without rules for what comes in, nothing does."""
    may = reach(door)
    names = [{"port": may.dns.port, "protocol": protocol} for protocol in ("UDP", "TCP")]
    egress: list[identity.Manifest] = [
        *(
            {"to": [_selected(peer)], "ports": [{"port": peer.port, "protocol": "TCP"}]}
            for peer in may.peers
        ),
        {"to": [_selected(may.dns)], "ports": names},
    ]
    if may.networks:
        egress.append(
            {
                "to": [{"ipBlock": {"cidr": network}} for network in may.networks],
                "ports": [{"port": port, "protocol": "TCP"} for port in may.ports],
            }
        )
    return {
        "apiVersion": kinds.NETWORK_POLICY.api_versions[0],
        "kind": kinds.NETWORK_POLICY.name,
        "metadata": _metadata(door),
        "spec": {
            "podSelector": {"matchLabels": door.identity.labels(wanted.COMPONENT)},
            "policyTypes": ["Ingress", "Egress"],
            "egress": egress,
        },
    }


def _selected(peer: Peer) -> identity.Manifest:
    named = {"matchLabels": {"kubernetes.io/metadata.name": peer.namespace}}
    pods = {"podSelector": {"matchLabels": dict(peer.labels)}} if peer.labels else {}
    return {"namespaceSelector": named, **pods}


def cilium_policy(door: doors.Door) -> identity.Manifest:
    """Returns the CiliumNetworkPolicy."""
    may = reach(door)
    names = [{"port": str(may.dns.port), "protocol": protocol} for protocol in ("UDP", "TCP")]
    egress: list[identity.Manifest] = [
        *({"toEndpoints": [_endpoints(peer)], "toPorts": _ports(peer.port)} for peer in may.peers),
        {
            "toEndpoints": [_endpoints(may.dns)],
            "toPorts": [{"ports": names, "rules": {"dns": [{"matchPattern": "*"}]}}],
        },
    ]
    if may.networks:
        egress.append({"toCIDR": list(may.networks), "toPorts": _ports(*may.ports)})
    return {
        "apiVersion": kinds.CILIUM_POLICY.api_versions[0],
        "kind": kinds.CILIUM_POLICY.name,
        "metadata": _metadata(door),
        "spec": {
            "endpointSelector": {"matchLabels": door.identity.labels(wanted.COMPONENT)},
            "ingress": cilium.DENY_ALL,
            "egress": egress,
        },
    }


def _endpoints(peer: Peer) -> identity.Manifest:
    return {"matchLabels": {cilium.NAMESPACE_LABEL: peer.namespace, **peer.labels}}


def _ports(*ports: int) -> list[identity.Manifest]:
    return [{"ports": [{"port": str(port), "protocol": "TCP"} for port in ports]}]


def _metadata(door: doors.Door) -> identity.Manifest:
    return door.identity.metadata(door.identity.part("evals"), component=wanted.COMPONENT)


PROVIDERS: Mapping[str, Callable[[doors.Door], identity.Manifest]] = providers.table(
    "network_policy", {"cilium": cilium_policy, "kubernetes": native_policy}
)
