"""Clients behind a gateway that learns late which pods there are.

Envoy asks DNS at the rendered refresh rate, and the cluster's DNS repeats an answer for the
record's time to live. Requests in flight stay on a pod that left.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import json
from collections.abc import Callable

from e2e.drain import clock as clocks

# Seconds: from the API to the DNS server's watch (a generous guess), and the time to live that
# CoreDNS gives to records of the cluster unless its configuration says otherwise (coredns.io,
# plugin kubernetes, ttl).
WATCH_SECONDS = 1.0
RECORD_SECONDS = 5.0


@dataclasses.dataclass
class Request:
    """One request and what became of it.

    Attributes:
        tokens: How many it asked for.
        port: The pod that took it.
        begun: When it was sent, in seconds of the cluster.
        ended: When its last byte came, or the connection ended.
        received: How many tokens came.
        done: Whether the stream came to its end.
        problem: Why not, in a word or two.
        refused: How many pods refused the connection before one took it.
    """

    tokens: int
    port: int = 0
    begun: float = 0
    ended: float = 0
    received: int = 0
    done: bool = False
    problem: str = ""
    refused: int = 0


class Gateway:
    """Spreads requests over the pods that it knows."""

    def __init__(
        self,
        endpoints: Callable[[], frozenset[int]],
        clock: clocks.Clock,
        *,
        refresh: float,
        record: float,
        retries: int,
        model: str,
    ) -> None:
        """Describe it.

        Args:
            endpoints: What the API lists now.
            clock: How fast time passes.
            refresh: Seconds between two questions to DNS.
            record: Seconds for which DNS repeats an answer.
            retries: On how many other pods a refused connection is tried.
            model: What clients ask for.
        """
        self._endpoints = endpoints
        self._clock = clock
        self._delay = WATCH_SECONDS + record + refresh
        self._retries = retries
        self._model = model
        self._known: frozenset[int] = frozenset()
        self._active: collections.Counter[int] = collections.Counter()
        self.requests: list[Request] = []

    async def resolve(self) -> None:
        """Follow the endpoints, for ever, each change as late as it can arrive.

        That is when DNS filled its cache just before the change was seen, and Envoy asked just
        before the record's end.
        """
        seen: collections.deque[tuple[float, frozenset[int]]] = collections.deque()
        while True:
            now = self._clock.now()
            seen.append((now, self._endpoints()))
            while len(seen) > 1 and seen[1][0] <= now - self._delay:
                seen.popleft()
            # Envoy keeps the hosts that it has when an answer is empty.
            self._known = seen[0][1] or self._known
            await self._clock.sleep(0.2)

    async def send(self, tokens: int) -> Request:
        """Send a request and read its stream to the end."""
        request = Request(tokens, begun=self._clock.now())
        self.requests.append(request)
        tried: set[int] = set()
        for _ in range(1 + self._retries):
            # Least-request; another pod than the one that refused, where there is one.
            request.port = min(
                self._known - tried or self._known, key=lambda port: (self._active[port], port)
            )
            self._active[request.port] += 1
            try:
                await self._attempt(request)
                break
            except ConnectionRefusedError:
                request.refused += 1
                request.problem = "refused"
                tried.add(request.port)
            finally:
                self._active[request.port] -= 1
        request.ended = self._clock.now()
        return request

    async def _attempt(self, request: Request) -> None:
        """Try one pod.

        Raises:
            ConnectionRefusedError: It did not take the connection.
        """
        reader, writer = await asyncio.open_connection("127.0.0.1", request.port)
        with contextlib.closing(writer):
            body = json.dumps(
                {
                    "model": self._model,
                    "prompt": [1, 2, 3],
                    "max_tokens": request.tokens,
                    "stream": True,
                    "stream_options": {"include_usage": True},
                    "ignore_eos": True,
                }
            ).encode()
            head = (
                "POST /v1/completions HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            try:
                writer.write(head.encode() + body)
                await self._read(reader, request)
            except OSError:
                request.problem = "connection lost"

    async def _read(self, reader: asyncio.StreamReader, request: Request) -> None:
        status = (await reader.readline()).split(b" ")
        if status[1:2] != [b"200"]:
            request.problem = f"status {status[1].decode()}" if status[1:2] else "no answer"
            return
        request.problem = "cut"
        while line := await reader.readline():
            if line.startswith(b"data: [DONE]"):
                request.done, request.problem = True, ""
            elif line.startswith(b'data: {"error"'):
                request.problem = "error"
                return
            elif b'"completion_tokens"' in line:
                usage = json.loads(line.removeprefix(b"data: "))["usage"]
                request.received = usage["completion_tokens"]
            elif line.startswith(b"data: {"):
                # One token, or several at once under load: the end says how many they were.
                request.received += 1
