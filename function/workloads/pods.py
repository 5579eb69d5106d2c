"""The pod template that claim and settings ask for now: the engine in a pod that is shut tight."""

from typing import Any

from function import canonical
from function.api import claim, claim_pod, settings
from function.capacity import quantity
from function.cluster import observed
from function.engines import engine
from function.planning import identity, lifetimes, parallelism, payers, plans, running, storage

PROBES: dict[str, dict[str, int]] = {
    "startupProbe": {"periodSeconds": 10, "timeoutSeconds": 5},
    # Readiness turns quickly: a draining engine must leave the endpoints within preStop.
    "readinessProbe": {"periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 3},
    # /health of a frozen engine is 200 (measured): liveness only catches a dead server, which
    # exits by itself within seconds. Slow to anger, because a restart costs minutes.
    "livenessProbe": {"periodSeconds": 30, "timeoutSeconds": 10, "failureThreshold": 6},
}


def template(plan: plans.Plan) -> identity.Manifest:
    """Returns the pod template that claim and settings ask for now.

    Nothing from `spec.scaling` enters it: changing a limit must not restart a pod.
    """
    extra = plan.spec.pod_template or claim_pod.PodTemplate()
    gpu = plan.hardware.gpu
    served = plan.engine.container(plan)
    annotations = {
        **gpu.pod_annotations,
        **(extra.annotations or {}),
        **served.annotations,
    }
    group = {identity.GROUP_LABEL: plan.identity.name} if plan.hardware.split.spans else {}
    return {
        "metadata": canonical.prune(
            {
                "labels": {
                    **(extra.labels or {}),
                    **payers.labels(plan.spec, plan.site),
                    **plan.identity.labels(),
                    **group,
                },
                "annotations": annotations or None,
            }
        ),
        "spec": canonical.prune(
            {
                "serviceAccountName": plan.identity.name,
                "automountServiceAccountToken": False,
                # A Service named vllm would set VLLM_PORT, which the engine takes for its own.
                "enableServiceLinks": False,
                "nodeSelector": {**gpu.node_selector, **(extra.node_selector or {})} or None,
                "tolerations": [*gpu.tolerations, *(extra.tolerations or [])] or None,
                "affinity": extra.affinity,
                "topologySpreadConstraints": _spread(plan, extra),
                "priorityClassName": extra.priority_class_name,
                "runtimeClassName": gpu.runtime_class_name,
                "imagePullSecrets": image_pull_secrets(plan.site),
                "terminationGracePeriodSeconds": plan.drain.grace,
                "securityContext": security_context(plan.site),
                "containers": [_container(plan, served, extra)],
                "volumes": [
                    *_weights(plan.storage),
                    *served.volumes,
                    *(extra.volumes or []),
                ],
            }
        ),
    }


# Name of the volume that is an image of weights.
IMAGE_VOLUME = "model-image"


def _weights(stored: storage.Storage) -> list[identity.Manifest]:
    """Returns the volumes that the engine reads weights from."""
    volumes: list[identity.Manifest] = [volume(stored)] if stored.mounts else []
    if stored.base.origin is storage.Origin.IMAGE:
        image: identity.Manifest = {"reference": stored.base.place, "pullPolicy": "IfNotPresent"}
        volumes.append({"name": IMAGE_VOLUME, "image": image})
    return volumes


def _mounts(stored: storage.Storage) -> list[identity.Manifest]:
    """Returns the mounts of those volumes."""
    on_volume: identity.Manifest = {
        "name": "models",
        "mountPath": storage.MODELS,
        "subPath": stored.sub_path,
        "readOnly": True,
    }
    mounts: list[identity.Manifest] = [on_volume] if stored.mounts else []
    if stored.base.origin is storage.Origin.IMAGE:
        mounts.append({"name": IMAGE_VOLUME, "mountPath": storage.IMAGE, "readOnly": True})
    return mounts


def volume(stored: storage.Storage) -> identity.Manifest:
    """Returns the volume of the weights."""
    return {"name": "models", "persistentVolumeClaim": {"claimName": stored.claim_name}}


def image_pull_secrets(site: settings.Settings) -> list[identity.Manifest] | None:
    """Returns the site's pull secrets; the list is a map by name, so each is named once."""
    return [{"name": name} for name in dict.fromkeys(site.image_pull_secrets)] or None


def environment_sources(spec: claim.Spec) -> list[identity.Manifest] | None:
    """Returns the Secrets that the engine gets whole, each once."""
    return [{"secretRef": {"name": name}} for name in plans.whole_secrets(spec)] or None


def security_context(site: settings.Settings) -> identity.Manifest:
    """Returns the pod's security context: Pod Security `restricted`, and the volume's identity."""
    weights = site.weights
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


def unprivileged(user: int) -> identity.Manifest:
    """Returns the security context of a pod that runs as a user, who owns its volumes."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


CONTAINER_SECURITY: identity.Manifest = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
}


def _spread(plan: plans.Plan, extra: claim_pod.PodTemplate) -> list[Any]:
    if extra.topology_spread_constraints is not None:
        return extra.topology_spread_constraints
    return [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": plan.identity.labels()},
        }
    ]


def _container(
    plan: plans.Plan, served: engine.Container, extra: claim_pod.PodTemplate
) -> identity.Manifest:
    port = {"name": engine.PORT_NAME, "containerPort": plan.engine.PORT, "protocol": "TCP"}
    return canonical.prune(
        {
            "name": plan.engine.CONTAINER,
            "image": plan.serving.image,
            "imagePullPolicy": "IfNotPresent",
            "args": served.arguments,
            "env": _environment(plan, served, extra),
            "envFrom": environment_sources(plan.spec),
            "ports": [port],
            "resources": plan.hardware.resources,
            "securityContext": canonical.merge_patch(
                CONTAINER_SECURITY, plan.spec.security_context or {}
            ),
            "lifecycle": {"preStop": {"sleep": {"seconds": plan.drain.pre_stop}}},
            "terminationMessagePolicy": "FallbackToLogsOnError",
            **_probes(plan),
            "volumeMounts": [
                *_mounts(plan.storage),
                *served.mounts,
                *(extra.volume_mounts or []),
            ],
        }
    )


def _environment(
    plan: plans.Plan, served: engine.Container, extra: claim_pod.PodTemplate
) -> list[identity.Manifest]:
    own = {variable.name for variable in extra.env or []}
    listens = plan.hardware.split.listens and parallelism.OWN_ADDRESS not in own
    address = {"fieldRef": {"fieldPath": "status.podIP"}}
    group = [{"name": parallelism.OWN_ADDRESS, "valueFrom": address}] if listens else []
    told: dict[str, identity.Manifest] = {
        **{name: {"value": value} for name, value in served.environment.items()},
        **{name: {"valueFrom": source} for name, source in served.sources.items()},
    }
    ours = [{"name": name, **value} for name, value in told.items() if name not in own]
    theirs = [
        canonical.prune(
            {"name": variable.name, "value": variable.value, "valueFrom": variable.value_from}
        )
        for variable in extra.env or []
    ]
    return [*group, *ours, *theirs]


def _probes(plan: plans.Plan) -> identity.Manifest:
    chosen = plan.spec.health_probes or claim_pod.HealthProbes()
    own = {
        "startupProbe": chosen.startup,
        "readinessProbe": chosen.readiness,
        "livenessProbe": chosen.liveness,
    }
    result = {}
    for name, defaults in PROBES.items():
        timing = dict(defaults)
        if name == "startupProbe":
            timing["failureThreshold"] = plan.start.periods
        probe = own[name]
        if probe is not None:
            timing |= probe.model_dump(by_alias=True, exclude_none=True)
        asked = {"path": plan.engine.HEALTH_PATH, "port": engine.PORT_NAME}
        result[name] = {"httpGet": asked, **timing}
    return result


# --- templates that run


def engine_container(template: observed.Object, name: str) -> observed.Object:
    """Returns the engine's container of a template, ours or 0.9.0's; empty where it has none."""
    for container in observed.at(template, "spec", "containers") or []:
        if observed.at(container, "name") == name:
            return dict(container)
    return {}


def secrets(template: observed.Object) -> tuple[str, ...]:
    """Returns the Secrets without which a pod of the template cannot start, each once."""
    names = []
    for container in observed.at(template, "spec", "containers") or []:
        for source in observed.at(container, "envFrom") or []:
            names.append(observed.at(source, "secretRef", "name"))
        for variable in observed.at(container, "env") or []:
            names.append(observed.at(variable, "valueFrom", "secretKeyRef", "name"))
    for mounted in observed.at(template, "spec", "volumes") or []:
        names.append(observed.at(mounted, "secret", "secretName"))
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str)))


def start_seconds(container: observed.Object) -> int | None:
    """Returns the start budget that a container's startup probe gives, in seconds, or None."""
    probe = observed.at(container, "startupProbe")
    failures = observed.at(probe, "failureThreshold")
    if failures is None:
        return None
    period = observed.number(observed.at(probe, "periodSeconds"), lifetimes.STARTUP_PERIOD)
    return observed.number(observed.at(probe, "initialDelaySeconds")) + period * int(failures)


def running_of(
    template: observed.Object, serves: engine.Engine, wanted: running.Running
) -> running.Running:
    """Returns what a template tells of its pods; where it does not say, what is wanted holds.

    Args:
        template: A template without facts beside it, as 0.9.0 and releases before 1.1 leave it.
        serves: The engine that reads its container.
        wanted: What pods of the plan would be.
    """
    container = engine_container(template, serves.CONTAINER)
    grace = observed.at(template, "spec", "terminationGracePeriodSeconds")
    pause = observed.at(container, "lifecycle", "preStop", "sleep", "seconds")
    gpus = sum(
        int(quantity.parse(amount))
        for name, amount in (observed.at(container, "resources", "limits") or {}).items()
        if "gpu" in name and "/" in name
    )
    drain = wanted.drain.model_copy(
        update={
            "grace": observed.number(grace, wanted.drain.grace),
            "pre_stop": observed.number(pause, 0),
        }
    )
    told = wanted.model_copy(
        update={
            "drain": drain,
            "secrets": secrets(template),
            "start_seconds": min(
                observed.number(start_seconds(container), wanted.start_seconds),
                running.MOST_SECONDS,
            ),
        }
    )
    told = serves.read(container, told)
    # Without a GPU in its limits a template says nothing, unless its engine needs none.
    otherwise = 0 if told.engine in claim_pod.WITHOUT_GPUS else wanted.gpus
    return told.model_copy(update={"gpus": gpus * told.pods or otherwise})
