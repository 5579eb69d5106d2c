"""The CronJob of a model: Promptfoo asks, then our own program tells the results.

Promptfoo is an init container, so that results are whole before they are read. The program is in
the preload image, which every site has: an image of its own would be one more to publish, pin and
scan for a file of a few kilobytes.
"""

import json

from function import canonical, kinds
from function.engines import engine
from function.fleet import doors, situations
from function.fleet.evals import questions, wanted
from function.planning import identity
from function.workloads import pods

_CONFIGURATION = "/etc/evals/configuration"
_RESULTS = "/results"
_FILE = f"{_RESULTS}/results.json"
# Nobody's: neither image needs a user of its own, and Promptfoo's names one by a word.
_USER = 65532
# Seconds that are left for the results of an evaluation that takes too long.
_LEFT = 120
# One more pod: a node may go.
_RETRIES = 1
_START_WITHIN = 3600
_KEPT, _KEPT_FAILED = 1, 3


def configuration_name(door: doors.Door, target: wanted.Target) -> str:
    """Returns the name of the ConfigMap of a model."""
    return door.identity.part(f"eval-{target.part}")


def configuration(
    door: doors.Door, given: wanted.Evaluations, target: wanted.Target
) -> identity.Manifest:
    """Returns the ConfigMap with what a model is asked."""
    return {
        "apiVersion": kinds.CONFIG_MAP.api_versions[0],
        "kind": kinds.CONFIG_MAP.name,
        "metadata": door.identity.metadata(
            configuration_name(door, target), component=wanted.COMPONENT
        ),
        "data": {questions.CONFIGURATION: questions.text(door.identity, given, target)},
    }


def cron_job(
    now: situations.Situation, given: wanted.Evaluations, target: wanted.Target
) -> identity.Manifest:
    """Returns the CronJob of a model."""
    door = now.door
    return {
        "apiVersion": kinds.CRON_JOB.api_versions[0],
        "kind": kinds.CRON_JOB.name,
        "metadata": door.identity.metadata(
            target.name,
            component=wanted.COMPONENT,
            annotations={wanted.ADDRESS_ANNOTATION: str(given.address)},
        ),
        "spec": canonical.prune(
            {
                "schedule": given.spec.schedule or wanted.SCHEDULE,
                "timeZone": given.spec.time_zone,
                "concurrencyPolicy": "Forbid",
                "startingDeadlineSeconds": _START_WITHIN,
                "successfulJobsHistoryLimit": _KEPT,
                "failedJobsHistoryLimit": _KEPT_FAILED,
                "jobTemplate": {
                    "spec": {
                        "backoffLimit": _RETRIES,
                        "activeDeadlineSeconds": door.site.front_door.evals.active_deadline_seconds,
                        "template": {
                            "metadata": {"labels": door.identity.labels(wanted.COMPONENT)},
                            "spec": _pod(door, given, target),
                        },
                    }
                },
            }
        ),
    }


def _pod(door: doors.Door, given: wanted.Evaluations, target: wanted.Target) -> identity.Manifest:
    own = given.spec.cases
    volumes: list[identity.Manifest] = [
        {"name": "configuration", "configMap": {"name": configuration_name(door, target)}},
        {"name": "results", "emptyDir": {"sizeLimit": "256Mi"}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}},
    ]
    if own is not None:
        key = own.config_map_ref.key or questions.CASES_KEY
        source = {"name": own.config_map_ref.name, "items": [{"key": key, "path": key}]}
        volumes.append({"name": "cases", "configMap": source})
    return canonical.prune(
        {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "imagePullSecrets": pods.image_pull_secrets(door.site),
            "securityContext": pods.unprivileged(_USER),
            "initContainers": [_promptfoo(door, given)],
            "containers": [_exporter(door, target)],
            "volumes": volumes,
        }
    )


def _promptfoo(door: doors.Door, given: wanted.Evaluations) -> identity.Manifest:
    site = door.site.front_door.evals
    mounts = [
        {"name": "configuration", "mountPath": _CONFIGURATION, "readOnly": True},
        {"name": "results", "mountPath": _RESULTS},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
    ]
    if given.spec.cases is not None:
        mounts.append({"name": "cases", "mountPath": questions.CASES_DIRECTORY, "readOnly": True})
    secret = {"name": situations.key_secret(door, given.caller), "key": given.caller.name}
    most = (site.active_deadline_seconds - _LEFT) * 1000
    variables = {
        "HOME": "/tmp",  # noqa: S108
        "PROMPTFOO_CONFIG_DIR": "/tmp/promptfoo",  # noqa: S108
        "PROMPTFOO_CACHE_ENABLED": "false",
        "PROMPTFOO_DISABLE_REMOTE_GENERATION": "true",
        "PROMPTFOO_DISABLE_SHARING": "true",
        "PROMPTFOO_DISABLE_TELEMETRY": "true",
        "PROMPTFOO_DISABLE_UPDATE": "true",
        # A case that fails is a result, and no failure of the pod.
        "PROMPTFOO_FAILED_TEST_EXIT_CODE": "0",
        "PROMPTFOO_MAX_EVAL_TIME_MS": str(most),
    }
    return {
        "name": "promptfoo",
        "image": engine.mirrored(str(site.image), door.site),
        "imagePullPolicy": "IfNotPresent",
        "command": ["promptfoo"],
        "args": [
            "eval",
            f"--config={_CONFIGURATION}/{questions.CONFIGURATION}",
            f"--output={_FILE}",
            "--max-concurrency=1",
            "--no-cache",
            "--no-progress-bar",
            "--no-share",
            "--no-table",
            "--no-write",
        ],
        "env": [
            *({"name": name, "value": value} for name, value in variables.items()),
            {"name": "OPENAI_API_KEY", "valueFrom": {"secretKeyRef": secret}},
        ],
        "resources": {"requests": dict(site.requests), "limits": dict(site.limits)},
        "securityContext": pods.CONTAINER_SECURITY,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }


def _exporter(door: doors.Door, target: wanted.Target) -> identity.Manifest:
    labels = {
        "namespace": door.identity.namespace,
        "gateway": door.identity.name,
        "cronjob": target.name,
        "claim": target.claim,
        "model": target.model,
    }
    variables = {
        "EVALS_RESULTS": _FILE,
        "EVALS_LABELS": json.dumps(labels, separators=(",", ":")),
        "EVALS_PUSH_URL": str(door.site.front_door.evals.push_url),
    }
    return {
        "name": "exporter",
        "image": engine.mirrored(door.site.preload.image, door.site),
        "imagePullPolicy": "IfNotPresent",
        "command": ["/usr/bin/export-evals"],
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "resources": {
            "requests": {"cpu": "10m", "memory": "32Mi"},
            "limits": {"memory": "128Mi"},
        },
        "securityContext": pods.CONTAINER_SECURITY,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "results", "mountPath": _RESULTS, "readOnly": True}],
    }
