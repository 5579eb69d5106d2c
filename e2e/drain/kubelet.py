"""What a kubelet does with the pods of a Deployment, from start to SIGKILL.

Of the rendered pod spec this kubelet follows the arguments, the HTTP probes, preStop, and the grace
period. The grace period begins with the deletion and includes preStop (kubernetes.io/docs, Pod
Lifecycle, Termination of Pods).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import pathlib
import signal
from collections.abc import Callable, Sequence

from e2e.controlplane import api, keeper, process
from e2e.drain import clock as clocks

# Seconds from SIGTERM to SIGKILL if preStop used up the grace period (pkg/kubelet/kuberuntime,
# minimumGracePeriodInSeconds).
LEAST_GRACE = 2


@dataclasses.dataclass
class Pod:
    """One pod; its container is a process of this machine.

    Attributes:
        name: For messages and the log.
        template: The rendered pod template.
        address: Its own address, one of the loopback network's.
        port: Where its container listens.
        ready: Whether the readiness probe succeeds.
        deleted: When its deletion was asked for, in seconds of the cluster.
        terminated: When SIGTERM was sent.
        ended: When its process ended.
        killed: Whether SIGKILL ended it.
        status: Its exit status, once it ended.
    """

    name: str
    template: api.Object
    address: str
    port: int
    ready: bool = False
    deleted: float | None = None
    terminated: float | None = None
    ended: float | None = None
    killed: bool = False
    status: int | None = None

    @property
    def container(self) -> api.Object:
        """Its only container."""
        (container,) = self.template["spec"]["containers"]
        assert isinstance(container, dict)
        return container

    @property
    def serving(self) -> bool:
        """Whether it is an endpoint: ready, and nobody asked for its deletion."""
        return self.ready and self.deleted is None


Command = Callable[[Pod], Sequence[str]]
Place = Callable[[], tuple[str, int]]


def _anywhere() -> tuple[str, int]:
    return "127.0.0.1", process.free_ports(1)[0]


class Kubelet:
    """Runs pods."""

    def __init__(
        self,
        clock: clocks.Clock,
        command: Command,
        logs: pathlib.Path,
        place: Place = _anywhere,
    ) -> None:
        """Describe the node.

        Args:
            clock: How fast time passes.
            command: The program and arguments of a pod's container.
            logs: Directory of the containers' output.
            place: Address and port of the next pod.
        """
        self._place = place
        self._clock = clock
        self._command = command
        self._logs = logs
        self._children: dict[str, asyncio.subprocess.Process] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, name: str, template: api.Object) -> Pod:
        """Start a pod; it becomes ready by its probes."""
        pod = Pod(name, template, *self._place())
        with (self._logs / f"{name}.log").open("ab") as log:
            child = await asyncio.create_subprocess_exec(
                *self._command(pod), stdout=log, stderr=log
            )
        keeper.keep(child.pid)
        self._children[name] = child
        self._tasks += [asyncio.create_task(self._probe(pod)), asyncio.create_task(self._reap(pod))]
        return pod

    async def delete(self, pod: Pod) -> None:
        """Delete a pod as the API does: endpoints lose it now, the container after preStop.

        Returns when the container has ended.
        """
        pod.deleted = self._clock.now()
        child = self._children[pod.name]
        spent = await self._pre_stop(pod)
        pod.terminated = self._clock.now()
        child.send_signal(signal.SIGTERM)
        grace = pod.template["spec"]["terminationGracePeriodSeconds"] - spent
        try:
            await asyncio.wait_for(child.wait(), max(grace, LEAST_GRACE) / self._clock.speed)
        except TimeoutError:
            pod.killed = True
            child.kill()
            await child.wait()

    async def _pre_stop(self, pod: Pod) -> float:
        """Run the hook and return how much of the grace period it took."""
        hook = pod.container.get("lifecycle", {}).get("preStop")
        if hook is None:
            return 0
        # Any other hook would need its own implementation: then this fails.
        seconds = min(
            hook["sleep"]["seconds"], pod.template["spec"]["terminationGracePeriodSeconds"]
        )
        await self._clock.sleep(seconds)
        return float(seconds)

    async def _reap(self, pod: Pod) -> None:
        pod.status = await self._children[pod.name].wait()
        pod.ended = self._clock.now()
        pod.ready = False

    async def _probe(self, pod: Pod) -> None:
        """Gate readiness by the startup probe; liveness is not what is tried here."""
        startup, readiness = (pod.container[f"{kind}Probe"] for kind in ("startup", "readiness"))
        for _ in range(startup["failureThreshold"]):
            if await self._healthy(pod, startup):
                break
            await self._clock.sleep(startup["periodSeconds"])
        failures = 0
        while pod.status is None:
            failures = 0 if await self._healthy(pod, readiness) else failures + 1
            pod.ready = failures < readiness["failureThreshold"] and (pod.ready or not failures)
            await self._clock.sleep(readiness["periodSeconds"])
        pod.ready = False

    async def _healthy(self, pod: Pod, probe: api.Object) -> bool:
        """Ask once; a connection that is refused or takes too long is a failure.

        The probe's own time-out is not made shorter: this machine does not answer faster.
        """
        try:
            async with asyncio.timeout(probe["timeoutSeconds"]):
                reader, writer = await asyncio.open_connection(pod.address, pod.port)
                with contextlib.closing(writer):
                    path = probe["httpGet"]["path"]
                    head = f"GET {path} HTTP/1.1\r\nHost: {pod.name}\r\nConnection: close\r\n\r\n"
                    writer.write(head.encode())
                    status = await reader.readline()
        except (OSError, TimeoutError):
            return False
        return status.startswith(b"HTTP/1.1 200 ")

    async def close(self) -> None:
        """Stop everything that still runs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for child in self._children.values():
            if child.returncode is None:
                child.kill()
                await child.wait()
