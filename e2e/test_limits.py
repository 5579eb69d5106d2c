"""The function under the limits that it is shipped with, while many clients want too much of it.

A control group of the machine stands in for the kubelet's, so the kernel counts and kills as it
does there. The server's pages are counted from its first instruction on.
"""

# grpc has no annotations.
# mypy: allow-untyped-calls

from __future__ import annotations

import concurrent.futures
import contextlib
import pathlib
import resource
import socket
import statistics
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from e2e.controlplane import api
from function.capacity import quantity
from function.server import intake
from tests.bench import requests
from tests.server import process

CONNECTIONS = 10_000
# Bytes of what claims hold beside an example's own, up to what is read and beyond it.
SIZES = (
    *(1024, 16 * 1024, 60 * 1024, 64 * 1024, 128 * 1024, 200 * 1024, 250 * 1024),
    *(260 * 1024, 1024 * 1024, 3 * 1024 * 1024),
)
CLAIMS = 400
CLIENTS = 8
# Core gives a function 10 seconds by default, and a claim here has to wait for eight others.
MOST_SECONDS = 10.0
_GROUPS = pathlib.Path("/sys/fs/cgroup")
_RUNTIME = process.ROOT / "examples/runtime/deploymentruntimeconfig.yaml"


class Group:
    """A control group with a limit of memory; of either version of the kernel's interface."""

    def __init__(self, most_bytes: int) -> None:
        name = f"inference-service-{uuid.uuid4().hex[:8]}"
        unified = (_GROUPS / "cgroup.controllers").exists()
        self.path = (_GROUPS if unified else _GROUPS / "memory") / name
        self._peak = "memory.peak" if unified else "memory.max_usage_in_bytes"
        self._events = "memory.events" if unified else "memory.oom_control"
        self._limit = "memory.max" if unified else "memory.limit_in_bytes"
        try:
            self.path.mkdir()
            self._write(self._limit, most_bytes)
            swap = "memory.swap.max" if unified else "memory.memsw.limit_in_bytes"
            with contextlib.suppress(OSError):  # Not every kernel counts swap.
                self._write(swap, 0 if unified else most_bytes)
        except OSError as error:
            raise AssertionError(
                f"no control group can limit memory here ({error}): run as root, where"
                f" {self.path.parent} can be written and has the controller memory"
            ) from error

    def _write(self, file: str, value: int) -> None:
        (self.path / file).write_text(str(value))

    @property
    def limit(self) -> int:
        """Bytes at most, as the kernel took them."""
        return int((self.path / self._limit).read_text())

    @property
    def peak(self) -> int:
        """Bytes that were used at most."""
        return int((self.path / self._peak).read_text())

    @property
    def kills(self) -> int:
        """Processes that the kernel killed because there was no memory."""
        counts = dict(line.split() for line in (self.path / self._events).read_text().splitlines())
        return int(counts["oom_kill"])

    def remove(self) -> None:
        """Removes the group; its processes have ended."""
        self.path.rmdir()


def shipped_memory() -> int:
    """Returns the limit of the function's memory in bytes, as the example has it."""
    (document,) = api.load(_RUNTIME)
    (container,) = document["spec"]["deploymentTemplate"]["spec"]["template"]["spec"]["containers"]
    return int(quantity.parse(container["resources"]["limits"]["memory"]))


@pytest.fixture
def group() -> Iterator[Group]:
    """A control group of the shipped limits."""
    made = Group(shipped_memory())
    yield made
    made.remove()


@contextlib.contextmanager
def limited(group: Group) -> Iterator[process.Running]:
    """Runs the function in a group for a block, with the environment of its image."""
    started = process.start(
        "--insecure",
        command=("sh", "-c", f'echo $$ > {group.path}/cgroup.procs; exec "$@"', "sh"),
        MALLOC_ARENA_MAX="1",
    )
    try:
        yield process.Running(started)
    finally:
        if started.poll() is None:
            started.kill()
        started.wait(process.STOP_SECONDS)
        assert started.stdout is not None
        started.stdout.close()


def padded(size: int, number: int) -> fnv1.RunFunctionRequest:
    """Returns the first reconcile of a claim that holds so many bytes more."""
    asked = requests.first()
    claim: Any = asked.observed.composite.resource
    claim["metadata"]["name"] = f"claim-{number}"
    claim["metadata"]["annotations"] = {
        f"example.org/{index}": f"{index:01000}" for index in range(size // 1024)
    }
    return asked


@contextlib.contextmanager
def silent(address: str) -> Iterator[int]:
    """Keeps connections open for a block that say nothing; yields how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + 1000
    assert hard == resource.RLIM_INFINITY or hard >= wanted, f"ulimit -Hn is below {wanted}"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    host, _, port = address.rpartition(":")
    with contextlib.ExitStack() as opened:
        for _ in range(CONNECTIONS):
            opened.enter_context(socket.create_connection((host, int(port)), process.CALL_SECONDS))
        yield CONNECTIONS
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_crowd_and_claims_of_every_size_within_the_shipped_memory(group: Group) -> None:
    """The function answers a usual claim all the time, and is not killed."""
    usual = requests.first()
    waits: list[float] = []
    outcomes = {"read": 0, "refused": 0}

    def ask(stub: Any, number: int) -> None:
        size = SIZES[number % len(SIZES)]
        rsp = stub.RunFunction(padded(size, number), timeout=60)
        refused = [r.message for r in rsp.results if r.severity == fnv1.SEVERITY_FATAL]
        too_large = size > intake.MOST_WRITTEN
        assert bool(refused) == too_large, (size, refused)
        assert all("at most 256 KiB are read" in message for message in refused), refused
        outcomes["refused" if too_large else "read"] += 1

    with limited(group) as server, contextlib.ExitStack() as opened:
        assert group.limit == shipped_memory()
        # As core does, they connect once: whoever comes during the crowd is let in after it.
        stub, *others = (
            process.stub(opened.enter_context(process.channel(server.address)))
            for _ in range(CLIENTS + 1)
        )
        for connected in (stub, *others):
            connected.RunFunction(usual, timeout=process.CALL_SECONDS)
        with silent(server.address), concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
            asked = [
                clients.submit(ask, others[number % CLIENTS], number) for number in range(CLAIMS)
            ]
            while not all(done.done() for done in asked):
                begun = time.monotonic()
                rsp = stub.RunFunction(usual, timeout=60)
                waits.append(time.monotonic() - begun)
                assert rsp.desired.resources
                time.sleep(0.05)
            for done in asked:
                done.result()
        assert server.process.poll() is None, server.output[-2000:]
        assert server.get("/readyz")[0] == 200
        stub.RunFunction(usual, timeout=process.CALL_SECONDS)
        assert "Traceback" not in server.output
    print(
        f"\n{CONNECTIONS} silent connections, {outcomes}: a usual claim waited"
        f" {statistics.median(waits):.2f} s, at most {max(waits):.2f} s;"
        f" {group.peak / 2**20:.0f} of {group.limit / 2**20:.0f} MiB",
        file=sys.stderr,
    )
    assert group.kills == 0
    assert max(waits) < MOST_SECONDS
    assert all(outcomes.values())
