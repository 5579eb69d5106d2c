"""From a caller to an engine's pod by way of the claim's own endpoint picker.

The picker is the released program, and so is everything around it: see ``test_data_path.py``.
"""

from __future__ import annotations

import collections
import contextlib
import http.client
import itertools
import signal
import time
from collections.abc import Iterator

import pytest

from e2e import claims, installation, operators
from e2e.controlplane import api, plane, polling
from e2e.dataplane import asking, envoy, stage
from e2e.machines import containers

NAMESPACE = "picker"
# For a busy machine, on top of what something takes by itself.
GRACE = 60
ADAPTER = "xplane-qwen-coder-securecode"
CANARY = "xplane-qwen-coder-sql-dpo"
CLIENTS = 8
REQUESTS = 100
PICKER = "epp"
_REQUESTS = "inference_objective_request_total{"
# From a change of an engine's series to picks by it: the picker reads them every 50 ms.
READ_SECONDS = 10
# From a pod that is ready to every machine's kube-proxy, on a busy machine.
SERVICE_SECONDS = 10


@pytest.fixture(scope="module")
def running(
    control_plane: plane.ControlPlane,
    installed: installation.Installation,
    standing_in: operators.Operators,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[stage.Stage]:
    """The gateway on its node, KEDA, a metrics server, and a namespace made ready for claims."""
    work = tmp_path_factory.mktemp(NAMESPACE)
    with stage.standing(control_plane, installed, standing_in, work, NAMESPACE) as ready:
        yield ready


@pytest.fixture(scope="module")
def picked(running: stage.Stage) -> claims.Claim:
    """The example with adapters and a canary, with two engines and one picker."""
    claim = running.example("xplane-qwen-coder")
    claim.apply(gateway=_picker(claim, 1), scaling={"minReplicas": 2, "maxReplicas": 2})
    claim.wait_phase("Serving", timeout=120 + GRACE)
    claim.wait_condition("RouteReady", "True", "Published")
    polling.until(lambda: len(running.engines(claim)) == 2, what="two engines", timeout=GRACE)
    return claim


def _picker(claim: claims.Claim, replicas: int) -> api.Object:
    picker = {"enabled": True, "replicas": replicas}
    return {**claim.manifest["spec"]["gateway"], "endpointPicker": picker}


@pytest.fixture(scope="module")
def pair(running: stage.Stage, picked: claims.Claim) -> claims.Claim:
    """The same with two pickers."""
    picked.apply(gateway=_picker(picked, 2))
    polling.until(lambda: len(running.pickers(picked)) == 2, what="two pickers", timeout=GRACE)
    return picked


@pytest.fixture(scope="module")
def caller(running: stage.Stage, picked: claims.Claim) -> asking.Caller:
    """Somebody who knows the gateway, once it serves the claim."""
    somebody = running.caller()
    somebody.wait(picked.name)
    return somebody


# No prompt comes twice, unless a test is about that: its cache would keep it at one engine.
_PROMPTS = itertools.count()


def _ask(somebody: asking.Caller, model: str, count: int) -> asking.Answers:
    answers = [
        somebody.ask(model, messages=[{"role": "user", "content": f"{next(_PROMPTS)} hello"}])
        for _ in range(count)
    ]
    assert {one.status for one in answers} == {200}, collections.Counter(map(str, answers))
    return answers


def test_requests_spread_over_the_engines(
    caller: asking.Caller, picked: claims.Claim, running: stage.Stage
) -> None:
    """Nothing tells one from the other, so both have a part."""
    engines = collections.Counter(one.engine for one in _ask(caller, picked.name, REQUESTS))
    assert set(engines) == running.names(picked)
    assert min(engines.values()) >= REQUESTS / 5, engines


def test_the_gateway_lists_the_claim_and_its_adapters(
    caller: asking.Caller, picked: claims.Claim
) -> None:
    """One match of the route has all names, and the list has each of them."""
    assert caller.models() == {picked.name, ADAPTER, CANARY}


def test_the_picker_is_asked_once_for_each_request(
    caller: asking.Caller, picked: claims.Claim, running: stage.Stage
) -> None:
    """The AI gateway asks it for each match of the route that names the pool."""
    (pod,) = running.pickers(picked)
    before = _picks(pod)
    for name in (picked.name, ADAPTER):
        _ask(caller, name, 10)
    assert _picks(pod) == before + 20


def _picks(pod: api.Object) -> float:
    connection = http.client.HTTPConnection(pod["status"]["podIP"], 9090, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    samples = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(_REQUESTS)]
    return sum(float(value) for _, value in samples)


def test_a_picker_leaves_an_engine_that_is_busy(
    caller: asking.Caller, picked: claims.Claim, running: stage.Stage
) -> None:
    """It reads the engines' own series."""
    busy, idle = running.engines(picked)
    with _showing(busy, {"shownWaiting": 18, "shownKV": 0.9}):
        polling.until(
            lambda: (
                {one.engine for one in _ask(caller, picked.name, 20)} == {idle["metadata"]["name"]}
            ),
            what="picks of the other alone",
            timeout=READ_SECONDS + GRACE,
        )


@contextlib.contextmanager
def _showing(pod: api.Object, behaviour: dict[str, float]) -> Iterator[None]:
    """Let an engine show other values than its own."""
    stage.steer(pod, behaviour)
    try:
        yield
    finally:
        stage.steer(pod, dict.fromkeys(behaviour, -1))


def test_a_conversation_stays_with_the_engine_that_has_its_prefix(
    caller: asking.Caller, picked: claims.Claim
) -> None:
    """A long prompt that goes on from the last one is picked by what the picker remembers.

    An adapter's name has no canary: the picker remembers prefixes by model.
    """
    del picked
    turns = ["You are a careful assistant. " * 400]
    engines = []
    for turn in range(20):
        turns.append(f"turn {turn} " * 20)
        messages = [{"role": "user", "content": "".join(turns)}]
        engines.append(caller.ask(ADAPTER, messages=messages).engine)
    assert len(set(engines)) == 1, " ".join(engines)


def test_a_canary_is_drawn_by_the_picker(caller: asking.Caller, picked: claims.Claim) -> None:
    """One request in ten reaches the engine under the adapter's name.

    The picker writes the name that was asked for over the adapter's in the answer.
    """
    answers = _ask(caller, picked.name, 2 * REQUESTS)
    assert {one.content["model"] for one in answers} == {picked.name}
    models = collections.Counter(one.headers["x-model"] for one in answers)
    assert set(models) == {picked.name, CANARY}
    # Three deviations of a draw of 200 by one in ten.
    assert models[CANARY] == pytest.approx(2 * REQUESTS / 10, abs=13)


def test_connections_and_streams_end_as_the_policy_says(
    picked: claims.Claim, running: stage.Stage
) -> None:
    """The AI gateway makes the pool's cluster and routes other ones; both keep what these need."""
    policy = picked.one("BackendTrafficPolicy")["spec"]["timeout"]["http"]
    (proxy,) = running.controllers.proxies()
    clusters = envoy.clusters(proxy)
    routes = [one["route"] for one in envoy.routes(proxy) if "route" in one]
    of_the_claim = [one for one in routes if f"/{picked.name}/" in one.get("cluster", "")]
    assert of_the_claim
    for route in of_the_claim:
        assert route["idle_timeout"] == policy["streamIdleTimeout"]
        assert route["timeout"] == "0s"
        (protocol,) = clusters[route["cluster"]]["typed_extension_protocol_options"].values()
        idle = protocol["common_http_protocol_options"]["idle_timeout"]
        assert idle == policy["connectionIdleTimeout"]


def test_a_picker_that_is_replaced_loses_no_request(
    caller: asking.Caller, pair: claims.Claim, running: stage.Stage
) -> None:
    """A picker leaves before it closes its streams, and the other one answers meanwhile."""
    gone, _ = running.pickers(pair)
    with caller.load(CLIENTS, pair.name, **asking.STREAM) as answers:
        running.tenant.plane.admin.delete(api.Ref.of(gone))
        polling.until(
            lambda: running.tenant.plane.admin.find(api.Ref.of(gone)) is None,
            what="its end",
            timeout=60 + GRACE,
        )
        before = len(answers)
        polling.until(lambda: len(answers) > before + 2 * CLIENTS, what="more", timeout=GRACE)
    asking.assert_whole(answers)
    polling.until(lambda: len(running.pickers(pair)) == 2, what="two pickers", timeout=GRACE)


def test_engines_are_replaced_without_a_lost_request(
    caller: asking.Caller, picked: claims.Claim, running: stage.Stage
) -> None:
    """The picker no longer picks a pod that ends, and what it has in flight finishes."""
    old = running.names(picked)
    with caller.load(CLIENTS, picked.name, **asking.STREAM) as answers:
        picked.apply(model=picked.manifest["spec"]["model"] | {"maxNumSeqs": 24})
        polling.until(
            lambda: len(running.names(picked) - old) == 2,
            what="two new engines",
            timeout=180 + GRACE,
        )
        before = len(answers)
        polling.until(lambda: len(answers) > before + 4 * CLIENTS, what="more", timeout=GRACE)
    asking.assert_whole(answers)


def test_a_claim_that_comes_and_goes_costs_its_neighbours_no_request(
    caller: asking.Caller, picked: claims.Claim, running: stage.Stage
) -> None:
    """A picker changes the gateway's listener, which all claims share."""
    gateway = {"enabled": True, "endpointPicker": {"enabled": True}}
    claim = running.claim("newcomer", gateway=gateway, scaling={"minReplicas": 1, "maxReplicas": 1})
    lists = [caller.send("GET", "/v1/models")]

    def listed() -> bool:
        lists.append(caller.send("GET", "/v1/models"))
        return f'"{claim.name}"' in lists[-1].text

    with caller.load(2, picked.name, **asking.STREAM) as answers:
        claim.apply()
        polling.until(listed, what="it in the list of models", timeout=120 + GRACE)
        caller.wait(claim.name)
        claim.delete()
        polling.until(lambda: not listed(), what="it gone from the list", timeout=GRACE)
        before = len(answers)
        polling.until(lambda: len(answers) > before + 8, what="more", timeout=GRACE)
    asking.assert_whole(answers)
    assert {one.status for one in lists} == {200}


def test_a_sleeping_claim_behind_a_picker_wakes_on_one_request(
    caller: asking.Caller, running: stage.Stage
) -> None:
    """The picker holds the request, its queue is the wake signal, and the replica answers it."""
    claim = running.claim(
        "sleeper",
        gateway={"enabled": True, "endpointPicker": {"enabled": True}},
        scaling={
            "minReplicas": 0,
            "maxReplicas": 1,
            "cooldownSeconds": 60,
            "pollingIntervalSeconds": 5,
        },
        healthProbes={"startup": {"periodSeconds": 5, "failureThreshold": 12}},
    )
    claim.apply()
    claim.wait_phase("Idle", timeout=120 + GRACE)
    claim.wait_condition("RouteReady", "True", "Published")
    polling.until(
        lambda: claim.name in caller.models(), what="the claim in the gateway", timeout=GRACE
    )
    assert running.engines(claim) == []
    # Until the proxy's node knows the new picker behind its Service, the answer is 500.
    time.sleep(SERVICE_SECONDS)
    answer = caller.ask(claim.name)
    print(f"{answer.seconds:.1f} s from the request to the whole answer")
    assert answer.status == 200, answer
    assert {answer.engine} == running.names(claim)
    claim.delete()


def test_without_a_picker_nothing_is_served(
    caller: asking.Caller, picked: claims.Claim, running: stage.Stage
) -> None:
    """The gateway fails closed, whatever the pool says: the words of docs/operations.md."""
    pods = running.pickers(picked)
    for pod in pods:
        containers.send(pod, PICKER, signal.SIGSTOP)
    try:
        answer = caller.ask(picked.name, timeout=30)
        assert answer.status != 200, answer
        print(f"without a picker: {answer}")
    finally:
        for pod in pods:
            containers.send(pod, PICKER, signal.SIGCONT)
    caller.wait(picked.name)
