"""What holds now of a front door: each value made once."""

import dataclasses
from collections.abc import Iterator
from typing import TypeAlias

from function.api import gateway
from function.cluster import memory, observed, readiness
from function.fleet import doors, members, rows

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
        remembered: What the status remembers.
        world: What the cluster reports.
    """

    door: doors.Door
    members: members.Members
    grants: tuple[Grant, ...]
    pending: frozenset[str]
    remembered: memory.Memory
    world: observed.Observed

    @property
    def in_force(self) -> tuple[Grant, ...]:
        """What callers may use whose keys are there."""
        return tuple(grant for grant in self.grants if grant.caller.name not in self.pending)

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
        return tuple(sorted((*claims, *outside), key=lambda model: model.name))

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
    return Situation(
        door,
        behind,
        tuple(_grant(door, caller, behind) for caller in door.callers),
        frozenset(_pending(door, world)),
        memory.memory(world),
        world,
    )


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
    taken = {model.name for model in behind.models}
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


def _grant(door: doors.Door, caller: gateway.Caller, behind: members.Members) -> Grant:
    served = frozenset(model.name for model in behind.models) | frozenset(
        model.name for _, model in _externals(door, behind)
    )
    asked = caller.models
    if asked is None:
        everything = not (door.resource.spec.selector and door.resource.spec.selector.match_labels)
        return Grant(caller, None if everything else tuple(sorted(served)), ())
    named = frozenset(asked.names)
    labelled = behind.labelled(asked.match_labels) if asked.match_labels else frozenset()
    unknown = named - served if behind.read else frozenset()
    return Grant(caller, tuple(sorted((named & served) | labelled)), tuple(sorted(unknown)))
