"""Clients, and a model of a gateway that learns of a change of the pods as late as possible.

Envoy asks DNS at the rendered refresh rate. The cluster's DNS repeats an answer for the record's
time to live. Requests in flight stay on their pod when the pod leaves the endpoints.
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
        tokens: How many tokens the client asked for.
        port: The port of the pod that took the request.
        begun: When the client sent the request, in seconds of the cluster.
        answered: When the first token came.
        ended: When the last byte came, or the connection ended.
        received: How many tokens came.
        done: Whether the stream came to its end.
        problem: Why the stream did not come to its end, in a word or two.
        text: The body of an answer whose status is not 200.
        upstream: Address and port of the pod, from a proxy's header ``x-upstream``.
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
    """Spreads requests over the pods in the latest answer of DNS."""

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
            endpoints: Returns the ports of the pods that the API lists now.
            clock: How fast time passes.
            refresh: Seconds between two questions to DNS.
            record: Seconds for which DNS repeats an answer.
            retries: How many other pods the gateway tries after a refused connection.
            model: The model that clients ask for.
        """
        self._endpoints = endpoints
        self._clock = clock
        self._delay = WATCH_SECONDS + record + refresh
        self._retries = retries
        self._model = model
        self._ports: frozenset[int] = frozenset()
        self._active: collections.Counter[int] = collections.Counter()
        self.requests: list[Request] = []

    async def resolve(self) -> None:
        """Follow the endpoints for ever, and take each change as late as Envoy may learn of it.

        Envoy learns of a change last if the DNS server filled its cache just before its watch
        brought the change, and if Envoy asked just before the record's end.
        """
        history: collections.deque[tuple[float, frozenset[int]]] = collections.deque()
        while True:
            now = self._clock.now()
            history.append((now, self._endpoints()))
            while len(history) > 1 and history[1][0] <= now - self._delay:
                history.popleft()
            # Envoy drops its last host too when DNS answers with no address (e2e/test_gateway.py).
            self._ports = history[0][1]
            await self._clock.sleep(0.2)

    async def send(self, tokens: int) -> Request:
        """Send a request and read its stream to the end."""
        request = Request(tokens, begun=self._clock.now())
        self.requests.append(request)
        tried: set[int] = set()
        for _ in range(1 + self._retries):
            if not self._ports:
                request.problem = "no healthy upstream"
                break
            # The pod with the fewest requests; one that refused only if all pods refused.
            request.port = min(
                self._ports - tried or self._ports, key=lambda port: (self._active[port], port)
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
    """Send a request to a port once, and read the answer into the request.

    Args:
        request: Holds the port and the number of tokens, and receives the answer.
        model: The served name, in the body and in the header by which an AI gateway routes.
        clock: The cluster's clock.
        padding: How many bytes of white space to append to the body.

    Raises:
        ConnectionRefusedError: The port refused the connection.
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
    """Read an answer up to its last event; a proxy may keep the connection open after that."""
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
            # Under load an event may hold several tokens. The usage at the end corrects the count.
            request.received += 1
