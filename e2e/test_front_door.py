"""From a caller with a key to an engine's pod, through the front door of a namespace.

An author applies an InferenceGateway as its guide says, and Crossplane composes the Gateway and its
policies. Envoy Gateway, the AI gateway and Envoy are the released programs, in pods that kubelets
run on machines of their own; the engine is a stand-in. Every question is put to each proxy.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import signal
import time
import typing
from collections.abc import Iterator, Mapping, Sequence

import pytest

from e2e import claims, installation, operators, shipped
from e2e.controlplane import api, crossplane, plane, polling
from e2e.dataplane import asking, issuing, outside, stage
from e2e.machines import containers, hub

NAMESPACE = "front-door"
NAME = "llm"
# For a busy machine, on top of what something takes by itself.
GRACE = 60
# What docs/front-door.md promises for a claim or a caller that comes or goes.
MINUTE = 60
# A kubelet writes a pod's Secrets when it looks at the pod: here every 10 s, and some jitter.
REFRESH_SECONDS = 20
# The engine's container.
ENGINE = "vllm"
MEGABYTE = 1_000_000
KEY = "key-of-{}-0123456789abcdef"
ADAPTER = "xplane-qwen-coder-securecode"
CANARY = "xplane-qwen-coder-sql-dpo"
CODE = {"purpose": "code"}
CALLER_HEADER, MODEL_HEADER = "x-inference-caller", "x-ai-eg-model"


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


class Door:
    """The front door, and what callers get from each of its proxies.

    Attributes:
        claim: The InferenceGateway.
    """

    def __init__(self, running: stage.Stage, claim: claims.Claim) -> None:
        """Take one that may not be applied yet."""
        self._running = running
        self.claim = claim
        self.gateway = api.Ref(
            "gateway.networking.k8s.io/v1", "Gateway", NAME, running.tenant.namespace
        )

    def proxies(self, *, everybody: bool = False) -> list[api.Object]:
        """Its proxies that are ready, or all of them."""
        return self._running.controllers.proxies(self.gateway, everybody=everybody)

    def wait_end(self) -> None:
        """Wait until no proxy of it is left."""
        polling.until(
            lambda: not self.proxies(everybody=True), what="the end of the proxies", timeout=120
        )

    def ways_in(self) -> list[asking.Caller]:
        """Each proxy, as somebody who asks it; waits until one is ready."""
        ready = polling.until(self.proxies, what="proxies of the door", timeout=120)
        return [asking.Caller(pod["status"]["podIP"], 10080) for pod in ready]

    def ask(self, model: str, key: str | None, **how: typing.Any) -> asking.Answers:
        """What each proxy answers to a caller."""
        given: Mapping[str, str] = how.pop("headers", {})
        headers = {**(_bearer(key) if key is not None else {}), **given}
        return [way.ask(model, headers=headers, **how) for way in self.ways_in()]

    def statuses(self, model: str, key: str | None, **how: typing.Any) -> set[int]:
        """The statuses of ``ask``."""
        return {one.status for one in self.ask(model, key, **how)}

    def models(self, key: str) -> list[set[str]]:
        """The names that each proxy lists."""
        answers = [way.send("GET", "/v1/models", headers=_bearer(key)) for way in self.ways_in()]
        assert {one.status for one in answers} == {200}, answers
        return [{one["id"] for one in answer.content["data"]} for answer in answers]

    def wait(self, model: str, key: str, status: int = 200, timeout: float = MINUTE) -> None:
        """Wait until every proxy answers so.

        Raises:
            TimeoutError: One did not; the message has the last answers.
        """
        answers: asking.Answers = []

        def answered() -> bool:
            nonlocal answers
            answers = self.ask(model, key, timeout=10)
            return {one.status for one in answers} == {status}

        try:
            polling.until(answered, what=f"{status} for {model}", timeout=timeout)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {[*map(str, answers)]}") from None

    def wait_condition(self, kind: str, status: str, reason: str, timeout: float = MINUTE) -> None:
        """Wait until the object has a condition."""
        self.claim.wait(
            lambda item: claims.conditions(item).get(kind, ())[:2] == (status, reason),
            what=f"with {kind}={status} {reason}",
            timeout=timeout,
        )


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[outside.Provider]:
    """Somebody outside who serves models: a stand-in."""
    made = outside.Provider(tmp_path_factory.mktemp("outside"), NAMESPACE)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def running(
    provider: outside.Provider,
    control_plane: plane.ControlPlane,
    installed: installation.Installation,
    standing_in: operators.Operators,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[stage.Stage]:
    """The gateways' controllers, and a namespace made ready for claims."""
    work = tmp_path_factory.mktemp(NAMESPACE)
    with hub.serving() as models, standing_in.absent(*stage.KINDS):
        prepared = stage.Stage(
            control_plane, work, NAMESPACE, models, limits=True, ports=[provider.port]
        )
        with prepared.running():
            installed.configure(prepared.settings())
            yield prepared


@pytest.fixture(scope="module")
def coder(running: stage.Stage) -> claims.Claim:
    """The example with two adapters and a canary, on the platform's Gateway."""
    claim = running.example("xplane-qwen-coder")
    claim.manifest["metadata"]["labels"] = CODE
    claim.apply(scaling={"minReplicas": 1, "maxReplicas": 1})
    return claim


@pytest.fixture(scope="module")
def chat(running: stage.Stage) -> claims.Claim:
    """A claim without the label that one caller's models have."""
    return running.claim("chat-8b", scaling={"minReplicas": 1, "maxReplicas": 1}).apply()


