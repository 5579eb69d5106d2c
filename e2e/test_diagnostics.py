"""Settings with ``diagnostics.pods: true``: the claim says what only its pods' statuses tell.

The stories run first without the role that core needs to read pods, then with the role. Several
claims live at the same time. The scheduler and the Job controller are the real ones. kwok can only
let a container succeed or end with an exit code. So kwok leaves the namespace's pods alone, and
`PretendedKubelet` writes their statuses.
"""

from __future__ import annotations

import copy
import json
import pathlib
import re
import typing
from collections.abc import Callable, Iterator

import pytest

from e2e import claims, guide, installation, lives, pretending, shipped
from e2e.controlplane import api, nodes, plane, polling
from function.cluster import jobs
from preload import exits, listing, manifest, report
from preload import plan as preload_plan

_ROLE = shipped.ROOT / "examples" / "rbac" / "diagnostics-pods.yaml"
_NAMESPACE = "diagnostics"
_SMALLEST = "smallest"
# Weights that somebody else put on the volume: no preload Job runs before the engine.
_ENGINE_ONLY = {"source": "pvc", "path": "qwen", "repository": "x/y"}
# A class that no node of the suite has, and a node of that class.
_SCARCE = "scarce"
_SCARCE_LABELS = {"karpenter.sh/nodepool": "gpu-scarce"}
_MACHINE = nodes.Node("scarce-0", gpus=1, cpu="64", labels=_SCARCE_LABELS)
# As vLLM ends its log when the cache is too small for one sequence.
_REASON = (
    "ValueError: To serve at least one request with the model's max seq len (40960), 5.62 GiB KV"
    " cache is needed, which is larger than the available KV cache memory (2.77 GiB)."
)
_LAST_WORDS = "  File ..., in <module>\n" * 100 + _REASON + "\n"
_SHA = "b968826d9c46dd6066d109eabc6255188de91218"
_BYTES = 16_393_450_000
_CONFIG = {
    "architectures": ["Qwen3ForCausalLM"],
    "max_position_embeddings": 40960,
    "torch_dtype": "bfloat16",
    "quantization_config": {"quant_method": "compressed-tensors"},
}
_NOT_FOUND = "Qwen/Qwen3-8B@main: the hub has no revision 'main'; it has 'refs/pr/1'"
# How often a pod may be touched until one touch did not meet a call that was due anyway.
_TOUCHES = 4


class Scene:
    """Where all stories play.

    Attributes:
        here: The namespace, whose pods kwok leaves alone.
        kubelet: The stand-in for the kubelet, which writes the statuses of the namespace's pods.
        calls: The calls from core to the function.
        work: A directory for files.
        running: A claim that has served since before the settings let core read pods.
        newcomer: A claim made when the settings let core read pods but no role allowed it.
    """

    def __init__(self, world: lives.World, calls: pretending.Calls, work: pathlib.Path) -> None:
        """Make the namespace."""
        self.here = lives.Place(world, _NAMESPACE)
        self.kubelet = pretending.Kubelet(self.here)
        self.calls = calls
        self.work = work
        self.running: claims.Claim
        self.newcomer: claims.Claim
        self.here.kubelet.hold(_NAMESPACE)

    def begin(self) -> lives.Life:
        """Let a claim serve."""
        self.running = self.here.claim(_SMALLEST, "running", model=_ENGINE_ONLY)
        yield from self.serve(self.running)
        yield self.calls.settled(self.running)

    def serve(self, claim: claims.Claim) -> lives.Life:
        """Start the engine of a claim, and wait until it is ready."""
        pod = yield self.kubelet.placed(claim)
        self.kubelet.starts(pod)
        ready = yield self.here.ready(claim)
        assert lives.status(ready, "phase") == "Serving"
        assert self.here.pods(claim) == {pod["metadata"]["uid"]}, "the same pod"

    def may_read(self) -> bool:
        """Whether core may read pods."""
        return all(
            self.here.plane.crossplane.may(verb, "", "pods", _NAMESPACE)
            for verb in ("get", "list", "watch")
        )

    def clean(self) -> None:
        """Leave nothing."""
        self.here.kubelet.release(_NAMESPACE)
        self.here.tenant.clean()


