"""The connections of a run, and the cores that hash what comes over them.

Every file that is being fetched, of whichever item, is an `Attempt` here. A connection takes the
next piece of the file that fewest connections work on: as long as there are as many files as
connections, each file comes in order over one of them and its bytes are hashed as they arrive. When
fewer are left, several connections fetch pieces of one file; what arrives before the bytes in front
of it is held for the hash until these are there. What is too much to hold is read back.

Where the hub asks for less (429, 503), half as many connections begin new pieces, none for a
second, and each whole piece allows one more again.
"""

import os
import threading
import time
from collections.abc import Callable
from typing import Protocol

from preload import report, retries

MOST_HELD = 32 << 20
"""Bytes that all attempts hold between writing and hashing: half of eight pieces."""
_TICK = 0.5
"""Seconds between two looks for a connection that is silent."""
_BURST = 1.0
"""Seconds in which refusals count once, since all connections hear them together."""
_MOST_CORES = 4
"""One core hashes at least 0.4 GB/s; the network of a node has about as much for all of them."""


class Attempt(Protocol):
    """A file that is being fetched. `take` and `is_digestible` are called under `Crew.lock`."""

    workers: int
    """Connections that work on it."""

    def take(self) -> Callable[[], None] | None:
        """Return what fetches a piece that nobody fetches, if there is one."""

    def is_digestible(self) -> bool:
        """Whether bytes wait to be read back, or the end to be decided about."""

    def digest(self) -> None:
        """Hash some bytes, or decide about the end."""


class Crew:
    """Threads that fetch and hash, for as long as the context lasts.

    Args:
        connections: The most pieces that are fetched at once.
        log: Told when the hub asks for less.

    Attributes:
        lock: Guards everything that attempts and crew share.
        ended: Tells that a transfer ended.
        pulse: When something new last arrived over any connection.
        allowed: Connections that may begin a piece now.
        held: Bytes that attempts hold now.
    """

    def __init__(self, connections: int, log: report.Log) -> None:
        self.connections = connections
        self.pulse = retries.Pulse()
        self.lock = threading.Lock()
        self.ended = threading.Condition(self.lock)
        self._fetchable = threading.Condition(self.lock)
        self._digestible = threading.Condition(self.lock)
        self._log = log
        self._attempts: list[Attempt] = []
        self._busy = 0
        self.allowed = connections
        self.held = 0
        self._not_before = 0.0
        self._closed = False

    def __enter__(self) -> "Crew":
        hashers = min(len(os.sched_getaffinity(0)), _MOST_CORES) + 1
        works = [self._fetch] * self.connections + [self._digest] * hashers
        # Daemons: a thread that waits for a silent server does not keep the program from its end.
        for work in works:
            threading.Thread(target=work, name=work.__name__, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self._closed = True
            self._fetchable.notify_all()
            self._digestible.notify_all()

    def add(self, attempt: Attempt) -> None:
        """Let an attempt be worked on."""
        with self.lock:
            self._attempts.append(attempt)
            self._fetchable.notify_all()
            self._digestible.notify()

    def remove(self, attempt: Attempt) -> None:
        """Let no new work on an attempt begin."""
        with self.lock:
            if attempt in self._attempts:
                self._attempts.remove(attempt)

    def arrived(self, attempt: Attempt) -> None:
        """Look whether something of an attempt is to be hashed. Called under the lock."""
        if attempt.is_digestible():
            self._digestible.notify()

    def slow_down(self, seconds: float) -> None:
        """Begin fewer pieces at once, and none before a number of seconds is over."""
        with self.lock:
            now = time.monotonic()
            if now >= self._not_before:
                fewer = max(1, self.allowed // 2)
                if fewer < self.allowed:
                    self._log("fewer-connections", level="warning", connections=fewer)
                self.allowed = fewer
            self._not_before = max(self._not_before, now + max(seconds, _BURST))

    def _fetch(self) -> None:
        while (fetch := self._next_piece()) is not None:
            fetch()
            with self.lock:
                self._busy -= 1
                self.allowed = min(self.allowed + 1, self.connections)

    def _next_piece(self) -> Callable[[], None] | None:
        """Wait for a piece; None at the end."""
        with self.lock:
            while not self._closed:
                if self._busy < self.allowed and time.monotonic() >= self._not_before:
                    for attempt in sorted(self._attempts, key=lambda each: each.workers):
                        if (fetch := attempt.take()) is not None:
                            self._busy += 1
                            return fetch
                self._fetchable.wait(_TICK)
        return None

    def _digest(self) -> None:
        while (attempt := self._next_digestible()) is not None:
            attempt.digest()

    def _next_digestible(self) -> Attempt | None:
        with self.lock:
            while not self._closed:
                for attempt in self._attempts:
                    if attempt.is_digestible():
                        return attempt
                self._digestible.wait(_TICK)
        return None
