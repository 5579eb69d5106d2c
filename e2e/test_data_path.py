"""From a caller to an engine's pod, through the real Envoy Gateway and Envoy AI Gateway.

Both controllers, the AI gateway's processor and Envoy are the released programs, in pods that
kubelets run on machines of their own (``e2e.machines``), with CoreDNS and kube-proxy. Authors apply
the claims; Crossplane, the scheduler, KEDA and a metrics server are the real ones too. Weights come
from a local hub by the product's preload Jobs; the engine is a stand-in.
"""

from __future__ import annotations

import collections
import itertools
import signal
import time
import typing
from collections.abc import Iterator

import pytest

from e2e import claims, data_path, installation, operators
from e2e.controlplane import api, plane, polling
from e2e.dataplane import asking, controllers, envoy, stage
from e2e.gateway import translation
from e2e.machines import containers

ADAPTER = "xplane-qwen-coder-securecode"
CANARY = "xplane-qwen-coder-sql-dpo"
# By its name behind the other canary, which so keeps its place in the route.
LATE = "xplane-qwen-coder-tests"
REQUESTS = 200
ENGINE = "vllm"
# A kubelet writes a pod's Secrets when it looks at the pod: here every 10 s, and some jitter.
REFRESH_SECONDS = 20
MEGABYTE = 1_000_000
CLIENTS = 8
# Bytes by which the prompt is longer.
SLEEPERS = {"small": 0, "large": MEGABYTE}
SHORT_SECONDS = 4
# What a busy machine adds to a few seconds; the engine alone would take 30.
BUSY = 15
# The gateway's own words for a model that no route has.
UNKNOWN = "No matching route found"


