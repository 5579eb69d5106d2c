"""Policies of both forms and flows under them, drawn from a seed: small, and mean to each other.

Labels, namespaces, addresses, names and ports come from pools so small that most rules are about
some endpoint. What is drawn passes the upstream schemas; some of it the agent rejects as a whole.
"""

import dataclasses
import functools
import random
from collections.abc import Callable
from typing import Any

from function.reach import endpoints, policies

Object = dict[str, Any]

_NAMESPACES = ("llm", "apps")
_KEYS = ("app", "tier")
_VALUES = ("a", "b")
_SPACE_KEYS = (endpoints.NAMESPACE_NAME, "team")
_CIDRS = (
    "203.0.113.0/24",
    "203.0.113.7/32",
    "198.51.100.0/24",
    "10.0.0.0/8",
    "0.0.0.0/0",
    "2001:db8::/32",
    "::/0",
)
_PARTS = {
    "203.0.113.0/24": ("203.0.113.7/32", "203.0.113.128/25"),
    "10.0.0.0/8": ("10.1.0.0/16",),
    "0.0.0.0/0": ("10.0.0.0/8", "203.0.113.0/25"),
    "2001:db8::/32": ("2001:db8::1/128",),
    "::/0": ("2001:db8::/48",),
}
_HOSTS = ("hub.example.com", "cdn.hub.example.com", "example.com", "a.b.example.org")
_PATTERNS = ("*.example.com", "**.example.org", "*", "hub.*", "*example.com", "h*b.example.com")
_ENTITIES = ("all", "world", "cluster", "host", "remote-node", "kube-apiserver", "none", "init")
_PORTS = (443, 8000, 8001, 9090)
_PROTOCOLS = ("TCP", "UDP")

_POD_LABELS = ((), (("app", "a"),), (("app", "b"), ("tier", "a")), (("tier", "b"),))
POOL = (
    *(
        dataclasses.replace(
            endpoints.pod(f"{namespace}-{number}", namespace, dict(labels)),
            namespace_labels=(("team", "a"),) if namespace == "llm" else (),
        )
        for namespace in _NAMESPACES
        for number, labels in enumerate(_POD_LABELS)
    ),
    endpoints.Endpoint(endpoints.Kind.NODE, "node"),
    endpoints.Endpoint(endpoints.Kind.OTHER_NODE, "other node"),
    endpoints.Endpoint(endpoints.Kind.API_SERVER, "API server", address="198.51.100.9"),
    endpoints.Endpoint(
        endpoints.Kind.OUTSIDE, "hub", address="203.0.113.7", hosts=("hub.example.com",)
    ),
    endpoints.Endpoint(
        endpoints.Kind.OUTSIDE,
        "CDN",
        address="203.0.113.200",
        hosts=("cdn.hub.example.com", "a.b.example.org"),
    ),
    endpoints.Endpoint(
        endpoints.Kind.OUTSIDE, "private", address="10.1.2.3", hosts=("example.com",)
    ),
    endpoints.Endpoint(endpoints.Kind.OUTSIDE, "IPv6", address="2001:db8::1"),
)


@dataclasses.dataclass(frozen=True)
class Case:
    """Policies, and flows to judge under them."""

    manifests: tuple[Object, ...]
    flows: tuple[policies.Hop, ...]


def case(seed: int, flows: int = 24) -> Case:
    """Returns the policies and the flows of a seed."""
    dice = random.Random(seed)
    manifests = tuple(_policy(dice, number) for number in range(dice.randint(2, 5)))
    pods = [one for one in POOL if one.namespace == "llm"]
    hops = []
    for _ in range(flows):
        source, destination = dice.sample((dice.choice(pods), dice.choice(POOL)), 2)
        hops.append(policies.Hop(source, destination, dice.choice(_PORTS), dice.choice(_PROTOCOLS)))
    return Case(manifests, tuple(hops))


def _policy(dice: random.Random, number: int) -> Object:
    native = dice.random() < 0.4
    return {
        "apiVersion": "networking.k8s.io/v1" if native else "cilium.io/v2",
        "kind": "NetworkPolicy" if native else "CiliumNetworkPolicy",
        "metadata": {"name": f"p{number}", "namespace": dice.choice(("llm", "llm", "apps"))},
        "spec": _native(dice) if native else _cilium(dice),
    }


def _some(dice: random.Random, draw: Callable[[random.Random], Any], most: int = 3) -> list[Any]:
    return [draw(dice) for _ in range(dice.randint(1, most))]


def _selector(
    dice: random.Random, keys: tuple[str, ...] = _KEYS, values: tuple[str, ...] = _VALUES
) -> Object:
    """A selector of labels; often an empty one."""
    selector: Object = {}
    if dice.random() < 0.35:
        selector["matchLabels"] = {dice.choice(keys): dice.choice(values)}
    if dice.random() < 0.25:
        operator = dice.choice(("In", "NotIn", "Exists", "DoesNotExist"))
        some = {"values": sorted(set(_some(dice, lambda d: d.choice(values))))}
        asked = some if operator in ("In", "NotIn") else {}
        selector["matchExpressions"] = [{"key": dice.choice(keys), "operator": operator, **asked}]
    return selector


# --- networking.k8s.io


def _native(dice: random.Random) -> Object:
    types = dice.choice((["Ingress"], ["Egress"], ["Ingress", "Egress"], None))
    spec: Object = {"podSelector": _selector(dice)}
    if types is not None:
        spec["policyTypes"] = types
    for field, side in (("ingress", "from"), ("egress", "to")):
        # The API server takes rules of a type that is not named, and nobody reads them.
        named = types is None or field.capitalize() in types
        if named and dice.random() < 0.8:
            spec[field] = _some(dice, functools.partial(_native_rule, side=side))
    return spec


