"""Programs that run beside the tests: output in a file, stopped by process id, never left over."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import itertools
import os
import pathlib
import shlex
import socket
import ssl
import subprocess
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence

from e2e.controlplane import keeper, polling

# Ports of listeners: below those that the kernel gives to connections (ip_local_port_range, from
# 32768) and the NodePorts of a cluster on the machine (from 30000).
_PORTS = range(20000, 30000)
# How many a process takes for itself at a time.
_SHARE = 200


class ProcessError(Exception):
    """A program ended, or was not ready in time; the message holds the end of its log."""


@dataclasses.dataclass(frozen=True)
class Usage:
    """What a process has used so far (proc_pid_stat(5), proc_pid_status(5)).

    Attributes:
        cpu_seconds: User and system time of the process.
        resident_bytes: Memory now.
        peak_bytes: The most memory at any time.
    """

    cpu_seconds: float
    resident_bytes: int
    peak_bytes: int


def _bound(port: int) -> socket.socket | None:
    """A socket that has a loopback port; None when somebody else has it."""
    holder = socket.socket()
    try:
        holder.bind(("127.0.0.1", port))
    except OSError:
        holder.close()
        return None
    return holder


class _Ports:
    """Ports of this process alone.

    What is chosen is taken only later, when its program starts. So that nobody chooses it too in
    between, each test process on the machine takes a share of the ports for itself, by holding the
    first of them as long as it lives, and gives each of the others away once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: Iterator[int] = iter(())

    def choose(self) -> int:
        """The next port of the share at which nothing listens.

        Raises:
            ProcessError: There is none left on this machine.
        """
        with self._lock:
            for port in itertools.chain(self._free, self._shares()):
                if (holder := _bound(port)) is not None:
                    holder.close()
                    return port
        message = f"no port is left of {_PORTS}"
        raise ProcessError(message)

    def _shares(self) -> Iterator[int]:
        """Take shares, and give their ports."""
        for first in range(_PORTS.start, _PORTS.stop, _SHARE):
            if (holder := _bound(first)) is not None:
                holder.detach()  # open to the end of the process
                self._free = iter(range(first + 1, first + _SHARE))
                yield from self._free


_OURS = _Ports()


def free_ports(count: int) -> list[int]:
    """Choose loopback ports that nothing listens on and no other test process chooses.

    Raises:
        ProcessError: There are none left.
    """
    return [_OURS.choose() for _ in range(count)]


def listens(address: str, port: int) -> bool:
    """Whether a TCP connection to an address is accepted."""
    try:
        with socket.create_connection((address, port), timeout=5):
            return True
    except OSError:
        return False


def answers(url: str) -> bool:
    """Whether a GET of a loopback URL gives 200; certificates are not checked."""
    parts = urllib.parse.urlsplit(url)
    host, port = parts.hostname or "", parts.port
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, context=context, timeout=5)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=5)
    with contextlib.closing(connection):
        try:
            connection.request("GET", parts.path or "/")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False


class Process:
    """One program, which can be started, stopped, killed and started again.

    Its log holds the output of all its runs.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | pathlib.Path],
        *,
        logs: pathlib.Path,
        ready: Callable[[], bool] | None = None,
        environment: Mapping[str, str] | None = None,
        directory: pathlib.Path | None = None,
        grace: float = 15,
    ) -> None:
        """Describe the program; nothing runs yet.

        Args:
            name: Name of the log, without ``.log``.
            command: Program and arguments.
            logs: Directory of the log.
            ready: Whether it serves; without it, running is enough.
            environment: All of its environment beside PATH. The caller's is not inherited: a
                KUBECONFIG or proxy of the user's shell must not decide what is tested.
            directory: Its working directory, and HOME unless that is given; ``logs`` by default.
            grace: Seconds that it has to end when asked.
        """
        self.name = name
        self.log = logs / f"{name}.log"
        self._command = [str(part) for part in command]
        self._ready = ready
        self._directory = directory or logs
        self._grace = grace
        home = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self._directory),
            # Programs in Go let their heap grow to twice what lives in it; here to one and a half:
            # each worker has a dozen of them. That costs some CPU.
            "GOGC": "50",
        }
        self._environment = home | dict(environment or {})
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int:
        """Its process id.

        Raises:
            ProcessError: It does not run.
        """
        if self._child is None or not self.running:
            message = f"{self.name} does not run"
            raise ProcessError(message)
        return self._child.pid

    def launch(self) -> None:
        """Start it and return at once.

        Raises:
            ProcessError: It runs already.
        """
        if self.running:
            message = f"{self.name} runs already"
            raise ProcessError(message)
        with self.log.open("ab") as log:
            log.write(f"$ {shlex.join(self._command)}\n".encode())
            log.flush()
            # A session of its own: Ctrl-C reaches the tests alone, which stop everything in order;
            # the keeper does it for those that are killed.
            self._child = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
                env=self._environment,
                start_new_session=True,
            )
        keeper.keep(self._child.pid)

    def wait_ready(self, timeout: float = 60) -> None:
        """Wait until it serves.

        Args:
            timeout: Seconds.

        Raises:
            ProcessError: It ended, or did not serve in time.
        """

        def ready() -> bool:
            if self._child is None or self._child.poll() is not None:
                status = None if self._child is None else self._child.returncode
                message = f"{self.name} ended with {status}:\n{self.tail()}"
                raise ProcessError(message)
            return self._ready is None or self._ready()

        try:
            polling.until(ready, what=self.name, timeout=timeout)
        except TimeoutError as error:
            message = f"{error}\n{self.tail()}"
            raise ProcessError(message) from None

    def start(self, timeout: float = 60) -> None:
        """Start it and wait until it serves; it does not run on when it is not ready in time.

        Args:
            timeout: Seconds.

        Raises:
            ProcessError: It runs already, ended, or did not serve in time.
        """
        self.launch()
        try:
            self.wait_ready(timeout)
        except BaseException:
            self.stop()
            raise

    def run(self, timeout: float = 60) -> int:
        """Run it to its end.

        Args:
            timeout: Seconds, after which it is killed.

        Returns:
            Its exit status.

        Raises:
            ProcessError: It did not end in time.
        """
        self.launch()
        if self._child is None:
            raise AssertionError
        try:
            return self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            message = f"{self.name} did not end within {timeout:g} s:\n{self.tail()}"
            raise ProcessError(message) from None

    def stop(self) -> None:
        """Ask it to end, and kill it when it has not within its grace; idempotent."""
        if self._child is None:
            return
        if self.running:
            self._child.terminate()
            try:
                self._child.wait(self._grace)
            except subprocess.TimeoutExpired:
                self._child.kill()
        self._child.wait()

    def kill(self) -> None:
        """End it without warning, as the kernel would for want of memory; idempotent."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def restart(self, timeout: float = 60) -> None:
        """Stop it and start it with the same command."""
        self.stop()
        self.start(timeout)

    def usage(self) -> Usage:
        """What it has used so far.

        Raises:
            ProcessError: It does not run.
        """
        place = pathlib.Path("/proc") / str(self.pid)
        # The name of the program, in parentheses, may hold spaces; what follows does not.
        fields = (place / "stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        status = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
        return Usage(
            cpu_seconds=ticks / os.sysconf("SC_CLK_TCK"),
            resident_bytes=int(status["VmRSS"].split()[0]) * 1024,
            peak_bytes=int(status["VmHWM"].split()[0]) * 1024,
        )

    def tail(self, lines: int = 30) -> str:
        """The last lines of its log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
