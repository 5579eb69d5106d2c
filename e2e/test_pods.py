"""The pods of a claim, run by real kubelets: from the download of weights to the last request.

Machines with containerd, runc and kube-proxy run the rendered pods, with the product's preload
image and a stand-in for vLLM under the name that the product renders. A caller in a pod of its own
asks the claim by the name of its Service and repeats nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence

import pytest

from e2e import claims, installation, shipped
from e2e.controlplane import api, cluster, plane, polling, process, toolchain
from e2e.machines import fabric, hub, janitor, load, machine, site, space
from tests.preload import hub_server

_NAMESPACE = "pods"
_NAME = "xplane-pods"
_TOKEN_SECRET = "hf-token"  # noqa: S105 - the name of an object
_REPOSITORY = "Qwen/Qwen2.5-Coder-7B-Instruct"
_LARGE = "Qwen/Qwen2.5-7B-Instruct"
# An image of weights, as KServe's modelcars are.
_WEIGHTS = "registry.example.com/models/qwen"
# Seconds between two pieces of 64 KiB: half a MiB a second and connection.
_PAUSE = 0.125
_ENGINE = "vllm/vllm-openai:v0.25.1"
_L4 = {"karpenter.sh/nodepool": "gpu-l4"}
# The DNS server, the preload Job and the caller are on the first.
_MACHINES: Sequence[machine.Machine] = (
    machine.Machine("desk"),
    machine.Machine("real-0", gpus=2, labels=_L4),
    machine.Machine("real-1", gpus=2, labels=_L4),
)
_REPLICAS = 3
# Answers take longer than the pause before SIGTERM: some of the requests that are in flight when a
# pod is deleted are still so at its SIGTERM, and the engine's own drain has to end them.
_PRE_STOP = 15
_TOKENS = 40
_TOKEN_SECONDS = 0.5
# Requests a second: some begin shortly before any pod is deleted.
_RATE = 3
_SYSCTLS = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops")


@dataclasses.dataclass
class Stage:
    """What the tests of this file share, one after the other.

    Attributes:
        plane: The control plane.
        site: The machines.
        tenant: The claim's namespace.
        claim: The claim.
        hub: The hub.
        logs: Directory of the logs.
    """

    plane: plane.ControlPlane
    site: site.Site
    tenant: claims.Tenant
    claim: claims.Claim
    hub: hub_server.Server
    logs: pathlib.Path

    def pods(self, component: str = "inference", name: str = _NAME) -> list[api.Object]:
        """A claim's pods that nobody deleted."""
        labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/component": component}
        pods = self.plane.admin.objects("v1", "Pod", namespace=_NAMESPACE, labels=labels)
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def names(self) -> set[str]:
        """The names of the engines' pods that nobody deleted."""
        return {pod["metadata"]["name"] for pod in self.pods()}

    def wait_serving(self, replicas: int) -> None:
        """Wait until so many replicas are Ready and no other pod is left."""

        def fulfilled() -> bool:
            labels = {"app.kubernetes.io/name": _NAME, "app.kubernetes.io/component": "inference"}
            everybody = self.plane.admin.objects("v1", "Pod", namespace=_NAMESPACE, labels=labels)
            ready = [pod for pod in everybody if api.status_of(pod, "Ready") == "True"]
            return len(everybody) == len(ready) == replicas

        polling.until(fulfilled, what=f"{replicas} pods and no others", timeout=240)
        self.claim.wait_ready()


def _state() -> dict[str, object]:
    """What a kubelet would change on the machine of the tests, but for cables of other runs."""
    interfaces = sorted(path.name for path in pathlib.Path("/sys/class/net").iterdir())
    routes = space.run(["ip", "route"]).splitlines()
    return {
        "settings": [pathlib.Path("/proc/sys", name).read_text() for name in _SYSCTLS],
        "interfaces": [name for name in interfaces if not name.startswith(fabric.CABLE)],
        "routes": [route for route in routes if f" dev {fabric.CABLE}" not in route],
        "mounts": len(pathlib.Path("/proc/self/mountinfo").read_text().splitlines()),
        "groups": janitor.groups(machine.control_group()),
        "directories": [
            pathlib.Path(name).exists() for name in ("/var/lib/kubelet", "/var/log/pods")
        ],
    }


