"""Stories from the life of served models, each in a namespace of its own.

`e2e/test_lifecycle.py` lets all of them play at the same time.
"""

from __future__ import annotations

import copy
import functools
import json
import typing
from collections.abc import Callable, Iterable

from e2e import claims, lives
from e2e.controlplane import api, nodes
from function.cluster import failures

# Room for every story at once; of the class that the settings of the reference platform choose.
WIDE = nodes.Node(
    "l4-wide", gpus=32, cpu="512", memory="4Ti", labels={"karpenter.sh/nodepool": "gpu-l4"}
)
CODER = "xplane-qwen-coder"
SMALLEST = "smallest"
OTHER = "0" * 40
HELD = ("Current", "False", "PlatformChangePending")
_SERVING_KINDS = {"Deployment", "ScaledObject", "PodDisruptionBudget", "AIGatewayRoute"}


class Keda:
    """Stands in for KEDA, which has tests of its own: scales and pauses as its operator would."""

    def __init__(self, place: lives.Place, claim: claims.Claim) -> None:
        """Act on the claim's ScaledObject and Deployment."""
        self._admin = place.plane.admin
        self._deployment = api.Ref("apps/v1", "Deployment", claim.name, place.namespace)
        self._scaled = api.Ref("keda.sh/v1alpha1", "ScaledObject", claim.name, place.namespace)

    def scale(self, replicas: int) -> None:
        """Set the replica count through the subresource, as KEDA and the HPA do."""
        body = {"spec": {"replicas": replicas}}
        self._admin.patch(self._deployment, body, subresource="scale")

    def paused(self, *, paused: bool) -> None:
        """Set the condition Paused of the ScaledObject."""
        conditions = self._admin.get(self._scaled)["status"]["conditions"]
        kept = [entry for entry in conditions if entry["type"] != "Paused"]
        condition = {"type": "Paused", "status": str(paused), "reason": "ScaledObjectPaused"}
        body = {"status": {"conditions": [*kept, condition]}}
        self._admin.patch(self._scaled, body, subresource="status")


def model_of(claim: claims.Claim, **changed: typing.Any) -> api.Object:
    """The claim's model with some fields replaced."""
    model: api.Object = copy.deepcopy(claim.manifest["spec"]["model"])
    return model | changed


def _uid(claim: claims.Claim, kind: str) -> str:
    return str(claim.one(kind)["metadata"]["uid"])


def _uids(claim: claims.Claim) -> dict[str, str]:
    return {key: item["metadata"]["uid"] for key, item in claim.composed().items()}


def template_of(claim: claims.Claim) -> api.Object:
    """The pod template of the claim's Deployment."""
    template: api.Object = claim.one("Deployment")["spec"]["template"]
    return template


def _directories(item: api.Object) -> set[str]:
    return {record["directory"] for record in item["status"]["weights"]["verified"]}


# --- birth


def first_install(here: lives.Place) -> lives.Life:
    """Weights, then the GPU, then the route; `kubectl wait` returns when it serves."""
    here.kubelet.hold(here.namespace)
    claim = here.claim(CODER)
    waiting = here.kubectl_wait(claim, "Current")
    queued = yield here.phase(claim, "Downloading")
    assert lives.condition(queued, "WeightsReady") == ("False", "Queued")
    here.kubelet.run_jobs(here.namespace)
    here.kubelet.release(here.namespace)
    downloading = yield here.condition(claim, "WeightsReady", "False", "Downloading")
    assert lives.condition(downloading, "EngineReady") == ("False", "WeightsPending")
    assert lives.condition(downloading, "ScalerReady") == ("False", "Withheld")
    words = "downloading and verifying Qwen/Qwen2.5-Coder-7B-Instruct@"
    assert downloading["status"]["waitingFor"].startswith(words)
    yield lives.pause()
    assert not _SERVING_KINDS & claim.kinds()
    assert here.gpus() == 0
    assert "verified" not in claim.read()["status"]["weights"]
    here.kubelet.hold(here.namespace)
    here.kubelet.heal_jobs(here.namespace)
    starting = yield here.phase(claim, "Starting")
    assert len(_directories(starting)) == 3, "the base and two adapters"
    yield here.condition(claim, "WeightsReady", "True", "Verified")
    yield here.condition(claim, "RouteReady", "False", "NotServing")
    yield lives.Until("a GPU to be asked for", lambda: here.gpus() == 1)
    assert not waiting.done()
    here.kubelet.release(here.namespace)
    ready = yield here.ready(claim)
    assert ready["status"]["phase"] == "Serving"
    assert ready["status"]["serving"]["revision"] == claim.manifest["spec"]["model"]["revision"]
    yield lives.Until("kubectl wait to return", waiting.done)
    assert waiting.result().returncode == 0, waiting.result().stderr
    phases = _without_repeats(lives.status(item, "phase") for item in here.versions(claim))
    assert phases == [None, "Pending", "Downloading", "Pending", "Starting", "Serving"]
    yield lives.Until("the Job to go", lambda: not here.jobs(claim))