@pytest.fixture(scope="module")
def door(
    running: stage.Stage,
    installed: installation.Installation,
    coder: claims.Claim,
    chat: claims.Claim,
) -> Iterator[Door]:
    """The front door, made as the guide makes it, and both claims behind it."""
    for claim in (coder, chat):
        claim.wait_phase("Serving", timeout=120 + GRACE)
        claim.wait_condition("RouteReady", "True", "Published")
    _kind(running)
    for name in ("chat", "editor"):
        _write_key(running, name, KEY.format(name))
    made = Door(running, running.tenant.claim(_manifest()))
    made.claim.apply()
    try:
        made.wait_condition("GatewayReady", "True", "Programmed", 120 + GRACE)
        made.wait_condition("CallersReady", "True", "Enforced")
        made.wait_condition("ModelsReady", "False", "NotTheParent")
        installed.configure(_settings(running))
        # Core looks at a claim by itself within ten minutes.
        for claim in (coder, chat):
            claim.reconcile("moved")
        made.claim.wait_phase("Serving", timeout=MINUTE + GRACE)
        for claim in (coder, chat):
            made.wait(claim.name, KEY.format("chat"), timeout=120 + GRACE)
        polling.until(
            lambda: len(made.proxies()) == len(made.proxies(everybody=True)) == 2,
            what="two proxies and no other",
            timeout=120 + GRACE,
        )
        yield made
    finally:
        # Before the controllers end, which take the proxies away.
        made.claim.delete()
        running.tenant.plane.admin.wait_gone(made.claim.ref, timeout=120)
        made.wait_end()


def _kind(running: stage.Stage) -> None:
    """Wait until developers may write the kind."""
    admin = running.tenant.plane.admin
    role = "crossplane:composite:inferencegateways.cloud.ogenki.io:aggregate-to-edit"
    admin.wait(api.Ref("rbac.authorization.k8s.io/v1", "ClusterRole", role), bool, what="there")


def _limited(name: str, *limits: api.Object) -> api.Object:
    """A caller for every model, with limits."""
    return {"name": name, "secretRef": {"name": f"{name}-key"}, "limits": list(limits)}


def _callers(*more: str) -> list[api.Object]:
    editor = {
        "name": "editor",
        "secretRef": {"name": "editor-key"},
        "models": {"matchLabels": CODE},
    }
    every = [{"name": name, "secretRef": {"name": f"{name}-key"}} for name in ("chat", *more)]
    return [*every, editor]


def _manifest() -> api.Object:
    return {
        "apiVersion": shipped.API_VERSION,
        "kind": "InferenceGateway",
        "metadata": {"name": NAME},
        "spec": {"callers": _callers()},
    }


def _settings(running: stage.Stage) -> api.Object:
    """Those of the stage, with the claims of the namespace behind the door."""
    settings = running.settings()
    ours = settings["data"]["inferenceService"]
    ours["frontDoor"] |= {
        "namespaces": {NAMESPACE: NAME},
        "limiter": "envoy",
    }
    ours["permissions"]["hotAdapters"] = [NAMESPACE]
    allowed = ours.setdefault("allowed", {})
    allowed["fallbackProviders"] = {NAMESPACE: ["chats"]}
    # The stand-in for a provider is a pod.
    allowed["providerHosts"] = {NAMESPACE: [f"*.{NAMESPACE}.svc.cluster.local"]}
    return settings


def _write_key(running: stage.Stage, name: str, key: str) -> None:
    running.tenant.plane.developer.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"{name}-key", "namespace": running.tenant.namespace},
            "stringData": {name: key},
        }
    )


CHAT, EDITOR = KEY.format("chat"), KEY.format("editor")


# --- who gets in


@pytest.mark.parametrize("key", [None, "", "wrong", KEY.format("nobody")])
def test_without_a_key_of_a_caller_nobody_gets_in(
    key: str | None, door: Door, coder: claims.Claim
) -> None:
    """Neither to an engine nor to the list of models."""
    headers = {} if key is None else _bearer(key)
    assert door.statuses(coder.name, key) == {401}
    listed = [way.send("GET", "/v1/models", headers=headers) for way in door.ways_in()]
    assert {one.status for one in listed} == {401}
    assert not any(coder.name in one.text for one in listed)


@pytest.mark.parametrize("header", ["Authorization", "x-api-key"])
def test_a_key_opens_and_goes_no_further(header: str, door: Door, coder: claims.Claim) -> None:
    """The engine gets the caller's name, and not the key."""
    for name in ("chat", "editor"):
        key = KEY.format(name)
        headers = {header: f"Bearer {key}" if header == "Authorization" else key}
        for answer in door.ask(coder.name, None, headers=headers):
            assert answer.status == 200, answer
            assert answer.headers["x-caller"] == name
            passed = answer.headers["x-header-names"].lower().split(",")
            assert not {"authorization", "x-api-key"} & set(passed), passed


def test_a_caller_may_use_what_its_rule_names_and_nothing_else(
    door: Door, coder: claims.Claim, chat: claims.Claim
) -> None:
    """By the labels of claims, adapters too."""
    for model in (coder.name, ADAPTER, CANARY):
        assert door.statuses(model, EDITOR) == {200}, model
    refused = door.ask(chat.name, EDITOR)
    assert {one.status for one in refused} == {403}, refused
    assert {one.engine for one in refused} == {""}
    assert door.statuses(chat.name, CHAT) == {200}


def test_headers_of_the_gateway_help_nobody(
    door: Door, coder: claims.Claim, chat: claims.Claim
) -> None:
    """What a client says of the caller or of the model is dropped before anything reads it."""
    forged = {CALLER_HEADER: "chat"}
    assert door.statuses(chat.name, None, headers=forged) == {401}
    assert door.statuses(chat.name, EDITOR, headers=forged) == {403}
    assert door.statuses(chat.name, EDITOR, headers={MODEL_HEADER: coder.name}) == {403}
    both = {CALLER_HEADER: "chat", MODEL_HEADER: coder.name, "X-API-Key": "wrong"}
    assert door.statuses(chat.name, EDITOR, headers=both) == {403}
    (answer, *_) = door.ask(coder.name, EDITOR, headers=forged)
    assert (answer.status, answer.headers["x-caller"]) == (200, "editor")


def test_an_unknown_model_is_not_found(door: Door) -> None:
    """Whoever may use everything is told so."""
    door.wait("nobody", CHAT, status=404)
    door.wait("nobody", EDITOR, status=403)


def test_the_list_of_models_is_complete(
    door: Door, coder: claims.Claim, chat: claims.Claim
) -> None:
    """For each caller the names of all claims and adapters; the status has the same."""
    names = {coder.name, chat.name, ADAPTER, CANARY}
    assert door.models(CHAT) == [names, names]
    assert door.models(EDITOR) == [names, names]
    status = door.claim.read()["status"]
    assert {one["name"] for one in status["models"]} == names
    assert (status["claims"], status["callers"]) == ("2/2", 2)


