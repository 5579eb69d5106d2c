"""Time made shorter: every duration of the rendered objects is divided by one factor."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Clock:
    """Seconds of the cluster, in less of ours.

    Attributes:
        speed: How many seconds of the cluster pass in one of ours.
    """

    speed: float

    def now(self) -> float:
        """Seconds of the cluster since some moment."""
        return asyncio.get_running_loop().time() * self.speed

    async def sleep(self, seconds: float) -> None:
        """Wait for seconds of the cluster."""
        await asyncio.sleep(seconds / self.speed)

    async def until(self, probe: Callable[[], bool], *, what: str, timeout: float) -> None:
        """Wait until something holds.

        Args:
            probe: What to look at.
            what: What is waited for, for the message.
            timeout: Seconds of the cluster after which to give up.

        Raises:
            TimeoutError: It never held.
        """
        deadline = self.now() + timeout
        while not probe():
            if self.now() > deadline:
                message = f"waited {timeout:g} s for {what}"
                raise TimeoutError(message)
            await self.sleep(0.25)
