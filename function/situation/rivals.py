"""Who else publishes a model name of this claim on the same gateway: the older route keeps it.

A gateway routes by the model's name alone, whatever namespace a route is in. So each route bears a
label for every name that it publishes, by which routes of other claims are read. The question ends
once the route is there, was compared and has no older rival: the route remembers that as an
annotation, so that nothing is asked at rest. Two claims that publish at one moment see each other
in the next call, and the younger one steps back.
"""

import dataclasses
from collections.abc import Iterator, Mapping

from function import canonical, composition, kinds, memo
from function.cluster import observed
from function.planning import identity, plans

ANNOTATION = f"{identity.DOMAIN}/model-names"
REQUIREMENT = "model "
_SERVES = f"{identity.DOMAIN}/serves-"


@dataclasses.dataclass(frozen=True)
class Names:
    """The model names of a claim on its gateway.

    Attributes:
        confirmed: Whether no older rival has one of them, for all that is known.
        mark: What the route remembers once the names are confirmed.
        taken: The first name that an older route publishes, and whose that is, or None.
        questions: What must be read to know it, by the name under which it comes back.
        kinds: Kinds that must be there to be read; asked for also while no route is desired, or
            the questions would come and go with the answers.
    """

    confirmed: bool = False
    mark: str = ""
    taken: str | None = None
    questions: Mapping[str, composition.Selector] = dataclasses.field(default_factory=dict)
    kinds: tuple[tuple[str, str], ...] = ()


def names(plan: plans.Plan, world: observed.Observed) -> Names:
    """Returns the model names of a claim, and who has them; nothing without the gateway."""
    if not _asked_for(plan):
        return Names()
    published = _published(plan)
    mark = canonical.digest([published, _parent(plan)], 12)
    route = world.get("gateway-airoute")
    if observed.at(route, "metadata", "annotations", ANNOTATION) == mark:
        return Names(confirmed=True, mark=mark)
    kind = plan.site.gateway.api_version, kinds.AI_ROUTE.name
    if not world.can_read:
        return Names(mark=mark)
    if route is None and not world.has(*kind):
        return Names(mark=mark, kinds=(kind,))
    questions = {
        REQUIREMENT + name: composition.Selector(
            *kind, labels={_label(name): "true"}, everywhere=True
        )
        for name in published
    }
    taken = next(_older(plan, world, route, published), None)
    answered = questions.keys() <= world.required.keys()
    visible = all(observed.at(route, "metadata", "labels", label) for label in labels(plan))
    asked = () if route is not None else (kind,)
    return Names(answered and taken is None and visible, mark, taken, questions, asked)


def _asked_for(plan: plans.Plan) -> bool:
    return plan.ways.gateway and plan.site.gateway.unique_model_names


@memo.per_plan
def labels(plan: plans.Plan) -> Mapping[str, str]:
    """Returns the labels of a route by which others see what it publishes."""
    if not _asked_for(plan):
        return {}
    return {_label(name): "true" for name in _published(plan)}


@memo.per_plan
def _published(plan: plans.Plan) -> tuple[str, ...]:
    return (plan.identity.name, *(adapter.name for adapter in plan.storage.adapters))


def _label(name: str) -> str:
    """Returns the label of a model name: any name fits into a label as a hash alone."""
    return _SERVES + canonical.digest(name, 12)


def _parent(plan: plans.Plan) -> list[str]:
    return [plan.site.gateway.parent.namespace, plan.site.gateway.parent.name]


def _older(
    plan: plans.Plan,
    world: observed.Observed,
    route: observed.Object | None,
    published: tuple[str, ...],
) -> Iterator[str]:
    """Yields each name that an older route on the gateway publishes, with whose route that is."""
    who = plan.identity.namespace, plan.identity.name
    mine = _age(route, *who)
    for name in published:
        for rival in world.required.get(REQUIREMENT + name, ()):
            theirs = _name(rival)
            if theirs == who or not _on(rival, *_parent(plan)):
                continue
            if route is None or _age(rival, *theirs) < mine:
                yield f"{name} of claim {theirs[1]} in namespace {theirs[0]}"


def _name(route: observed.Object) -> tuple[str, str]:
    return (
        str(observed.at(route, "metadata", "namespace")),
        str(observed.at(route, "metadata", "name")),
    )


def _age(route: observed.Object | None, namespace: str, name: str) -> tuple[str, str, str]:
    """Returns by what the older of two routes is told: RFC 3339 sorts as text."""
    return str(observed.at(route, "metadata", "creationTimestamp") or ""), namespace, name


def _on(route: observed.Object, namespace: str, name: str) -> bool:
    """Tells whether a route hangs at a gateway."""
    return any(
        observed.at(parent, "name") == name
        and (observed.at(parent, "namespace") or _name(route)[0]) == namespace
        for parent in observed.items(route, "spec", "parentRefs")
    )
