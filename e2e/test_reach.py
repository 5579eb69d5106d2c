"""Who reaches whom, as told from policies, put to Cilium's own engine (``tools/cilium``).

Ours and Cilium's 1.20.2 judge the same flows under the same policies, of both forms: each half of
each hop, and which policies the agent rejects as a whole.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Sequence

import pytest

from e2e import questions
from e2e.controlplane import api
from function.cli import planned
from function.reach import flows, forms, policies, verdicts
from tests.reach import generated

# Policy sets, each of two to five policies and with 24 flows.
SETS = 10_000
SHARES = 4
PROFILES = ("examples/reference/environmentconfig.yaml", "examples/plain/environmentconfig.yaml")


@pytest.fixture(scope="module")
def cilium() -> Iterator[questions.Program]:
    """The program."""
    with questions.Program("cilium", "verdicts") as running:
        yield running


@dataclasses.dataclass(frozen=True)
class Judged:
    """What both say of one question."""

    differences: list[str]
    passed: int
    stopped: int


def _compare(
    cilium: questions.Program, manifests: Sequence[api.Object], hops: Sequence[policies.Hop]
) -> Judged:
    """Where ours and Cilium's differ, and how many halves pass and do not."""
    ends = list(dict.fromkeys(end for hop in hops for end in (hop.source, hop.destination)))
    numbers = {end: number for number, end in enumerate(ends)}
    answer = cilium.ask(
        endpoints=[end.document() for end in ends],
        policies=list(manifests),
        flows=[
            [numbers[hop.source], numbers[hop.destination], hop.protocol, hop.port] for hop in hops
        ],
    )
    given, differences = forms.read(manifests), []
    for policy, refused in zip(given.all, answer["refused"], strict=True):
        if bool(policy.refused) != bool(refused):
            differences.append(f"{policy} is refused: ours {policy.refused!r}, theirs {refused!r}")
    halves: list[bool] = []
    for hop, (leaves, enters) in zip(hops, answer["flows"], strict=True):
        verdict = verdicts.judge(given, hop)
        for name, ours, theirs in (
            ("egress", verdict.egress, leaves),
            ("ingress", verdict.ingress, enters),
        ):
            halves.append(theirs)
            if ours.passes is not theirs:
                ends_ = f"{hop.source.name} to {hop.destination.name}"
                differences.append(f"{name} {ends_} {hop.protocol} {hop.port}: ours {ours}")
    return Judged(differences, halves.count(True), halves.count(False))


@pytest.mark.parametrize("share", range(SHARES))
def test_generated_policies_say_the_same_to_cilium(share: int, cilium: questions.Program) -> None:
    """In four parts, so that one part that fails does not hide the rest."""
    passed = stopped = 0
    for seed in range(share, SETS, SHARES):
        case = generated.case(seed)
        judged = _compare(cilium, case.manifests, case.flows)
        assert judged.differences == [], f"seed {seed}: {case.manifests}"
        passed, stopped = passed + judged.passed, stopped + judged.stopped
    # What passes and what does not are both a good part of what was asked.
    assert min(passed, stopped) > 0.2 * (passed + stopped)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_flow_of_the_examples_says_the_same_to_cilium(
    profile: str, cilium: questions.Program
) -> None:
    """Of all example claims at once, with the policies as they are rendered."""
    fleet = planned.read(planned.Inputs(("examples/claims", "examples/features"), (profile,)))
    subjects = [
        flows.subject(one.plan, one.answer)
        for one in fleet.claims
        if one.plan is not None and one.answer is not None
    ]
    asked: typing.Any = [
        manifest
        for subject in subjects
        for manifest in subject.manifests
        if manifest["kind"] in forms.KINDS
    ]
    reaches = flows.of(subjects, between=True)
    assert len(reaches) > 20
    hops = [flow.hop for reach in reaches for flow in reach.flows]
    judged = _compare(cilium, asked, hops)
    assert judged.differences == []
    assert min(judged.passed, judged.stopped) > 1000
