"""The claims behind a front door, as the cluster reports them, and the models that they serve.

Only single fields of a claim are read, and nothing of it is judged: one that is broken keeps the
status that it had, and takes nothing with it.
"""

import dataclasses
import functools
import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from function import composition
from function.api import claim, claim_model, gateway, status
from function.cluster import observed
from function.situation import traffic

# The name under which the claims of the namespace are asked for.
REQUIREMENT = "claims"


@dataclasses.dataclass(frozen=True)
class Model:
    """A name that clients may ask for.

    Attributes:
        name: The name.
        claim: The claim that serves it, or None.
        kind: base, adapter, external or virtual.
        provider: The provider that serves it, or None.
    """

    name: str
    claim: str | None
    kind: str
    provider: str | None = None


@dataclasses.dataclass(frozen=True)
class Member:
    """A claim.

    Attributes:
        name: Its name.
        labels: Its labels.
        asks: Whether it asks to be published.
        published: Whether its route is.
        models: The names that it serves, of a published one.
        gpu: The GPUs of a replica, in the words of its status, or None.
        pays: Whether it names a team that pays.
        routing: What a router may know of it: tier and specialty.
        offers: What its models can be asked for, in the words of its status.
        context: Tokens of prompt and answer together, where the claim states them.
        fallback: The provider that answers while no pod of it does, and the name of its model.
        cost: What its status tells of costs; None where no price follows from them.
        repositories: The repositories that its pods may answer with, or where else their models
            lie: the cost is of the dearest. Empty where its status does not tell.
    """

    name: str
    labels: Mapping[str, str]
    asks: bool
    published: bool
    models: tuple[Model, ...]
    gpu: str | None = None
    pays: bool = False
    routing: Mapping[str, str] = dataclasses.field(default_factory=dict)
    offers: frozenset[str] = frozenset()
    context: int | None = None
    fallback: tuple[str, str] | None = None
    cost: Any = None
    repositories: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Members:
    """The claims that a front door selects.

    Attributes:
        read: Whether core has read any yet; without it nothing is known of them.
        members: The claims, by name.
        beside: Names that claims serve that are not selected: their routes are on the same Gateway.
    """

    read: bool
    members: tuple[Member, ...]
    beside: frozenset[str] = frozenset()

    @functools.cached_property
    def models(self) -> tuple[Model, ...]:
        """Every name that is served, by name; of two claims that serve one the first."""
        named: dict[str, Model] = {}
        for member in self.members:
            for model in member.models:
                named.setdefault(model.name, model)
        return tuple(named[name] for name in sorted(named))

    def labelled(self, labels: Mapping[str, str]) -> frozenset[str]:
        """Returns the names that the claims with all these labels serve."""
        return frozenset(
            model.name
            for member in self.members
            if labels.items() <= member.labels.items()
            for model in member.models
        )


def question() -> composition.Selector:
    """Returns which objects are read: every claim of the namespace, and the selector picks here.

    One question for every object keeps what is asked apart from what is written.
    """
    return composition.Selector(f"{claim.GROUP}/{claim.VERSION}", claim.KIND)


def members(resource: gateway.InferenceGateway, world: observed.Observed) -> Members:
    """Returns the claims that the object selects."""
    given = world.required.get(REQUIREMENT)
    wanted = {} if resource.spec.selector is None else resource.spec.selector.match_labels
    chosen: list[Member] = []
    others: list[Member] = []
    costs = resource.spec.follows_costs
    for member in (_member(item, costs) for item in given or ()):
        (chosen if wanted.items() <= member.labels.items() else others).append(member)
    return Members(
        given is not None,
        tuple(sorted(chosen, key=lambda member: member.name)),
        frozenset(model.name for member in others for model in member.models),
    )


def _member(item: observed.Object, costs: bool) -> Member:
    name = str(observed.at(item, "metadata", "name"))
    labels = observed.at(item, "metadata", "labels")
    asks = observed.at(item, "spec", "gateway", "enabled") is True
    latched = observed.at(item, "status", "latches", traffic.ROUTE_PUBLISHED) is True
    going = observed.at(item, "metadata", "deletionTimestamp") is not None
    gpu = observed.at(item, "status", "gpu")
    routing = observed.at(item, "spec", "routing")
    published = asks and latched and not going
    return Member(
        name,
        _texts(labels),
        asks,
        published,
        tuple(_models(name, observed.items(item, "status", "servedModels"))) if published else (),
        gpu if isinstance(gpu, str) else None,
        observed.at(item, "spec", "cost", "team") is not None,
        _texts(routing),
        frozenset(word for word in observed.items(item, "status", "offers") if word in _OFFERS),
        observed.count(observed.at(item, "spec", "model", "contextWindow")) or None,
        _fallback(item),
        observed.at(item, "status", "cost") if costs else None,
        status.places(observed.items(item, "status", "repositories")),
    )


def _fallback(item: observed.Object) -> tuple[str, str] | None:
    fields = (observed.at(item, "spec", "gateway", "fallback", name) for name in _OUTSIDE)
    provider, model = fields
    return (provider, model) if isinstance(provider, str) and isinstance(model, str) else None


def _texts(value: Any) -> dict[str, str]:
    return {str(key): str(value[key]) for key in value} if isinstance(value, Mapping) else {}


def _models(of: str, served: Sequence[observed.Object]) -> Iterable[Model]:
    for entry in served:
        name, kind = observed.at(entry, "name"), observed.at(entry, "kind")
        if isinstance(name, str) and is_name(name) and kind in _KINDS:
            yield Model(name, of, str(kind))


def is_name(text: str) -> bool:
    """Tells whether somebody may serve a model under a name."""
    return len(text) <= _LONGEST and _NAME.fullmatch(text) is not None


_KINDS = ("adapter", "base")
_OUTSIDE = ("provider", "model")
_OFFERS = frozenset(typing.get_args(status.Offer))
_LONGEST = 63
_NAME = re.compile(claim_model.WORD)
