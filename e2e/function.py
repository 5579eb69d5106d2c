"""The function as a process of its own."""

from __future__ import annotations

import http.client
import pathlib
import sys
from collections.abc import Sequence

from e2e import shipped
from e2e.controlplane import process

VENV: Sequence[str | pathlib.Path] = (sys.executable, "-m", "function")


class Function:
    """The function on loopback, ready when its own readiness probe says so.

    Attributes:
        address: Where gRPC listens.
        process: The process.
    """

    def __init__(
        self,
        logs: pathlib.Path,
        *,
        security: Sequence[str] = ("--insecure",),
        address: str | None = None,
        name: str = "function",
        command: Sequence[str | pathlib.Path] = VENV,
    ) -> None:
        """Describe it; ``process.start`` runs it.

        Args:
            logs: Directory of its log.
            security: Options that say where its certificates are, none when the environment does;
                by default it serves in plain text, as ``crossplane composition render`` wants it.
            address: Where gRPC listens; a free port by default.
            name: Name of its log.
            command: The program: by default from the virtual environment.
        """
        free, self._http = process.free_ports(2)
        self.address = address or f"127.0.0.1:{free}"
        self.process = process.Process(
            name,
            [
                *command,
                *("--address", self.address, "--http-address", f"127.0.0.1:{self._http}"),
                *security,
            ],
            logs=logs,
            directory=shipped.ROOT,
            environment={"PYTHONUNBUFFERED": "1"},
            ready=lambda: process.answers(f"http://127.0.0.1:{self._http}/readyz"),
        )

    def metrics(self) -> str:
        """Its Prometheus metrics."""
        connection = http.client.HTTPConnection("127.0.0.1", self._http, timeout=10)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def calls(self) -> int:
        """How many times RunFunction was answered since it started."""
        name = "inference_service_function_requests_total{"
        return round(
            sum(
                float(line.rpartition(" ")[2])
                for line in self.metrics().splitlines()
                if line.startswith(name)
            )
        )
