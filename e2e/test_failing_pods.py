"""What a real Envoy does when pods die, hang or are full, with the rendered objects.

As in ``test_gateway.py`` the clusters and routes are those that Envoy Gateway would generate, and
its controllers do not run. Pods are small servers on loopback addresses.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import http.client
import pathlib
import time
from collections.abc import AsyncIterator

import pytest

from e2e.drain import clock as clocks
from e2e.drain import kubelet as kubelets
from e2e.gateway import stage
from tests import cluster
from tests.resources import scene

SPEED = 3
PATIENCE_SECONDS = 180
# Seconds of the cluster until a pod that hangs is left: two checks that nobody answers. Until their
# cluster had a request Envoy checks pods once a minute.
LEFT_SECONDS = 20
UNUSED_SECONDS = 65
ENGINE = {"version": "0.32.0"}
OTHER = {
    **scene.of(name="other", gateway={"enabled": True}, scaling={"maxReplicas": 2}),
    "status": {"phase": "Serving"},
}


@dataclasses.dataclass
class Pod:
    """A server that answers as an engine does.

    Attributes:
        name: What its answers say.
        address: Where it listens.
        full: Whether it refuses requests, as an engine does whose queue is full.
        hangs: Whether it takes connections and answers nothing.
    """

    name: str
    address: str
    full: bool = False
    hangs: bool = False
    _open: set[asyncio.Task[None]] = dataclasses.field(default_factory=set)
    _server: asyncio.Server | None = None

    async def start(self, port: int) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accepted, self.address, port)

    async def die(self) -> None:
        """End at once, with every connection."""
        if self._server is not None:
            self._server.close()
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(EOFError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                while self.hangs:
                    await asyncio.sleep(0.1)
                refuses = self.full and b" /health " not in head
                status = b"503 Service Unavailable" if refuses else b"200 OK"
                body = self.name.encode()
                writer.write(
                    b"HTTP/1.1 %b\r\nserver: uvicorn\r\ncontent-length: %d\r\n\r\n%b"
                    % (status, len(body), body)
                )
                await writer.drain()

    def ready(self, port: int) -> kubelets.Pod:
        """The pod as the cluster lists it."""
        return kubelets.Pod(self.name, {}, self.address, port)


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer of the gateway: status, body, header ``retry-after`` and seconds of the cluster."""

    status: int
    body: str
    retry_after: str | None
    seconds: float


