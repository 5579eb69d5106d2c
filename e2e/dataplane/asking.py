"""Requests as callers of the gateway send them."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import http.client
import json
import threading
import time
import typing
from collections.abc import Iterator, Mapping, Sequence

from e2e.controlplane import api, polling

_SECONDS = 240
# From the first answer of a claim's pods to an answer by way of the gateway, on a busy machine.
_SERVED_SECONDS = 150
# Eight tokens in about four seconds.
STREAM: Mapping[str, typing.Any] = {
    "tokens": 8,
    "stream": True,
    "headers": {"X-Stand-In": "tokenSeconds=0.5"},
}


@dataclasses.dataclass
class Answer:
    """What came of a request.

    Attributes:
        status: The status; 0 when the connection broke before there was one.
        headers: The headers, by lower-case name.
        text: The body as far as it came.
        events: When each event of a stream came, in seconds from the request, with its data.
        seconds: How long it all took.
        broken: Why the body did not come to its end; empty when it did.
    """

    status: int = 0
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    text: str = ""
    events: list[tuple[float, str]] = dataclasses.field(default_factory=list)
    seconds: float = 0
    broken: str = ""

    @property
    def whole(self) -> bool:
        """Whether all of it came; a stream that is cut ends without its last event."""
        streamed = self.headers.get("content-type", "").startswith("text/event-stream")
        ended = not streamed or [data for _, data in self.events[-1:]] == ["[DONE]"]
        return self.status == http.HTTPStatus.OK and not self.broken and ended

    @property
    def engine(self) -> str:
        """The pod of the engine that answered."""
        return self.headers.get("x-engine", "")

    @property
    def content(self) -> api.Object:
        """The body, read as JSON."""
        return typing.cast("api.Object", json.loads(self.text))

    def __str__(self) -> str:
        return f"{self.status} {self.text[:300]} {self.broken} after {self.seconds:.1f} s"


class Caller:
    """Somebody who knows the gateway's address.

    Attributes:
        address: Host and port.
    """

    def __init__(self, host: str, port: int) -> None:
        """Address it."""
        self.address = (host, port)

    def ask(
        self,
        model: str,
        *,
        tokens: int = 1,
        stream: bool = False,
        padding: int = 0,
        headers: Mapping[str, str] | None = None,
        timeout: float = _SECONDS,
        **more: object,
    ) -> Answer:
        """Send one chat request on a connection of its own.

        Args:
            model: Its model.
            tokens: How many tokens to ask for.
            stream: Whether to ask for a stream.
            padding: Bytes by which the body is longer, in what is no part of the prompt.
            headers: More headers.
            timeout: Seconds without a byte until the caller gives up.
            more: More fields of the body.
        """
        body = {
            "model": model,
            "messages": [{"role": "user", "content": "hello"}],
            "max_tokens": tokens,
            "stream": stream,
            "metadata": {"padding": "x" * padding},
            **more,
        }
        return self.send("POST", "/v1/chat/completions", json.dumps(body), headers, timeout)

    def send(
        self,
        method: str,
        path: str,
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = _SECONDS,
    ) -> Answer:
        """Send one request and read its answer to the end."""
        answer = Answer()
        begun = time.monotonic()
        connection = http.client.HTTPConnection(*self.address, timeout=timeout)
        with contextlib.closing(connection):
            try:
                given = {"Content-Type": "application/json", **(headers or {})}
                connection.request(method, path, body, given)
                response = connection.getresponse()
                answer.status = response.status
                answer.headers = {name.lower(): value for name, value in response.getheaders()}
                self._read(response, answer, begun)
            except (OSError, http.client.HTTPException) as error:
                answer.broken = repr(error)
        answer.seconds = time.monotonic() - begun
        return answer

    @staticmethod
    def _read(response: http.client.HTTPResponse, answer: Answer, begun: float) -> None:
        while line := response.readline():
            text = line.decode()
            answer.text += text
            if text.startswith("data: "):
                data = text.removeprefix("data: ").strip()
                answer.events.append((time.monotonic() - begun, data))

    def models(self) -> set[str]:
        """The names that the gateway lists; none while it answers 500, as a route comes."""
        answer = self.send("GET", "/v1/models")
        if answer.status != http.HTTPStatus.OK:
            return set()
        return {one["id"] for one in answer.content["data"]}

    def wait(self, model: str) -> None:
        """Wait until a model is answered.

        Raises:
            TimeoutError: It was not in time.
        """
        polling.until(
            lambda: self.ask(model, timeout=10).status == http.HTTPStatus.OK,
            what=f"an answer by {model}",
            timeout=_SERVED_SECONDS,
        )

    def ask_often(self, count: int, model: str, *, at_once: int = 4, **how: typing.Any) -> Answers:
        """Send a number of requests, some at the same time."""
        with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(lambda _: self.ask(model, **how), range(count)))

    @contextlib.contextmanager
    def load(self, clients: int, model: str, **how: typing.Any) -> Iterator[list[Answer]]:
        """Have clients that ask again and again, and the answers so far; all of them at the end."""
        answers: list[Answer] = []
        over = threading.Event()

        def client() -> None:
            while not over.is_set():
                answers.append(self.ask(model, **how))

        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            running = [pool.submit(client) for _ in range(clients)]
            try:
                yield answers
            finally:
                over.set()
        for one in running:
            one.result()


def assert_whole(answers: Sequence[Answer]) -> None:
    """Fail unless every answer came to its end."""
    lost = collections.Counter(str(one) for one in answers if not one.whole)
    assert not lost, f"{sum(lost.values())} of {len(answers)}: {lost}"


Answers: typing.TypeAlias = Sequence[Answer]