def _without_repeats(values: Iterable[typing.Any]) -> list[typing.Any]:
    changes: list[typing.Any] = []
    for value in values:
        if not changes or changes[-1] != value:
            changes.append(value)
    return changes


def weights_of_ones_own(here: lives.Place) -> lives.Life:
    """Weights that somebody else puts on the volume are not waited for, and their place is said."""
    claim = here.claim(SMALLEST, model={"source": "pvc", "path": "qwen", "repository": "x/y"})
    ready = yield here.ready(claim)
    assert lives.condition(ready, "WeightsReady") == ("True", "NotManaged")
    assert "must lie at /models/qwen" in claims.conditions(ready)["WeightsReady"][2]
    assert here.changed("jobs") == []


def failed_downloads(here: lives.Place) -> lives.Life:
    """Each exit code reaches its claim in words, without a GPU; then there is another try."""
    failing = {}
    for code, failure in failures.FAILURES.items():
        name = f"exit-{code}"
        here.kubelet.fail_jobs(here.namespace, code, instance=name)
        failing[here.claim(SMALLEST, name)] = failure
    here.kubelet.fail_jobs(here.namespace, 1, instance="killed")
    killed = here.claim(SMALLEST, "killed")
    for claim, failure in failing.items():
        failed = yield here.condition(claim, "WeightsReady", "False", failure.reason)
        message = claims.conditions(failed)["WeightsReady"][2]
        assert failure.message in message
        assert "Qwen/Qwen3-8B@main" in message
        assert "raise spec.model.preload.generation" in message
        yield here.phase(claim, "Failed")
    # Code 1 says nothing about the world: the Job controller tries again, 10 s later.
    yield lives.Until(
        "another try", lambda: any(job["status"].get("failed", 0) > 1 for job in here.jobs(killed))
    )
    assert lives.status(killed.read(), "phase") == "Downloading"
    for claim in failing:
        (job,) = here.jobs(claim)
        assert job["status"]["failed"] == 1, "tried once"
        assert api.status_of(claim.read(), "Synced") == "True"
    assert here.gpus() == 0
    assert here.changed("deployments") == []
    here.kubelet.heal_jobs(here.namespace)
    yield here.ready(killed)
    claim = next(claim for claim, failure in failing.items() if failure.reason == "HubUnavailable")
    claim.apply(model=model_of(claim, preload={"generation": 1}))
    ready = yield here.ready(claim)
    assert ready["status"]["weights"]["generation"] == 1


def deleted_during_its_download(here: lives.Place) -> lives.Life:
    """The download ends with the claim, and nothing is left."""
    here.kubelet.run_jobs(here.namespace)
    claim = here.claim(CODER)
    yield here.condition(claim, "WeightsReady", "False", "Downloading")
    assert {"Job", "Service", "CiliumNetworkPolicy"} <= claim.kinds()
    yield _gone(here, claim)
    assert here.changed("deployments") == []


