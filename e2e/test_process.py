"""The programs beside the tests: none is left over, and no two choose the same port."""

from __future__ import annotations

import contextlib
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest

from e2e import shipped
from e2e.controlplane import process
from e2e.machines import watches

# A test process that starts a program in a thread that ends, and is busy then.
_PARENT = """
    import pathlib, sys, threading
    from e2e.controlplane import process
    logs = pathlib.Path(sys.argv[1])
    program = process.Process("program", sys.argv[2:], logs=logs)
    starter = threading.Thread(target=program.launch)
    starter.start()
    starter.join()
    print(program.pid, *process.free_ports(5), flush=True)
    sys.stdin.read()
"""
_SLEEP = ("sleep", "600")
# Becomes another user, or the root of a user namespace where it may not.
_OTHER_USER = (
    ("setpriv", "--reuid=2000", "--regid=2000", "--clear-groups", *_SLEEP)
    if os.geteuid() == 0
    else ("unshare", "--map-root-user", *_SLEEP)
)
_SECONDS = 30


@contextlib.contextmanager
def _parent(logs: pathlib.Path, *command: str) -> Iterator[subprocess.Popen[str]]:
    """A process that runs a command as the tests run programs."""
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_PARENT), str(logs), *command],
        cwd=shipped.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def _told(parent: subprocess.Popen[str]) -> list[int]:
    """What it printed: the id of its program, and its ports."""
    assert parent.stdout is not None
    return [int(word) for word in parent.stdout.readline().split()]


def _ends(descriptor: int, seconds: float) -> bool:
    """Whether a process ends within a time (pidfd_open(2): it is readable then)."""
    return bool(select.select([descriptor], [], [], seconds)[0])


@pytest.mark.parametrize("command", [_SLEEP, _OTHER_USER], ids=["same-user", "other-user"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, None])
def test_a_program_ends_with_the_process_that_started_it(
    number: signal.Signals | None, command: tuple[str, ...], tmp_path: pathlib.Path
) -> None:
    """However that ends; and not with the thread that did."""
    with contextlib.ExitStack() as stack:
        parent = stack.enter_context(_parent(tmp_path, *command))
        program = os.pidfd_open(_told(parent)[0])
        stack.callback(os.close, program)
        assert not _ends(program, 0.5)
        if number is None:
            assert parent.stdin is not None
            parent.stdin.close()
        else:
            parent.send_signal(number)
        parent.wait(_SECONDS)
        assert _ends(program, _SECONDS)


def test_a_program_that_is_not_ready_in_time_is_stopped(tmp_path: pathlib.Path) -> None:
    """Or the next test would meet it."""
    program = process.Process("program", _SLEEP, logs=tmp_path, ready=lambda: False)
    with pytest.raises(process.ProcessError, match="for program; last seen: False"):
        program.start(timeout=0.2)
    assert not program.running


def test_ports_are_given_once(tmp_path: pathlib.Path) -> None:
    """To one process of all those that run tests, though nothing listens at them yet."""
    with _parent(tmp_path, *_SLEEP) as one, _parent(tmp_path, *_SLEEP) as other:
        ports = [*_told(one)[1:], *_told(other)[1:], *process.free_ports(300)]
    assert len(set(ports)) == len(ports) == 310


def test_a_port_that_somebody_has_is_not_given() -> None:
    """Whoever it is."""
    (port,) = process.free_ports(1)
    with socket.create_server(("127.0.0.1", port + 1)):
        (following,) = process.free_ports(1)
    assert following != port + 1


@pytest.mark.parametrize(("before", "meanwhile"), [("128\n", "512"), ("8192\n", "8192\n")])
def test_room_for_watches_is_taken_back(
    before: str, meanwhile: str, tmp_path: pathlib.Path
) -> None:
    """The kernel's setting is raised for the time of a run, and never lowered."""
    limit = tmp_path / "max_user_instances"
    limit.write_text(before)
    with watches.room(limit):
        assert limit.read_text() == meanwhile
    assert limit.read_text() == before


def test_where_there_is_no_such_limit_none_is_raised(tmp_path: pathlib.Path) -> None:
    """A kernel that is not Linux, or a `/proc` that nobody may write."""
    with watches.room(tmp_path / "proc" / "max_user_instances"):
        assert list(tmp_path.iterdir()) == []
