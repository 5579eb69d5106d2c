"""A rolling update as the Deployment's controller does it, on a node with few GPUs."""

from __future__ import annotations

import asyncio

from e2e.controlplane import api
from e2e.drain import clock as clocks
from e2e.drain import kubelet as kubelets

# Seconds of the cluster for any one step; more than start and grace period together.
PATIENCE = 900


class Rollout:
    """A Deployment's pods, replaced by its own strategy."""

    def __init__(
        self,
        deployment: api.Object,
        replicas: int,
        clock: clocks.Clock,
        kubelet: kubelets.Kubelet,
    ) -> None:
        """Describe it; nothing runs yet.

        Args:
            deployment: The rendered Deployment.
            replicas: How many pods the scaler wants.
            clock: How fast time passes.
            kubelet: Where the pods run.
        """
        self._template = deployment["spec"]["template"]
        self._replicas = replicas
        strategy = deployment["spec"]["strategy"]
        update = strategy.get("rollingUpdate", {})
        # Recreate deletes all old pods and starts new ones when those are gone.
        self._surge = update.get("maxSurge", 0)
        self._unavailable = update.get("maxUnavailable", replicas)
        self._clock = clock
        self._kubelet = kubelet
        self._deletions: list[asyncio.Task[None]] = []
        self.old: list[kubelets.Pod] = []
        self.new: list[kubelets.Pod] = []

    def endpoints(self) -> frozenset[int]:
        """The ports of the pods that the API lists as ready endpoints now."""
        return frozenset(pod.port for pod in self.serving())

    def serving(self) -> list[kubelets.Pod]:
        """Those pods, the newest last."""
        return [pod for pod in (*self.old, *self.new) if pod.serving]

    async def start(self) -> None:
        """Start the old pods and wait until all are ready."""
        for number in range(self._replicas):
            self.old.append(await self._kubelet.start(f"old-{number}", self._template))
        await self._clock.until(
            lambda: all(pod.ready for pod in self.old), what="the old pods", timeout=PATIENCE
        )

    async def update(self) -> None:
        """Replace every pod, and return when the last old one has ended."""
        while len(self.new) < self._replicas or any(pod.deleted is None for pod in self.old):
            remaining = [pod for pod in self.old if pod.deleted is None]
            # A pod that drains still holds its GPU: a new one waits for it as Pending.
            holding = [pod for pod in self.old if pod.status is None]
            if (
                len(self.new) < self._replicas
                and len(remaining) + len(self.new) < self._replicas + self._surge
                and len(holding) + len(self.new) < self._replicas + self._surge
            ):
                name = f"new-{len(self.new)}"
                self.new.append(await self._kubelet.start(name, self._template))
            elif remaining and len(self.serving()) > self._replicas - self._unavailable:
                deletion = asyncio.create_task(self._kubelet.delete(remaining[0]))
                self._deletions.append(deletion)
                await asyncio.sleep(0)
            await self._clock.sleep(0.5)
        await asyncio.gather(*self._deletions)
        await self._clock.until(
            lambda: all(pod.ready for pod in self.new), what="the new pods", timeout=PATIENCE
        )
