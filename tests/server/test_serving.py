"""A server in plaintext: both API versions, health, reflection, HTTP, sizes, many calls at once."""

# grpc has no annotations.
# mypy: allow-untyped-calls

import concurrent.futures
import contextlib
import re
import socket
from typing import Any

import grpc
import pytest
from crossplane.function.proto.v1 import run_function_pb2 as fnv1
from crossplane.function.proto.v1beta1 import run_function_pb2 as fnv1beta1
from crossplane.function.proto.v1beta1 import run_function_pb2_grpc as grpcv1beta1
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import parser

import function
from function.server import intake, metrics, serving
from tests import cluster
from tests.bench import requests
from tests.server import process

SERVING = health_pb2.HealthCheckResponse.SERVING
V1 = "apiextensions.fn.proto.v1.FunctionRunnerService"
V1BETA1 = "apiextensions.fn.proto.v1beta1.FunctionRunnerService"
TOTAL = 'inference_service_function_requests_total{severity="%s"}'
MIB = 1024 * 1024


def test_answers(insecure: process.Running, request_: fnv1.RunFunctionRequest) -> None:
    with process.channel(insecure.address) as channel:
        rsp = process.stub(channel).RunFunction(request_, timeout=process.CALL_SECONDS)
    assert not rsp.results
    assert rsp.meta.tag == request_.meta.tag
    assert "xplane-qwen-coder-service" in rsp.desired.resources


def test_answers_v1beta1(insecure: process.Running, request_: fnv1.RunFunctionRequest) -> None:
    req = fnv1beta1.RunFunctionRequest.FromString(request_.SerializeToString())
    with process.channel(insecure.address) as channel:
        stub = grpcv1beta1.FunctionRunnerServiceStub(channel)
        rsp = stub.RunFunction(req, timeout=process.CALL_SECONDS)
    assert "xplane-qwen-coder-service" in rsp.desired.resources


