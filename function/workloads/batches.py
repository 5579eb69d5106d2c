"""The Jobs on the weights volume: one downloads, verifies and publishes, the other removes.

Both run one program, `preload/`, with another plan. Its exit codes are the only thing that tells
core and us why it failed, so `podFailurePolicy` turns each into a condition of the Job that names
the code.
"""

import dataclasses
from typing import Any

from function import canonical
from function.api import settings_weights
from function.cluster import failures, jobs
from function.engines import engine
from function.planning import identity, plans, storage
from function.workloads import pods

HASH_LENGTH = 10

_CONNECTIONS_A_CORE = 8
"""What one core fetches over TLS and hashes at 26 MiB/s a connection (docs/performance.md)."""
_MOST_CORES = 4
"""As many hash at once, and the default limit."""

# Where the program looks for a token that a Secret may have: a directory for each Secret.
_TOKENS = "/etc/hub-token"
# Names of the token in a Secret of envFromSecrets; the second is huggingface_hub's old one.
_TOKEN_KEYS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


@dataclasses.dataclass(frozen=True)
class _Mount:
    """A volume that is mounted read-only."""

    volume: identity.Manifest
    path: str


def job(plan: plans.Plan) -> identity.Manifest:
    """Returns the Job that downloads, without its name, which follows from everything else."""
    annotations = {
        jobs.WEIGHTS_ANNOTATION: canonical.dumps(list(plan.storage.wanted)),
        jobs.GENERATION_ANNOTATION: str(plan.storage.generation),
    }
    if not plan.storage.former_cache:
        annotations[jobs.CACHE_ANNOTATION] = cache_directory(plan)
    return _job(
        plan,
        jobs.COMPONENT,
        annotations,
        {"env": _environment(plan)},
        [*_authorities(plan), *_tokens(plan)],
    )


def cache_directory(plan: plans.Plan) -> str:
    """Returns where in the sub-path the Job makes the engine's own caches."""
    who, former = plan.identity, plan.storage.former_cache
    return plan.engine.cache_directory(who.namespace, who.name, former=former)


def cleanup_job(plan: plans.Plan, unwanted: tuple[str, ...]) -> identity.Manifest:
    """Returns the Job that removes directories, without its name. It needs no network.

    Args:
        plan: The plan.
        unwanted: Directories as the status records them, on the claim's place of the volume.
    """
    relative = [directory.removeprefix(f"{plan.storage.volume}/") for directory in unwanted]
    document = {"modelsDirectory": storage.MODELS, "user": _user(plan), "remove": relative}
    return _job(
        plan,
        jobs.CLEANUP,
        {
            jobs.REMOVES_ANNOTATION: canonical.dumps(list(unwanted)),
            jobs.GENERATION_ANNOTATION: str(plan.storage.generation),
        },
        {"env": [{"name": "PRELOAD_PLAN", "value": canonical.dumps(document)}]},
        [],
    )


def _job(
    plan: plans.Plan,
    component: str,
    annotations: dict[str, str],
    inputs: identity.Manifest,
    mounts: list[_Mount],
) -> identity.Manifest:
    """Returns a Job that runs the program.

    Args:
        plan: The plan.
        component: Label of its pods, and name of the container.
        annotations: What the Job is for, read back when it is observed.
        inputs: The container's env.
        mounts: Volumes beside that of the weights.
    """
    preload = plan.site.preload
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": plan.identity.metadata(annotations=annotations),
        "spec": {
            # No TTL: a Job that is deleted while it is desired would be made again for ever.
            "backoffLimit": preload.backoff_limit,
            "activeDeadlineSeconds": preload.active_deadline_seconds,
            "podFailurePolicy": {"rules": _failure_rules(component)},
            "template": {
                "metadata": {"labels": plan.identity.labels(component)},
                "spec": canonical.prune(
                    {
                        "restartPolicy": "Never",
                        "serviceAccountName": preload.service_account_name,
                        "automountServiceAccountToken": False,
                        "enableServiceLinks": False,
                        "nodeSelector": preload.node_selector or None,
                        "tolerations": preload.tolerations or None,
                        "imagePullSecrets": pods.image_pull_secrets(plan.site),
                        "securityContext": pods.security_context(plan.site),
                        "containers": [_container(plan, component, inputs, mounts)],
                        "volumes": [
                            pods.volume(plan.storage),
                            {"name": "tmp", "emptyDir": {"sizeLimit": "2Gi"}},
                            *(mount.volume for mount in mounts),
                        ],
                    }
                ),
            },
        },
    }


