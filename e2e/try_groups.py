"""Replicas of several pods, and queues, by the controllers themselves: LeaderWorkerSet's and Kueue.

`make groups` runs it; it is no part of `make e2e`, for whose budget its programs are too large. The
function composes in the cluster of `tests.cluster`. What keeps the pods is applied as core applies
it, and the function then judges what the API server has of it, of its pods, and of what stands in
the queue. The scheduler and the controllers are the real ones; kwok plays the nodes.
"""

from __future__ import annotations

import copy
import typing
from collections.abc import Callable, Iterator

import pytest

from e2e import claims
from e2e.controlplane import api, groups, nodes, plane, polling
from function.cluster import queueing
from function.planning import queues
from tests import cluster
from tests.resources import groups as composed
from tests.resources import scene

NAMESPACE = "llm"
NODES = tuple(nodes.Node(f"h100-{index}", gpus=8, cpu="256", memory="2Ti") for index in range(4))
LWS = ("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet")
KUEUE = "kueue.x-k8s.io/v1beta2"
PRIORITIES = ("low", "high")
# Seconds, on a machine that is shared.
PATIENCE = 120


class Stage:
    """Where claims live: a namespace, and four nodes of 8 GPUs.

    Attributes:
        admin: The API as an administrator.
    """

    def __init__(self, control_plane: plane.ControlPlane) -> None:
        """Look at a control plane."""
        self.admin = control_plane.admin

    def quota(self, gpus: int) -> None:
        """Let the queue's claims have so many GPUs."""
        flavor = {"name": "h100", "resources": _quotas(gpus)}
        self.admin.apply(
            _of_kueue(
                "ClusterQueue",
                "gpus",
                spec={
                    "namespaceSelector": {},
                    "resourceGroups": [
                        {
                            "coveredResources": ["nvidia.com/gpu", "cpu", "memory"],
                            "flavors": [flavor],
                        }
                    ],
                },
            )
        )

    def objects(self, api_version: str, kind: str, **labels: str) -> list[api.Object]:
        """The objects of a kind in the namespace."""
        return self.admin.objects(api_version, kind, namespace=NAMESPACE, labels=labels)

    def until(self, probe: Callable[[], typing.Any], what: str) -> typing.Any:
        """Wait for something."""
        return polling.until(
            probe, what=what, timeout=PATIENCE, interval=0.5, ignore=(api.ApiError,)
        )


def _of_kueue(kind: str, name: str, **fields: typing.Any) -> api.Object:
    return {"apiVersion": KUEUE, "kind": kind, "metadata": {"name": name}} | fields


def _quotas(gpus: int) -> list[api.Object]:
    amounts = {"nvidia.com/gpu": str(gpus), "cpu": "10k", "memory": "100Ti"}
    return [{"name": name, "nominalQuota": amount} for name, amount in amounts.items()]


