"""What holds of a claim that nothing was composed of yet, for tests of single builders."""

from typing import Any

from function.api import base, claim, settings
from function.cluster import checkpoints, memory, observed
from function.planning import plans
from function.situation import situations


def situation(document: dict[str, Any], site: settings.Settings) -> situations.Situation:
    """Returns what holds at the first call for a claim."""
    resource = base.parse(claim.InferenceService, document, what="claim")
    facts = checkpoints.Facts()
    plan = plans.make(resource, site, facts)
    world = observed.Observed(name=resource.name)
    return situations.situation(plan, facts, memory.memory(world), world)
