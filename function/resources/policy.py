"""Who may reach the pods, and what the pods may reach: nobody and nothing unless it is listed.

`callers` works out the peers once; `cilium` and `native` only spell them. In Cilium an empty rule
list is no default deny, and an empty `ingress` beside egress rules leaves ingress open: deny-all
is one empty rule (run on Cilium 1.20's own engine).
"""

import dataclasses
from typing import Any
from urllib import parse

from function import plan as plans
from function.resources import gateway, meta, preload

NAMESPACE_LABEL = "k8s:io.kubernetes.pod.namespace"
# Ports of the endpoint picker: the external processor and its metrics.
PICKER_EXT_PROC = 9002
PICKER_METRICS = 9090
DENY_ALL: list[meta.Manifest] = [{}]

# What "the world" is in the native policy: everything but private and link-local ranges, so that
# the Job reaches neither pods nor the node's metadata service.
PRIVATE_IPV4 = ["10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"]
PRIVATE_IPV6 = ["fc00::/7", "fe80::/10"]


@dataclasses.dataclass(frozen=True)
class Peer:
    """Pods that may call the engine on a port."""

    namespace: str
    labels: tuple[tuple[str, str], ...]
    port: int


def _peer(
    plan: plans.Plan, namespace: str | None, labels: dict[str, str], port: int | None
) -> Peer:
    return Peer(
        plan.namespace if namespace is None else namespace,
        tuple(sorted(labels.items())),
        plans.PORT if port is None else port,
    )


def callers(plan: plans.Plan) -> list[Peer]:
    """Returns the pods that call the engine: those of site, gateway, route and claim."""
    site = plan.site
    peers = [_peer(plan, p.namespace, p.pod_labels, p.port) for p in site.network.callers]
    if site.providers.gateway != "none":
        # Whether or not this claim has the route: hand-written routes reach the same pods.
        peers.append(_gateway_proxies(plan))
    if plan.route and site.route.proxy is not None:
        proxy = site.route.proxy
        peers.append(_peer(plan, proxy.namespace, proxy.pod_labels, proxy.port))
    return list(dict.fromkeys(peers + _claimed(plan)))


def _gateway_proxies(plan: plans.Plan) -> Peer:
    parent = plan.site.gateway.parent
    labels = {
        "gateway.envoyproxy.io/owning-gateway-name": parent.name,
        "gateway.envoyproxy.io/owning-gateway-namespace": parent.namespace,
    }
    return _peer(plan, plan.site.gateway.proxy_namespace, labels, None)


def _claimed(plan: plans.Plan) -> list[Peer]:
    access = plan.spec.access
    return [
        _peer(plan, caller.namespace, caller.pod_labels, caller.port)
        for caller in (access.from_ if access is not None else [])
    ]


def platform_peers(plan: plans.Plan) -> list[Peer]:
    """Returns the peers that no claim can remove: the scrapers and the endpoint picker."""
    peers = [_peer(plan, p.namespace, p.pod_labels, p.port) for p in plan.site.network.scrapers]
    if plan.picker:
        peers.append(_peer(plan, None, {"inferencepool": gateway.picker_name(plan)}, None))
    return peers


# --- Cilium


def cilium(plan: plans.Plan) -> meta.Manifest:
    """Returns the serving pods' CiliumNetworkPolicy."""
    raw = plan.spec.network_policies
    replaced_in = raw.ingress if raw is not None else None
    replaced_out = raw.egress if raw is not None else None
    ingress: list[Any] = (
        [_cilium_ingress(peer) for peer in callers(plan)]
        if replaced_in is None
        else [*replaced_in, *map(_cilium_ingress, _claimed(plan))]
    )
    ingress += [_cilium_ingress(peer) for peer in platform_peers(plan)]
    egress: list[Any] = [_cilium_dns(plan)] if replaced_out is None else list(replaced_out)
    return _cilium_policy(
        plan, plan.name, meta.labels(plan), ingress or DENY_ALL, egress or DENY_ALL
    )


