"""Hosts outside of the cluster that authors name, and to which the gateway's proxies connect.

The proxies reach what authors do not: other namespaces, nodes, the API server. So a pattern that is
every host (`*`) stands for hosts of the world. What may lie inside has to be named. A pod's
resolver tries the cluster's domains first, which makes a Service of kubernetes.default. By its last
part a host is told from one: the world has a list of those.
"""

import functools
import pathlib
import re
from collections.abc import Iterator

from pydantic import alias_generators

from function.api import base, settings
from function.boundary import grants

# A resolver takes 0x7f.1 and 2130706433 for addresses too.
_NUMBER = re.compile(r"([0-9]+|0x[0-9a-f]*)$")
# ip-10-0-0-1.ec2.amazonaws.com, 10.0.0.1.sslip.io: whoever has the domain answers with the address.
_HOLDS_ADDRESS = re.compile(r"(?<![0-9])[0-9]{1,3}([-.][0-9]{1,3}){3}(?![0-9])")
_ANSWERS_ANYTHING = (".nip.io", ".sslip.io")


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
    if _HOLDS_ADDRESS.search(host) or host.endswith(_ANSWERS_ANYTHING):
        return "may stand for an address"
    domain = site.network.cluster_domain
    if len(parts) == 1 or parts[-1] not in _domains() or host.endswith(f".{domain}"):
        return "may be a name inside of the cluster"
    return None


@functools.cache
def _domains() -> frozenset[str]:
    """Returns the top-level domains of the world."""
    text = pathlib.Path(__file__).with_name("domains.txt").read_text(encoding="ascii")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return frozenset(word for line in lines for word in line.split())
