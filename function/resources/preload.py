"""Jobs on the weights volume: one downloads, verifies and publishes, the other removes.

Both run one program, `preload/`, with another plan. Its exit codes are the only thing that tells
core and us why it failed, so `podFailurePolicy` turns each into a condition of the Job that names
the code.
"""

import dataclasses
import re
from typing import Any

from function import canonical
from function import plan as plans
from function.resources import deployment, meta

COMPONENT = "preload"
CLEANUP = "cleanup"
HASH_LENGTH = 10
# Which weights the Job makes: an observed Job counts for these, whatever its own hash.
WEIGHTS_ANNOTATION = f"{meta.DOMAIN}/weights"
# Which weights a Job removes.
REMOVES_ANNOTATION = f"{meta.DOMAIN}/removes"
GENERATION_ANNOTATION = f"{meta.DOMAIN}/preload-generation"


@dataclasses.dataclass(frozen=True)
class _Mount:
    """A volume that is mounted read-only."""

    volume: meta.Manifest
    path: str


@dataclasses.dataclass(frozen=True)
class Failure:
    """What an exit code of the preload program means, for a machine and for a person."""

    reason: str
    message: str


# preload/exits.py, class Exit. A test compares the two.
FAILURES = {
    2: Failure(
        "PlanInvalid",
        "the preload program cannot use its plan: a certificate authority or proxy of the settings"
        " is unusable, or this is a bug; its log says which",
    ),
    10: Failure(
        "Unauthorized",
        "the hub refused access (401 or 403): the token is missing or has no access, the model"
        " is gated, or the name does not exist (the hub answers 401 for that too)",
    ),
    11: Failure(
        "NotFound",
        "the hub has no such repository or revision (404), or it holds nothing that the engine"
        " loads; the Job's log says which",
    ),
    12: Failure("DiskFull", "the weights volume is full"),
    13: Failure("HubUnavailable", "the hub did not answer for too long (429, 5xx or time-outs)"),
    14: Failure(
        "VerificationFailed",
        "downloaded files differ from the hub's checksums, twice, or what the hub lists cannot be"
        " verified",
    ),
    15: Failure(
        "VolumeUnusable",
        "the weights volume is not there or refuses writes: check the mount, uid and fsGroup",
    ),
}

# Why a Job fails whose pods gave no code of ours: by the Job controller's reason.
_ENDS = {
    "DeadlineExceeded": "took longer than its deadline",
    "BackoffLimitExceeded": "was killed or crashed too often",
}
FAILURE_REASONS = frozenset((*(known.reason for known in FAILURES.values()), *_ENDS, "JobFailed"))

_EXIT_CODE = re.compile(r"failed with exit code ([0-9]+)")


def failure(message: str, reason: str, component: str) -> Failure:
    """Returns what a failed Job's condition says.

    Args:
        message: The condition's message.
        reason: The condition's reason.
        component: What the Job is for.
    """
    match = _EXIT_CODE.search(message)
    known = FAILURES.get(int(match[1])) if match else None
    if known is not None:
        return known
    if reason in _ENDS:
        what = "removal" if component == CLEANUP else "download"
        return Failure(reason, f"the {what} {_ENDS[reason]}")
    return Failure("JobFailed", message or "the preload Job failed")


def job_key_prefix(plan: plans.Plan, component: str = COMPONENT) -> str:
    """Returns the start of the keys of all Jobs of a component."""
    return meta.key(plan, f"{component}-job-")


def job(plan: plans.Plan) -> meta.Manifest:
    """Returns the Job that downloads, without its name, which follows from everything else."""
    return _job(
        plan,
        COMPONENT,
        {
            WEIGHTS_ANNOTATION: canonical.dumps(directories(plan)),
            GENERATION_ANNOTATION: str(generation(plan)),
        },
        {"env": _environment(plan), "envFrom": deployment.environment_sources(plan)},
        _authorities(plan),
    )


def cleanup_job(plan: plans.Plan, unwanted: tuple[str, ...]) -> meta.Manifest:
    """Returns the Job that removes directories, without its name. It needs no network.

    Args:
        plan: The plan.
        unwanted: Directories as the status records them, on the claim's place of the volume.
    """
    relative = [directory.removeprefix(f"{plan.volume}/") for directory in unwanted]
    document = {"modelsDirectory": plans.MODELS, "user": _user(plan), "remove": relative}
    return _job(
        plan,
        CLEANUP,
        {
            REMOVES_ANNOTATION: canonical.dumps(list(unwanted)),
            GENERATION_ANNOTATION: str(generation(plan)),
        },
        {"env": [{"name": "PRELOAD_PLAN", "value": canonical.dumps(document)}]},
        [],
    )


def _job(
    plan: plans.Plan,
    component: str,
    annotations: dict[str, str],
    inputs: meta.Manifest,
    mounts: list[_Mount],
) -> meta.Manifest:
    """Returns a Job that runs the program.

    Args:
        plan: The plan.
        component: Label of its pods, and name of the container.
        annotations: What the Job is for, read back when it is observed.
        inputs: The container's env and envFrom.
        mounts: Volumes beside that of the weights.
    """
    preload = plan.site.preload
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": meta.metadata(plan, annotations=annotations),
        "spec": {
            # No TTL: a Job that is deleted while it is desired would be made again for ever.
            "backoffLimit": preload.backoff_limit,
            "activeDeadlineSeconds": preload.active_deadline_seconds,
            "podFailurePolicy": {"rules": _failure_rules(component)},
            "template": {
                "metadata": {"labels": meta.labels(plan, component)},
                "spec": canonical.prune(
                    {
                        "restartPolicy": "Never",
                        "serviceAccountName": preload.service_account_name,
                        "automountServiceAccountToken": False,
                        "enableServiceLinks": False,
                        "nodeSelector": preload.node_selector or None,
                        "tolerations": preload.tolerations or None,
                        "imagePullSecrets": deployment.image_pull_secrets(plan),
                        "securityContext": deployment.pod_security_context(plan),
                        "containers": [_container(plan, component, inputs, mounts)],
                        "volumes": [
                            {
                                "name": "models",
                                "persistentVolumeClaim": {
                                    "claimName": plan.site.weights.claim_name
                                },
                            },
                            {"name": "tmp", "emptyDir": {"sizeLimit": "2Gi"}},
                            *(mount.volume for mount in mounts),
                        ],
                    }
                ),
            },
        },
    }