def _told(item: api.Object, kind: str) -> str:
    """The message of a condition."""
    return claims.conditions(item)[kind][2]


def _warned(scene: Scene, claim: claims.Claim, reason: str) -> lives.Life:
    """There was a warning; twice when core's cache was behind, never at each look."""
    times = yield lives.Until(
        f"a warning {reason} about {claim.ref}",
        lambda: scene.here.events(claim, warning=True).get(reason),
    )
    assert times in (1, 2)


def _assert_told_once(scene: Scene, claim: claims.Claim, phase: str) -> None:
    """No version of the claim took a phase back before the last took it back for good.

    By the phase: core writes the conditions that it read, if its cache is behind the old ones,
    beside the new phase, and the new conditions after them.
    """
    phases: list[str | None] = []
    for item in scene.here.versions(claim):
        if phases[-1:] != [lives.status(item, "phase")]:
            phases.append(lives.status(item, "phase"))
    assert phases.count(phase) == 1, phases
    assert phases[-1] == "Serving"


# --- without the role


def without_the_role_a_new_claim_says_so(scene: Scene) -> lives.Life:
    """Core waits two minutes for its cache, then says so as the guide does; no pod is made."""
    assert not scene.may_read()
    claim = scene.newcomer = scene.here.claim(_SMALLEST, "newcomer")
    told = yield scene.here.condition(claim, "Synced", "False", "ReconcileError")
    message = _told(told, "Synced")
    (words,) = re.findall(r"`(Timeout: .*?)`", guide.PAGE.read_text())
    assert words in message
    assert "pods" in message
    assert not {"Deployment", "Job"} & claim.kinds()


def without_the_role_what_runs_stays(scene: Scene) -> lives.Life:
    """Its pod is lost: all else stays, a new pod comes, and once that serves nobody is asked."""
    here, claim = scene.here, scene.running
    mark, before = here.mark(), here.pods(claim)
    uids = {key: item["metadata"]["uid"] for key, item in claim.composed().items()}
    assert uids
    deployment = api.Ref.of(claim.one("Deployment"))
    (pod,) = scene.kubelet.pods(claim)
    here.plane.admin.delete(api.Ref.of(pod))
    yield lives.Until(
        "nothing to serve",
        lambda: not here.plane.admin.get(deployment)["status"].get("availableReplicas"),
    )
    # The call after which core wanted to read pods has been answered.
    yield scene.calls.settled(claim)
    pod = yield scene.kubelet.placed(claim)
    assert pod["metadata"]["uid"] not in before
    scene.kubelet.starts(pod)
    yield lives.Until("told that core may not read pods", lambda: _unsynced(here.versions(claim)))
    ready = yield here.ready(claim)
    assert lives.status(ready, "phase") == "Serving"
    assert {key: item["metadata"]["uid"] for key, item in claim.composed().items()} == uids
    assert here.tenant.deleted(mark) == set()
    assert not scene.may_read()


def _unsynced(versions: list[api.Object]) -> bool:
    return any(api.status_of(item, "Synced") == "False" for item in versions)


# --- with the role


def with_the_role_the_new_claim_goes_on(scene: Scene) -> lives.Life:
    """By itself, once core's cache has tried again."""
    claim = scene.newcomer
    pod = yield scene.kubelet.placed(claim, jobs.COMPONENT)
    scene.kubelet.ends(pod, exits.Exit.DONE, _success(_item(pod), scene.work))
    yield from scene.serve(claim)


def no_node(scene: Scene) -> lives.Life:
    """The scheduler's own words reach the claim; it goes on when a machine comes."""
    here = scene.here
    claim = here.claim(_SMALLEST, "no-node", model=_ENGINE_ONLY, gpu={"class": _SCARCE})
    waiting = yield here.condition(claim, "EngineReady", "False", "Unschedulable")
    (pod,) = scene.kubelet.pods(claim)
    (words,) = [
        entry["message"]
        for entry in pod["status"]["conditions"]
        if (entry["type"], entry["reason"]) == ("PodScheduled", "Unschedulable")
    ]
    assert "nodes are available" in words
    assert _told(waiting, "EngineReady") == words
    assert lives.status(waiting, "waitingFor") == words
    assert lives.status(waiting, "phase") == "WaitingForGPU"
    yield from _warned(scene, claim, "Unschedulable")
    here.kubelet.add(_MACHINE)
    yield scene.kubelet.placed(claim)
    yield here.condition(claim, "EngineReady", "False", "Starting")
    yield from scene.serve(claim)
    _assert_told_once(scene, claim, "WaitingForGPU")


