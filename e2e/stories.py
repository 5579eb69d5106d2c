"""Stories from the life of served models, each in a namespace of its own.

`e2e/test_lifecycle.py` lets all of them play at the same time.
"""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable, Iterable

from e2e import changes, claims, lives, scenery
from e2e.controlplane import api, nodes
from function.cluster import failures

# Room for every story at once; of the class that the settings of the reference platform choose.
WIDE = nodes.Node(
    "l4-wide", gpus=32, cpu="512", memory="4Ti", labels={"karpenter.sh/nodepool": "gpu-l4"}
)


# --- birth


def first_install(here: lives.Place) -> lives.Life:
    """Weights, then the GPU, then the route; `kubectl wait` returns when it serves."""
    here.kubelet.hold(here.namespace)
    claim = here.claim(scenery.CODER)
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
    assert not scenery.SERVING_KINDS & claim.kinds()
    assert here.gpus() == 0
    assert "verified" not in claim.read()["status"]["weights"]
    here.kubelet.hold(here.namespace)
    here.kubelet.heal_jobs(here.namespace)
    starting = yield here.phase(claim, "Starting")
    assert len(scenery.directories(starting)) == 3, "the base and two adapters"
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
    claim = here.claim(
        scenery.SMALLEST, model={"source": "pvc", "path": "qwen", "repository": "x/y"}
    )
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
        failing[here.claim(scenery.SMALLEST, name)] = failure
    here.kubelet.fail_jobs(here.namespace, 1, instance="killed")
    killed = here.claim(scenery.SMALLEST, "killed")
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
    claim.apply(model=scenery.model_of(claim, preload={"generation": 1}))
    ready = yield here.ready(claim)
    assert ready["status"]["weights"]["generation"] == 1


def deleted_during_its_download(here: lives.Place) -> lives.Life:
    """The download ends with the claim, and nothing is left."""
    here.kubelet.run_jobs(here.namespace)
    claim = here.claim(scenery.CODER)
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
    claim = here.claim(scenery.CODER, route={"enabled": True, "hostname": "coder"})
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
    claim = here.claim(
        scenery.CODER, gateway={"enabled": True, "endpointPicker": {"enabled": True}}
    )
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


# --- sleep


def to_zero_and_back(here: lives.Place) -> lives.Life:
    """Born asleep, woken, put to sleep: the route stays, and nobody fights over the replicas."""
    claim = here.claim(scenery.CODER, scaling={"minReplicas": 0, "maxReplicas": 2})
    yield here.phase(claim, "Idle")
    asleep = yield here.ready(claim)
    assert lives.condition(asleep, "EngineReady") == ("True", "Idle")
    assert here.gpus() == 0
    keda = scenery.Keda(here, claim)
    route = scenery.uid(claim, "AIGatewayRoute")
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
    assert scenery.uid(claim, "AIGatewayRoute") == route
    assert here.gpus() == 0


def _scaled_to(replicas: int, item: api.Object) -> bool:
    return bool(lives.status(item, "replicas") == f"{replicas}/{replicas}")


def suspend(here: lives.Place) -> lives.Life:
    """The GPU goes; weights, route and policies stay, and bring the model back as it was."""
    claim = here.claim(scenery.CODER)
    serving = yield here.ready(claim)
    uids, keda = scenery.uids(claim), scenery.Keda(here, claim)
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
    assert scenery.uids(claim) == uids
    claim.apply(suspend=False)
    yield lives.Until(
        "the annotation to go",
        lambda: "paused" not in str(claim.one("ScaledObject")["metadata"]["annotations"]),
    )
    keda.paused(paused=False)
    keda.scale(1)
    ready = yield here.ready(claim)
    assert ready["status"]["serving"] == serving["status"]["serving"]
    assert scenery.uids(claim) == uids
    assert here.started(mark) == []


def born_suspended(here: lives.Place) -> lives.Life:
    """It downloads, and asks for no GPU before it is wanted."""
    claim = here.claim(scenery.SMALLEST, suspend=True)
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
    changes.an_engine_setting,
    changes.swap,
    changes.weights_left_behind,
    changes.swap_that_fails,
    changes.revert,
    changes.adapter_added,
    changes.shared_weights,
    to_zero_and_back,
    suspend,
    born_suspended,
)
