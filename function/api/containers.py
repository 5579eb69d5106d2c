"""The rest of a pod spec that a patch reaches, as Kubernetes types it: what is read of each field.

Fields that a pod or a container has beside these are not looked at, so a field of a newer
Kubernetes is no error. Source: k8s.io/api core/v1 and its validation, Kubernetes 1.36.
"""

import ipaddress
from typing import Annotated, Any, ClassVar, Literal

import pydantic

from function.api import base, kubernetes, volumes

_Many = base.items(64)
_Text = Annotated[str, base.text(131072, None, 0)]
_Name = Annotated[str, base.text(253)]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    # Python reads a zone, which the API server does not.
    return "%" not in text


_Address = Annotated[
    str,
    base.text(64),
    base.Rule(
        cel="true",
        message="no IP address: for example 10.9.8.7 or 2001:db8::ffff",
        holds=_is_address,
    ),
]
# A name of DNS that may end in a dot and hold underscores; `.` is the root.
_SEARCH = r"^(\.|[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?(\.[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?)*\.?)$"


class DnsOption(base.Model):
    """An option of the resolver."""

    name: _Name
    value: _Text | None = None


class DnsConfig(base.Model):
    """The resolver's configuration."""

    nameservers: Annotated[list[_Address], base.items(3)] | None = None
    searches: Annotated[list[Annotated[str, base.text(254, _SEARCH)]], base.items(32)] | None = None
    options: Annotated[list[DnsOption], _Many] | None = None

    RULES: ClassVar = (
        base.Rule(
            cel="true",
            message="the searches have more than 2048 characters in all",
            holds=lambda config: len(" ".join(config.searches or [])) <= 2048,
            at="searches",
        ),
    )


class HostAlias(base.Model):
    """Names of an address, in the pod's /etc/hosts."""

    ip: _Address
    hostnames: Annotated[list[base.DnsSubdomain], _Many] | None = None


# At least one letter, and no two hyphens in a row.
_PORT_NAME = base.form(
    r"^$|^[0-9]*(-?[0-9]+)*-?[a-z]([a-z0-9]|-[a-z0-9])*$",
    "the name of a port: lower-case letters, digits and '-', with one letter at least",
)


class Port(base.Model):
    """A port of a container."""

    container_port: Annotated[int, base.number(1, 65535)]
    host_ip: Annotated[str, base.text(64, None, 0)] | None = pydantic.Field(None, alias="hostIP")
    host_port: Annotated[int, base.number(0, 65535)] | None = None
    name: Annotated[str, base.text(15, _PORT_NAME, 0)] | None = None
    protocol: Literal["SCTP", "TCP", "UDP"] | None = None

    @property
    def key(self) -> tuple[int, str]:
        """By what Kubernetes keeps the list as a map."""
        return self.container_port, self.protocol or "TCP"


_ENVIRONMENT_NAME = r"[ -<>-~]+"
_VARIABLE = base.form(
    rf"^{_ENVIRONMENT_NAME}$", "the name of a variable: characters of ASCII but for ="
)


class Variable(base.Model):
    """A variable of a container."""

    name: Annotated[str, base.text(1024, _VARIABLE)]
    value: _Text | None = None
    value_from: dict[str, Any] | None = None

    RULES: ClassVar = (
        base.Rule(
            cel="true",
            message="value and valueFrom exclude each other",
            holds=lambda variable: not variable.value or variable.value_from is None,
            at="valueFrom",
        ),
    )


class SourceName(base.Model):
    """A ConfigMap or a Secret, all keys of it."""

    name: _Name
    optional: bool | None = None


class Variables(base.Model):
    """Variables of a container from all keys of an object."""

    config_map_ref: SourceName | None = None
    prefix: Annotated[str, base.text(1024, rf"^({_ENVIRONMENT_NAME})?$", 0)] | None = None
    secret_ref: SourceName | None = None

    RULES: ClassVar = (
        base.Rule(
            cel="true",
            message="takes one of configMapRef and secretRef",
            holds=lambda source: (source.config_map_ref is None) != (source.secret_ref is None),
        ),
    )


