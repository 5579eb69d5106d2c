"""The Deployment of the engine, and the pod template that it holds or rolls to."""

from typing import Any

from function import canonical
from function import plan as plans
from function.api import claim
from function.engine import arguments as serving
from function.resources import meta

CONTAINER = "vllm"
# Where the template that was emitted last, and the part of the claim that it came from, are
# remembered: on the Deployment, not on its pods, so that remembering restarts nothing.
TEMPLATE_ANNOTATION = f"{meta.DOMAIN}/pod-template"
CLAIM_ANNOTATION = f"{meta.DOMAIN}/pod-template-claim"

PROBES: dict[str, dict[str, int]] = {
    "startupProbe": {"periodSeconds": 10, "timeoutSeconds": 5},
    # Readiness turns quickly: a draining engine must leave the endpoints within preStop.
    "readinessProbe": {"periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 3},
    # /health of a frozen engine is 200 (measured): liveness only catches a dead server, which
    # exits by itself within seconds. Slow to anger, because a restart costs minutes.
    "livenessProbe": {"periodSeconds": 30, "timeoutSeconds": 10, "failureThreshold": 6},
}


def deployment(
    plan: plans.Plan, template: meta.Manifest, text: str, claim_hash: str, replicas: int | None
) -> meta.Manifest:
    """Returns the Deployment around a pod template, held or newly rendered.

    Args:
        plan: The plan.
        template: The pod template to run.
        text: The template's canonical JSON.
        claim_hash: Hash of the part of the claim that the template came from.
        replicas: Emitted only where no scaler owns the field: core applies with force and would
            fight it.
    """
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta.metadata(
            plan, annotations={TEMPLATE_ANNOTATION: text, CLAIM_ANNOTATION: claim_hash}
        ),
        "spec": canonical.prune(
            {
                "replicas": replicas,
                "selector": {"matchLabels": meta.labels(plan)},
                "strategy": strategy(plan),
                # The start budget, and a new node with a pull of the image before it.
                "progressDeadlineSeconds": plan.startup_seconds + 1200,
                "revisionHistoryLimit": 3,
                "template": template,
            }
        ),
    }


def strategy(plan: plans.Plan) -> meta.Manifest:
    """Returns how pods are replaced.

    Both fields of a rolling update are always written: one that the API server defaulted has no
    owner, survives a later change to Recreate, and makes that invalid for good.
    """
    if plan.replacement.recreate:
        return {"type": "Recreate"}
    return {
        "type": "RollingUpdate",
        "rollingUpdate": {
            "maxSurge": plan.replacement.surge,
            "maxUnavailable": plan.replacement.unavailable,
        },
    }


def pod_template(plan: plans.Plan) -> meta.Manifest:
    """Returns the pod template that claim and settings ask for now.

    Nothing from `spec.scaling` enters it: changing a limit must not restart a pod.
    """
    extra = plan.spec.pod_template or claim.PodTemplate()
    gpu = plan.gpu_class
    annotations = {**gpu.pod_annotations, **(extra.annotations or {})}
    return {
        "metadata": canonical.prune(
            {
                "labels": {**(extra.labels or {}), **meta.labels(plan)},
                "annotations": annotations or None,
            }
        ),
        "spec": canonical.prune(
            {
                "serviceAccountName": plan.name,
                "automountServiceAccountToken": False,
                # A Service named vllm would set VLLM_PORT, which the engine takes for its own.
                "enableServiceLinks": False,
                "nodeSelector": {**gpu.node_selector, **(extra.node_selector or {})} or None,
                "tolerations": [*gpu.tolerations, *(extra.tolerations or [])] or None,
                "affinity": extra.affinity,
                "topologySpreadConstraints": _spread(plan, extra),
                "priorityClassName": extra.priority_class_name,
                "runtimeClassName": gpu.runtime_class_name,
                "imagePullSecrets": image_pull_secrets(plan),
                "terminationGracePeriodSeconds": plan.drain.grace,
                "securityContext": pod_security_context(plan),
                "containers": [_container(plan, extra)],
                "volumes": _volumes(plan, extra),
            }
        ),
    }


def image_pull_secrets(plan: plans.Plan) -> list[meta.Manifest] | None:
    """Returns the site's pull secrets; the list is a map by name, so each is named once."""
    return [{"name": name} for name in dict.fromkeys(plan.site.image_pull_secrets)] or None


def environment_sources(plan: plans.Plan) -> list[meta.Manifest] | None:
    """Returns the Secrets that engine and preload Job get whole, each once."""
    external = [secret.name for secret in plan.spec.external_secrets or []]
    names = dict.fromkeys([*external, *(plan.spec.env_from_secrets or [])])
    return [{"secretRef": {"name": name}} for name in names] or None


def pod_security_context(plan: plans.Plan) -> meta.Manifest:
    """Returns the pod's security context: Pod Security `restricted`, and the volume's identity."""
    weights = plan.site.weights
    return canonical.prune(
        {
            "runAsNonRoot": True,
            "runAsUser": weights.run_as_user,
            "runAsGroup": weights.run_as_group,
            "fsGroup": weights.fs_group,
            # Walking every weight file at each start would take minutes on a network volume.
            "fsGroupChangePolicy": None if weights.fs_group is None else "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        }
    )


CONTAINER_SECURITY: meta.Manifest = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
}