# --- what passes


def test_a_stream_passes_chunk_by_chunk(door: Door, coder: claims.Claim) -> None:
    """Nothing between engine and caller waits for its end."""
    how = {"tokens": 10, "stream": True, "headers": {"X-Stand-In": "tokenSeconds=0.5"}}
    for answer in door.ask(coder.name, EDITOR, **how):
        assert answer.whole, answer
        times = [at for at, _ in answer.events]
        pauses = [later - earlier for earlier, later in itertools.pairwise(times[:10])]
        assert sum(pause > 0.2 for pause in pauses) >= 4, pauses


def test_a_megabyte_passes(door: Door, coder: claims.Claim) -> None:
    """The door's own policy for clients says how much."""
    for answer in door.ask(coder.name, EDITOR, padding=MEGABYTE):
        assert answer.status == 200, answer
        assert int(answer.headers["x-received"]) > MEGABYTE


def test_usage_is_counted_by_caller(door: Door, coder: claims.Claim, running: stage.Stage) -> None:
    """The processor's series have the caller, as its option says."""
    assert door.statuses(coder.name, EDITOR, tokens=50) == {200}
    query = (
        'sum(gen_ai_client_token_usage_sum{inference_caller="editor",gen_ai_token_type="output",'
        f'gen_ai_original_model="{coder.name}"}})'
    )
    polling.until(
        lambda: sum(running.metrics.query(query)) >= 50,
        what="tokens of the caller",
        timeout=4 * stage.SCRAPE_SECONDS + GRACE,
    )


# --- what changes


def test_at_rest_nothing_is_written(door: Door, control_plane: plane.ControlPlane) -> None:
    """Core looks at the object each minute, and finds it as it is."""
    mark = control_plane.api.audit.mark()
    time.sleep(MINUTE + REFRESH_SECONDS)
    written = [
        write
        for write in control_plane.api.audit.writes(mark)
        if write.user == crossplane.USER and write.name.startswith(NAME) and write.changed
    ]
    assert written == []
    assert door.claim.read()["status"]["phase"] == "Serving"


def test_a_key_is_replaced_without_a_restart(
    door: Door, coder: claims.Claim, running: stage.Stage
) -> None:
    """The Secret is all that changes; the old key is worth nothing from then on."""
    before = _identities(door)
    _write_key(running, "editor", "another-key")
    door.wait(coder.name, "another-key")
    assert door.statuses(coder.name, EDITOR) == {401}
    assert _identities(door) == before
    _write_key(running, "editor", EDITOR)
    door.wait(coder.name, EDITOR)


def _identities(door: Door) -> set[tuple[str, int]]:
    """The proxies, and how often their containers started again."""
    return {
        (
            pod["metadata"]["uid"],
            sum(one["restartCount"] for one in pod["status"]["containerStatuses"]),
        )
        for pod in door.proxies(everybody=True)
    }


def test_a_caller_comes_and_goes(door: Door, chat: claims.Claim, running: stage.Stage) -> None:
    """Within a minute each; the others are not asked meanwhile."""
    key = KEY.format("nightly")
    before = _identities(door)
    _write_key(running, "nightly", key)
    door.claim.apply(callers=_callers("nightly"))
    door.wait(chat.name, key)
    door.claim.apply(callers=_callers())
    door.wait(chat.name, key, status=401)
    assert door.statuses(chat.name, CHAT) == {200}
    assert _identities(door) == before


def test_a_caller_whose_secret_is_missing_closes_the_door_in_words(
    door: Door, chat: claims.Claim, running: stage.Stage
) -> None:
    """The gateway then asks for no key, so nobody is anybody: also who says that he is."""
    try:
        door.claim.apply(callers=_callers("late"))
        door.wait_condition("CallersReady", "False", "Refused")
        assert door.claim.read()["status"]["phase"] == "Degraded"
        assert "late-key" in claims.conditions(door.claim.read())["CallersReady"][2]
        door.wait(chat.name, CHAT, status=403)
        assert door.statuses(chat.name, None, headers={CALLER_HEADER: "chat"}) == {403}
        _write_key(running, "late", KEY.format("late"))
        door.wait(chat.name, KEY.format("late"))
        door.wait_condition("CallersReady", "True", "Enforced", MINUTE + GRACE)
    finally:
        door.claim.apply(callers=_callers())
        door.wait(chat.name, CHAT)
    door.wait(chat.name, KEY.format("late"), status=401)


def test_without_callers_the_door_is_closed(
    door: Door, coder: claims.Claim, chat: claims.Claim
) -> None:
    """A key is asked for, and none will do; the list of models is told to nobody."""
    try:
        door.claim.apply(callers=[])
        door.wait(chat.name, CHAT, status=401)
        forged = {CALLER_HEADER: "chat"}
        for headers in ({}, forged, _bearer(CHAT), _bearer("")):
            assert door.statuses(coder.name, None, headers=headers) == {401}
            listed = [way.send("GET", "/v1/models", headers=headers) for way in door.ways_in()]
            assert {one.status for one in listed} == {401}, [*map(str, listed)]
    finally:
        door.claim.apply(callers=_callers())
    door.wait(chat.name, CHAT)


def test_a_claim_that_comes_or_goes_changes_what_is_listed(
    door: Door, running: stage.Stage, coder: claims.Claim, chat: claims.Claim
) -> None:
    """One file is all that a model takes, and all that it leaves."""
    names = {coder.name, chat.name, ADAPTER, CANARY}
    fresh = running.claim("fresh", scaling={"minReplicas": 1, "maxReplicas": 1}).apply()
    fresh.wait_condition("RouteReady", "True", "Published")
    door.wait(fresh.name, CHAT, timeout=REFRESH_SECONDS + GRACE)
    _wait_listed(door, names | {fresh.name}, "3/3")
    assert door.statuses(fresh.name, EDITOR) == {403}
    fresh.delete()
    _wait_listed(door, names, "2/2")
    assert door.statuses(fresh.name, CHAT) == {404}


