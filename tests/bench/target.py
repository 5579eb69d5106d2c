"""A function under measurement: a process, a connection to it, and what the kernel counts of it."""

# grpc has no annotations.
# mypy: allow-untyped-calls

import os
import pathlib
import socket
import subprocess
import sys
import time
from types import TracebackType

import grpc
from crossplane.function.proto.v1 import run_function_pb2 as fnv1
from crossplane.function.proto.v1 import run_function_pb2_grpc as grpcv1

ROOT = pathlib.Path(__file__).parents[2]
HOST = "127.0.0.1"
START_SECONDS = 60.0
CALL_SECONDS = 60.0
_TICKS = os.sysconf("SC_CLK_TCK")
_MODULES = {"function": ("function", "--http-address", f"{HOST}:0"), "echo": ("tests.bench.echo",)}


class Target:
    """One server process, from its start to its end; a context manager.

    Attributes:
        name: `function` or `echo`.
        cold_start: Seconds from the start of the process to the first answer.
    """

    def __init__(self, name: str, first: fnv1.RunFunctionRequest) -> None:
        self.name = name
        with socket.socket() as free:
            free.bind((HOST, 0))
            port = free.getsockname()[1]
        module, *options = _MODULES[name]
        arguments = (module, "--insecure", "--address", f"{HOST}:{port}", *options)
        begin = time.perf_counter()
        self._process = subprocess.Popen(
            (sys.executable, "-m", "tests.bench.launcher", *arguments),
            cwd=ROOT,
            # Images hold bytecode; here the first start of each target writes it.
            env={k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"},
            stdout=subprocess.DEVNULL,
        )
        self._wait_for(port)
        self._channel = grpc.insecure_channel(
            f"{HOST}:{port}", options=[("grpc.use_local_subchannel_pool", 1)]
        )
        self._stub = grpcv1.FunctionRunnerServiceStub(self._channel)
        self.call(first)
        self.cold_start = time.perf_counter() - begin

    def _wait_for(self, port: int) -> None:
        """Waits until the port is listened at. A channel would wait in steps of its backoff."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self._process.returncode}")
            try:
                socket.create_connection((HOST, port), timeout=1).close()
            except ConnectionRefusedError:
                time.sleep(0.002)
            else:
                return
        raise RuntimeError(f"{self.name} does not listen after {START_SECONDS} s")

    def __enter__(self) -> "Target":
        return self

    def __exit__(
        self,
        _: type[BaseException] | None,
        __: BaseException | None,
        ___: TracebackType | None,
    ) -> None:
        self._channel.close()
        self._process.terminate()
        self._process.wait(START_SECONDS)

    def call(self, req: fnv1.RunFunctionRequest) -> fnv1.RunFunctionResponse:
        """Returns the answer to one call."""
        rsp: fnv1.RunFunctionResponse = self._stub.RunFunction(req, timeout=CALL_SECONDS)
        return rsp

    def cpu(self) -> float:
        """Returns the CPU seconds that the process used, in its and the kernel's code."""
        text = pathlib.Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii")
        # The second field is the name in parentheses and may hold anything (proc(5)).
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def rss(self) -> float:
        """Returns the resident memory in MiB."""
        text = pathlib.Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii")
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