def _gone(here: lives.Place, claim: claims.Claim) -> lives.Until:
    """Delete a claim; until it, all that it composed and every pod are gone."""
    composed = [api.Ref.of(item) for item in claim.composed().values()]
    claim.delete()
    admin = here.plane.admin

    def left() -> list[api.Ref]:
        pods = admin.objects("v1", "Pod", namespace=here.namespace)
        remaining = [ref for ref in (claim.ref, *composed) if admin.find(ref) is not None]
        return remaining + [api.Ref.of(pod) for pod in pods]

    return lives.Until("nothing to be left", lambda: not left())


# --- what others route by


def gateway_and_route(here: lives.Place) -> lives.Life:
    """A route of its own beside the AI gateway's, under a name that leaves that one alone."""
    claim = here.claim(CODER, route={"enabled": True, "hostname": "coder"})
    ready = yield here.ready(claim)
    assert ready["status"]["phase"] == "Serving"
    assert lives.condition(ready, "RouteReady") == ("True", "Published")
    route = claim.one("HTTPRoute")
    assert route["metadata"]["name"] == f"{claim.name}.direct"
    assert route["status"]["parents"], "told by whom it was taken"
    (rule,) = route["spec"]["rules"]
    assert [backend["name"] for backend in rule["backendRefs"]] == [claim.name]
    assert claim.one("AIGatewayRoute")["metadata"]["name"] == claim.name
    yield _gone(here, claim)


def endpoint_picker(here: lives.Place) -> lives.Life:
    """The route names the pool once its release is there."""
    claim = here.claim(CODER, gateway={"enabled": True, "endpointPicker": {"enabled": True}})
    yield here.phase(claim, "Serving")
    ready = yield here.ready(claim)
    assert lives.condition(ready, "RouteReady") == ("True", "Published")
    release = claim.one("HelmRelease")
    assert api.status_of(release, "Ready") == "True"
    pool = release["spec"]["releaseName"]
    wanted = {"group": "inference.networking.k8s.io", "kind": "InferencePool", "name": pool}
    served, _ = claim.one("AIGatewayRoute")["spec"]["rules"]
    (backend,) = served["backendRefs"]
    assert {key: backend.get(key) for key in wanted} == wanted
    (header,) = served["matches"][0]["headers"]
    assert header["value"].count("|") == 2, "the base and two adapters"
    yield _gone(here, claim)


# --- change


def an_engine_setting(here: lives.Place) -> lives.Life:
    """With its weights there, an edit rolls at once; no version of the claim calls it current."""
    claim = here.claim(SMALLEST)
    yield here.ready(claim)
    pods = here.pods(claim)
    here.kubelet.hold(here.namespace)
    mark = here.mark()
    edited = claim.apply(model=model_of(claim, contextWindow=16384)).read()["metadata"]
    waiting = here.kubectl_wait(claim, "Current")
    # RollingOut, and NotServing from when the old pod is gone: a busy machine may see only that.
    rolling = yield here.until(
        claim,
        "moving to what it now says",
        lambda item: (
            claims.conditions(item)["Current"][:2]
            in (("False", "RollingOut"), ("False", "NotServing"))
        ),
    )
    assert rolling["status"]["phase"] in ("Updating", "Starting")
    yield lives.Until("another pod", lambda: here.pods(claim) and not here.pods(claim) & pods)
    yield lives.pause()
    assert not waiting.done()
    # Core may have written the version before once more, a moment ago.
    versions = (
        item
        for item in here.versions(claim)
        if item["metadata"]["generation"] == edited["generation"]
    )
    assert [item for item in versions if _kubectl_returns(item)] == []
    here.kubelet.release(here.namespace)
    yield here.ready(claim)
    yield lives.Until("kubectl wait to return", waiting.done)
    assert "--max-model-len=16384" in template_of(claim)["spec"]["containers"][0]["args"]
    assert here.started(mark) == [], "nothing is downloaded"


def _kubectl_returns(item: api.Object) -> bool:
    """Whether `kubectl wait --for=condition=Current` takes this version for the end.

    It does unless the condition's own observedGeneration or, without one, the status' is older.
    """
    for entry in lives.status(item, "conditions") or []:
        if entry["type"] == "Current":
            generation = item["metadata"]["generation"]
            observed = entry.get("observedGeneration", lives.status(item, "observedGeneration"))
            return bool(entry["status"] == "True" and (observed is None or observed >= generation))
    return False