def cilium_preload(plan: plans.Plan) -> meta.Manifest:
    """Returns the preload pods' CiliumNetworkPolicy: it accepts nothing."""
    egress: list[Any] = [_cilium_dns(plan)]
    hosts = [
        host.replace("{region}", plan.site.region or "") for host in plan.site.preload.egress_hosts
    ]
    if hosts:
        names = [{"matchPattern": h} if "*" in h else {"matchName": h} for h in hosts]
        egress.append({"toFQDNs": names, "toPorts": _cilium_ports(443)})
    # The hub's content hosts rotate: an allow-list of them rots.
    egress.append({"toEntities": ["world"], "toPorts": _cilium_ports(443, *_hub_ports(plan))})
    if plan.site.hub.egress_cidrs:
        egress.append(
            {
                "toCIDR": list(plan.site.hub.egress_cidrs),
                "toPorts": _cilium_ports(*_hub_ports(plan)),
            }
        )
    if plan.site.preload.egress_host_ports:
        # A link-local agent is the node itself: neither a CIDR nor `world` matches it.
        ports = _cilium_ports(*plan.site.preload.egress_host_ports)
        egress.append({"toEntities": ["host"], "toPorts": ports})
    return _cilium_policy(
        plan,
        f"{plan.name}-preload",
        meta.labels(plan, preload.COMPONENT),
        DENY_ALL,
        egress,
    )


def cilium_cleanup(plan: plans.Plan) -> meta.Manifest:
    """Returns the clean-up pods' CiliumNetworkPolicy: nobody, and nothing."""
    return _cilium_policy(
        plan,
        f"{plan.name}-cleanup",
        meta.labels(plan, preload.CLEANUP),
        DENY_ALL,
        DENY_ALL,
    )


def _hub_ports(plan: plans.Plan) -> list[int]:
    """Returns the ports of the hub, its mirror or the proxy."""
    ports = [plan.site.hub.egress_port]
    for address in (plan.site.hub.endpoint, plan.site.hub.proxy):
        if address is not None:
            url = parse.urlsplit(address)
            ports.append(url.port or (443 if url.scheme == "https" else 80))
    return sorted(set(ports))


def _cilium_policy(
    plan: plans.Plan,
    name: str,
    selector: dict[str, str],
    ingress: list[Any],
    egress: list[Any],
) -> meta.Manifest:
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": meta.metadata(plan, name),
        "spec": {
            "endpointSelector": {"matchLabels": selector},
            "ingress": ingress,
            "egress": egress,
        },
    }


def _cilium_ingress(peer: Peer) -> meta.Manifest:
    # Without the namespace label a selector matches the policy's own namespace only.
    return {
        "fromEndpoints": [{"matchLabels": {NAMESPACE_LABEL: peer.namespace, **dict(peer.labels)}}],
        "toPorts": _cilium_ports(peer.port),
    }


def _cilium_dns(plan: plans.Plan) -> meta.Manifest:
    dns = plan.site.network.dns
    peer = _peer(plan, dns.namespace, dns.pod_labels, dns.port)
    return {
        "toEndpoints": [{"matchLabels": {NAMESPACE_LABEL: peer.namespace, **dict(peer.labels)}}],
        "toPorts": [
            {
                "ports": [
                    {"port": str(dns.port or 53), "protocol": "UDP"},
                    {"port": str(dns.port or 53), "protocol": "TCP"},
                ],
                # Without an L7 rule no FQDN policy ever learns an address.
                "rules": {"dns": [{"matchPattern": "*"}]},
            }
        ],
    }


def _cilium_ports(*ports: int) -> list[meta.Manifest]:
    unique = sorted(set(ports))
    return [{"ports": [{"port": str(port), "protocol": "TCP"} for port in unique]}]


def cilium_picker(plan: plans.Plan) -> meta.Manifest:
    """Returns the endpoint picker's CiliumNetworkPolicy."""
    egress: list[Any] = [
        {
            "toEndpoints": [
                {"matchLabels": {NAMESPACE_LABEL: plan.namespace, **meta.labels(plan)}}
            ],
            "toPorts": _cilium_ports(plans.PORT),
        },
        {"toEntities": ["kube-apiserver"], "toPorts": _cilium_ports(443, 6443)},
        _cilium_dns(plan),
    ]
    ingress = [_cilium_ingress(peer) for peer in _picker_callers(plan)]
    name = gateway.picker_name(plan)
    return _cilium_policy(plan, name, {"inferencepool": name}, ingress, egress)


