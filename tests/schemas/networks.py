"""Checks of Services and NetworkPolicies that Kubernetes has in code.

Source: Kubernetes 1.36 `validateService` in `pkg/apis/core/validation` and
`pkg/apis/networking/validation`.
"""

import ipaddress
import typing
from collections import abc

from tests.schemas import containers, formats, names

Object: typing.TypeAlias = abc.Mapping[str, typing.Any]
Findings: typing.TypeAlias = containers.Findings
Network: typing.TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

# Fields that Kubernetes checks in code and nothing here does; no object of this product has them.
_UNCHECKED = (
    "allocateLoadBalancerNodePorts",
    "clusterIPs",
    "externalIPs",
    "externalTrafficPolicy",
    "healthCheckNodePort",
    "ipFamilies",
    "loadBalancerClass",
    "loadBalancerIP",
    "loadBalancerSourceRanges",
    "trafficDistribution",
)
_SERVICE_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
_TRAFFIC_POLICIES = ("Cluster", "Local")
# Seconds of session affinity: one day.
_AFFINITY_LIMIT = 86400


def service(obj: Object, out: Findings) -> None:
    """Check a Service."""
    spec = obj.get("spec", {})
    kind = spec.get("type", "ClusterIP")
    containers.one_of(kind, _SERVICE_TYPES, "spec.type", out)
    headless = spec.get("clusterIP") == "None"
    if not spec.get("ports") and not headless and kind != "ExternalName":
        containers.fail(out, "spec.ports", "required")
    if headless and kind in ("NodePort", "LoadBalancer"):
        containers.fail(out, "spec.clusterIP", f"must not be None with type {kind}")
    if kind == "ExternalName":
        name = spec.get("externalName", "").removesuffix(".")
        names.add(out, "spec.externalName", names.dns_subdomain(name))
    _service_ports(spec, kind, out)
    names.labels(spec.get("selector", {}), "spec.selector", out)
    _affinity(spec, out)
    policy = spec.get("internalTrafficPolicy", "Cluster")
    containers.one_of(policy, _TRAFFIC_POLICIES, "spec.internalTrafficPolicy", out)
    containers.unchecked(spec, _UNCHECKED, "spec", out)
    if spec.get("clusterIP", "None") != "None":
        containers.fail(out, "spec.clusterIP", "must be None or left to the server")
    families = spec.get("ipFamilyPolicy", "SingleStack")
    allowed = ("SingleStack", "PreferDualStack", "RequireDualStack")
    containers.one_of(families, allowed, "spec.ipFamilyPolicy", out)


def _service_ports(spec: Object, kind: str, out: Findings) -> None:
    ports = spec.get("ports", ())
    seen_names: set[str] = set()
    seen_ports: set[tuple[str, int]] = set()
    for index, port in enumerate(ports):
        where = f"spec.ports[{index}]"
        name = port.get("name", "")
        if name:
            names.add(out, f"{where}.name", names.dns_label(name))
        elif len(ports) > 1:
            containers.fail(out, f"{where}.name", "needed where there are several ports")
        if name and name in seen_names:
            containers.fail(out, f"{where}.name", f"duplicate port name {name!r}")
        seen_names.add(name)
        protocol = port.get("protocol", "TCP")
        containers.one_of(protocol, containers.PROTOCOLS, f"{where}.protocol", out)
        names.add(out, f"{where}.port", names.port_number(port.get("port", 0)))
        if (protocol, port.get("port", 0)) in seen_ports:
            containers.fail(out, f"{where}.port", f"duplicate port {port.get('port')}")
        seen_ports.add((protocol, port.get("port", 0)))
        if port.get("targetPort"):
            names.add(out, f"{where}.targetPort", names.port(port["targetPort"]))
        if "appProtocol" in port:
            names.add(out, f"{where}.appProtocol", names.qualified_name(port["appProtocol"]))
        if port.get("nodePort") and kind not in ("NodePort", "LoadBalancer"):
            containers.fail(out, f"{where}.nodePort", f"not allowed with type {kind}")


