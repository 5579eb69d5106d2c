"""Rules of a CiliumNetworkPolicy, field by field as the upstream schema has them (cilium.io/v2).

Not everything that Cilium refuses is refused here: it says the rest in the policy's own condition,
which `PolicyReady` shows. An unknown key or a wrong type is what the API server refuses when core
applies the object. `tests/schemas/test_typed.py` compares these models with the upstream schema.
"""

from typing import Annotated, ClassVar, Literal

import pydantic

from function.api import base

_Many = base.items(64)
_Text = Annotated[str, base.text(1024, None, 0)]
# An optional source (`k8s:`, `reserved:`) before a label's key.
_Key = Annotated[str, base.text(317, r"^[A-Za-z0-9./:_-]+$")]
_Name = Annotated[str, base.text(255, r"^([-a-zA-Z0-9_]+[.]?)+$")]
_Pattern = Annotated[str, base.text(255, r"^([-a-zA-Z0-9_*]+[.]?)+$")]
_PORT = (
    r"^((6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[0-9]{1,4})"
    r"|([a-zA-Z0-9]-?)*[a-zA-Z](-?[a-zA-Z0-9])*)$"
)


def _one_of(*fields: str) -> base.Rule:
    """Returns the rule that exactly one of some fields is there."""
    return base.Rule(
        cel="true",
        message=f"needs exactly one of {', '.join(fields)}",
        holds=lambda node: (
            sum(value is not None for value in node.model_dump(by_alias=True).values()) > 0
            and sum(node.model_dump(by_alias=True)[field] is not None for field in fields) == 1
        ),
    )


class Requirement(base.Model):
    """One expression of a selector."""

    key: _Key
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: Annotated[list[base.LabelValue], _Many] | None = None


class Selector(base.Model):
    """Pods, nodes or groups of addresses, by label."""

    match_labels: Annotated[dict[_Key, base.LabelValue], base.items(32)] | None = None
    match_expressions: Annotated[list[Requirement], _Many] | None = None


class CidrRule(base.Model):
    """Networks without parts of them."""

    cidr: base.Cidr | None = None
    cidr_group_ref: base.DnsSubdomain | None = None
    cidr_group_selector: Selector | None = None
    except_: Annotated[list[base.Cidr], _Many] | None = pydantic.Field(None, alias="except")

    RULES: ClassVar = (_one_of("cidr", "cidrGroupRef", "cidrGroupSelector"),)


class Host(base.Model):
    """Hosts by name."""

    match_name: _Name | None = None
    match_pattern: _Pattern | None = None

    RULES: ClassVar = (_one_of("matchName", "matchPattern"),)


class Aws(base.Model):
    """Security groups of AWS."""

    labels: Annotated[dict[_Text, _Text], base.items(32)] | None = None
    region: _Text | None = None
    security_groups_ids: Annotated[list[_Text], _Many] | None = None
    security_groups_names: Annotated[list[_Text], _Many] | None = None


class Group(base.Model):
    """Addresses that a cloud's API tells."""

    aws: Aws | None = None


class Icmp(base.Model):
    """One type of ICMP."""

    family: Literal["IPv4", "IPv6"] | None = None
    type: Annotated[
        Annotated[int, base.number(0, 255)] | Annotated[str, base.text(64, r"^[A-Za-z0-9 ]+$")],
        base.OneMessage("must be a number of an ICMP type, or its name"),
    ]


class Icmps(base.Model):
    """Types of ICMP."""

    fields: Annotated[list[Icmp], base.items(40)] | None = None


class Authentication(base.Model):
    """Mutual authentication."""

    mode: Literal["disabled", "required", "test-always-fail"]


class PortProtocol(base.Model):
    """A port, or a range of them."""

    port: Annotated[str, base.text(63, _PORT)] | None = None
    end_port: Annotated[int, base.number(0, 65535)] | None = None
    protocol: (
        Literal["TCP", "UDP", "SCTP", "VRRP", "IGMP", "GRE", "IPIP", "IPV6", "ESP", "AH", "ANY"]
        | None
    ) = None


class SecretReference(base.Model):
    """A Secret, of any namespace that Cilium reads."""

    name: _Text
    namespace: _Text | None = None


class Tls(base.Model):
    """Certificates of a connection that Cilium ends or begins."""

    secret: SecretReference
    certificate: _Text | None = None
    private_key: _Text | None = None
    trusted_ca: _Text | None = pydantic.Field(None, alias="trustedCA")