def _spread(plan: plans.Plan, extra: claim.PodTemplate) -> list[Any]:
    if extra.topology_spread_constraints is not None:
        return extra.topology_spread_constraints
    return [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": meta.labels(plan)},
        }
    ]


def _container(plan: plans.Plan, extra: claim.PodTemplate) -> meta.Manifest:
    gpus = {plan.gpu_resource: plan.gpu_count}
    arguments = serving.serve(plan)
    return canonical.prune(
        {
            "name": CONTAINER,
            "image": plan.image,
            "imagePullPolicy": "IfNotPresent",
            "args": arguments,
            "env": _environment(plan, extra, arguments),
            "envFrom": environment_sources(plan),
            "ports": [{"name": plans.PORT_NAME, "containerPort": plans.PORT, "protocol": "TCP"}],
            "resources": {
                "requests": {**plan.resources["requests"], **gpus},
                "limits": {**plan.resources["limits"], **gpus},
            },
            "securityContext": canonical.merge_patch(
                CONTAINER_SECURITY, plan.spec.security_context or {}
            ),
            "lifecycle": {"preStop": {"sleep": {"seconds": plan.drain.pre_stop}}},
            "terminationMessagePolicy": "FallbackToLogsOnError",
            **_probes(plan),
            "volumeMounts": _mounts(plan, extra),
        }
    )


def _environment(
    plan: plans.Plan, extra: claim.PodTemplate, arguments: list[str]
) -> list[meta.Manifest]:
    cache = f"{plans.CACHE}/{cache_key(plan, arguments)}" if plan.preloads else plans.CACHE
    ours = {
        "HOME": "/tmp",  # noqa: S108 - an emptyDir of this pod alone
        "USER": "vllm",  # getpwuid of an unknown uid fails in torch
        "VLLM_LOGGING_LEVEL": plan.site.engine.log_level,
        "VLLM_CACHE_ROOT": cache,
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        # The pod reaches DNS only: a look-up at the hub would cost a time-out at each start.
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    own = {variable.name for variable in extra.env or []}
    return [{"name": name, "value": value} for name, value in ours.items() if name not in own] + [
        canonical.prune(
            {"name": variable.name, "value": variable.value, "valueFrom": variable.value_from}
        )
        for variable in extra.env or []
    ]


def cache_key(plan: plans.Plan, arguments: list[str]) -> str:
    """Returns the compile cache's key: compiled code depends on image, GPU and arguments."""
    return canonical.digest([plan.image, plan.gpu_class_name, arguments], 16)


def _probes(plan: plans.Plan) -> meta.Manifest:
    chosen = plan.spec.health_probes or claim.HealthProbes()
    own = {
        "startupProbe": chosen.startup,
        "readinessProbe": chosen.readiness,
        "livenessProbe": chosen.liveness,
    }
    result = {}
    for name, defaults in PROBES.items():
        timing = dict(defaults)
        if name == "startupProbe":
            timing["failureThreshold"] = plan.startup_periods
        probe = own[name]
        if probe is not None:
            timing |= probe.model_dump(by_alias=True, exclude_none=True)
        result[name] = {"httpGet": {"path": "/health", "port": plans.PORT_NAME}, **timing}
    return result


def _mounts(plan: plans.Plan, extra: claim.PodTemplate) -> list[meta.Manifest]:
    cache = {"name": "cache", "mountPath": plans.CACHE}
    if plan.preloads:
        # Never shared between claims: it is executable code.
        cache = {
            "name": "models",
            "mountPath": plans.CACHE,
            "subPath": f"{plan.sub_path}/{cache_directory(plan)}",
        }
    return [
        {
            "name": "models",
            "mountPath": plans.MODELS,
            "subPath": plan.sub_path,
            "readOnly": True,
        },
        cache,
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108
        *(extra.volume_mounts or []),
    ]


def cache_directory(plan: plans.Plan) -> str:
    """Returns where in the sub-path the claim's compile caches lie; the preload Job makes it."""
    return f".compile-cache/{plan.name}"


def _volumes(plan: plans.Plan, extra: claim.PodTemplate) -> list[meta.Manifest]:
    volumes: list[meta.Manifest] = [
        {
            "name": "models",
            "persistentVolumeClaim": {"claimName": plan.site.weights.claim_name},
        },
    ]
    if not plan.preloads:
        volumes.append({"name": "cache", "emptyDir": {"sizeLimit": "10Gi"}})
    volumes += [
        {"name": "tmp", "emptyDir": {"sizeLimit": "8Gi"}},
        # NCCL and the workers' message queues; it counts against the memory limit when used.
        {
            "name": "shm",
            "emptyDir": {"medium": "Memory", "sizeLimit": f"{2 * plan.gpu_count}Gi"},
        },
    ]
    return volumes + list(extra.volumes or [])
