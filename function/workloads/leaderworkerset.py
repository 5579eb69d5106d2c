"""A LeaderWorkerSet: each replica is a group of pods, of which the first serves.

Read in sigs.k8s.io/lws v0.9.0. The leader's template is ours; the one of the other pods follows
from it, so that a template that is held holds both. Only the leader bears the labels that Services
select by. Groups of one object have no progress deadline, and kube-state-metrics has no series of
it: those of the leaders' StatefulSet say the same, since a leader is ready when its group serves.
"""

from typing import Any

from function import canonical
from function.cluster import observed
from function.engines import engines
from function.planning import identity, scaling
from function.workloads import deployment, workload

GROUP = "leaderworkerset.x-k8s.io"
VERSION = "v1"
KIND = "LeaderWorkerSet"
PLURAL = "leaderworkersets"
OPTIONAL = True
READY_WHEN = (
    "`readyReplicas` ≥ 1 of any generation; or zero are wanted and the claim is suspended or may"
    " sleep"
)
SUFFIX = "leaderworkerset"
OBJECT_NAME = "N-group-\\<hash\\>"
WHEN = "a replica is several pods (`gpu.parallelism`); not [withheld](#withholding)"
# What a patch may not touch is named by its place in a Deployment.
PATCHABLE = False
TEMPLATE = "spec.leaderWorkerTemplate.leaderTemplate"
SERIES = workload.Series(
    available="kube_statefulset_status_replicas_ready",
    wanted="kube_statefulset_replicas",
    label="statefulset",
)
EXCLUSIVE_TOPOLOGY = "leaderworkerset.sigs.k8s.io/exclusive-topology"

scaled_by_others = deployment.scaled_by_others


def name(who: identity.Identity) -> str:
    """Returns the name of the claim's LeaderWorkerSet.

    Its controller makes a Service of this name, and the claim has one that is named as the claim.
    """
    return who.group_name


def holds(item: observed.Object) -> bool:
    """Tells whether an object is the LeaderWorkerSet of a claim."""
    return bool(observed.at(item, "kind") == KIND)


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
    """Returns the LeaderWorkerSet around the leader's template."""
    del deadline_seconds  # it has none
    placed = {} if members.topology is None else {EXCLUSIVE_TOPOLOGY: members.topology}
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": who.metadata(name(who), extra=labels, annotations={**annotations, **placed}),
        "spec": canonical.prune(
            {
                "replicas": replicas,
                # The leader becomes ready only with the others.
                "startupPolicy": "LeaderCreated",
                "networkConfig": {"subdomainPolicy": "Shared"},
                "rolloutStrategy": {
                    "type": "RollingUpdate",
                    "rollingUpdateConfiguration": {
                        "partition": 0,
                        "maxSurge": replacement.surge,
                        # All at once is one by one here. Both at zero would be refused.
                        "maxUnavailable": max(replacement.unavailable, 1 - replacement.surge),
                    },
                },
                "leaderWorkerTemplate": {
                    "size": members.pods,
                    # An engine that lost a part of itself answers nothing any more.
                    "restartPolicy": "RecreateGroupOnPodRestart",
                    "leaderTemplate": template,
                    "workerTemplate": _follower(template),
                },
            }
        ),
    }


def template(manifest: observed.Object | None) -> Any:
    """Returns the leader's pod template, or None."""
    return observed.at(manifest, "spec", "leaderWorkerTemplate", "leaderTemplate")


def with_template(manifest: identity.Manifest, template: identity.Manifest) -> identity.Manifest:
    """Returns the LeaderWorkerSet with another leader, and with what follows from it."""
    spec = manifest["spec"]
    group = {
        **spec["leaderWorkerTemplate"],
        "leaderTemplate": template,
        "workerTemplate": _follower(template),
    }
    return {**manifest, "spec": {**spec, "leaderWorkerTemplate": group}}


def without_templates(manifest: observed.Object) -> dict[str, Any]:
    """Returns the LeaderWorkerSet without its leader, and without what follows from it."""
    spec, templates = manifest["spec"], ("leaderTemplate", "workerTemplate")
    group = {k: v for k, v in spec["leaderWorkerTemplate"].items() if k not in templates}
    return {**manifest, "spec": {**spec, "leaderWorkerTemplate": group}}


def all_at_once(manifest: observed.Object) -> bool:
    """Tells that groups follow a new template one by one."""
    del manifest
    return False


def state(resource: observed.Object | None) -> workload.State | None:
    """Returns the numbers of the observed groups, or None when there is no object.

    A group is ready when all of its pods are. Its controller never gives a rollout up.
    """
    if resource is None:
        return None
    status = observed.at(resource, "status")
    read = observed.number(observed.at(status, "observedGeneration"), -1)
    updates = observed.condition(status, "UpdateInProgress")
    available = observed.condition(status, "Available")
    return workload.State(
        wanted=observed.number(observed.at(resource, "spec", "replicas"), 1),
        available=observed.number(observed.at(status, "readyReplicas")),
        settled=read >= observed.number(observed.at(resource, "metadata", "generation"))
        and (updates is None or updates.status != "True")
        and observed.number(observed.at(status, "updatedReplicas"))
        >= observed.number(observed.at(status, "replicas")),
        stuck=None,
        # Of no group at all it is available too.
        ran=available is not None
        and available.status == "True"
        and observed.number(observed.at(status, "readyReplicas")) > 0,
    )


def pod_names(name: str) -> str:
    """Returns the pattern of the leaders' names: the object's, and the group's number."""
    return f"{name}-[0-9]+"


def _follower(leader: identity.Manifest) -> identity.Manifest:
    """Returns the template of the pods that follow a leader.

    They belong to one leader: spreading over nodes, which keeps replicas apart, would keep them
    from each other.
    """
    spec = {
        field: value
        for field, value in leader["spec"].items()
        if field != "topologySpreadConstraints"
    }
    drain = observed.number(observed.at(spec, "terminationGracePeriodSeconds"))
    spec["containers"] = [_container(container, drain) for container in spec["containers"]]
    metadata = dict(leader.get("metadata") or {})
    component = {"app.kubernetes.io/component": identity.FOLLOWER}
    metadata["labels"] = {**(metadata.get("labels") or {}), **component}
    return {**leader, "metadata": metadata, "spec": spec}


def _container(container: identity.Manifest, drain_seconds: int) -> identity.Manifest:
    for engine in engines.ENGINES.values():
        if container["name"] == engine.CONTAINER:
            return engine.follower(container, drain_seconds)
    return container