class Subject:
    """A claim: composed here, and what keeps its pods on the control plane.

    Attributes:
        world: The cluster in memory in which the function composes.
        name: The name of what keeps the pods.
    """

    def __init__(self, stage: Stage, claimed: cluster.Object) -> None:
        """Compose a claim, and apply what it needs."""
        tolerated = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
        config = composed.site("kubernetes", tolerations=[tolerated])
        inner = config["data"]["inferenceService"]
        inner["diagnostics"] = {"pods": True}
        inner["providers"] |= {"queue": "kueue", "autoscaler": "none"}
        self._stage = stage
        self.world = scene.serving(claimed, config)
        self._key = next(
            key for key, item in self.world.owned.items() if item["kind"] in (LWS[1], "Deployment")
        )
        self.name = self.manifest["metadata"]["name"]
        self.apply()

    @property
    def manifest(self) -> api.Object:
        """What the function emits of what keeps the pods."""
        return self.world.owned[self._key]

    @property
    def ref(self) -> api.Ref:
        """Where it is."""
        return api.Ref(self.manifest["apiVersion"], self.manifest["kind"], self.name, NAMESPACE)

    def apply(self, change: Callable[[api.Object], object] | None = None) -> api.Object:
        """Apply it as core does, with a change that the function would not make.

        Raises:
            api.ApiError: A webhook refused it.
        """
        for item in self.world.owned.values():
            if item["kind"] in ("Service", "ServiceAccount", "PodDisruptionBudget"):
                self._stage.admin.apply(_placed(item))
        manifest = _placed(self.manifest)
        if change is not None:
            change(manifest)
        return self._stage.admin.apply(manifest)

    def refused(self, change: Callable[[api.Object], object]) -> str:
        """The words of the webhook that refuses a change."""
        with pytest.raises(api.ApiError) as caught:
            self.apply(change)
        return caught.value.message

    def edit(self, **spec: typing.Any) -> None:
        """Edit the claim: compose it again, and apply it."""
        self.world.edit(**spec)
        self.world.reconcile()
        assert self.world.fatal is None, self.world.fatal
        self.apply()

    def pods(self) -> list[api.Object]:
        """Its pods, in the order of their names."""
        instance = self.world.claim["metadata"]["name"]
        pods = self._stage.objects("v1", "Pod", **{"app.kubernetes.io/instance": instance})
        return sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))

    def uids(self) -> set[str]:
        """Who its pods are."""
        return {pod["metadata"]["uid"] for pod in self.pods()}

    def look(self) -> cluster.Cluster:
        """Let the function see what the API server has."""
        self.world.objects[self._key] = self._stage.admin.get(self.ref)
        self.world.pods = self.pods()
        # Before Kueue is there its kinds are not.
        queued = self.world.claim["spec"].get("scheduling") is not None
        self.world.strangers = self._stage.objects(KUEUE, "Workload") if queued else []
        return self.world.reconcile()

    def until(self, kind: str, status: str, reason: str) -> cluster.Cluster:
        """Wait until the function says something of it."""
        self._stage.until(
            lambda: self.look().condition(kind) == (status, reason),
            f"{kind}={status} {reason} of {self.name}",
        )
        return self.world

    def delete(self) -> None:
        """Delete it, and wait until its pods are gone."""
        self._stage.admin.delete(self.ref)
        self._stage.until(lambda: not self.pods(), f"an end of the pods of {self.name}")


def _placed(manifest: api.Object) -> api.Object:
    """A composed object where core would put it."""
    placed = copy.deepcopy(manifest)
    placed["metadata"]["namespace"] = NAMESPACE
    return placed


@pytest.fixture(scope="module")
def stage(control_plane: plane.ControlPlane) -> Iterator[Stage]:
    """The controller of LeaderWorkerSets, and where claims live."""
    logs = control_plane.logs
    controller = groups.LeaderWorkerSets(control_plane.api, logs.parent, logs)
    control_plane.namespace(NAMESPACE)
    claims.Tenant(control_plane, NAMESPACE).prepare()
    for node in NODES:
        control_plane.kubelet.add(node)
    try:
        controller.start()
        yield Stage(control_plane)
    finally:
        controller.stop()


@pytest.fixture(scope="module")
def queue(control_plane: plane.ControlPlane, stage: Stage) -> Iterator[Stage]:
    """Kueue too, with two queues of 16 GPUs together."""
    logs, admin = control_plane.logs, stage.admin
    kueue = groups.Kueue(control_plane.api, logs.parent, logs)
    try:
        kueue.start()
        stage.until(lambda: admin.apply(_of_kueue("ResourceFlavor", "h100", spec={})), "Kueue")
        for value, name in enumerate(PRIORITIES):
            admin.apply(_of_kueue("WorkloadPriorityClass", name, value=value))
        stage.quota(16)
        for name in ("gpus", "others"):
            local = _of_kueue("LocalQueue", name, spec={"clusterQueue": "gpus"})
            local["metadata"]["namespace"] = NAMESPACE
            admin.apply(local)
        yield stage
    finally:
        kueue.stop()


@pytest.fixture
def scarce(queue: Stage) -> Iterator[Stage]:
    """Quota for less than one pod."""
    queue.quota(4)
    yield queue
    queue.quota(16)


@pytest.fixture
def born(stage: Stage) -> Iterator[Callable[[cluster.Object], Subject]]:
    """Makes claims, and deletes them at the end."""
    made: list[Subject] = []

    def bear(claimed: cluster.Object) -> Subject:
        made.append(Subject(stage, claimed))
        return made[-1]

    yield bear
    for subject in made:
        subject.delete()


