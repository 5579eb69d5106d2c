"""The cluster of `tests/cluster.py` with pods, a weights volume and an autoscaler that move alone.

Nothing here calls the product. The template of a pod tells which weights the pod needs, and the
plan of a Job tells which weights the Job makes.
"""

import dataclasses
import json
import re
from collections.abc import Iterable
from typing import Any

from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from function.server import runner
from function.workloads import workloads
from tests import cluster, controllers, documents

Object = dict[str, Any]

# Directories that a preload Job makes. The function verifies no other path.
_PRELOADED = re.compile(r"/models/((?:base|adapter)-[0-9a-f]{16})/weights")

# Settings by which canaries are judged.
METRICS: Object = {"store": {"namespace": "observability", "podLabels": {"app": "metrics"}}}

# Kinds of strangers that a cluster may lack.
_OPTIONAL = ("AIGatewayRoute", "ScaledObject")

PENDING = "pending"
READY = "ready"
CRASHING = "crashing"
UNSCHEDULABLE = "unschedulable"


class LostError(AssertionError):
    """Something that a pod still needs is gone for good."""


@dataclasses.dataclass
class Pod:
    """A pod of the Deployment: its template and its state."""

    template: Object
    state: str = PENDING


class World(cluster.Cluster):
    """One claim, and everything around the claim that changes by itself.

    Attributes:
        fleet: The Deployment's pods.
        volume: Directories whose weights are verified, as `<volume claim>/<sub-path>/<directory>`.
        answers: How core answers about kinds: `unasked`, `all` are there, only the kinds of every
            cluster are (`plain`), or `empty`.
        forgot: True while nothing in the cluster remembers the last template.
        held: Jobs of canaries' gates whose step held.
    """

    def __init__(self, claim: Object, *environments: Object) -> None:
        super().__init__(claim, *environments)
        self.fleet: list[Pod] = []
        self.volume: set[str] = set()
        self.answers = "unasked"
        self.forgot = False
        self.held: list[Object] = []

    @classmethod
    def of(cls, other: cluster.Cluster) -> "World":
        """Returns the world that a plain cluster became, its replicas as ready pods."""
        self = cls(other.claim, *documents.copied(other.environments))
        self.objects = documents.copied(other.objects)
        self.owned = documents.copied(other.owned)
        self.refs = None if other.refs is None else set(other.refs)
        deployment = self.deployment
        if deployment is not None:
            count = deployment["spec"]["replicas"]
            self.fleet = [Pod(documents.copied(self.template), READY) for _ in range(count)]
            self.volume |= needs(self.template)
        for record in self.claim.get("status", {}).get("weights", {}).get("verified", []):
            self.volume.add(record["directory"])
        return self

    def of_kind(self, kind: str) -> list[Object]:
        """Returns the objects of a kind, by key."""
        return [self.objects[k] for k in sorted(self.objects) if self.objects[k]["kind"] == kind]

    @property
    def deployment(self) -> Object | None:
        """The Deployment, or None."""
        return next(filter(workloads.of, self.of_kind("Deployment")), None)

    @property
    def scaled_object(self) -> Object | None:
        """The ScaledObject, or None."""
        return next(iter(self.of_kind("ScaledObject")), None)

    @property
    def jobs(self) -> list[Object]:
        """The preload Jobs that have not ended, including those whose deletion waits."""
        return [job for job in self.of_kind("Job") if not ended(job) and not judges(job)]

    @property
    def ready_pods(self) -> list[Pod]:
        """Pods that answer."""
        return [pod for pod in self.fleet if pod.state == READY]

    def request(self) -> fnv1.RunFunctionRequest:
        """Returns core's last request, which answers the function's requirements."""
        if self.answers != "all" and self.strangers is not None:
            # Nobody can ask for an object of a kind of which core does not say that it is there.
            self.strangers = [one for one in self.strangers if one["kind"] not in _OPTIONAL]
        if self.answers == "unasked":
            self.kinds = None
            return super().request()
        self.kinds = {}
        first = runner.run(super().request(), self.log)
        asked = [name.removeprefix("kind ") for name in first.requirements.schemas]
        self.kinds = {
            kind: self.answers == "all" or (self.answers == "plain" and kind == "v1/Service")
            for kind in asked
        }
        return super().request()

    # --- the Deployment's controller and the nodes

    @property
    def reported(self) -> bool:
        """Whether the Deployment's status is true of its pods."""
        item = self.deployment
        if item is None:
            return not self.fleet
        counts = {k: v for k, v in item.get("status", {}).items() if k != "conditions"}
        return counts == self._counts(item)

    def control(self) -> None:
        """Lets the Deployment's controller do one step, and report."""
        item = self.deployment
        if item is None:
            self.fleet.clear()
            return
        template, wanted = item["spec"]["template"], item["spec"]["replicas"]
        self._replace(template, wanted, item["spec"].get("strategy", {}))
        progressing = controllers.condition("Progressing", reason="ReplicaSetUpdated")
        item["status"] = {**self._counts(item), "conditions": [progressing]}

    def _counts(self, item: Object) -> Object:
        template = item["spec"]["template"]
        new = [pod for pod in self.fleet if pod.template == template]
        status = {
            "observedGeneration": item["metadata"]["generation"],
            "replicas": len(self.fleet),
            "updatedReplicas": len(new),
            "availableReplicas": len(self.ready_pods),
            "readyReplicas": len(self.ready_pods),
        }
        return {key: value for key, value in status.items() if value != 0}

    def _replace(self, template: Object, wanted: int, strategy: Object) -> None:
        """Moves pods towards the template as the strategy allows."""
        old = [pod for pod in self.fleet if pod.template != template]
        rolling = strategy.get("rollingUpdate", {"maxSurge": 0, "maxUnavailable": 1})
        if strategy.get("type") == "Recreate" and old:
            self.fleet = [pod for pod in self.fleet if pod.template == template]
            return
        spared = wanted - int(rolling["maxUnavailable"])
        for pod in sorted(old, key=lambda pod: pod.state == READY):
            if pod.state != READY or len(self.ready_pods) > max(spared, 0):
                self.fleet.remove(pod)
        while len(self.fleet) > wanted + int(rolling["maxSurge"]) * bool(old):
            self.fleet.remove(min(self.fleet, key=lambda pod: pod.state == READY))
        new = sum(pod.template == template for pod in self.fleet)
        while new < wanted and len(self.fleet) < wanted + int(rolling["maxSurge"]):
            self.fleet.append(Pod(documents.copied(template)))
            new += 1

    def run_pods(self, *, bad: str | None = None) -> None:
        """Lets one pod that is not ready become ready, or go wrong; without weights it crashes."""
        for pod in self.fleet:
            if pod.state != READY:
                pod.state = bad or (READY if needs(pod.template) <= self.volume else CRASHING)
                break

    def outage(self) -> None:
        """Lets every replica fail, and the controller say so."""
        for pod in self.fleet:
            pod.state = CRASHING
        self.control()

    def lose_pod(self) -> None:
        """Takes a node away; the controller will make another pod."""
        if self.fleet:
            self.fleet.pop(0)

    def give_up(self) -> None:
        """Lets the deadline of the rollout pass, if a rollout is under way."""
        item = self.deployment
        if item is not None and any(pod.state != READY for pod in self.fleet):
            late = controllers.condition("Progressing", "False", "ProgressDeadlineExceeded", "late")
            item.setdefault("status", {})["conditions"] = [late]

    def make_claim_again(self) -> None:
        """Lets somebody delete the claim, wait until all is gone, and make it again."""
        self.catch_up()
        self.objects, self.owned, self.refs = {}, {}, None
        self.fleet, self.held = [], []
        self.claim.pop("status", None)
        self.claim["metadata"] |= {"generation": 1, "annotations": {}}

    # --- Jobs

    def run_job(self, outcome: str) -> None:
        """Moves each Job that has not ended to a waiting pod, a running pod, or an end."""
        for job in self.jobs:
            if outcome in ("waits", "runs"):
                job["status"] = {"active": 1, "ready": int(outcome == "runs")}
            elif outcome == "succeeds":
                self.volume |= makes(job)
                self._remove(removes(job))
                done = controllers.condition("Complete", reason="CompletionsReached")
                job["status"] = {"succeeded": 1, "conditions": [done]}
            else:
                failed = controllers.failed(job, int(outcome))
                if outcome == "1":
                    failed |= {"reason": "BackoffLimitExceeded", "message": "too often"}
                job["status"] = {"failed": 1, "conditions": [failed]}

    def judge(self, outcome: str) -> None:
        """Moves each Job that judges a canary to a running pod, or to an end.

        Args:
            outcome: `runs`, `holds`, `crashes`, or an exit code of the program.
        """
        for job in self.of_kind("Job"):
            if not judges(job) or ended(job):
                continue
            began = {"startTime": "2026-01-31T12:00:00Z"}
            if outcome == "runs":
                job["status"] = {**began, "active": 1, "ready": 1}
            elif outcome == "holds":
                done = controllers.condition("Complete", reason="CompletionsReached")
                job["status"] = {**began, "succeeded": 1, "conditions": [done]}
                self.held.append(documents.copied(job))
            else:
                crashes = controllers.condition("Failed", reason="BackoffLimitExceeded")
                failed = crashes if outcome == "crashes" else controllers.failed(job, int(outcome))
                job["status"] = {**began, "failed": 1, "conditions": [failed]}

    def _remove(self, directories: set[str]) -> None:
        """Removes weights; no pod and no template of a possible pod may need them."""
        templates = [pod.template for pod in self.fleet]
        if self.deployment is not None:
            templates.append(self.deployment["spec"]["template"])
        for template in templates:
            if needs(template) & directories:
                raise LostError(
                    f"weights that are needed are removed: {needs(template) & directories}"
                )
        self.volume -= directories

    # --- the autoscaler

    def autoscale(self, load: int) -> None:
        """Lets KEDA and the HPA set the count that a load asks for, and report."""
        item, scaled = self.deployment, self.scaled_object
        if scaled is None:
            return
        spec, annotations = scaled["spec"], scaled["metadata"].get("annotations", {})
        paused = "autoscaling.keda.sh/paused-replicas" in annotations
        low, high = spec["minReplicaCount"], spec["maxReplicaCount"]
        if item is not None:
            self.scale(0 if paused else min(max(load, low), high))
        self.report_scaler(paused=paused)

    def report_scaler(
        self, *, paused: bool = False, ready: str = "Ok", fallback: bool = False
    ) -> None:
        """Gives the ScaledObject its conditions; `ready` is a reason, `Ok` or a failure's."""
        scaled = self.scaled_object
        if scaled is not None:
            scaled["status"] = {
                "conditions": [
                    controllers.condition(
                        "Ready", str(ready in ("Ok", "PartialTriggerError")), ready, "trigger"
                    ),
                    controllers.condition("Fallback", str(fallback)),
                    controllers.condition("Paused", str(paused)),
                ]
            }

    # --- everybody else

    def others(self) -> None:
        """Lets the controllers of all other kinds report that all is well."""
        self.settle("Deployment", "Job", "ScaledObject")

    def progress(self) -> None:
        """Lets everything in the world go one good step on."""
        self.finish_deletions()
        self.run_job("succeeds")
        self.judge("holds")
        self.others()
        count = self.deployment["spec"]["replicas"] if self.deployment is not None else 0
        self.autoscale(count)
        self.control()
        for _ in self.fleet:
            self.run_pods()
        self.control()
        self.show_pods()

    def show_pods(self) -> None:
        """Lets core read the claim's pods, where the settings allow that and something asks."""
        site = self.environments and self.environments[0]["data"]["inferenceService"]
        if not (site and site.get("diagnostics", {}).get("pods")):
            self.pods = None
            return
        self.pods = [_shown(index, pod) for index, pod in enumerate(self.fleet)]


