"""KEDA: the ScaledObject, with sums over the claim's own pods against a target for each replica.

With `AverageValue` KEDA asks for ceil(sum / target) replicas, so a sum converges: a maximum or a
ratio under it can never ask for more than two, and under `Value` it runs away. Run on KEDA 2.20.1
and the real HPA. Imbalance between pods is an alert, not a trigger.
"""

from collections.abc import Iterator

from function import canonical, kinds, memo
from function.api import settings_metrics
from function.engines import engine
from function.planning import identity, plans, running

KIND = kinds.SCALED_OBJECT
SUFFIX = "scaledobject"
# Failed queries before the fallback; KEDA starts it above this number.
FALLBACK_FAILURES = 4
# Seconds in which at most double, or one pod more, is asked for: a cold start takes about that
# long, and asking again before it ends buys GPUs that are not needed.
SCALE_UP_PERIOD = 180
SCALE_UP_WINDOW = 30
SCALE_DOWN_PERIOD = 60
# Of the endpoint picker 1.5.0, while its flow control is on.
HELD = "inference_extension_flow_control_queue_size"


@memo.per_plan
def scaled_object(plan: plans.Plan, now: running.Running) -> identity.Manifest:
    """Returns the ScaledObject.

    Args:
        plan: What is wanted of the scaling.
        now: What the pods that run are.
    """
    scaling = plan.scaling
    return {
        "apiVersion": KIND.api_versions[0],
        "kind": KIND.name,
        "metadata": plan.identity.metadata(
            # Pausing is by annotation only; at zero the pods go and the GPUs with them.
            annotations={"autoscaling.keda.sh/paused-replicas": "0"} if plan.suspended else None,
        ),
        "spec": canonical.prune(
            {
                "scaleTargetRef": {
                    "apiVersion": f"{plan.workload.GROUP}/{plan.workload.VERSION}",
                    "kind": plan.workload.KIND,
                    "name": plan.workload.name(plan.identity),
                },
                "minReplicaCount": scaling.minimum,
                "maxReplicaCount": scaling.maximum,
                "pollingInterval": scaling.polling,
                # Governs only the step to zero; from N to 1 it is the HPA's window below.
                "cooldownPeriod": scaling.sleep_cooldown(now.start_seconds),
                "initialCooldownPeriod": now.start_seconds if scaling.wakes else None,
                "fallback": {
                    "failureThreshold": FALLBACK_FAILURES,
                    "replicas": max(scaling.minimum, 1),
                    "behavior": "currentReplicasIfHigher",
                },
                "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _behavior(plan)}},
                "triggers": list(_triggers(plan, now)),
            }
        ),
    }


def _behavior(plan: plans.Plan) -> identity.Manifest:
    return {
        "scaleUp": {
            "stabilizationWindowSeconds": SCALE_UP_WINDOW,
            "selectPolicy": "Max",
            "policies": [
                {"type": "Percent", "value": 100, "periodSeconds": SCALE_UP_PERIOD},
                {"type": "Pods", "value": 1, "periodSeconds": SCALE_UP_PERIOD},
            ],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": plan.scaling.cooldown,
            "policies": [{"type": "Pods", "value": 1, "periodSeconds": SCALE_DOWN_PERIOD}],
        },
    }


def _triggers(plan: plans.Plan, now: running.Running) -> Iterator[identity.Manifest]:
    scaling, site = plan.scaling, plan.site.scaling
    for trigger in plan.engine.triggers(plan.identity, scaling, now.max_requests):
        # At zero replicas these series are rightly absent; at one or more their absence is a dead
        # exporter, and must not read as no traffic.
        query = trigger.query + (" or vector(0)" if scaling.wakes else "")
        if trigger.waiting and plan.picker.holds:
            query = f"({query}) + ({_held(plan)})"
        yield _trigger(site, trigger.name, query, trigger.target)
    if scaling.wakes and site.wake is not None:
        who = plan.identity
        query = site.wake.query.replace("{name}", who.name).replace("{namespace}", who.namespace)
        # It only says that somebody asks: the target is out of reach, so that it never adds a
        # replica to those that the engine's own saturation asks for.
        yield _trigger(site, "wake", query, "1000000")
    if scaling.wakes and plan.picker.holds:
        yield _trigger(site, "picker", _held(plan), "1000000")


def _held(plan: plans.Plan) -> str:
    """Returns how many requests the endpoint picker holds: no series is none, before the first."""
    who = plan.identity
    series = engine.matchers(who, who.picker_name, inference_pool=who.name)
    return f"sum({HELD}{series}) or vector(0)"


def _trigger(
    site: settings_metrics.Scaling, name: str, query: str, target: str
) -> identity.Manifest:
    trigger: identity.Manifest = {
        "type": "prometheus",
        "name": name,
        "metricType": "AverageValue",
        "metadata": {
            "serverAddress": site.server_address,
            "query": query,
            "threshold": target,
            "activationThreshold": "0",
            "ignoreNullValues": "false",
        },
    }
    if site.authentication_ref is not None:
        trigger["authenticationRef"] = dict(site.authentication_ref)
    return trigger
