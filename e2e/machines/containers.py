"""The processes of a pod's containers, which this machine sees as its own."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import select
import signal

from e2e.controlplane import api

# The kernel ends a process at once; a busy machine takes its time.
_END_SECONDS = 30


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


def kill(pod: api.Object, container: str) -> None:
    """Kill the first process of a container, and wait for its end: its connections are closed then.

    A request on a connection that is open yet is lost with the process, and no fault of a gateway.

    Raises:
        LookupError: The container does not run.
        TimeoutError: The process did not end.
    """
    process = process_of(pod, container)
    descriptor = os.pidfd_open(process)
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        if not select.select([descriptor], [], [], _END_SECONDS)[0]:
            message = f"process {process} of {pod['metadata']['name']} did not end"
            raise TimeoutError(message)
    finally:
        os.close(descriptor)


def memory(pod: api.Object, container: str) -> int:
    """MiB that the first process of a container has resident.

    Raises:
        LookupError: The container does not run.
    """
    status = pathlib.Path(f"/proc/{process_of(pod, container)}/status").read_text()
    (kib,) = re.findall(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    return int(kib) // 1024
