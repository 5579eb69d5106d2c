"""What a claim costs as recorded series: an hour of it, and a million of its tokens.

Both are recorded for claims that say who pays. The GPUs of the wanted replicas cost money whether
they answer or not, so that a claim without requests has dear tokens.
"""

from collections.abc import Iterator

from function.api import claim_cost
from function.capacity import prices
from function.planning import identity, payers, plans, running

# What is recorded; docs/costs.md has the table.
PER_HOUR = "inference_service:cost:per_hour"
TOKENS = "inference_service:tokens:rate5m"
PER_MILLION = "inference_service:cost:per_million_tokens"
WINDOWS = ("1h", "1d")

# Seconds between two evaluations; sums of both series have as many samples.
_EVERY = 60
# Tokens a second at which an hour has a million.
_MILLION_AN_HOUR = "277.7778"


def hour(plan: plans.Plan, now: running.Running, class_name: str) -> str | None:
    """Returns what the wanted replicas cost an hour as PromQL, or None without a price.

    Args:
        plan: The plan.
        now: What the pods that run are.
        class_name: GPU class that the pods that run are priced as.
    """
    price = prices.tariff(plan.site, class_name)
    if price is None or now.without_gpu:
        return None
    series = plan.workload.SERIES
    own = series.matchers(plan.identity, plan.workload.name(plan.identity))
    return f"max({series.wanted}{own}) * {(price.gpu_hour * now.gpus).normalize():f}"


def records(plan: plans.Plan, now: running.Running, class_name: str) -> bool:
    """Tells whether the claim's cost is recorded."""
    asked = plan.spec.cost is not None and plan.site.providers.monitoring != "none"
    return asked and hour(plan, now, class_name) is not None


def groups(plan: plans.Plan, now: running.Running, class_name: str) -> list[identity.Manifest]:
    """Returns the group of recorded series, or none for a claim without payer or price."""
    if not records(plan, now, class_name):
        return []
    return [
        {
            "name": f"{plan.identity.name}{claim_cost.GROUP_SUFFIX}",
            "interval": f"{_EVERY}s",
            "rules": list(_rules(plan, now, class_name)),
        }
    ]


def own(plan: plans.Plan, **more: str) -> str:
    """Returns the matchers of a claim's recorded series."""
    labels = {"namespace": plan.identity.namespace, "model": plan.identity.name, **more}
    return "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}"


def _rules(plan: plans.Plan, now: running.Running, class_name: str) -> Iterator[identity.Manifest]:
    whose = {
        "namespace": plan.identity.namespace,
        "model": plan.identity.name,
        **payers.series(plan.spec),
    }
    money = {**whose, "currency": plan.site.pricing.currency}
    yield _record(PER_HOUR, hour(plan, now, class_name) or "", money)
    counters = plan.engine.measures(plan.identity, plan.spec).tokens
    if not counters:
        return
    # A counter that a model has no use for is missing, and a sum with it would be too.
    rates = [f"sum(rate({counter}[5m]))" for counter in counters]
    total = " + ".join([rates[0], *(f"({rate} or vector(0))" for rate in rates[1:])])
    yield _record(TOKENS, total, whose)
    for window in WINDOWS:
        who = own(plan)
        text = (
            f"sum(sum_over_time({PER_HOUR}{who}[{window}]))"
            f" / (sum(sum_over_time({TOKENS}{who}[{window}])) > 0) * {_MILLION_AN_HOUR}"
        )
        yield _record(PER_MILLION, text, {**money, "window": window})


def _record(name: str, expression: str, labels: dict[str, str]) -> identity.Manifest:
    return {"record": name, "expr": expression, "labels": labels}