def an_image_that_cannot_be_pulled(scene: Scene) -> lives.Life:
    """Why, in the runtime's words; forgotten as soon as the pull succeeds."""
    here = scene.here
    claim = here.claim(_SMALLEST, "image", model=_ENGINE_ONLY)
    pod = yield scene.kubelet.placed(claim)
    image = pod["spec"]["containers"][0]["image"]
    words = (
        f'Back-off pulling image "{image}": ErrImagePull: failed to pull and unpack image'
        f' "{image}": failed to resolve reference: not found'
    )
    scene.kubelet.waits(pod, "ImagePullBackOff", words)
    failed = yield here.condition(claim, "EngineReady", "False", "ImagePullFailed")
    assert _told(failed, "EngineReady") == words
    assert lives.status(failed, "phase") == "Failed"
    assert api.status_of(failed, "Synced") == "True"
    yield from _warned(scene, claim, "ImagePullFailed")
    yield from scene.serve(claim)
    _assert_told_once(scene, claim, "Failed")


def an_engine_that_crashes(scene: Scene) -> lives.Life:
    """Its last words reach the claim once, however often it crashes; served, pods are let be."""
    here, kubelet, calls = scene.here, scene.kubelet, scene.calls
    claim = here.claim(_SMALLEST, "crash", model=_ENGINE_ONLY)
    pod = yield kubelet.placed(claim)
    (container,) = pod["spec"]["containers"]
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"
    kubelet.crashes(pod, _LAST_WORDS, 1)
    failed = yield here.condition(claim, "EngineReady", "False", "CrashLooping")
    assert _told(failed, "EngineReady").startswith("the engine exited with code 1: ")
    assert _told(failed, "EngineReady").endswith(_REASON)
    assert lives.status(failed, "phase") == "Failed"
    yield from _warned(scene, claim, "CrashLooping")
    yield calls.settled(claim)
    before, asked = here.versions(claim), calls.of(claim)
    kubelet.runs_again(pod, _LAST_WORDS, 2)
    # At once from core 2.4 on, which watches what it was asked to read; by the TTL in 2.3.
    yield lives.Until("core to look again", lambda: calls.of(claim) > asked)
    kubelet.crashes(pod, _LAST_WORDS, 2)
    yield lives.pause()
    assert here.versions(claim) == before, "nothing new was said"
    yield from scene.serve(claim)
    _assert_told_once(scene, claim, "Failed")
    yield calls.settled(claim)
    for touch in range(_TOUCHES):
        asked = calls.of(claim)
        kubelet.touches(pod, str(touch))
        yield lives.pause()
        # The TTL of an answer of before may end just then.
        if calls.of(claim) == asked:
            return
    message = "core looks at a claim that serves whenever its pod changes"
    raise AssertionError(message)


def what_the_download_learnt(scene: Scene) -> lives.Life:
    """The program's last words reach the record, what serves, and the engine's arguments."""
    claim = scene.here.claim("xplane-qwen3-8b")
    pod = yield scene.kubelet.placed(claim, jobs.COMPONENT)
    item = _item(pod)
    scene.kubelet.ends(pod, exits.Exit.DONE, _success(item, scene.work))
    yield from scene.serve(claim)
    status = claim.read()["status"]
    (record,) = status["weights"]["verified"]
    assert record.pop("directory").endswith(f"/{item.directory}")
    assert record == {
        "repository": item.repository,
        "revision": item.revision,
        "sha": _SHA,
        "bytes": _BYTES,
        "dtype": "bfloat16",
        "quantization": "compressed-tensors",
        "architecture": "Qwen3ForCausalLM",
        "contextLimit": 40960,
    }
    assert status["serving"]["sha"] == _SHA
    (container,) = claim.one("Deployment")["spec"]["template"]["spec"]["containers"]
    given = [word for word in container["args"] if word.startswith("--quantization")]
    assert claim.manifest["spec"]["model"]["quantization"] == "fp8"
    assert given == [], "the checkpoint is quantized already"