def _shown(index: int, pod: Pod) -> Object:
    """Returns a pod as the API server shows it."""
    status: Object = {}
    if pod.state == UNSCHEDULABLE:
        status["conditions"] = [
            controllers.condition("PodScheduled", "False", "Unschedulable", "no GPU")
        ]
    if pod.state == CRASHING:
        ended_ = {"exitCode": 1, "message": "out of memory"}
        status["containerStatuses"] = [
            {
                "name": "vllm",
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": ended_},
            }
        ]
    labels = {"app.kubernetes.io/component": "inference"}
    metadata = {"name": f"p-{index}", "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": status}


def ended(job: Object) -> bool:
    """Tells whether a Job has come to an end."""
    return bool(job.get("status", {}).get("conditions"))


def judges(job: Object) -> bool:
    """Tells whether a Job judges a canary."""
    labels = job["spec"]["template"]["metadata"]["labels"]
    return bool(labels["app.kubernetes.io/component"] == "gate")


def judged(job: Object) -> str:
    """Returns the adapter that a Job judges."""
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return str(json.loads(container["env"][0]["value"])["canary"])


def percent(job: Object) -> int:
    """Returns the step that a Job judges."""
    return int(job["metadata"]["annotations"]["inference-service.cloud.ogenki.io/gate-percent"])


