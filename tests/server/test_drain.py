"""The end: told first, refused later, nothing that was taken is lost, exit code 0."""

# grpc has no annotations.
# mypy: allow-untyped-calls

import asyncio
import collections
import concurrent.futures
import signal
import time

import grpc
import pytest
from crossplane.function.proto.v1 import run_function_pb2 as fnv1
from crossplane.function.proto.v1 import run_function_pb2_grpc as grpcv1
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.server import process

SLOW = "tests.server.slow"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_running_calls_finish(request_: fnv1.RunFunctionRequest, number: signal.Signals) -> None:
    with (
        process.serving("--insecure", module=SLOW, SLOW_SECONDS="2.5") as server,
        process.channel(server.address) as channel,
        concurrent.futures.ThreadPoolExecutor(8) as pool,
    ):
        call = process.stub(channel).RunFunction
        calls = [pool.submit(call, request_, timeout=process.CALL_SECONDS) for _ in range(8)]
        server.until_in_flight(8)
        health = health_pb2_grpc.HealthStub(channel).Watch(
            health_pb2.HealthCheckRequest(), timeout=process.CALL_SECONDS
        )
        assert next(health).status == health_pb2.HealthCheckResponse.SERVING
        server.signal(number)
        assert next(health).status == health_pb2.HealthCheckResponse.NOT_SERVING
        health.cancel()
        assert server.get("/readyz") == (503, "not serving\n")
        assert server.get("/healthz")[0] == 200
        time.sleep(0.3)
        with process.channel(server.address) as late, pytest.raises(grpc.RpcError) as error:
            process.stub(late).RunFunction(request_, timeout=process.CALL_SECONDS)
        assert process.failure(error.value)[0] is grpc.StatusCode.UNAVAILABLE
        assert not any(call.done() for call in calls), "too late to show anything"
        for answer in calls:
            assert "xplane-qwen-coder-service" in answer.result().desired.resources
        assert server.wait() == 0


def test_calls_that_take_too_long_are_ended(request_: fnv1.RunFunctionRequest) -> None:
    options = ("--insecure", "--drain-seconds", "0.5")
    with (
        process.serving(*options, module=SLOW, SLOW_SECONDS="60") as server,
        process.channel(server.address) as channel,
    ):
        call = process.stub(channel).RunFunction.future(request_)
        server.until_in_flight(1)
        begin = time.monotonic()
        server.signal()
        assert server.wait() == 0
        assert time.monotonic() - begin < 10
        assert call.exception(timeout=process.CALL_SECONDS) is not None


async def _hammer(
    server: process.Running, req: fnv1.RunFunctionRequest, clients: int
) -> collections.Counter[str]:
    """Calls without pause until the server has gone; returns how the calls ended."""
    outcomes: collections.Counter[str] = collections.Counter()
    channel = grpc.aio.insecure_channel(
        server.address,
        options=[("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)],
    )
    stub = grpcv1.FunctionRunnerServiceStub(channel)

    async def client() -> None:
        while True:
            try:
                await stub.RunFunction(req, timeout=process.CALL_SECONDS)
                outcomes["answered"] += 1
            except grpc.aio.AioRpcError as error:
                refused = "Failed to connect to remote host" in (error.details() or "")
                outcomes["refused" if refused else f"{error.code()}: {error.details()}"] += 1
                return

    running = [asyncio.create_task(client()) for _ in range(clients)]
    while outcomes["answered"] < 2 * clients:
        await asyncio.sleep(0.01)
    server.signal()
    await asyncio.gather(*running)
    await channel.close()
    return outcomes


async def test_no_call_is_lost_under_load(request_: fnv1.RunFunctionRequest) -> None:
    # The sockets hold more than the loop has seen: a server that just stops cancels those.
    with process.serving("--insecure") as server:
        outcomes = await _hammer(server, request_, clients=64)
        assert set(outcomes) == {"answered", "refused"}, outcomes
        assert await asyncio.to_thread(server.wait) == 0
