"""CiliumNetworkPolicies of cilium.io/v2, read as the agent of 1.20 reads them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from function.reach import endpoints, policies

KIND = "CiliumNetworkPolicy"

_SIDES = {policies.Direction.EGRESS: "to", policies.Direction.INGRESS: "from"}
# The kinds of peers that a rule may name, after `from` or `to`: one of them, or the agent rejects
# the policy.
_PEERS = ("Endpoints", "Entities", "CIDR", "CIDRSet", "Nodes", "Groups", "Services", "FQDNs")
# What a manifest does not tell the members of.
_UNDECIDED = ("Groups", "Services")
_WORLD = ("world", "world-ipv4", "world-ipv6")
_CLUSTER = ("host", "remote-node", "init", "ingress", "health", "unmanaged", "kube-apiserver")
# The entities that are more than the reserved label of their name.
_ENTITIES = {"world": _WORLD, "cluster": _CLUSTER, "cluster-mesh": _CLUSTER}


def read(manifest: Mapping[str, Any]) -> Iterator[policies.Policy]:
    """Yields the policies of a CiliumNetworkPolicy: of its `spec`, and of each of its `specs`.

    The agent rejects an object as a whole.
    """
    metadata = manifest["metadata"]
    namespace = str(metadata.get("namespace") or "default")
    parts = {"": manifest["spec"]} if manifest.get("spec") is not None else {}
    parts |= {f"specs[{n}].": part for n, part in enumerate(manifest.get("specs") or [])}
    refused = next((words for part in parts.values() if (words := _refusal(part))), "")
    for place, part in parts.items():
        selector = part.get("endpointSelector") or {}
        subject = _Labels(selector, namespace=None)
        yield policies.Policy(
            KIND,
            namespace,
            str(metadata["name"]),
            subject.holds,
            _half(part, policies.Direction.EGRESS, namespace, place),
            _half(part, policies.Direction.INGRESS, namespace, place),
            refused,
            # A key without a source is of any, and pods have such a label from Kubernetes alone.
            policies.instance(policies.requirements(selector)),
        )


def _half(
    spec: Mapping[str, Any], direction: policies.Direction, namespace: str, place: str
) -> policies.Half:
    rules = tuple(_rules(spec, direction, namespace, place))
    closes = (spec.get("enableDefaultDeny") or {}).get(direction)
    # Without a rule nothing is closed, whatever `enableDefaultDeny` says.
    return policies.Half(bool(rules) and closes is not False, rules)


def _rules(
    spec: Mapping[str, Any], direction: policies.Direction, namespace: str, place: str
) -> Iterator[policies.Rule]:
    for field, denies in ((f"{direction}Deny", True), (str(direction), False)):
        for index, rule in enumerate(spec.get(field) or []):
            yield policies.Rule(
                f"{place}{field}[{index}]",
                tuple(_peers(rule, _SIDES[direction], namespace)),
                _ports(rule),
                denies,
                _narrows(rule),
                tuple(_taught(rule)),
            )


def _refusal(spec: Mapping[str, Any]) -> str:
    """Returns why the agent rejects a policy as a whole, or empty.

    Of what it rejects, what the API server takes: the rest is refused before.
    """
    fields = ("ingress", "ingressDeny", "egress", "egressDeny")
    if spec.get("endpointSelector") is None:
        return "it has no endpointSelector"
    if not any(spec.get(field) for field in fields):
        return "it has no rule"
    for field in fields:
        side = "from" if field.startswith("ingress") else "to"
        for index, rule in enumerate(spec.get(field) or []):
            named = [f"{side}{peer}" for peer in _PEERS if rule.get(f"{side}{peer}")]
            if len(named) > 1:
                return f"{field}[{index}] names {' and '.join(named)}: one kind of peers is allowed"
            if f"{side}Nodes" in named:
                return f"{field}[{index}].{named[0]} needs agents with enable-node-selector-labels"
            if rule.get("icmps") and rule.get("toPorts"):
                return f"{field}[{index}] has icmps beside toPorts"
    return ""


# --- peers


def _peers(rule: Mapping[str, Any], side: str, namespace: str) -> Iterator[policies.Peer]:
    given = {peer: rule.get(f"{side}{peer}") for peer in _PEERS}
    # An empty list of these is as none at all. One of the others is about nobody, and so is the
    # rule then.
    lists = {
        peer: listed
        for peer, listed in given.items()
        if listed or (listed is not None and peer not in ("Groups", "Services", "FQDNs"))
    }
    if not all(lists.values()):
        return
    if not lists and rule.get("toPorts"):
        yield policies.Everyone()
    # A rule without peers and ports is about nobody: it only closes.
    for peer, listed in lists.items():
        if peer in _UNDECIDED:
            yield policies.Undecided(f"{side}{peer}")
        for one in listed:
            yield from _named(peer, one, namespace)


def _named(peer: str, one: Any, namespace: str) -> Iterator[policies.Peer]:
    if peer == "Endpoints":
        yield _Labels(one, namespace)
    elif peer == "Entities":
        yield _Entity(str(one))
    elif peer == "CIDR":
        yield policies.addresses(one)
    elif peer == "CIDRSet":
        if one.get("cidr"):
            yield policies.addresses(one["cidr"], tuple(one.get("except") or ()))
        else:
            yield policies.Undecided("cidrGroup")
    elif peer == "FQDNs":
        yield policies.Hosts(pattern(one.get("matchName"), one.get("matchPattern")))


class _Labels:
    """Endpoints by the labels that Cilium knows them by.

    A key may say where its label comes from (`k8s:app`). Without that, any source will do.
    """

    def __init__(self, selector: Mapping[str, Any], namespace: str | None) -> None:
        """Reads a selector.

        Args:
            selector: The selector.
            namespace: The namespace that it is confined to unless it names one; None where the
                policy itself is confined.
        """
        asked = policies.requirements(selector)
        keys = [one.key for one in asked]
        if namespace is not None and not any(key.startswith("reserved:") for key in keys):
            bare = [key.removeprefix("k8s:").removeprefix("any:") for key in keys]
            spaces = endpoints.NAMESPACE_LABELS.rstrip(".")
            if not any(key == endpoints.NAMESPACE or key.startswith(spaces) for key in bare):
                asked += (_equal(endpoints.NAMESPACE, namespace),)
            if endpoints.CLUSTER not in bare:
                asked += (_equal(endpoints.CLUSTER, endpoints.CLUSTER_NAME),)
        self._asked = tuple((one, *_source(one.key)) for one in asked)

    def holds(self, endpoint: endpoints.Endpoint) -> bool:
        """Tells whether an endpoint is meant."""
        labels = endpoint.known_by
        asked = self._asked
        return all(one.holds(_label(labels, source, name)) for one, source, name in asked)


def _equal(key: str, value: str) -> policies.Requirement:
    return policies.Requirement(f"k8s:{key}", "In", frozenset((value,)))


def _source(key: str) -> tuple[str | None, str]:
    """Returns the source of labels that a key names, None for any, and the label's own name."""
    source, colon, rest = key.partition(":")
    return (source if colon and source != "any" else None), (rest if colon else key)


