"""A server in its own process, on free ports, with its log."""

# grpc has no annotations.
# mypy: allow-untyped-calls

import atexit
import contextlib
import functools
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import grpc
from crossplane.function.proto.v1 import run_function_pb2_grpc as grpcv1

ROOT = pathlib.Path(__file__).parents[2]
START_SECONDS = 20.0
STOP_SECONDS = 20.0
CALL_SECONDS = 20.0
IN_FLIGHT = "inference_service_function_requests_in_flight"
FREE = "127.0.0.1:0"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Running:
    """A started server.

    Attributes:
        process: The process.
        address: Where gRPC listens.
        http_port: Where the probes listen.
    """

    def __init__(self, process: "Started") -> None:
        self.process = process
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        serving = self.logged("Serving")
        self.address = str(serving["address"])
        self.http_port = None if serving["http_port"] is None else int(serving["http_port"])

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.append(line)

    @property
    def output(self) -> str:
        """Everything that the process wrote so far, to both streams."""
        return "".join(self._lines)

    def entries(self, message: str) -> list[dict[str, Any]]:
        """Returns the log entries with a message."""
        entries = (_entry(line) for line in list(self._lines))
        return [entry for entry in entries if entry.get("msg") == message]

    def logged(self, message: str, count: int = 1) -> dict[str, Any]:
        """Waits for the count-th log entry with a message and returns it."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            entries = self.entries(message)
            if len(entries) >= count:
                return entries[count - 1]
            if self.process.poll() is not None and not self._reader.is_alive():
                break
            time.sleep(0.01)
        raise AssertionError(f"no log entry {message!r}:\n{self.output}")

    def get(self, path: str, method: str = "GET") -> tuple[int, str]:
        """Returns status and body of an HTTP request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=CALL_SECONDS)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def sample(self, name: str) -> float:
        """Returns one sample of /metrics by its name and labels as written."""
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(f"{name} "):
                return float(line.rpartition(" ")[2])
        raise AssertionError(f"no sample {name}")

    def until_in_flight(self, count: int) -> None:
        """Waits until the server is answering that many calls."""
        deadline = time.monotonic() + CALL_SECONDS
        while self.sample(IN_FLIGHT) != count:
            assert time.monotonic() < deadline, f"never {count} calls in flight"
            time.sleep(0.01)

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Sends a signal to the process."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Waits for the end of the process and returns its exit code."""
        code = self.process.wait(STOP_SECONDS)
        self._reader.join(STOP_SECONDS)
        return code


def _entry(line: str) -> dict[str, Any]:
    """Returns a log line's fields: JSON, or with --debug `time [level] message key=value`."""
    with contextlib.suppress(ValueError):
        entry = json.loads(line)
        return entry if isinstance(entry, dict) else {}
    plain = _COLOUR.sub("", line)
    words = re.match(r"\S+ \[\w+ *\] (.*?)(?:  |$)", plain)
    return {} if words is None else {"msg": words[1], **dict(re.findall(r"(\w+)=(\S+)", plain))}


def failure(error: Any) -> tuple[Any, str]:
    """Returns the status code and the details of a failed call."""
    return error.code(), error.details() or ""


class _Launcher:
    """The process that forks servers."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.server.launcher"],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lock = threading.Lock()
        atexit.register(self._end)

    def _end(self) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, **request: Any) -> Any:
        """Returns the answer to a request."""
        with self._lock:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())


_launcher = functools.cache(_Launcher)


class Forked:
    """A server that was forked, with what `subprocess.Popen` has."""

    def __init__(self, module: str, options: Sequence[str], environment: Mapping[str, str]) -> None:
        with tempfile.TemporaryDirectory() as directory:
            output = os.path.join(directory, "output")
            os.mkfifo(output)
            self.pid: int = _launcher().ask(
                module=module, options=options, environment=dict(environment), output=output
            )
            self.stdout: typing.TextIO | None = open(output, encoding="utf-8")  # noqa: SIM115
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Returns the exit code, or None while it runs."""
        if self.returncode is None:
            self.returncode = _launcher().ask(poll=self.pid)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Waits for its end, and returns the exit code."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        """Sends it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it at once."""
        self.send_signal(signal.SIGKILL)


Started = subprocess.Popen[str] | Forked


def start(
    *options: str, module: str = "function", command: Sequence[str] = (), **environment: str
) -> Started:
    """Starts a module as a server on free ports; its two streams come out as one.

    Args:
        options: Of the server.
        module: The module.
        command: What runs the server, given as its arguments; nothing for the server itself.
        environment: Variables beside those of this process.
    """
    addresses = ("--address", FREE, "--http-address", FREE)
    variables = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
    if not command:
        return Forked(module, (*addresses, *options), variables)
    return subprocess.Popen(
        (*command, sys.executable, "-m", module, *addresses, *options),
        cwd=ROOT,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextlib.contextmanager
def serving(*options: str, module: str = "function", **environment: str) -> Iterator[Running]:
    """Runs a server during a `with` block and stops the server at the end of the block."""
    process = start(*options, module=module, **environment)
    try:
        yield Running(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(STOP_SECONDS)
        if process.stdout is not None:
            process.stdout.close()


def channel(address: str, *options: tuple[str, Any], credentials: Any = None) -> Any:
    """Returns a channel of its own connection, which gives up at once when it cannot connect."""
    chosen = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0), *options]
    if credentials is None:
        return grpc.insecure_channel(address, options=chosen)
    return grpc.secure_channel(address, credentials, options=chosen)


def stub(opened: Any) -> Any:
    """Returns the function's client of a channel."""
    return grpcv1.FunctionRunnerServiceStub(opened)
