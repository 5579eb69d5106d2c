"""Names in the cluster for programs that run beside it."""

from __future__ import annotations

from e2e.controlplane import api


def outside(name: str, namespace: str, port: int, address: str, target: int) -> list[api.Object]:
    """A Service without pods, and where it leads.

    Args:
        name: Its name.
        namespace: Its namespace.
        port: Its port.
        address: Where pods reach the program.
        target: The program's port there.
    """
    meta = {"name": name, "namespace": namespace}
    named = {"name": "main", "protocol": "TCP"}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"ports": [{**named, "port": port, "targetPort": target}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**meta, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "ports": [{**named, "port": target}],
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        },
    ]
