"""A replica over several pods: one engine, launched by vLLM itself, without Ray.

Pod 0 leads: it serves the API and schedules. The others run `vllm serve --headless` with the same
flags and a rank of their own (vllm/entrypoints/cli/serve.py, `run_headless`; read in 0.18.0,
0.25.1, 0.32.0 and 0.33.0, whose parsers all take these flags). `--node-rank` and `--master-addr`
come from variables that the group's controller sets, and the kubelet writes them into the
arguments.

Between the pods: the store on `MASTER_PORT` of the leader, the handshake of the copies on
`RPC_PORT`, and sockets of NCCL, Gloo and ZeroMQ, which take any free port of the kernel's range.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from function.api import base, claim
from function.engines.vllm import command_line
from function.planning import parallelism

# vllm/config/parallel.py: the defaults, written out because policies name them.
MASTER_PORT = 29501
RPC_PORT = 29550
# net.ipv4.ip_local_port_range of a new network namespace; no pod of ours sets another.
EPHEMERAL = (32768, 60999)
PORTS = ((MASTER_PORT, MASTER_PORT), (RPC_PORT, RPC_PORT), EPHEMERAL)

_ADDRESS = "data-parallel-address"
# What decides where the parts of an engine run. `gpu.parallelism` and these say the same thing.
DECIDES = (
    "tensor-parallel-size",
    "pipeline-parallel-size",
    "data-parallel-size",
    "data-parallel-size-local",
    "data-parallel-rank",
    "data-parallel-start-rank",
    _ADDRESS,
    "data-parallel-rpc-port",
    "data-parallel-backend",
    "data-parallel-external-lb",
    "data-parallel-hybrid-lb",
    "distributed-executor-backend",
    "enable-expert-parallel",
    "headless",
    "master-addr",
    "master-port",
    "nnodes",
    "node-rank",
)
# Of the leader alone: a headless engine has no API server, and refuses to be told a number of them.
_LEADERS = (_ADDRESS, "api-server-count")


def flags(split: parallelism.Split, gpus: int, start_seconds: int) -> Iterator[list[str]]:
    """Yields the flags that share a model among the GPUs of a replica.

    Args:
        split: How they share it.
        gpus: GPUs of a pod; zero where there are none.
        start_seconds: Budget from container start to the first 200.
    """
    tensor = split.tensor if split.written else gpus
    if tensor > 1:
        yield [f"--tensor-parallel-size={tensor}"]
    if split.pipeline > 1:
        yield [f"--pipeline-parallel-size={split.pipeline}"]
    if split.data > 1:
        yield [f"--data-parallel-size={split.data}"]
    if split.expert:
        yield ["--enable-expert-parallel"]
    if not split.spans:
        return
    # On GPUs that are not NVIDIA's the engine would not choose it by itself.
    yield ["--distributed-executor-backend=mp"]
    yield [f"--nnodes={split.pods}"]
    yield [f"--node-rank=$({parallelism.INDEX})"]
    yield [f"--master-addr=$({parallelism.LEADER})"]
    yield [f"--master-port={MASTER_PORT}"]
    # The leader waits so long for the others, whose nodes and images may take longer than its own.
    yield [f"--distributed-timeout-seconds={start_seconds}"]
    if split.listens:
        # The leader listens here, and ZeroMQ binds to numbers alone. The others connect by name.
        yield [f"--{_ADDRESS}=$({parallelism.OWN_ADDRESS})"]
        yield [f"--data-parallel-rpc-port={RPC_PORT}"]


def expanded(arguments: list[str]) -> list[str]:
    """Returns the arguments as the kubelet hands them to the leader, with an address to look at."""
    values = {
        parallelism.INDEX: "0",
        parallelism.LEADER: "leader.example.com",
        parallelism.OWN_ADDRESS: "192.0.2.1",
    }
    result = list(arguments)
    for name, value in values.items():
        result = [argument.replace(f"$({name})", value) for argument in result]
    return result


def refusals(spec: claim.Spec) -> Iterator[base.Problem]:
    """Yields each argument that says what `gpu.parallelism` says."""
    if base.of(spec.gpu, "parallelism") is None:
        return
    own = command_line.CommandLine.read(spec.engine_args or [])
    for flag in DECIDES:
        for use in own.of(flag):
            yield base.Problem(
                f"spec.engineArgs[{use.index}]",
                f"engineArgs sets --{flag} and spec.gpu.parallelism is set too: keep one",
            )


def pods(arguments: command_line.CommandLine) -> int:
    """Returns the pods of a replica that has this command line."""
    value = arguments.value("nnodes")
    return int(value) if value is not None and value.isdigit() and int(value) else 1


# Waits until the leader's engine has closed its store, or is not there any more. Whoever ends
# together with the leader keeps its GPUs at work until the leader has answered what it began.
_WAIT = """\
import os, socket, time
end = time.monotonic() + {seconds}
while time.monotonic() < end:
    try:
        socket.create_connection((os.environ["{leader}"], {port}), 2).close()
    except OSError:
        break
    time.sleep(1)
"""


def follower(container: Mapping[str, Any], drain_seconds: int) -> dict[str, Any]:
    """Returns the container of the pods that follow a leader.

    It follows from the leader's alone, so that a template that is held holds both. Another result
    for the same leader restarts every group: this is part of what an upgrade must not change.

    A headless engine answers no request. It has no probe: its process ends when a part of it does,
    and the restart of a container ends the group.

    Args:
        container: The leader's container.
        drain_seconds: For how long the leader may go on once it is told to end.
    """
    kept = {
        field: value
        for field, value in container.items()
        if field not in ("ports", "startupProbe", "readinessProbe", "livenessProbe", "lifecycle")
    }
    tokens = [str(token) for token in container.get("args") or []]
    line = command_line.CommandLine.read(tokens)
    dropped = {
        index
        for flag in _LEADERS
        for use in line.of(flag)
        for index in range(use.index, use.index + 1 + _apart(tokens[use.index], use.values))
    }
    script = _WAIT.format(seconds=drain_seconds, leader=parallelism.LEADER, port=MASTER_PORT)
    return {
        **kept,
        "args": [token for index, token in enumerate(tokens) if index not in dropped]
        + ["--headless"],
        "lifecycle": {"preStop": {"exec": {"command": ["python3", "-c", script]}}},
    }


def _apart(token: str, values: tuple[str, ...]) -> int:
    """Returns how many tokens behind an option are its values."""
    return 0 if "=" in token else len(values)