def _ask(port: int, model: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    begun = time.monotonic()
    with contextlib.closing(connection):
        connection.request("GET", "/v1/models", headers={"x-ai-eg-model": model})
        answer = connection.getresponse()
        body = answer.read().decode()
    seconds = (time.monotonic() - begun) * SPEED
    return Answer(answer.status, body, answer.getheader("retry-after"), seconds)


def _claim(name: str, *, fallback: bool) -> stage.Claim:
    gateway: cluster.Object = {"enabled": True}
    if fallback:
        gateway["fallback"] = {"claim": "other"}
    model = {"repository": "Qwen/Qwen3-8B", "longestQueueSeconds": 10}
    scaling = {"minReplicas": 2, "maxReplicas": 2}
    claim = scene.of(name=name, engine=ENGINE, model=model, gateway=gateway, scaling=scaling)
    world = cluster.Cluster(claim, scene.site())
    world.strangers = [OTHER]
    world.converge()
    return stage.Claim(list(world.objects.values()))


@dataclasses.dataclass
class Course:
    """The answers of one claim, by what its two pods were doing."""

    claim: stage.Claim
    pods: tuple[Pod, Pod]
    answers: dict[str, list[Answer]] = dataclasses.field(default_factory=dict)

    async def asks(self, running: stage.Stage, label: str, count: int = 10) -> None:
        """Send some requests, one after the other, and keep the answers."""
        port = running.envoy.ports["default"]
        self.answers[label] = [
            await asyncio.to_thread(_ask, port, self.claim.name) for _ in range(count)
        ]


@contextlib.asynccontextmanager
async def _stage(work: pathlib.Path, courses: list[Course]) -> AsyncIterator[stage.Stage]:
    other = Pod("other", "127.79.0.9")
    standing = stage.Claim(list(scene.serving(OTHER).objects.values()))
    claims = [*(course.claim for course in courses), standing]
    running = stage.Stage(work, clocks.Clock(SPEED), claims)
    port = running.port
    standing.pods = lambda: [other.ready(port)]
    for course in courses:
        # The cluster keeps listing pods that die here: readiness and DNS are slower than Envoy.
        listed = tuple(pod.ready(port) for pod in course.pods)
        course.claim.pods = functools.partial(tuple, listed)
    pods = [other, *(pod for course in courses for pod in course.pods)]
    for pod in pods:
        await pod.start(port)
    try:
        async with running:
            yield running
    finally:
        for pod in pods:
            await pod.die()
        # A closed connection is gone with the loop's next turn.
        await asyncio.sleep(0.1)


async def _everything(work: pathlib.Path) -> dict[str, Course]:
    names = {"alone": 1, "backed": 2}
    courses = {
        name: Course(
            _claim(name, fallback=name == "backed"),
            (Pod("first", f"127.79.{row}.1"), Pod("second", f"127.79.{row}.2")),
        )
        for name, row in names.items()
    }
    async with _stage(work, list(courses.values())) as running:
        await running.clock.sleep(10)
        await asyncio.gather(*(_fail(running, course) for course in courses.values()))
    return courses


async def _fail(running: stage.Stage, course: Course) -> None:
    """Take a claim's pods away, one fault after the other."""
    await course.asks(running, "well")
    for pod in course.pods:
        pod.full = True
    await course.asks(running, "full")
    for pod in course.pods:
        pod.full = False
    await running.clock.sleep(UNUSED_SECONDS)
    course.pods[0].hangs = True
    await running.clock.sleep(LEFT_SECONDS)
    await course.asks(running, "one hangs")
    await course.pods[0].die()
    await course.asks(running, "one is dead")
    await course.pods[1].die()
    await course.asks(running, "all are dead")


@pytest.fixture(scope="module")
def courses(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Course]:
    """Both claims on one Envoy."""
    work = tmp_path_factory.mktemp("failing-pods")
    return asyncio.run(asyncio.wait_for(_everything(work), PATIENCE_SECONDS))


def outcomes(course: Course, label: str) -> set[tuple[int, str]]:
    """Status and body of the answers."""
    return {(one.status, one.body) for one in course.answers[label]}


@pytest.mark.parametrize("name", ["alone", "backed"])
def test_healthy_pods_share_the_requests(name: str, courses: dict[str, Course]) -> None:
    """The fallback gets none while a pod of the claim is well."""
    assert outcomes(courses[name], "well") <= {(200, "first"), (200, "second")}


@pytest.mark.parametrize("name", ["alone", "backed"])
def test_a_full_queue_is_429_with_the_time_to_wait(name: str, courses: dict[str, Course]) -> None:
    """A full pod is well, so no request goes to the fallback."""
    for answer in courses[name].answers["full"]:
        assert (answer.status, answer.retry_after) == (429, "10")
        assert "queue_full" in answer.body
        assert answer.seconds < 5


@pytest.mark.parametrize("name", ["alone", "backed"])
def test_a_pod_that_hangs_is_left(name: str, courses: dict[str, Course]) -> None:
    """Two checks without an answer are enough. Of a half that is well Envoy lets 0.3 fall back."""
    allowed = {(200, "second")} | ({(200, "other")} if name == "backed" else set())
    assert (200, "second") in outcomes(courses[name], "one hangs") <= allowed


@pytest.mark.parametrize("name", ["alone", "backed"])
def test_a_pod_that_died_takes_no_request_with_it(name: str, courses: dict[str, Course]) -> None:
    """A refused connection is tried on the other pod."""
    allowed = {(200, "second")} | ({(200, "other")} if name == "backed" else set())
    assert (200, "second") in outcomes(courses[name], "one is dead") <= allowed


def test_without_a_pod_the_fallback_answers(courses: dict[str, Course]) -> None:
    """From the first request on: two tries are for the dead pods, the third is not."""
    assert outcomes(courses["backed"], "all are dead") == {(200, "other")}


def test_without_a_fallback_no_pod_is_503_and_not_429(courses: dict[str, Course]) -> None:
    """Envoy's own answer has no server of the engine's."""
    assert {one.status for one in courses["alone"].answers["all are dead"]} == {503}
