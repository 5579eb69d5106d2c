"""The panels of one claim, by what its pods are and by what reaches them.

What a claim has not is not drawn. The engine's panels are the engine's to say.
"""

import re
from collections.abc import Iterable, Iterator

from function import plural
from function.api import claim_metrics
from function.capacity import prices
from function.concerns.observability import alerts, objectives, spending
from function.concerns.scaling import keda
from function.engines import engine
from function.planning import plans, running

# Series of the AI gateway, by the names of OpenTelemetry's conventions.
ASKED = "gen_ai_server_request_duration_seconds"
USED = "gen_ai_client_token_usage_sum"
# The model that a client asked for, before anything rewrote it.
MODEL = "gen_ai_original_model"
TOKEN = "gen_ai_token_type"  # noqa: S105


def panels(
    plan: plans.Plan,
    now: running.Running,
    class_name: str,
    adapters: tuple[str, ...],
    *,
    picker: bool,
) -> Iterator[engine.Panel]:
    """Yields the panels of a claim.

    Args:
        plan: The plan.
        now: What the pods that run are.
        class_name: GPU class that the pods that run are priced as.
        adapters: Names of the adapters that they serve.
        picker: Whether an endpoint picker answers for every request.
    """
    observability = plan.spec.observability or claim_metrics.Observability()
    thresholds = observability.alerts or claim_metrics.Alerts()
    yield from plan.engine.panels(plan.identity, thresholds, plan.scaling, now)
    yield from _replicas(plan, now)
    if picker:
        yield from _picker(plan)
    if plan.ways.gateway:
        yield from used([plan.identity.name, *adapters])
    yield from _promises(plan, now)
    yield from _cost(plan, now, class_name)


def _replicas(plan: plans.Plan, now: running.Running) -> Iterator[engine.Panel]:
    series, name = plan.workload.SERIES, plan.workload.name(plan.identity)
    own = series.matchers(plan.identity, name)
    yield engine.Panel(
        engine.Row.REPLICAS,
        "Replicas",
        "short",
        "Replicas that serve and that are wanted, between the bounds of scaling. Fewer than wanted"
        " for long: the claim's EngineReady says what a replica waits for. At the upper bound with"
        " a queue: raise scaling.maxReplicas.",
        (
            engine.Query(f"max({series.available}{own})", "available"),
            engine.Query(f"max({series.wanted}{own})", "wanted"),
            engine.Query(f"vector({plan.scaling.minimum})", "min"),
            engine.Query(f"vector({plan.scaling.maximum})", "max"),
        ),
        None,
        ("InferenceServiceNoReadyReplica", "InferenceServiceScrapeMissing"),
    )
    pods = alerts.pods(plan)
    yield engine.Panel(
        engine.Row.REPLICAS,
        "Start of replicas",
        "s",
        "From when a pod was scheduled to when it was last ready: its start, or longer where it"
        " stopped being ready in between. The line is the start budget. Slow starts are slow"
        " volumes or large images.",
        (
            engine.Query(
                f"max by (pod) (kube_pod_status_ready_time{pods})"
                f" - max by (pod) (kube_pod_status_scheduled_time{pods})",
                "{{pod}}",
            ),
        ),
        str(now.start_seconds),
        ("InferenceServiceColdStartOverBudget",),
    )
    if plan.storage.preloads:
        jobs = alerts.jobs(plan)
        yield engine.Panel(
            engine.Row.REPLICAS,
            "Download of weights",
            "s",
            "For how long a preload Job runs; empty while none does. The line is half of its"
            " deadline. The claim's WeightsReady says how far it is, and why it failed.",
            (
                engine.Query(
                    f"max by (job_name) ((time() - kube_job_status_start_time{jobs})"
                    f" and on (namespace, job_name) kube_job_status_active{jobs} > 0)",
                    "{{job_name}}",
                ),
            ),
            str(alerts.long_download(plan)),
            ("InferenceServiceWeightsNotReady",),
        )


def _picker(plan: plans.Plan) -> Iterator[engine.Panel]:
    own = engine.matchers(plan.identity, plan.identity.picker_name)
    missing, blind = "InferenceServiceEndpointPickerMissing", "InferenceServiceEndpointPickerBlind"
    yield engine.Panel(
        engine.Row.GATEWAY,
        "Pods that the picker knows",
        "short",
        "Ready pods of which the endpoint picker reads metrics. None while replicas are ready: it"
        " picks blindly.",
        (engine.Query(f"min(inference_pool_ready_pods{own})", "pods"),),
        None,
        (missing, blind),
    )
    yield engine.Panel(
        engine.Row.GATEWAY,
        "Picks",
        "reqps",
        "Requests a second by the pod that the endpoint picker chose; without a pod: requests for"
        " which it found none.",
        (
            engine.Query(
                "sum by (status, pod_name)"
                f" (rate(inference_extension_scheduler_attempts_total{own}[5m]))",
                "{{status}} {{pod_name}}",
            ),
        ),
        None,
        (missing,),
    )
    if plan.picker.holds:
        yield engine.Panel(
            engine.Row.GATEWAY,
            "Requests that the picker holds",
            "short",
            "Requests that wait in the endpoint picker, by priority, while no pod has room.",
            (engine.Query(f"sum by (priority) ({keda.HELD}{own})", "priority {{priority}}"),),
            plan.scaling.queue,
        )


