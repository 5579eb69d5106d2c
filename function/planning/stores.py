"""Where the object store of `model.source: s3` is, and how pods come to it."""

import dataclasses
import ipaddress
import re
from collections.abc import Iterable

from function.api import settings, settings_forms, settings_traffic
from function.boundary import grants

# Where AWS keeps S3, by region: the store of settings that name no endpoint.
_AWS = "https://s3.{region}.amazonaws.com"
_HOST = re.compile(r"[a-z]+://(?:[^@/]*@)?(\[[^\]]*\]|[^:/?#]+)")


@dataclasses.dataclass(frozen=True)
class Store:
    """The ends of the flows from pods to the store.

    Attributes:
        host: Host of the endpoint.
        port: Its port.
        names: Names under which clients ask for the buckets; none where the host is an address.
        networks: Networks of the store, in the settings' words.
        pods: Pods of a store in the cluster, or None.
        hosts: Other hosts, on port 443.
        node_ports: Ports of the pod's own node.
    """

    host: str
    port: int
    names: tuple[str, ...]
    networks: tuple[str, ...]
    pods: settings_traffic.Peer | None
    hosts: tuple[str, ...]
    node_ports: tuple[int, ...]


def region(site: settings.Settings) -> str | None:
    """Returns the region of the buckets, or None where no setting says it."""
    return site.object_store.bucket_region or site.region


def endpoint(site: settings.Settings) -> str | None:
    """Returns the address of the store, or None where no setting says it."""
    where = region(site)
    if site.object_store.endpoint is not None or where is None:
        return site.object_store.endpoint
    return _AWS.format(region=where)


def store(site: settings.Settings, addresses: Iterable[str]) -> Store | None:
    """Returns the store, or None where nothing is read from it or nobody says where it is.

    Args:
        site: The settings.
        addresses: What is read, such as s3://models/qwen; empty texts are left out.
    """
    buckets = sorted({one.split("/")[2] for one in addresses if one})
    url, given = endpoint(site), site.object_store
    match = None if url is None else _HOST.match(url)
    if not buckets or url is None or match is None:
        return None
    host = match[1].strip("[]").lower()
    networks = list(given.egress_cidrs)
    names: tuple[str, ...] = ()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        # By which of the two a client asks depends on the client: boto3 takes the path of an
        # endpoint that it was told, and the streamer's own reader the name.
        inside = () if given.path_style else tuple(f"{bucket}.{host}" for bucket in buckets)
        names = (host, *inside)
    else:
        networks.append(str(ipaddress.ip_network(address)))
    return Store(
        host=host,
        port=settings_forms.port(url),
        names=names,
        networks=tuple(dict.fromkeys(networks)),
        pods=given.pods,
        hosts=tuple(one.replace("{region}", region(site) or "") for one in given.egress_hosts),
        node_ports=tuple(given.egress_host_ports),
    )


def identity(site: settings.Settings, resource: grants.Named) -> dict[str, str]:
    """Returns the annotations that give the claim's ServiceAccount an identity at the store."""
    annotations = site.object_store.service_account_annotations
    return {key: grants.filled(value, resource) for key, value in annotations.items()}
