"""A Deployment: each replica is one pod."""

from typing import Any

from function import canonical
from function.cluster import observed
from function.planning import identity, scaling
from function.workloads import workload

GROUP = "apps"
VERSION = "v1"
KIND = "Deployment"
PLURAL = "deployments"
OPTIONAL = False
READY_WHEN = (
    "`availableReplicas` ≥ 1 of any generation; or zero are wanted and the claim is suspended or"
    " may sleep"
)
SUFFIX = "deployment"
OBJECT_NAME = "N"
WHEN = "a replica is one pod; not [withheld](#withholding)"
PATCHABLE = True
TEMPLATE = "spec.template"
SERIES = workload.Series(
    available="kube_deployment_status_replicas_available",
    wanted="kube_deployment_spec_replicas",
    label="deployment",
)


# What Deployments run that are not a claim's engines.
_OTHERS = (identity.PICKER, identity.ROUTER, identity.EDGE)


def name(who: identity.Identity) -> str:
    """Returns the name of the claim's Deployment."""
    return who.name


def holds(item: observed.Object) -> bool:
    """Tells whether an object is the Deployment of engines; pickers and routers have some too."""
    component = observed.at(item, "metadata", "labels", "app.kubernetes.io/component")
    return bool(observed.at(item, "kind") == KIND and component not in _OTHERS)


def manifest(
    who: identity.Identity,
    template: identity.Manifest,
    *,
    replacement: scaling.Replacement,
    deadline_seconds: int,
    replicas: int | None,
    annotations: dict[str, str],
    labels: dict[str, str],
    members: workload.Members,
) -> identity.Manifest:
    """Returns the Deployment around a pod template."""
    del members  # one
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": who.metadata(extra=labels, annotations=annotations),
        "spec": canonical.prune(
            {
                "replicas": replicas,
                "selector": {"matchLabels": who.labels()},
                "strategy": _strategy(replacement),
                "progressDeadlineSeconds": deadline_seconds,
                "revisionHistoryLimit": 3,
                "template": template,
            }
        ),
    }


def _strategy(replacement: scaling.Replacement) -> identity.Manifest:
    """Returns how pods are replaced.

    Both fields of a rolling update are always written: one that the API server defaulted has no
    owner, survives a later change to Recreate, and makes that invalid for good.
    """
    if replacement.recreate:
        return {"type": "Recreate"}
    return {
        "type": "RollingUpdate",
        "rollingUpdate": {
            "maxSurge": replacement.surge,
            "maxUnavailable": replacement.unavailable,
        },
    }


def template(manifest: observed.Object | None) -> Any:
    """Returns the pod template, or None."""
    return observed.at(manifest, "spec", "template")


def with_template(manifest: identity.Manifest, template: identity.Manifest) -> identity.Manifest:
    """Returns the Deployment with another pod template."""
    return {**manifest, "spec": {**manifest["spec"], "template": template}}


def without_templates(manifest: observed.Object) -> dict[str, Any]:
    """Returns the Deployment without its pod template."""
    spec = {field: value for field, value in manifest["spec"].items() if field != "template"}
    return {**manifest, "spec": spec}


def all_at_once(manifest: observed.Object) -> bool:
    """Tells whether pods are made anew."""
    return bool(observed.at(manifest, "spec", "strategy", "type") == "Recreate")


def state(resource: observed.Object | None) -> workload.State | None:
    """Returns the observed Deployment's numbers, or None when there is none."""
    if resource is None:
        return None
    spec, status = observed.at(resource, "spec"), observed.at(resource, "status")
    read = observed.number(observed.at(status, "observedGeneration"), -1)
    progressing = observed.condition(status, "Progressing")
    stuck = (
        progressing.message or progressing.reason
        if progressing is not None
        and progressing.status == "False"
        and progressing.reason == "ProgressDeadlineExceeded"
        else None
    )
    return workload.State(
        wanted=observed.count(observed.at(spec, "replicas"), 1),
        available=observed.count(observed.at(status, "availableReplicas")),
        settled=read >= observed.number(observed.at(resource, "metadata", "generation"))
        and observed.number(observed.at(status, "updatedReplicas"))
        >= observed.number(observed.at(status, "replicas")),
        stuck=stuck,
        ran=progressing is not None and progressing.reason == "NewReplicaSetAvailable",
        # Kubernetes 1.35 and later (KEP 3973).
        ending=observed.count(observed.at(status, "terminatingReplicas")),
    )


def scaled_by_others(resource: observed.Object) -> bool:
    """Tells whether a manager beside Crossplane owns `spec.replicas`."""
    return any(
        "crossplane" not in str(observed.at(entry, "manager"))
        and observed.at(entry, "fieldsV1", "f:spec", "f:replicas") is not None
        for entry in observed.items(resource, "metadata", "managedFields")
    )


def pod_names(name: str) -> str:
    """Returns the pattern of the names of a Deployment's pods: name, hash and five at random.

    The API server cuts a generated name to 58 characters before it adds the random ones
    (k8s.io/apiserver, storage/names): a long name costs the hyphen and the end of the hash.
    """
    room = 58 - len(f"{name}-")
    if room > 10:
        middle = "[a-z0-9]{6,10}-"
    elif room > 6:
        middle = f"([a-z0-9]{{6,{room - 1}}}-|[a-z0-9]{{{room}}})"
    else:
        middle = f"[a-z0-9]{{{room}}}"
    return f"{name}-{middle}[a-z0-9]{{5}}"
