"""Namespaces of the kernel's network, one for each pod and controller, on one bridge.

The bridge lies in a namespace of its own. Each namespace lives as long as a process that does
nothing, and interfaces and routes end with the namespace: nothing is left of a run that was killed.
"""

from __future__ import annotations

import itertools
import os
import pathlib
import shutil
import socket
import subprocess
from collections.abc import Sequence

from e2e.controlplane import polling, process

# Ranges for documentation (RFC 5737), which nothing routes; each control plane takes one.
_RANGES = ("198.51.100", "203.0.113", "192.0.2")
_OUTSIDE = 1
_PODS = range(2, 128)
_SERVICES = range(128, 255)


class NetworkError(Exception):
    """This machine lacks something, or a command failed; the message says which."""


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        message = f"`{' '.join(command)}` ended with {done.returncode}: {done.stderr.strip()}"
        raise NetworkError(message)


def _take() -> str:
    """Take a range for as long as this process lives.

    Raises:
        NetworkError: None is left.
    """
    for prefix in _RANGES:
        holder = socket.socket(socket.AF_UNIX)
        try:
            # An abstract name goes with the process, whatever ends that.
            holder.bind(f"\0inference-service-data-plane-{prefix}")
        except OSError:
            holder.close()
            continue
        holder.detach()
        return prefix
    message = f"all of {', '.join(_RANGES)} are taken by other runs on this machine"
    raise NetworkError(message)


class Namespace:
    """A network namespace with an address on the bridge."""

    def __init__(self, name: str, logs: pathlib.Path, address: str = "") -> None:
        """Describe it; ``Network.add`` connects it.

        Args:
            name: Of its log.
            logs: Directory of its log.
            address: Its address; none for the bridge's own.
        """
        self.address = address
        self.holder = process.Process(
            f"network-{name}",
            ["unshare", "--net", "sh", "-c", "ip link set lo up; exec sleep infinity"],
            logs=logs,
            ready=self._apart,
            grace=0.1,
        )

    def _apart(self) -> bool:
        return os.readlink(f"/proc/{self.holder.pid}/ns/net") != os.readlink("/proc/self/ns/net")

    def within(self, *command: str | pathlib.Path) -> list[str]:
        """A command that runs another one in the namespace."""
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", *map(str, command)]

    def stop(self) -> None:
        """End it, with its interfaces."""
        self.holder.kill()


class Network:
    """One bridge, the namespaces on it, and this machine's own end of it.

    Attributes:
        outside: This machine's address on the bridge.
    """

    def __init__(self, logs: pathlib.Path) -> None:
        """Take a range of addresses; ``start`` makes the bridge.

        Raises:
            NetworkError: This process is not root's, or a command is missing.
        """
        if os.geteuid() != 0:
            message = "the tests of the data path make network namespaces: run them as root"
            raise NetworkError(message)
        for command, package in (("ip", "iproute2"), ("nsenter", "util-linux")):
            if shutil.which(command) is None:
                message = f"`{command}` is missing: install {package}"
                raise NetworkError(message)
        self._logs = logs
        self._prefix = _take()
        self._device = f"is-{self._prefix.replace('.', '')}"
        self._hub = Namespace(f"hub-{self._prefix}", logs)
        self._numbers = itertools.count(1)
        self._pods = itertools.cycle(_PODS)
        self._services = iter(_SERVICES)
        self._used: dict[str, Namespace] = {}
        self.outside = self._at(_OUTSIDE)

    def _at(self, number: int) -> str:
        return f"{self._prefix}.{number}"

    def start(self) -> None:
        """Make the bridge and this machine's end.

        Raises:
            NetworkError: The kernel refused.
        """
        self._hub.holder.start()
        _run(*self._hub.within("ip", "link", "add", "bridge", "type", "bridge"))
        _run(*self._hub.within("ip", "link", "set", "bridge", "up"))
        hub = str(self._hub.holder.pid)
        _run("ip", "link", "add", self._device, "type", "veth", *_peer("outside", hub))
        self._attach("outside")
        _run("ip", "addr", "add", f"{self.outside}/24", "dev", self._device)
        _run("ip", "link", "set", self._device, "up")

    def stop(self) -> None:
        """End every namespace."""
        for one in self._used.values():
            one.stop()
        self._hub.stop()
        polling.until(
            lambda: not pathlib.Path(f"/sys/class/net/{self._device}").exists(),
            what=f"the end of {self._device}",
            timeout=20,
        )

    def _attach(self, device: str) -> None:
        for words in (("master", "bridge"), ("up",)):
            _run(*self._hub.within("ip", "link", "set", device, *words))

    def add(self, name: str) -> Namespace:
        """A namespace with an address of its own that was not used lately."""
        address = next(one for number in self._pods if (one := self._at(number)) not in self._used)
        made = Namespace(name, self._logs, address)
        made.holder.start()
        self._used[address] = made
        device = f"pod{next(self._numbers)}"
        hub = str(self._hub.holder.pid)
        _run(*made.within("ip", "link", "add", "eth0", "type", "veth", *_peer(device, hub)))
        self._attach(device)
        _run(*made.within("ip", "addr", "add", f"{address}/24", "dev", "eth0"))
        _run(*made.within("ip", "link", "set", "eth0", "up"))
        return made

    def remove(self, one: Namespace) -> None:
        """End a namespace, and let its address be used again."""
        one.stop()
        self._used.pop(one.address, None)

    def service_address(self) -> str:
        """Another address of this machine on the bridge, for a Service.

        Raises:
            NetworkError: None is left.
        """
        number = next(self._services, None)
        if number is None:
            message = f"the {len(_SERVICES)} addresses for Services are used up"
            raise NetworkError(message)
        address = self._at(number)
        _run("ip", "addr", "add", f"{address}/32", "dev", self._device)
        return address


def _peer(name: str, process_id: str) -> Sequence[str]:
    """The other end of a pair of interfaces, in the namespace of a process."""
    return "peer", "name", name, "netns", process_id
