"""What a flow leaves and enters: pods, nodes, the API server and what is outside the cluster."""

import dataclasses
import enum
import functools
import ipaddress
from collections.abc import Mapping
from typing import Any

# The labels that Cilium gives pods beside their own (`pkg/k8s/apis/cilium.io/const.go`).
NAMESPACE = "io.kubernetes.pod.namespace"
NAMESPACE_LABELS = "io.cilium.k8s.namespace.labels."
CLUSTER = "io.cilium.k8s.policy.cluster"
# The label that the API server gives every namespace.
NAMESPACE_NAME = "kubernetes.io/metadata.name"
# The name of a cluster whose agents were told no other.
CLUSTER_NAME = "default"

Labels = tuple[tuple[str, str], ...]


class Kind(enum.StrEnum):
    """What an endpoint is."""

    POD = "pod"
    NODE = "node"
    """The node of the pod at the other end: its kubelet, and agents on its own network."""
    OTHER_NODE = "other-node"
    API_SERVER = "api-server"
    """An API server outside the nodes, as managed clusters have it."""
    OUTSIDE = "outside"


# The words that Cilium has for what is no pod.
_RESERVED = {
    Kind.NODE: ("host",),
    Kind.OTHER_NODE: ("remote-node",),
    Kind.API_SERVER: ("kube-apiserver",),
}


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """One end of flows.

    Attributes:
        kind: What it is.
        name: What people call it.
        namespace: A pod's namespace.
        labels: A pod's labels.
        namespace_labels: Labels of its namespace, beside the one with its name.
        address: An address outside the cluster. That of a pod is not known ahead.
        hosts: Names that DNS answers with this address.
        ports: Names of a pod's ports.
    """

    kind: Kind
    name: str
    namespace: str = ""
    labels: Labels = ()
    namespace_labels: Labels = ()
    address: str = ""
    hosts: tuple[str, ...] = ()
    ports: tuple[tuple[str, int], ...] = ()

    def __hash__(self) -> int:
        """The hash, worked out once: ends are the keys of what is known of them."""
        return self._hash

    @functools.cached_property
    def _hash(self) -> int:
        return hash((self.kind, self.name, self.namespace, self.labels, self.address, self.hosts))

    @functools.cached_property
    def of_namespace(self) -> Mapping[str, str]:
        """The labels of a pod's namespace."""
        return {NAMESPACE_NAME: self.namespace, **dict(self.namespace_labels)}

    @functools.cached_property
    def known_by(self) -> Mapping[str, Mapping[str, str]]:
        """The labels that Cilium knows it by, by where they come from."""
        if self.kind is Kind.POD:
            spaces = {f"{NAMESPACE_LABELS}{key}": text for key, text in self.of_namespace.items()}
            own = {NAMESPACE: self.namespace, CLUSTER: CLUSTER_NAME}
            return {"k8s": {**dict(self.labels), **spaces, **own}}
        return {"reserved": dict.fromkeys((*_RESERVED.get(self.kind, ()), *self._world), "")}

    @functools.cached_property
    def _world(self) -> tuple[str, ...]:
        parsed = self.parsed_address
        return () if parsed is None else (f"world-ipv{parsed.version}",)

    @functools.cached_property
    def parsed_address(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """The address, where it has one."""
        return ipaddress.ip_address(self.address) if self.address else None

    def document(self) -> dict[str, Any]:
        """Returns the same for machines, without what is empty."""
        whole = {
            "kind": str(self.kind),
            "name": self.name,
            "namespace": self.namespace,
            "labels": dict(self.labels),
            "namespaceLabels": dict(self.of_namespace) if self.kind is Kind.POD else {},
            "address": self.address,
            "hosts": list(self.hosts),
            "ports": dict(self.ports),
        }
        return {key: value for key, value in whole.items() if value}


def pod(
    name: str,
    namespace: str,
    labels: Mapping[str, str] | None = None,
    ports: Mapping[str, int] | None = None,
) -> Endpoint:
    """Returns pods of a namespace with these labels."""
    return _pod(
        name, namespace, tuple(sorted((labels or {}).items())), tuple(sorted((ports or {}).items()))
    )


# The same pods are named by every claim and for every port: what is worked out of them is kept.
@functools.lru_cache(maxsize=4096)
def _pod(name: str, namespace: str, labels: Labels, ports: tuple[tuple[str, int], ...]) -> Endpoint:
    return Endpoint(Kind.POD, name, namespace, labels, ports=ports)
