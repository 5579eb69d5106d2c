"""What is wanted of the proxy before a front door: names, whose key it has, where the Gateway is.

The proxy is one of the door's callers. Its names are those that this caller may use, so a claim
that comes or goes changes them as it changes the caller's rules.
"""

import dataclasses
import itertools
from collections.abc import Iterable

from function.api import gateway, gateway_edge
from function.fleet import doors, members, pricing, router_config, situations

# Names that LiteLLM takes for all models or for none, wherever it finds one (1.108.7, _types.py).
RESERVED = frozenset(("all-proxy-models", "all-team-models", "no-default-models"))
# A ConfigMap has 1 MiB, and a name takes about 600 bytes of it.
MOST_NAMES = 1024
# The same with its groups: a name that many callers may use has one for each.
_MOST_BYTES, _OF_A_NAME, _OF_A_GROUP = 850_000, 700, 13


@dataclasses.dataclass(frozen=True)
class Name:
    """A name at the edge.

    Attributes:
        name: The name, at the edge and at the Gateway.
        offers: What it can be asked for, in the words of a claim's status.
        context: Tokens of prompt and answer together, or None where nobody says.
        price: What its tokens cost, or None.
        groups: The author's callers who may use it, by name.
    """

    name: str
    offers: frozenset[str]
    context: int | None
    price: pricing.Price | None
    groups: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Edge:
    """The proxy before a front door.

    Attributes:
        spec: What the author asks for.
        caller: As whom the proxy calls.
        names: The names at the edge, by name.
        aliases: More names with the name that each stands for, of those that somebody serves.
        unserved: Aliases of names that are not at the edge.
        hidden: Served names that are not at the edge because an alias, or the program itself, has
            them, or because there are too many.
        callers: Who gets a key of the proxy's own, by name.
        address: The OpenAI API of the Gateway.
    """

    spec: gateway_edge.LiteLLM
    caller: gateway.Caller
    names: tuple[Name, ...]
    aliases: tuple[gateway_edge.Alias, ...]
    unserved: tuple[str, ...]
    hidden: tuple[str, ...]
    callers: tuple[gateway.Caller, ...]
    address: str


def edge(now: situations.Situation) -> Edge | None:
    """Returns the proxy before a front door, or None where there is none, or no Gateway."""
    door = now.door
    if door.resource.spec.edge is None or not (door.own and door.provided):
        return None
    spec = door.resource.spec.edge.litellm
    granted = {grant.caller.name: grant for grant in now.grants}
    own = granted[spec.caller]
    others = [one for one in door.callers if one.name != spec.caller]
    grants = {one.name: _usable(granted[one.name]) for one in others}
    apis = {provider.name: provider.api for provider in door.providers}
    # A provider may have another API alone.
    served = [one for one in now.models if one.provider is None or apis[one.provider] == "OpenAI"]
    allowed = _usable(own)
    usable = [one for one in served if allowed is None or one.name in allowed]
    taken = RESERVED | {alias.name for alias in spec.aliases}
    shown = [model for model in usable if model.name not in taken]
    prices = {price.model: price for price in now.prices.every}
    claims = {member.name: member for member in now.members.members}
    names = _fitting(
        _name(model, claims.get(model.claim or ""), prices.get(model.name), grants)
        for model in shown[:MOST_NAMES]
    )
    there = {name.name for name in names}
    aliases = sorted(spec.aliases, key=lambda alias: alias.name)
    return Edge(
        spec,
        own.caller,
        names,
        tuple(one for one in aliases if one.model in there and one.name not in RESERVED),
        tuple(one.name for one in aliases if one.model not in there or one.name in RESERVED),
        tuple(model.name for model in usable if model.name not in there),
        tuple(others),
        address(door),
    )


def _fitting(names: Iterable[Name]) -> tuple[Name, ...]:
    """Returns the first names, as many as a ConfigMap has room for."""
    every = tuple(names)
    sizes = itertools.accumulate(
        _OF_A_NAME + sum(_OF_A_GROUP + len(group) for group in name.groups) for name in every
    )
    return tuple(n for n, size in zip(every, sizes, strict=True) if size <= _MOST_BYTES)


def _usable(grant: situations.Grant) -> frozenset[str] | None:
    """Returns the names that a caller may use; None is every one."""
    return None if grant.models is None else frozenset(grant.models)


def _name(
    model: members.Model,
    claim: members.Member | None,
    price: pricing.Price | None,
    grants: dict[str, frozenset[str] | None],
) -> Name:
    return Name(
        model.name,
        frozenset(("chat",)) if claim is None else claim.offers,
        None if claim is None else claim.context,
        price,
        tuple(name for name, allowed in grants.items() if allowed is None or model.name in allowed),
    )


def address(door: doors.Door) -> str:
    """Returns the address of the Gateway's OpenAI API for pods of the cluster.

    A Gateway with a hostname answers for that one alone, and its certificate names it. Without one
    it is the Service of its proxies.
    """
    host, _ = router_config.gateway_address(door)
    scheme = "http" if door.resource.spec.tls is None else "https"
    return f"{scheme}://{door.resource.spec.hostname or host}/v1"
