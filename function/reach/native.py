"""NetworkPolicies of networking.k8s.io, read."""

from collections.abc import Iterator, Mapping
from typing import Any

from function.reach import endpoints, policies

KIND = "NetworkPolicy"


def read(manifest: Mapping[str, Any]) -> Iterator[policies.Policy]:
    """Yields the policy of a NetworkPolicy."""
    metadata, spec = manifest["metadata"], manifest.get("spec") or {}
    namespace = str(metadata.get("namespace") or "default")
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    asked = policies.requirements(spec.get("podSelector") or {})

    def selects(pod: endpoints.Endpoint) -> bool:
        return policies.meets(asked, dict(pod.labels).get)

    def half(direction: policies.Direction) -> policies.Half:
        if str(direction).capitalize() not in types:
            return policies.Half()
        return policies.Half(True, tuple(_rules(spec, direction, namespace)))

    yield policies.Policy(
        KIND,
        namespace,
        str(metadata["name"]),
        selects,
        half(policies.Direction.EGRESS),
        half(policies.Direction.INGRESS),
        instance=policies.instance(asked),
    )


def _rules(
    spec: Mapping[str, Any], direction: policies.Direction, namespace: str
) -> Iterator[policies.Rule]:
    side = "to" if direction is policies.Direction.EGRESS else "from"
    for index, rule in enumerate(spec.get(direction) or []):
        peers = tuple(_peer(one, namespace) for one in rule.get(side) or [])
        ports = tuple(map(_ports, rule.get("ports") or []))
        # Without peers, and without ports, a rule is about each of them.
        yield policies.Rule(f"{direction}[{index}]", peers or (policies.Everyone(),), ports or None)


class _Pods:
    """Pods by their labels and their namespace's."""

    def __init__(self, peer: Mapping[str, Any], namespace: str) -> None:
        self._pods = policies.requirements(peer.get("podSelector") or {})
        spaces = peer.get("namespaceSelector")
        self._spaces = None if spaces is None else policies.requirements(spaces)
        self._namespace = namespace

    def holds(self, endpoint: endpoints.Endpoint) -> bool:
        """Tells whether an endpoint is meant."""
        if endpoint.kind is not endpoints.Kind.POD:
            return False
        if self._spaces is None:
            near = endpoint.namespace == self._namespace
        else:
            near = policies.meets(self._spaces, endpoint.of_namespace.get)
        return near and policies.meets(self._pods, dict(endpoint.labels).get)


def _peer(peer: Mapping[str, Any], namespace: str) -> policies.Peer:
    block = peer.get("ipBlock")
    if block is not None:
        return policies.addresses(block["cidr"], tuple(block.get("except") or ()))
    return _Pods(peer, namespace)


def _ports(port: Mapping[str, Any]) -> policies.Ports:
    protocol, number = port.get("protocol") or "TCP", port.get("port")
    if isinstance(number, str):
        return policies.Ports(protocol, name=number)
    return policies.Ports(protocol, int(number or 0), int(port.get("endPort") or 0))
