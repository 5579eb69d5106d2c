"""Network policies as one thinks of them, whichever form they were written in."""

import dataclasses
import enum
import functools
import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from function.reach import endpoints


class Direction(enum.StrEnum):
    """Which half of a hop a rule is about."""

    EGRESS = "egress"
    INGRESS = "ingress"


# --- who


class Peer(Protocol):
    """The other end, as a rule names it."""

    def holds(self, endpoint: endpoints.Endpoint) -> bool:
        """Tells whether an endpoint is meant."""


@dataclasses.dataclass(frozen=True)
class Everyone:
    """Whoever it is."""

    def holds(self, endpoint: endpoints.Endpoint) -> bool:
        """Tells whether an endpoint is meant: each is."""
        return True


@dataclasses.dataclass(frozen=True)
class Requirement:
    """One expression of a selector.

    Attributes:
        key: The label's key.
        operator: As in `matchExpressions`.
        values: The values that the operator compares with.
    """

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def holds(self, value: str | None) -> bool:
        """Tells whether a label's value, or its absence, is meant."""
        if self.operator == "Exists":
            return value is not None
        if self.operator == "DoesNotExist":
            return value is None
        return (value is not None and value in self.values) == (self.operator == "In")


Requirements = tuple[Requirement, ...]


def requirements(selector: Mapping[str, Any]) -> Requirements:
    """Returns the expressions of a label selector."""
    exact = [
        Requirement(str(key), "In", frozenset((str(value),)))
        for key, value in (selector.get("matchLabels") or {}).items()
    ]
    listed = [
        Requirement(str(one["key"]), one["operator"], frozenset(map(str, one.get("values") or ())))
        for one in selector.get("matchExpressions") or ()
    ]
    return (*exact, *listed)


INSTANCE = "app.kubernetes.io/instance"


def instance(asked: Requirements) -> str:
    """Returns the value of `INSTANCE` that expressions ask for, or empty where any may do."""
    values = next((one.values for one in asked if one.key == INSTANCE and one.operator == "In"), ())
    return next(iter(values)) if len(values) == 1 else ""


def meets(asked: Requirements, label: Callable[[str], str | None]) -> bool:
    """Tells whether labels, looked up by key, meet every requirement."""
    return all(one.holds(label(one.key)) for one in asked)


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclasses.dataclass(frozen=True)
class Addresses:
    """Addresses outside the cluster: a network without parts of it."""

    network: Network
    without: tuple[Network, ...] = ()

    def holds(self, endpoint: endpoints.Endpoint) -> bool:
        """Tells whether an endpoint is meant; pods and nodes never are."""
        address = endpoint.parsed_address
        return (
            address is not None
            and address in self.network
            and not any(address in part for part in self.without)
        )


def addresses(cidr: str, without: tuple[str, ...] = ()) -> Addresses:
    """Returns the addresses of a block."""
    parts = (ipaddress.ip_network(one, strict=False) for one in without)
    return Addresses(ipaddress.ip_network(cidr, strict=False), tuple(parts))


@dataclasses.dataclass(frozen=True)
class Hosts:
    """Addresses that DNS gave for names."""

    pattern: re.Pattern[str]

    def holds(self, endpoint: endpoints.Endpoint) -> bool:
        """Tells whether an endpoint is meant: one of its names matches."""
        return any(self.pattern.fullmatch(f"{host.lower()}.") for host in endpoint.hosts)


@dataclasses.dataclass(frozen=True)
class Undecided:
    """A peer that the manifest alone does not tell: Services, security groups, nodes by label."""

    field: str

    def holds(self, endpoint: endpoints.Endpoint) -> bool:
        """Tells whether an endpoint is surely meant: none is."""
        return False


# --- on which port


@dataclasses.dataclass(frozen=True)
class Ports:
    """A range of ports.

    Attributes:
        protocol: TCP, UDP or SCTP; ANY is each of them.
        first: The first port; 0 is every port.
        last: The last port.
        name: A name of the pod's own port, instead of both.
    """

    protocol: str = "ANY"
    first: int = 0
    last: int = 0
    name: str = ""

    def holds(self, protocol: str, port: int, destination: endpoints.Endpoint) -> bool:
        """Tells whether a port of a destination is meant."""
        if self.protocol not in ("ANY", protocol):
            return False
        if self.name:
            # A name that several pods have is the destination's own.
            return dict(destination.ports).get(self.name) == port
        return not self.first or self.first <= port <= max(self.first, self.last)


# --- rules


