"""The processes of a pod's containers, which this machine sees as its own."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import signal

from e2e.controlplane import api


def process_of(pod: api.Object, container: str) -> int:
    """The first process of a container.

    Raises:
        LookupError: The container does not run.
    """
    for status in _statuses(pod):
        if status["name"] == container and status.get("containerID"):
            return _first(status["containerID"].rpartition("/")[2])
    message = f"pod {pod['metadata']['name']} has no container {container} that runs"
    raise LookupError(message)


def _statuses(pod: api.Object) -> list[api.Object]:
    status = pod["status"]
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def _first(identity: str) -> int:
    """The oldest process in the control group of a container."""
    processes = []
    for group in pathlib.Path("/proc").glob("[0-9]*/cgroup"):
        with contextlib.suppress(OSError):
            if identity in group.read_text():
                processes.append(int(group.parent.name))
    if not processes:
        message = f"no process is in the control group of container {identity}"
        raise LookupError(message)
    return min(processes)


def send(pod: api.Object, container: str, number: signal.Signals) -> None:
    """Send a signal to the first process of a container.

    Raises:
        LookupError: The container does not run.
    """
    os.kill(process_of(pod, container), number)


def memory(pod: api.Object, container: str) -> int:
    """MiB that the first process of a container has resident.

    Raises:
        LookupError: The container does not run.
    """
    status = pathlib.Path(f"/proc/{process_of(pod, container)}/status").read_text()
    (kib,) = re.findall(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    return int(kib) // 1024