def _item(pod: api.Object) -> preload_plan.Item:
    """What a preload pod is to download, as the program reads it."""
    (container,) = pod["spec"]["containers"]
    (text,) = [entry["value"] for entry in container["env"] if entry["name"] == "PRELOAD_PLAN"]
    (item,) = preload_plan.parse(text).items
    return item


def _success(item: preload_plan.Item, work: pathlib.Path) -> bytes:
    """What the program says at its end when it has published a checkpoint."""
    home = work / item.directory
    weights = home / manifest.WEIGHTS
    weights.mkdir(parents=True)
    config = json.dumps(_CONFIG)
    (weights / "config.json").write_text(config)
    # No header: nothing is known of its tensors.
    (weights / "model.safetensors").write_bytes(bytes(8))
    files = (
        listing.File("config.json", len(config), "gitSha1", "0" * 40),
        listing.File("model.safetensors", _BYTES - len(config), "sha256", "0" * 64),
    )
    published = manifest.build(item, "https://huggingface.co", _SHA, files, home, manifest.WEIGHTS)
    return report.success([(item.directory, published)])


def a_download_that_failed(scene: Scene) -> lives.Life:
    """The program's own sentence reaches the claim, with what to do."""
    claim = scene.here.claim(_SMALLEST, "not-found")
    pod = yield scene.kubelet.placed(claim, jobs.COMPONENT)
    code = exits.Exit.NOT_FOUND
    scene.kubelet.ends(pod, code, report.failure(code, _NOT_FOUND))
    failed = yield scene.here.condition(claim, "WeightsReady", "False", code.reason)
    message = _told(failed, "WeightsReady")
    assert message.startswith(f"{_NOT_FOUND} (Qwen/Qwen3-8B@main)")
    assert "raise spec.model.preload.generation" in message
    assert lives.status(failed, "phase") == "Failed"


Story: typing.TypeAlias = Callable[[Scene], lives.Life]
WITHOUT: tuple[Story, ...] = (
    without_the_role_a_new_claim_says_so,
    without_the_role_what_runs_stays,
)
WITH: tuple[Story, ...] = (
    with_the_role_the_new_claim_goes_on,
    no_node,
    an_image_that_cannot_be_pulled,
    an_engine_that_crashes,
    what_the_download_learnt,
    a_download_that_failed,
)


def _settings() -> api.Object:
    """The reference platform's settings, with diagnostics of pods and a class without a node."""
    settings = copy.deepcopy(shipped.one(shipped.environment("reference")))
    values = settings["data"]["inferenceService"]
    values["diagnostics"] = {"pods": True}
    classes = values["gpu"]["classes"]
    classes[_SCARCE] = copy.deepcopy(classes["l4"]) | {"nodeSelector": _SCARCE_LABELS}
    return settings


@pytest.fixture(scope="module")
def ends(
    control_plane: plane.ControlPlane,
    installed: installation.Installation,
    all_kinds: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, BaseException | None]]:
    """All stories, played."""
    del all_kinds
    reference = shipped.one(shipped.environment("reference"))
    role = shipped.one(_ROLE)
    installed.configure(reference)
    world = lives.World(control_plane)
    calls = pretending.Calls(installed.function.process.log)
    scene = Scene(world, calls, tmp_path_factory.mktemp("weights"))

    def play(stories: tuple[Story, ...]) -> dict[str, BaseException | None]:
        return lives.live(world, {story.__name__: story(scene) for story in stories})

    try:
        (error,) = lives.live(world, {"": scene.begin()}).values()
        if error is not None:
            raise error
        installed.configure(_settings())
        ended = play(WITHOUT)
        control_plane.admin.apply(role)
        polling.until(scene.may_read, what="the aggregation of the role", timeout=30)
        yield ended | play(WITH)
    finally:
        scene.clean()
        control_plane.kubelet.remove(_MACHINE.name)
        control_plane.admin.delete(api.Ref.of(role))
        installed.configure(reference)


@pytest.mark.parametrize("story", [*WITHOUT, *WITH], ids=lambda story: story.__name__)
def test_story(ends: dict[str, BaseException | None], story: Story) -> None:
    """It came to its end."""
    error = ends[story.__name__]
    if error is not None:
        raise error
