"""Logs: one JSON line for each call, and never what a request carries in confidence."""

import json

import pytest
from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from tests.server import process

SECRET = "hunter2-hunter2"


@pytest.fixture
def confidential(request_: fnv1.RunFunctionRequest) -> fnv1.RunFunctionRequest:
    """A request with credentials, and a connection detail and a Secret among what is observed."""
    req = fnv1.RunFunctionRequest()
    req.CopyFrom(request_)
    req.credentials["hub"].credential_data.data["token"] = SECRET.encode()
    req.observed.resources["secret"].resource.update(
        {"apiVersion": "v1", "kind": "Secret", "stringData": {"token": SECRET}}
    )
    req.observed.composite.connection_details["token"] = SECRET.encode()
    return req


def call(server: process.Running, req: fnv1.RunFunctionRequest) -> fnv1.RunFunctionResponse:
    with process.channel(server.address) as channel:
        rsp: fnv1.RunFunctionResponse = process.stub(channel).RunFunction(
            req, timeout=process.CALL_SECONDS
        )
    return rsp


def test_a_call_is_one_line(confidential: fnv1.RunFunctionRequest) -> None:
    with process.serving("--insecure") as server:
        call(server, confidential)
        server.signal()
        assert server.wait() == 0
        lines = [json.loads(line) for line in server.output.splitlines()]
    about = [line for line in lines if line.get("tag") == confidential.meta.tag]
    assert len(about) == 1
    assert about[0]["claim"] == "xplane-qwen-coder"
    assert about[0]["namespace"] == "llm"
    assert about[0]["milliseconds"] > 0
    assert [line["msg"] for line in lines if line not in about] == [
        "Serving",
        "Draining",
        "Stopped",
    ]
    assert SECRET not in server.output


@pytest.mark.parametrize("options", [(), ("--debug",)])
def test_a_bug_is_explained_without_the_request(
    confidential: fnv1.RunFunctionRequest, options: tuple[str, ...]
) -> None:
    # Tracebacks with local variables would hold the request, and with it the credentials.
    with process.serving("--insecure", *options, module="tests.server.broken") as server:
        rsp = call(server, confidential)
        assert rsp.results[0].severity == fnv1.SEVERITY_FATAL
        identity = rsp.results[0].message.split()[2].rstrip(":")
        server.signal()
        assert server.wait() == 0
    assert identity in server.output
    assert "RuntimeError" in server.output
    assert "broken.py" in server.output
    assert SECRET not in server.output
