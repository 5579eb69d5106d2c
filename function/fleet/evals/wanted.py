"""What is wanted of evaluations: which models, with whose key, at which address."""

import dataclasses

from function import canonical
from function.api import gateway, gateway_evals
from function.cluster import observed
from function.fleet import gateways, members, rows, situations
from function.planning import identity

COMPONENT = "evaluation"
# On a CronJob: where it asks. A Gateway that loses its address for a while changes nothing.
ADDRESS_ANNOTATION = f"{identity.DOMAIN}/address"

SCHEDULE = "0 2 * * *"
PASS_PERCENT = 90
DROP_PERCENT = 10
MISSING_DAYS = 2

# Kubernetes: a CronJob's Jobs have eleven characters more, and their names are labels.
_LONGEST_NAME = 52
_MARK = 8
# Digits of a hash that nobody meets by trying.
_OWN = 32


@dataclasses.dataclass(frozen=True)
class Target:
    """A model that is evaluated.

    Attributes:
        model: Its name, as clients write it.
        claim: The claim that serves it.
        offers: What it can be asked for, in the words of the claim's status.
        part: Its name as a part of keys.
        name: Name of its CronJob.
    """

    model: str
    claim: str
    offers: frozenset[str]
    part: str
    name: str


@dataclasses.dataclass(frozen=True)
class Evaluations:
    """The evaluations of a front door.

    Attributes:
        spec: What the author asks for.
        caller: Whose key is used.
        targets: The models, by name.
        forbidden: Models that are selected and that the caller may not use.
        unknown: Names that the author wrote and that no published claim serves.
        address: Address of the OpenAI API, or None while the Gateway has none.
    """

    spec: gateway_evals.Evals
    caller: gateway.Caller
    targets: tuple[Target, ...]
    forbidden: tuple[str, ...]
    unknown: tuple[str, ...]
    address: str | None

    @property
    def thresholds(self) -> gateway_evals.Thresholds:
        """When a result calls somebody."""
        return self.spec.thresholds or gateway_evals.Thresholds()

    @property
    def missing_days(self) -> int:
        """Days without a result after which that is told."""
        given = self.thresholds.missing_days
        return MISSING_DAYS if given is None else given


def evaluations(now: situations.Situation) -> Evaluations | None:
    """Returns the evaluations of a front door, or None where it asks for none or has no Gateway."""
    spec = now.door.resource.spec.evals
    if spec is None or not (now.door.own and now.door.provided):
        return None
    grant = next(grant for grant in now.grants if grant.caller.name == spec.caller)
    served = {model.name: model for model in now.models if model.claim is not None}
    chosen, unknown = _chosen(now, spec, served)
    allowed = {name for name in chosen if grant.models is None or name in grant.models}
    offers = {member.name: member.offers for member in now.members.members}
    return Evaluations(
        spec,
        grant.caller,
        tuple(_target(now, served[name], offers) for name in sorted(allowed)),
        tuple(sorted(chosen - allowed)),
        unknown,
        gateways.endpoint(now) or _remembered(now),
    )


def _chosen(
    now: situations.Situation, spec: gateway_evals.Evals, served: dict[str, members.Model]
) -> tuple[frozenset[str], tuple[str, ...]]:
    """Returns the names that are selected and served, and those that nobody serves."""
    if spec.models is None:
        return frozenset(served), ()
    named = frozenset(spec.models.names)
    labels = spec.models.match_labels
    labelled = now.members.labelled(labels) if labels else frozenset()
    unknown = sorted(named - served.keys()) if now.members.read else []
    return (named | labelled) & served.keys(), tuple(unknown)


def _target(
    now: situations.Situation, model: members.Model, offers: dict[str, frozenset[str]]
) -> Target:
    claim = str(model.claim)
    part = _part(model.name)
    return Target(model.name, claim, offers[claim], part, _name(now.door.identity, part))


def _part(model: str) -> str:
    """Returns a model's name as a part of keys, which no other model has.

    Authors of claims choose the names of adapters, and two that met would end the whole front door:
    what is added to one has a dot, and no name that stays as it is has one.
    """
    plain = identity.object_name(model)
    return plain if plain == model else f"{plain}.{canonical.digest(model, _OWN)}"


def _name(who: identity.Identity, part: str) -> str:
    """Returns the name of a CronJob: a label of DNS, and of this door and model alone."""
    mark = canonical.digest([who.name, part], _MARK)
    words = f"{who.name}-eval-{part.replace('.', '-')}"[: _LONGEST_NAME - _MARK - 1].rstrip("-")
    return f"{words}-{mark}"


def _remembered(now: situations.Situation) -> str | None:
    """Returns the address that CronJobs ask at already."""
    for _, resource in now.world.starting(rows.EVALUATION):
        address = observed.at(resource, "metadata", "annotations", ADDRESS_ANNOTATION)
        if isinstance(address, str):
            return address
    return None
