"""Namespaces of the kernel for what is a machine of its own.

Everything in them ends with the first process, the kernel sees to it: programs, mounts, interfaces.
So nothing is left of a test run that was killed.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence

from e2e.controlplane import process

_TOOLS = {"ip": "iproute2", "mount": "mount", "nsenter": "util-linux", "unshare": "util-linux"}
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# The first process adopts what its parents left, and reaps it.
_INIT = 'touch "{mark}"\ntrap "exit 0" TERM\nwhile :; do sleep 3600 & wait $!; done\n'


class SpaceError(Exception):
    """This machine lacks something, or a command in the namespaces failed."""


def check() -> None:
    """Make sure that this process may make machines here.

    Raises:
        SpaceError: It may not; the message says what is missing.
    """
    if os.geteuid() != 0:
        message = "machines of the tests need root: namespaces, mounts, control groups, interfaces"
        raise SpaceError(message)
    missing = sorted({of for name, of in _TOOLS.items() if not shutil.which(name, path=_PATH)})
    if missing:
        message = f"machines of the tests need the packages {', '.join(missing)}"
        raise SpaceError(message)
    probe = ["unshare", "--net", "--mount", "--pid", "--uts", "--fork", "--mount-proc", "true"]
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        message = f"the kernel gives no namespaces here: {done.stderr.strip()}"
        raise SpaceError(message)


def run(command: Sequence[str | pathlib.Path]) -> str:
    """Run a command of the system's and return what it printed.

    Raises:
        SpaceError: It failed; the message holds what it printed.
    """
    words = [str(word) for word in command]
    done = subprocess.run(words, env={"PATH": _PATH}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        message = f"`{' '.join(words)}` ended with {done.returncode}: {done.stderr.strip()}"
        raise SpaceError(message)
    return done.stdout


class Space:
    """Network, mount, process and host name namespaces, kept by a process that does nothing.

    Attributes:
        name: Its host name.
        process: What keeps the namespaces; they end with it.
    """

    def __init__(
        self, name: str, directory: pathlib.Path, logs: pathlib.Path, script: str = ""
    ) -> None:
        """Describe it.

        Args:
            name: Its host name, and the name of its log.
            directory: For a file of its own.
            logs: Directory of its log.
            script: Shell commands to run first in it.
        """
        self.name = name
        self._logs = logs
        mark = directory / "up"
        text = f"set -e\nhostname {name}\nip link set lo up\n{script}\n" + _INIT.format(mark=mark)
        self.process = process.Process(
            name,
            [
                *("unshare", "--net", "--mount", "--pid", "--uts", "--fork", "--kill-child"),
                *("--mount-proc", "--", "sh", "-c", text),
            ],
            logs=logs,
            ready=mark.exists,
            environment={"PATH": _PATH},
            # Its only child is the first process of the namespaces, and is killed with it.
            grace=0.5,
        )

    @property
    def pid(self) -> int:
        """The first process in the namespaces, by its id outside of them."""
        parent = self.process.pid
        children = pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return int(children[0])

    def within(self, *command: str | pathlib.Path) -> list[str | pathlib.Path]:
        """A command that runs another one in the namespaces; its end ends the other too."""
        enter = ("nsenter", f"--target={self.pid}", "--net", "--mount", "--pid", "--uts", "--")
        return [*enter, "setpriv", "--pdeathsig=KILL", "--", *command]

    def program(
        self,
        name: str,
        command: Sequence[str | pathlib.Path],
        *,
        ready: Callable[[], bool] | None = None,
        environment: Mapping[str, str] | None = None,
        path: str = "",
    ) -> process.Process:
        """A program in the namespaces.

        Args:
            name: Name of its log.
            command: Program and arguments.
            ready: Whether it serves.
            environment: Variables of its own.
            path: Directories of programs that it looks in first.
        """
        return process.Process(
            name,
            self.within(*command),
            logs=self._logs,
            ready=ready,
            environment={"PATH": f"{path}:{_PATH}" if path else _PATH} | dict(environment or {}),
        )

    def run(self, *command: str | pathlib.Path) -> str:
        """Run a command in the namespaces and return what it printed.

        Raises:
            SpaceError: It failed.
        """
        return run(self.within(*command))