def needs(template: Object) -> set[str]:
    """Returns the verified directories without which a pod of the template cannot start."""
    pod = template["spec"]
    engine = next(c for c in pod["containers"] if c["name"] == "vllm")
    directories = {
        match for argument in engine.get("args", []) for match in _PRELOADED.findall(argument)
    }
    return {f"{_mounted(pod, engine)}/{directory}" for directory in directories}


def loads(template: Object) -> bool:
    """Tells whether pods of a template load adapters while they run."""
    return any(volume["name"] == "adapters" for volume in template["spec"].get("volumes", []))


def lists(item: Object) -> bool:
    """Tells whether an object is the list of adapters that pods follow."""
    return item["kind"] == "ConfigMap" and str(item["metadata"]["name"]).endswith(".adapters")


def listed(objects: Iterable[Object]) -> dict[str, str]:
    """Returns the directory of each adapter in the list, by name."""
    return {
        name: match[1]
        for item in objects
        if lists(item)
        for name, path in json.loads(item["data"]["adapters.json"]).items()
        if (match := _PRELOADED.fullmatch(path)) is not None
    }


def makes(job: Object) -> set[str]:
    """Returns the directories that a preload Job downloads and verifies."""
    pod = job["spec"]["template"]["spec"]
    container = pod["containers"][0]
    values = {variable["name"]: variable.get("value") for variable in container.get("env", [])}
    if "PRELOAD_PLAN" not in values:
        return set()  # 0.9.0's
    items = json.loads(str(values["PRELOAD_PLAN"])).get("items", [])
    return {f"{_mounted(pod, container)}/{item['directory']}" for item in items}


def removes(job: Object) -> set[str]:
    """Returns the directories that a clean-up Job removes."""
    pod = job["spec"]["template"]["spec"]
    container = pod["containers"][0]
    values = {variable["name"]: variable.get("value") for variable in container.get("env", [])}
    plan = json.loads(str(values.get("PRELOAD_PLAN", "{}")))
    return {f"{_mounted(pod, container)}/{directory}" for directory in plan.get("remove", [])}


def _mounted(pod: Object, container: Object) -> str:
    """Returns what lies at /models: `<volume claim>/<sub-path>`."""
    mount = next(m for m in container["volumeMounts"] if m["mountPath"] == "/models")
    volume = next(v for v in pod["volumes"] if v["name"] == mount["name"])
    return f"{volume['persistentVolumeClaim']['claimName']}/{mount['subPath']}"