def swap(here: lives.Place) -> lives.Life:
    """The old model serves, with all its settings, until the new weights are verified."""
    claim = here.claim(CODER)
    old = (yield here.ready(claim))["status"]
    pods, route, template = here.pods(claim), _uid(claim, "AIGatewayRoute"), template_of(claim)
    here.kubelet.run_jobs(here.namespace)
    claim.apply(model=model_of(claim, revision=OTHER, contextWindow=16384))
    waiting = here.kubectl_wait(claim, "Current")
    held = yield here.condition(claim, "WeightsReady", "False", "Downloading")
    assert lives.condition(held, "Current") == ("False", "WeightsPending")
    assert api.status_of(held, "Ready") == "True"
    assert held["status"]["phase"] == "Updating"
    assert held["status"]["serving"] == old["serving"]
    yield lives.pause()
    assert here.pods(claim) == pods
    assert template_of(claim) == template, "the context window too"
    assert not waiting.done()
    here.kubelet.heal_jobs(here.namespace)
    ready = yield here.ready(claim)
    assert here.pods(claim)
    assert not here.pods(claim) & pods
    assert "--max-model-len=16384" in template_of(claim)["spec"]["containers"][0]["args"]
    assert _uid(claim, "AIGatewayRoute") == route
    assert ready["status"]["serving"] == old["serving"] | {"revision": OTHER}
    assert _directories(ready) > {record["directory"] for record in old["weights"]["verified"]}
    assert [name for name in here.changed("jobs") if "cleanup" in name] == []
    yield lives.Until("kubectl wait to return", waiting.done)
    assert waiting.result().returncode == 0


def weights_left_behind(here: lives.Place) -> lives.Life:
    """Removed where the claim says so, and only once no pod needs them."""
    claim = here.claim(SMALLEST)
    claim.apply(model=model_of(claim, retention="Delete"))
    old = _directories((yield here.ready(claim)))
    pods = here.pods(claim)
    here.kubelet.run_jobs(here.namespace)
    claim.apply(model=model_of(claim, revision=OTHER))
    yield here.condition(claim, "WeightsReady", "False", "Downloading")
    assert "removing" not in claim.read()["status"]["weights"]
    assert here.pods(claim) == pods
    here.kubelet.heal_jobs(here.namespace)
    here.kubelet.run_jobs(here.namespace)
    removing = yield here.until(
        claim, "removing", lambda item: item["status"]["weights"].get("removing")
    )
    assert set(removing["status"]["weights"]["removing"]) == old
    assert not here.pods(claim) & pods
    yield lives.Until("the Job", lambda: any("cleanup" in job for job in here.changed("jobs")))
    pods = here.pods(claim)
    here.kubelet.heal_jobs(here.namespace)
    yield here.until(claim, "clean", lambda item: not item["status"]["weights"].get("removing"))
    ready = yield here.ready(claim)
    assert not _directories(ready) & old
    yield lives.Until("the Jobs to go", lambda: not here.jobs(claim))
    assert here.pods(claim) == pods


def swap_that_fails(here: lives.Place) -> lives.Life:
    """A failed download leaves the old model serving, says why, and is tried again when told."""
    claim = here.claim(SMALLEST)
    old = yield here.ready(claim)
    pods, template = here.pods(claim), template_of(claim)
    here.kubelet.fail_jobs(here.namespace, 11)
    claim.apply(model=model_of(claim, revision=OTHER))
    failed = yield here.condition(claim, "WeightsReady", "False", "NotFound")
    assert lives.condition(failed, "Current") == ("False", "WeightsPending")
    degraded = yield here.phase(claim, "Degraded")
    assert api.status_of(degraded, "Ready") == "True"
    assert degraded["status"]["serving"] == old["status"]["serving"]
    yield lives.pause()
    (job,) = here.jobs(claim)
    assert job["status"]["failed"] == 1
    assert (here.pods(claim), template_of(claim)) == (pods, template)
    here.kubelet.heal_jobs(here.namespace)
    claim.apply(model=model_of(claim, preload={"generation": 1}))
    ready = yield here.ready(claim)
    assert ready["status"]["serving"]["revision"] == OTHER
    assert not here.pods(claim) & pods


