"""Who reaches the pods of a semantic router, and whom they reach, in both forms of policies."""

from typing import Any, Protocol

from function import kinds
from function.api import settings_forms, settings_traffic
from function.concerns import providers
from function.concerns.access import cilium, native
from function.fleet import doors, router_config, router_pods
from function.planning import identity

# Envoy Gateway moves ports below 1024 up by so much in its proxies' pods.
_MOVED = 10000


class Form(Protocol):
    """A form of policies."""

    def __call__(self, door: doors.Door, *, hub: bool) -> identity.Manifest:
        """Returns the policy of the pods; `hub` says whether they fetch models."""


def _gateway(door: doors.Door) -> tuple[dict[str, str], int]:
    """Returns the labels of the Gateway's proxies, and the port of their pods."""
    labels = {
        "gateway.envoyproxy.io/owning-gateway-name": door.identity.name,
        "gateway.envoyproxy.io/owning-gateway-namespace": door.identity.namespace,
    }
    return labels, _MOVED + router_config.gateway_address(door)[1]


def _hub_ports(door: doors.Door) -> list[int]:
    hub = door.site.hub
    named = [settings_forms.port(url) for url in (hub.endpoint, hub.proxy) if url is not None]
    return sorted({443, hub.egress_port, *named})


def _home(door: doors.Door, peer: settings_traffic.Peer) -> str:
    return peer.namespace or door.identity.namespace


def _native(door: doors.Door, *, hub: bool) -> identity.Manifest:
    def pods(namespace: str, labels: dict[str, str]) -> identity.Manifest:
        chosen: identity.Manifest = {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
        }
        return {**chosen, "podSelector": {"matchLabels": labels}} if labels else chosen

    def ports(*numbers: int, protocols: tuple[str, ...] = ("TCP",)) -> list[Any]:
        return [{"port": port, "protocol": protocol} for port in numbers for protocol in protocols]

    site = door.site
    labels, gateway = _gateway(door)
    proxies = pods(site.gateway.proxy_namespace, labels)
    dns = site.network.dns
    ingress = [{"from": [proxies], "ports": ports(router_config.PROMPTS)}]
    ingress += [
        {
            "from": [pods(_home(door, scraper), scraper.pod_labels)],
            "ports": ports(router_config.METRICS),
        }
        for scraper in site.network.scrapers
    ]
    egress = [
        {
            "to": [pods(_home(door, dns), dns.pod_labels)],
            "ports": ports(dns.port or 53, protocols=("UDP", "TCP")),
        },
        {"to": [proxies], "ports": ports(gateway)},
    ]
    if hub:
        blocks = [
            {"ipBlock": {"cidr": "0.0.0.0/0", "except": native.PRIVATE_IPV4}},
            {"ipBlock": {"cidr": "::/0", "except": native.PRIVATE_IPV6}},
            *({"ipBlock": {"cidr": cidr}} for cidr in site.hub.egress_cidrs),
        ]
        egress.append({"to": blocks, "ports": ports(*_hub_ports(door))})
    return {
        "apiVersion": kinds.NETWORK_POLICY.api_versions[0],
        "kind": kinds.NETWORK_POLICY.name,
        "metadata": router_pods.metadata(door),
        "spec": {
            "podSelector": {"matchLabels": router_pods.labels(door)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,
            "egress": egress,
        },
    }


def _cilium(door: doors.Door, *, hub: bool) -> identity.Manifest:
    def pods(namespace: str, labels: dict[str, str]) -> list[Any]:
        return [{"matchLabels": {cilium.NAMESPACE_LABEL: namespace, **labels}}]

    def ports(*numbers: int, protocols: tuple[str, ...] = ("TCP",)) -> identity.Manifest:
        return {
            "ports": [
                {"port": str(port), "protocol": protocol}
                for port in numbers
                for protocol in protocols
            ]
        }

    site = door.site
    labels, gateway = _gateway(door)
    proxies = pods(site.gateway.proxy_namespace, labels)
    dns = site.network.dns
    ingress = [{"fromEndpoints": proxies, "toPorts": [ports(router_config.PROMPTS)]}]
    ingress += [
        {
            "fromEndpoints": pods(_home(door, scraper), scraper.pod_labels),
            "toPorts": [ports(router_config.METRICS)],
        }
        for scraper in site.network.scrapers
    ]
    names = {
        **ports(dns.port or 53, protocols=("UDP", "TCP")),
        "rules": {"dns": [{"matchPattern": "*"}]},
    }
    egress: list[Any] = [
        {"toEndpoints": pods(_home(door, dns), dns.pod_labels), "toPorts": [names]},
        {"toEndpoints": proxies, "toPorts": [ports(gateway)]},
    ]
    if hub:
        outside = [ports(*_hub_ports(door))]
        egress.append({"toEntities": ["world"], "toPorts": outside})
        if site.hub.egress_cidrs:
            egress.append({"toCIDR": list(site.hub.egress_cidrs), "toPorts": outside})
    return {
        "apiVersion": kinds.CILIUM_POLICY.api_versions[0],
        "kind": kinds.CILIUM_POLICY.name,
        "metadata": router_pods.metadata(door),
        "spec": {
            "endpointSelector": {"matchLabels": router_pods.labels(door)},
            "ingress": ingress,
            "egress": egress,
        },
    }


PROVIDERS: dict[str, Form] = dict(
    providers.table("network_policy", {"kubernetes": _native, "cilium": _cilium})
)
