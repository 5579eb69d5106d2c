"""Cilium's network policies.

An empty rule list is no default deny, and an empty `ingress` beside egress rules leaves ingress
open: deny-all is one empty rule (run on Cilium 1.20's own engine).
"""

from collections.abc import Iterable, Iterator
from typing import Any

from function import memo
from function.cluster import gating, jobs
from function.concerns.access import callers
from function.planning import identity, plans, stores

NAMESPACE_LABEL = "k8s:io.kubernetes.pod.namespace"
DENY_ALL: list[identity.Manifest] = [{}]


@memo.per_plan
def serving(plan: plans.Plan, *, picker: bool, read: tuple[str, ...]) -> identity.Manifest:
    """Returns the serving pods' CiliumNetworkPolicy."""
    raw = plan.spec.network_policies
    replaced_in = raw.ingress if raw is not None else None
    replaced_out = raw.egress if raw is not None else None
    ingress: list[Any] = (
        [let_in(peer) for peer in callers.callers(plan)]
        if replaced_in is None
        else [*replaced_in, *map(let_in, callers.claimed(plan))]
    )
    ingress += [let_in(peer) for peer in callers.platform(plan, picker=picker)]
    egress: list[Any] = (
        [_dns(plan), *_store(plan, callers.store(plan, read))]
        if replaced_out is None
        else list(replaced_out)
    )
    return _policy(plan, plan.identity.name, plan.identity.labels(), ingress, egress)


@memo.per_plan
def download(plan: plans.Plan, name: str) -> identity.Manifest:
    """Returns the CiliumNetworkPolicy of pods that download: it accepts nothing."""
    egress: list[Any] = [_dns(plan)]
    hosts = [
        host.replace("{region}", plan.site.region or "") for host in plan.site.preload.egress_hosts
    ]
    if hosts:
        egress.append({"toFQDNs": _names(hosts), "toPorts": _ports(443)})
    # The hub's content hosts rotate: an allow-list of them rots.
    egress.append({"toEntities": ["world"], "toPorts": _ports(443, *callers.hub_ports(plan))})
    if plan.site.hub.egress_cidrs:
        egress.append(to_networks(plan.site.hub.egress_cidrs, callers.hub_ports(plan)))
    if plan.site.preload.egress_host_ports:
        # A link-local agent is the node itself: neither a CIDR nor `world` matches it.
        ports = _ports(*plan.site.preload.egress_host_ports)
        egress.append({"toEntities": ["host"], "toPorts": ports})
    return _policy(plan, name, plan.identity.labels(jobs.COMPONENT), [], egress)


@memo.per_plan
def removal(plan: plans.Plan, name: str) -> identity.Manifest:
    """Returns the clean-up pods' CiliumNetworkPolicy: no caller, and nothing to reach."""
    return _policy(plan, name, plan.identity.labels(jobs.CLEANUP), [], [])


@memo.per_plan
def gate(plan: plans.Plan, name: str) -> identity.Manifest:
    """Returns the CiliumNetworkPolicy of pods that judge canaries: DNS and the metrics store."""
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
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": metadata,
        "spec": {
            "endpointSelector": {"matchLabels": selector},
            "ingress": ingress or DENY_ALL,
            "egress": egress or DENY_ALL,
        },
    }


def _endpoints(peer: callers.Peer) -> list[identity.Manifest]:
    # Without the namespace label a selector matches the policy's own namespace only.
    return [{"matchLabels": {NAMESPACE_LABEL: peer.namespace, **dict(peer.labels)}}]


def _ports(*ports: int) -> list[identity.Manifest]:
    unique = sorted(set(ports))
    return [{"ports": [{"port": str(port), "protocol": "TCP"} for port in unique]}]


def let_in(peer: callers.Peer) -> identity.Manifest:
    """Returns the rule by which pods are called."""
    return {"fromEndpoints": _endpoints(peer), "toPorts": _ports(peer.port)}


def to_pods(peer: callers.Peer) -> identity.Manifest:
    """Returns the rule by which pods call others."""
    return {"toEndpoints": _endpoints(peer), "toPorts": _ports(peer.port)}