def revert(here: lives.Place) -> lives.Life:
    """A change that is taken back while it downloads rolls nothing, and its Job goes."""
    claim = here.claim(SMALLEST)
    old = yield here.ready(claim)
    pods, deployment = here.pods(claim), claim.one("Deployment")
    model = model_of(claim)
    here.kubelet.run_jobs(here.namespace)
    mark = here.mark()
    claim.apply(model=model | {"revision": OTHER, "maxNumSeqs": 16})
    yield here.condition(claim, "WeightsReady", "False", "Downloading")
    claim.apply(model=model)
    ready = yield here.ready(claim)
    assert ready["status"]["serving"] == old["status"]["serving"]
    yield lives.Until(
        "the end of the download", lambda: not here.jobs(claim) and not here.pods(claim, "preload")
    )
    yield lives.pause()
    assert here.pods(claim) == pods
    assert claim.one("Deployment")["metadata"]["generation"] == deployment["metadata"]["generation"]
    assert here.changed("deployments", mark) == []


def adapter_added(here: lives.Place) -> lives.Life:
    """Nobody is sent to a new adapter before the pods serve it."""
    claim = here.example(CODER)
    late, *others = claim.manifest["spec"]["loraAdapters"]
    gateway = claim.manifest["spec"]["gateway"]
    claim.apply(loraAdapters=others, gateway={"enabled": True})
    before = yield here.ready(claim)
    pods = here.pods(claim)
    here.kubelet.run_jobs(here.namespace)
    claim.apply(loraAdapters=[late, *others], gateway=gateway)
    held = yield here.condition(claim, "WeightsReady", "False", "Downloading")
    assert lives.condition(held, "Current") == ("False", "WeightsPending")
    yield lives.pause()
    names = [adapter["name"] for adapter in (*others, late)]
    assert claim.read()["status"]["servedModelsSummary"] == f"{claim.name},{names[0]}"
    base, *rules = claim.one("AIGatewayRoute")["spec"]["rules"]
    # The canary is named early, for the gateway to learn of it, and weighs nothing.
    shares = {one["name"]: one["weight"] for one in base["backendRefs"]}
    assert sorted(shares.values()) == [0, 100]
    assert late["name"] not in json.dumps(rules)
    assert here.pods(claim) == pods
    here.kubelet.heal_jobs(here.namespace)
    ready = yield here.ready(claim)
    assert late["name"] in ready["status"]["servedModelsSummary"]
    assert set(ready["status"]["serving"]["adapters"]) == set(names)
    assert late["name"] in json.dumps(claim.one("AIGatewayRoute")["spec"])
    assert len(_directories(ready) - _directories(before)) == 1
    assert _directories(ready) > _directories(before)


def shared_weights(here: lives.Place) -> lives.Life:
    """Two claims on one directory have the same weights, and one may go."""
    place = {"weightsFileSystem": {"subPath": "shared"}}
    one = here.claim(SMALLEST, "one", **place)
    two = here.claim(SMALLEST, "two", **place)
    first = yield here.ready(one)
    second = yield here.ready(two)
    assert _directories(first) == _directories(second)
    assert first["status"]["weights"]["key"] == second["status"]["weights"]["key"]
    pods = here.pods(two)
    mark = here.mark()
    one.delete()
    yield lives.Until("the end of the first", lambda: here.plane.admin.find(one.ref) is None)
    yield lives.Until("its GPU to be free", lambda: here.gpus() == 1)
    yield lives.pause()
    assert here.pods(two) == pods
    assert two.read()["status"]["weights"] == second["status"]["weights"]
    assert [job for job in here.started(mark) if "two" in job] == []