def _wait_listed(door: Door, names: set[str], count: str) -> None:
    polling.until(
        lambda: all(listed == names for listed in door.models(CHAT)),
        what=f"the list {sorted(names)}",
        timeout=MINUTE,
    )
    door.claim.wait(
        lambda item: (
            {one["name"] for one in item["status"]["models"]} == names
            and item["status"]["claims"] == count
        ),
        what=f"with {count} claims",
        timeout=MINUTE + GRACE,
    )


def test_a_label_of_a_claim_opens_it(door: Door, chat: claims.Claim) -> None:
    """Who may use what follows the claims' labels, within a minute."""
    chat.manifest["metadata"]["labels"] = CODE
    chat.apply()
    door.wait(chat.name, EDITOR, timeout=MINUTE + GRACE)
    chat.manifest["metadata"]["labels"] = {}
    chat.apply()
    door.wait(chat.name, EDITOR, status=403, timeout=MINUTE + GRACE)


def test_adapters_come_and_go_in_a_pod_that_runs(door: Door, running: stage.Stage) -> None:
    """Their Job verifies them, a kubelet brings the list, and no pod starts again."""
    scaling = {"minReplicas": 1, "maxReplicas": 1}
    claim = running.claim("hot", engine={"version": "0.32.0"}, scaling=scaling)
    sql, law = ({**running.adapter(claim, f"hot-{n}"), "hot": True} for n in ("sql", "law"))
    claim.apply(loraAdapters=[sql])
    claim.wait_phase("Serving", timeout=120 + GRACE)
    door.wait("hot-sql", CHAT, timeout=MINUTE + REFRESH_SECONDS + GRACE)
    before = _engines(running, claim)
    claim.apply(loraAdapters=[sql, law])
    door.wait("hot-law", CHAT, timeout=MINUTE + REFRESH_SECONDS + GRACE)
    assert door.statuses("hot-sql", CHAT) == {200}
    claim.apply(loraAdapters=[law])
    door.wait("hot-sql", CHAT, status=404, timeout=MINUTE + GRACE)
    (engine,) = running.engines(claim)
    pod = asking.Caller(engine["status"]["podIP"], 8000)

    def listed() -> list[str]:
        return [one["id"] for one in pod.send("GET", "/v1/models").content["data"]]

    polling.until(
        lambda: listed() == [claim.name, "hot-law"],
        what="a pod without the adapter",
        timeout=MINUTE + GRACE,
    )
    loads = json.dumps({"lora_name": "any", "lora_path": "/models"})
    assert pod.send("POST", "/v1/load_lora_adapter", loads).status == 404
    assert _engines(running, claim) == before
    claim.delete()


def _engines(running: stage.Stage, claim: claims.Claim) -> set[tuple[str, int]]:
    """The engines' pods, and how often their containers started again."""
    return {
        (pod["metadata"]["uid"], sum(c["restartCount"] for c in pod["status"]["containerStatuses"]))
        for pod in running.engines(claim)
    }


# --- how much


@pytest.fixture(scope="module")
def counting(door: Door, chat: claims.Claim, running: stage.Stage) -> None:
    """A caller with a limit that is far, so that the gateway tells tokens from here on.

    Its processor does once a kubelet has refreshed its configuration.
    """
    _write_key(running, "standing", KEY.format("standing"))
    with _with_limits(door, running, "first", {"tokens": 1, "per": "day"}) as key:
        _spend(door, chat.name, key, tokens=5)


@contextlib.contextmanager
def _with_limits(door: Door, running: stage.Stage, name: str, *limits: api.Object) -> Iterator[str]:
    """Another caller with limits, whose key is given, and who has asked for nothing yet."""
    key = KEY.format(name)
    _write_key(running, name, key)
    door.claim.apply(callers=[*_standing(), _limited(name, *limits)])
    try:
        door.wait_condition("LimitsReady", "True", "Enforced", MINUTE + GRACE)
        # The list of models needs the key, and is no request of a limit.
        for way in door.ways_in():
            polling.until(
                functools.partial(_lists, way, key), what="the caller's key", timeout=MINUTE
            )
        yield key
    finally:
        door.claim.apply(callers=_standing())


def _standing() -> list[api.Object]:
    return [*_callers(), _limited("standing", {"requests": 1_000_000, "per": "day"})]


def _lists(way: asking.Caller, key: str) -> bool:
    return way.send("GET", "/v1/models", headers=_bearer(key)).status == 200


def _spend(door: Door, model: str, key: str, **how: typing.Any) -> asking.Answer:
    """Ask one proxy until it refuses, which it does once a limit is reached.

    Raises:
        TimeoutError: It refused nothing.
    """
    (way, *_) = door.ways_in()

    def refused() -> asking.Answers:
        answer = way.ask(model, headers=_bearer(key), **how)
        assert answer.status in (200, 429), answer
        return [answer] if answer.status == 429 else []

    # The processor tells tokens once a kubelet has refreshed its configuration.
    patience = REFRESH_SECONDS + MINUTE + GRACE
    (last,) = polling.until(refused, what="a limit that is reached", timeout=patience)
    return last


def _assert_told(answer: asking.Answer) -> None:
    """A refusal in the form of the API, which says when to ask again."""
    assert answer.headers["content-type"] == "application/json"
    assert answer.content["error"]["code"] == "rate_limit_exceeded"
    assert answer.engine == ""


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.usefixtures("counting")
def test_a_caller_passes_until_its_tokens_are_spent(
    stream: bool, door: Door, coder: claims.Claim, chat: claims.Claim, running: stage.Stage
) -> None:
    """On every proxy and for every model, and nobody else is touched."""
    name = f"tokens-{'stream' if stream else 'whole'}"
    with _with_limits(door, running, name, {"tokens": 200, "per": "day"}) as key:
        (way, *_) = door.ways_in()
        first = way.ask(coder.name, tokens=150, stream=stream, headers=_bearer(key))
        assert first.status == 200, first
        assert door.statuses(coder.name, key) == {200}, "150 of 200 are spent"
        _assert_told(_spend(door, coder.name, key, tokens=60, stream=stream))
        for model in (coder.name, chat.name, ADAPTER):
            assert door.statuses(model, key) == {429}, model
        for other in (CHAT, EDITOR):
            assert door.statuses(coder.name, other) == {200}
        assert door.models(key), "the list of models is free"


