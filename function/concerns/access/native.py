"""NetworkPolicies of networking.k8s.io.

The raw rules of a claim's `networkPolicies` are Cilium's and are left out here. That they replace
the default peers holds here too: an empty list lets no caller in.
"""

from collections.abc import Iterator
from typing import Any

from function import memo
from function.cluster import gating, jobs
from function.concerns.access import callers
from function.planning import identity, plans, stores

# What "the world" is here: everything but private and link-local ranges, and the two reserved ones
# that clusters take for pods as well, so that the Job reaches neither pods nor the node's metadata
# service. The preload program follows no redirect into any of them either.
PRIVATE_IPV4 = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "240.0.0.0/4",
]
PRIVATE_IPV6 = ["fc00::/7", "fe80::/10"]
_WORLD: list[identity.Manifest] = [
    {"ipBlock": {"cidr": "0.0.0.0/0", "except": PRIVATE_IPV4}},
    {"ipBlock": {"cidr": "::/0", "except": PRIVATE_IPV6}},
]


@memo.per_plan
def serving(plan: plans.Plan, *, picker: bool, read: tuple[str, ...]) -> identity.Manifest:
    """Returns the serving pods' NetworkPolicy."""
    raw = plan.spec.network_policies
    replaced_in = raw is not None and raw.ingress is not None
    replaced_out = raw is not None and raw.egress is not None
    peers = callers.claimed(plan) if replaced_in else callers.callers(plan)
    peers += callers.platform(plan, picker=picker)
    egress = [] if replaced_out else [_dns(plan), *_store(plan, callers.store(plan, read))]
    ingress = [_ingress(peer) for peer in peers]
    return _policy(plan, plan.identity.name, plan.identity.labels(), ingress, egress)


@memo.per_plan
def download(plan: plans.Plan, name: str) -> identity.Manifest:
    """Returns the NetworkPolicy of pods that download: it accepts nothing."""
    ports = [{"port": port, "protocol": "TCP"} for port in sorted({443, *callers.hub_ports(plan)})]
    blocks = [*_WORLD, *({"ipBlock": {"cidr": cidr}} for cidr in plan.site.hub.egress_cidrs)]
    egress = [_dns(plan), {"to": blocks, "ports": ports}]
    return _policy(plan, name, plan.identity.labels(jobs.COMPONENT), [], egress)


@memo.per_plan
def removal(plan: plans.Plan, name: str) -> identity.Manifest:
    """Returns the clean-up pods' NetworkPolicy: no caller, and nothing to reach."""
    return _policy(plan, name, plan.identity.labels(jobs.CLEANUP), [], [])


@memo.per_plan
def gate(plan: plans.Plan, name: str) -> identity.Manifest:
    """Returns the NetworkPolicy of pods that judge canaries: DNS and the metrics store alone."""
    store = callers.metrics(plan)
    egress: list[Any] = [_dns(plan)]
    if store.pods is not None:
        ports = [{"port": store.pods.port, "protocol": "TCP"}]
        egress.append({"to": [_selector(store.pods)], "ports": ports})
    if store.networks:
        blocks = [{"ipBlock": {"cidr": cidr}} for cidr in store.networks]
        egress.append({"to": blocks, "ports": [{"port": store.port, "protocol": "TCP"}]})
    return _policy(plan, name, plan.identity.labels(gating.COMPONENT), [], egress)


def _policy(
    plan: plans.Plan,
    name: str,
    selector: dict[str, str],
    ingress: list[Any],
    egress: list[Any],
) -> identity.Manifest:
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
        "metadata": plan.identity.metadata(name),
        "spec": spec,
    }


def _selector(peer: callers.Peer) -> identity.Manifest:
    selector: identity.Manifest = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": peer.namespace}}
    }
    if peer.labels:
        selector["podSelector"] = {"matchLabels": dict(peer.labels)}
    return selector


def _ingress(peer: callers.Peer) -> identity.Manifest:
    return {
        "from": [_selector(peer)],
        "ports": [{"port": peer.port, "protocol": "TCP"}],
    }


def _dns(plan: plans.Plan) -> identity.Manifest:
    dns = plan.site.network.dns
    port = dns.port or 53
    return {
        "to": [_selector(callers.peer(plan, dns.namespace, dns.pod_labels, port))],
        "ports": [{"port": port, "protocol": "UDP"}, {"port": port, "protocol": "TCP"}],
    }


def _store(plan: plans.Plan, store: stores.Store | None) -> Iterator[identity.Manifest]:
    """Yields the rule that lets pods read from the object store.

    Without networks in the settings that is every public address: this kind knows no names.
    """
    if store is None:
        return
    peers: list[identity.Manifest] = [{"ipBlock": {"cidr": cidr}} for cidr in store.networks]
    if store.pods is not None:
        pods = callers.peer(plan, store.pods.namespace, store.pods.pod_labels, store.port)
        peers.append(_selector(pods))
    ports = sorted({store.port, 443} if store.hosts else {store.port})
    yield {
        "to": peers or _WORLD,
        "ports": [{"port": port, "protocol": "TCP"} for port in ports],
    }


@memo.per_plan
def group(plan: plans.Plan, name: str, *, read: tuple[str, ...]) -> identity.Manifest:
    """Returns the NetworkPolicy between the pods of one claim's groups.

    It adds to the one of the pods that serve, and is the only one of the others. A selector has no
    word for pods of one group, so those of another group of the claim are let in too.
    """
    member = {identity.GROUP_LABEL: plan.identity.name}
    peers = [{"podSelector": {"matchLabels": member}}]
    ports = [
        {"port": first, "protocol": "TCP", **({"endPort": last} if last > first else {})}
        for first, last in plan.engine.GROUP_PORTS
    ]
    ingress = [{"from": peers, "ports": ports}]
    # Each pod of a replica reads its part of the weights.
    reads = _store(plan, callers.store(plan, read))
    return _policy(plan, name, member, ingress, [{"to": peers, "ports": ports}, _dns(plan), *reads])


@memo.per_plan
def picker(plan: plans.Plan, name: str) -> identity.Manifest:
    """Returns the endpoint picker's NetworkPolicy.

    The API server has no selector in this API: its usual ports are open instead.
    """
    serving = callers.peer(plan, None, plan.identity.labels(), None)
    egress: list[Any] = [
        {"to": [_selector(serving)], "ports": [{"port": plan.engine.PORT, "protocol": "TCP"}]},
        {"ports": [{"port": port, "protocol": "TCP"} for port in callers.API_SERVER]},
        _dns(plan),
    ]
    ingress = [_ingress(peer) for peer in callers.picker_callers(plan)]
    selector = {callers.PICKER_LABEL: plan.identity.picker_name}
    return _policy(plan, name, selector, ingress, egress)