def _label(labels: Mapping[str, Mapping[str, str]], source: str | None, name: str) -> str | None:
    """Returns a label's value by the source that it has to be of; None where it is not there."""
    if source is not None:
        return labels[source].get(name) if source in labels else None
    for one in labels.values():
        if name in one:
            return one[name]
    return None


class _Entity:
    """A class of endpoints that Cilium has a word for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def holds(self, endpoint: endpoints.Endpoint) -> bool:
        """Tells whether an endpoint is meant."""
        if self._name == "all":
            return True
        if endpoint.kind is endpoints.Kind.POD:
            return self._name in ("cluster", "cluster-mesh")
        reserved = endpoint.known_by["reserved"]
        return any(name in reserved for name in _ENTITIES.get(self._name, (self._name,)))


_CHARACTER = "[-a-zA-Z0-9_]"


def pattern(name: str | None, written: str | None) -> re.Pattern[str]:
    """Returns what names a `matchName` or a `matchPattern` is about, each with its last dot."""
    if name:
        return re.compile(re.escape(f"{name.lower().rstrip('.')}."))
    text = (written or "").lower().strip()
    if re.fullmatch(r"\*+\.?", text):
        return re.compile(rf"({_CHARACTER}+[.])+|[.]")
    text = f"{text.rstrip('.')}.".replace(".", "[.]")
    text = re.sub(r"^\*{2,}\[\.\]", f"({_CHARACTER}+([.]{_CHARACTER}+)@)[.]", text)
    return re.compile(re.sub(r"\*+", f"{_CHARACTER}*", text).replace("@", "*"))


# --- ports


def _ports(rule: Mapping[str, Any]) -> tuple[policies.Ports, ...] | None:
    if rule.get("icmps"):
        return ()
    listed = [port for one in rule.get("toPorts") or [] for port in one.get("ports") or []]
    return tuple(map(_port, listed)) if rule.get("toPorts") else None


def _port(port: Mapping[str, Any]) -> policies.Ports:
    protocol, number = port.get("protocol") or "ANY", str(port.get("port") or "0")
    if not number.isdecimal():
        return policies.Ports(protocol, name=number.lower())
    return policies.Ports(protocol, int(number), int(port.get("endPort") or 0))


def _narrows(rule: Mapping[str, Any]) -> str:
    """Returns what else a flow must be, or empty."""
    words = []
    for one in rule.get("toPorts") or []:
        if (one.get("rules") or {}).get("http"):
            words.append("its HTTP rules")
        if one.get("serverNames"):
            words.append("its server names")
        if one.get("listener"):
            words.append("its listener")
    if (rule.get("authentication") or {}).get("mode") not in (None, "disabled"):
        words.append("mutual authentication")
    return " and ".join(dict.fromkeys(words))


def _taught(rule: Mapping[str, Any]) -> Iterator[policies.Hosts]:
    for one in rule.get("toPorts") or []:
        for host in (one.get("rules") or {}).get("dns") or []:
            yield policies.Hosts(pattern(host.get("matchName"), host.get("matchPattern")))