@pytest.mark.usefixtures("counting")
def test_a_limit_of_one_model_leaves_the_others(
    door: Door, coder: claims.Claim, chat: claims.Claim, running: stage.Stage
) -> None:
    """Adapters of the claim have names of their own."""
    limit = {"tokens": 100, "per": "day", "model": coder.name}
    with _with_limits(door, running, "one-model", limit) as key:
        assert door.statuses(chat.name, key, tokens=300) == {200}
        assert door.statuses(ADAPTER, key, tokens=300) == {200}
        _spend(door, coder.name, key, tokens=60)
        assert door.statuses(coder.name, key) == {429}
        for model in (chat.name, ADAPTER):
            assert door.statuses(model, key) == {200}, model


@pytest.fixture
def priced(door: Door, coder: claims.Claim, chat: claims.Claim) -> Iterator[None]:
    """Prices of three names: an answer of 1,000 tokens costs a tenth, a fiftieth and nothing."""
    prices = [
        {"model": coder.name, "input": "0", "output": "100"},
        {"model": chat.name, "input": "0", "output": "20"},
        {"model": ADAPTER, "input": "0"},
    ]
    door.claim.apply(prices=prices)
    yield
    # Prices go after the callers who have budgets.
    door.claim.apply(callers=_standing())
    door.claim.apply(prices=[])


@pytest.mark.usefixtures("counting", "priced")
def test_a_caller_passes_until_its_budget_is_spent(
    door: Door, coder: claims.Claim, chat: claims.Claim, running: stage.Stage
) -> None:
    """By the price of each model, on every proxy; who has no budget is not touched."""
    key = KEY.format("frugal")
    _write_key(running, "frugal", key)
    frugal = {"name": "frugal", "secretRef": {"name": "frugal-key"}}
    budget = {"amount": "0.5", "per": "month"}
    door.claim.apply(callers=[*_standing(), {**frugal, "budget": budget}])
    door.wait_condition("LimitsReady", "True", "Unpriced", MINUTE + GRACE)
    for way in door.ways_in():
        polling.until(functools.partial(_lists, way, key), what="the key", timeout=MINUTE)
    _assert_told(_spend(door, coder.name, key, tokens=1000))
    for model in (coder.name, chat.name, ADAPTER):
        assert door.statuses(model, key) == {429}, model
    for other in (CHAT, EDITOR):
        assert door.statuses(coder.name, other) == {200}
    assert door.models(key), "the list of models is free"
    # A budget that is raised: what is spent counts, and each model has its own price.
    budget = {"amount": "1000", "per": "month"}
    door.claim.apply(callers=[*_standing(), {**frugal, "budget": budget}])
    door.wait(chat.name, key)

    def left(model: str, tokens: int) -> int:
        (way, *_) = door.ways_in()
        answer = way.ask(model, headers=_bearer(key), tokens=tokens)
        assert answer.status == 200, answer
        time.sleep(1)  # What an answer costs is told behind its end.
        return int(answer.headers["x-ratelimit-remaining"])

    # Each answer tells what was left before it: prices in millionths. Another one counts once the
    # processor has the route again.
    def costs(model: str, cost: int) -> bool:
        return left(model, 1000) - left(ADAPTER, 1) == cost

    for model, cost in ((chat.name, 20_000), (coder.name, 100_000), (ADAPTER, 0)):
        polling.until(
            functools.partial(costs, model, cost),
            what=f"{cost} for {model}",
            timeout=MINUTE + GRACE,
        )


@pytest.mark.usefixtures("counting")
def test_requests_of_a_minute_come_back_with_the_next(
    door: Door, chat: claims.Claim, running: stage.Stage
) -> None:
    """Each counts one, whatever it costs."""
    with _with_limits(door, running, "hasty", {"requests": 4, "per": "minute"}) as key:
        refused = _spend(door, chat.name, key, tokens=50)
        _assert_told(refused)
        assert refused.headers["retry-after"] == "60"
        assert door.statuses(chat.name, CHAT) == {200}
        door.wait(chat.name, key, timeout=2 * MINUTE)


@pytest.mark.usefixtures("counting")
def test_a_limit_that_is_raised_holds_without_a_restart(
    door: Door, chat: claims.Claim, running: stage.Stage
) -> None:
    """And what is spent already counts."""
    with _with_limits(door, running, "thrifty", {"tokens": 100, "per": "day"}) as key:
        before = _identities(door)
        _spend(door, chat.name, key, tokens=60)
        door.claim.apply(
            callers=[*_standing(), _limited("thrifty", {"tokens": 1000, "per": "day"})]
        )
        door.wait(chat.name, key)
        assert door.statuses(chat.name, key, tokens=450) == {200}
        door.wait(chat.name, key, status=429)
        assert _identities(door) == before


@pytest.mark.usefixtures("counting")
def test_while_nobody_counts_nothing_is_limited(
    door: Door, chat: claims.Claim, running: stage.Stage
) -> None:
    """Envoy Gateway's own choice: a counter that is down takes no model down."""
    assert running.redis is not None
    redis = running.redis.process
    with _with_limits(door, running, "lucky", {"tokens": 100, "per": "day"}) as key:
        _spend(door, chat.name, key, tokens=60)
        redis.stop()
        try:
            door.wait(chat.name, key)
        finally:
            redis.start()
        # It has forgotten what it counted.
        polling.until(
            lambda: door.statuses(chat.name, key, tokens=60) == {429},
            what="a limit that holds again",
            timeout=MINUTE,
        )


