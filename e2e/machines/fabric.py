"""What connects machines with each other and with the programs that run beside the cluster.

A bridge in a network namespace of its own, to which each machine has a cable. One cable comes out,
with a route to the cluster's addresses: tests reach pods and machines by their addresses. Pods and
machines reach the listed ports of loopback at the range's address ``outside``. Nothing else of this
machine's network is changed, and no other network is reached.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence

from e2e.controlplane import addresses, process
from e2e.machines import forward, space

# Of the interface that comes out; the number of the cluster's range follows.
CABLE = "isvc"


class Fabric:
    """The bridge, the cable out and what passes on connections."""

    def __init__(
        self,
        range_: addresses.Range,
        ports: Sequence[int],
        directory: pathlib.Path,
        logs: pathlib.Path,
    ) -> None:
        """Describe it.

        Args:
            range_: The cluster's addresses.
            ports: Ports of loopback that machines and pods reach at ``range_.outside``.
            directory: For files of its own.
            logs: Directory of the logs.
        """
        self._range = range_
        self._cable = f"{CABLE}{range_.number}"
        script = "ip link add fabric type bridge\nip link set fabric up\n"
        self._space = space.Space("fabric", directory, logs, script)
        self._forward = process.Process(
            "forward",
            [
                *(sys.executable, "-I", "-S", pathlib.Path(forward.__file__)),
                *(range_.outside, *map(str, ports)),
            ],
            logs=logs,
            ready=lambda: all(process.listens(range_.outside, port) for port in ports),
        )

    def start(self) -> None:
        """Make it.

        Raises:
            process.ProcessError: A program ended.
            space.SpaceError: An interface or a route could not be made.
        """
        self._space.process.start()
        cable = ("ip", "link", "add", self._cable, "type", "veth", "peer", "name", "out")
        space.run([*cable, "netns", str(self._space.pid)])
        self._space.run("ip", "link", "set", "out", "master", "fabric", "up")
        space.run(["ip", "address", "add", f"{self._range.outside}/24", "dev", self._cable])
        space.run(["ip", "link", "set", self._cable, "up"])
        self._forward.start()

    def connect(self, machine: space.Space, index: int) -> None:
        """Give a machine its cable and address, and routes to and from its pods.

        Args:
            machine: Its namespaces.
            index: Its number in the cluster.
        """
        address = self._range.machine(index)
        space.run(
            [
                *("ip", "link", "add", "name", "eth0", "netns", str(machine.pid), "type", "veth"),
                *("peer", "name", f"m{index}", "netns", str(self._space.pid)),
            ]
        )
        self._space.run("ip", "link", "set", f"m{index}", "master", "fabric", "up")
        machine.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
        machine.run("ip", "link", "set", "eth0", "up")
        machine.run("ip", "route", "add", "default", "via", self._range.outside)
        machine.run("sysctl", "--quiet", "--write", "net.ipv4.ip_forward=1")
        space.run(["ip", "route", "add", self._range.pods(index), "via", address])

    def route(self, machine: space.Space, other: int) -> None:
        """Let a machine reach the pods of another."""
        pods, via = self._range.pods(other), self._range.machine(other)
        machine.run("ip", "route", "replace", pods, "via", via)

    def stop(self) -> None:
        """Take it away; idempotent."""
        self._forward.stop()
        # The kernel takes it away some time after its other end; a next fabric has the same name.
        if pathlib.Path("/sys/class/net", self._cable).exists():
            space.run(["ip", "link", "delete", self._cable])
        self._space.process.stop()
