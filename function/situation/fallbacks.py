"""Another claim that answers while no pod of this one does, and why it may not.

The gateway reaches the other claim's Service by a Backend of this claim's own, so that nobody else
can take away what the route names. A request does not pass the other claim's route: two claims may
be each other's fallback, and no request goes round. The other claim is read for words alone, and to
leave out one whose policies would not let the gateway in.
"""

import dataclasses
from collections.abc import Mapping

from function import composition
from function.api import claim
from function.cluster import observed
from function.planning import plans

REQUIREMENT = "fallback"
BACKEND = "fallback-backend-"
AI_BACKEND = "fallback-aiservicebackend-"
_API_VERSION = f"{claim.GROUP}/{claim.VERSION}"


@dataclasses.dataclass(frozen=True)
class Fallback:
    """The fallback of a claim.

    Attributes:
        claim: Its name, or None where the claim asks for none.
        trouble: Why it does not answer, in words, or None.
        named: Whether the route names it.
        questions: What must be read to know it, by the name under which it comes back.
    """

    claim: str | None = None
    trouble: str | None = None
    named: bool = False
    questions: Mapping[str, composition.Selector] = dataclasses.field(default_factory=dict)


def fallback(plan: plans.Plan, world: observed.Observed) -> Fallback:
    """Returns the fallback of a claim.

    Where core reads nothing for functions the other claim is taken to be there: without pods that
    answer, the route is as it would be without a fallback.
    """
    name = plan.ways.fallback
    if name is None:
        return Fallback()
    questions = {}
    if world.can_read:
        questions[REQUIREMENT] = composition.Selector(_API_VERSION, claim.KIND, name=name)
    trouble = None
    if REQUIREMENT in world.required:
        trouble = _trouble(name, next(iter(world.required[REQUIREMENT]), None))
    # Objects are applied in any order, and a route that names a missing one fails whole.
    there = all(world.get(kind + name) is not None for kind in (BACKEND, AI_BACKEND))
    return Fallback(name, trouble, trouble is None and there, questions)


def _trouble(name: str, other: observed.Object | None) -> str | None:
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
    return None