@pytest.fixture(scope="module")
def running(
    control_plane: plane.ControlPlane,
    installed: installation.Installation,
    standing_in: operators.Operators,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[stage.Stage]:
    """The gateway on its node, KEDA, a metrics server, and a namespace made ready for claims."""
    work = tmp_path_factory.mktemp(data_path.NAMESPACE)
    with stage.standing(control_plane, installed, standing_in, work, data_path.NAMESPACE) as ready:
        yield ready


@pytest.fixture(scope="module")
def coder(running: stage.Stage) -> claims.Claim:
    """The example with two adapters and a canary, with two replicas."""
    claim = running.example("xplane-qwen-coder")
    claim.apply(scaling={"minReplicas": 2, "maxReplicas": 2})
    claim.wait_phase("Serving", timeout=120 + data_path.GRACE)
    claim.wait_condition("RouteReady", "True", "Published")
    polling.until(
        lambda: len(running.engines(claim)) == 2, what="two engines", timeout=data_path.GRACE
    )
    return claim


@pytest.fixture(scope="module")
def caller(running: stage.Stage, coder: claims.Claim) -> asking.Caller:
    """Somebody who knows the gateway, once it serves the first claim from each of its pods."""
    somebody = running.caller()
    somebody.wait(coder.name)
    polling.until(
        lambda: len({one.engine for one in somebody.ask_often(8, coder.name)}) == 2,
        what="both pods in the gateway's view",
        timeout=data_path.GRACE,
    )
    return somebody


# --- a claim that serves


def test_a_request_by_model_name_reaches_a_pod(
    caller: asking.Caller, coder: claims.Claim, running: stage.Stage
) -> None:
    """The claim's name is the model's name, and the claim's pod answers."""
    answer = caller.ask(coder.name, tokens=3)
    assert answer.status == 200, answer
    assert answer.content["usage"]["completion_tokens"] == 3
    assert answer.engine in running.names(coder)


def test_an_unknown_model_is_answered_with_404_and_words(caller: asking.Caller) -> None:
    """The gateway says that no route has the model."""
    answer = caller.ask("nobody")
    assert answer.status == 404, answer
    assert UNKNOWN in answer.text


def test_the_gateway_lists_the_claim_and_its_adapters(
    caller: asking.Caller, coder: claims.Claim
) -> None:
    """Clients that ask for models learn the names by which they are answered."""
    answer = caller.send("GET", "/v1/models")
    assert answer.status == 200, answer
    assert {coder.name, ADAPTER, CANARY} <= {one["id"] for one in answer.content["data"]}


def test_a_stream_passes_chunk_by_chunk(caller: asking.Caller, coder: claims.Claim) -> None:
    """Nothing between engine and caller waits for the end of a stream.

    Ten tokens, one each half second: a busy machine may hold some of them up, and never all.
    """
    answer = caller.ask(
        coder.name,
        tokens=10,
        stream=True,
        headers={"X-Stand-In": "tokenSeconds=0.5"},
        stream_options={"include_usage": True},
    )
    assert (answer.status, answer.broken) == (200, ""), answer
    assert answer.events[-1][1] == "[DONE]"
    times = [at for at, _ in answer.events]
    pauses = [later - earlier for earlier, later in itertools.pairwise(times[:10])]
    assert sum(pause > 0.2 for pause in pauses) >= 4, pauses


def test_a_canary_has_its_weight_and_the_adapter_answers(
    caller: asking.Caller, coder: claims.Claim
) -> None:
    """One request in ten is answered by the adapter under the claim's name."""
    answers = caller.ask_often(REQUESTS, coder.name)
    assert {one.status for one in answers} == {200}
    models = collections.Counter(one.content["model"] for one in answers)
    assert set(models) == {coder.name, CANARY}
    # Three deviations of a draw of 200 by one in ten, if it were one.
    assert models[CANARY] == pytest.approx(REQUESTS / 10, abs=13)


def test_an_adapter_answers_by_its_name(caller: asking.Caller) -> None:
    """An adapter's name reaches the adapter, whatever the canary's weight."""
    for name in (ADAPTER, CANARY):
        answers = caller.ask_often(10, name)
        assert {(one.status, one.content["model"]) for one in answers} == {(200, name)}


def test_requests_spread_over_the_pods(
    caller: asking.Caller, coder: claims.Claim, running: stage.Stage
) -> None:
    """Least-request over the pods' own addresses."""
    answers = caller.ask_often(40, coder.name, headers={"X-Stand-In": "firstTokenSeconds=0.1"})
    engines = collections.Counter(one.engine for one in answers)
    assert set(engines) == running.names(coder)
    assert min(engines.values()) >= 10, engines


def test_usage_is_counted_by_model(
    caller: asking.Caller, coder: claims.Claim, running: stage.Stage
) -> None:
    """The processor's series have the tokens of each model that callers asked for."""
    before = data_path.tokens(running, coder.name)
    answer = caller.ask(coder.name, tokens=100)
    assert answer.status == 200
    polling.until(
        lambda: data_path.tokens(running, coder.name) >= before + 100,
        what="100 more tokens",
        timeout=4 * stage.SCRAPE_SECONDS + data_path.GRACE,
    )


def test_the_translation_by_hand_is_the_one_of_the_controllers(
    caller: asking.Caller, coder: claims.Claim, running: stage.Stage
) -> None:
    """``e2e/test_gateway.py`` runs faster than time, on clusters and routes that it makes itself.

    What it makes of the claim's objects is what both controllers make of them. They add to it.
    """
    del caller
    made = translation.translate(coder.composed().values(), speed=1, port=8000)
    (proxy,) = running.controllers.proxies()
    clusters = envoy.clusters(proxy)
    routes = {one["route"].get("cluster"): one for one in envoy.routes(proxy) if "route" in one}
    for cluster, route in zip(made.clusters, made.routes, strict=True):
        name = cluster["name"]
        assert envoy.differences(cluster, clusters[name], name) == []
        assert envoy.differences(route["route"], routes[name]["route"], name) == []


# --- limits of the gateway


def test_a_body_above_32_kib_is_refused_by_default(
    caller: asking.Caller, coder: claims.Claim
) -> None:
    """The AI gateway holds the body to read the model's name, and Envoy's buffer is small."""
    refused = caller.ask(coder.name, padding=40_000)
    assert refused.status == 413, refused


@pytest.fixture(scope="module")
def wide(caller: asking.Caller, coder: claims.Claim, control_plane: plane.ControlPlane) -> None:
    """The Gateway has the policy that the documentation recommends."""
    control_plane.admin.apply(data_path.client_traffic_policy())
    polling.until(
        lambda: caller.ask(coder.name, padding=40_000).status == 200,
        what="the policy in the gateway",
        timeout=data_path.GRACE,
    )


@pytest.mark.usefixtures("wide")
def test_a_megabyte_passes_with_a_client_traffic_policy(
    caller: asking.Caller, coder: claims.Claim
) -> None:
    """With the buffer limit of the AI gateway's own examples."""
    large = caller.ask(coder.name, padding=MEGABYTE)
    assert large.status == 200, large
    assert int(large.headers["x-received"]) > MEGABYTE


@pytest.fixture(scope="module")
def hasty(running: stage.Stage, caller: asking.Caller) -> claims.Claim:
    """A claim whose requests may take four seconds."""
    rules = [
        {
            "matches": [
                {"headers": [{"type": "Exact", "name": "x-ai-eg-model", "value": "hasty"}]}
            ],
            "backendRefs": [{"name": "hasty", "weight": 100}],
            "timeouts": {"request": f"{SHORT_SECONDS}s"},
        }
    ]
    claim = running.claim(
        "hasty",
        scaling={"minReplicas": 1, "maxReplicas": 1},
        patches={"gateway-airoute": {"spec": {"rules": rules}}},
    )
    claim.apply()
    claim.wait_phase("Serving", timeout=120 + data_path.GRACE)
    caller.wait(claim.name)
    return claim


def test_a_request_without_a_first_byte_ends_at_the_timeout(
    caller: asking.Caller, hasty: claims.Claim
) -> None:
    """504, and nobody tries again: the engine may have begun."""
    answer = caller.ask(hasty.name, headers={"X-Stand-In": "firstTokenSeconds=30"})
    assert answer.status == 504, answer
    assert SHORT_SECONDS - 0.5 < answer.seconds < SHORT_SECONDS + BUSY


def test_a_stream_is_cut_at_the_timeout_and_lacks_its_end(
    caller: asking.Caller, hasty: claims.Claim
) -> None:
    """What came is there; a careful client misses the last event."""
    answer = caller.ask(
        hasty.name, tokens=60, stream=True, headers={"X-Stand-In": "tokenSeconds=0.5"}
    )
    assert answer.status == 200
    assert 0 < len(answer.events) < 60
    assert "[DONE]" not in answer.text
    assert answer.seconds < SHORT_SECONDS + BUSY


# --- from zero


@pytest.fixture(scope="module")
def sleepers(running: stage.Stage, caller: asking.Caller, wide: None) -> dict[str, claims.Claim]:
    """Claims that were born asleep: no pod of theirs was there before."""
    del wide
    scaling = {
        "minReplicas": 0,
        "maxReplicas": 2,
        "cooldownSeconds": 60,
        "pollingIntervalSeconds": 5,
    }
    # The start budget is the least cooldown: a minute in the place of ten.
    probes = {"startup": {"periodSeconds": 5, "failureThreshold": 12}}
    made = {
        name: running.claim(f"sleeper-{name}", scaling=scaling, healthProbes=probes)
        for name in SLEEPERS
    }
    for claim in made.values():
        claim.apply()
    for claim in made.values():
        claim.wait_phase("Idle", timeout=60 + data_path.GRACE)
        # Until the processor knows of the route, the answer is 500 and wakes nobody.
        polling.until(
            lambda claim=claim: claim.name in caller.models(),  # type: ignore[misc]
            what=f"{claim.name} in the gateway",
            timeout=REFRESH_SECONDS + data_path.GRACE,
        )
    return made


@pytest.mark.parametrize("name", SLEEPERS)
def test_a_sleeping_claim_wakes_on_one_request_and_answers_it(
    name: str,
    caller: asking.Caller,
    sleepers: dict[str, claims.Claim],
    running: stage.Stage,
    record_property: typing.Any,
) -> None:
    """The request itself is what wakes the claim, and waits for the replica."""
    sleeper, padding = sleepers[name], SLEEPERS[name]
    assert running.engines(sleeper) == []
    assert data_path.wake_query(running, sleeper) == 0
    answer = caller.ask(sleeper.name, padding=padding)
    record_property("seconds", round(answer.seconds, 1))
    print(f"{name}: {answer.seconds:.1f} s from the request to the whole answer")
    assert answer.status == 200, answer
    assert int(answer.headers["x-received"]) > padding
    assert {answer.engine} == running.names(sleeper)


# --- pods that end


def test_a_pod_that_dies_is_left_at_once(
    caller: asking.Caller, coder: claims.Claim, running: stage.Stage
) -> None:
    """A refused connection is tried on the other pod: no request is lost."""
    victim, other = data_path.both(running, coder)
    containers.kill(victim, ENGINE)
    answers = caller.ask_often(60, coder.name)
    assert [str(one) for one in answers if one.status != 200] == [], running.refusals()
    assert other["metadata"]["name"] in {one.engine for one in answers}
    # Its kubelet starts it again, in the same pod.
    polling.until(
        lambda: sorted(data_path.restarts(pod) for pod in running.engines(coder)) == [0, 1],
        what="its next start",
        timeout=data_path.GRACE,
    )


def test_a_pod_that_hangs_is_left_within_seconds(
    caller: asking.Caller, coder: claims.Claim, running: stage.Stage
) -> None:
    """Its readiness ends, its address leaves the headless name, and the gateway asks DNS often."""
    victim, other = data_path.both(running, coder)
    names = {other["metadata"]["name"]}
    containers.send(victim, ENGINE, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        polling.until(
            lambda: running.names(coder) == names,
            what="its readiness to end",
            timeout=data_path.GRACE,
        )
        # EndpointSlice, record and refresh, of five seconds each at most.
        time.sleep(15)
        answers = caller.ask_often(30, coder.name, timeout=10)
        assert {(one.status, one.engine) for one in answers} == {(200, *names)}, (
            time.monotonic() - begun,
            collections.Counter(map(str, answers)),
        )
    finally:
        containers.send(victim, ENGINE, signal.SIGCONT)
    polling.until(
        lambda: len(running.engines(coder)) == 2, what="both engines", timeout=data_path.GRACE
    )


# --- pods that are replaced


def test_a_rolling_update_with_a_new_canary_loses_no_request(
    caller: asking.Caller, coder: claims.Claim, running: stage.Stage
) -> None:
    """Each pod leaves the gateway's view before it ends, and what it has in flight finishes.

    The processor knows the canary's backend by the time that the new pods serve its adapter.
    """
    old, spec = running.names(coder), coder.manifest["spec"]
    canary = {"adapter": LATE, "weightPercent": 30}
    with caller.load(CLIENTS, coder.name, **asking.STREAM) as answers:
        coder.apply(
            loraAdapters=[*spec["loraAdapters"], running.adapter(coder, LATE)],
            gateway={**spec["gateway"], "canaries": [*spec["gateway"]["canaries"], canary]},
        )
        polling.until(
            lambda: len(running.names(coder) - old) == 2,
            what="two new engines",
            timeout=180 + data_path.GRACE,
        )
        polling.until(
            lambda: any(one.headers.get("x-model") == LATE for one in answers),
            what="an answer by the new canary",
            timeout=data_path.GRACE,
        )
        before = len(answers)
        polling.until(
            lambda: len(answers) > before + 4 * CLIENTS, what="more", timeout=data_path.GRACE
        )
    asking.assert_whole(answers)
    coder.wait_condition("Current", "True")


def test_a_scale_down_loses_no_request(
    caller: asking.Caller, coder: claims.Claim, running: stage.Stage
) -> None:
    """KEDA and the autoscaler take a pod away that the load does not need."""
    with caller.load(CLIENTS, coder.name, **asking.STREAM) as answers:
        coder.apply(scaling={"minReplicas": 1, "maxReplicas": 2, "cooldownSeconds": 60})
        polling.until(
            lambda: len(running.engines(coder)) == 1,
            what="one engine",
            timeout=240 + data_path.GRACE,
        )
        left = running.names(coder)
        polling.until(
            lambda: {one.engine for one in answers[-2 * CLIENTS :]} == left,
            what="answers of the other alone",
            timeout=data_path.GRACE,
        )
    asking.assert_whole(answers)
    coder.apply(scaling={"minReplicas": 2, "maxReplicas": 2})
    polling.until(
        lambda: len(running.engines(coder)) == 2, what="two engines", timeout=180 + data_path.GRACE
    )


def test_without_a_pod_the_fallback_answers(
    caller: asking.Caller, coder: claims.Claim, running: stage.Stage
) -> None:
    """Every pod of a claim dies under load; the other claim answers under the model's name."""
    gateway = {"enabled": True, "fallback": {"claim": coder.name}}
    claim = running.claim("backed", gateway=gateway, scaling={"minReplicas": 1, "maxReplicas": 1})
    claim.apply()
    claim.wait_condition("RouteReady", "True", "Published")
    caller.wait(claim.name)
    (victim,) = running.engines(claim)
    with caller.load(CLIENTS, claim.name) as answers:
        polling.until(lambda: len(answers) > CLIENTS, what="answers", timeout=data_path.GRACE)
        containers.kill(victim, ENGINE)
        before = len(answers)
        polling.until(
            lambda: len(answers) > before + 4 * CLIENTS, what="more", timeout=data_path.GRACE
        )
    after = answers[before + CLIENTS :]
    assert {one.status for one in after} == {200}, collections.Counter(map(str, after))
    assert {one.engine for one in after} & running.names(coder)
    claim.delete()


# --- back to zero, which takes minutes of quiet


def test_a_claim_for_which_nobody_asks_goes_to_sleep_again(
    sleepers: dict[str, claims.Claim], running: stage.Stage
) -> None:
    """Once the window of the wake query and the cooldown are over."""
    for sleeper in sleepers.values():
        sleeper.wait_phase("Idle", timeout=300 + data_path.GRACE)
        assert data_path.wake_query(running, sleeper) == 0
        assert running.engines(sleeper) == []


# --- routes that come and go


def test_a_new_route_answers_before_long(
    caller: asking.Caller, running: stage.Stage, record_property: typing.Any
) -> None:
    """The processor learns of a route from a mounted Secret; until then the answer is 500."""
    claim = running.claim("fresh", scaling={"minReplicas": 1, "maxReplicas": 1})
    claim.apply()
    first: list[asking.Answer] = []
    claim.wait_condition("RouteReady", "True", "Published")
    published = time.monotonic()
    while not first or first[-1].status != 200:
        first.append(caller.ask(claim.name, timeout=10))
        assert time.monotonic() < published + REFRESH_SECONDS + data_path.GRACE, first[-1]
        time.sleep(0.2)
    statuses = [status for status, _ in itertools.groupby(one.status for one in first)]
    record_property("seconds_until_served", round(time.monotonic() - published, 1))
    record_property("statuses", statuses)
    print(f"a new route: {statuses} in {time.monotonic() - published:.1f} s after Published")
    assert set(statuses) <= {404, 500, 503, 200}
    claim.delete()


def test_a_gateway_whose_last_route_goes_gets_proxies_without_a_processor(
    caller: asking.Caller, running: stage.Stage
) -> None:
    """The AI gateway replaces them, and they know no model; those of before answer 500 or 404."""
    for item in running.tenant.claims():
        running.tenant.plane.developer.delete(api.Ref.of(item))
    polling.until(
        lambda: not running.tenant.claims(), what="no claim", timeout=60 + data_path.GRACE
    )
    answers: list[asking.Answer] = []

    def replaced() -> bool:
        for proxy in running.controllers.proxies(processor=False):
            plain = asking.Caller(proxy["status"]["podIP"], controllers.LISTENER_PORT)
            answers.append(plain.ask("xplane-qwen-coder", timeout=10))
        return [one.status for one in answers[-1:]] == [404]

    try:
        polling.until(replaced, what="a proxy that knows no model", timeout=120 + data_path.GRACE)
    except TimeoutError as error:
        raise TimeoutError(f"{error}: {[*map(str, answers[-1:])]}") from None