# --- sleep


def to_zero_and_back(here: lives.Place) -> lives.Life:
    """Born asleep, woken, put to sleep: the route stays, and nobody fights over the replicas."""
    claim = here.claim(CODER, scaling={"minReplicas": 0, "maxReplicas": 2})
    yield here.phase(claim, "Idle")
    asleep = yield here.ready(claim)
    assert lives.condition(asleep, "EngineReady") == ("True", "Idle")
    assert here.gpus() == 0
    keda = Keda(here, claim)
    route = _uid(claim, "AIGatewayRoute")
    for replicas in (1, 2):
        keda.scale(replicas)
        awake = yield here.until(
            claim,
            f"with {replicas} replicas",
            functools.partial(_scaled_to, replicas),
        )
        assert awake["status"]["phase"] == "Serving"
    yield here.ready(claim)
    keda.scale(0)
    yield here.phase(claim, "Idle")
    ready = yield here.ready(claim)
    assert lives.condition(ready, "Current") == ("True", "Idle")
    yield lives.Until("the GPUs to be free", lambda: here.gpus() == 0)
    claim.apply(observability={"metrics": {"interval": "60s"}})
    yield here.ready(claim)
    claim.reconcile("asleep")
    yield lives.pause()
    assert claim.one("Deployment")["spec"]["replicas"] == 0
    assert _uid(claim, "AIGatewayRoute") == route
    assert here.gpus() == 0


def _scaled_to(replicas: int, item: api.Object) -> bool:
    return bool(lives.status(item, "replicas") == f"{replicas}/{replicas}")


def suspend(here: lives.Place) -> lives.Life:
    """The GPU goes; weights, route and policies stay, and bring the model back as it was."""
    claim = here.claim(CODER)
    serving = yield here.ready(claim)
    uids, keda = _uids(claim), Keda(here, claim)
    mark = here.mark()
    claim.apply(suspend=True)
    yield here.condition(claim, "ScalerReady", "False", "Pausing")
    annotations = claim.one("ScaledObject")["metadata"]["annotations"]
    assert annotations["autoscaling.keda.sh/paused-replicas"] == "0"
    keda.scale(0)
    keda.paused(paused=True)
    suspended = yield here.phase(claim, "Suspended")
    yield here.until(claim, "ready", lambda item: api.status_of(item, "Ready") == "True")
    yield here.condition(claim, "ScalerReady", "True", "Paused")
    assert lives.condition(suspended, "Current") == ("False", "Suspended")
    assert suspended["status"]["weights"] == serving["status"]["weights"]
    yield lives.Until("the GPU to be free", lambda: here.gpus() == 0)
    yield lives.pause()
    assert here.gpus() == 0
    assert _uids(claim) == uids
    claim.apply(suspend=False)
    yield lives.Until(
        "the annotation to go",
        lambda: "paused" not in str(claim.one("ScaledObject")["metadata"]["annotations"]),
    )
    keda.paused(paused=False)
    keda.scale(1)
    ready = yield here.ready(claim)
    assert ready["status"]["serving"] == serving["status"]["serving"]
    assert _uids(claim) == uids
    assert here.started(mark) == []


def born_suspended(here: lives.Place) -> lives.Life:
    """It downloads, and asks for no GPU before it is wanted."""
    claim = here.claim(SMALLEST, suspend=True)
    yield here.condition(claim, "WeightsReady", "True", "Verified")
    yield here.phase(claim, "Suspended")
    yield lives.pause()
    assert here.changed("deployments") == []
    claim.apply(suspend=False)
    yield here.ready(claim)
    assert here.gpus() == 1


# --- the stories


STORIES: tuple[Callable[[lives.Place], lives.Life], ...] = (
    first_install,
    weights_of_ones_own,
    failed_downloads,
    deleted_during_its_download,
    gateway_and_route,
    endpoint_picker,
    an_engine_setting,
    swap,
    weights_left_behind,
    swap_that_fails,
    revert,
    adapter_added,
    shared_weights,
    to_zero_and_back,
    suspend,
    born_suspended,
)
