"""NetworkPolicies of networking.k8s.io.

The raw rules of a claim's `networkPolicies` are Cilium's and are left out here. That they replace
the default peers holds here too: an empty list lets no caller in.
"""

from collections.abc import Iterable, Iterator
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
    ingress = [let_in(peer) for peer in peers]
    return _policy(plan, plan.identity.name, plan.identity.labels(), ingress, egress)


@memo.per_plan
def download(plan: plans.Plan, name: str) -> identity.Manifest:
    """Returns the NetworkPolicy of pods that download: it accepts nothing."""
    outside = to_world(plan.site.hub.egress_cidrs, (443, *callers.hub_ports(plan)))
    egress = [_dns(plan), *outside]
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
        egress.append(to_pods(store.pods))
    if store.networks:
        egress.append(to_networks(store.networks, (store.port,)))
    return _policy(plan, name, plan.identity.labels(gating.COMPONENT), [], egress)


def _policy(
    plan: plans.Plan,
    name: str,
    selector: dict[str, str],
    ingress: list[Any],
    egress: list[Any],
) -> identity.Manifest:
    return policy(plan.identity.metadata(name), selector, ingress, egress)


def policy(
    metadata: identity.Manifest,
    selector: dict[str, str],
    ingress: list[Any],
    egress: list[Any],
) -> identity.Manifest:
    """Returns the policy of pods; what has no rule is not let through."""
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
        "metadata": metadata,
        "spec": spec,
    }


def _selector(peer: callers.Peer) -> identity.Manifest:
    selector: identity.Manifest = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": peer.namespace}}
    }
    if peer.labels:
        selector["podSelector"] = {"matchLabels": dict(peer.labels)}
    return selector


def _ports(numbers: Iterable[int]) -> list[identity.Manifest]:
    return [{"port": port, "protocol": "TCP"} for port in sorted(set(numbers))]


def _blocks(networks: Iterable[str]) -> list[identity.Manifest]:
    return [{"ipBlock": {"cidr": network}} for network in networks]


def let_in(peer: callers.Peer) -> identity.Manifest:
    """Returns the rule by which pods are called."""
    return {"from": [_selector(peer)], "ports": _ports([peer.port])}


def to_pods(peer: callers.Peer) -> identity.Manifest:
    """Returns the rule by which pods call others."""
    return {"to": [_selector(peer)], "ports": _ports([peer.port])}


def to_names(peer: callers.Peer) -> identity.Manifest:
    """Returns the rule by which pods ask those that answer names."""
    return {
        "to": [_selector(peer)],
        "ports": [{"port": peer.port, "protocol": protocol} for protocol in ("UDP", "TCP")],
    }


def to_networks(networks: Iterable[str], ports: Iterable[int]) -> identity.Manifest:
    """Returns the rule by which pods call networks."""
    return {"to": _blocks(networks), "ports": _ports(ports)}


def to_world(networks: Iterable[str], ports: Iterable[int]) -> list[identity.Manifest]:
    """Returns the rule by which pods call every public address, and networks beside."""
    return [{"to": [*_WORLD, *_blocks(networks)], "ports": _ports(ports)}]


def _dns(plan: plans.Plan) -> identity.Manifest:
    dns = plan.site.network.dns
    return to_names(callers.peer(plan, dns.namespace, dns.pod_labels, dns.port or 53))


def _store(plan: plans.Plan, store: stores.Store | None) -> Iterator[identity.Manifest]:
    """Yields the rule that lets pods read from the object store.

    Without networks in the settings that is every public address: this kind knows no names.
    """
    if store is None:
        return
    peers = _blocks(store.networks)
    if store.pods is not None:
        pods = callers.peer(plan, store.pods.namespace, store.pods.pod_labels, store.port)
        peers.append(_selector(pods))
    ports = (store.port, 443) if store.hosts else (store.port,)
    yield {"to": peers or _WORLD, "ports": _ports(ports)}


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
        to_pods(serving),
        {"ports": _ports(callers.API_SERVER)},
        _dns(plan),
    ]
    ingress = [let_in(peer) for peer in callers.picker_callers(plan)]
    selector = {callers.PICKER_LABEL: plan.identity.picker_name}
    return _policy(plan, name, selector, ingress, egress)