def _settings(endpoint: str) -> api.Object:
    """The reference platform, without an autoscaler and with the hub of the tests."""
    settings = shipped.one(shipped.environment("reference"))
    values = settings["data"]["inferenceService"]
    values["providers"]["autoscaler"] = "none"
    values["hub"] = hub.settings(endpoint)
    values["weights"]["imageVolumes"] = True
    values["allowed"] = {"modelImages": {_NAMESPACE: [_WEIGHTS]}}
    return settings


def _claim(
    revision: str, *, name: str = _NAME, repository: str = _REPOSITORY, replicas: int = _REPLICAS
) -> api.Object:
    return {
        "apiVersion": shipped.API_VERSION,
        "kind": shipped.KIND,
        "metadata": {"name": name, "namespace": _NAMESPACE},
        "spec": {
            "model": {
                "repository": repository,
                "revision": revision,
                "quantization": "fp8",
                "contextWindow": 32768,
                "maxNumSeqs": 32,
                "preload": {"enabled": True},
            },
            "gpu": {"count": 1},
            "scaling": {"minReplicas": replicas, "maxReplicas": replicas},
            "envFromSecrets": [_TOKEN_SECRET],
        },
    }


@pytest.fixture(scope="module")
def stage(
    control_plane: plane.ControlPlane,
    installed: installation.Installation,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    """Machines, a hub, and a claim that nobody applied yet.

    At the end the machine of the tests is as it was before.
    """
    before = _state()
    work = tmp_path_factory.mktemp("machines")
    volume = work / "volume"
    volume.mkdir()
    volume.chmod(0o777)
    with hub.serving() as models:
        models.gated.add(_REPOSITORY)
        revision = models.publish(_REPOSITORY, hub.model())
        with site.Site(
            control_plane, work / "disks", _MACHINES, ports=[models.server_port]
        ) as running:
            models.content = f"http://{running.outside}:{models.server_port}"
            running.push(_ENGINE, site.STAND_INS, "engine")
            running.push(load.IMAGE, site.STAND_INS, "caller")
            installed.configure(_settings(models.content))
            control_plane.namespace(_NAMESPACE)
            tenant = claims.Tenant(control_plane, _NAMESPACE, volume)
            tenant.prepare()
            claim = tenant.claim(_claim(revision))
            yield Stage(control_plane, running, tenant, claim, models, control_plane.logs)
            tenant.clean()
            ref = api.Ref("v1", "Namespace", _NAMESPACE)
            control_plane.admin.delete(ref)
            control_plane.admin.wait_gone(ref, timeout=120)
    assert _state() == before
    cable = f"{fabric.CABLE}{control_plane.api.range.number}"
    assert not pathlib.Path("/sys/class/net", cable).exists()


@pytest.fixture(scope="module")
def served(stage: Stage) -> Stage:
    """The claim serves from pods of real machines, with weights that its Job downloaded.

    Its Secret has no token before the Job's pod waits for one.
    """
    secret = api.Ref("v1", "Secret", _TOKEN_SECRET, _NAMESPACE)
    stage.plane.admin.patch(secret, [{"op": "remove", "path": "/data/HF_TOKEN"}], kind="json")
    stage.claim.apply()
    (pod,) = polling.until(lambda: stage.pods("preload"), what="the Job's pod", timeout=90)
    name = pod["metadata"]["name"]
    polling.until(
        lambda: "token-wait" in stage.site.logs(_NAMESPACE, name),
        what="the wait for a token",
        timeout=90,
        ignore=(RuntimeError,),
    )
    stage.plane.developer.patch(secret, {"stringData": {"HF_TOKEN": stage.hub.token}})
    stage.wait_serving(_REPLICAS)
    return stage


@contextlib.contextmanager
def _load(stage: Stage) -> Iterator[load.Load]:
    """A caller whose requests are all answered whole, whatever happens meanwhile."""
    caller = load.Load(
        stage.plane,
        _NAMESPACE,
        url=f"http://{_NAME}.{_NAMESPACE}.svc:8000/v1",
        model=_NAME,
        node=_MACHINES[0].name,
        flags={
            "rate": _RATE,
            "tokens": _TOKENS,
            "stand-in": f"tokenSeconds={_TOKEN_SECONDS}",
        },
    )
    caller.start()
    try:
        # From the first answer on as many requests end as begin.
        polling.until(lambda: caller.outcome().answered, what="a first answer", timeout=60)
        yield caller
        outcome = caller.end()
    finally:
        caller.remove()
    assert outcome.failed == {}
    assert outcome.answered > _RATE * _PRE_STOP
    assert outcome.longest > _PRE_STOP


@contextlib.contextmanager
def _followed(stage: Stage) -> Iterator[Mapping[str, pathlib.Path]]:
    """The logs of the engines' pods, to their ends, by the pods' names."""
    kubectl = toolchain.program(cluster.GROUP, "kubectl")
    followers = [
        process.Process(
            f"engine-{name}",
            [kubectl, "--namespace", _NAMESPACE, "logs", "--follow", name],
            logs=stage.plane.logs,
            environment={"KUBECONFIG": str(stage.plane.api.kubeconfig("admin"))},
        )
        for name in sorted(stage.names())
    ]
    try:
        for follower in followers:
            follower.launch()
        yield {follower.name.removeprefix("engine-"): follower.log for follower in followers}
    finally:
        for follower in followers:
            follower.stop()


def _assert_drained(log: pathlib.Path) -> None:
    """An engine ended by itself on SIGTERM, after the requests that it had then."""
    text = log.read_text()
    (running,) = re.findall(r"SIGTERM: (\d+) running", text)
    assert int(running) > 0, text
    assert "hang from now on" not in text
    assert re.search(r" ended$", text, re.MULTILINE), text


def test_the_job_waits_for_a_token_that_the_kubelet_brings(served: Stage) -> None:
    """The Secret changes while the Job's pod runs; the pod goes on by itself."""
    downloads = served.hub.downloads()
    assert {request.authorization for request in downloads} == {f"Bearer {served.hub.token}"}
    # One pod did it: a second would ask for what the first has.
    paths = [request.path for request in downloads]
    assert len(paths) == len(set(paths)) == len(hub.model())
    assert claims.conditions(served.claim.read())["WeightsReady"][0] == "True"


def test_a_download_whose_pod_is_deleted_goes_on_where_it_was(served: Stage) -> None:
    """The kubelet ends the Job's pod in the middle; the next one fetches what is missing."""
    models, name = served.hub, "resumed"
    files = {**hub.model(), **{f"part-{index}.safetensors": _part(index) for index in range(3)}}
    size = sum(map(len, files.values()))
    revision = models.publish(_LARGE, files)
    claim = served.tenant.claim(_claim(revision, name=name, repository=_LARGE, replicas=1))

    def sent() -> int:
        everything = {hub_server.sha256(content) for content in files.values()}
        return sum(request.sent for request in models.downloads() if request.path[5:] in everything)

    received: list[int] = []
    models.on_bytes, models.pause = received.append, _PAUSE
    try:
        claim.apply()
        polling.until(lambda: sum(received) > 0.6 * size, what="more than half of it", timeout=120)
        (pod,) = served.pods("preload", name)
        done = served.plane.kubectl(
            *("--namespace", _NAMESPACE, "delete", "pod", pod["metadata"]["name"]), "--wait=false"
        )
        assert done.returncode == 0, done.stderr
        claim.wait_condition("WeightsReady", "True")
    finally:
        models.on_bytes, models.pause = None, 0.0
    # Twice came what was in flight, and nothing of the first half.
    assert size <= sent() < 1.3 * size
    claim.delete()


def _part(index: int) -> bytes:
    """Content of a file that no other file has."""
    return bytes([index + 1]) * 8_000_000


def test_weights_in_an_image_are_mounted(served: Stage, tmp_path: pathlib.Path) -> None:
    """The node pulls the image by its digest, the pod reads it, and no Job downloads anything."""
    for path, content in hub.model().items():
        (tmp_path / path).write_bytes(content)
    digest = served.site.push_files(f"{_WEIGHTS}:v1", {"/models": tmp_path})
    model = {
        "repository": _REPOSITORY,
        "source": "oci",
        "image": f"{_WEIGHTS}@{digest}",
        "quantization": "fp8",
        "contextWindow": 32768,
    }
    claim = served.tenant.claim(_claim("", name="in-an-image", replicas=1))
    claim.apply(model=model)
    claim.wait_phase("Serving", timeout=240)
    assert "Job" not in claim.kinds()
    (pod,) = served.pods(name=claim.name)
    assert "serving in-an-image" in served.site.logs(_NAMESPACE, pod["metadata"]["name"])
    (volume,) = [one for one in pod["spec"]["volumes"] if "image" in one]
    assert volume["image"]["reference"] == model["image"]
    claim.delete()


def test_pods_are_ready_where_gpus_are(served: Stage) -> None:
    """Each has the Job's weights and an address of its machine, and passed its probes."""
    machines = served.plane.api.range
    for pod in served.pods():
        node = pod["spec"]["nodeName"]
        running = served.site.machines[node]
        address = ipaddress.ip_address(pod["status"]["podIP"])
        assert address in ipaddress.ip_network(machines.pods(running.index))
        assert running.machine.gpus
        (status,) = pod["status"]["containerStatuses"]
        assert status["started"]
        assert status["restartCount"] == 0
        assert f"serving {_NAME}" in served.site.logs(_NAMESPACE, pod["metadata"]["name"])
    assert {pod["spec"]["nodeName"] for pod in served.pods()} == {"real-0", "real-1"}


def test_a_scale_down_loses_no_request(served: Stage) -> None:
    """The author asks for one replica less."""
    before = served.names()
    with _followed(served) as logs:
        with _load(served):
            served.claim.apply(scaling={"minReplicas": 2, "maxReplicas": 2})
            served.wait_serving(2)
        (gone,) = before - served.names()
        _assert_drained(logs[gone])


def test_a_rolling_update_loses_no_request(served: Stage) -> None:
    """The author changes what pods are made of."""
    before = served.names()
    with _followed(served) as logs:
        with _load(served):
            model = served.claim.manifest["spec"]["model"]
            served.claim.apply(model=model | {"maxNumSeqs": 48})
            polling.until(
                lambda: not before & served.names(), what="the end of the old pods", timeout=240
            )
            served.wait_serving(2)
        for name in before:
            _assert_drained(logs[name])


def test_a_drained_node_loses_no_request(served: Stage) -> None:
    """An administrator empties a machine; what ran there starts on the other."""
    node = served.pods()[0]["spec"]["nodeName"]
    moved = {pod["metadata"]["name"] for pod in served.pods() if pod["spec"]["nodeName"] == node}
    with _followed(served) as logs:
        with _load(served):
            done = served.plane.kubectl("drain", node, "--delete-emptydir-data", "--timeout=240s")
            assert done.returncode == 0, done.stderr
            served.wait_serving(2)
        for name in moved:
            _assert_drained(logs[name])
    assert node not in {pod["spec"]["nodeName"] for pod in served.pods()}
    served.plane.kubelet.cordon(node, cordoned=False)
