"""Who answers while no pod of the claim does: another claim, or a provider; and why not.

The gateway reaches the other claim's Service by a Backend of this claim's own, so that nobody else
can take away what the route names. A request does not pass the other claim's route: two claims may
be each other's fallback, and no request goes round. The other claim is read for words alone, and to
leave out one whose policies would not let the gateway in.
"""

import dataclasses
from collections.abc import Mapping

from function import composition, route_rows
from function.api import claim
from function.cluster import observed
from function.planning import plans
from function.situation import outsiders, vectors

REQUIREMENT = "fallback"
BACKEND = "fallback-backend-"
AI_BACKEND = "fallback-aiservicebackend-"
_API_VERSION = f"{claim.GROUP}/{claim.VERSION}"
_FIELD = "spec.gateway.fallback"


@dataclasses.dataclass(frozen=True)
class Fallback:
    """The fallback of a claim.

    Attributes:
        claim: The other claim's name, or None where it asks for none.
        outside: The provider that answers, where one is asked for and can.
        trouble: Why nobody answers, with the field, or None.
        named: Whether the route names it.
        questions: What must be read to know it, by the name under which it comes back.
    """

    claim: str | None = None
    outside: outsiders.Outsider | None = None
    trouble: str | None = None
    named: bool = False
    questions: Mapping[str, composition.Selector] = dataclasses.field(default_factory=dict)


def fallback(plan: plans.Plan, world: observed.Observed) -> Fallback:
    """Returns the fallback of a claim.

    Where core reads nothing for functions the other claim is taken to be there: without pods that
    answer, the route is as it would be without a fallback. Of a provider nothing is known then.
    """
    if plan.ways.provider is not None:
        return _provider(plan, world)
    name = plan.ways.fallback
    if name is None:
        return Fallback()
    selector = composition.Selector(_API_VERSION, claim.KIND, name=name)
    trouble = None
    if REQUIREMENT in world.required:
        words = _trouble(plan, name, next(iter(world.required[REQUIREMENT]), None))
        trouble = None if words is None else f"{_FIELD}.claim: {words}"
    return Fallback(
        name,
        trouble=trouble,
        named=trouble is None and _there(world, name, BACKEND, AI_BACKEND),
        questions=_asked(world, selector),
    )


def _provider(plan: plans.Plan, world: observed.Observed) -> Fallback:
    """Returns a provider of the namespace's front door as the fallback."""
    selector, words = outsiders.question(plan), outsiders.undoored(plan)
    if selector is None:
        return Fallback(trouble=f"{_FIELD}.provider: {words}")
    questions = _asked(world, selector)
    if REQUIREMENT not in world.required:
        return Fallback(questions=questions)
    answers = outsiders.outsider(plan, next(iter(world.required[REQUIREMENT]), None))
    if isinstance(answers, str):
        return Fallback(trouble=f"{_FIELD}.provider: {answers}", questions=questions)
    suffixes = (
        route_rows.OUTSIDE_BACKEND,
        route_rows.OUTSIDE_AI_BACKEND,
        route_rows.OUTSIDE_KEY,
    )
    named = _there(world, answers.provider.name, *suffixes)
    return Fallback(outside=answers, named=named, questions=questions)


def _asked(
    world: observed.Observed, selector: composition.Selector
) -> dict[str, composition.Selector]:
    return {REQUIREMENT: selector} if world.can_read else {}


def _there(world: observed.Observed, name: str, *suffixes: str) -> bool:
    """Tells whether all that the route would name is there.

    Objects are applied in any order, and a route that names a missing one fails whole.
    """
    return all(world.get(suffix + name) is not None for suffix in suffixes)


def _trouble(plan: plans.Plan, name: str, other: observed.Object | None) -> str | None:
    """Returns why the gateway would not reach another claim, in words."""
    if other is None or observed.at(other, "metadata", "deletionTimestamp") is not None:
        return f"the namespace has no InferenceService {name}: create it, or name another"
    if observed.at(other, "spec", "gateway", "enabled") is not True:
        return (
            f"InferenceService {name} is not on the gateway, and its policies let no gateway in:"
            " set spec.gateway.enabled there, or name another"
        )
    if observed.at(other, "spec", "suspend") is True:
        return f"InferenceService {name} is suspended: resume it, or name another"
    # A claim that was refused from the first has no Service: one of its name is somebody else's,
    # and the gateway would publish it.
    if observed.at(other, "status", "phase") is None:
        return (
            f"InferenceService {name} has nothing composed yet: its condition Valid says why; wait,"
            " or name another"
        )
    repository = observed.at(other, "spec", "model", "repository")
    names = [repository] if isinstance(repository, str) else []
    foreign = vectors.foreign(plan, f"InferenceService {name}", names)
    return None if foreign is None else f"{foreign}: name a claim of the same model, or no fallback"
