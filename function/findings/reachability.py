"""Which needed flows are closed, and which flows that nobody needs are open."""

import collections
from collections.abc import Iterator

from function.findings import rules
from function.planning import plans
from function.reach import endpoints, flows, verdicts
from function.reach.policies import Direction

_WARNING, _NOTE = rules.Severity.WARNING, rules.Severity.NOTE

FLOW_CLOSED = rules.Rule(
    "flow-closed",
    _WARNING,
    "A flow that the claim or the settings ask for does not pass the network policies.",
    "Requests, metrics, names or weights do not arrive: connections time out, and no condition"
    " tells why.",
    "Do what the message says; `inference-service reach` shows both halves of each flow.",
)
FLOW_OPEN = rules.Rule(
    "flow-open",
    _WARNING,
    "Network policies let through a flow that neither claim nor settings ask for.",
    "Pods that nobody named ask the engine past the gateway's limits, or the claim's pods reach"
    " what they have no use for. It is a note where only pods of the claim's namespace get in.",
    "Name pods and ports in the rule that the message names, or name callers in"
    " `spec.access.from`; `inference-service reach` shows who gets in.",
)
RULES = (FLOW_CLOSED, FLOW_OPEN)


def judge(reach: flows.Reach) -> Iterator[rules.Finding]:
    """Yields what of a claim's flows is not as it was asked for.

    Nothing where the settings leave policies to somebody else: that everything is open then is no
    finding of each claim.
    """
    if reach.plan.site.providers.network_policy == "none":
        return
    yield from _closed(reach)
    yield from _open(reach)


def _closed(reach: flows.Reach) -> Iterator[rules.Finding]:
    """Yields the needed flows that do not pass; those of one field and one end in one finding."""
    grouped = collections.defaultdict(list)
    for flow in reach.flows:
        if flow.need is not None and flow.verdict.passes is False:
            grouped[flow.need.field, flow.hop.source, flow.hop.destination].append(flow)
    for (field, source, destination), closed in grouped.items():
        first = closed[0]
        assert first.need is not None
        ports = _listed(str(flow.hop.port) for flow in closed)
        place = "" if field.startswith("spec") else f" (settings {field})"
        words = f"{source.name} cannot reach {destination.name} on {ports}"
        words += f" ({first.need.why}{place}): {first.verdict.closed}: {first.need.remedy}"
        nobody = first.need.of_settings and not source.namespace
        yield FLOW_CLOSED.broken(
            field if field.startswith("spec") else "spec", words, _NOTE if nobody else None
        )


def _open(reach: flows.Reach) -> Iterator[rules.Finding]:
    """Yields the flows that nobody needs and that pass; those of one rule in one finding."""
    grouped: dict[tuple[endpoints.Endpoint, Direction, verdicts.Half], list[flows.Flow]] = {}
    for flow in reach.flows:
        if flow.need is None and flow.verdict.passes:
            grouped.setdefault((flow.own, flow.direction, flow.half), []).append(flow)
    for (own, direction, half), opened in grouped.items():
        ends = list(dict.fromkeys(flow.other for flow in opened))
        ports = _listed(
            "any other port" if port == flows.OTHER_PORT else str(port)
            for port in sorted({flow.hop.port for flow in opened})
        )
        names = _listed(end.name for end in ends)
        if direction is Direction.INGRESS:
            words = f"{names} can reach {own.name} on {ports}"
        else:
            words = f"{own.name} can reach {names} on {ports}"
        words += f", which nobody asks for: {_why(reach, own, half)}"
        near = all(end.namespace == own.namespace for end in ends)
        yield FLOW_OPEN.broken(
            _field(reach.plan, half), words, _NOTE if near and half.policy else None
        )


def _why(reach: flows.Reach, own: endpoints.Endpoint, half: verdicts.Half) -> str:
    """Returns what lets a flow through, and what to do about it."""
    if half.policy:
        return f"{half}: name the pods and ports that are meant"
    refused = [
        f"Cilium rejects {policy}: {policy.refused}"
        for policy in reach.given.all
        if policy.refused and policy.namespace == own.namespace and policy.selects(own)
    ]
    return _listed(refused) or "no policy is about these pods in this direction"


def _field(plan: plans.Plan, half: verdicts.Half) -> str:
    """Returns the field of the claim that a rule came from, as far as it is one of its raw rules.

    They stand first in the claim's own policy, in their order.
    """
    raw = plan.spec.network_policies
    if raw is None:
        return "spec"
    direction, _, index = half.rule.rstrip("]").partition("[")
    own = half.policy.endswith(f" {plan.identity.namespace}/{plan.identity.name}")
    rules_of = {"ingress": raw.ingress, "egress": raw.egress}.get(direction)
    if own and rules_of is not None and int(index) < len(rules_of):
        return f"spec.networkPolicies.{half.rule}"
    return "spec.networkPolicies"


def _listed(words: "Iterator[str] | list[str]") -> str:
    """Returns words, each once, in a row."""
    *rest, last = dict.fromkeys(words) or [""]
    return f"{', '.join(rest)} and {last}" if rest else last
