"""A program with the command line of text-embeddings-inference, started as a claim's container."""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import types
from collections.abc import Mapping, Sequence
from typing import Any

from tests import cluster
from tests.resources import scene

# What clap ends with.
_NOT_PARSED = 2
# Its container has these too; HOSTNAME is the pod's name.
_PLATFORM = {"PATH": os.environ.get("PATH", ""), "HOSTNAME": "embeddings-6f9c-x7k2p"}


class Program:
    """One that runs.

    Attributes:
        port: Where it listens.
    """

    def __init__(
        self,
        program: pathlib.Path,
        claimed: cluster.Object,
        model: pathlib.Path,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """Starts the program with the arguments and the variables of a claim's container.

        Only the directory of the model and the port are others.

        Args:
            program: Where it lies.
            claimed: The claim.
            model: The directory of its model.
            variables: More of the environment.
        """
        container = scene.container(scene.serving(claimed))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        others = {"model-id": str(model), "port": str(self.port)}
        words = []
        for word in container["args"]:
            name = word.removeprefix("--").partition("=")[0]
            words.append(f"--{name}={others[name]}" if name in others else word)
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - as long as the program
        self._process = subprocess.Popen(
            [str(program), *words],
            env=_PLATFORM | scene.environment(container) | dict(variables or {}),
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> "Program":
        """Returns the program."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        """Ends the program."""
        self._process.kill()
        self._process.wait()
        self._log.close()

    @property
    def log(self) -> str:
        """What it has written so far."""
        self._log.seek(0)
        return self._log.read()

    def ready(self, seconds: float = 120) -> float:
        """Waits for its health; returns the seconds that it took.

        Raises:
            TimeoutError: It did not get healthy, or ended.
        """
        begun = time.monotonic()
        while time.monotonic() - begun < seconds and self._process.poll() is None:
            with contextlib.suppress(OSError):
                if self.ask("GET", "/health")[0] == http.client.OK:
                    return time.monotonic() - begun
            time.sleep(0.05)
        raise TimeoutError(self.log)

    def ended(self, seconds: float = 120) -> int:
        """Waits for its end; returns its exit code."""
        return self._process.wait(seconds)

    def terminate(self) -> None:
        """Sends SIGTERM, as the kubelet does."""
        self._process.send_signal(signal.SIGTERM)

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """Returns status and body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        with contextlib.closing(connection):
            content = body if body is None or isinstance(body, bytes) else json.dumps(body)
            connection.request(method, path, content, {"content-type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def json(self, method: str, path: str) -> Any:
        """Returns what an answer says."""
        return json.loads(self.ask(method, path)[1])


def refuses(
    program: pathlib.Path, words: Sequence[str], variables: Mapping[str, str], empty: pathlib.Path
) -> bool:
    """Tells whether a program's parser refuses arguments or variables; the model is not there."""
    done = subprocess.run(
        [str(program), f"--model-id={empty}", *words],
        env=dict(variables),
        capture_output=True,
        check=False,
    )
    return done.returncode == _NOT_PARSED