@dataclasses.dataclass(frozen=True)
class Rule:
    """A rule: of a direction it lets flows through, or keeps them out.

    Attributes:
        place: Where it stands in its policy, such as `ingress[0]`.
        peers: Who is meant; nobody where there is none.
        ports: On which ports; None is every port, and no port where there is none.
        denies: Whether it keeps out.
        narrows: What else a flow must be, where the rule asks for more than peers and ports.
        teaches: Names whose addresses Cilium learns where they are asked for by this rule.
    """

    place: str
    peers: tuple[Peer, ...]
    ports: tuple[Ports, ...] | None = None
    denies: bool = False
    narrows: str = ""
    teaches: tuple[Hosts, ...] = ()

    def names(self, other: endpoints.Endpoint) -> bool:
        """Tells whether another end is surely one of its peers."""
        return any(peer.holds(other) for peer in self.peers)

    def on(self, flow: "Hop") -> bool:
        """Tells whether the rule is about a flow's port."""
        if self.ports is None:
            return True
        return any(one.holds(flow.protocol, flow.port, flow.destination) for one in self.ports)

    @functools.cached_property
    def undecided(self) -> str:
        """The field that names peers which nobody knows from here, or empty."""
        return next((one.field for one in self.peers if isinstance(one, Undecided)), "")


@dataclasses.dataclass(frozen=True)
class Half:
    """What a policy says of one direction.

    Attributes:
        closes: Whether what no rule lets through stays out.
        rules: The rules, in their order.
    """

    closes: bool = False
    rules: tuple[Rule, ...] = ()


@dataclasses.dataclass(frozen=True)
class Policy:
    """A policy of either form.

    Attributes:
        kind: Its kind.
        namespace: Its namespace, whose pods alone it selects.
        name: Its name.
        selects: Tells whether it is about a pod of its namespace.
        egress: What its pods may reach.
        ingress: Who may reach its pods.
        refused: Why Cilium's agent rejects it as a whole, or empty: its pods stay as they are.
        instance: The value of `INSTANCE` that each of its pods has, or empty where any may do.
    """

    kind: str
    namespace: str
    name: str
    selects: Callable[[endpoints.Endpoint], bool]
    egress: Half = Half()
    ingress: Half = Half()
    refused: str = ""
    instance: str = ""

    def __str__(self) -> str:
        """The kind with the name, for people."""
        return f"{self.kind} {self.namespace}/{self.name}"

    def about(self, pod: endpoints.Endpoint) -> bool:
        """Tells whether the policy is about these pods."""
        return (
            not self.refused
            and pod.kind is endpoints.Kind.POD
            and pod.namespace == self.namespace
            and self.selects(pod)
        )

    def half(self, direction: Direction) -> Half:
        """Returns what it says of a direction."""
        return self.egress if direction is Direction.EGRESS else self.ingress


@dataclasses.dataclass(frozen=True)
class Hop:
    """A flow: who opens a connection to whom, and on which port.

    Attributes:
        source: Who opens it.
        destination: Who is asked.
        port: The destination's port.
        protocol: TCP, UDP or SCTP.
    """

    source: endpoints.Endpoint
    destination: endpoints.Endpoint
    port: int
    protocol: str = "TCP"

    def ends(self, direction: Direction) -> tuple[endpoints.Endpoint, endpoints.Endpoint]:
        """Returns whose policies decide a half, and the other end."""
        if direction is Direction.EGRESS:
            return self.source, self.destination
        return self.destination, self.source


@dataclasses.dataclass(frozen=True)
class Between:
    """What policies say of one end and another, whatever the port.

    Attributes:
        closing: The first policy by which what no rule lets through stays out, or empty.
        rules: The rules that may be about the other end, each with its policy, and whether they
            surely are.
    """

    closing: str
    rules: tuple[tuple[str, Rule, bool], ...]


class Policies:
    """Policies that hold at the same time; what they say of two ends is worked out once."""

    def __init__(self, given: Iterable[Policy]) -> None:
        self.all = tuple(given)
        # Most are about the pods of one claim: not each is asked about each end.
        self._of: dict[tuple[str, str], list[tuple[int, Policy]]] = {}
        for place, one in enumerate(self.all):
            self._of.setdefault((one.namespace, one.instance), []).append((place, one))
        self._about: dict[endpoints.Endpoint, tuple[Policy, ...]] = {}
        self._between: dict[tuple[Direction, endpoints.Endpoint, endpoints.Endpoint], Between] = {}

    def about(self, pod: endpoints.Endpoint) -> tuple[Policy, ...]:
        """Returns the policies that are about pods."""
        if pod not in self._about:
            values = {"", dict(pod.labels).get(INSTANCE, "")}
            near = sorted(
                (pair for value in values for pair in self._of.get((pod.namespace, value), ())),
                key=lambda pair: pair[0],
            )
            self._about[pod] = tuple(one for _, one in near if one.about(pod))
        return self._about[pod]

    def between(
        self, direction: Direction, subject: endpoints.Endpoint, other: endpoints.Endpoint
    ) -> Between:
        """Returns what the policies about one end say of another end."""
        key = (direction, subject, other)
        if key not in self._between:
            halves = [(str(one), one.half(direction)) for one in self.about(subject)]
            self._between[key] = Between(
                next((name for name, half in halves if half.closes), ""),
                tuple(
                    (name, rule, named)
                    for name, half in halves
                    for rule in half.rules
                    if (named := rule.names(other)) or rule.undecided
                ),
            )
        return self._between[key]
