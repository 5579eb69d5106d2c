"""What holds now of a front door: each value made once."""

import dataclasses
from collections.abc import Iterator
from typing import TypeAlias

from function.api import gateway
from function.cluster import memory, observed, readiness
from function.fleet import doors, meaning, members, pricing, rows
from function.planning import identity
from function.workloads import deployment

# On the policy of keys: the Secret of the router's key.
ROUTER_SECRET = f"{identity.DOMAIN}/router-secret"

# The names that a Gateway serves, with who serves each.
Served: TypeAlias = tuple[members.Model, ...]


@dataclasses.dataclass(frozen=True)
class Grant:
    """What a caller may use.

    Attributes:
        caller: The caller.
        models: Names of models, sorted; None is every model on the Gateway.
        unknown: Names that the author wrote and that no selected claim serves.
    """

    caller: gateway.Caller
    models: tuple[str, ...] | None
    unknown: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Situation:
    """What holds now.

    Attributes:
        door: What is wanted.
        members: The claims behind the door.
        grants: What each caller may use, by the caller's name.
        pending: Callers whose key is not there yet, by name.
        virtuals: The names behind which the semantic router picks.
        prices: What models cost.
        remembered: What the status remembers.
        world: What the cluster reports.
    """

    door: doors.Door
    members: members.Members
    grants: tuple[Grant, ...]
    pending: frozenset[str]
    virtuals: tuple[meaning.Virtual, ...]
    prices: pricing.Prices
    remembered: memory.Memory
    world: observed.Observed

    @property
    def in_force(self) -> tuple[Grant, ...]:
        """What callers may use whose keys are there."""
        return tuple(grant for grant in self.grants if grant.caller.name not in self.pending)

    @property
    def callers_in_force(self) -> tuple[Grant, ...]:
        """The same, of the author's callers alone: the semantic router is none of them."""
        named = {caller.name for caller in self.door.callers}
        return tuple(grant for grant in self.in_force if grant.caller.name in named)

    @property
    def externals(self) -> tuple[tuple[gateway.Provider, gateway.ProviderModel], ...]:
        """The models of providers that are published."""
        return _externals(self.door, self.members)

    @property
    def models(self) -> Served:
        """Every name that is served on the Gateway, by name."""
        claims = self.members.models if self.door.attached else ()
        outside = [
            members.Model(model.name, None, "external", provider.name)
            for provider, model in self.externals
        ]
        picked = [
            members.Model(virtual.name, None, "virtual")
            for virtual in (self.routed if self.emits_router_route else ())
        ]
        return tuple(sorted((*claims, *outside, *picked), key=lambda model: model.name))

    @property
    def routed(self) -> tuple[meaning.Virtual, ...]:
        """The virtual names that can be published."""
        return tuple(virtual for virtual in self.virtuals if virtual.served)

    @property
    def router_key(self) -> str | None:
        """The Secret of which the Gateway takes the router's key, or None.

        A Secret that is missing breaks the policy of all keys. The router's pods start with theirs
        alone: they are ready once before the policy names it. Until then the policy keeps the one
        of before, which pods of before have, unless the gateway refuses it so.
        """
        if not (self.door.deploys_router and self.routed):
            return None
        secret, policy = self.door.router_secret, self.world.get(rows.SECURITY)
        held = observed.at(policy, "metadata", "annotations", ROUTER_SECRET)
        if held == secret or (held is None and secret in credentials(policy)):
            return secret
        pods = self.world.get(rows.ROUTER_PODS)
        state = deployment.state(pods)
        started = state is not None and state.serves and state.settled
        if started and secret in _given_secrets(pods):
            return secret
        return held if isinstance(held, str) and not refused(policy) else None

    @property
    def emits_router_route(self) -> bool:
        """Whether the virtual names are in a route: once the router answers and may call."""
        if not (self.door.deploys_router and self.routed):
            return False
        if self.world.get(rows.ROUTER_ROUTE) is not None:
            return True
        known = self.door.router_secret in credentials(self.world.get(rows.SECURITY))
        backends = (rows.ROUTER_BACKEND, rows.ROUTER_AI_BACKEND)
        return known and None not in map(self.world.get, backends)

    @property
    def emits_gateway(self) -> bool:
        """Whether the Gateway is emitted: never before what protects it, and always from then on.

        Envoy Gateway would open a Gateway without its policies for as long as they are missing.
        """
        if not (self.door.own and self.door.provided):
            return False
        first = (rows.PROXY, rows.CLIENTS, rows.SECURITY)
        return self.world.get(rows.GATEWAY) is not None or all(
            self.world.get(suffix) is not None for suffix in first
        )


