"""A ClusterIP, as kube-proxy does it: a new connection chooses a pod, and stays with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from e2e.drain import clock as clocks
from e2e.drain import kubelet as kubelets


class Service:
    """An address that refuses connections while no pod is ready, and else hands them on.

    kube-proxy rejects where there is no endpoint, chooses one at random where there are several,
    and forgets no TCP connection when its endpoint goes (pkg/proxy/iptables). Here the newest is
    chosen: no connection that is made during an update goes to a pod that is about to leave.
    """

    def __init__(
        self,
        address: str,
        port: int,
        serving: Callable[[], Sequence[kubelets.Pod]],
        clock: clocks.Clock,
    ) -> None:
        """Describe it.

        Args:
            address: The ClusterIP.
            port: What it listens on, and its pods.
            serving: The ready pods, the newest last.
            clock: How fast time passes.
        """
        self.address = address
        self._port = port
        self._serving = serving
        self._clock = clock
        self._following: asyncio.Task[None] | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Follow the pods."""
        self._following = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Cut every connection."""
        tasks = [*self._connections, *([self._following] if self._following else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self) -> None:
        server: asyncio.Server | None = None
        try:
            while True:
                ready = bool(self._serving())
                if ready and server is None:
                    server = await asyncio.start_server(self._accepted, self.address, self._port)
                elif not ready and server is not None:
                    server.close()
                    server = None
                await self._clock.sleep(0.2)
        finally:
            if server is not None:
                server.close()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with contextlib.closing(writer):
                await self._connect(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # Either side went away, or the test is over.
        finally:
            self._connections.discard(task)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pods = self._serving()
        if not pods:
            return
        there = await asyncio.open_connection(pods[-1].address, pods[-1].port)
        with contextlib.closing(there[1]):
            halves = [_copy(reader, there[1]), _copy(there[0], writer)]
            tasks = [asyncio.create_task(half) for half in halves]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while part := await reader.read(1 << 16):
        writer.write(part)
        await writer.drain()