class EnvoyConfig(base.Model):
    """Where a listener is."""

    name: Annotated[str, base.text(253)]
    kind: Literal["CiliumEnvoyConfig", "CiliumClusterwideEnvoyConfig"] | None = None


class Listener(base.Model):
    """A listener of Envoy that gets the connections."""

    name: Annotated[str, base.text(253)]
    envoy_config: EnvoyConfig
    priority: Annotated[int, base.number(1, 100)] | None = None


class HeaderMatch(base.Model):
    """A header of a request."""

    name: Annotated[str, base.text(253)]
    mismatch: Literal["LOG", "ADD", "DELETE", "REPLACE"] | None = None
    secret: SecretReference | None = None
    value: _Text | None = None


class Http(base.Model):
    """Requests over HTTP."""

    header_matches: Annotated[list[HeaderMatch], _Many] | None = None
    headers: Annotated[list[_Text], _Many] | None = None
    host: _Text | None = None
    method: _Text | None = None
    path: _Text | None = None


class Layer7(base.Model):
    """What is let through of a protocol."""

    dns: Annotated[list[Host], _Many] | None = None
    http: Annotated[list[Http], _Many] | None = None

    RULES: ClassVar = (_one_of("dns", "http"),)


class PortRule(base.Model):
    """Ports, and what is let through them."""

    ports: Annotated[list[PortProtocol], base.items(40)] | None = None
    rules: Layer7 | None = None
    server_names: Annotated[list[_Pattern], base.items(64, 1)] | None = None
    listener: Listener | None = None
    originating_tls: Tls | None = pydantic.Field(None, alias="originatingTLS")
    terminating_tls: Tls | None = pydantic.Field(None, alias="terminatingTLS")


class Service(base.Model):
    """A Service by name."""

    namespace: _Text | None = None
    service_name: _Text | None = None


class ServiceSelector(base.Model):
    """Services by label."""

    namespace: _Text | None = None
    selector: Selector


class ToService(base.Model):
    """A Service, or several."""

    k8s_service: Service | None = pydantic.Field(None, alias="k8sService")
    k8s_service_selector: ServiceSelector | None = pydantic.Field(None, alias="k8sServiceSelector")


_Entity = Literal[
    "all",
    "world",
    "cluster",
    "cluster-mesh",
    "host",
    "init",
    "ingress",
    "unmanaged",
    "remote-node",
    "health",
    "none",
    "kube-apiserver",
]
_Selectors = Annotated[list[Selector], _Many]


class IngressRule(base.Model):
    """Who may connect."""

    authentication: Authentication | None = None
    from_cidr: Annotated[list[base.Cidr], _Many] | None = pydantic.Field(None, alias="fromCIDR")
    from_cidr_set: Annotated[list[CidrRule], _Many] | None = pydantic.Field(
        None, alias="fromCIDRSet"
    )
    from_endpoints: _Selectors | None = None
    from_entities: Annotated[list[_Entity], _Many] | None = None
    from_groups: Annotated[list[Group], _Many] | None = None
    from_nodes: _Selectors | None = None
    from_requires: Annotated[list[_Text], _Many] | None = None
    icmps: Annotated[list[Icmps], _Many] | None = None
    to_ports: Annotated[list[PortRule], _Many] | None = None


class EgressRule(base.Model):
    """What may be connected to."""

    authentication: Authentication | None = None
    to_cidr: Annotated[list[base.Cidr], _Many] | None = pydantic.Field(None, alias="toCIDR")
    to_cidr_set: Annotated[list[CidrRule], _Many] | None = pydantic.Field(None, alias="toCIDRSet")
    to_endpoints: _Selectors | None = None
    to_entities: Annotated[list[_Entity], _Many] | None = None
    to_fqdns: Annotated[list[Host], _Many] | None = pydantic.Field(None, alias="toFQDNs")
    to_groups: Annotated[list[Group], _Many] | None = None
    to_nodes: _Selectors | None = None
    to_requires: Annotated[list[_Text], _Many] | None = None
    to_services: Annotated[list[ToService], _Many] | None = None
    icmps: Annotated[list[Icmps], _Many] | None = None
    to_ports: Annotated[list[PortRule], _Many] | None = None


# By the direction of what they let through.
RULES: dict[str, type[base.Model]] = {"ingress": IngressRule, "egress": EgressRule}
