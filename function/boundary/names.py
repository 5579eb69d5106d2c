"""Names that are another's: Kubernetes', the platform's, or those of another claim's objects.

A claim's objects carry its name. Core applies them with force, so a claim that is named like the
platform's own ServiceAccount would take it over.
"""

from collections.abc import Iterator

from function.api import base, claim, settings
from function.boundary import grants
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


def _taken(why: str) -> base.Problem:
    return base.Problem("metadata.name", f"{why}: give the claim another name")