def named(who: identity.Identity, manifest: identity.Manifest) -> identity.Manifest:
    """Returns the Job, named by the hash of its whole spec.

    A Job's template is immutable: another template is another Job.
    """
    annotations = manifest["metadata"]["annotations"]
    mark = canonical.digest(
        [manifest["spec"], annotations[jobs.GENERATION_ANNOTATION]], HASH_LENGTH
    )
    component = manifest["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]
    metadata = {**manifest["metadata"], "name": name(who, mark, component)}
    return {**manifest, "metadata": metadata}


def suffix(manifest: identity.Manifest, component: str) -> str:
    """Returns the end of a named Job's key: it has the hash that the name has."""
    return f"{component}-job-{manifest['metadata']['name'][-HASH_LENGTH:]}"


def name(who: identity.Identity, mark: str, component: str = jobs.COMPONENT) -> str:
    """Returns a Job's name; its pods carry it in a label, so it stays under 64 characters."""
    return identity.shortened(who.name, f"{component}-{mark}")


def _user(plan: plans.Plan) -> str:
    """Returns the name under which the claim puts itself down as a user of a directory."""
    return f"{plan.identity.namespace}/{plan.identity.name}"


def _failure_rules(component: str) -> list[identity.Manifest]:
    """Returns one rule a code: the first that matches names its index in the Job's condition."""
    rules: list[identity.Manifest] = [
        # An evicted or preempted pod says nothing about the download.
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    ]
    for code in sorted(failures.FAILURES):
        rules.append(
            {
                "action": "FailJob",
                "onExitCodes": {"containerName": component, "operator": "In", "values": [code]},
            }
        )
    return rules


def _container(
    plan: plans.Plan, component: str, inputs: identity.Manifest, mounts: list[_Mount]
) -> identity.Manifest:
    preload = plan.site.preload
    return canonical.prune(
        {
            "name": component,
            "image": engine.mirrored(preload.image, plan.site),
            "imagePullPolicy": "IfNotPresent",
            **inputs,
            "resources": {
                "requests": _requests(preload, component),
                "limits": dict(preload.limits),
            },
            "securityContext": pods.CONTAINER_SECURITY,
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": [
                {
                    "name": "models",
                    "mountPath": storage.MODELS,
                    "subPath": plan.storage.sub_path,
                },
                {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
                *(
                    {"name": mount.volume["name"], "mountPath": mount.path, "readOnly": True}
                    for mount in mounts
                ),
            ],
        }
    )


def _requests(preload: settings_weights.Preload, component: str) -> dict[str, int | str]:
    """Returns what the Job asks for: the site's, or a core for each eight connections.

    A site that says nothing of connections keeps every Job as it was, since they are immutable; one
    that gives a limit alone may have less than would be asked for.
    """
    given = preload.model_fields_set & {"requests", "limits"}
    if preload.connections is None or given or component != jobs.COMPONENT:
        return dict(preload.requests)
    cores = min(_MOST_CORES, -(-preload.connections // _CONNECTIONS_A_CORE))
    return {**preload.requests, "cpu": str(cores)}


def _environment(plan: plans.Plan) -> list[identity.Manifest]:
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
        # Redirects lead to public addresses and to these.
        "PRELOAD_PRIVATE_NETWORKS": ",".join(hub.egress_cidrs) or None,
        "PRELOAD_CONNECTIONS": _text(plan.site.preload.connections),
    }
    if hub.ca_config_map is not None:
        variables |= {
            "SSL_CERT_FILE": "/etc/hub-ca/ca.crt",
            "REQUESTS_CA_BUNDLE": "/etc/hub-ca/ca.crt",
        }
    result: list[identity.Manifest] = [
        {"name": name, "value": value} for name, value in variables.items() if value is not None
    ]
    token = plan.spec.model.token_secret_ref
    secrets = _token_secrets(plan)
    if token is not None:
        source = {"secretKeyRef": {"name": token.name, "key": token.key}}
        result.append({"name": "HF_TOKEN", "valueFrom": source})
    elif secrets:
        result.append({"name": "PRELOAD_SECRETS_DIRECTORY", "value": _TOKENS})
        # A program before 1.1, which a site may have pinned, reads this alone.
        last = {"name": secrets[0], "key": "HF_TOKEN", "optional": True}
        result.append({"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": last}})
    return result


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _token_secrets(plan: plans.Plan) -> tuple[str, ...]:
    """Returns the Secrets that may hold the hub's token, the one that wins first.

    0.9.0 gave the Job their whole content, and of two values of a variable the later one wins.
    """
    if plan.spec.model.token_secret_ref is not None:
        return ()
    return tuple(reversed(plans.whole_secrets(plan.spec)))


def _tokens(plan: plans.Plan) -> list[_Mount]:
    """Returns the mount with the token's keys of those Secrets, and nothing else of them.

    Optional, because most of them have no token. Files, because they follow a Secret that is made
    after the pod: a variable does not.
    """
    secrets = _token_secrets(plan)
    if not secrets:
        return []
    sources = [
        {
            "secret": {
                "name": name,
                "optional": True,
                "items": [{"key": key, "path": f"{index:02}/{key}"} for key in _TOKEN_KEYS],
            }
        }
        for index, name in enumerate(secrets)
    ]
    return [_Mount({"name": "hub-token", "projected": {"sources": sources}}, _TOKENS)]


def program_plan(plan: plans.Plan) -> identity.Manifest:
    """Returns the program's input: data, never a command line or a shell string."""
    return {
        "modelsDirectory": storage.MODELS,
        "user": _user(plan),
        "cacheDirectory": cache_directory(plan),
        "items": [
            canonical.prune(
                {
                    "kind": wanted.kind,
                    "repository": wanted.repository,
                    "revision": wanted.revision,
                    "directory": wanted.place,
                    "legacyDirectory": wanted.legacy,
                }
            )
            for wanted in plan.storage.downloaded
        ],
    }


def _authorities(plan: plans.Plan) -> list[_Mount]:
    """Returns the mount of the certificate authorities that the hub's mirror is known by."""
    name = plan.site.hub.ca_config_map
    if name is None:
        return []
    return [_Mount({"name": "ca", "configMap": {"name": name}}, "/etc/hub-ca")]
