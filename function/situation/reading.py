"""What the pods of a claim read from an object store when they start: those of today, and others.

A container that ends starts again in its pod and reads the same weights. While pods move to another
template those of before are there still, so their way to the store stays until none is left. The
ServiceAccount, which every claim has, notes what that is. Authors may write it, so a note opens no
more than the settings let the claim name.
"""

import re

from function.api import claim_model
from function.boundary import grants
from function.cluster import observed
from function.planning import identity, plans
from function.situation import rollouts

ANNOTATION = f"{identity.DOMAIN}/reads"

_URI = re.compile(claim_model.S3_URI)
# Templates that follow each other before the pods of the first are gone.
_MOST = 8


def addresses(
    plan: plans.Plan, rollout: rollouts.Rollout, world: observed.Observed
) -> tuple[str, ...]:
    """Returns addresses such as s3://models/qwen, in order: those that are wanted come too."""
    known = {plan.running.store, rollout.running.store} - {""}
    if rollout.rolls:
        account = world.get("serviceaccount")
        noted = observed.at(account, "metadata", "annotations", ANNOTATION)
        former = noted.split(",")[:_MOST] if isinstance(noted, str) else []
        known |= {one for one in former if _URI.fullmatch(one) and _granted(plan, one)}
    return tuple(sorted(known))


def _granted(plan: plans.Plan, address: str) -> bool:
    return not any(grants.outside("model_uris", "", address, plan.resource, plan.site))


def noted(read: tuple[str, ...]) -> dict[str, str]:
    """Returns what the ServiceAccount notes of addresses."""
    return {ANNOTATION: ",".join(read)} if read else {}