Born: typing.TypeAlias = Callable[[cluster.Object], Subject]


def _group(**scheduling: str) -> cluster.Object:
    """A claim of two pods of 8 GPUs a replica, in a queue where it names one."""
    spec = {"scheduling": scheduling} if scheduling else {}
    return composed.of(spec={**spec, "scaling": {"minReplicas": 1, "maxReplicas": 1}})


def _single(name: str = "single", **scheduling: str) -> cluster.Object:
    """A claim of one pod of 8 GPUs a replica, in a queue."""
    gpu = {"class": "h100", "count": 8}
    scaling = {"minReplicas": 1, "maxReplicas": 1}
    return scene.of(name=name, gpu=gpu, scheduling={"queue": "gpus", **scheduling}, scaling=scaling)


# --- LeaderWorkerSet


def test_a_group_starts_and_its_leader_alone_is_asked(stage: Stage, born: Born) -> None:
    """The controller, its webhooks and the Service agree on who leads."""
    subject = born(_group())
    world = subject.until("EngineReady", "True", "Serving")
    assert world.phase == "Serving"
    names = [pod["metadata"]["name"] for pod in subject.pods()]
    assert names == [f"{subject.name}-0", f"{subject.name}-0-1"]
    for index, pod in enumerate(subject.pods()):
        variables = scene.environment(pod["spec"]["containers"][0])
        assert variables["LWS_WORKER_INDEX"] == str(index)
        assert variables["LWS_LEADER_ADDRESS"] == f"{names[0]}.{subject.name}.{NAMESPACE}"
    sets = {item["metadata"]["name"]: item for item in stage.objects("apps/v1", "StatefulSet")}
    assert sorted(sets) == [subject.name, f"{subject.name}-0"]
    # What the alerts read: the leaders' set counts whole groups.
    assert sets[subject.name]["spec"]["replicas"] == 1

    def endpoints() -> set[str]:
        slices = stage.objects(
            "discovery.k8s.io/v1", "EndpointSlice", **{"kubernetes.io/service-name": "model"}
        )
        return {
            endpoint["targetRef"]["name"]
            for item in slices
            for endpoint in item["endpoints"] or ()
            if endpoint["conditions"]["ready"]
        }

    stage.until(lambda: endpoints() == {names[0]}, "the leader behind the Service")


def test_a_pod_that_is_lost_takes_its_group_with_it(stage: Stage, born: Born) -> None:
    """An engine that lost a part of itself answers nothing."""
    subject = born(_group())
    subject.until("EngineReady", "True", "Serving")
    before = subject.uids()
    stage.admin.delete(api.Ref("v1", "Pod", f"{subject.name}-0-1", NAMESPACE))
    stage.until(lambda: len(subject.uids()) == 2 and not subject.uids() & before, "another group")
    subject.until("EngineReady", "True", "Serving")


def test_a_new_template_replaces_both_pods_and_is_told(stage: Stage, born: Born) -> None:
    """By the condition of the controller that the function reads."""
    subject = born(_group())
    subject.until("Current", "True", "Serving")
    before = subject.uids()
    subject.edit(engine={"version": "0.33.0"})
    subject.until("Current", "False", "RollingOut")
    stage.until(lambda: len(subject.uids()) == 2 and not subject.uids() & before, "another group")
    subject.until("Current", "True", "Serving")
    images = {pod["spec"]["containers"][0]["image"] for pod in subject.pods()}
    assert len(images) == 1
    assert images.pop().endswith(":v0.33.0")


def test_the_scale_subresource_adds_groups(stage: Stage, born: Born) -> None:
    """KEDA writes there."""
    subject = born(_group())
    subject.until("EngineReady", "True", "Serving")
    stage.admin.patch(subject.ref, {"spec": {"replicas": 2}}, subresource="scale")
    stage.until(lambda: len(subject.pods()) == 4, "two groups")
    scale = stage.until(lambda: _scaled(stage, subject), "a status of the scale")
    # The autoscaler counts the leaders alone: a metric of theirs is not divided by all pods.
    terms = set(scale["status"]["selector"].split(","))
    chosen = [pod for pod in subject.pods() if terms <= _terms(pod)]
    assert [pod["metadata"]["name"] for pod in chosen] == [
        f"{subject.name}-0",
        f"{subject.name}-1",
    ]


