"""The ScaledObject: sums over the claim's own pods against a target for each replica.

With `AverageValue` KEDA asks for ceil(sum / target) replicas, so a sum converges: a maximum or a
ratio under it can never ask for more than two, and under `Value` it runs away. Run on KEDA 2.20.1
and the real HPA. Imbalance between pods is an alert, not a trigger.
"""

from collections.abc import Iterator

from function import canonical
from function import plan as plans
from function.engine import metrics
from function.resources import meta

# Failed queries before the fallback; KEDA starts it above this number.
KIND = ("keda.sh/v1alpha1", "ScaledObject")
FALLBACK_FAILURES = 4
# Seconds in which at most double, or one pod more, is asked for: a cold start takes about that
# long, and asking again before it ends buys GPUs that are not needed.
SCALE_UP_PERIOD = 180
SCALE_UP_WINDOW = 30
SCALE_DOWN_PERIOD = 60


def scaled_object(plan: plans.Plan) -> meta.Manifest:
    """Returns the ScaledObject."""
    scaling = plan.scaling
    return {
        "apiVersion": KIND[0],
        "kind": KIND[1],
        "metadata": meta.metadata(
            plan,
            # Pausing is by annotation only; at zero the pods go and the GPUs with them.
            annotations={"autoscaling.keda.sh/paused-replicas": "0"} if plan.suspended else None,
        ),
        "spec": canonical.prune(
            {
                "scaleTargetRef": {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "name": plan.name,
                },
                "minReplicaCount": scaling.minimum,
                "maxReplicaCount": scaling.maximum,
                "pollingInterval": scaling.polling,
                # Governs only the step to zero; from N to 1 it is the HPA's window below.
                "cooldownPeriod": scaling.sleep_cooldown,
                "initialCooldownPeriod": plan.startup_seconds if scaling.wakes else None,
                "fallback": {
                    "failureThreshold": FALLBACK_FAILURES,
                    "replicas": max(scaling.minimum, 1),
                    "behavior": "currentReplicasIfHigher",
                },
                "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _behavior(plan)}},
                "triggers": list(_triggers(plan)),
            }
        ),
    }


def _behavior(plan: plans.Plan) -> meta.Manifest:
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


def _triggers(plan: plans.Plan) -> Iterator[meta.Manifest]:
    scaling = plan.scaling
    own = metrics.matchers(plan.name, plan.namespace, model_name=plan.name)
    for name, metric, target in (
        ("running", metrics.RUNNING, scaling.running),
        ("kv-cache", metrics.KV_CACHE_USAGE, scaling.kv_usage),
        ("queue", metrics.WAITING, scaling.queue),
    ):
        if target is not None:
            # At zero replicas these series are rightly absent; at one or more their absence is
            # a dead exporter, and must not read as no traffic.
            query = f"sum({metric}{own})" + (" or vector(0)" if scaling.wakes else "")
            yield _trigger(plan, name, query, target)
    wake = plan.site.scaling.wake
    if scaling.wakes and wake is not None:
        query = wake.query.replace("{name}", plan.name).replace("{namespace}", plan.namespace)
        # It only says that somebody asks: the target is out of reach, so that it never adds a
        # replica to those that the engine's own saturation asks for.
        yield _trigger(plan, "wake", query, "1000000")


def _trigger(plan: plans.Plan, name: str, query: str, target: str) -> meta.Manifest:
    reference = plan.site.scaling.authentication_ref
    trigger: meta.Manifest = {
        "type": "prometheus",
        "name": name,
        "metricType": "AverageValue",
        "metadata": {
            "serverAddress": plan.site.scaling.server_address,
            "query": query,
            "threshold": target,
            "activationThreshold": "0",
            "ignoreNullValues": "false",
        },
    }
    if reference is not None:
        trigger["authenticationRef"] = dict(reference)
    return trigger
