"""A second kind of claim of a few lines: it looks at every InferenceService of its namespace."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from function import composition
from function.api import base, claim, settings
from function.cluster import observed

GROUP = "fleet.example.com"
VERSION = "v1"
KIND = "Fleet"
PLURAL = "fleets"
LONGEST_NAME = 50
CONDITION_TYPES: tuple[str, ...] = ("Valid",)
COLUMNS: tuple[tuple[str, str, str, int], ...] = (("CLAIMS", "integer", ".status.claims", 0),)
# The name under which the claims are asked for.
CLAIMS = "claims"


class Spec(base.Model):
    """Which claims it is about."""

    tier: Annotated[str, base.text(63)]


class Fleet(base.Model):
    """The claim."""

    api_version: Literal["fleet.example.com/v1"]
    kind: Literal["Fleet"]
    metadata: claim.Metadata
    spec: Spec


class Status(base.Model):
    """What it says."""

    claims: int | None = None


MODEL: type[base.Model] = Fleet
SPEC: type[base.Model] = Spec
STATUS: type[base.Model] = Status


def parse(document: Mapping[str, Any]) -> Fleet:
    """Returns the claim."""
    return base.parse(Fleet, document, what="claim")


def compose(
    resource: Fleet, site: settings.Settings, world: observed.Observed
) -> composition.Composition:
    """Returns a ConfigMap with the names of the claims that were read."""
    del site
    names = sorted(
        str(observed.at(item, "metadata", "name")) for item in world.required.get(CLAIMS, ())
    )
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": resource.metadata.name, "namespace": resource.metadata.namespace},
        "data": {"models": ",".join(names)},
    }
    selector = composition.Selector(
        f"{claim.GROUP}/{claim.VERSION}", claim.KIND, {"tier": resource.spec.tier}
    )
    return composition.Composition(
        resources={
            f"{resource.metadata.name}-models": composition.Composed("models", manifest, ready=True)
        },
        status={"claims": len(names)},
        conditions=(observed.Condition("Valid", "True", "Valid"),),
        events=(),
        complete=True,
        ttl=60,
        questions=composition.Questions(resources={CLAIMS: selector}),
        explanations=(),
        held=(),
        restarts=(),
        wanted={},
        bounds=(0, 0),
        gpus="",
        misfit=None,
    )


def invalid(reason: str, message: str, world: observed.Observed) -> tuple[observed.Condition, ...]:
    """Returns Valid=False."""
    del world
    return (observed.Condition("Valid", "False", reason, message),)