def used(models: Iterable[str]) -> Iterator[engine.Panel]:
    """Yields what clients asked the gateway for, by the model that they named.

    Args:
        models: The names.
    """
    own = named(models)
    every = requests(MODEL, own)
    failed = f'sum by ({MODEL}) (rate({ASKED}_count{own[:-1]},error_type!=""}}[5m]))'
    legend = f"{{{{{MODEL}}}}}"
    yield engine.Panel(
        engine.Row.GATEWAY,
        "Requests at the gateway",
        "reqps",
        "Requests a second by the model that the client named. Empty: nobody asked, or the"
        " gateway's processor is not scraped.",
        (engine.Query(every, legend),),
    )
    yield engine.Panel(
        engine.Row.GATEWAY,
        "Errors at the gateway",
        "percentunit",
        "Share of requests that ended in an error. More than the engine's own error rate: what no"
        " replica answered.",
        (engine.Query(f"({failed} or {every} * 0) / ({every} > 0)", legend),),
        None,
        ("InferenceServiceErrorRatioHigh",),
    )
    buckets = f"sum by ({MODEL}, le) (rate({ASKED}_bucket{own}[5m]))"
    yield engine.Panel(
        engine.Row.GATEWAY,
        "Whole request at the gateway, p95",
        "s",
        "95 in 100 requests end within this time, as clients see it. Longer than in the engine:"
        " the wait for a replica.",
        (engine.Query(f"histogram_quantile(0.95, {buckets})", legend),),
    )
    yield engine.Panel(
        engine.Row.GATEWAY,
        "Tokens at the gateway",
        "short",
        "Tokens a second by model, those of prompts and those of answers. What is billed follows"
        " from it.",
        (engine.Query(tokens(f"{MODEL}, {TOKEN}", own), f"{legend} {{{{{TOKEN}}}}}"),),
    )


def requests(labels: str, own: str) -> str:
    """Returns the requests a second at the gateway, by labels.

    Args:
        labels: What they are summed by.
        own: The matchers of the gateway's series.
    """
    return f"sum by ({labels}) (rate({ASKED}_count{own}[5m]))"


def tokens(labels: str, own: str) -> str:
    """Returns the tokens a second at the gateway, of prompts and of answers, by labels.

    Args:
        labels: What they are summed by.
        own: The matchers of the gateway's series.
    """
    return f'sum by ({labels}) (rate({USED}{own[:-1]},{TOKEN}=~"input|output"}}[5m]))'


def named(models: Iterable[str]) -> str:
    """Returns the matchers of the gateway's series of some models."""
    either = "|".join(re.sub(r"[^A-Za-z0-9_-]", r"[\g<0>]", model) for model in sorted(models))
    return f'{{{MODEL}=~"{either}"}}'


def _promises(plan: plans.Plan, now: running.Running) -> Iterator[engine.Panel]:
    if plan.site.providers.monitoring == "none" or not objectives.judgeable(plan, now):
        return
    own, days = objectives.own(plan), plan.objectives.days
    alarms = (
        "InferenceServiceBudgetBurnsFast",
        "InferenceServiceBudgetBurnsSlowly",
        "InferenceServiceObjectiveUnmeasured",
    )
    yield engine.Panel(
        engine.Row.PROMISES,
        "Error budget left",
        "percentunit",
        f"Share of the budget of {days} days that is left, by objective. Below zero the objective"
        " is missed: no risky change until it has recovered.",
        (engine.Query(f"max by (objective) ({objectives.BUDGET_LEFT}{own})", "{{objective}}"),),
        None,
        alarms,
    )
    window = objectives.FAST[0].window(days)
    rate = objectives.own(plan, window=window)
    yield engine.Panel(
        engine.Row.PROMISES,
        "Burn rate",
        "short",
        f"How many times as fast as it may the budget is used up, over {window}. At the line the"
        " fast alert fires; at 1 the budget lasts exactly as long as it must.",
        (engine.Query(f"max by (objective) ({objectives.BURN_RATE}{rate})", "{{objective}}"),),
        objectives.FAST[0].burn_rate,
        alarms,
    )


def _cost(plan: plans.Plan, now: running.Running, class_name: str) -> Iterator[engine.Panel]:
    price, hour = prices.tariff(plan.site, class_name), spending.hour(plan, now, class_name)
    if price is None or hour is None:
        return
    dated = "" if price.date is None else f" of {price.date}"
    yield engine.Panel(
        engine.Row.PROMISES,
        "Cost an hour",
        f"currency:{price.currency} ",
        f"What the wanted replicas cost an hour, of {plural.of(now.gpus, 'GPU')} of class"
        f" {class_name} each, at the settings' prices{dated}. scaling.minReplicas 0 gives them back"
        " while nobody asks.",
        (engine.Query(hour, price.currency),),
    )
    if not spending.records(plan, now, class_name):
        return
    each = f"max by (window) ({spending.PER_MILLION}{spending.own(plan)})"
    yield engine.Panel(
        engine.Row.PROMISES,
        "Cost of a million tokens",
        f"currency:{price.currency} ",
        "What a million tokens of prompts and answers cost, over the last hour and the last day."
        " Far above the price of a provider: replicas wait for requests; lower"
        " scaling.minReplicas, or share the model.",
        (engine.Query(each, "{{window}}"),),
    )