@pytest.mark.usefixtures("counting")
def test_a_policy_that_replaces_the_limits_is_told(
    door: Door, chat: claims.Claim, running: stage.Stage
) -> None:
    """One of somebody else on a route, which asks for no merge."""
    ref = api.Ref(
        "gateway.envoyproxy.io/v1alpha1",
        "BackendTrafficPolicy",
        "of-somebody-else",
        running.tenant.namespace,
    )
    route = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "elsewhere"}
    parent = {"name": NAME, "namespace": running.tenant.namespace}
    rule = {"backendRefs": [{"name": chat.name, "port": 8000}]}
    admin = running.tenant.plane.admin
    other = api.Ref(
        "gateway.networking.k8s.io/v1", "HTTPRoute", "elsewhere", running.tenant.namespace
    )
    with _with_limits(door, running, "bypassed", {"tokens": 100, "per": "day"}):
        for ref_, spec in (
            (other, {"parentRefs": [parent], "hostnames": ["elsewhere.test"], "rules": [rule]}),
            (ref, {"targetRefs": [route], "retry": {"numRetries": 1}}),
        ):
            meta = {"name": ref_.name, "namespace": ref_.namespace}
            admin.apply(
                {"apiVersion": ref_.api_version, "kind": ref_.kind, "metadata": meta, "spec": spec}
            )
        try:
            door.wait_condition("LimitsReady", "False", "Overridden", MINUTE + GRACE)
            assert "elsewhere" in claims.conditions(door.claim.read())["LimitsReady"][2]
        finally:
            admin.delete(ref)
            admin.delete(other)
        door.wait_condition("LimitsReady", "True", "Enforced", MINUTE + GRACE)


# --- callers with tokens

TOKEN_PORT = 8080


@pytest.fixture(scope="module")
def issuer(door: Door, running: stage.Stage, counting: None) -> issuing.Issuer:
    """An identity provider whose keys lie in the namespace, and callers with its tokens."""
    del counting  # who has limits stays among the callers
    made = issuing.Issuer("https://sso.example.com/ai", "llm")
    running.tenant.plane.admin.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "sso-keys", "namespace": running.tenant.namespace},
            "data": {"jwks": made.keys},
        }
    )
    sso = {
        "name": "sso",
        "issuer": made.address,
        "audiences": [made.audience],
        "jwksConfigMap": {"name": "sso-keys"},
        "callerClaim": "azp",
    }
    door.claim.apply(issuers=[sso], callers=_with_tokens())
    door.wait_condition("CallersReady", "True", "Enforced", MINUTE + GRACE)
    return made


def _with_tokens(**agent: typing.Any) -> list[api.Object]:
    groups = {"name": "groups", "values": ["developers"], "type": "StringArray"}
    member = {"name": "member", "jwt": {"issuer": "sso", "claims": [groups]}}
    return [
        *_standing(),
        {"name": "agent", "jwt": {"issuer": "sso"}, "models": {"matchLabels": CODE}, **agent},
        member,
    ]


def _by_token(door: Door, model: str, token: str | None, **how: typing.Any) -> asking.Answers:
    """What each proxy answers on the port of tokens."""
    given: Mapping[str, str] = how.pop("headers", {})
    headers = {**(_bearer(token) if token is not None else {}), **given}
    ways = [asking.Caller(pod["status"]["podIP"], TOKEN_PORT) for pod in door.proxies()]
    return [way.ask(model, headers=headers, **how) for way in ways]


def _wait_token(door: Door, model: str, token: str, status: int) -> None:
    polling.until(
        lambda: {one.status for one in _by_token(door, model, token)} == {status},
        what=f"{status} for a token",
        timeout=MINUTE + GRACE,
    )


def test_a_token_opens_its_own_port_for_the_caller_that_it_names(
    door: Door, issuer: issuing.Issuer, coder: claims.Claim, chat: claims.Claim
) -> None:
    """By its rules, with its name; keys open the other port, as before."""
    token = issuer.token("agent")
    _wait_token(door, coder.name, token, 200)
    for how in ({"Authorization": f"Bearer {token}"}, {"x-api-key": token}):
        for answer in _by_token(door, coder.name, None, headers={**how, CALLER_HEADER: "chat"}):
            assert (answer.status, answer.headers["x-caller"]) == (200, "agent"), answer
            passed = answer.headers["x-header-names"].lower().split(",")
            assert not {"authorization", "x-api-key"} & set(passed), passed
    refused = _by_token(door, chat.name, token)
    assert {one.status for one in refused} == {403}, refused
    assert door.statuses(coder.name, token) == {401}, "the port of keys"
    assert {one.status for one in _by_token(door, coder.name, CHAT)} == {401}
    assert door.statuses(coder.name, CHAT) == {200}


def test_a_token_that_is_not_the_callers_opens_nothing(
    door: Door, issuer: issuing.Issuer, coder: claims.Claim
) -> None:
    """Neither of another issuer, audience or time, nor with another name, nor without a claim."""
    _wait_token(door, coder.name, issuer.token("agent"), 200)
    stranger = issuing.Issuer(issuer.address, issuer.audience)
    statuses = {
        words: {one.status for one in _by_token(door, coder.name, token)}
        for words, token in {
            "no token": None,
            "no token at all": "nonsense",
            "signed by somebody else": stranger.token("agent"),
            "for somebody else": issuer.token("agent", aud="others"),
            "of another issuer": issuer.token("agent", iss="https://other.example.com"),
            "of yesterday": issuer.token("agent", life=-3600),
            "of nobody that is a caller": issuer.token("nobody"),
            "of a caller with a key": issuer.token("chat"),
            "without the group": issuer.token("member"),
            "of another group": issuer.token("member", groups=["guests"]),
        }.items()
    }
    wrong = {words: got for words, got in statuses.items() if got not in ({401}, {403})}
    assert not wrong
    named = ("of nobody that is a caller", "of a caller with a key", "without the group")
    assert [statuses[words] for words in named] == [{403}] * 3
    for pod in door.proxies():
        way = asking.Caller(pod["status"]["podIP"], TOKEN_PORT)
        assert way.send("GET", "/v1/models").status == 401, "the list of models"
    member = issuer.token("member", groups=["guests", "developers"])
    answers = _by_token(door, coder.name, member)
    assert {one.headers["x-caller"] for one in answers} == {"member"}


