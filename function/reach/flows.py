"""Every flow of a claim that matters, judged: those that it needs, and those of strangers."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from function import composition
from function.concerns.access import callers
from function.planning import plans
from function.reach import endpoints, forms, needs, places, policies, verdicts
from function.reach.policies import Direction

# Stands for every port that no rule names.
OTHER_PORT = 65000


@dataclasses.dataclass(frozen=True)
class Flow:
    """A flow of a claim, judged.

    Attributes:
        hop: The flow.
        verdict: What becomes of it.
        own: Which end is a pod of the claim that it is told with.
        need: What needs it, or None where nobody does.
    """

    hop: policies.Hop
    verdict: verdicts.Verdict
    own: endpoints.Endpoint
    need: needs.Need | None = None

    @property
    def direction(self) -> Direction:
        """Which way it goes, as the claim's own pod sees it."""
        return Direction.EGRESS if self.hop.source == self.own else Direction.INGRESS

    @property
    def other(self) -> endpoints.Endpoint:
        """The end that is not the claim's own."""
        return self.hop.ends(self.direction)[1]

    @property
    def half(self) -> verdicts.Half:
        """The half that the claim's own policies decide."""
        if self.direction is Direction.EGRESS:
            return self.verdict.egress
        return self.verdict.ingress


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """A claim whose flows are looked for.

    Attributes:
        plan: The claim, planned.
        manifests: What the claim is composed of.
    """

    plan: plans.Plan
    manifests: tuple[Mapping[str, Any], ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Reach:
    """Who reaches whom, for one claim.

    Attributes:
        plan: The claim, planned.
        flows: Its flows: first those that it needs.
        given: The policies that were looked at.
    """

    plan: plans.Plan
    flows: tuple[Flow, ...]
    given: policies.Policies


def subject(plan: plans.Plan, answer: composition.Composition) -> Subject:
    """Returns a claim with what it is composed of."""
    return Subject(plan, tuple(one.manifest for one in answer.resources.values()))


def of(
    subjects: Sequence[Subject],
    more: Iterable[Mapping[str, Any]] = (),
    *,
    between: bool = False,
    denied: bool = True,
) -> list[Reach]:
    """Returns who reaches whom for each claim.

    Args:
        subjects: The claims.
        more: Further policies of the cluster, such as those of the callers. Those that a claim is
            composed of anew are not among them.
        between: Whether flows from each claim to each other one are looked at too. What is open
            to one of them and to no stranger is what some field asks for.
        denied: Whether flows that nobody needs, between ends of which no rule speaks, are among
            them. They are most, they stay out, and no finding is about them.
    """
    composed = [
        manifest
        for subject in subjects
        for manifest in subject.manifests
        if manifest["kind"] in forms.KINDS
    ]
    there = {forms.key(manifest) for manifest in composed}
    given = forms.read([*composed, *(one for one in more if forms.key(one) not in there)])
    others = {id(one.plan): places.serving(one.plan) for one in subjects if between}
    reaches = []
    for subject in subjects:
        rest = tuple(pod for key, pod in others.items() if key != id(subject.plan))
        flows = tuple(_flows(subject.plan, given, rest, denied=denied))
        reaches.append(Reach(subject.plan, flows, given))
    return reaches


def _flows(
    plan: plans.Plan,
    given: policies.Policies,
    others: tuple[endpoints.Endpoint, ...],
    *,
    denied: bool,
) -> Iterator[Flow]:
    own, wanted = places.own(plan), needs.of(plan)
    for need in wanted:
        ends = (need.flow.destination, need.flow.source)
        subject = next(end for end in ends if end in own)
        yield Flow(need.flow, judge(given, need.flow), subject, need)
    # Two names of the same pods are one end: each port of it is judged once.
    there = {_key(need.flow) for need in wanted}
    for subject in own:
        for hop in _unasked(plan, given, subject, wanted, others, denied=denied):
            if _key(hop) not in there:
                there.add(_key(hop))
                yield Flow(hop, judge(given, hop), subject)


def _key(hop: policies.Hop) -> tuple[Any, ...]:
    ends = [
        (end.kind, end.namespace, end.labels, end.address) for end in (hop.source, hop.destination)
    ]
    return (*ends, hop.protocol, hop.port)


def judge(given: policies.Policies, hop: policies.Hop) -> verdicts.Verdict:
    """Returns what becomes of a flow, with the names that Cilium would have learnt."""
    hosts = hop.destination.hosts
    if hosts and hop.source.kind is endpoints.Kind.POD:
        taught = [
            host
            for policy in given.about(hop.source)
            for rule in policy.egress.rules
            for host in rule.teaches
        ]
        learnt = tuple(
            host
            for host in hosts
            if any(one.pattern.fullmatch(f"{host.lower()}.") for one in taught)
        )
        end = dataclasses.replace(hop.destination, hosts=learnt)
        hop = dataclasses.replace(hop, destination=end)
    return verdicts.judge(given, hop)


# --- what nobody asked for


def _unasked(
    plan: plans.Plan,
    given: policies.Policies,
    subject: endpoints.Endpoint,
    wanted: tuple[needs.Need, ...],
    others: tuple[endpoints.Endpoint, ...],
    *,
    denied: bool,
) -> Iterator[policies.Hop]:
    """Yields flows of a claim's pods that nothing needs, whether they pass or not."""
    strangers = places.strangers(plan)
    peers = [
        end
        for need in wanted
        for end in (need.flow.source, need.flow.destination)
        if end.kind is endpoints.Kind.POD and end != subject
    ]
    for direction in (Direction.INGRESS, Direction.EGRESS):
        ports = _ports(given, subject, direction, wanted)
        meant = [
            need for need in wanted if need.of_settings and need.flow.ends(direction)[0] == subject
        ]
        for end in dict.fromkeys((*strangers, *others, *peers)):
            if not denied and _shut(given, direction, subject, end):
                continue
            for protocol, port in ports:
                ends = (end, subject) if direction is Direction.INGRESS else (subject, end)
                if not _granted(plan, direction, subject, end, port) and not any(
                    _covers(need, direction, end, protocol, port) for need in meant
                ):
                    yield policies.Hop(*ends, port, protocol)


def _shut(
    given: policies.Policies,
    direction: Direction,
    subject: endpoints.Endpoint,
    end: endpoints.Endpoint,
) -> bool:
    """Tells whether a claim's own policies keep an end out on every port."""
    if direction is Direction.INGRESS and end.kind is endpoints.Kind.NODE:
        return False
    between = given.between(direction, subject, end)
    return bool(between.closing) and not between.rules


def _ports(
    given: policies.Policies,
    subject: endpoints.Endpoint,
    direction: Direction,
    wanted: tuple[needs.Need, ...],
) -> list[tuple[str, int]]:
    """Returns the ports that needs and rules of a direction name, and one that none names."""
    ports = {("TCP", OTHER_PORT)}
    for need in wanted:
        if need.flow.ends(direction)[0] == subject:
            ports.add((need.flow.protocol, need.flow.port))
    for policy in given.about(subject):
        for rule in policy.half(direction).rules:
            for one in rule.ports or ():
                if one.first and not rule.denies:
                    ports.add(("TCP" if one.protocol == "ANY" else one.protocol, one.first))
    return sorted(ports)


def _covers(
    need: needs.Need, direction: Direction, end: endpoints.Endpoint, protocol: str, port: int
) -> bool:
    """Tells whether settings that need a flow mean these pods too, by fewer labels than they have.

    A DNS server without labels is any pod of its namespace.
    """
    if (need.flow.protocol, need.flow.port) != (protocol, port):
        return False
    meant = need.flow.ends(direction)[1]
    return (
        meant.kind is end.kind is endpoints.Kind.POD
        and meant.namespace == end.namespace
        and set(meant.labels) <= set(end.labels)
    )


def _granted(
    plan: plans.Plan,
    direction: Direction,
    subject: endpoints.Endpoint,
    end: endpoints.Endpoint,
    port: int,
) -> bool:
    """Tells whether a flow belongs to a need whose other end has no name.

    The hub's content hosts rotate, so the Job reaches the world on the hub's ports. NetworkPolicies
    have no word for the API server, so a picker reaches everybody on its ports.
    """
    if direction is Direction.INGRESS:
        return False
    if end.kind is endpoints.Kind.OUTSIDE and subject == places.download(plan):
        return port in (443, *callers.hub_ports(plan))
    return subject == places.picker(plan) and port in callers.API_SERVER
