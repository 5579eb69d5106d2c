"""Who reaches whom, for claims in files: what every output of `reach` has in common."""

import dataclasses
import enum
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from function.cli import checking, planned, refused, result
from function.findings import reachability, rules
from function.reach import flows, policies, verdicts

API_VERSION = "inference-service.cloud.ogenki.io/v1alpha1"
KIND = "Reach"


class State(enum.StrEnum):
    """What becomes of a flow, beside what was asked for."""

    PASSES = "passes"
    """It is needed, and passes."""
    CLOSED = "closed"
    """It is needed, and does not pass."""
    UNDECIDED = "undecided"
    """Whether it passes cannot be told from the manifests."""
    OPEN = "open"
    """Nobody needs it, and it passes."""
    DENIED = "denied"
    """Nobody needs it, and it does not pass."""


def state(flow: flows.Flow) -> State:
    """Returns what becomes of a flow."""
    if flow.verdict.passes is None:
        return State.UNDECIDED
    if flow.need is not None:
        return State.PASSES if flow.verdict.passes else State.CLOSED
    return State.OPEN if flow.verdict.passes else State.DENIED


@dataclasses.dataclass(frozen=True)
class Row:
    """Flows between two ends that differ in their ports alone.

    Attributes:
        alike: The flows; at least one.
    """

    alike: tuple[flows.Flow, ...]

    @property
    def first(self) -> flows.Flow:
        """Any of the flows."""
        return self.alike[0]

    @property
    def state(self) -> State:
        """What becomes of them."""
        return state(self.first)

    @property
    def ports(self) -> str:
        """The ports in words."""
        return ", ".join(dict.fromkeys(port(flow.hop) for flow in self.alike))

    @property
    def purpose(self) -> str:
        """What needs them, in words, or that nobody does."""
        return "nobody asks for it" if self.first.need is None else self.first.need.why


def port(hop: policies.Hop) -> str:
    """Returns the port of a flow in words; TCP is what most are."""
    words = "any other" if hop.port == flows.OTHER_PORT else str(hop.port)
    return words if hop.protocol == "TCP" else f"{words}/{hop.protocol}"


def rows(reach: flows.Reach) -> tuple[Row, ...]:
    """Returns the flows of a claim: by what becomes of them, those that matter first."""
    grouped: dict[Any, list[flows.Flow]] = {}
    for flow in reach.flows:
        why = None if flow.need is None else flow.need.why
        key = (state(flow), flow.hop.source, flow.hop.destination, flow.verdict, why)
        grouped.setdefault(key, []).append(flow)
    order = (State.CLOSED, State.OPEN, State.UNDECIDED, State.PASSES, State.DENIED)
    made = [Row(tuple(same)) for same in grouped.values()]
    return tuple(sorted(made, key=lambda row: order.index(row.state)))


@dataclasses.dataclass(frozen=True, eq=False)
class Item:
    """A claim.

    Attributes:
        claim: The claim, planned.
        reach: Who reaches whom.
        rows: Its flows.
        findings: What is not as it was asked for.
    """

    claim: planned.Planned
    reach: flows.Reach
    rows: tuple[Row, ...]
    findings: tuple[rules.Finding, ...]

    @property
    def name(self) -> str:
        """Namespace and name."""
        return f"{self.claim.source.namespace}/{self.claim.source.name}"

    def of(self, *states: State) -> tuple[Row, ...]:
        """Returns the flows of which these became."""
        return tuple(row for row in self.rows if row.state in states)

    def verdict(self) -> str:
        """Returns in a line what a person has to know."""
        closed, opened = self.of(State.CLOSED), self.of(State.OPEN)
        needed = len(closed) + len(self.of(State.PASSES))
        words = [f"{len(closed)} of {needed} needed flows closed" if closed else "all needed pass"]
        words += [f"{len(opened)} open that nobody asks for"] if opened else []
        if self.reach.plan.site.providers.network_policy == "none":
            words.append("the settings leave network policies to somebody else")
        return "; ".join(words)


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """What a run is told.

    Attributes:
        items: The claims that have a plan.
        unreadable: What could not be read, in words.
        refused: What cannot be used, in words.
        notes: What a person should know of the run as a whole.
    """

    items: tuple[Item, ...]
    unreadable: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """The exit code: what was not read weighs most."""
        if self.unreadable:
            return result.NOT_READ
        worse = any(
            one.severity is not rules.Severity.NOTE for item in self.items for one in item.findings
        )
        return result.CANNOT_BE_USED if worse or self.refused else result.RENDERED

    def document(self) -> dict[str, Any]:
        """Returns the same for machines."""
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "exitCode": self.exit_code,
            "unreadable": list(self.unreadable),
            "refused": list(self.refused),
            "notes": list(self.notes),
            "claims": [_item(item) for item in self.items],
        }


def of(fleet: planned.Fleet, more: Iterable[Mapping[str, Any]] = ()) -> Result:
    """Returns who reaches whom for each claim.

    Args:
        fleet: The claims.
        more: Further policies of the cluster.

    Raises:
        ValueError: One of these is no policy.
    """
    reaches = checking.reaching(fleet, more, between=True, denied=True)
    items = tuple(
        Item(claim, reach, rows(reach), tuple(reachability.judge(reach)))
        for claim in fleet.claims
        if (reach := reaches.get(id(claim))) is not None
    )
    return Result(items, tuple(map(str, fleet.unreadable)), tuple(_refused(fleet)), fleet.notes)


def _refused(fleet: planned.Fleet) -> Iterator[str]:
    for problem in fleet.unusable:
        yield f"settings: {problem}"
    for claim in fleet.claims:
        if claim.source.misspelt:
            yield f"{claim.source}: {claim.source.misspelt}"
        for message in refused.messages(claim.faults):
            yield f"{claim.source}: {message}"


def _item(item: Item) -> dict[str, Any]:
    source = item.claim.source
    return {
        "namespace": source.namespace,
        "name": source.name,
        "file": source.file,
        "flows": [_flow(flow) for flow in item.reach.flows],
        "findings": [
            {
                "rule": one.rule.name,
                "severity": str(one.severity),
                "field": one.field,
                "message": one.message,
            }
            for one in item.findings
        ],
    }


def _flow(flow: flows.Flow) -> dict[str, Any]:
    return {
        "state": str(state(flow)),
        "source": flow.hop.source.document(),
        "destination": flow.hop.destination.document(),
        "protocol": flow.hop.protocol,
        "port": flow.hop.port,
        "need": None
        if flow.need is None
        else {"why": flow.need.why, "field": flow.need.field, "remedy": flow.need.remedy},
        "egress": flow.verdict.egress.document(),
        "ingress": flow.verdict.ingress.document(),
    }


def halves(row: Row) -> tuple[str, str]:
    """Returns what decides each half, in words."""
    return _half(row.first.verdict.egress), _half(row.first.verdict.ingress)


def _half(half: verdicts.Half) -> str:
    mark = {True: "yes", False: "no", None: "perhaps"}[half.passes]
    return f"{mark}: {half}"