def test_a_caller_with_a_token_has_limits(
    door: Door, issuer: issuing.Issuer, coder: claims.Claim
) -> None:
    """As one with a key has them."""
    limited = _with_tokens(limits=[{"requests": 3, "per": "day"}])
    door.claim.apply(callers=limited)
    door.wait_condition("LimitsReady", "True", "Enforced", MINUTE + GRACE)
    token = issuer.token("agent")
    _wait_token(door, coder.name, token, 429)
    (answer, *_) = _by_token(door, coder.name, token)
    _assert_told(answer)
    assert door.statuses(coder.name, CHAT) == {200}
    door.claim.apply(callers=_with_tokens())


# --- models from outside


OUTSIDE, MESSAGES = "from-outside", "from-outside-messages"
IMPOSTOR = "from-an-impostor"
PROVIDER_KEY = "key-of-the-provider"
AUTHORITY, STRANGER = "provider-authority", "another-authority"


@pytest.fixture(scope="module")
def external(
    door: Door, running: stage.Stage, provider: outside.Provider
) -> Iterator[outside.Provider]:
    """The stand-in behind the door, by both of its APIs."""
    namespace = running.tenant.namespace
    developer, admin = running.tenant.plane.developer, running.tenant.plane.admin
    named = provider.objects(running.site.outside)
    admin.apply_all(named)
    for name, text in ((AUTHORITY, provider.authority), (STRANGER, provider.stranger)):
        meta = {"name": name, "namespace": namespace}
        data = {"ca.crt": text}
        admin.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})
    secret = {"name": "provider-key", "namespace": namespace}
    developer.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": secret,
            "stringData": {"apiKey": PROVIDER_KEY},
        }
    )
    door.claim.apply(providers=_providers(provider))
    try:
        door.wait_condition("ProvidersReady", "True", "Published", MINUTE + GRACE)
        door.wait(OUTSIDE, CHAT, timeout=REFRESH_SECONDS + MINUTE + GRACE)
        # The other route may come to the processor a minute after the first.
        polling.until(
            lambda: all(MESSAGES in listed for listed in door.models(CHAT)),
            what=f"{MESSAGES} in every list",
            timeout=REFRESH_SECONDS + MINUTE + GRACE,
            interval=1,
        )
        yield provider
    finally:
        for item in named:
            admin.delete(api.Ref.of(item))


def _providers(provider: outside.Provider) -> list[api.Object]:
    """By OpenAI's API and by Anthropic's, and one whose certificate somebody else signed."""
    return [
        {
            "name": name,
            "api": spoken,
            "host": provider.host,
            "certificateAuthority": {"name": authority},
            "credentials": {"secretRef": {"name": "provider-key"}},
            "models": [{"name": model, "upstream": "claude-haiku-4-5"}],
        }
        for name, spoken, model, authority in (
            ("chats", "OpenAI", OUTSIDE, AUTHORITY),
            ("messages", "Anthropic", MESSAGES, AUTHORITY),
            ("impostor", "OpenAI", IMPOSTOR, STRANGER),
        )
    ]


def test_a_provider_answers_by_its_own_key_under_another_name(
    door: Door, external: outside.Provider
) -> None:
    """It never learns the caller's key; its name it does, as tokens are counted by that."""
    for answer in door.ask(OUTSIDE, CHAT):
        assert answer.status == 200, answer
        assert answer.content["choices"][0]["message"]["content"] == "from outside"
    asked = external.asked[-1]
    assert asked.path == "/v1/chat/completions"
    assert asked.body["model"] == "claude-haiku-4-5"
    assert asked.headers["authorization"] == f"Bearer {PROVIDER_KEY}"
    assert asked.headers["host"] == external.host
    assert asked.headers[CALLER_HEADER] == "chat"
    assert CHAT not in str(asked.headers)


def test_a_provider_of_anthropics_api_answers_messages(
    door: Door, external: outside.Provider
) -> None:
    """Chat completions of it are refused: the AI gateway does not translate them."""
    body = {
        "model": MESSAGES,
        "max_tokens": 10,
        "messages": [{"role": "user", "content": "hello"}],
    }
    for way in door.ways_in():
        headers = {"x-api-key": CHAT, "anthropic-version": "2023-06-01"}
        answer = way.send("POST", "/anthropic/v1/messages", json.dumps(body), headers)
        assert answer.status == 200, answer
        assert answer.content["content"][0]["text"] == "from outside"
    asked = external.asked[-1]
    assert (asked.path, asked.body["model"]) == ("/v1/messages", "claude-haiku-4-5")
    assert asked.headers["x-api-key"] == PROVIDER_KEY
    assert door.statuses(MESSAGES, CHAT).isdisjoint({200})


def test_a_provider_has_the_same_doorkeeper(
    door: Door, coder: claims.Claim, external: outside.Provider
) -> None:
    """Keys, rules and the list of models are those of claims."""
    count = len(external.asked)
    assert door.statuses(OUTSIDE, None) == {401}
    assert door.statuses(OUTSIDE, EDITOR) == {403}
    assert len(external.asked) == count
    for listed in door.models(CHAT):
        assert {coder.name, OUTSIDE, MESSAGES} <= listed


@pytest.mark.usefixtures("counting")
def test_limits_hold_for_a_provider(
    door: Door, chat: claims.Claim, running: stage.Stage, external: outside.Provider
) -> None:
    """What it says of tokens is counted."""
    whole = outside.PROMPT_TOKENS + outside.ANSWER_TOKENS
    limit = {"tokens": 3 * whole, "per": "day", "model": OUTSIDE}
    with _with_limits(door, running, "abroad", limit) as key:
        _assert_told(_spend(door, OUTSIDE, key))
        assert door.statuses(chat.name, key) == {200}


def test_a_provider_with_another_certificate_gets_nothing(
    door: Door, external: outside.Provider
) -> None:
    """Neither a prompt nor the key."""
    door.wait(IMPOSTOR, CHAT, status=503)
    count = len(external.asked)
    assert door.statuses(IMPOSTOR, CHAT) == {503}
    assert len(external.asked) == count


# --- a provider in a claim's place


