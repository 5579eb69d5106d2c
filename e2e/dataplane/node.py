"""A node whose pods are processes of this machine: a stand-in for kubelet and container runtime.

Each pod has a network namespace with an address of its own. Each container runs the local program
of its name, with the container's own arguments, variables and mounts, over this machine's files.
Secrets and ConfigMaps are files, refreshed while the pod runs and at once when it was annotated.
Readiness follows the HTTP readiness probe with its timeout and threshold, each second whatever its
period; startup and liveness probes are left out. Deletion runs `preStop.sleep`, SIGTERM and, after
the grace period, SIGKILL.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import http.client
import os
import pathlib
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from e2e.controlplane import api, nodes, plane, process
from e2e.dataplane import network, roots, services

# A kubelet looks at a pod's Secrets once a minute or so; the tests wait less.
REFRESH_SECONDS = 10
_LOOK_SECONDS = 0.25
_PROBE_SECONDS = 1
# What a probe has that does not say otherwise.
_FAILURES, _TIMEOUT_SECONDS = 3, 1
# Seconds from the end of a container to its next start.
_RESTART_SECONDS = 3


@dataclasses.dataclass
class Pod:
    """A pod that runs here.

    Attributes:
        item: The pod as it was when it started.
        place: Its network namespace.
        containers: The containers' processes by name.
        ready: Whether its status says Ready; None before the first status.
        failures: How often in a row the readiness probe of a container has failed.
        ended: Since when a container has ended that is to be started again.
    """

    item: api.Object
    place: network.Namespace
    containers: dict[str, process.Process] = dataclasses.field(default_factory=dict)
    ready: bool | None = None
    failures: dict[str, int] = dataclasses.field(default_factory=dict)
    ended: float | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.item["metadata"]["name"])

    @property
    def address(self) -> str:
        """Its address."""
        return self.place.address

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to every process of its containers."""
        for container in self.containers.values():
            if container.running:
                os.killpg(container.pid, number)


Program = Callable[[Pod], Sequence[str | pathlib.Path]]


