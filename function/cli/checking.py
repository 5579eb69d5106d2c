"""Everything that is wrong with claims or doubtful, with the file and the line of each."""

import collections
import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from function import composition
from function.api import base, gateway
from function.cli import documents, places, planned, rendering, sites
from function.cluster import observed
from function.concerns.gateway import publishing
from function.concerns.secrets import fetching
from function.engines import adviser
from function.findings import canaries, costs, foresight, reachability, refusals, rules, table
from function.planning import plans
from function.reach import flows

_WORST = tuple(rules.Severity)

# What asks for the provider that a condition lacks; the first that the claim has.
_ASKS = {
    publishing.RouteReady.type(): ("spec.gateway", "spec.route"),
    fetching.SecretsReady.type(): ("spec.externalSecrets",),
}


@dataclasses.dataclass(frozen=True)
class Located:
    """A finding, and where it is.

    Attributes:
        finding: The finding.
        file: The file; `-` is standard input, empty where it is no one file.
        line: The line, from 1; 0 where nobody knows.
        namespace: The claim's namespace, or empty.
        claim: The claim's name, or empty.
    """

    finding: rules.Finding
    file: str
    line: int
    namespace: str = ""
    claim: str = ""

    @property
    def message(self) -> str:
        """The field with what is wrong, in one line."""
        words = " ".join(self.finding.message.split())
        return f"{self.finding.field}: {words}" if self.finding.field else words


@dataclasses.dataclass(frozen=True)
class Report:
    """What a run is told.

    Attributes:
        findings: By file and line; of one line the worst first.
        claims: How many claims were read.
        unread: Whether something could not be read.
        notes: What a person should know of the run as a whole.
    """

    findings: tuple[Located, ...]
    claims: int
    unread: bool
    notes: tuple[str, ...]

    def counts(self) -> dict[rules.Severity, int]:
        """Returns how many findings there are of each severity."""
        counted = collections.Counter(one.finding.severity for one in self.findings)
        return {severity: counted[severity] for severity in rules.Severity}


def report(fleet: planned.Fleet, inputs: planned.Inputs) -> Report:
    """Returns what is found.

    Args:
        fleet: The claims.
        inputs: What they were read from.
    """
    reaches = reaching(fleet)
    every = [
        *(_unreadable(error) for error in fleet.unreadable),
        *(
            Located(
                refusals.SETTINGS_INVALID.broken(one.path, one.message),
                *sites.place(inputs.environments, inputs.input_file, one.path),
            )
            for one in fleet.unusable
        ),
        *(located for claim in fleet.claims for located in of(claim, reaches.get(id(claim)))),
        *_crowded(fleet),
        *_shared(fleet),
        *_unplaced(fleet, inputs),
        *_unpriced(fleet),
    ]
    order = sorted(every, key=lambda one: (one.file, one.line, _WORST.index(one.finding.severity)))
    return Report(tuple(order), len(fleet.claims), bool(fleet.unreadable), fleet.notes)


def reaching(
    fleet: planned.Fleet,
    more: Iterable[Mapping[str, Any]] = (),
    *,
    between: bool = False,
    denied: bool = False,
) -> Mapping[int, flows.Reach]:
    """Returns who reaches whom for each claim that has a plan, by the claim's identity.

    The policies of all claims hold at the same time. `more`, `between` and `denied` are as
    `flows.of` has them.
    """
    subjects = {
        id(claim): flows.subject(claim.plan, claim.answer)
        for claim in fleet.claims
        if claim.plan is not None and claim.answer is not None
    }
    reaches = flows.of(list(subjects.values()), more, between=between, denied=denied)
    return dict(zip(subjects, reaches, strict=True))


def of(claim: planned.Planned, reach: flows.Reach | None = None) -> Iterator[Located]:
    """Yields what is found of one claim.

    Args:
        claim: The claim.
        reach: Who reaches whom, where it has a plan.
    """
    findings = [*_findings(claim), *(() if reach is None else reachability.judge(reach))]
    for finding in findings:
        yield _located(claim.source, finding)


def _crowded(fleet: planned.Fleet) -> Iterator[Located]:
    """Yields the claims whose node pool is too small for all that ask it."""
    claims = [(claim, claim.plan) for claim in fleet.claims if claim.plan is not None]
    if fleet.site is None:
        return
    stored = [claim.stored for claim, _ in claims]
    judged = foresight.crowded([plan for _, plan in claims], stored, fleet.site)
    for (claim, _), finding in zip(claims, judged, strict=True):
        if finding is not None:
            yield _located(claim.source, finding)


