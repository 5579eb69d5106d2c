"""The ends of a claim's flows: its own pods, those that settings and claim name, and strangers."""

import ipaddress
import re
from collections.abc import Iterator

from function import memo
from function.api import settings_traffic
from function.cluster import gating, jobs
from function.concerns.access import callers
from function.engines import engine
from function.planning import identity, plans, stores
from function.reach import endpoints

HUB = "huggingface.co"
# Addresses for documentation (RFC 5737) stand for any public one, and for any private one.
PUBLIC = "203.0.113.1"
PRIVATE = "10.255.255.1"
_PUBLIC_API = "198.51.100.1"

NODE = endpoints.Endpoint(endpoints.Kind.NODE, "the pod's node")
API_SERVER = endpoints.Endpoint(endpoints.Kind.API_SERVER, "the API server", address=_PUBLIC_API)
CONTENT = endpoints.Endpoint(
    endpoints.Kind.OUTSIDE, "the hub's content hosts", address="203.0.113.2"
)


@memo.per_plan
def serving(plan: plans.Plan) -> endpoints.Endpoint:
    """Returns the pods that serve."""
    who = plan.identity
    ports = {engine.PORT_NAME: plan.engine.PORT}
    labels = {**who.labels(), **_group(plan)}
    return endpoints.pod(f"{who.name}: serving pods", who.namespace, labels, ports)


@memo.per_plan
def followers(plan: plans.Plan) -> endpoints.Endpoint:
    """Returns the pods of replicas of several that do not serve."""
    who = plan.identity
    labels = {**who.labels(identity.FOLLOWER), **_group(plan)}
    return endpoints.pod(f"{who.name}: following pods", who.namespace, labels)


def _group(plan: plans.Plan) -> dict[str, str]:
    return {identity.GROUP_LABEL: plan.identity.name} if plan.hardware.split.spans else {}


@memo.per_plan
def download(plan: plans.Plan) -> endpoints.Endpoint:
    """Returns the pods that download weights."""
    who = plan.identity
    return endpoints.pod(f"{who.name}: download", who.namespace, who.labels(jobs.COMPONENT))


@memo.per_plan
def removal(plan: plans.Plan) -> endpoints.Endpoint:
    """Returns the pods that remove weights."""
    who = plan.identity
    return endpoints.pod(f"{who.name}: removal", who.namespace, who.labels(jobs.CLEANUP))


@memo.per_plan
def gate(plan: plans.Plan) -> endpoints.Endpoint:
    """Returns the pods that judge canaries."""
    who = plan.identity
    return endpoints.pod(f"{who.name}: gate", who.namespace, who.labels(gating.COMPONENT))


@memo.per_plan
def picker(plan: plans.Plan) -> endpoints.Endpoint:
    """Returns the endpoint picker's pods."""
    who = plan.identity
    labels = {callers.PICKER_LABEL: who.picker_name}
    return endpoints.pod(f"{who.name}: endpoint picker", who.namespace, labels)


@memo.per_plan
def own(plan: plans.Plan) -> tuple[endpoints.Endpoint, ...]:
    """Returns all pods that the claim has at some time."""
    pods = [serving(plan)]
    pods += [followers(plan)] if plan.hardware.split.spans else []
    pods += [download(plan)] if plan.storage.preloads else []
    pods += [removal(plan)] if plan.storage.deletes else []
    pods += [picker(plan)] if plan.ways.picker else []
    pods += [gate(plan)] if plan.gates else []
    return tuple(pods)


def peer(plan: plans.Plan, given: settings_traffic.Peer, name: str = "") -> endpoints.Endpoint:
    """Returns the pods of the platform that settings name."""
    namespace = plan.identity.namespace if given.namespace is None else given.namespace
    return named(namespace, given.pod_labels, name)


def named(namespace: str, labels: dict[str, str], name: str = "") -> endpoints.Endpoint:
    """Returns pods by namespace and labels, called by them unless there is another name."""
    return endpoints.pod(name or called(namespace, labels), namespace, labels)


def called(namespace: str, labels: dict[str, str]) -> str:
    """Returns what pods are called that have no other name."""
    words = ",".join(f"{key.rpartition('/')[2]}={value}" for key, value in sorted(labels.items()))
    return f"{namespace}: {words or 'any pod'}"


# --- outside

_ADDRESS = re.compile(r"[a-z]+://(?:[^@/]*@)?(\[[^\]]*\]|[^:/]+)")


def outside(plan: plans.Plan, url: str) -> endpoints.Endpoint:
    """Returns where the address of a mirror or a proxy leads.

    Nobody resolves names here. A name of a Service is pods of its namespace. Another name has an
    address in the settings' `hub.egressCidrs`, where there are any, and else a public one.
    """
    match = _ADDRESS.match(url)
    host = match[1].strip("[]").lower() if match else url
    try:
        address = str(ipaddress.ip_address(host))
    except ValueError:
        labels = host.removesuffix(plan.site.network.cluster_domain).rstrip(".").split(".")
        networks = plan.site.hub.egress_cidrs
        if labels[2:] == ["svc"] and not (networks and _native(plan)):
            # Which labels its pods have, no address says.
            return endpoints.pod(host, labels[1])
        first = ipaddress.ip_network(networks[0], strict=False)[0] if networks else PUBLIC
        address = str(first)
    return endpoints.Endpoint(endpoints.Kind.OUTSIDE, host, address=address, hosts=(host,))


def object_store(plan: plans.Plan, store: stores.Store) -> Iterator[endpoints.Endpoint]:
    """Yields the ends of the object store, under each name that a client asks for."""
    if store.pods is not None:
        yield peer(plan, store.pods, "object store")
        return
    network = store.networks[0] if store.networks else None
    address = PUBLIC if network is None else str(ipaddress.ip_network(network, strict=False)[0])
    for name in store.names or (store.host,):
        yield endpoints.Endpoint(endpoints.Kind.OUTSIDE, name, address=address, hosts=(name,))


def metrics(network: str) -> endpoints.Endpoint:
    """Returns a metrics store in a network outside of the cluster."""
    address = str(ipaddress.ip_network(network, strict=False)[0])
    return endpoints.Endpoint(
        endpoints.Kind.OUTSIDE, f"metrics store in {network}", address=address
    )


def _native(plan: plans.Plan) -> bool:
    """Tells whether blocks of addresses may hold pods: with Cilium they never do."""
    return plan.site.providers.network_policy == "kubernetes"


def host(pattern: str) -> endpoints.Endpoint:
    """Returns a host outside, of the names that a pattern is about."""
    name = pattern.replace("*", "any")
    return endpoints.Endpoint(endpoints.Kind.OUTSIDE, pattern, address=PUBLIC, hosts=(name,))


# --- strangers

_OTHERS = (
    endpoints.pod("any pod of another namespace", "a-namespace-that-nobody-names"),
    endpoints.Endpoint(endpoints.Kind.OTHER_NODE, "another node"),
    endpoints.Endpoint(endpoints.Kind.OUTSIDE, "any public address", address="203.0.113.3"),
    endpoints.Endpoint(endpoints.Kind.OUTSIDE, "any private address", address=PRIVATE),
)


def strangers(plan: plans.Plan) -> tuple[endpoints.Endpoint, ...]:
    """Returns ends that nobody names: what reaches one of them, or is reached, is open to many."""
    namespace = plan.identity.namespace
    return (endpoints.pod(f"any other pod of {namespace}", namespace), *_OTHERS)