def _scaled(stage: Stage, subject: Subject) -> api.Object | None:
    path = stage.admin.path(*LWS, namespace=NAMESPACE, name=subject.name, subresource="scale")
    scale = stage.admin.request("GET", path)
    return scale if scale["status"]["replicas"] == 2 else None


def _terms(pod: api.Object) -> set[str]:
    return {f"{name}={value}" for name, value in pod["metadata"]["labels"].items()}


def test_a_replica_of_more_pods_is_taken(stage: Stage, born: Born) -> None:
    """The size of a LeaderWorkerSet may change outside of a queue."""
    subject = born(_group())
    subject.until("EngineReady", "True", "Serving")
    subject.edit(gpu=composed.of(pipeline=4)["spec"]["gpu"])
    subject.until("Current", "True", "Serving")
    stage.until(lambda: len(subject.pods()) == 4, "a group of four")


# --- Kueue


@pytest.mark.parametrize("kind", [LWS[1], "Deployment"])
def test_a_replica_waits_for_quota_and_says_so(scarce: Stage, born: Born, kind: str) -> None:
    """Kueue's own words reach the claim, and go when there is quota."""
    subject = born(_group(queue="gpus") if kind == LWS[1] else _single())
    world = subject.until("EngineReady", "False", "QuotaPending")
    scarce.until(lambda: "insufficient" in subject.look().message("EngineReady"), "Kueue's words")
    assert world.phase == "WaitingForQuota"
    assert "nvidia.com/gpu" in world.message("EngineReady")
    assert all(queueing.held(pod) for pod in subject.pods())
    scarce.quota(16)
    assert subject.until("EngineReady", "True", "Serving").phase == "Serving"
    assert not any(queueing.held(pod) for pod in subject.pods())


@pytest.mark.parametrize("kind", [LWS[1], "Deployment"])
def test_what_is_refused_here_is_what_kueue_refuses(queue: Stage, born: Born, kind: str) -> None:
    """As `function/situation/admission.py` says it; the function is not asked."""
    scheduling = {"queue": "gpus", "priorityClass": "high"}
    subject = born(_group(**scheduling) if kind == LWS[1] else _single(**scheduling))
    subject.until("EngineReady", "True", "Serving")

    def moved(name: str | None) -> Callable[[api.Object], object]:
        return lambda item: _label(item, queues.QUEUE, name)

    def priority(name: str | None) -> Callable[[api.Object], object]:
        return lambda item: _label(item, queues.PRIORITY, name)

    assert queues.QUEUE in subject.refused(moved("others"))
    assert queues.QUEUE in subject.refused(moved(None))
    assert queues.PRIORITY in subject.refused(priority(None))
    before = subject.uids()
    subject.apply(priority("low"))
    assert subject.uids() == before
    queue.admin.patch(subject.ref, {"spec": {"replicas": 0}})
    queue.until(lambda: not subject.pods(), "no pod")

    def asleep(item: api.Object) -> None:
        item["spec"]["replicas"] = 0
        _label(item, queues.QUEUE, "others")

    queue.until(lambda: subject.apply(asleep), "another queue while nothing runs")


def _label(item: api.Object, label: str, value: str | None) -> None:
    labels = item["metadata"]["labels"]
    if value is None:
        del labels[label]
    else:
        labels[label] = value


def test_a_queue_is_named_by_the_workload_alone(queue: Stage, born: Born) -> None:
    """Kueue marks the pods itself."""
    subject = born(_single())
    subject.until("EngineReady", "True", "Serving")
    assert queues.QUEUE not in str(subject.manifest["spec"])
    assert "kueue.x-k8s.io" in str([pod["metadata"] for pod in subject.pods()])
    (ticket,) = [queueing.ticket(pod) for pod in subject.pods()]
    (workload,) = queue.objects(KUEUE, "Workload", **ticket.labels)
    assert api.status_of(workload, "QuotaReserved") == "True"
