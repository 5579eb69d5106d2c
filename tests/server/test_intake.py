"""A request is cut and measured in its bytes; what is too large or too deep is said in words."""

import random

import pytest
from crossplane.function.proto.v1 import run_function_pb2 as fnv1
from google.protobuf import struct_pb2

from function.server import intake, runner, structs
from tests import cluster, quiet
from tests.server import process

LOG = quiet.Quiet()


def request(**changes: cluster.Object) -> fnv1.RunFunctionRequest:
    """Returns a request about a claim that serves, with other fields of its metadata or status."""
    world = cluster.Cluster(cluster.example("smallest"), cluster.environment("plain"))
    world.converge()
    for field, values in changes.items():
        world.claim.setdefault(field, {}).update(values)
    return world.request()


def fatal(rsp: fnv1.RunFunctionResponse) -> str:
    """Returns the only result, which is fatal."""
    (result,) = rsp.results
    assert result.severity == fnv1.SEVERITY_FATAL
    return result.message


def nested(levels: int) -> cluster.Object:
    """Returns maps inside of each other."""
    value: cluster.Object = {}
    for _ in range(levels):
        value = {"a": value}
    return value


def test_what_no_answer_reads_is_not_decoded() -> None:
    """Of a claim that is not small."""
    fields: cluster.Object = {f"f:{number}": {} for number in range(intake.SMALL // 8)}
    asked = request(metadata={"managedFields": [{"fieldsV1": fields}], "labels": {"a": "b"}})
    received = intake.read(asked.SerializeToString())
    assert received.refusal is None
    metadata = structs.plain(received.request.observed.composite.resource)["metadata"]
    assert set(metadata) <= set(intake.METADATA)
    for part in ("spec", "status"):
        assert (
            received.request.observed.composite.resource[part]
            == asked.observed.composite.resource[part]
        )
    assert received.request.observed.resources == asked.observed.resources
    assert received.request.required_resources == asked.required_resources


def test_the_answer_is_the_one_to_the_whole_request() -> None:
    asked = request()
    whole = runner.run(asked, LOG)
    assert runner.answer(asked.SerializeToString(), LOG) == whole


@pytest.mark.parametrize("part", ["metadata", "spec"])
def test_a_claim_above_256_kib_is_refused_with_its_size(part: str) -> None:
    much = {"annotations": {"a": "x" * (254 * 1024)}}
    assert intake.read(request(metadata=much).SerializeToString()).refusal is None
    if part == "metadata":
        asked = request(metadata={"annotations": {"a": "x" * (300 * 1024)}})
    else:
        asked = request(metadata=much, spec={"engineArgs": ["x" * (10 * 1024)]})
    asked.desired.resources["other"].resource.update({"kind": "ConfigMap"})
    rsp = runner.answer(asked.SerializeToString(), LOG)
    size = 301 if part == "metadata" else 265
    assert f"spec and metadata.annotations: {size} KiB in all" in fatal(rsp)
    assert "at most 256 KiB" in fatal(rsp)
    assert rsp.desired == asked.desired
    assert rsp.meta.tag == asked.meta.tag


def test_a_refused_claim_keeps_its_conditions() -> None:
    asked = request(metadata={"annotations": {"a": "x" * (300 * 1024)}})
    told = {c.type: c for c in runner.answer(asked.SerializeToString(), LOG).conditions}
    assert told["Valid"].status == fnv1.STATUS_CONDITION_FALSE
    assert told["Valid"].reason == "Invalid"
    assert told["EngineReady"].status == fnv1.STATUS_CONDITION_TRUE


def test_a_status_above_its_bound_is_refused() -> None:
    asked = request(status={"x": "x" * (300 * 1024)})
    rsp = runner.answer(asked.SerializeToString(), LOG)
    assert "status: 30" in fatal(rsp)
    assert [c.status for c in rsp.conditions if c.type == "EngineReady"] == [
        fnv1.STATUS_CONDITION_UNKNOWN
    ]


def test_megabytes_of_empty_maps_cost_nothing() -> None:
    asked = request()
    empty = [struct_pb2.Value(struct_value=struct_pb2.Struct())] * 400_000
    asked.observed.composite.resource.fields["spec"].struct_value.fields[
        "x"
    ].list_value.values.extend(empty)
    received = intake.read(asked.SerializeToString())
    assert received.refusal is not None
    assert received.request.ByteSize() < 8 * 1024


@pytest.mark.parametrize("where", ["spec", "annotations", "status", "observed", "context"])
def test_what_is_nested_too_deeply_is_refused_in_words(where: str) -> None:
    deep = nested(60)
    if where == "annotations":
        asked = request(metadata={"annotations": deep})
    else:
        asked = request(**{where: deep} if where in ("spec", "status") else {})
    if where == "observed":
        asked.observed.resources["x"].resource.update(deep)
    elif where == "context":
        asked.context.update(deep)
    rsp = runner.answer(asked.SerializeToString(), LOG)
    assert "nested more deeply" in fatal(rsp)
    named = {c.type: c for c in rsp.conditions}
    kept = where not in ("status",)
    assert (named["EngineReady"].status == fnv1.STATUS_CONDITION_TRUE) is kept


@pytest.mark.parametrize(
    "data", [b"\xff", b"\x12\xff\xff\xff\xff\x0f", b"\x0f\x0f", b"\x12\x02\x0a\x09"]
)
def test_what_is_no_request_is_refused_in_words(data: bytes) -> None:
    assert intake.UNREADABLE in fatal(runner.answer(data, LOG))


def test_no_bytes_raise() -> None:
    whole = request().SerializeToString()
    chance = random.Random(7)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        if chance.random() < 0.3:
            del data[chance.randrange(len(data)) :]
        runner.answer(bytes(data), LOG)


def test_both_versions_refuse_on_the_wire(insecure: process.Running) -> None:
    asked = request(metadata={"annotations": {"a": "x" * (300 * 1024)}})
    for version in ("v1", "v1beta1"):
        with process.channel(insecure.address) as channel:
            call = channel.unary_unary(
                f"/apiextensions.fn.proto.{version}.FunctionRunnerService/RunFunction",
                response_deserializer=fnv1.RunFunctionResponse.FromString,
            )
            assert "at most 256 KiB" in fatal(
                call(asked.SerializeToString(), timeout=process.CALL_SECONDS)
            )
