"""Who reaches whom, as told from NetworkPolicies, put to packets.

Claims are applied on a plain cluster. Kubelets run their pods on two machines, and kube-router
enforces the policies that they become. Each flow that `inference-service reach` tells of is tried:
a connection, or a datagram and its answer, from the network of its source. Whatever has no program
of its own here is a pod that does nothing, with the labels that the flow names.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import itertools
import json
import pathlib
import sys
import typing
from collections.abc import Iterator, Mapping, Sequence

import pytest

from e2e import claims, commands, installation, shipped
from e2e.controlplane import api, plane, polling
from e2e.machines import containers, hub, machine, probes, site

_NAMESPACE = "packets"
_ENGINE = "vllm/vllm-openai:v0.25.1"
_PICKER = "registry.k8s.io/gateway-api-inference-extension/epp:v1.5.0"
_MODEL = "Qwen/Qwen2.5-7B-Instruct"
_L40S = {"nvidia.com/gpu.product": "NVIDIA-L40S"}
_MACHINES: Sequence[machine.Machine] = (
    machine.Machine("desk"),
    machine.Machine("card", gpus=8, labels=_L40S, cpus=128, memory_gib=768),
)
# kube-router follows a moment later what it is told.
_SECONDS = 60
_PICKER_ROLES = shipped.ROOT / "examples" / "rbac" / "endpoint-picker.yaml"
_SCRAPERS = "monitoring"
_CALLERS = "batch"

Flow = dict[str, typing.Any]


def _settings(endpoint: str, outside: str) -> api.Object:
    """A plain cluster with the AI gateway and native pickers, and the hub of the tests."""
    settings = shipped.one(shipped.environment("plain"))
    values = settings["data"]["inferenceService"]
    values["providers"] |= {"autoscaler": "none", "gateway": "envoy-ai-gateway"}
    values["endpointPicker"] = {"provider": "native"}
    values["allowed"] = {"callers": {_NAMESPACE: [_CALLERS]}}
    values["hub"] = {"endpoint": endpoint, "egressCidrs": [f"{outside}/32"]}
    return settings


def _claim(name: str, revision: str, **spec: object) -> api.Object:
    model = {
        "repository": _MODEL,
        "revision": revision,
        "quantization": "fp8",
        "contextWindow": 8192,
    }
    return {
        "apiVersion": shipped.API_VERSION,
        "kind": shipped.KIND,
        "metadata": {"name": name, "namespace": _NAMESPACE},
        "spec": {"model": model} | spec,
    }


def _claims(revision: str) -> list[api.Object]:
    """One behind a route with a caller of its own, and one behind the AI gateway."""
    batch = {"namespace": _CALLERS, "podLabels": {"app": "nightly"}}
    return [
        _claim(
            "routed",
            revision,
            route={"enabled": True, "hostname": "routed"},
            access={"from": [batch]},
        ),
        _claim("picked", revision, gateway={"enabled": True, "endpointPicker": {"enabled": True}}),
    ]


def _words(flow: Flow) -> str:
    ends = f"{flow['source']['name']} to {flow['destination']['name']}"
    return f"{ends} on {flow['protocol']} {flow['port']}"


def _passes(flow: Flow) -> bool:
    """What was told of a flow."""
    return bool(flow["egress"]["passes"] and flow["ingress"]["passes"])


@dataclasses.dataclass
class Stage:
    """What the tests of this file share.

    Attributes:
        plane: The control plane.
        site: The machines.
        claims: The claims by name, which serve.
        files: The claims and the settings, for the command line.
        work: For more files.
        flows: What is told of them.
        probers: What asks and answers.
        tries: A flow of packets for each of the flows.
    """

    plane: plane.ControlPlane
    site: site.Site
    claims: Mapping[str, claims.Claim]
    files: Sequence[pathlib.Path]
    work: pathlib.Path
    flows: Sequence[Flow]
    probers: probes.Probers
    tries: Sequence[probes.Try]

    def differences(self, flows: Sequence[Flow]) -> set[str]:
        """The flows of which not what was told became, and what did."""
        outcomes = self.probers.outcomes(self.tries)
        return {
            f"{_words(flow)}: {outcome or 'passes'}"
            for flow, outcome in zip(flows, outcomes, strict=True)
            if (not outcome) is not _passes(flow)
        }

    def settle(self, flows: Sequence[Flow]) -> None:
        """Wait until of all flows became what was told, twice.

        Raises:
            AssertionError: Of some it did not.
        """
        with contextlib.suppress(TimeoutError):
            polling.until(lambda: not self.differences(flows), what="packets", timeout=_SECONDS)
        assert self.differences(flows) == set()


# --- who is where


class _Cast:
    """The ends of flows, as pods, machines and addresses of a site."""

    def __init__(self, control_plane: plane.ControlPlane, running: site.Site) -> None:
        self._plane = control_plane
        self._site = running
        self._made: set[str] = set()
        self._names = itertools.count()
        self._places: dict[str, probes.Place] = {}

    def fill(self, flows: Sequence[Flow]) -> None:
        """Make a pod for each end that has none, and give the world its addresses."""
        ends = [flow[end] for flow in flows for end in ("source", "destination")]
        by_key = {_key(end): end for end in ends}
        made = {}
        for key, end in by_key.items():
            if end["kind"] == "pod":
                made[key] = self._there(end) or self._stand_in(end)
        world = {end["address"] for end in ends if "address" in end} - {self._site.outside}
        self._world(sorted(world))
        for key, ref in made.items():
            self._places[key] = self._pod(ref)

    def _there(self, end: Flow) -> api.Ref | None:
        """A pod of the product's or the platform's."""
        labels = end.get("labels")
        if not labels:
            return None
        for pod in self._plane.admin.objects(
            "v1", "Pod", namespace=end["namespace"], labels=labels
        ):
            running = pod["status"].get("phase") == "Running"
            if running and "deletionTimestamp" not in pod["metadata"]:
                return api.Ref.of(pod)
        return None

    def _stand_in(self, end: Flow) -> api.Ref:
        namespace = end["namespace"]
        if self._plane.admin.find(api.Ref("v1", "Namespace", namespace)) is None:
            self._plane.namespace(namespace)
            self._made.add(namespace)
        number = next(self._names)
        node = _MACHINES[number % len(_MACHINES)].name
        metadata = {"name": f"stand-in-{number}", "namespace": namespace}
        container = {
            "name": "pause",
            "image": machine.PAUSE,
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "runAsNonRoot": True,
                "runAsUser": 65535,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        }
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata | {"labels": end.get("labels", {})},
            "spec": {
                "automountServiceAccountToken": False,
                "containers": [container],
                "nodeSelector": {"kubernetes.io/hostname": node},
                "tolerations": [{"operator": "Exists"}],
                "terminationGracePeriodSeconds": 0,
            },
        }
        self._plane.admin.create(pod)
        return api.Ref.of(pod)

    def _pod(self, ref: api.Ref) -> probes.Place:
        self._plane.admin.wait(
            ref, lambda pod: pod["status"].get("phase") == "Running", what="running", timeout=90
        )
        pod = self._plane.admin.get(ref)
        (container, *_) = pod["spec"]["containers"]
        process = polling.until(
            lambda: containers.process_of(self._plane.admin.get(ref), container["name"]),
            what=f"a process of {ref}",
            timeout=30,
            ignore=(LookupError,),
        )
        return probes.Place(pod["status"]["podIP"], process, pod["spec"]["nodeName"])

    def _world(self, own: Sequence[str]) -> None:
        process = self._site.foreigner("world", own).pid
        for address in own:
            self._places[address] = probes.Place(address, process, source=address)
        outside = self._site.outside
        self._places[outside] = probes.Place(outside)

    def tried(self, flow: Flow) -> probes.Try:
        """A flow of packets."""
        source, destination = (
            self._place(flow[end], flow[other])
            for end, other in (("source", "destination"), ("destination", "source"))
        )
        return probes.Try(source, destination, flow["protocol"], flow["port"])

    def _place(self, end: Flow, other: Flow) -> probes.Place:
        if end["kind"] not in ("node", "other-node"):
            return self._places[_key(end)]
        near = self._places[_key(other)].machine
        (name,) = [one.name for one in _MACHINES if (one.name == near) is (end["kind"] == "node")]
        running = self._site.machines[name]
        return probes.Place(self._site.address(name), running.space.pid, name)

    def remove(self) -> None:
        """Delete what was made."""
        for name in self._made:
            self._plane.admin.delete(api.Ref("v1", "Namespace", name))
        for name in self._made:
            self._plane.admin.wait_gone(api.Ref("v1", "Namespace", name), timeout=120)


def _key(end: Flow) -> str:
    if end["kind"] == "pod":
        return json.dumps([end["namespace"], end.get("labels", {})], sort_keys=True)
    return str(end.get("address") or end["kind"])


def _told(files: Sequence[pathlib.Path], *more: str | pathlib.Path) -> list[Flow]:
    """What `reach` tells of the claims of the first file under the settings of the second."""
    asked, settings = files
    command = (sys.executable, "-m", "function.cli.main", "reach", asked, "-e", settings, *more)
    done = commands.run([*command, "-o", "json"], parse=False)
    assert done.output, done.errors
    told = json.loads(done.output)
    assert not told["refused"]
    return [flow for claim in told["claims"] for flow in claim["flows"]]


@pytest.fixture(scope="module")
def stage(
    control_plane: plane.ControlPlane,
    installed: installation.Installation,
    all_kinds: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    """Claims that serve, and everybody whom their flows are about."""
    del all_kinds
    work = tmp_path_factory.mktemp("packets")
    volume = work / "volume"
    volume.mkdir()
    volume.chmod(0o777)
    with contextlib.ExitStack() as stack:
        models = stack.enter_context(hub.serving())
        revision = models.publish(_MODEL, hub.model())
        running = stack.enter_context(
            site.Site(
                control_plane,
                work / "disks",
                _MACHINES,
                ports=[models.server_port],
                policies=True,
            )
        )
        models.content = f"http://{running.outside}:{models.server_port}"
        running.push(_ENGINE, site.STAND_INS, "engine")
        running.push(_PICKER, site.STAND_INS, "pause")
        roles = api.load(_PICKER_ROLES)
        control_plane.admin.apply_all(roles)
        settings = _settings(models.content, running.outside)
        installed.configure(settings)
        tenant = claims.Tenant(control_plane, control_plane.namespace(_NAMESPACE), volume)
        stack.callback(_delete, control_plane, *roles, _namespace(_NAMESPACE))
        stack.callback(tenant.clean)
        tenant.prepare()
        manifests = _claims(revision)
        files = (
            commands.write(work / "claims.yaml", manifests),
            commands.write(work / "settings.yaml", [settings]),
        )
        flows = _told(files)
        applied = {one["metadata"]["name"]: tenant.claim(one).apply() for one in manifests}
        _wait_pods(control_plane, applied)
        cast = _Cast(control_plane, running)
        stack.callback(cast.remove)
        cast.fill(flows)
        tries = [cast.tried(flow) for flow in flows]
        processes = {one.process for each in tries for one in (each.source, each.destination)}
        asked = probes.Probers(processes, {flow["port"] for flow in flows})
        stack.enter_context(asked)
        yield Stage(control_plane, running, applied, files, work, flows, asked, tries)


def _namespace(name: str) -> api.Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _delete(control_plane: plane.ControlPlane, *items: api.Object) -> None:
    for item in items:
        control_plane.admin.delete(api.Ref.of(item))
    for item in items:
        control_plane.admin.wait_gone(api.Ref.of(item), timeout=120)


def _wait_pods(control_plane: plane.ControlPlane, applied: Mapping[str, claims.Claim]) -> None:
    """Wait until an engine of each claim is ready, and the picker is there.

    It is a program that does nothing here, and never ready.
    """
    engines = {"app.kubernetes.io/component": "inference"}

    def fulfilled() -> bool:
        pods = control_plane.admin.objects("v1", "Pod", namespace=_NAMESPACE, labels=engines)
        ready = {
            pod["metadata"]["labels"]["app.kubernetes.io/instance"]
            for pod in pods
            if api.status_of(pod, "Ready") == "True"
        }
        pickers = control_plane.admin.objects(
            "v1", "Pod", namespace=_NAMESPACE, labels={"inferencepool": "picked-epp"}
        )
        return ready == set(applied) and any(
            pod["status"].get("phase") == "Running" for pod in pickers
        )

    polling.until(fulfilled, what="the pods of the claims", timeout=240)


# --- what is tried


def test_without_policies_everything_passes(stage: Stage) -> None:
    """Each flow that is told of can pass, those that are denied too: somebody answers them."""
    open_ = [
        flow | {half: {"passes": True} for half in ("egress", "ingress")} for flow in stage.flows
    ]
    with stage.site.lifted():
        assert stage.differences(open_) == set()


def test_each_verdict_is_what_becomes_of_packets(stage: Stage) -> None:
    """Of both halves: many flows are closed by one of them alone."""
    stage.settle(stage.flows)
    halves = collections.Counter(
        (flow["egress"]["passes"], flow["ingress"]["passes"]) for flow in stage.flows
    )
    # A half of which nothing can be told would be left out of the comparison.
    assert set(halves) == {(True, True), (True, False), (False, True), (False, False)}
    assert min(halves.values()) > 20, halves


def test_a_rule_that_is_gone_is_noticed(stage: Stage) -> None:
    """A policy that lets nobody scrape stops the scraper, and nobody else."""
    stage.settle(stage.flows)
    claim = stage.claims["routed"]
    ref = api.Ref("networking.k8s.io/v1", "NetworkPolicy", claim.name, _NAMESPACE)
    _pause(stage, claim, "true")
    try:
        policy = stage.plane.admin.get(ref)
        kept = [rule for rule in policy["spec"]["ingress"] if _SCRAPERS not in json.dumps(rule)]
        assert len(kept) == len(policy["spec"]["ingress"]) - 1
        stage.plane.admin.patch(ref, {"spec": {"ingress": kept}})
        wanted = {
            _words(flow)
            for flow in stage.flows
            if _passes(flow)
            and flow["source"].get("namespace") == _SCRAPERS
            and flow["destination"]["name"] == "routed: serving pods"
        }
        assert wanted
        noticed = polling.until(
            lambda: stage.differences(stage.flows), what="a difference", timeout=_SECONDS
        )
        assert {text.rpartition(":")[0] for text in noticed} == wanted
    finally:
        _pause(stage, claim, "false")
    stage.settle(stage.flows)


def _pause(stage: Stage, claim: claims.Claim, text: str) -> None:
    """Make core leave a claim alone, or look after it again."""
    annotations = {"crossplane.io/paused": text}
    stage.plane.admin.patch(claim.ref, {"metadata": {"annotations": annotations}})


def test_a_policy_of_callers_closes_their_half(stage: Stage) -> None:
    """One that the platform has beside ours, told by ``--policies``."""
    policy: api.Object = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "closed", "namespace": "apps"},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"]},
    }
    told = _told(stage.files, "-p", commands.write(stage.work / "closed.yaml", [policy]))
    changed = [
        _words(before)
        for before, after in zip(stage.flows, told, strict=True)
        if _passes(before) is not _passes(after)
    ]
    assert changed
    stage.plane.admin.create(policy)
    try:
        stage.settle(told)
    finally:
        stage.plane.admin.delete(api.Ref.of(policy))
    stage.settle(stage.flows)