@pytest.mark.parametrize("service", ["", V1, V1BETA1])
def test_health(insecure: process.Running, service: str) -> None:
    with process.channel(insecure.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = stub.Check(
            health_pb2.HealthCheckRequest(service=service), timeout=process.CALL_SECONDS
        )
    assert answer.status == SERVING


def test_health_of_an_unknown_service(insecure: process.Running) -> None:
    with process.channel(insecure.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        with pytest.raises(grpc.RpcError) as error:
            stub.Check(
                health_pb2.HealthCheckRequest(service="nobody"), timeout=process.CALL_SECONDS
            )
    assert process.failure(error.value)[0] is grpc.StatusCode.NOT_FOUND


def test_reflection_lists_every_service(insecure: process.Running) -> None:
    with process.channel(insecure.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        question = reflection_pb2.ServerReflectionRequest(list_services="")
        answers = stub.ServerReflectionInfo(iter([question]), timeout=process.CALL_SECONDS)
        listed = {service.name for service in next(answers).list_services_response.service}
    assert listed == {
        V1,
        V1BETA1,
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }


def test_many_at_once_get_their_own_answers(insecure: process.Running) -> None:
    before = insecure.sample(TOTAL % "none")
    claims = [cluster.example("smallest") for _ in range(64)]
    for number, claim in enumerate(claims):
        claim["metadata"]["name"] = f"xplane-claim-{number}"
    asked = [requests.first(claim) for claim in claims]
    with (
        process.channel(insecure.address) as channel,
        concurrent.futures.ThreadPoolExecutor(len(asked)) as pool,
    ):
        stub = process.stub(channel)
        answers = list(
            pool.map(lambda req: stub.RunFunction(req, timeout=process.CALL_SECONDS), asked)
        )
    for number, rsp in enumerate(answers):
        name = f"xplane-claim-{number}"
        service = rsp.desired.resources[f"{name}-service"].resource
        assert service["metadata"]["name"] == name
        assert all(key.startswith(f"{name}-") for key in rsp.desired.resources)
    assert insecure.sample(TOTAL % "none") == before + len(asked)


# --- sizes


def large(request_: fnv1.RunFunctionRequest, size: int) -> fnv1.RunFunctionRequest:
    """Returns the request with one large observed object."""
    req = fnv1.RunFunctionRequest()
    req.CopyFrom(request_)
    config: cluster.Object = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "data": {"large": "x" * size},
    }
    req.observed.resources["large"].resource.update(config)
    return req


def test_a_large_request_is_refused_by_default(
    insecure: process.Running, request_: fnv1.RunFunctionRequest
) -> None:
    with process.channel(insecure.address) as channel:
        stub = process.stub(channel)
        stub.RunFunction(large(request_, 4 * MIB - 65536), timeout=process.CALL_SECONDS)
        with pytest.raises(grpc.RpcError) as error:
            stub.RunFunction(large(request_, 5 * MIB), timeout=process.CALL_SECONDS)
    code, details = process.failure(error.value)
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert re.search(r"larger than max \(\d+ vs\. 4194304\)", details)


@pytest.mark.parametrize("spelling", ["--max-recv-message-size", "MAX_GRPC_MESSAGE_SIZE"])
def test_a_large_request_is_answered_when_the_limit_is_raised(
    request_: fnv1.RunFunctionRequest, spelling: str
) -> None:
    options = (spelling, "16") if spelling.startswith("--") else ()
    environment = {} if options else {spelling: "16"}
    with (
        process.serving("--insecure", *options, **environment) as running,
        process.channel(running.address) as channel,
    ):
        rsp = process.stub(channel).RunFunction(
            large(request_, 9 * MIB), timeout=process.CALL_SECONDS
        )
    assert "xplane-qwen-coder-service" in rsp.desired.resources


# --- HTTP


def test_probes(insecure: process.Running) -> None:
    assert insecure.get("/healthz") == (200, "ok\n")
    assert insecure.get("/readyz") == (200, "ok\n")
    assert insecure.get("/readyz?verbose") == (200, "ok\n")
    assert insecure.get("/readyz", "HEAD") == (200, "")
    assert insecure.get("/healthz", "POST")[0] == 405
    assert insecure.get("/")[0] == 404


@pytest.mark.parametrize("sent", [b"", b"\r\n\r\n", b"GET\r\n\r\n", b"\xff\x00" * 40_000])
def test_http_survives_what_is_not_http(insecure: process.Running, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", insecure.http_port)) as connection:
        connection.settimeout(process.CALL_SECONDS)
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(4096)
        except ConnectionError:
            answer = b""
    assert answer[:12] in (b"", b"HTTP/1.1 404", b"HTTP/1.1 405"), answer
    assert insecure.get("/healthz")[0] == 200
    assert "Traceback" not in insecure.output


def test_head_has_no_body(insecure: process.Running) -> None:
    with socket.create_connection(("127.0.0.1", insecure.http_port)) as connection:
        connection.settimeout(process.CALL_SECONDS)
        connection.sendall(b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n")
    assert answer.count(b"\r\n\r\n") == 1


class Answers:
    """Answers with results of some severities, or fails."""

    def __init__(self, severities: tuple[fnv1.Severity, ...] | None) -> None:
        self.severities = severities

    async def RunFunction(self, received: intake.Received, _: Any) -> fnv1.RunFunctionResponse:
        if self.severities is None:
            raise RuntimeError
        rsp = fnv1.RunFunctionResponse()
        for severity in self.severities:
            rsp.results.add(severity=severity)
        return rsp


@pytest.mark.parametrize(
    ("severities", "counted"),
    [
        ((), "none"),
        ((fnv1.SEVERITY_UNSPECIFIED,), "none"),
        ((fnv1.SEVERITY_NORMAL,), "normal"),
        ((fnv1.SEVERITY_NORMAL, fnv1.SEVERITY_WARNING), "warning"),
        ((fnv1.SEVERITY_WARNING, fnv1.SEVERITY_FATAL, fnv1.SEVERITY_NORMAL), "fatal"),
        (None, "error"),
    ],
)
async def test_a_call_is_counted_once_by_its_worst_result(
    severities: tuple[fnv1.Severity, ...] | None, counted: str
) -> None:
    counters = metrics.Metrics()
    calls = serving.Calls(Answers(severities), counters)
    with contextlib.suppress(RuntimeError):
        await calls.RunFunction(intake.read(b""), None)
    shown = counters.render().splitlines()
    for severity in metrics.SEVERITIES:
        assert f"{TOTAL % severity} {int(severity == counted)}" in shown
    assert "inference_service_function_requests_in_flight 0" in shown


def test_metrics(insecure: process.Running, request_: fnv1.RunFunctionRequest) -> None:
    before = {kind: insecure.sample(TOTAL % kind) for kind in ("none", "fatal")}
    refused = fnv1.RunFunctionRequest()
    refused.CopyFrom(request_)
    del refused.observed.composite.resource["spec"]
    with process.channel(insecure.address) as channel:
        for req in (request_, refused, refused):
            process.stub(channel).RunFunction(req, timeout=process.CALL_SECONDS)
    assert insecure.sample(TOTAL % "none") == before["none"] + 1
    assert insecure.sample(TOTAL % "fatal") == before["fatal"] + 2
    families = {
        family.name: family
        for family in parser.text_string_to_metric_families(insecure.get("/metrics")[1])
    }
    prefix = "inference_service_function_"
    counts = {s.labels["severity"]: s.value for s in families[f"{prefix}requests"].samples}
    histogram = families[f"{prefix}request_duration_seconds"]
    assert histogram.type == "histogram"
    buckets = [s.value for s in histogram.samples if s.name.endswith("_bucket")]
    assert buckets == sorted(buckets)
    count = next(s.value for s in histogram.samples if s.name.endswith("_count"))
    assert buckets[-1] == count == sum(counts.values())
    seconds = next(s.value for s in histogram.samples if s.name.endswith("_sum"))
    assert 0 < seconds < count * 10
    assert families[f"{prefix}requests_in_flight"].samples[0].value == 0
    assert families[f"{prefix}build_info"].samples[0].labels["version"] == function.__version__
    assert families["process_resident_memory_bytes"].samples[0].value > 10 * MIB
    assert "xplane" not in insecure.get("/metrics")[1]


def test_without_http(request_: fnv1.RunFunctionRequest) -> None:
    with (
        process.serving("--insecure", "--http-address", "") as running,
        process.channel(running.address) as channel,
    ):
        process.stub(channel).RunFunction(request_, timeout=process.CALL_SECONDS)
        assert running.http_port is None
