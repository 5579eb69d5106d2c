"""Whom a claim lets in, what its pods may reach, and under which host it is published."""

import ipaddress
from collections.abc import Iterator
from typing import Any

from function.api import base, cilium, claim, claim_traffic, kubernetes, settings
from function.boundary import grants, permissions
from function.cluster import observed

# What every pod of a cluster is told apart from by no label: with one of these a rule lets in, or
# lets reach, more than pods and networks that it names.
_WIDE_ENTITIES = frozenset(
    (
        "all",
        "cluster",
        "cluster-mesh",
        "host",
        "kube-apiserver",
        "remote-node",
        "unmanaged",
        "world",
    )
)
_PLATFORM_KEYS = frozenset(("fromGroups", "fromNodes", "toGroups", "toNodes", "toServices"))
_NAMESPACE_KEY = "io.kubernetes.pod.namespace"
# Where clouds answer with a node's credentials, and nodes with their own services.
_LINK_LOCAL = tuple(
    ipaddress.ip_network(network)
    for network in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128")
)


def refusals(resource: claim.InferenceService, site: settings.Settings) -> Iterator[base.Problem]:
    """Yields callers, hosts and raw rules that the settings do not allow."""
    yield from _callers(resource, site)
    yield from _hostname(resource, site)
    yield from _rules(resource, site)


def _callers(resource: claim.InferenceService, site: settings.Settings) -> Iterator[base.Problem]:
    access = resource.spec.access
    for index, caller in enumerate(access.from_ if access is not None else []):
        if caller.namespace not in (None, resource.namespace):
            path = f"spec.access.from[{index}].namespace"
            yield from grants.outside("callers", path, str(caller.namespace), resource, site)


def _hostname(resource: claim.InferenceService, site: settings.Settings) -> Iterator[base.Problem]:
    route, path = resource.spec.route, "spec.route.hostname"
    if route is None or route.enabled is not True or route.hostname is None:
        return
    short, domain = route.hostname, site.private_domain_name
    full = f"{short}.{domain}" if domain is not None else short
    gateway = site.gateway.hostname or (f"llm.{domain}" if domain is not None else "llm")
    if site.providers.gateway != "none" and full == gateway:
        yield base.Problem(path, f"{full} is the AI gateway's own host")
    elif short in site.route.reserved_hostnames:
        yield base.Problem(
            path, f"the settings keep {short!r} for the platform (route.reservedHostnames)"
        )
    else:
        yield from grants.outside("hostnames", path, short, resource, site)


def _rules(resource: claim.InferenceService, site: settings.Settings) -> Iterator[base.Problem]:
    """Yields raw rules that are none, and those that need a permission.

    An empty list, and a rule without content, let in nobody: that needs none.
    """
    raw = resource.spec.network_policies or claim_traffic.NetworkPolicies()
    for field, rules in (("ingress", raw.ingress), ("egress", raw.egress)):
        for index, rule in enumerate(rules or []):
            path = f"spec.networkPolicies.{field}[{index}]"
            wrong = list(kubernetes.problems(cilium.RULES[field], rule, path))
            yield from wrong
            if not wrong and rule:
                yield from permissions.closed("raw_policies", path, resource.namespace, site)
                yield from _wide(rule, path, resource.namespace, site)


def _wide(
    rule: dict[str, Any], path: str, namespace: str, site: settings.Settings
) -> Iterator[base.Problem]:
    """Yields what in a rule belongs to the platform: entities, nodes, Secrets, whole networks."""
    for at, words in (*_peers(rule), *_ports(rule)):
        yield from permissions.closed("platform_policies", f"{path}.{at}", namespace, site, words)


def _peers(rule: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key in sorted(_PLATFORM_KEYS & rule.keys()):
        yield key, "it names what belongs to the platform"
    for side in ("from", "to"):
        for index, entity in enumerate(rule.get(f"{side}Entities") or []):
            if entity in _WIDE_ENTITIES:
                yield f"{side}Entities[{index}]", f"{entity} is more than pods that it names"
        for index, selector in enumerate(rule.get(f"{side}Endpoints") or []):
            if _everywhere(selector):
                yield f"{side}Endpoints[{index}]", "it selects more than pods of one namespace"
        networks = list(enumerate(rule.get(f"{side}CIDR") or []))
        for index, network in networks:
            if _reaches_nodes(network):
                yield f"{side}CIDR[{index}]", f"{network} holds link-local addresses"
        for index, entry in enumerate(rule.get(f"{side}CIDRSet") or []):
            if "cidr" not in entry or _reaches_nodes(entry["cidr"]):
                yield f"{side}CIDRSet[{index}]", "it is a group, or holds link-local addresses"
    for index, host in enumerate(rule.get("toFQDNs") or []):
        if not host.get("matchName", host.get("matchPattern", "")).strip("*."):
            yield f"toFQDNs[{index}]", "it is every host"


def _everywhere(selector: dict[str, Any]) -> bool:
    """Tells whether a selector is about more than pods of namespaces that it names."""
    expressions = selector.get("matchExpressions") or []
    keys = [*(selector.get("matchLabels") or {}), *(entry["key"] for entry in expressions)]
    if any(key.startswith(("reserved:", "reserved.")) for key in keys):
        return True
    return any(
        _NAMESPACE_KEY in entry["key"] and entry["operator"] != "In" for entry in expressions
    )


def _reaches_nodes(network: str) -> bool:
    written = ipaddress.ip_network(network, strict=False)
    return any(
        written.version == local.version and written.overlaps(local) for local in _LINK_LOCAL
    )


def _ports(rule: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for index, ports in enumerate(rule.get("toPorts") or []):
        at = f"toPorts[{index}]"
        for key in ("listener", "originatingTLS", "terminatingTLS"):
            if key in ports:
                yield f"{at}.{key}", "it names a proxy or a Secret of the platform"
        for number, http in enumerate(observed.at(ports, "rules", "http") or []):
            for place, match in enumerate(http.get("headerMatches") or []):
                if "secret" in match:
                    where = f"{at}.rules.http[{number}].headerMatches[{place}].secret"
                    yield where, "it names a Secret of the platform"
