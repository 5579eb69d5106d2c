"""Whether prices of a front door can follow from what a claim costs."""

from collections.abc import Iterator, Mapping, Sequence

from function.api import gateway
from function.capacity import loads, prices
from function.concerns import capacity
from function.findings import rules
from function.fleet import pricing
from function.planning import forecasts, plans

COST_UNKNOWN = rules.Rule(
    "cost-unknown",
    rules.Severity.WARNING,
    "An InferenceGateway of the files lets the price of a model follow from its cost, and nobody"
    " knows that cost: of a claim's model, of a row that no claim of the files serves, or, beside"
    " `pricing` and a budget, of a provider's model or a virtual name.",
    "Callers with a budget may not use the model, as it would cost them nothing"
    " (`PricesReady=False/CostUnknown`).",
    "Set `pricePerHour` of the GPU class above 0; state facts of the model in the settings'"
    " `capacity.models`, not in the claim; choose another `load`; or state the price in the"
    " InferenceGateway's `spec.prices`.",
)
RULES = (COST_UNKNOWN,)


def judge(
    plan: plans.Plan, labels: Mapping[str, str], doors: Sequence[gateway.InferenceGateway]
) -> Iterator[rules.Finding]:
    """Yields the prices that follow from nothing.

    Args:
        plan: The claim, planned.
        labels: The claim's own.
        doors: The InferenceGateways of its namespace that the files have.
    """
    if not plan.ways.gateway:
        return
    known = {one["load"] for one in capacity.tokens(plan) or []}
    for door in doors:
        selector = door.spec.selector
        if selector is not None and not selector.match_labels.items() <= labels.items():
            continue
        for name in (plan.identity.name, *(one.name for one in plan.storage.adapters)):
            wish = pricing.wish(door.spec, name)
            if wish is None or pricing.load(wish) in known:
                continue
            load = pricing.load(wish)
            words = (
                f"InferenceGateway {door.name} lets the price of {name} follow from costs of load"
                f" {load}, and nobody knows them: {_why(plan, load)}"
            )
            yield COST_UNKNOWN.broken("spec.gateway", words)


def judge_door(
    door: gateway.InferenceGateway, claims: Sequence[tuple[plans.Plan, Mapping[str, str]]]
) -> Iterator[rules.Finding]:
    """Yields the names of a front door that no claim gives a price.

    Args:
        door: The InferenceGateway.
        claims: The claims of its namespace that the files have, with their labels.
    """
    selector, spec = door.spec.selector, door.spec
    served = {
        name
        for plan, labels in claims
        if plan.ways.gateway
        and (selector is None or selector.match_labels.items() <= labels.items())
        for name in (plan.identity.name, *(one.name for one in plan.storage.adapters))
    }
    rows = spec.prices or []
    # Files without claims say nothing of them.
    for index, row in enumerate(rows if claims else []):
        if row.from_cost is not None and row.model not in served:
            words = (
                f"no claim of the files that {door.name} selects serves {row.model}: no price"
                " follows"
            )
            yield COST_UNKNOWN.broken(f"spec.prices[{index}].fromCost", words)
    if spec.pricing is None or not _budgets(spec):
        return
    known = served | {row.model for row in rows}
    router = spec.semantic_router
    others = [
        *((one.name, "a provider's") for owner in spec.providers or [] for one in owner.models),
        *((one.name, "a virtual name's") for one in (router.models if router else [])),
    ]
    for name, whose in others:
        if name not in known:
            words = f"{name} has no price: {whose} follows from no cost, so state it in spec.prices"
            yield COST_UNKNOWN.broken("spec.pricing", words)


def _budgets(spec: gateway.Spec) -> bool:
    """Tells whether somebody's money counts."""
    teams = spec.edge.litellm.teams if spec.edge is not None else []
    budgets = [*(one.budget for one in spec.callers or []), *(one.budget for one in teams)]
    return any(budget is not None for budget in budgets)


def _why(plan: plans.Plan, load: str) -> str:
    if not plan.serving.generates:
        return "the model generates nothing; state its price there"
    if plan.spec.model.facts is not None:
        return (
            "no price follows from spec.model.facts, which the claim's author states: the settings'"
            " capacity.models may have them"
        )
    if not plan.storage.base.proven:
        return (
            "no price follows from files that no Job downloads from the repository itself, as what"
            " they are is the claim author's word; state its price there"
        )
    if capacity.moved_away(plan):
        return "a patch has pods read another directory than the model's; state its price there"
    tariff = prices.tariff(plan.site, plan.hardware.priced_as)
    if tariff is None or plan.hardware.gpus == 0:
        return f"gpu.classes.{plan.hardware.priced_as}.pricePerHour is not set"
    if not tariff.gpu_hour:
        return f"gpu.classes.{plan.hardware.priced_as}.pricePerHour is 0"
    outlook = plan.serving.outlook
    unknown = "" if outlook is None else outlook.unknown
    words = forecasts.untimed(plan, loads.WORKLOADS[load]) or unknown
    return words or "the model does not fit, or nobody timed it"
