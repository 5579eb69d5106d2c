"""What may be asked of the claim by way of its routes, and what observed routes still name."""

import dataclasses
from collections.abc import Mapping

from function.cluster import memory, observed, routes
from function.planning import plans
from function.situation import bases, fallbacks, guards, ledgers, pickers, rivals, rollouts

# Latch: the workload was there once, and the gateway's route stays.
ROUTE_PUBLISHED = "routePublished"


@dataclasses.dataclass(frozen=True)
class Traffic:
    """What may be asked of the claim.

    Attributes:
        published: True once the gateway's route is emitted; it is emitted from then on.
        served: True once a replica served; it stays true through an outage.
        adapters: Adapters that every pod that may be asked serves, of those that the claim names.
        hot: Where the next list has the hot adapters of the claim, by name.
        named: Names that the observed AI gateway route names, by kind of backend.
        hosts: Host names that the observed Backend names.
        picker: True while the endpoint picker must exist: wanted, or named by the route.
        picking: Whose objects it is made of, and whether the route names its pool.
        names: The claim's model names on the gateway, and who has them.
        fallback: Another claim that answers while no pod of this one does.
    """

    published: bool
    served: bool
    adapters: frozenset[str]
    hot: Mapping[str, str]
    named: Mapping[str, frozenset[str]]
    hosts: frozenset[str]
    picker: bool
    picking: pickers.Picking
    names: rivals.Names
    fallback: fallbacks.Fallback


def traffic(
    plan: plans.Plan,
    rollout: rollouts.Rollout,
    ledger: ledgers.Ledger,
    guard: guards.Guards,
    remembered: memory.Memory,
    world: observed.Observed,
) -> Traffic:
    """Returns what may be asked of the claim."""
    route = world.get("gateway-airoute")
    named = routes.backends(route)
    # The route names the pool once the pool exists, and the pool stays while the route names it: a
    # route that names a missing object fails as a whole.
    pools = plan.identity.name in named["InferencePool"]
    latched = ROUTE_PUBLISHED in remembered.latches
    names = rivals.names(plan, world, latched=latched)
    # The gateway's processor reads a new route from a mounted Secret, and answers 500 until a
    # kubelet refreshed the file. An engine loads for longer than that. Requests wake a claim that
    # sleeps, and they are counted on its route.
    published = plan.ways.gateway and (rollout.state is not None or latched or route is not None)
    hot = _hot(plan, rollout, ledger)
    return Traffic(
        published=published and not names.withholds,
        served=rollout.serves or remembered.serving is not None or rollout.state is None,
        adapters=_adapters(plan, rollout, frozenset(hot), remembered),
        hot=hot,
        named=named,
        hosts=routes.hosts(world.get("gateway-backend")),
        picker=plan.ways.picker or pools,
        picking=pickers.picking(plan, world, named=pools, guard=guard),
        names=names,
        fallback=fallbacks.fallback(plan, world),
    )


def _hot(plan: plans.Plan, rollout: rollouts.Rollout, ledger: ledgers.Ledger) -> Mapping[str, str]:
    """Returns where the next list has the hot adapters of the claim.

    Pods that keep another base model keep the adapters that were made for it.
    """
    if rollout.hold is None or rollout.template is None or not ledger.hot:
        return ledger.hot
    if bases.has_base(rollout.template, plan.storage.base):
        return ledger.hot
    return {name: ledger.listed[name] for name in ledger.hot if name in ledger.listed}


def _adapters(
    plan: plans.Plan,
    rollout: rollouts.Rollout,
    hot: frozenset[str],
    remembered: memory.Memory,
) -> frozenset[str]:
    """Returns the adapters that every pod that may be asked serves, of those that the claim names.

    Traffic for an adapter that is still downloaded or rolled out would be refused. So would traffic
    to an old pod that ends: a gateway asks it for as long as DNS, which changes within seconds, and
    the pod, which waits for that, let it. Hot adapters are served by pods that load any, once they
    are in the list.
    """
    wanted = frozenset(adapter.name for adapter in plan.storage.static) | hot
    if rollout.hold is not None:
        loaded = hot if rollout.running.hot else frozenset()
        named = frozenset(adapter.name for adapter in plan.storage.adapters)
        return named & (frozenset(rollout.running.adapters) | loaded)
    if rollout.state is None or remembered.serving is None:
        return wanted
    if rollout.current and rollout.state.ending == 0:
        return wanted
    return wanted & remembered.served_adapters
