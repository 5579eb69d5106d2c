"""Addresses of a cluster's machines and pods, in 198.18.0.0/15.

That range is for tests of networks (RFC 2544) and is routed nowhere, so that routes to it take no
address away from anything else on the machine. Each cluster of the machine has a /20 of its own.
"""

from __future__ import annotations

import dataclasses
import socket

_CLUSTERS = 32
# Machines of a cluster; each has the addresses of a /24 for its pods.
MACHINES = 14


class AddressError(Exception):
    """All ranges are taken."""


@dataclasses.dataclass(frozen=True)
class Range:
    """The addresses of one cluster.

    Attributes:
        number: Which of the ranges.
    """

    number: int

    def _net(self, index: int) -> str:
        """The first three numbers of a /24; index 0 is the machines' own."""
        second, third = divmod(self.number * 16 + index, 256)
        return f"198.{18 + second}.{third}"

    @property
    def whole(self) -> str:
        """The whole range."""
        return f"{self._net(0)}.0/20"

    @property
    def outside(self) -> str:
        """The address at which machines and pods reach programs that run beside the cluster."""
        return f"{self._net(0)}.1"

    def machine(self, index: int) -> str:
        """The address of a machine; the first has index 0."""
        return f"{self._net(0)}.{10 + index}"

    def pods(self, index: int) -> str:
        """The range of a machine's pods."""
        return f"{self._net(1 + index)}.0/24"


def take() -> Range:
    """Take a range for as long as this process lives.

    Raises:
        AddressError: None is left.
    """
    for number in range(_CLUSTERS):
        # A name in the kernel's table of sockets goes with the process, however that ends.
        holder = socket.socket(socket.AF_UNIX)
        try:
            holder.bind(f"\0inference-service-cluster-{number}")
        except OSError:
            holder.close()
            continue
        holder.detach()
        return Range(number)
    message = f"all {_CLUSTERS} ranges of addresses are taken on this machine"
    raise AddressError(message)
