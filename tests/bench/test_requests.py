"""The benchmark measures what it says: a claim at rest, objects as the API server gives them."""

from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from function.server import runner, structs
from tests import quiet
from tests.bench import requests


def test_steady_is_steady_and_live() -> None:
    log = quiet.Quiet()
    live, plain = requests.steady(), requests.world()
    plain.converge()
    answer, bare = runner.run(live, log), runner.run(plain.request(), log)
    assert not log.errors
    assert structs.plain(answer.desired.composite.resource)["status"]["phase"] == "Serving"
    assert not answer.results
    # What the API server and the controllers add changes nothing of the answer.
    assert answer.desired == bare.desired
    assert set(answer.desired.resources) == set(live.observed.resources)
    assert all(item.ready == fnv1.READY_TRUE for item in answer.desired.resources.values())
    for item in live.observed.resources.values():
        metadata = structs.plain(item.resource)["metadata"]
        assert "f:labels" in metadata["managedFields"][0]["fieldsV1"]["f:metadata"]
        assert {"uid", "resourceVersion", "creationTimestamp", "ownerReferences"} <= set(metadata)
    assert live.ByteSize() > plain.request().ByteSize() * 1.4


def test_first_is_a_first_reconcile() -> None:
    req = requests.first()
    assert not req.observed.resources
    answer = runner.run(req, quiet.Quiet())
    assert not any(result.severity == fnv1.SEVERITY_FATAL for result in answer.results)
    assert any("cilium-netpol-download" in key for key in answer.desired.resources)


def test_a_door_is_at_rest_over_its_claims() -> None:
    first, second = requests.doors(2, 5)
    log = quiet.Quiet()
    answers = [runner.run(req, log) for req in (first, second)]
    assert not log.errors
    assert first != second
    assert not answers[0].results
    assert answers[0].desired == answers[1].desired
    status = structs.plain(answers[0].desired.composite.resource)["status"]
    assert status["claims"] == "5/5"
    assert all(item.ready == fnv1.READY_TRUE for item in answers[0].desired.resources.values())