def _shared(fleet: planned.Fleet) -> Iterator[Located]:
    """Yields the claims whose canaries are judged by requests of another claim too."""
    claims = [(claim, claim.plan) for claim in fleet.claims if claim.plan is not None]
    judged = canaries.shared([plan for _, plan in claims])
    for (claim, _), finding in zip(claims, judged, strict=True):
        if finding is not None:
            yield _located(claim.source, finding)


def _unplaced(fleet: planned.Fleet, inputs: planned.Inputs) -> Iterator[Located]:
    """Yields for each file of settings its classes that nothing tells apart for pods."""
    asked = [claim.plan for claim in fleet.claims if claim.plan is not None]
    if fleet.site is None:
        return
    of_files = collections.defaultdict(list)
    for name in foresight.unplaced(asked, fleet.site):
        path = f"gpu.classes.{name}"
        file, line = sites.place(inputs.environments, inputs.input_file, path)
        of_files[file].append((name, line))
    for file, given in of_files.items():
        names = [name for name, _ in given]
        yield Located(foresight.not_placed(names, fleet.site), file, given[0][1])


def _unpriced(fleet: planned.Fleet) -> Iterator[Located]:
    """Yields the names of InferenceGateways whose price follows from nothing."""
    for one in fleet.claims:
        if one.source.document.get("kind") != gateway.KIND:
            continue
        try:
            door = base.parse(gateway.InferenceGateway, one.source.document, what=gateway.KIND)
        except base.InvalidError:
            continue
        beside = [
            (claim.plan, _labels(claim.source))
            for claim in fleet.claims
            if claim.plan is not None and claim.source.namespace == one.source.namespace
        ]
        for finding in costs.judge_door(door, beside):
            yield _located(one.source, finding)


def _located(source: documents.Source, finding: rules.Finding) -> Located:
    line = places.line(source.node, finding.field)
    return Located(finding, source.file, line, source.namespace, source.name)


def _unreadable(error: documents.UnreadableError) -> Located:
    return Located(refusals.FILE_UNREADABLE.broken("", error.words), error.file, error.line)


def _findings(claim: planned.Planned) -> Iterator[rules.Finding]:
    if claim.source.misspelt:
        yield refusals.KIND_MISSPELT.broken("kind", claim.source.misspelt)
    for other in claim.namesakes:
        place = f"{other.file}:{places.line(other.node, 'metadata.name')}"
        words = f"{place} has a claim of this name too: one would replace the other"
        yield refusals.CLAIM_DUPLICATE.broken("metadata.name", words)
    yield from claim.faults
    if claim.plan is not None and claim.answer is not None:
        yield from _planned(claim.plan, claim.answer, claim.adapters)
        yield from canaries.judge(claim.plan, _labels(claim.source), claim.doors)
        yield from costs.judge(claim.plan, _labels(claim.source), claim.doors)
    if claim.unanswered:
        field, _, words = claim.unanswered.partition(": ")
        yield refusals.FALLBACK_SILENT.broken(field, words)


def _labels(source: documents.Source) -> dict[str, str]:
    labels = observed.at(source.document, "metadata", "labels")
    return dict(labels) if isinstance(labels, dict) else {}


def _planned(
    plan: plans.Plan,
    answer: composition.Composition,
    adapters: Mapping[str, adviser.Adapter],
) -> Iterator[rules.Finding]:
    ahead = list(foresight.judge(plan))
    yield from ahead
    yield from table.judge(plan, adapters)
    # A trigger that never fires is a rule of its own.
    silent = any(one.rule is foresight.TRIGGER_NEVER_FIRES for one in ahead)
    for why in answer.explanations:
        if why.surprising and not (silent and why.field.startswith("spec.scaling.triggers")):
            yield refusals.OTHERWISE_THAN_WRITTEN.broken(why.field, why.rule)
    for condition in answer.conditions:
        if condition.reason == rendering.NOT_PROVIDED:
            field = _asking(plan, condition.type)
            yield refusals.NOT_PROVIDED.broken(field, condition.message)
    for problem in rendering.addresses(plan.spec):
        yield refusals.REPOSITORY_ADDRESS.broken(problem.path, problem.message)


def _asking(plan: plans.Plan, condition: str) -> str:
    asked = plan.spec.model_dump(by_alias=True, exclude_none=True)
    fields = _ASKS.get(condition, ("spec",))
    return next((one for one in fields if one.removeprefix("spec.") in asked), "spec")