def named(plan: plans.Plan, manifest: meta.Manifest) -> tuple[str, meta.Manifest]:
    """Returns the Job's key and the Job, both named by the hash of its whole spec.

    A Job's template is immutable: another template is another Job.
    """
    mark = canonical.digest(
        [manifest["spec"], manifest["metadata"]["annotations"][GENERATION_ANNOTATION]], HASH_LENGTH
    )
    component = manifest["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]
    metadata = {**manifest["metadata"], "name": job_name(plan, mark, component)}
    return f"{job_key_prefix(plan, component)}{mark}", {**manifest, "metadata": metadata}


def job_name(plan: plans.Plan, mark: str, component: str = COMPONENT) -> str:
    """Returns a Job's name; its pods carry it in a label, so it stays under 64 characters."""
    return meta.shortened(plan.name, f"{component}-{mark}")


def directories(plan: plans.Plan) -> list[str]:
    """Returns the directories that the claim wants, as the status records them."""
    return sorted(f"{plan.volume}/{weights.directory}" for weights in plan.weights)


def generation(plan: plans.Plan) -> int:
    """Returns which try the author asks for."""
    preload = plan.spec.model.preload
    return 0 if preload is None or preload.generation is None else preload.generation


def _user(plan: plans.Plan) -> str:
    """Returns the name under which the claim puts itself down as a user of a directory."""
    return f"{plan.namespace}/{plan.name}"


def _failure_rules(component: str) -> list[meta.Manifest]:
    """Returns one rule a code: the first that matches names its index in the Job's condition."""
    rules: list[meta.Manifest] = [
        # An evicted or preempted pod says nothing about the download.
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    ]
    for code in sorted(FAILURES):
        rules.append(
            {
                "action": "FailJob",
                "onExitCodes": {"containerName": component, "operator": "In", "values": [code]},
            }
        )
    return rules


def _container(
    plan: plans.Plan, component: str, inputs: meta.Manifest, mounts: list[_Mount]
) -> meta.Manifest:
    preload = plan.site.preload
    return canonical.prune(
        {
            "name": component,
            "image": plans.mirrored(preload.image, plan.site),
            "imagePullPolicy": "IfNotPresent",
            **inputs,
            "resources": {"requests": dict(preload.requests), "limits": dict(preload.limits)},
            "securityContext": deployment.CONTAINER_SECURITY,
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": [
                {"name": "models", "mountPath": plans.MODELS, "subPath": plan.sub_path},
                {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
                *(
                    {"name": mount.volume["name"], "mountPath": mount.path, "readOnly": True}
                    for mount in mounts
                ),
            ],
        }
    )


def _environment(plan: plans.Plan) -> list[meta.Manifest]:
    hub = plan.site.hub
    variables: dict[str, Any] = {
        "PRELOAD_PLAN": canonical.dumps(program_plan(plan)),
        "HOME": "/tmp",  # noqa: S108
        "HF_HOME": "/tmp/huggingface",  # noqa: S108
        # Xet transfers stalled in the middle of shards; plain HTTP resumes.
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DOWNLOAD_TIMEOUT": "120",
        "HF_ENDPOINT": hub.endpoint,
        "HTTPS_PROXY": hub.proxy,
        "HTTP_PROXY": hub.proxy,
        "NO_PROXY": hub.no_proxy,
    }
    if hub.ca_config_map is not None:
        variables |= {
            "SSL_CERT_FILE": "/etc/hub-ca/ca.crt",
            "REQUESTS_CA_BUNDLE": "/etc/hub-ca/ca.crt",
        }
    result: list[meta.Manifest] = [
        {"name": name, "value": value} for name, value in variables.items() if value is not None
    ]
    token = plan.spec.model.token_secret_ref
    if token is not None:
        source = {"secretKeyRef": {"name": token.name, "key": token.key}}
        result.append({"name": "HF_TOKEN", "valueFrom": source})
    return result


def program_plan(plan: plans.Plan) -> meta.Manifest:
    """Returns the program's input: data, never a command line or a shell string."""
    return {
        "modelsDirectory": plans.MODELS,
        "user": _user(plan),
        "cacheDirectory": deployment.cache_directory(plan),
        "items": [
            canonical.prune(
                {
                    "kind": weights.kind,
                    "repository": weights.repository,
                    "revision": weights.revision,
                    "directory": weights.directory,
                    "legacyDirectory": weights.legacy,
                }
            )
            for weights in plan.weights
        ],
    }


def _authorities(plan: plans.Plan) -> list[_Mount]:
    """Returns the mount of the certificate authorities that the hub's mirror is known by."""
    name = plan.site.hub.ca_config_map
    if name is None:
        return []
    return [_Mount({"name": "ca", "configMap": {"name": name}}, "/etc/hub-ca")]
