"""Whether a flow passes: both halves of the hop, each with the policy and the rule that decide."""

import dataclasses
import enum
from typing import Any

from function.reach import endpoints, policies
from function.reach.policies import Direction


class Why(enum.StrEnum):
    """What decides a half."""

    NO_POLICY = "no policy"
    """No policy is about this end in this direction: whatever comes passes."""
    RULE = "rule"
    """A rule lets it through."""
    NODE = "node"
    """The pod's own node gets in: kubelets probe from there."""
    NO_RULE = "no rule"
    """Policies are about this end, and no rule of theirs lets it through."""
    DENIED = "denied"
    """A rule keeps it out, whatever the others say."""
    UNDECIDED = "undecided"
    """No rule surely lets it through, and one may: who is meant cannot be told from here."""


_PASSES = {Why.NO_POLICY: True, Why.RULE: True, Why.NODE: True, Why.UNDECIDED: None}


@dataclasses.dataclass(frozen=True)
class Half:
    """One half of a hop.

    Attributes:
        why: What decides.
        policy: The policy that decides, or empty; of several that are closed the first.
        rule: The place of the rule that decides, or empty.
        narrows: What else a flow must be, where the rule asks for more.
    """

    why: Why
    policy: str = ""
    rule: str = ""
    narrows: str = ""

    @property
    def passes(self) -> bool | None:
        """Whether a flow passes; None where it cannot be told."""
        return _PASSES.get(self.why, False)

    def __str__(self) -> str:
        """The half in words."""
        where = " ".join(word for word in (self.policy, self.rule) if word)
        words = {
            Why.NO_POLICY: "no policy",
            Why.NODE: "the pod's own node",
            Why.NO_RULE: f"no rule of {where}",
            Why.DENIED: f"denied by {where}",
            Why.UNDECIDED: f"undecided: {where}",
        }.get(self.why, where)
        return f"{words} ({self.narrows})" if self.narrows else words

    def document(self) -> dict[str, Any]:
        """Returns the same for machines."""
        return {
            "passes": self.passes,
            "why": str(self.why),
            "policy": self.policy or None,
            "rule": self.rule or None,
            "narrows": self.narrows or None,
        }


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What becomes of a flow.

    Attributes:
        egress: Whether it leaves its source.
        ingress: Whether it enters its destination.
    """

    egress: Half
    ingress: Half

    @property
    def passes(self) -> bool | None:
        """Whether the flow passes both halves; None where it cannot be told."""
        halves = (self.egress.passes, self.ingress.passes)
        if False in halves:
            return False
        return None if None in halves else True

    @property
    def closed(self) -> Half:
        """The half that keeps the flow out; that of the destination where neither does."""
        return self.egress if self.egress.passes is False else self.ingress


def judge(given: policies.Policies, flow: policies.Hop) -> Verdict:
    """Returns what becomes of a flow under policies."""
    return Verdict(
        half(given, flow, Direction.EGRESS),
        half(given, flow, Direction.INGRESS),
    )


def half(given: policies.Policies, flow: policies.Hop, direction: Direction) -> Half:
    """Returns what becomes of one half of a flow.

    Policies add up: one rule that lets through is enough, and one that keeps out wins.
    """
    subject, other = flow.ends(direction)
    between = given.between(direction, subject, other)
    verdicts: dict[Why, Half] = {}
    for policy, rule, named in between.rules:
        if rule.on(flow):
            why = _says(rule) if named else Why.UNDECIDED
            verdicts.setdefault(why, Half(why, policy, rule.place, rule.narrows))
    if Why.DENIED in verdicts:
        return verdicts[Why.DENIED]
    if Why.RULE in verdicts:
        return verdicts[Why.RULE]
    if not between.closing:
        return Half(Why.NO_POLICY)
    if direction is Direction.INGRESS and other.kind is endpoints.Kind.NODE:
        return Half(Why.NODE)
    return verdicts.get(Why.UNDECIDED, Half(Why.NO_RULE, between.closing))


def _says(rule: policies.Rule) -> Why:
    """Returns what a rule says of an end that it is about."""
    return Why.DENIED if rule.denies else Why.RULE
