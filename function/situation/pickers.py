"""Whose objects the endpoint picker is made of, and whether the route may name its pool.

A Helm release and the claim's own objects have the same names: the pool N, and Service and
Deployment N-epp. So one never begins before the other has ended, and neither takes over an object
of the other. When the settings change the provider,

1. the route names the plain backend in place of the pool, and both have one name, so that the AI
   gateway's processor knows the backend at once;
2. what made the picker goes, once the observed route names no pool;
3. the new picker comes, once the cluster has nothing left under those names;
4. the route names the pool again, once the new picker answers.

Requests go to pods by their load alone in between, and none is lost.
"""

import dataclasses
from collections.abc import Iterator, Mapping

from function import composition, kinds
from function.boundary import adoption
from function.cluster import observed, readiness
from function.planning import pickers, plans
from function.situation import guards

RELEASE = "epp-helmrelease"
DEPLOYMENT = "picker-deployment"
SERVICE = "picker-service"
POOL = "picker-pool"
# End of the key of what is there as long as a provider's picker is.
_FIRST = {
    pickers.HELM_RELEASE: (RELEASE,),
    pickers.NATIVE: (DEPLOYMENT, SERVICE, POOL),
}
_SUFFIXES = {
    kinds.PICKER_DEPLOYMENT.name: DEPLOYMENT,
    kinds.SERVICE.name: SERVICE,
    kinds.INFERENCE_POOL.name: POOL,
}
REQUIREMENT = "picker "


@dataclasses.dataclass(frozen=True)
class Picking:
    """Whose objects the endpoint picker is made of.

    Attributes:
        provider: Which provider's objects are emitted, or None while there is no picker.
        pooled: True when the route names the InferencePool.
        waits: What a new picker waits for, in words, or None.
        questions: What must be read to know it, by the name under which it comes back.
        kinds: Kinds that must be there to be read.
    """

    provider: str | None
    pooled: bool
    waits: str | None = None
    questions: Mapping[str, composition.Selector] = dataclasses.field(default_factory=dict)
    kinds: tuple[tuple[str, str], ...] = ()


def picking(
    plan: plans.Plan, world: observed.Observed, *, named: bool, guard: guards.Guards
) -> Picking:
    """Returns whose objects the endpoint picker is made of.

    Args:
        plan: The plan.
        world: What the cluster reports.
        named: Whether the observed route names the pool.
        guard: What new pods wait for.
    """
    chosen = plan.site.endpoint_picker.provider
    leaving = [name for name in _FIRST if name != chosen and _there(world, name)]
    if leaving:
        return Picking(
            provider=leaving[0] if named else None,
            pooled=False,
            waits=f"the picker of {leaving[0]} is there until no route names its pool",
        )
    wanted = plan.ways.picker
    if not wanted and not named:
        return Picking(None, pooled=False)
    pooled = wanted and (named or _answers(world, chosen))
    if _there(world, chosen):
        return Picking(chosen, pooled=pooled)
    selectors = dict(_selectors(plan, chosen)) if world.can_read else {}
    readable = {
        name: selector
        for name, selector in selectors.items()
        if not _optional(selector) or world.has(selector.api_version, selector.kind)
    }
    unknown = [
        selector
        for selector in selectors.values()
        if _optional(selector) and world.can_ask and not _decided(world, selector)
    ]
    waits = _waits(world, readable, chosen) or guard.picker
    return Picking(
        provider=None if unknown or waits is not None else chosen,
        pooled=pooled,
        waits=waits,
        questions=readable,
        kinds=tuple((s.api_version, s.kind) for s in selectors.values() if _optional(s)),
    )


def _there(world: observed.Observed, provider: str) -> bool:
    return any(world.get(suffix) is not None for suffix in _FIRST[provider])


def _answers(world: observed.Observed, provider: str) -> bool:
    """Tells whether a picker is there that answers, and the pool that names it."""
    if provider == pickers.HELM_RELEASE:
        return readiness.ready_when("Ready", world.get(RELEASE))
    return (
        world.get(POOL) is not None
        and world.get(SERVICE) is not None
        and readiness.ready_when("Available", world.get(DEPLOYMENT))
    )


def _selectors(plan: plans.Plan, chosen: str) -> Iterator[tuple[str, composition.Selector]]:
    """Yields what may stand where the picker's objects are to be.

    A HelmRelease that is deleted is there until its objects are gone, and core observes it no more.
    """
    who = plan.identity
    asked = [(kinds.PICKER_DEPLOYMENT, who.picker_name)]
    if chosen == pickers.NATIVE:
        asked += [
            (kinds.HELM_RELEASE, who.picker_name),
            (kinds.SERVICE, who.picker_name),
            (kinds.INFERENCE_POOL, who.name),
        ]
    for kind, name in asked:
        yield (
            REQUIREMENT + kind.name,
            composition.Selector(kind.api_versions[0], kind.name, name=name),
        )


def _optional(selector: composition.Selector) -> bool:
    return any(
        kind.optional and (selector.api_version, selector.kind) == (kind.api_versions[0], kind.name)
        for kind in (kinds.HELM_RELEASE, kinds.INFERENCE_POOL)
    )


def _decided(world: observed.Observed, selector: composition.Selector) -> bool:
    kind = selector.api_version, selector.kind
    return world.has(*kind) or world.lacks(*kind)


def _waits(
    world: observed.Observed, asked: Mapping[str, composition.Selector], chosen: str
) -> str | None:
    """Returns what stands where the picker's objects are to be, or None.

    A Helm release is not ours to judge: it waits for what this claim itself made, and still has.
    """
    for name, selector in asked.items():
        if name not in world.required:
            return f"nobody has looked for the {selector.kind} {selector.name} yet"
        for item in world.required[name]:
            if _stands_in_the_way(world, selector, chosen, item):
                return (
                    f"the namespace has the {selector.kind} {selector.name} that is not this"
                    " picker's: the picker comes when it is gone"
                )
    return None


def _stands_in_the_way(
    world: observed.Observed, selector: composition.Selector, chosen: str, item: observed.Object
) -> bool:
    if selector.kind == kinds.HELM_RELEASE.name:
        return True
    suffix = _SUFFIXES[selector.kind]
    return adoption.owned(world, suffix, item) is (chosen == pickers.HELM_RELEASE)
