"""Programs of the tests that are webhooks of the API server, registered as upstream registers them.

The API server reaches a webhook by a Service. Its programs run beside the API server, so that the
Service is an external name, ``localhost``, and names the port.
"""

from __future__ import annotations

import base64
import copy
import socket
from collections.abc import Callable, Iterable

from e2e.controlplane import api

KINDS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")


def service(name: str, namespace: str, port: int) -> api.Object:
    """The Service of a program that listens on a port of this machine."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "type": "ExternalName",
            "externalName": "localhost",
            "ports": [{"name": "https", "port": port}],
        },
    }


def client(of: api.Object, path: str | None = None, authority: bytes | None = None) -> api.Object:
    """How the API server reaches a Service, with the authority that signed its certificate."""
    metadata = of["metadata"]
    place = {"name": metadata["name"], "namespace": metadata["namespace"]}
    port = {"port": of["spec"]["ports"][0]["port"]}
    config: api.Object = {"service": place | port | ({"path": path} if path else {})}
    if authority is not None:
        config["caBundle"] = base64.b64encode(authority).decode()
    return config


def configurations(
    manifests: Iterable[api.Object],
    prefix: str,
    of: api.Object,
    *,
    authority: bytes | None = None,
    narrow: Callable[[api.Object], api.Object],
) -> list[api.Object]:
    """The webhook configurations of upstream's manifests, as its installation writes them.

    Args:
        manifests: What upstream generates from its sources.
        prefix: What the installation puts before their names.
        of: The Service of the program.
        authority: Certificate of who signed the program's own; None where the program writes it.
        narrow: The selector that the installation adds to a webhook, or nothing.
    """
    result = []
    for manifest in manifests:
        if manifest["kind"] not in KINDS:
            continue
        made = copy.deepcopy(manifest)
        made["metadata"]["name"] = f"{prefix}-{manifest['metadata']['name']}"
        for hook in made["webhooks"]:
            path = hook["clientConfig"]["service"]["path"]
            hook["clientConfig"] = client(of, path, authority)
            hook |= narrow(hook)
        result.append(made)
    return result


def listens(port: int) -> bool:
    """Tells whether somebody listens on a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True
