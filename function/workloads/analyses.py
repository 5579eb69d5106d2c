"""The Job that judges one step of a canary's gate: it asks the metrics store, and reaches no model.

Its program is `judge/` in the preload image, which every site has. How it ends is all that anybody
learns of it: `podFailurePolicy` turns each exit code into a condition of the Job that names it.
"""

import dataclasses
from typing import Any

from function import canonical
from function.capacity import quantity
from function.cluster import gating, jobs, observed
from function.engines import engine
from function.planning import gates, identity, plans
from function.workloads import batches, pods

# Nobody's: the program needs no user of its own.
_USER = 65532
# Seconds beside the step's: node, image and the last answers of the store.
_SPARE = 900
# Seconds for which the first Job that follows one without a verdict waits for one, at least.
_PATIENCE = 1200
_MOST_PATIENCE = 6 * 3600
# A pod that is killed tells nothing of the step.
_RETRIES = 3
# Its plan is of no use: a defect. A test compares it with judge/exits.py.
_UNUSABLE = 2
# What the API server writes into a Job that does not say it (kubernetes v1.36.2,
# pkg/apis/batch/v1/defaults.go and pkg/apis/core/v1/defaults.go). A name has one place in a Job.
_DEFAULTS = {
    "completionMode": "NonIndexed",
    "completions": 1,
    "dnsPolicy": "ClusterFirst",
    "parallelism": 1,
    "podReplacementPolicy": "Failed",
    "schedulerName": "default-scheduler",
    "terminationGracePeriodSeconds": 30,
    "terminationMessagePath": "/dev/termination-log",
}


@dataclasses.dataclass(frozen=True)
class Step:
    """What one Job judges.

    Attributes:
        schedule: The gate.
        percent: The step.
        tries: Jobs that judged it before without a verdict.
        since: Since when requests count, or None: since the Job began.
        began: Since when evaluations count, or None: since the Job began.
    """

    schedule: gates.Schedule
    percent: int
    tries: int
    since: str | None
    began: str | None


def patience(step: Step) -> int | None:
    """Returns for how many seconds a Job waits for what its step lacks; None: for its minutes.

    Nothing here knows the time, so no Job can be made later: each that follows one without a
    verdict waits twice as long itself. It ends as soon as the step is decided.
    """
    if step.tries == 0:
        return None
    seconds = step.schedule.minutes * 60
    # Past the bound more tries change nothing: nobody works out two to the power of a billion.
    doubled = max(2 * seconds, _PATIENCE) << min(step.tries - 1, 16)
    return max(seconds, min(doubled, _MOST_PATIENCE))


def query_url(plan: plans.Plan) -> str:
    """Returns the address that is asked."""
    return plan.site.canary_gates.query_url or plan.site.scaling.server_address


def job(plan: plans.Plan, step: Step) -> identity.Manifest:
    """Returns the Job, named by the hash of all that it judges."""
    annotations = _annotations(step.schedule.asked, step.percent, step.tries)
    spec = _spec(plan, step)
    mark = canonical.digest([spec, annotations], batches.HASH_LENGTH)
    return _manifest(plan, batches.name(plan.identity, mark, gating.COMPONENT), annotations, spec)


def composed(plan: plans.Plan, judgement: gating.Judgement, resource: observed.Object) -> bool:
    """Tells whether an observed Job is as it was composed: its name has the hash of all that it is.

    Somebody may have made another Job under the name, or written over the annotations of ours. What
    the API server adds is left out, and nothing else is. A Job of other settings counts while those
    of today say the same fields: values are read from the Job itself.
    """
    step = Step(_schedule(plan, judgement), judgement.percent, judgement.tries, None, None)
    spec = _seen(canonical.plain(observed.at(resource, "spec")), _spec(plan, step))
    annotations = _annotations(judgement.asked, judgement.percent, judgement.tries)
    mark = canonical.digest([spec, annotations], batches.HASH_LENGTH)
    return judgement.name == batches.name(plan.identity, mark, gating.COMPONENT)


def times(
    plan: plans.Plan, judgement: gating.Judgement, resource: observed.Object | None
) -> tuple[str | None, str | None]:
    """Returns since when requests and evaluations count for an observed Job, as it was composed."""
    if resource is None or not composed(plan, judgement, resource):
        return None, None
    # Its name says that it is whole, and not that it is one of ours.
    pod = observed.at(resource, "spec", "template", "spec")
    entries = [
        entry for one in observed.items(pod, "containers") for entry in observed.items(one, "env")
    ]
    value = observed.at(entries[0], "value") if len(entries) == 1 else None
    try:
        given = canonical.loads(value) if isinstance(value, str) else None
    except ValueError:
        return None, None
    return gating.time(observed.at(given, "since")), gating.time(observed.at(given, "began"))


def same(manifest: identity.Manifest, resource: observed.Object) -> bool:
    """Tells whether an observed Job has the spec of a composed one, field by field."""
    spec = manifest["spec"]
    return bool(_seen(canonical.plain(observed.at(resource, "spec")), spec) == spec)


def _schedule(plan: plans.Plan, judgement: gating.Judgement) -> gates.Schedule:
    """Returns the gate that a Job judges, or any: its Jobs have the same fields."""
    own = (one for one in plan.gates if judgement.asked in (one.asked, one.former[1]))
    return next(own, plan.gates[0])


