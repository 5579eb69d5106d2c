"""The launch of a replica of several pods: what vLLM's parsers take, and how a group ends."""

import socket
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from function.engines import semver
from function.engines.vllm import command_line, contract, group, recordings
from function.planning import parallelism
from tests.resources import groups, scene

VERSIONS = ("0.18.0", "0.25.1", "0.32.0", "0.33.0")
SHAPES = ({"pipeline": 2}, {"tensor": 16}, {"data": 2, "expert": True})


def lines(**asked: Any) -> list[list[str]]:
    """Returns the command lines of leader and follower, as the kubelet starts them."""
    world = groups.serving(groups.of(**asked))
    return [
        group.expanded(template["spec"]["containers"][0]["args"])
        for template in groups.templates(world)
    ]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("asked", SHAPES)
def test_each_judged_version_takes_both_command_lines(version: str, asked: dict[str, Any]) -> None:
    parser = recordings.around(semver.parse(version))[0]
    for line in lines(**asked):
        assert contract.judge(line, parser.version) == []


def test_a_follower_is_its_leader_without_what_only_a_leader_has() -> None:
    claimed = groups.of(spec={"engineArgs": ["--api-server-count=2", "--seed=7"]}, data=2)
    leader, follower = (
        template["spec"]["containers"][0] for template in groups.templates(groups.serving(claimed))
    )
    alone = {"--api-server-count=2", "--data-parallel-address=$(POD_IP)"}
    assert [word for word in leader["args"] if word not in alone] == follower["args"][:-1]
    assert follower["args"][-1] == "--headless"


def test_the_value_of_a_dropped_argument_goes_with_it() -> None:
    container = {"name": "vllm", "args": ["/m", "--api-server-count", "2", "--seed", "7"]}
    assert group.follower(container, 9)["args"] == ["/m", "--seed", "7", "--headless"]


def test_the_pods_of_a_template_are_read_from_it() -> None:
    leader = groups.templates(groups.serving(groups.of(pipeline=3)))[0]
    line = command_line.CommandLine.read(leader["spec"]["containers"][0]["args"])
    assert group.pods(line) == 3
    assert group.pods(command_line.CommandLine.read(["/m"])) == 1


def waiting(port: int, seconds: int) -> float:
    """Returns for how long the follower's preStop waits for a leader on this machine."""
    container = group.follower({"name": "vllm", "args": []}, seconds)
    command = container["lifecycle"]["preStop"]["exec"]["command"]
    script = command[2].replace(str(group.MASTER_PORT), str(port))
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-c", script], check=True, env={parallelism.LEADER: "127.0.0.1"}
    )
    return time.monotonic() - began


def test_a_follower_waits_until_its_leader_is_done() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Timer(2.5, listener.close).start()
    assert 2 <= waiting(listener.getsockname()[1], 30) < 15


def test_a_follower_waits_no_longer_than_its_grace() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert 2 <= waiting(listener.getsockname()[1], 2) < 10


def test_a_follower_without_a_leader_ends_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert waiting(port, 30) < 5


def test_a_leader_waits_for_the_nodes_of_the_others() -> None:
    leader = groups.templates(groups.serving(groups.of(spec={"model": {"sizeGiB": 10}})))[0]
    (container,) = leader["spec"]["containers"]
    alone = scene.container(scene.serving(scene.of(model={"sizeGiB": 10})))
    periods = [one["startupProbe"]["failureThreshold"] for one in (alone, container)]
    assert periods[1] - periods[0] == 120
    given = scene.values(container["args"][1:])
    assert given["--distributed-timeout-seconds"] == str(10 * periods[1])
