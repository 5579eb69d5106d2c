"""Claims in files under a site's settings: read, planned, and composed as if they were new.

What every verb begins with that looks at what is wanted, and at no cluster.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

from function import composition
from function.api import base, claim, gateway, settings
from function.cli import documents, neighbours, pipeline, refused, rendering, sites, suggestions
from function.cluster import checkpoints, memory
from function.composites import inference_service
from function.engines import adviser
from function.findings import rules, table
from function.planning import plans
from function.situation import fallbacks


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What is read.

    Attributes:
        claims: Files and directories of claims; `-` is standard input.
        environments: Files of EnvironmentConfigs.
        input_file: File of the Composition's input, or None.
    """

    claims: tuple[str, ...]
    environments: tuple[str, ...] = ()
    input_file: str | None = None

    @property
    def repeats_standard_input(self) -> bool:
        """Whether standard input is to be read twice, which it cannot."""
        return [*self.claims, *self.environments, self.input_file].count("-") > 1


@dataclasses.dataclass(frozen=True)
class Planned:
    """A claim, with its plan or why there is none.

    Attributes:
        source: Where it was read; `source.misspelt` says that it is of no kind.
        namesakes: Where else a claim of its name stands.
        resource: The claim; None where it is of another kind, or does not parse.
        plan: Its plan; None where it is refused, or of another kind.
        answer: What the function answers for it as a new claim; None where it is refused.
        adapters: What the claim's status knows of adapters, by name.
        stored: Directories of weights that lie on the volume, as the claim's status records them.
        unanswered: Why nobody answers in the claim's place, where it asks for a fallback.
        doors: The InferenceGateways of its namespace that were read beside it.
        faults: What is wrong with a claim that is refused.
    """

    source: documents.Source
    namesakes: tuple[documents.Source, ...] = ()
    resource: claim.InferenceService | None = None
    plan: plans.Plan | None = None
    answer: composition.Composition | None = None
    adapters: Mapping[str, adviser.Adapter] = dataclasses.field(default_factory=dict)
    stored: frozenset[str] = frozenset()
    unanswered: str = ""
    doors: tuple[gateway.InferenceGateway, ...] = ()
    faults: tuple[rules.Finding, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether nothing is composed of it."""
        return self.answer is None


@dataclasses.dataclass(frozen=True)
class Fleet:
    """All claims that were read.

    Attributes:
        site: The settings; None where they cannot be used.
        claims: The claims, in the order of files and documents.
        unreadable: What could not be read.
        unusable: Why the settings cannot be used.
        notes: What a person should know of the run as a whole.
    """

    site: settings.Settings | None = None
    claims: tuple[Planned, ...] = ()
    unreadable: tuple[documents.UnreadableError, ...] = ()
    unusable: tuple[base.Problem, ...] = ()
    notes: tuple[str, ...] = ()


def read(inputs: Inputs) -> Fleet:
    """Returns the claims with their plans; what cannot be read or used is in it too."""
    try:
        site = sites.read(inputs.environments, inputs.input_file)
    except documents.UnreadableError as error:
        return Fleet(unreadable=(error,))
    except base.InvalidError as error:
        return Fleet(unusable=suggestions.hinted(error, settings.Settings, {}))
    given = documents.claims(inputs.claims)
    if not (given.sources or given.unreadable):
        words = f"no InferenceService in {', '.join(inputs.claims)}"
        given.unreadable.append(documents.UnreadableError(words))
    return Fleet(
        site.settings,
        tuple(_planned(given.sources, site.settings)),
        tuple(given.unreadable),
        notes=(*site.notes, *given.notes),
    )


def _planned(sources: Iterable[documents.Source], site: settings.Settings) -> Iterator[Planned]:
    given = list(sources)
    for read in pipeline.each(given, site, lambda source: of(source, site, given)):
        if read.made is not None:
            yield dataclasses.replace(read.made, namesakes=read.namesakes)
        else:
            answer = None if read.plain is None else read.plain.answer
            faults = refused.findings(read.source.document, read.problems, site)
            yield Planned(read.source, read.namesakes, answer=answer, faults=faults)


def of(
    source: documents.Source, site: settings.Settings, beside: Iterable[documents.Source] = ()
) -> Planned:
    """Returns one claim with its plan, or why these settings refuse it.

    Args:
        source: The claim.
        site: The settings.
        beside: What else was read.

    Raises:
        base.InvalidError: It breaks its schema or its rules.
    """
    resource = rendering.parse(source.document)
    try:
        world = rendering.alone(source, resource)
        facts = checkpoints.recorded(memory.memory(world), world)
        plan = plans.make(resource, site, facts)
        answer = inference_service.compose(resource, site, world)
        told = neighbours.told(world, answer, source, beside, pipeline.NOTHING)
    except base.InvalidError as error:
        faults = refused.findings(source.document, error.problems, site)
        return Planned(source, resource=resource, faults=faults)
    return Planned(
        source,
        resource=resource,
        plan=plan,
        answer=answer,
        adapters=table.adapters(plan, facts),
        stored=frozenset(facts.records),
        unanswered=fallbacks.fallback(plan, told).trouble or "",
        doors=neighbours.doors(source, beside) if plan.gates or plan.ways.gateway else (),
    )
