"""Policies of the pods that a front door keeps: when they are there, and when they protect.

Each room says who reaches its pods and whom they reach; the forms are those of claims.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from function import assembly
from function.api import settings_traffic
from function.cluster import readiness
from function.concerns import providers
from function.concerns.access import callers, cilium, native
from function.fleet import doors, own_pods, router_config, rows, situations
from function.planning import identity
from function.situation import guards

# Envoy Gateway moves ports below 1024 up by so much in its proxies' pods.
_MOVED = 10000
_DNS_PORT = 53

Rules = list[identity.Manifest]


class Form(Protocol):
    """A form of policies."""

    def policy(
        self,
        metadata: identity.Manifest,
        selector: dict[str, str],
        ingress: list[Any],
        egress: list[Any],
    ) -> identity.Manifest:
        """Returns the policy of pods."""

    def let_in(self, peer: callers.Peer) -> identity.Manifest:
        """Returns the rule by which pods are called."""

    def to_pods(self, peer: callers.Peer) -> identity.Manifest:
        """Returns the rule by which pods call others."""

    def to_names(self, peer: callers.Peer) -> identity.Manifest:
        """Returns the rule by which pods ask those that answer names."""

    def to_networks(self, networks: Iterable[str], ports: Iterable[int]) -> identity.Manifest:
        """Returns the rule by which pods call networks."""

    def to_world(self, networks: Iterable[str], ports: Iterable[int]) -> Rules:
        """Returns the rules by which pods call what is outside, and networks beside."""


# For the pods of a front door the rules for what comes in, and those for what goes out.
Reach = Callable[[situations.Situation, Form], tuple[Rules, Rules]]
FORMS: Mapping[str, Form] = providers.table(
    "network_policy", {"cilium": cilium, "kubernetes": native}
)


def peer(
    door: doors.Door, namespace: str | None, labels: Mapping[str, str], port: int
) -> callers.Peer:
    """Returns pods, of the front door's own namespace where none is named."""
    own = namespace or door.identity.namespace
    return callers.Peer(own, tuple(sorted(labels.items())), port)


def named(door: doors.Door, pods: settings_traffic.Peer, port: int) -> callers.Peer:
    """Returns pods that the settings name, and a port."""
    return peer(door, pods.namespace, pods.pod_labels, port)


def proxies(door: doors.Door) -> callers.Peer:
    """Returns the Gateway's proxies, and the port of their pods."""
    labels = {
        "gateway.envoyproxy.io/owning-gateway-name": door.identity.name,
        "gateway.envoyproxy.io/owning-gateway-namespace": door.identity.namespace,
    }
    _, listener = router_config.gateway_address(door)
    return peer(door, door.site.gateway.proxy_namespace, labels, listener + _MOVED)


def names(door: doors.Door) -> callers.Peer:
    """Returns the pods that answer names."""
    dns = door.site.network.dns
    return named(door, dns, dns.port or _DNS_PORT)


def parts(
    now: situations.Situation, pods: own_pods.OwnPods, reach: Reach
) -> Iterator[assembly.Part]:
    """Yields the policy of pods, and until it protects the one of the provider before."""
    chosen = now.door.site.providers.network_policy
    if chosen in FORMS:
        yield _part(now, pods, reach, chosen)
    for last in FORMS:
        # Core deletes before it applies: the pods would be open in between, and have keys.
        unprotected = last != chosen and unguarded(now, pods) is not None
        if unprotected and now.world.get(_suffix(pods, last)) is not None:
            yield _part(now, pods, reach, last)


def _part(
    now: situations.Situation, pods: own_pods.OwnPods, reach: Reach, provider: str
) -> assembly.Part:
    form = FORMS[provider]
    ingress, egress = reach(now, form)
    metadata, labels = pods.metadata(now.door), pods.labels(now.door)
    return assembly.Part(_suffix(pods, provider), form.policy(metadata, labels, ingress, egress))


def _suffix(pods: own_pods.OwnPods, provider: str) -> str:
    """Returns the end of the key of the pods' policy."""
    return pods.prefix + guards.SUFFIXES[provider]


def unguarded(now: situations.Situation, pods: own_pods.OwnPods) -> str | None:
    """Returns why the pods' policy does not protect yet, or None where it does or none is asked."""
    chosen = now.door.site.providers.network_policy
    if chosen not in FORMS:
        return None
    suffix = _suffix(pods, chosen)
    kind, policy = rows.TABLE.row(suffix).kind, now.world.get(suffix)
    if policy is None:
        return f"the {kind.name} of the pods is not there yet"
    verdict = (kind.ready or readiness.there)(policy)
    return None if verdict.ready else f"{kind.name}: {verdict.message}"
