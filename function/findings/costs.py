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
    "An InferenceGateway of the files lets the price of a claim's model follow from its cost, and"
    " nobody knows that cost.",
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


def _why(plan: plans.Plan, load: str) -> str:
    if not plan.serving.generates:
        return "the model generates nothing; state its price there"
    if plan.spec.model.facts is not None:
        return (
            "no price follows from spec.model.facts, which the claim's author states: the settings'"
            " capacity.models may have them"
        )
    tariff = prices.tariff(plan.site, plan.hardware.priced_as)
    if tariff is None or plan.hardware.gpus == 0:
        return f"gpu.classes.{plan.hardware.priced_as}.pricePerHour is not set"
    if not tariff.gpu_hour:
        return f"gpu.classes.{plan.hardware.priced_as}.pricePerHour is 0"
    outlook = plan.serving.outlook
    unknown = "" if outlook is None else outlook.unknown
    words = forecasts.untimed(plan, loads.WORKLOADS[load]) or unknown
    return words or "the model does not fit, or nobody timed it"
