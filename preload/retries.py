"""What is worth another try, and for how long."""

import threading
import time

from preload import exits, report

_LONGEST_WAIT = 60.0


class TransientError(Exception):
    """An answer that may be another one a little later.

    Args:
        message: What happened, without URLs: those of the CDN carry signatures.
        retry_after: Seconds that the hub asked to wait, if it did.
        overloaded: Whether it has more to do than it can.
    """

    def __init__(
        self, message: str, retry_after: float | None = None, *, overloaded: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.overloaded = overloaded


class Pulse:
    """When something new last arrived for any of those that share it."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def beat(self) -> None:
        """Something new arrived."""
        self.last = time.monotonic()


class Patience:
    """The retry budget: how long to go on without progress, and how long to pause.

    Args:
        seconds: The budget; `progress` refills it, for all that share the pulse.
        first_wait: The first pause in seconds. Each further one is twice as long, up to a minute.
        log: Told of each pause.
        stopping: Set when nobody waits for the answer any more.
        pulse: Who waits for a turn that others have is not without progress.
    """

    def __init__(
        self,
        seconds: float,
        first_wait: float,
        log: report.Log,
        stopping: threading.Event,
        pulse: Pulse,
    ) -> None:
        self._seconds = seconds
        self._first_wait = first_wait
        self._log = log
        self._stopping = stopping
        self._pulse = pulse
        self._began = time.monotonic()
        self._tries = 0

    def progress(self) -> None:
        """Something new arrived."""
        self._pulse.beat()
        self._tries = 0

    def wait(self, error: TransientError, subject: str) -> None:
        """Pause before another try, as `pause` and `sleep` do."""
        self.sleep(self.pause(error, subject))

    def pause(self, error: TransientError, subject: str) -> float:
        """Return the seconds to wait before another try.

        Raises:
            exits.PreloadError: With `HUB_UNAVAILABLE`, when the budget is spent or would be by a
                wait that the hub itself asks for.
            exits.Stopped: Nobody waits any more.
        """
        if self._stopping.is_set():
            raise exits.Stopped
        pause = min(self._first_wait * 2.0 ** min(self._tries, 16), _LONGEST_WAIT)
        if error.retry_after is not None:
            # One second more: the hub rounds down.
            pause = max(pause, error.retry_after + 1 if error.retry_after else 0)
        since = max(self._began, self._pulse.last)
        left = since + self._seconds - time.monotonic()
        if left <= 0 or (error.retry_after is not None and pause > left):
            raise exits.PreloadError(
                exits.Exit.HUB_UNAVAILABLE,
                f"{subject}: no progress for {self._seconds:.0f} s ({self._tries + 1} tries); the "
                f"last answer: {error}. Check the hub's status, HF_ENDPOINT, proxy, CA and the "
                "Job's network policy; what was downloaded stays and the next run continues.",
            )
        self._tries += 1
        pause = min(pause, left)
        self._log("retry", level="warning", subject=subject, error=str(error), wait=round(pause, 1))
        return pause

    def sleep(self, seconds: float) -> None:
        """Wait.

        Raises:
            exits.Stopped: Nobody waits any more.
        """
        if self._stopping.wait(seconds):
            raise exits.Stopped
