"""Which prices of front doors follow from what claims of the same files cost."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from function.api import gateway, settings
from function.cli import documents, rendering, snapshot
from function.cluster import observed
from function.concerns import capacity
from function.fleet import pricing
from function.planning import plans


@dataclasses.dataclass(frozen=True)
class Price:
    """A price that follows from costs.

    Attributes:
        words: A million tokens of prompts and of answers, in words.
        asked: The words of the door by which it follows.
        model: What serves it: the claim's repository, or where else its model lies.
    """

    words: str
    asked: str
    model: str | None


# By door and by model.
Followed = Mapping[snapshot.Name, Mapping[str, Price]]

UNKNOWN = "nobody knows"


def of(
    doors: Mapping[snapshot.Name, Mapping[str, Any]],
    claims: Iterable[documents.Source],
    site: settings.Settings,
) -> Followed:
    """Returns the prices that follow.

    Args:
        doors: What doors ask for, by namespace and name.
        claims: Documents of all kinds.
        site: The settings.
    """
    specs = {where: gateway.Spec.model_validate(dict(asked)) for where, asked in doors.items()}
    asking = {where: spec for where, spec in specs.items() if spec.follows_costs}
    if not asking:
        return {}
    planned = [
        (source, plan)
        for source in claims
        if not source.misspelt
        and rendering.other_kind(source) is None
        and (plan := rendering.planned(source.document, site)) is not None
    ]
    return {
        where: dict(
            followed
            for source, plan in planned
            if source.namespace == where[0] and _selects(spec, source)
            for followed in _prices(spec, plan)
        )
        for where, spec in asking.items()
    }


def _selects(spec: gateway.Spec, source: documents.Source) -> bool:
    labels = observed.at(source.document, "metadata", "labels") or {}
    return spec.selector is None or spec.selector.match_labels.items() <= labels.items()


def _prices(spec: gateway.Spec, plan: plans.Plan) -> Iterator[tuple[str, Price]]:
    """Yields the names that a claim serves, with the price that follows for each."""
    if not plan.ways.gateway:
        return
    costs = {one["load"]: (one["input"], one["output"]) for one in capacity.tokens(plan) or []}
    for name in (plan.identity.name, *(adapter.name for adapter in plan.storage.adapters)):
        wish = pricing.wish(spec, name)
        if wish is not None:
            price = pricing.derive(name, costs.get(pricing.load(wish)), wish, plan.site)
            currency = plan.site.pricing.currency
            words = UNKNOWN if price is None else f"{price.words} {currency}"
            asked = pricing.asked_by(wish, plan.site)
            yield name, Price(words, asked, plan.storage.base.model)
