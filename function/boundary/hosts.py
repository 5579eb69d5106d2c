"""Hosts outside of the cluster that authors name, and to which the gateway's proxies connect.

The proxies reach what authors do not: other namespaces, nodes, the API server. So a pattern that is
every host (`*`) stands for hosts of the world. What may lie inside has to be named.
"""

import re
from collections.abc import Iterator

from pydantic import alias_generators

from function.api import base, settings
from function.boundary import grants

# A resolver takes 0x7f.1 and 2130706433 for addresses too.
_NUMBER = re.compile(r"([0-9]+|0x[0-9a-f]*)$")
# `internal` is kept for private networks, and clouds have their metadata there.
_OURS = ("internal", "local", "localhost", "pod", "svc")
# A pod's resolver tries the cluster's domains first: kubernetes.default is a Service.
_FEWEST_PARTS = 3


def outside(
    field: str, path: str, host: str, resource: grants.Named, site: settings.Settings
) -> Iterator[base.Problem]:
    """Yields a problem when the settings do not let a claim name a host.

    Args:
        field: Field of the settings' `allowed`, in Python's spelling.
        path: Field of the claim that names it.
        host: What the author wrote.
        resource: The claim.
        site: The settings.
    """
    why = _inside(host.lower(), site)
    if why is None:
        yield from grants.outside(field, path, host, resource, site)
        return
    named = (one for one in grants.patterns(getattr(site.allowed, field), resource))
    if not any(grants.matches(one, host) for one in named if one.strip("*.")):
        setting = f"allowed.{alias_generators.to_camel(field)}"
        words = f"{host!r} {why}, and the settings do not name it: `*` does not cover it"
        yield base.Problem(path, f"{words} ({setting}, namespace {resource.namespace})")


def _inside(host: str, site: settings.Settings) -> str | None:
    """Returns why a host may lie inside of the cluster, or None for one of the world."""
    parts = host.split(".")
    if _NUMBER.match(parts[-1]):
        return "is an address"
    domain = site.network.cluster_domain
    if parts[-1] in _OURS or len(parts) < _FEWEST_PARTS or host.endswith(f".{domain}"):
        return "may be a name inside of the cluster"
    return None