def to_names(peer: callers.Peer) -> identity.Manifest:
    """Returns the rule by which pods ask those that answer names."""
    protocols = ("UDP", "TCP")
    return {
        "toEndpoints": _endpoints(peer),
        "toPorts": [
            {
                "ports": [{"port": str(peer.port), "protocol": one} for one in protocols],
                # Without an L7 rule no FQDN policy ever learns an address.
                "rules": {"dns": [{"matchPattern": "*"}]},
            }
        ],
    }


def to_networks(networks: Iterable[str], ports: Iterable[int]) -> identity.Manifest:
    """Returns the rule by which pods call networks."""
    return {"toCIDR": list(networks), "toPorts": _ports(*ports)}


def to_world(networks: Iterable[str], ports: Iterable[int]) -> list[identity.Manifest]:
    """Returns the rules by which pods call every address outside, and networks beside."""
    world: list[identity.Manifest] = [{"toEntities": ["world"], "toPorts": _ports(*ports)}]
    return [*world, *([to_networks(networks, ports)] if networks else [])]


def _dns(plan: plans.Plan) -> identity.Manifest:
    dns = plan.site.network.dns
    return to_names(callers.peer(plan, dns.namespace, dns.pod_labels, dns.port or 53))


def _store(plan: plans.Plan, store: stores.Store | None) -> Iterator[identity.Manifest]:
    """Yields the rules that let pods read from the object store."""
    if store is None:
        return
    own = _ports(store.port)
    if store.pods is not None:
        yield to_pods(callers.peer(plan, store.pods.namespace, store.pods.pod_labels, store.port))
    elif store.names:
        yield {"toFQDNs": [{"matchName": name} for name in store.names], "toPorts": own}
    if store.networks:
        yield to_networks(store.networks, (store.port,))
    if store.hosts:
        yield {"toFQDNs": _names(store.hosts), "toPorts": _ports(443)}
    if store.node_ports:
        # A link-local agent is the node itself: neither a CIDR nor `world` matches it.
        yield {"toEntities": ["host"], "toPorts": _ports(*store.node_ports)}


def _names(hosts: Iterable[str]) -> list[identity.Manifest]:
    return [{"matchPattern": h} if "*" in h else {"matchName": h} for h in hosts]


@memo.per_plan
def group(plan: plans.Plan, name: str, *, read: tuple[str, ...]) -> identity.Manifest:
    """Returns the CiliumNetworkPolicy between the pods of one claim's groups.

    It adds to the one of the pods that serve, and is the only one of the others. A selector has no
    word for pods of one group, so those of another group of the claim are let in too.
    """
    member = {identity.GROUP_LABEL: plan.identity.name}
    peers = [{"matchLabels": {NAMESPACE_LABEL: plan.identity.namespace, **member}}]
    ports = [
        {
            "ports": [
                {
                    "port": str(first),
                    "protocol": "TCP",
                    **({"endPort": last} if last > first else {}),
                }
                for first, last in plan.engine.GROUP_PORTS
            ]
        }
    ]
    ingress = [{"fromEndpoints": peers, "toPorts": ports}]
    # Each pod of a replica reads its part of the weights.
    reads = _store(plan, callers.store(plan, read))
    egress = [{"toEndpoints": peers, "toPorts": ports}, _dns(plan), *reads]
    return _policy(plan, name, member, ingress, egress)


@memo.per_plan
def picker(plan: plans.Plan, name: str) -> identity.Manifest:
    """Returns the endpoint picker's CiliumNetworkPolicy."""
    egress: list[Any] = [
        to_pods(callers.peer(plan, None, plan.identity.labels(), None)),
        {"toEntities": ["kube-apiserver"], "toPorts": _ports(*callers.API_SERVER)},
        _dns(plan),
    ]
    ingress = [let_in(peer) for peer in callers.picker_callers(plan)]
    selector = {callers.PICKER_LABEL: plan.identity.picker_name}
    return _policy(plan, name, selector, ingress, egress)