def _native_rule(dice: random.Random, side: str) -> Object:
    rule: Object = {}
    if dice.random() < 0.8:
        rule[side] = _some(dice, _native_peer, 2)
    if dice.random() < 0.7:
        rule["ports"] = _some(dice, _native_port, 2)
    return rule


def _native_peer(dice: random.Random) -> Object:
    if dice.random() < 0.35:
        return {"ipBlock": _block(dice)}
    peer: Object = {}
    if dice.random() < 0.6:
        peer["namespaceSelector"] = _selector(dice, _SPACE_KEYS, ("llm", "apps", "a"))
    if dice.random() < 0.6 or not peer:
        peer["podSelector"] = _selector(dice)
    return peer


def _block(dice: random.Random) -> Object:
    cidr = dice.choice(_CIDRS)
    parts = [one for one in _PARTS.get(cidr, ()) if dice.random() < 0.5]
    return {"cidr": cidr, **({"except": parts} if parts else {})}


def _native_port(dice: random.Random) -> Object:
    port: Object = {}
    if dice.random() < 0.7:
        port["protocol"] = dice.choice(_PROTOCOLS)
    if dice.random() < 0.8:
        port["port"] = dice.choice(_PORTS)
        if dice.random() < 0.2:
            port["endPort"] = port["port"] + dice.choice((1, 1100))
    return port


# --- cilium.io


def _cilium(dice: random.Random) -> Object:
    spec: Object = {"endpointSelector": _selector(dice)}
    for field, side in (("ingress", "from"), ("egress", "to")):
        if dice.random() < 0.75:
            rules = _some(dice, functools.partial(_cilium_rule, side=side))
            spec[field] = rules if dice.random() < 0.95 else []
        if dice.random() < 0.2:
            spec[f"{field}Deny"] = _some(dice, functools.partial(_denial, side=side), 2)
        if dice.random() < 0.1:
            spec.setdefault("enableDefaultDeny", {})[field] = dice.random() < 0.5
    return spec


def _cilium_rule(dice: random.Random, side: str) -> Object:
    rule = _cilium_peers(dice, side)
    if dice.random() < 0.03:
        # Two kinds of peers: the agent rejects the policy.
        rule |= _cilium_peers(dice, side)
    if dice.random() < 0.03:
        rule["icmps"] = [{"fields": [{"type": 8, "family": "IPv4"}]}]
    elif dice.random() < 0.7:
        rule["toPorts"] = _some(dice, lambda d: _cilium_ports(d, side), 2)
    return rule


def _denial(dice: random.Random, side: str) -> Object:
    rule = _cilium_peers(dice, side)
    rule.pop("toFQDNs", None)
    if dice.random() < 0.7:
        rule["toPorts"] = [{"ports": _some(dice, _cilium_port, 2)}]
    return rule


def _cilium_peers(dice: random.Random, side: str) -> Object:
    kinds: dict[str, Callable[[random.Random], Any]] = {
        "Endpoints": _cilium_selector,
        "Entities": lambda d: d.choice(_ENTITIES),
        "CIDR": lambda d: d.choice(_CIDRS),
        "CIDRSet": _block,
    }
    if side == "to":
        kinds["FQDNs"] = _host
    if dice.random() < 0.1:
        return {}
    kind = dice.choice(list(kinds))
    return {f"{side}{kind}": _some(dice, kinds[kind], 2) if dice.random() < 0.95 else []}


def _cilium_selector(dice: random.Random) -> Object:
    """A selector that may say of its labels where they come from, and name a namespace."""
    source = dice.choice(("", "k8s:", "any:"))
    keys = tuple(f"{source}{key}" for key in _KEYS)
    selector = _selector(dice, keys)
    if dice.random() < 0.5:
        key = dice.choice(
            (
                f"k8s:{endpoints.NAMESPACE}",
                endpoints.NAMESPACE,
                f"k8s:{endpoints.NAMESPACE_LABELS}{endpoints.NAMESPACE_NAME}",
            )
        )
        labels = {**selector.get("matchLabels", {}), key: dice.choice(_NAMESPACES)}
        selector["matchLabels"] = labels
    elif dice.random() < 0.05:
        selector["matchLabels"] = {"reserved:host": ""}
    return selector


def _host(dice: random.Random) -> Object:
    if dice.random() < 0.5:
        return {"matchName": dice.choice(_HOSTS)}
    return {"matchPattern": dice.choice(_PATTERNS)}


def _cilium_ports(dice: random.Random, side: str) -> Object:
    ports: Object = {"ports": _some(dice, _cilium_port, 2)} if dice.random() < 0.95 else {}
    if side == "to" and dice.random() < 0.1:
        ports = {
            "ports": [{"port": "443", "protocol": dice.choice(("ANY", *_PROTOCOLS))}],
            "rules": {"dns": [_host(dice)]},
        }
    elif dice.random() < 0.1:
        ports = {
            # HTTP and DNS on one port is a conflict, of which nothing comes at all.
            "ports": [{"port": str(dice.choice(_PORTS[1:])), "protocol": "TCP"}],
            "rules": {"http": [{"method": "GET"}]},
        }
    return ports


def _cilium_port(dice: random.Random) -> Object:
    port: Object = {"port": str(dice.choice((*_PORTS, *_PORTS, 0)))}
    if dice.random() < 0.8:
        port["protocol"] = dice.choice((*_PROTOCOLS, "ANY"))
    if port["port"] != "0" and dice.random() < 0.2:
        port["endPort"] = int(port["port"]) + dice.choice((1, 1100))
    return port