def _picker_callers(plan: plans.Plan) -> list[Peer]:
    """Returns who calls the picker: the gateway's proxies and the scrapers."""
    scrapers = [
        dataclasses.replace(_peer(plan, p.namespace, p.pod_labels, None), port=PICKER_METRICS)
        for p in plan.site.network.scrapers
    ]
    return [dataclasses.replace(_gateway_proxies(plan), port=PICKER_EXT_PROC), *scrapers]


# --- networking.k8s.io


def native_picker(plan: plans.Plan) -> meta.Manifest:
    """Returns the endpoint picker's NetworkPolicy.

    The API server has no selector in this API: its usual ports are open instead.
    """
    serving = _peer(plan, None, meta.labels(plan), None)
    egress: list[Any] = [
        {"to": [_native_selector(serving)], "ports": [{"port": plans.PORT, "protocol": "TCP"}]},
        {"ports": [{"port": port, "protocol": "TCP"} for port in (443, 6443)]},
        _native_dns(plan),
    ]
    ingress = [_native_ingress(peer) for peer in _picker_callers(plan)]
    name = gateway.picker_name(plan)
    return _native_policy(plan, name, {"inferencepool": name}, ingress, egress)


def native(plan: plans.Plan) -> meta.Manifest:
    """Returns the serving pods' NetworkPolicy.

    The raw rules of `networkPolicies` are Cilium's and have no meaning here, but that they replace
    the default peers holds: an empty list lets nobody in.
    """
    raw = plan.spec.network_policies
    replaced_in = raw is not None and raw.ingress is not None
    replaced_out = raw is not None and raw.egress is not None
    peers = (_claimed(plan) if replaced_in else callers(plan)) + platform_peers(plan)
    egress = [] if replaced_out else [_native_dns(plan)]
    ingress = [_native_ingress(peer) for peer in peers]
    return _native_policy(plan, plan.name, meta.labels(plan), ingress, egress)


def native_preload(plan: plans.Plan) -> meta.Manifest:
    """Returns the preload pods' NetworkPolicy: it accepts nothing."""
    ports = [{"port": port, "protocol": "TCP"} for port in sorted({443, *_hub_ports(plan)})]
    blocks = [
        {"ipBlock": {"cidr": "0.0.0.0/0", "except": PRIVATE_IPV4}},
        {"ipBlock": {"cidr": "::/0", "except": PRIVATE_IPV6}},
        *({"ipBlock": {"cidr": cidr}} for cidr in plan.site.hub.egress_cidrs),
    ]
    egress = [_native_dns(plan), {"to": blocks, "ports": ports}]
    return _native_policy(
        plan, f"{plan.name}-preload", meta.labels(plan, preload.COMPONENT), [], egress
    )


def native_cleanup(plan: plans.Plan) -> meta.Manifest:
    """Returns the clean-up pods' NetworkPolicy: nobody, and nothing."""
    name = f"{plan.name}-cleanup"
    return _native_policy(plan, name, meta.labels(plan, preload.CLEANUP), [], [])


def _native_policy(
    plan: plans.Plan,
    name: str,
    selector: dict[str, str],
    ingress: list[Any],
    egress: list[Any],
) -> meta.Manifest:
    # The API server does not store an empty list: applied again and again, it would be a change
    # each time. Of a policy type without rules nothing is let through.
    rules = {"ingress": ingress, "egress": egress}
    spec = {
        "podSelector": {"matchLabels": selector},
        "policyTypes": ["Ingress", "Egress"],
        **{direction: given for direction, given in rules.items() if given},
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": meta.metadata(plan, name),
        "spec": spec,
    }


def _native_selector(peer: Peer) -> meta.Manifest:
    selector: meta.Manifest = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": peer.namespace}}
    }
    if peer.labels:
        selector["podSelector"] = {"matchLabels": dict(peer.labels)}
    return selector


def _native_ingress(peer: Peer) -> meta.Manifest:
    return {
        "from": [_native_selector(peer)],
        "ports": [{"port": peer.port, "protocol": "TCP"}],
    }


def _native_dns(plan: plans.Plan) -> meta.Manifest:
    dns = plan.site.network.dns
    port = dns.port or 53
    return {
        "to": [_native_selector(_peer(plan, dns.namespace, dns.pod_labels, port))],
        "ports": [{"port": port, "protocol": "UDP"}, {"port": port, "protocol": "TCP"}],
    }
