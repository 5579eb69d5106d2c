"""An OCI registry on loopback."""

from __future__ import annotations

import pathlib
import subprocess

from e2e.controlplane import process, toolchain

GROUP = "crossplane-cli"


class Registry:
    """The registry that `crane` serves, on disk, over plain HTTP.

    References are ``127.0.0.1:<port>/<repository>``: Crossplane wants a dot in the host, and pulls
    from a loopback address over plain HTTP.

    Attributes:
        images: What each image was made of, by reference, for who would make it again.
    """

    def __init__(self, work: pathlib.Path, logs: pathlib.Path) -> None:
        """Describe it; ``process.start`` runs it."""
        (self.port,) = process.free_ports(1)
        self.host = f"127.0.0.1:{self.port}"
        self.images: dict[str, object] = {}
        storage = work / "registry"
        storage.mkdir(parents=True)  # without it each push fails with status 500
        self.process = process.Process(
            "registry",
            [
                *(toolchain.program(GROUP, "crane"), "registry", "serve"),
                *("--address", self.host, "--disk", storage),
            ],
            logs=logs,
            ready=lambda: process.answers(f"http://{self.host}/v2/"),
            environment={"GOMEMLIMIT": "64MiB"},
        )

    def reference(self, repository: str, tag: str) -> str:
        """An image reference, such as ``127.0.0.1:5000/org/name:v1.2.3``."""
        return f"{self.host}/{repository}:{tag}"

    def crane(self, *arguments: str | pathlib.Path) -> str:
        """Run a `crane` command and return its output.

        Raises:
            RuntimeError: It failed.
        """
        return self._run(*map(str, arguments)).decode().strip()

    def blob(self, reference: str) -> bytes:
        """The bytes of a blob, ``<repository>@<digest>``.

        Raises:
            RuntimeError: It is not there.
        """
        return self._run("blob", reference)

    @staticmethod
    def _run(*arguments: str) -> bytes:
        command = [str(toolchain.program(GROUP, "crane")), *arguments]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode != 0:
            message = f"{' '.join(command)}: {done.stderr.decode(errors='replace')}"
            raise RuntimeError(message)
        return done.stdout
