"""InferenceService: one model, and everything that serves it.

`compose` reads like a table of contents: what is known of the weights, what is wanted, what holds
now, then each concern's objects and conditions. It is pure: no clock, network, file, environment or
random number; the same input gives the same answer in any process.
"""

from collections.abc import Mapping
from typing import Any

from function import assembly, composition, report
from function.api import base, claim, settings, status
from function.boundary import adoption, names
from function.cluster import checkpoints, memory, observed
from function.concerns import concerns, providers, validity
from function.concerns.secrets import fetching
from function.planning import plans
from function.situation import admission, situations, succession
from function.workloads import caches

GROUP = claim.GROUP
VERSION = claim.VERSION
KIND = claim.KIND
PLURAL = claim.PLURAL
LONGEST_NAME = claim.LONGEST_NAME
MODEL: type[base.Model] = claim.InferenceService
SPEC: type[base.Model] = claim.Spec
STATUS: type[base.Model] = status.Status
CONDITION_TYPES = concerns.CONDITION_TYPES

# SERVED MODELS is 0.9.0's own column. A column without a value stays empty, so the wide ones show
# what the author wrote and what the pods were started with, never a default.
COLUMNS: tuple[tuple[str, str, str, int], ...] = (
    ("PHASE", "string", ".status.phase", 0),
    ("REPLICAS", "string", ".status.replicas", 0),
    ("CURRENT", "string", ".status.conditions[?(@.type=='Current')].status", 0),
    ("WAITING FOR", "string", ".status.waitingFor", 0),
    ("SERVED MODELS", "string", ".status.servedModelsSummary", 0),
    ("ENDPOINT", "string", ".status.modelEndpoint", 0),
    ("GPU", "string", ".status.gpu", 0),
    ("REPOSITORY", "string", ".status.serving.repository", 1),
    ("REVISION", "string", ".status.serving.revision", 1),
    ("ENGINE IMAGE", "string", ".status.serving.engineImage", 1),
    ("HOLDS", "string", ".status.capacity.summary", 1),
    ("COST/H", "string", ".status.cost.perHourNow", 1),
    ("MIN", "integer", ".spec.scaling.minReplicas", 1),
    ("MAX", "integer", ".spec.scaling.maxReplicas", 1),
)


def parse(document: Mapping[str, Any]) -> claim.InferenceService:
    """Returns the claim.

    Raises:
        base.InvalidError: The document breaks the claim's schema or rules.
    """
    return base.parse(claim.InferenceService, document, what="claim")


def compose(
    resource: claim.InferenceService, site: settings.Settings, world: observed.Observed
) -> composition.Composition:
    """Returns everything that the claim becomes.

    Raises:
        base.InvalidError: The claim asks for what cannot or must not be composed, the name of one
            of its objects is taken or not granted, or the settings lost a provider.
    """
    names.check_new(resource, world)
    providers.check_none_is_lost(site, world)
    remembered = memory.memory(world)
    facts = checkpoints.recorded(remembered, world)
    plan = plans.make(resource, site, facts, former_cache=caches.former(resource, facts, world))
    succession.check(plan, world)
    admission.check(plan, world)
    fetching.check_new(resource, site, world)
    now = situations.situation(plan, facts, remembered, world)
    parts = [part for concern in concerns.CONCERNS for part in concern.compose(now)]
    desired = assembly.assemble(now, parts)
    adoption.check(world, desired.unobserved)
    return report.finish(now, desired)


def invalid(reason: str, message: str, world: observed.Observed) -> tuple[observed.Condition, ...]:
    """Returns all conditions of a claim that cannot be rendered."""
    member = validity.Valid.named(reason)
    return validity.invalid(member, message, world, CONDITION_TYPES)