def _affinity(spec: Object, out: Findings) -> None:
    affinity = spec.get("sessionAffinity", "None")
    containers.one_of(affinity, ("ClientIP", "None"), "spec.sessionAffinity", out)
    config = spec.get("sessionAffinityConfig")
    if config is None:
        return
    where = "spec.sessionAffinityConfig"
    if affinity == "None":
        containers.fail(out, where, "not allowed with sessionAffinity None")
    seconds = config.get("clientIP", {}).get("timeoutSeconds", 1)
    if not 1 <= seconds <= _AFFINITY_LIMIT:
        message = f"must be 1 to {_AFFINITY_LIMIT}, is {seconds}"
        containers.fail(out, f"{where}.clientIP.timeoutSeconds", message)


def network_policy(obj: Object, out: Findings) -> None:
    """Check a NetworkPolicy."""
    spec = obj.get("spec", {})
    names.selector(spec.get("podSelector", {}), "spec.podSelector", out)
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(direction, ())):
            where = f"spec.{direction}[{index}]"
            for number, port in enumerate(rule.get("ports", ())):
                _policy_port(port, f"{where}.ports[{number}]", out)
            for number, peer in enumerate(rule.get(peers, ())):
                _peer(peer, f"{where}.{peers}[{number}]", out)
    types = spec.get("policyTypes", ())
    if len(types) > 2:
        containers.fail(out, "spec.policyTypes", "must have at most two")
    for index, kind in enumerate(types):
        containers.one_of(kind, ("Ingress", "Egress"), f"spec.policyTypes[{index}]", out)


def _policy_port(port: Object, path: str, out: Findings) -> None:
    containers.one_of(port.get("protocol", "TCP"), containers.PROTOCOLS, f"{path}.protocol", out)
    number = port.get("port")
    if number is not None:
        names.add(out, f"{path}.port", names.port(number))
    if "endPort" in port:
        names.add(out, f"{path}.endPort", names.port_number(port["endPort"]))
        if not isinstance(number, int):
            containers.fail(out, f"{path}.endPort", "needs a numeric port")
        elif port["endPort"] < number:
            containers.fail(out, f"{path}.endPort", "must not be below port")


def _peer(peer: Object, path: str, out: Findings) -> None:
    if not peer:
        containers.fail(out, path, "needs a podSelector, a namespaceSelector or an ipBlock")
    if "ipBlock" in peer and len(peer) > 1:
        containers.fail(out, path, "ipBlock excludes other peers")
    for key in ("podSelector", "namespaceSelector"):
        names.selector(peer.get(key, {}), f"{path}.{key}", out)
    if "ipBlock" in peer:
        _ip_block(peer["ipBlock"], f"{path}.ipBlock", out)


def _ip_block(block: Object, path: str, out: Findings) -> None:
    whole = _network(block.get("cidr", ""), f"{path}.cidr", out)
    for index, text in enumerate(block.get("except", ())):
        where = f"{path}.except[{index}]"
        part = _network(text, where, out)
        if part is not None and whole is not None and not _inside(part, whole):
            containers.fail(out, where, f"must be a strict part of {whole}, is {text}")


def _network(text: str, path: str, out: Findings) -> Network | None:
    """Return the network of a CIDR; here leading zeros are refused, unlike in custom resources."""
    try:
        if not formats.cidr(text):
            raise ValueError
        return ipaddress.ip_network(text)
    except ValueError:
        containers.fail(out, path, f"must be a CIDR without host bits, is {text!r}")
        return None


def _inside(part: Network, whole: Network) -> bool:
    if isinstance(part, ipaddress.IPv4Network) and isinstance(whole, ipaddress.IPv4Network):
        return part != whole and part.subnet_of(whole)
    if isinstance(part, ipaddress.IPv6Network) and isinstance(whole, ipaddress.IPv6Network):
        return part != whole and part.subnet_of(whole)
    return False
