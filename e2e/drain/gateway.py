"""Clients, and a model of a gateway that learns late which pods there are.

Envoy asks DNS at the rendered refresh rate, and the cluster's DNS repeats an answer for the
record's time to live. Requests in flight stay on a pod that left.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import json
import math
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
        answered: When its first token came.
        ended: When its last byte came, or the connection ended.
        received: How many tokens came.
        done: Whether the stream came to its end.
        problem: Why not, in a word or two.
        text: What was said instead of an answer.
        upstream: Address and port of the pod, where a proxy says them (``x-upstream``).
        refused: How many pods refused the connection before one took it.
    """

    tokens: int
    port: int = 0
    begun: float = 0
    answered: float = math.inf
    ended: float = 0
    received: int = 0
    done: bool = False
    problem: str = ""
    text: str = ""
    upstream: str = ""
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
            # An empty answer takes the last host too (e2e/test_gateway.py).
            self._known = seen[0][1]
            await self._clock.sleep(0.2)

    async def send(self, tokens: int) -> Request:
        """Send a request and read its stream to the end."""
        request = Request(tokens, begun=self._clock.now())
        self.requests.append(request)
        tried: set[int] = set()
        for _ in range(1 + self._retries):
            if not self._known:
                request.problem = "no healthy upstream"
                break
            # Least-request; another pod than the one that refused, where there is one.
            request.port = min(
                self._known - tried or self._known, key=lambda port: (self._active[port], port)
            )
            self._active[request.port] += 1
            try:
                await ask(request, self._model, self._clock)
                break
            except ConnectionRefusedError:
                request.refused += 1
                request.problem = "refused"
                tried.add(request.port)
            finally:
                self._active[request.port] -= 1
        request.ended = self._clock.now()
        return request


async def ask(request: Request, model: str, clock: clocks.Clock, *, padding: int = 0) -> None:
    """Try once.

    Args:
        request: What to ask for, and of which port; becomes what was answered.
        model: The served name, in the body and in the header by which an AI gateway routes.
        clock: Of the cluster.
        padding: Bytes by which the body is longer than need be.

    Raises:
        ConnectionRefusedError: The connection was not taken.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", request.port)
    with contextlib.closing(writer):
        body = json.dumps(
            {
                "model": model,
                "prompt": [1, 2, 3],
                "max_tokens": request.tokens,
                "stream": True,
                "stream_options": {"include_usage": True},
                "ignore_eos": True,
            }
        ).encode()
        body += b" " * padding
        head = (
            "POST /v1/completions HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n"
            f"x-ai-eg-model: {model}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            writer.write(head.encode() + body)
            await _read(reader, request, clock)
        except OSError:
            request.problem = "connection lost"


async def _read(reader: asyncio.StreamReader, request: Request, clock: clocks.Clock) -> None:
    """Read an answer, but not to the end of its connection: a proxy may keep that for a while."""
    status = (await reader.readline()).split(b" ")
    length = 0
    while (line := await reader.readline()).strip():
        name, _, value = line.partition(b":")
        if name.lower() == b"x-upstream":
            request.upstream = value.strip().decode()
        elif name.lower() == b"content-length":
            length = int(value)
    if status[1:2] != [b"200"]:
        request.problem = f"status {status[1].decode()}" if status[1:2] else "no answer"
        request.text = (await reader.read(length)).decode(errors="replace").strip()
        return
    request.problem = "cut"
    while line := await reader.readline():
        if line.startswith(b"data: [DONE]"):
            request.done, request.problem = True, ""
            return
        if line.startswith(b'data: {"error"'):
            request.problem = "error"
            return
        if b'"completion_tokens"' in line:
            usage = json.loads(line.removeprefix(b"data: "))["usage"]
            request.received = usage["completion_tokens"]
        elif line.startswith(b"data: {"):
            request.answered = min(request.answered, clock.now())
            # One token, or several at once under load: the end says how many they were.
            request.received += 1