def _backed(running: stage.Stage, name: str, **spec: typing.Any) -> claims.Claim:
    """A claim for which a provider answers, as the route and the processor have it."""
    gateway = {"enabled": True, "fallback": {"provider": "chats", "model": OUTSIDE}}
    claim = running.claim(name, gateway=gateway, **spec).apply()
    claim.wait_condition("RouteReady", "True", "Published")
    polling.until(
        lambda: any("priority" in one for one in _backends(claim)),
        what="a route that names the provider",
        timeout=GRACE,
    )
    return claim


def _backends(claim: claims.Claim) -> list[api.Object]:
    return [
        backend
        for rule in claim.one("AIGatewayRoute")["spec"]["rules"]
        for backend in rule["backendRefs"]
    ]


def _outside(answer: asking.Answer) -> bool:
    return "from outside" in answer.text


def test_a_provider_answers_while_a_claim_has_no_pod(
    door: Door, external: outside.Provider, running: stage.Stage
) -> None:
    """Under the claim's name, by the provider's key and model; and the pod once it is back."""
    claim = _backed(running, "backed", scaling={"minReplicas": 1, "maxReplicas": 1})
    claim.wait_phase("Serving", timeout=120 + GRACE)
    door.wait(claim.name, CHAT, timeout=REFRESH_SECONDS + MINUTE + GRACE)
    time.sleep(REFRESH_SECONDS)  # The processor knows the provider then.
    count = len(external.asked)
    assert not any(map(_outside, door.ask(claim.name, CHAT)))
    time.sleep(10)
    assert len(external.asked) == count, "nothing leaves the cluster, no check of health either"
    (victim,) = running.engines(claim)
    containers.send(victim, ENGINE, signal.SIGKILL)
    answers: list[asking.Answer] = []

    def back() -> bool:
        answers.extend(asked := door.ask(claim.name, CHAT))
        return any(map(_outside, answers)) and not any(map(_outside, asked))

    polling.until(back, what="the provider's answers, and then the pod's", timeout=120 + GRACE)
    assert {one.status for one in answers} == {200}, [*map(str, answers)]
    asked = external.asked[-1]
    assert (asked.path, asked.body["model"]) == ("/v1/chat/completions", "claude-haiku-4-5")
    assert asked.headers["authorization"] == f"Bearer {PROVIDER_KEY}"
    assert CHAT not in str(asked.headers)
    # Rules of callers are the claim's.
    assert door.statuses(claim.name, EDITOR) == {403}
    claim.delete()


def test_a_provider_answers_while_a_claim_wakes(
    door: Door, external: outside.Provider, running: stage.Stage
) -> None:
    """Its requests are counted on the claim's route, so they wake it.

    A proxy's series begin with its first request, of which a rate sees nothing: the second wakes.
    """
    scaling = {"minReplicas": 0, "maxReplicas": 1, "cooldownSeconds": 600}
    claim = _backed(running, "dozing", scaling={**scaling, "pollingIntervalSeconds": 5})
    claim.wait_phase("Idle", timeout=60 + GRACE)
    polling.until(
        lambda: all(claim.name in listed for listed in door.models(CHAT)),
        what="the claim in every list",
        timeout=REFRESH_SECONDS + MINUTE + GRACE,
    )
    time.sleep(REFRESH_SECONDS)
    count = len(external.asked)
    answers = [*door.ask(claim.name, CHAT)]
    assert {one.status for one in answers} == {200}, [*map(str, answers)]
    assert all(map(_outside, answers)), [*map(str, answers)]
    assert len(external.asked) == count + len(answers)

    def awake() -> bool:
        answers.extend(asked := door.ask(claim.name, CHAT))
        return not any(map(_outside, asked))

    polling.until(awake, what="the answers of its pod", timeout=240 + GRACE, interval=3)
    assert {one.status for one in answers} == {200}, [*map(str, answers)]
    claim.delete()


def test_a_provider_that_goes_leaves_nothing(door: Door, external: outside.Provider) -> None:
    """Its names are nobody's then."""
    door.claim.apply(providers=[])
    door.wait_condition("ProvidersReady", "True", "NotRequested")
    for model in (OUTSIDE, MESSAGES):
        door.wait(model, CHAT, status=404)
    polling.until(
        lambda: not any({OUTSIDE, MESSAGES} & listed for listed in door.models(CHAT)),
        what="a list without models from outside",
        timeout=REFRESH_SECONDS + MINUTE + GRACE,
    )
    count = len(external.asked)
    assert door.statuses(OUTSIDE, CHAT) == {404}
    assert len(external.asked) == count


def test_without_limits_nothing_is_counted(door: Door) -> None:
    """What counted is gone, and who asks is not told how much is left."""
    door.claim.apply(callers=_callers(), issuers=[])
    door.wait_condition("LimitsReady", "True", "NotRequested")
    assert {"GatewayConfig", "BackendTrafficPolicy"}.isdisjoint(door.claim.kinds())


# --- its end


def test_a_door_that_is_deleted_leaves_the_claims_where_the_settings_say(
    door: Door,
    coder: claims.Claim,
    chat: claims.Claim,
    running: stage.Stage,
    installed: installation.Installation,
) -> None:
    """Its Gateway, proxies and policies go; engines run on, and serve on the platform's Gateway."""
    engines = running.names(coder) | running.names(chat)
    composed = [api.Ref.of(item) for item in door.claim.composed().values()]
    kinds: Sequence[str] = sorted(ref.kind for ref in composed)
    assert kinds == ["ClientTrafficPolicy", "EnvoyProxy", "Gateway", "SecurityPolicy"]
    installed.configure(running.settings())
    for claim in (coder, chat):
        claim.reconcile("back")
    platform = running.caller()
    polling.until(
        lambda: {platform.ask(c.name, timeout=10).status for c in (coder, chat)} == {200},
        what="both claims on the platform's Gateway",
        timeout=REFRESH_SECONDS + 2 * GRACE,
    )
    door.claim.delete()
    admin = running.tenant.plane.admin
    for ref in (door.claim.ref, *composed):
        admin.wait_gone(ref, timeout=MINUTE + GRACE)
    door.wait_end()
    assert running.names(coder) | running.names(chat) == engines
    assert {platform.ask(claim.name).status for claim in (coder, chat)} == {200}