def situation(door: doors.Door, world: observed.Observed) -> Situation:
    """Returns what holds now."""
    behind = members.members(door.resource, world)
    virtuals = _virtuals(door, behind)
    others = {model.name: f"of provider {owner.name}" for owner, model in _externals(door, behind)}
    others |= {one.name: "picked by the semantic router" for one in virtuals if one.served}
    remembered = memory.memory(world)
    paying = pricing.budgeted(door)
    prices = pricing.prices(door, behind, others, remembered.prices)
    now = Situation(
        door,
        behind,
        tuple(
            _grant(door, caller, behind, virtuals, prices, counts=caller.name in paying)
            for caller in door.callers
        ),
        frozenset(_pending(door, world)),
        virtuals,
        prices,
        remembered,
        world,
    )
    secret = now.router_key
    if secret is None:
        return now
    # What it may use follows from what it decides: never a virtual name, which would go round.
    models = sorted(frozenset().union(*(virtual.targets for virtual in now.routed)))
    router = Grant(door.router_caller(secret), tuple(models), ())
    return dataclasses.replace(now, grants=(*now.grants, router))


_TAKEN = readiness.per_parent("ancestors", "Accepted")


def refused(policy: observed.Object | None) -> str | None:
    """Returns why the gateway refuses a policy, or None where it does not, or has not said yet."""
    if policy is None or not observed.items(policy, "status", "ancestors"):
        return None
    verdict = _TAKEN(policy)
    return None if verdict.ready else verdict.message


def _given_secrets(pods: observed.Object | None) -> frozenset[str]:
    """Returns the Secrets that variables of a Deployment's pods come from."""
    return frozenset(
        str(observed.at(variable, "valueFrom", "secretKeyRef", "name"))
        for container in observed.items(pods, "spec", "template", "spec", "containers")
        for variable in observed.items(container, "env")
    )


def _virtuals(door: doors.Door, behind: members.Members) -> tuple[meaning.Virtual, ...]:
    if not (door.own and door.provided):
        return ()
    claims = behind if door.attached else members.Members(behind.read, ())
    # The router asks as OpenAI's clients do.
    outside: list[str] = []
    foreign: list[str] = []
    for owner, model in _externals(door, behind):
        (outside if owner.api == "OpenAI" else foreign).append(model.name)
    return meaning.virtuals(door.resource.spec.semantic_router, claims, outside, foreign)


def key_secret(door: doors.Door, caller: gateway.Caller) -> str:
    """Returns the Secret that holds a caller's key, under the caller's name."""
    if caller.secret_ref is not None:
        return caller.secret_ref.name
    return secret_name(door, caller.name)


def secret_name(door: doors.Door, caller: str) -> str:
    """Returns the name of the Secret that is fetched for a caller; no claim has such a name."""
    return door.identity.part(f"caller-{caller}")


def credentials(resource: observed.Object | None) -> frozenset[str]:
    """Returns the Secrets that an observed SecurityPolicy names."""
    return frozenset(
        str(observed.at(reference, "name"))
        for reference in observed.items(resource, "spec", "apiKeyAuth", "credentialRefs")
    )


def _externals(
    door: doors.Door, behind: members.Members
) -> tuple[tuple[gateway.Provider, gateway.ProviderModel], ...]:
    """Returns providers and their models, of which no claim and no provider before has the name."""
    if not (door.own and door.provided):
        return ()
    taken = {model.name for model in behind.models} | behind.beside
    chosen = []
    for provider in door.providers:
        for model in sorted(provider.models, key=lambda model: model.name):
            if model.name not in taken:
                taken.add(model.name)
                chosen.append((provider, model))
    return tuple(chosen)


def _pending(door: doors.Door, world: observed.Observed) -> Iterator[str]:
    """Yields the callers whose key is not there: a Secret that is missing breaks the whole policy.

    One that the policy names already stays in it, whatever its store says now. Of a Secret of
    somebody else nothing is known: the function reads none.
    """
    named = credentials(world.get(rows.SECURITY))
    for caller in door.callers:
        if caller.external_secret is None:
            continue
        fetched = readiness.ready_when("Ready", world.get(f"{rows.KEY}{caller.name}"))
        if not fetched and secret_name(door, caller.name) not in named:
            yield caller.name


def _grant(
    door: doors.Door,
    caller: gateway.Caller,
    behind: members.Members,
    virtuals: tuple[meaning.Virtual, ...],
    prices: pricing.Prices,
    *,
    counts: bool,
) -> Grant:
    """Returns what a caller may use.

    Whose money counts may use no model whose price is to follow from costs that nobody knows: it
    would cost nothing. While core has read no claims, nobody knows which models are served: callers
    keep what they have, and a list of none would close them all.
    """
    served = frozenset(model.name for model in behind.models) | frozenset(
        model.name for _, model in _externals(door, behind)
    )
    if door.deploys_router:
        served |= {virtual.name for virtual in virtuals if virtual.served}
    asked = caller.models
    free = prices.free if counts else frozenset[str]()
    if asked is None:
        everything = not (door.resource.spec.selector and door.resource.spec.selector.match_labels)
        everything = everything and not (free or (counts and prices.closes and behind.read))
        return Grant(caller, None if everything else tuple(sorted(served - free)), ())
    named = frozenset(asked.names)
    labelled = behind.labelled(asked.match_labels) if asked.match_labels else frozenset()
    unknown = named - served if behind.read else frozenset()
    allowed = ((named & served) | labelled) - free
    return Grant(caller, tuple(sorted(allowed)), tuple(sorted(unknown)))
