"""Who else publishes a model name of this claim on the same gateway: one owner for each name.

A gateway routes by the model's name alone, whatever namespace a route is in. So each route bears a
label for every name that it publishes, by which routes of other claims are read. A name that
another route has is not published. Two claims that publish a name at one moment see each other in
the next call, and the younger route gives it up. The route remembers which names are its own as an
annotation, so that nothing is asked at rest: what is asked follows from the observed route alone,
never from an answer.

A route of an earlier version has no such annotation, and keeps its names whoever else has them: the
claim says so, and no caller notices an upgrade.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

from function import canonical, composition, kinds
from function.cluster import observed, routes
from function.planning import identity, plans

ANNOTATION = f"{identity.DOMAIN}/model-names"
REQUIREMENT = "model "
_SERVES = f"{identity.DOMAIN}/serves-"
# What a route remembers of a name: published while nobody had it; and nobody older came up since.
_NEW, _OWN = "new", "own"


@dataclasses.dataclass(frozen=True)
class Names:
    """The model names of a claim on its gateway.

    Attributes:
        mark: What the route remembers of its names, or None where nothing is remembered.
        taken: The first name that another route has, and whose that is, or None.
        refused: Names that are not published.
        stays: Whether the name that is taken is published all the same, as it was before.
        withholds: Whether nothing is published.
        questions: What must be read to know it, by the name under which it comes back.
        kinds: Kinds that must be there to be read; asked for also while no route is desired, or
            the questions would come and go with the answers.
    """

    mark: str | None = None
    taken: str | None = None
    refused: frozenset[str] = frozenset()
    stays: bool = False
    withholds: bool = False
    questions: Mapping[str, composition.Selector] = dataclasses.field(default_factory=dict)
    kinds: tuple[tuple[str, str], ...] = ()


def names(plan: plans.Plan, world: observed.Observed, *, latched: bool) -> Names:
    """Returns the model names of a claim, and who has them; nothing without the gateway.

    Args:
        plan: The plan.
        world: What the cluster reports.
        latched: Whether the claim was published before: its route may be deleted all the same.
    """
    if not _asked_for(plan):
        return Names()
    route = world.get("gateway-airoute")
    if not world.can_read:
        return Names(mark=_text(route))
    kind = plan.site.gateway.api_version, kinds.AI_ROUTE.name
    remembered = _remembered(plan, route)
    moved = _moved(plan, route)
    published = _published(plan)
    open_names = [name for name in published if remembered.get(name) != _OWN]
    readable = route is not None or world.has(*kind)
    questions = {
        REQUIREMENT + name: composition.Selector(
            *kind, labels={_label(name): "true"}, everywhere=True
        )
        for name in open_names
        if readable
    }
    marks = {name: _OWN for name in published if remembered.get(name) == _OWN}
    taken: dict[str, str] = {}
    refused = set()
    for name in open_names:
        there = not moved and (_bears(route, name) or name in routes.models(route))
        mark = remembered.get(name)
        owner = next(_owners(plan, world, route if there else None, name), None)
        if owner is not None:
            taken[name] = owner
            if not there or mark == _NEW:
                refused.add(name)
        elif there and _bears(route, name) and REQUIREMENT + name in world.required:
            marks[name] = _OWN
        elif not there or mark == _NEW:
            marks[name] = _NEW
    first = next(iter(taken), None)
    return Names(
        mark=canonical.dumps({"gateway": _parent(plan), "names": marks}),
        taken=None if first is None else f"{first} of claim {taken[first]}",
        refused=frozenset(refused),
        stays=first is not None and first not in refused,
        withholds=plan.identity.name in refused
        or (route is None and not latched and bool(refused)),
        questions=questions,
        kinds=() if route is not None else (kind,),
    )


def labels(plan: plans.Plan, refused: frozenset[str]) -> Mapping[str, str]:
    """Returns the labels of a route by which others see what it publishes.

    Args:
        plan: The plan.
        refused: Names that it does not publish.
    """
    if not _asked_for(plan):
        return {}
    return {_label(name): "true" for name in _published(plan) if name not in refused}


def _asked_for(plan: plans.Plan) -> bool:
    return plan.ways.gateway and plan.site.gateway.unique_model_names


def _published(plan: plans.Plan) -> tuple[str, ...]:
    return (plan.identity.name, *(adapter.name for adapter in plan.storage.adapters))


def _label(name: str) -> str:
    """Returns the label of a model name: any name fits into a label as a hash alone."""
    return _SERVES + canonical.digest(name, 12)


def _bears(route: observed.Object | None, name: str) -> bool:
    """Tells whether others see that a route publishes a name."""
    return observed.at(route, "metadata", "labels", _label(name)) is not None


def _parent(plan: plans.Plan) -> str:
    parent = plan.site.parent_of(plan.identity.namespace)
    return f"{parent.namespace}/{parent.name}"


def _text(route: observed.Object | None) -> str | None:
    text = observed.at(route, "metadata", "annotations", ANNOTATION)
    return text if isinstance(text, str) else None


def _moved(plan: plans.Plan, route: observed.Object | None) -> bool:
    """Tells whether a route remembers names of another gateway than that of the settings.

    Each of its names is new on the gateway of the settings, where others may have it.
    """
    gateway = observed.at(_memory(route), "gateway")
    return isinstance(gateway, str) and gateway != _parent(plan)


def _memory(route: observed.Object | None) -> Any:
    text = _text(route)
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None  # written over


def _remembered(plan: plans.Plan, route: observed.Object | None) -> Mapping[str, str]:
    """Returns what a route remembers of each of its names on the gateway of the settings."""
    remembered = _memory(route)
    if observed.at(remembered, "gateway") != _parent(plan):
        return {}
    marks = observed.at(remembered, "names")
    return marks if isinstance(marks, Mapping) else {}


def _owners(
    plan: plans.Plan, world: observed.Observed, mine: observed.Object | None, name: str
) -> Iterator[str]:
    """Yields whose routes on the gateway have a name rather than this claim's.

    Args:
        plan: The plan.
        world: What the cluster reports.
        mine: The claim's route, or None while it does not publish the name.
        name: The model name.
    """
    who = plan.identity.namespace, plan.identity.name
    for rival in world.required.get(REQUIREMENT + name, ()):
        theirs = _name(rival)
        if theirs == who or not _on(rival, plan):
            continue
        own = _remembered(plan, rival).get(name) == _OWN
        if mine is None or own or _age(rival, *theirs) < _age(mine, *who):
            yield f"{theirs[1]} in namespace {theirs[0]}"


def _name(route: observed.Object) -> tuple[str, str]:
    return (
        str(observed.at(route, "metadata", "namespace")),
        str(observed.at(route, "metadata", "name")),
    )


def _age(route: observed.Object | None, namespace: str, name: str) -> tuple[str, str, str]:
    """Returns by what the older of two routes is told: RFC 3339 sorts as text."""
    return str(observed.at(route, "metadata", "creationTimestamp") or ""), namespace, name


def _on(route: observed.Object, plan: plans.Plan) -> bool:
    """Tells whether a route hangs at the gateway of the settings."""
    return any(
        f"{observed.at(parent, 'namespace') or _name(route)[0]}/{observed.at(parent, 'name')}"
        == _parent(plan)
        for parent in observed.items(route, "spec", "parentRefs")
    )
