"""What counts for limits of callers: Envoy's rate limit service, and the Redis that it counts in.

Envoy Gateway makes the Deployment of the service, from its own configuration (``controllers``).
Redis runs beside the cluster: pods reach its port as they reach the API server's.
"""

from __future__ import annotations

import pathlib

from e2e.controlplane import process, toolchain

GROUP = "limiter"
# What Envoy Gateway 1.9.0 names, and where it looks for the program in it (its resource.go).
IMAGE = "docker.io/envoyproxy/ratelimit:17b1956c"
COMMAND = "/bin/ratelimit"
USER = 65534
# Redis' Service.
NAME, PORT = "redis", 6379


class Redis:
    """A Redis that keeps nothing on a disk.

    Attributes:
        port: Its port on loopback.
        process: The process; stopped and started again it has counted nothing.
    """

    def __init__(self, work: pathlib.Path, logs: pathlib.Path) -> None:
        """Describe it; ``process.start`` runs it.

        Args:
            work: Its working directory.
            logs: For its log.
        """
        (self.port,) = process.free_ports(1)
        libraries = ":".join(map(str, toolchain.libraries(GROUP)))
        self.process = process.Process(
            "redis",
            [
                toolchain.program(GROUP, "redis-server"),
                *("--bind", "127.0.0.1", "--port", str(self.port)),
                *("--save", "", "--appendonly", "no"),
            ],
            logs=logs,
            ready=lambda: process.listens("127.0.0.1", self.port),
            environment={"LD_LIBRARY_PATH": libraries},
            directory=work,
        )