class Resources(base.Model):
    """What a container or a pod asks a node for; nothing by resourceClaims."""

    limits: Annotated[dict[str, volumes.Amount], _Many] | None = None
    requests: Annotated[dict[str, volumes.Amount], _Many] | None = None


class _Sleep(base.Model):
    seconds: Annotated[int, base.number(0)]


class _Hook(base.Model):
    model_config = pydantic.ConfigDict(extra="ignore")

    sleep: _Sleep | None = None


class _Hooks(base.Model):
    model_config = pydantic.ConfigDict(extra="ignore")

    pre_stop: _Hook | None = None


def _ports_apart(container: "Container") -> bool:
    ports = container.ports or []
    names = [port.name for port in ports if port.name]
    keys = [port.key for port in ports]
    return len(names) == len(set(names)) and len(keys) == len(set(keys))


class Container(base.Model):
    """A container."""

    model_config = pydantic.ConfigDict(extra="ignore")

    name: base.DnsLabel
    env: Annotated[list[Variable], base.items(1024)] | None = None
    env_from: Annotated[list[Variables], base.items(1024)] | None = None
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    lifecycle: _Hooks | None = None
    ports: Annotated[list[Port], _Many] | None = None
    resources: Resources | None = None
    security_context: kubernetes.SecurityContext | None = None
    termination_message_policy: Literal["File", "FallbackToLogsOnError"] | None = None
    volume_mounts: Annotated[list[volumes.Mount], _Many] | None = None

    RULES: ClassVar = (
        base.Rule(
            cel="true",
            message="two ports have one name, or one number and protocol",
            holds=_ports_apart,
            at="ports",
        ),
    )

    @property
    def pause(self) -> int:
        """Seconds that it sleeps before it stops."""
        hook = self.lifecycle.pre_stop if self.lifecycle is not None else None
        return hook.sleep.seconds if hook is not None and hook.sleep is not None else 0


# Seconds, where a pod says nothing.
_GRACE = 30


def _ends_in_time(pod: "Pod") -> bool:
    grace = base.given(pod.termination_grace_period_seconds, _GRACE)
    return all(container.pause <= grace for container in pod.containers)


_Volumes = Annotated[list[volumes.Volume], base.items(128)]


class Pod(base.Model):
    """A pod spec."""

    model_config = pydantic.ConfigDict(extra="ignore")

    containers: Annotated[list[Container], _Many]
    dns_config: DnsConfig | None = None
    dns_policy: Literal["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"] | None = None
    host_aliases: Annotated[list[HostAlias], _Many] | None = None
    hostname: base.DnsLabel | None = None
    hostname_override: base.DnsSubdomain | None = None
    init_containers: Annotated[list[Container], _Many] | None = None
    preemption_policy: Literal["Never", "PreemptLowerPriority"] | None = None
    resources: Resources | None = None
    runtime_class_name: base.DnsSubdomain | None = None
    security_context: kubernetes.PodSecurityContext | None = None
    subdomain: base.DnsLabel | None = None
    termination_grace_period_seconds: Annotated[int, base.number(0)] | None = None
    volumes: _Volumes | None = None

    RULES: ClassVar = (
        base.Rule(
            cel="true",
            message="dnsPolicy None needs a nameserver",
            holds=lambda pod: (
                pod.dns_policy != "None"
                or (pod.dns_config is not None and bool(pod.dns_config.nameservers))
            ),
            at="dnsConfig.nameservers",
        ),
        base.Rule(
            cel="true",
            message="two entries have one ip: put their hostnames into one",
            holds=lambda pod: (
                len({alias.ip for alias in pod.host_aliases or []}) == len(pod.host_aliases or [])
            ),
            at="hostAliases",
        ),
        base.Rule(
            cel="true",
            message="two containers have one name",
            holds=lambda pod: len({c.name for c in pod.every}) == len(pod.every),
            at="initContainers",
        ),
        base.Rule(
            cel="true",
            message="is shorter than the sleep of a preStop hook",
            holds=_ends_in_time,
            at="terminationGracePeriodSeconds",
        ),
    )

    @property
    def every(self) -> list[Container]:
        """All containers, those that run before the others first."""
        return [*(self.init_containers or []), *self.containers]
