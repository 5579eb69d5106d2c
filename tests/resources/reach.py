"""Who reaches whom under a set of policies: Cilium's and Kubernetes' semantics, as documented.

Cilium as run on its own policy engine (1.20): a section enforces when it holds a rule, an empty
rule allows nothing, a selector without the namespace label means the policy's own namespace, one
rule holds one kind of peer, Cilium learns names only where it proxies DNS. An end that no policy
selects is open, as without any policy.
"""

import dataclasses
import fnmatch
import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

NAMESPACE = "io.kubernetes.pod.namespace"
_PEERS = {
    "ingress": ("fromEndpoints", "fromEntities", "fromCIDR", "fromCIDRSet"),
    "egress": ("toEndpoints", "toEntities", "toCIDR", "toCIDRSet", "toFQDNs"),
}


@dataclasses.dataclass(frozen=True)
class Pod:
    """A pod."""

    namespace: str
    labels: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Address:
    """An end of a connection outside the pods.

    Attributes:
        entity: Cilium's name for the address: world, host or kube-apiserver.
    """

    ip: str
    entity: str
    name: str = ""


End = Pod | Address
WORLD = Address("93.184.215.14", "world", "cdn.example.net")
API_SERVER = Address("10.0.0.1", "kube-apiserver")
METADATA = Address("169.254.169.254", "world")
NODE = Address("10.0.3.7", "host")


def allows(
    policies: Iterable[Mapping[str, Any]],
    source: End,
    target: End,
    port: int,
    protocol: str = "TCP",
) -> bool:
    """Tells whether the policies allow a connection: both ends must allow it."""
    policies = list(policies)
    return _end(policies, "egress", source, target, port, protocol) and _end(
        policies, "ingress", target, source, port, protocol
    )


def _end(
    policies: list[Mapping[str, Any]],
    way: str,
    own: End,
    other: End,
    port: int,
    protocol: str,
) -> bool:
    """Tells whether one end allows a connection: some policy allows it, or none enforces."""
    if not isinstance(own, Pod) or (way == "ingress" and other == NODE):
        return True
    enforced, allowed = False, False
    for policy in policies:
        if policy["metadata"]["namespace"] != own.namespace:
            continue
        check = _CHECKS[policy["kind"]]
        verdict = check(policy, way, own, other, port, protocol)
        if verdict is not None:
            enforced = True
            allowed = allowed or verdict
    return allowed or not enforced


# --- Cilium


def _cilium(
    policy: Mapping[str, Any], way: str, own: Pod, other: End, port: int, protocol: str
) -> bool | None:
    spec = policy["spec"]
    if not _selects(spec["endpointSelector"], own, own.namespace):
        return None
    rules = spec.get(way, [])
    for rule in rules:
        assert len([peer for peer in _PEERS[way] if peer in rule]) <= 1, "the agent rejects it"
    proxied = any(
        "dns" in ports.get("rules", {}) for rule in rules for ports in rule.get("toPorts", [])
    )
    if not rules:
        return None
    return any(
        _cilium_rule(rule, way, own.namespace, other, proxied)
        and _cilium_port(rule, port, protocol)
        for rule in rules
    )


def _cilium_rule(
    rule: Mapping[str, Any], way: str, namespace: str, other: End, proxied: bool
) -> bool:
    if not rule:
        return False
    side = "from" if way == "ingress" else "to"
    if f"{side}Endpoints" in rule:
        return isinstance(other, Pod) and any(
            _selects(selector, other, namespace) for selector in rule[f"{side}Endpoints"]
        )
    if f"{side}Entities" in rule:
        return any(_entity(entity, other) for entity in rule[f"{side}Entities"])
    if f"{side}CIDR" in rule:
        # A CIDR never selects pods or nodes, whatever their address.
        return (
            isinstance(other, Address)
            and other.entity == "world"
            and any(
                ipaddress.ip_address(other.ip) in ipaddress.ip_network(cidr)
                for cidr in rule[f"{side}CIDR"]
            )
        )
    if "toFQDNs" in rule:
        return isinstance(other, Address) and proxied and _named(rule["toFQDNs"], other.name)
    return True


def _entity(entity: str, other: End) -> bool:
    if isinstance(other, Pod):
        return entity in ("all", "cluster")
    return entity in ("all", other.entity)


def _named(selectors: list[Mapping[str, str]], name: str) -> bool:
    """Tells whether a name matches; `*` spans no dot."""
    labels = name.split(".")
    for selector in selectors:
        if name and selector.get("matchName") == name:
            return True
        pattern = selector.get("matchPattern", "").split(".")
        if name and len(pattern) == len(labels) and all(map(fnmatch.fnmatch, labels, pattern)):
            return True
    return False


def _selects(selector: Mapping[str, Any], pod: Pod, namespace: str) -> bool:
    wanted = {
        key.removeprefix("k8s:"): value for key, value in selector.get("matchLabels", {}).items()
    }
    return (
        pod.namespace == wanted.pop(NAMESPACE, namespace)
        and wanted.items() <= dict(pod.labels).items()
    )


def _cilium_port(rule: Mapping[str, Any], port: int, protocol: str) -> bool:
    if "toPorts" not in rule:
        return True
    return any(
        int(item["port"]) <= port <= item.get("endPort", int(item["port"]))
        and item.get("protocol", "ANY") in ("ANY", protocol)
        for ports in rule["toPorts"]
        for item in ports["ports"]
    )


# --- networking.k8s.io


def _native(
    policy: Mapping[str, Any], way: str, own: Pod, other: End, port: int, protocol: str
) -> bool | None:
    spec = policy["spec"]
    labels = spec["podSelector"].get("matchLabels", {})
    if not labels.items() <= dict(own.labels).items():
        return None
    if way.capitalize() not in spec["policyTypes"]:
        return None
    side = "from" if way == "ingress" else "to"
    return any(
        (not rule.get(side) or any(_native_peer(p, own.namespace, other) for p in rule[side]))
        and (not rule.get("ports") or _native_port(rule, port, protocol))
        for rule in spec.get(way, [])
    )


def _native_peer(peer: Mapping[str, Any], namespace: str, other: End) -> bool:
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        if not isinstance(other, Address):
            return False
        ip = ipaddress.ip_address(other.ip)
        return ip in ipaddress.ip_network(block["cidr"]) and not any(
            ip in ipaddress.ip_network(excepted) for excepted in block.get("except", [])
        )
    if not isinstance(other, Pod):
        return False
    if "namespaceSelector" in peer:
        wanted = peer["namespaceSelector"].get("matchLabels", {})
        if not wanted.items() <= {"kubernetes.io/metadata.name": other.namespace}.items():
            return False
    elif other.namespace != namespace:
        return False
    labels = peer.get("podSelector", {}).get("matchLabels", {})
    return bool(labels.items() <= dict(other.labels).items())


def _native_port(rule: Mapping[str, Any], port: int, protocol: str) -> bool:
    return any(
        item["port"] <= port <= item.get("endPort", item["port"])
        and item.get("protocol", "TCP") == protocol
        for item in rule["ports"]
    )


_CHECKS = {"CiliumNetworkPolicy": _cilium, "NetworkPolicy": _native}