class Node:
    """One node, and what runs on it.

    Attributes:
        name: Its name, also the value of its label ``kubernetes.io/hostname``.
        pods: The pods that run, by namespace and name.
    """

    def __init__(
        self,
        name: str,
        control_plane: plane.ControlPlane,
        place: network.Network,
        names: services.Services,
        work: pathlib.Path,
        programs: Mapping[str, Program],
    ) -> None:
        """Describe it.

        Args:
            name: Its name.
            control_plane: Where it registers; its fake kubelet renews the node's lease.
            place: Where pods get their addresses.
            names: What pods ask for names.
            work: For the pods' files.
            programs: What runs for a container, by the container's name.
        """
        self.name = name
        self.pods: dict[tuple[str, str], Pod] = {}
        self._plane = control_plane
        self._admin = control_plane.admin
        self._network = place
        self._names = names
        self._work = work
        self._programs = programs
        self._end = threading.Event()
        self._threads: list[threading.Thread] = []
        self._errors: list[BaseException] = []

    def start(self) -> None:
        """Register, and follow the pods."""
        labels = {"karpenter.sh/nodepool": self.name}
        self._plane.kubelet.leave(self.name)
        self._plane.kubelet.add(nodes.Node(self.name, gpus=16, cpu="256", labels=labels))
        self._run(self._follow)

    def stop(self) -> None:
        """Kill what runs, and take the node away.

        Raises:
            BaseException: What a thread of it ended with.
        """
        self._end.set()
        for thread in self._threads:
            thread.join(60)
        for pod in list(self.pods.values()):
            self._kill(pod)
        self._plane.kubelet.remove(self.name)
        if self._errors:
            raise self._errors[0]

    def _run(self, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:
                self._errors.append(error)
                raise

        thread = threading.Thread(target=guarded, name=self.name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _follow(self) -> None:
        query = {"fieldSelector": f"spec.nodeName={self.name}"}
        while not self._end.wait(_LOOK_SECONDS):
            with contextlib.suppress(api.ApiError, *api.UNREACHABLE):
                for item in self._admin.request("GET", "/api/v1/pods", query=query)["items"]:
                    key = (item["metadata"]["namespace"], item["metadata"]["name"])
                    if key not in self.pods and "deletionTimestamp" not in item["metadata"]:
                        self.pods[key] = self._start(item)
                        self._run(lambda key=key: self._attend(key))  # type: ignore[misc]
                    elif key not in self.pods:
                        self._forget(key)

    def _start(self, item: api.Object) -> Pod:
        """Start the containers of a pod; those of ``initContainers`` that go on, too."""
        name = item["metadata"]["name"]
        pod = Pod(item, self._network.add(name))
        home = self._home(pod)
        for volume in item["spec"].get("volumes", []):
            (home / "volumes" / volume["name"]).mkdir(parents=True, exist_ok=True)
        (home / "resolv.conf").write_text(self._names.resolv_conf(item["metadata"]["namespace"]))
        self._refresh(pod)
        for container in _containers(item):
            self._launch(pod, container)
        return pod

    def _home(self, pod: Pod) -> pathlib.Path:
        return self._work / str(pod.item["metadata"]["namespace"]) / pod.name

    def _launch(self, pod: Pod, container: api.Object) -> None:
        home = self._home(pod)
        environment = self._environment(pod, container)
        words = [
            *map(str, self._programs[container["name"]](pod)),
            *container.get("command", [])[1:],
            *container.get("args", []),
        ]
        words = [_expanded(word, environment) for word in words]
        run = process.Process(
            f"{pod.name}-{container['name']}",
            pod.place.within(
                *roots.script(home / container["name"], self._mounts(home, container)), *words
            ),
            logs=self._plane.logs,
            environment={key: _expanded(value, environment) for key, value in environment.items()},
        )
        run.launch()
        pod.containers[container["name"]] = run

    def _environment(self, pod: Pod, container: api.Object) -> dict[str, str]:
        """The variables of a container."""
        host, port = self._names.api_server
        fields = {
            "metadata.name": pod.name,
            "metadata.namespace": pod.item["metadata"]["namespace"],
            "status.podIP": pod.address,
            "status.hostIP": self._network.outside,
            "spec.nodeName": self.name,
        }
        values = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": str(port)}
        for entry in container.get("env", []):
            source = entry.get("valueFrom", {})
            if "value" in entry:
                values[entry["name"]] = entry["value"]
            elif "fieldRef" in source:
                values[entry["name"]] = fields.get(source["fieldRef"]["fieldPath"], "")
        return values

    def _mounts(self, home: pathlib.Path, container: api.Object) -> dict[str, pathlib.Path]:
        """What lies where in a container."""
        mounts = {"/etc/resolv.conf": home / "resolv.conf"}
        for mount in container.get("volumeMounts", []):
            mounts[mount["mountPath"]] = home / "volumes" / mount["name"]
        return mounts

    def _refresh(self, pod: Pod) -> None:
        """Write the files of Secrets, ConfigMaps and tokens that differ from what is there."""
        namespace = pod.item["metadata"]["namespace"]
        for volume in pod.item["spec"].get("volumes", []):
            place = self._home(pod) / "volumes" / volume["name"]
            for source in (volume, *volume.get("projected", {}).get("sources", [])):
                for name, content in self._files(source, namespace, pod):
                    path = place / name
                    if not path.exists() or path.read_bytes() != content:
                        fresh = path.with_name(f".{name}")
                        fresh.write_bytes(content)
                        fresh.replace(path)

    def _files(self, source: api.Object, namespace: str, pod: Pod) -> Iterator[tuple[str, bytes]]:
        """Names and contents of the files of one source of a volume."""
        if (token := source.get("serviceAccountToken")) is not None:
            path = self._home(pod) / "volumes"
            if not list(path.glob(f"*/{token['path']}")):
                account = pod.item["spec"]["serviceAccountName"]
                text = self._plane.api.service_account_token(namespace, account)
                yield token["path"], text.encode()
        if "downwardAPI" in source:
            yield "namespace", namespace.encode()
        for kind in ("secret", "configMap"):
            if kind not in source:
                continue
            name = source[kind].get("secretName") or source[kind]["name"]
            ref = api.Ref("v1", kind[0].upper() + kind[1:], name, namespace)
            item = self._admin.find(ref)
            if item is None:
                continue
            for key, value in (item.get("data") or {}).items():
                yield key, base64.b64decode(value) if kind == "secret" else value.encode()
            for key, value in (item.get("binaryData") or {}).items():
                yield key, base64.b64decode(value)

    def _attend(self, key: tuple[str, str]) -> None:
        """Follow one pod from its start to its end."""
        pod = self.pods[key]
        refreshed, annotations = time.monotonic(), pod.item["metadata"].get("annotations")
        while not self._end.wait(_LOOK_SECONDS):
            with contextlib.suppress(api.ApiError, *api.UNREACHABLE):
                current = self._admin.find(api.Ref("v1", "Pod", key[1], key[0]))
                if current is None or "deletionTimestamp" in current["metadata"]:
                    self._terminate(pod, current)
                    return
                # A kubelet looks at a pod that changed; the AI gateway annotates pods for that.
                changed = current["metadata"].get("annotations") != annotations
                if changed or time.monotonic() > refreshed + REFRESH_SECONDS:
                    self._refresh(pod)
                    refreshed = time.monotonic()
                    annotations = current["metadata"].get("annotations")
                self._restart(pod)
                self._report(pod, self._healthy(pod))
            time.sleep(_PROBE_SECONDS - _LOOK_SECONDS)

    def _restart(self, pod: Pod) -> None:
        """Start containers again that ended, some seconds later."""
        ended = [c for c in _containers(pod.item) if not pod.containers[c["name"]].running]
        if ended and pod.ended is None:
            pod.ended = time.monotonic()
        if pod.ended is not None and time.monotonic() > pod.ended + _RESTART_SECONDS:
            for container in ended:
                self._launch(pod, container)
            pod.ended = None

    def _healthy(self, pod: Pod) -> bool:
        """Whether every container runs, and its readiness probe succeeds or has not failed enough.

        A pod that is not ready becomes so when all of them succeed.
        """
        healthy = True
        for container in _containers(pod.item):
            name, probe = container["name"], container.get("readinessProbe") or {}
            succeeds = pod.containers[name].running and _answers(pod, container)
            pod.failures[name] = 0 if succeeds else pod.failures.get(name, 0) + 1
            allowed = probe.get("failureThreshold", _FAILURES) - 1 if pod.ready else 0
            healthy &= pod.containers[name].running and pod.failures[name] <= allowed
        return healthy

    def _report(self, pod: Pod, ready: bool) -> None:
        """Write the pod's status when its readiness changed."""
        if pod.ready == ready:
            return
        value = "True" if ready else "False"
        kinds = {"PodScheduled": "True", "Initialized": "True", "ContainersReady": value}
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        status = {
            "phase": "Running",
            "podIP": pod.address,
            "podIPs": [{"ip": pod.address}],
            "startTime": pod.item["metadata"]["creationTimestamp"],
            "conditions": [
                {"type": kind, "status": held, "lastTransitionTime": now}
                for kind, held in (kinds | {"Ready": value}).items()
            ],
            "containerStatuses": [
                {
                    "name": container["name"],
                    "image": container["image"],
                    "imageID": "",
                    "ready": ready,
                    "started": True,
                    "restartCount": 0,
                    "state": {"running": {"startedAt": now}},
                }
                for container in pod.item["spec"]["containers"]
            ],
        }
        ref = api.Ref("v1", "Pod", pod.name, pod.item["metadata"]["namespace"])
        self._admin.patch(ref, {"status": status}, subresource="status")
        pod.ready = ready

    def _terminate(self, pod: Pod, current: api.Object | None) -> None:
        """End the pod as its spec says, and delete the object."""
        if current is not None:
            deadline = time.monotonic() + current["metadata"].get("deletionGracePeriodSeconds", 30)
            seconds = max((_pre_stop(c) for c in _containers(pod.item)), default=0.0)
            self._end.wait(seconds)
            pod.signal(signal.SIGTERM)
            pod.signal(signal.SIGCONT)
            while time.monotonic() < deadline and not self._end.wait(0.1):
                if not any(one.running for one in pod.containers.values()):
                    break
        self._kill(pod)
        self._forget((pod.item["metadata"]["namespace"], pod.name))
        self.pods.pop((pod.item["metadata"]["namespace"], pod.name), None)

    def _kill(self, pod: Pod) -> None:
        with contextlib.suppress(ProcessLookupError):
            pod.signal(signal.SIGKILL)
        for container in pod.containers.values():
            container.kill()
        self._network.remove(pod.place)

    def _forget(self, key: tuple[str, str]) -> None:
        """Delete the object of a pod that runs no more."""
        path = self._admin.path("v1", "Pod", namespace=key[0], name=key[1])
        with contextlib.suppress(api.ApiError):
            self._admin.request("DELETE", path, body={"gracePeriodSeconds": 0})


def _containers(item: api.Object) -> list[api.Object]:
    """The containers of a pod that go on: sidecars first."""
    sidecars = [
        one
        for one in item["spec"].get("initContainers", [])
        if one.get("restartPolicy") == "Always"
    ]
    return [*sidecars, *item["spec"]["containers"]]


def _expanded(text: str, values: Mapping[str, str]) -> str:
    """A text with $(NAME) replaced, as in a container's arguments."""
    return re.sub(r"\$\((\w+)\)", lambda match: values.get(match[1], match[0]), text)


def _pre_stop(container: api.Object) -> float:
    """Seconds that a container's preStop sleeps; other hooks are left out."""
    hook = container.get("lifecycle", {}).get("preStop", {})
    return float(hook.get("sleep", {}).get("seconds", 0))


def _answers(pod: Pod, container: api.Object) -> bool:
    """Whether a container's HTTP readiness probe succeeds; true without one."""
    probe = (container.get("readinessProbe") or {}).get("httpGet")
    if probe is None:
        return True
    port = probe["port"]
    if isinstance(port, str):
        (port,) = [one["containerPort"] for one in container["ports"] if one["name"] == port]
    timeout = container["readinessProbe"].get("timeoutSeconds", _TIMEOUT_SECONDS)
    connection = http.client.HTTPConnection(pod.address, port, timeout=timeout)
    with contextlib.closing(connection):
        try:
            connection.request("GET", probe["path"])
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