def _seen(there: Any, composed: Any) -> Any:
    """Returns an observed value without what the API server adds to a composed one."""
    if isinstance(composed, dict):
        fields = there if isinstance(there, dict) else {}
        added = {
            key: value
            for key, value in fields.items()
            if key not in composed and not _by_server(key, value)
        }
        return {key: _seen(fields.get(key), composed[key]) for key in composed} | added
    if isinstance(composed, list) and isinstance(there, list) and len(there) == len(composed):
        return [_seen(*pair) for pair in zip(there, composed, strict=True)]
    # The API server writes 1000m as 1.
    return composed if _same(there, composed) else there


def _by_server(key: str, value: Any) -> bool:
    """Tells whether the API server adds a field, or it says what its absence says."""
    if value is None or value is False or value in ("", [], {}):
        return True
    if key == "selector" and isinstance(value, dict):
        labels = value.get("matchLabels")
        if not isinstance(labels, dict) or value.keys() != {"matchLabels"}:
            return False
        return labels.keys() <= jobs.SERVER_LABELS
    return key in jobs.SERVER_LABELS or _DEFAULTS.get(key) == value


def _same(there: Any, composed: Any) -> bool:
    try:
        return bool(quantity.parse(there) == quantity.parse(composed))
    except (TypeError, ValueError):
        return False


def kept(
    plan: plans.Plan, judgement: gating.Judgement, resource: observed.Object
) -> identity.Manifest:
    """Returns an observed Job as it is, whatever the settings make of a new one.

    Its selector, and the labels that it goes by, stay the API server's. Applied, they would be
    ours, and a Job of that key without them would be refused.
    """
    spec = canonical.plain(observed.at(resource, "spec"))
    spec.pop("selector", None)
    labels = observed.at(spec, "template", "metadata", "labels") or {}
    spec["template"]["metadata"]["labels"] = {
        key: value for key, value in labels.items() if key not in jobs.SERVER_LABELS
    }
    annotations = _annotations(judgement.asked, judgement.percent, judgement.tries)
    return _manifest(plan, str(observed.at(resource, "metadata", "name")), annotations, spec)


def _annotations(asked: str, percent: int, tries: int) -> dict[str, str]:
    return {
        gating.ASKED_ANNOTATION: asked,
        gating.PERCENT_ANNOTATION: str(percent),
        gating.TRY_ANNOTATION: str(tries),
    }


def _manifest(
    plan: plans.Plan, name: str, annotations: dict[str, str], spec: identity.Manifest
) -> identity.Manifest:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": plan.identity.metadata(
            name, component=gating.COMPONENT, annotations=annotations
        ),
        "spec": spec,
    }


def suffix(manifest: identity.Manifest) -> str:
    """Returns the end of the Job's key."""
    return batches.suffix(manifest, gating.COMPONENT)


def _spec(plan: plans.Plan, step: Step) -> identity.Manifest:
    return {
        # No TTL: a Job that is deleted while it is desired would be made again, and judge again.
        "backoffLimit": _RETRIES,
        "activeDeadlineSeconds": (patience(step) or step.schedule.minutes * 60) + _SPARE,
        "podFailurePolicy": {"rules": _failure_rules()},
        "template": {
            "metadata": {"labels": plan.identity.labels(gating.COMPONENT)},
            "spec": canonical.prune(
                {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "imagePullSecrets": pods.image_pull_secrets(plan.site),
                    "securityContext": pods.unprivileged(_USER),
                    "containers": [_container(plan, step)],
                }
            ),
        },
    }


def _failure_rules() -> list[identity.Manifest]:
    rules: list[identity.Manifest] = [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    ]
    for code in sorted((_UNUSABLE, *gating.CODES)):
        codes = {"containerName": gating.COMPONENT, "operator": "In", "values": [code]}
        rules.append({"action": "FailJob", "onExitCodes": codes})
    return rules


def _container(plan: plans.Plan, step: Step) -> identity.Manifest:
    site = plan.site.canary_gates
    return {
        "name": gating.COMPONENT,
        "image": engine.mirrored(plan.site.preload.image, plan.site),
        "imagePullPolicy": "IfNotPresent",
        "command": ["/usr/bin/judge-canary"],
        "env": [{"name": "JUDGE_PLAN", "value": canonical.dumps(program_plan(plan, step))}],
        "resources": {"requests": dict(site.requests), "limits": dict(site.limits)},
        "securityContext": pods.CONTAINER_SECURITY,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _labels(plan: plans.Plan) -> dict[str, str] | None:
    """Returns the labels that series of the claim's own Gateway have, where settings name any."""
    given = plan.site.canary_gates.gateway_labels
    if given is None:
        return None
    parent = plan.site.parent_of(plan.identity.namespace)
    labels = {given.name: parent.name}
    return labels if given.namespace is None else {**labels, given.namespace: parent.namespace}


def program_plan(plan: plans.Plan, step: Step) -> identity.Manifest:
    """Returns the program's input."""
    schedule = step.schedule
    return canonical.prune(
        {
            "url": query_url(plan),
            "namespace": plan.identity.namespace,
            "base": plan.identity.name,
            "canary": schedule.adapter,
            "seconds": schedule.minutes * 60,
            "patience": patience(step),
            "maxErrorPercent": schedule.max_error_percent,
            "minRequests": schedule.min_requests,
            "passPercent": schedule.pass_percent,
            "labels": _labels(plan),
            "since": step.since,
            "began": step.began,
        }
    )
