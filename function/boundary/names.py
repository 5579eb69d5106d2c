"""Names that are another's: Kubernetes', the platform's, or those of another claim's objects.

A claim's objects carry its name. Core applies them with force, so a claim that is named like the
platform's own ServiceAccount would take it over.
"""

from collections.abc import Iterator

from function.api import base, claim, settings
from function.boundary import grants
from function.cluster import observed
from function.planning import identity


def refusals(resource: claim.InferenceService, site: settings.Settings) -> Iterator[base.Problem]:
    """Yields why the claim cannot have its name."""
    name = resource.name
    if name == site.preload.service_account_name:
        yield _taken(f"{name!r} is the settings' preload.serviceAccountName")
    for pattern in site.reserved_names:
        if grants.matches(grants.filled(pattern, resource), name):
            yield _taken(f"the settings keep {pattern!r} for the platform (reservedNames)")
    neighbour = identity.borrowed(name)
    if neighbour is not None:
        yield _taken(f"{name!r} is the name of a Service of claim {neighbour!r}")
    if base.of(base.of(resource.spec.gateway, "fallback"), "claim") == name:
        yield base.Problem(
            "spec.gateway.fallback.claim", f"{name!r} is this claim: name another, or take it out"
        )


def check_new(resource: claim.InferenceService, world: observed.Observed) -> None:
    """Checks that a claim without objects does not take the name of another's endpoint picker.

    The chart of claim N's picker makes a Service and a Deployment N-epp, and the claim N-epp would
    make both too. A claim that is there already keeps what it has.

    Raises:
        base.InvalidError: The name is one that a picker's objects have.
    """
    if world.resources or not resource.name.endswith(claim.PICKER_SUFFIX):
        return
    neighbour = resource.name.removesuffix(claim.PICKER_SUFFIX)
    why = f"{resource.name!r} is what the endpoint picker of claim {neighbour!r} is named"
    raise base.InvalidError("claim", [_taken(why)])


def _taken(why: str) -> base.Problem:
    return base.Problem("metadata.name", f"{why}: give the claim another name")
