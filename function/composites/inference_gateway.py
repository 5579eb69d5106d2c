"""InferenceGateway: the front door of a namespace, and who may call what behind it.

`compose` is pure, as an InferenceService's: what is wanted, what holds now, the objects, and what
the object says about itself. The claims are read as required resources and never changed.
"""

from collections.abc import Mapping
from typing import Any

from function import assembly, composition
from function.api import base, gateway, gateway_status, settings
from function.boundary import adoption
from function.cluster import observed
from function.concerns import providers, validity
from function.fleet import (
    boards,
    doors,
    externals,
    gateways,
    keys,
    limits,
    report,
    routers,
    rows,
    situations,
    spending,
    tokens,
)
from function.fleet.edge import edges
from function.fleet.evals import evals

GROUP = gateway.GROUP
VERSION = gateway.VERSION
KIND = gateway.KIND
PLURAL = gateway.PLURAL
LONGEST_NAME = gateway.LONGEST_NAME
MODEL: type[base.Model] = gateway.InferenceGateway
SPEC: type[base.Model] = gateway.Spec
STATUS: type[base.Model] = gateway_status.Status
CONDITION_TYPES = report.CONDITION_TYPES

COLUMNS: tuple[tuple[str, str, str, int], ...] = (
    ("PHASE", "string", ".status.phase", 0),
    ("CLAIMS", "string", ".status.claims", 0),
    ("CALLERS", "integer", ".status.callers", 0),
    ("WAITING FOR", "string", ".status.waitingFor", 0),
    ("ENDPOINT", "string", ".status.endpoint", 0),
    ("EDGE", "string", ".status.edgeEndpoint", 1),
    ("MODELS", "string", ".status.modelsSummary", 1),
)


def parse(document: Mapping[str, Any]) -> gateway.InferenceGateway:
    """Returns the front door.

    Raises:
        base.InvalidError: The document breaks its schema or rules.
    """
    return base.parse(gateway.InferenceGateway, document, what="claim")


def compose(
    resource: gateway.InferenceGateway, site: settings.Settings, world: observed.Observed
) -> composition.Composition:
    """Returns everything that the front door becomes.

    Raises:
        base.InvalidError: It asks for what must not be composed, the name of one of its objects is
            taken, or the settings lost a provider.
    """
    providers.check_none_is_lost(site, world, rows.TABLE)
    now = situations.situation(doors.make(resource, site), world)
    parts = [
        *keys.compose(now),
        *tokens.compose(now),
        *limits.compose(now),
        *gateways.compose(now),
        *externals.compose(now),
        *spending.compose(now),
        *routers.compose(now),
        *boards.compose(now),
        *evals.compose(now),
        *edges.compose(now),
    ]
    desired = assembly.assembled(world, now.door.identity, parts, rows.TABLE)
    adoption.check(world, desired.unobserved)
    return report.finish(now, desired)


def invalid(reason: str, message: str, world: observed.Observed) -> tuple[observed.Condition, ...]:
    """Returns all conditions of a front door that cannot be rendered."""
    member = validity.Valid.named(reason)
    return validity.invalid(member, message, world, CONDITION_TYPES)
