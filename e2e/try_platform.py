"""The whole of the reference platform: `examples/platform`, applied as it stands.

`make platform` runs it; it is no part of `make e2e`, for whose budget its programs are too large.
Envoy Gateway, the AI gateway, Envoy, KEDA, the VictoriaMetrics operator with what it runs,
kube-state-metrics, External Secrets, Redis, the rate limit service and Promptfoo are the released
programs. vLLM, text-embeddings-inference, the provider and the judge of vLLM Semantic Router are
stand-ins. `e2e/dataplane/folder.py` says what of the folder is another here.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import typing
from collections.abc import Iterator, Mapping

import pytest

from e2e import claims, installation, operators
from e2e.controlplane import api, plane, polling
from e2e.dataplane import asking, folder, stage

NAMESPACE, CLAIMS, MODELS, KEYS = folder.NAMESPACE, folder.CLAIMS, folder.MODELS, folder.KEYS
MINUTE, GRACE = folder.MINUTE, folder.GRACE
_EVAL = "inference_gateway_eval_"


@pytest.fixture(scope="module")
def platform(
    control_plane: plane.ControlPlane,
    installed: installation.Installation,
    all_kinds: None,
    standing_in: operators.Operators,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[folder.Platform]:
    """It, with everything that a platform team has."""
    del all_kinds
    work = tmp_path_factory.mktemp("platform")
    with folder.standing(control_plane, installed, standing_in, work) as made:
        yield made


# --- it comes up


def test_five_claims_and_a_door_are_a_platform(platform: folder.Platform) -> None:
    """Applied at once: claims wait for the door's Gateway, and the door for their routes."""
    for name in ("chat", "coder", "embeddings", "guard"):
        platform.served[name].wait_phase("Serving", timeout=2 * GRACE)
    platform.served["fim"].wait_phase("Idle", timeout=2 * GRACE)
    told = platform.door.wait(
        lambda item: (
            (item.get("status") or {}).get("claims") == "5/5"
            and all(one[0] == "True" for one in claims.conditions(item).values())
        ),
        what="with all conditions True",
        timeout=2 * GRACE,
    )
    assert {one["name"] for one in told["status"]["models"]} == MODELS
    polling.until(lambda: platform.listed() == MODELS, what="all names", timeout=MINUTE + GRACE)


def test_each_model_answers_under_its_name(platform: folder.Platform) -> None:
    """Claims by their pods, adapters by their claim's, the sleeper by a pod that it wakes."""
    for model in sorted(MODELS - {"claude-haiku", "mom"}):
        answer = platform.wait(model)
        assert platform.answered_by(answer) == model.partition("-")[0], answer


def test_callers_get_what_their_rules_say(platform: folder.Platform) -> None:
    """Keys come from the store; limits and budgets are told to who has them."""
    for model in sorted(MODELS):
        assert platform.ask(model, "editor").status == (200 if model in folder.CODE else 403), model
    nobody = platform.way_in().ask("chat", headers={"Authorization": "Bearer nobody"})
    assert nobody.status == 401
    polling.until(
        lambda: "x-ratelimit-remaining" in platform.ask("chat").headers,
        what="a limit that is told",
        timeout=MINUTE + GRACE,
    )


def test_a_provider_answers_behind_the_same_door(platform: folder.Platform) -> None:
    """By its own key."""
    answer = platform.wait("claude-haiku")
    assert answer.content["choices"][0]["message"]["content"] == "from outside"
    assert platform.provider.asked[-1].body["model"] == "claude-haiku-4-5"
    assert platform.provider.asked[-1].headers["authorization"] == f"Bearer {folder.PROVIDER_KEY}"


# --- a canary with a gate

# Every request of it fails at the engine, and no other.
_FAULT = {"fault": "fails", "faultModel": "coder-sql"}
_BY_CHAT = {"Authorization": f"Bearer {KEYS['chat']}"}


def _weight(platform: folder.Platform) -> int:
    """Percent of the base model's requests that the route sends to the canary."""
    (rule, *_) = platform.served["coder"].one("AIGatewayRoute")["spec"]["rules"]
    (weight,) = [
        backend["weight"]
        for backend in rule["backendRefs"]
        if backend.get("modelNameOverride") == "coder-sql"
    ]
    return int(weight)


def _judges(platform: folder.Platform) -> list[api.Object]:
    """The Jobs that judge the canary."""
    composed = platform.served["coder"].composed()
    return [item for key, item in composed.items() if "gate-job-" in key]


def _route(platform: folder.Platform) -> tuple[str, str, str]:
    """Status, reason and message of the claim's condition."""
    return claims.conditions(platform.served["coder"].read())["RouteReady"]


def _begin(platform: folder.Platform, generation: int) -> None:
    """Let the canary begin at the first step."""
    claim = platform.served["coder"]
    gateway = claim.manifest["spec"]["gateway"]
    gateway["canaries"][0]["gate"]["generation"] = generation
    claim.apply(gateway=gateway)
    claim.wait_condition("RouteReady", "True", "CanaryRising")


def test_a_canary_rises_as_its_gate_holds(
    platform: folder.Platform, installed: installation.Installation
) -> None:
    """What judges it asks the metrics server for what the gateway counted of these requests.

    Until now there were too few of them: the author lets it begin again, so that no Job waits.
    """
    assert _weight(platform) == 2
    _begin(platform, 1)
    seen = []

    def risen() -> bool:
        seen.extend(_judges(platform))
        return _weight(platform) > 2

    with platform.way_in().load(3, "coder", headers=_BY_CHAT) as answers:
        polling.until(risen, what="the second step", timeout=3 * MINUTE + GRACE, interval=1)
        weight = _weight(platform)
        polling.until(lambda: len(answers) > 500, what="answers", timeout=GRACE)
    assert weight == 5
    asking.assert_whole(answers)
    assert {one.headers["x-model"] for one in answers} == {"coder", "coder-sql"}
    images = {job["spec"]["template"]["spec"]["containers"][0]["image"] for job in seen}
    assert images == {installed.release.preload}
    (record,) = platform.served["coder"].read()["status"]["canaries"]
    assert (record["adapter"], record["heldPercent"]) == ("coder-sql", 2)


def test_a_canary_that_fails_is_taken_back(platform: folder.Platform) -> None:
    """The condition, an event, an alert and the Job's log say so, and the route obeys."""
    claim = platform.served["coder"]
    for pod in platform.stage.engines(claim):
        stage.steer(pod, _FAULT)
    with platform.way_in().load(3, "coder", headers=_BY_CHAT) as answers:
        polling.until(
            lambda: _route(platform)[1] == "CanaryRolledBack",
            what="the end of the canary",
            timeout=2 * MINUTE + GRACE,
            interval=1,
        )
    assert {one.status for one in answers} == {200, 500}
    assert {one.headers["x-model"] for one in answers if one.status == 500} == {"coder-sql"}
    assert _route(platform)[0] == "False"
    assert _weight(platform) == 0
    (told,) = [
        event
        for event in platform.admin.objects("v1", "Event", namespace=NAMESPACE)
        if (event["involvedObject"]["name"], event["reason"]) == ("coder", "CanaryRolledBack")
    ]
    assert (told["type"], "more of its requests failed" in told["message"]) == ("Warning", True)
    (job,) = _judges(platform)
    log = platform.stage.site.logs(NAMESPACE, f"job/{job['metadata']['name']}")
    assert "ERROR_RATE: canary coder-sql: " in log
    alert = "InferenceServiceCanaryRolledBack"
    polling.until(
        lambda: alert in platform.monitoring.alerts("coder"), what=alert, timeout=MINUTE + GRACE
    )


def test_a_canary_that_was_taken_back_gets_no_more_requests(platform: folder.Platform) -> None:
    """But those by its own name, which still reach it."""
    polling.until(
        lambda: {one.status for one in _often(platform, 150)} == {200},
        what="answers of the base model alone",
        timeout=MINUTE + GRACE,
    )
    assert {one.headers["x-model"] for one in _often(platform, 300)} == {"coder"}
    assert platform.ask("coder-sql").status == 500
    for pod in platform.stage.engines(platform.served["coder"]):
        stage.steer(pod, {"fault": ""})
    assert platform.ask("coder-sql").status == 200


def _often(platform: folder.Platform, count: int) -> asking.Answers:
    return platform.way_in().ask_often(count, "coder", headers=_BY_CHAT)


# --- by meaning


def _prompt(text: str) -> dict[str, typing.Any]:
    return {"messages": [{"role": "user", "content": text}]}


def test_a_virtual_name_goes_where_its_decisions_say(platform: folder.Platform) -> None:
    """Words lead to the model of code, length to the provider, all else to the default."""
    platform.wait("mom")
    for text, claim in (("Please refactor this.", "coder"), ("Good morning.", "chat")):
        answer = platform.ask("mom", **_prompt(text))
        assert (answer.status, platform.answered_by(answer)) == (200, claim), answer
    count = len(platform.provider.asked)
    answer = platform.ask("mom", **_prompt("long " * 24_000))
    assert (answer.status, answer.engine) == (200, ""), answer
    assert len(platform.provider.asked) == count + 1


def test_a_virtual_name_streams(platform: folder.Platform) -> None:
    """Through both gateways, chunk by chunk."""
    answer = platform.ask("mom", **asking.STREAM, **_prompt("Good morning."))
    assert answer.whole, answer


def test_embeddings_scale_by_the_texts_that_wait(platform: folder.Platform) -> None:
    """KEDA asks the metrics server for what text-embeddings-inference says of its queue."""
    claim = platform.served["embeddings"]
    (busy,) = platform.stage.engines(claim)
    stage.steer(busy, {"queue": 40})
    polling.until(
        lambda: len(platform.stage.engines(claim)) == 2,
        what="a second replica",
        timeout=2 * MINUTE + GRACE,
    )
    stage.steer(busy, {"queue": 0})
    polling.until(
        lambda: (
            {platform.ask("embeddings").engine for _ in range(10)} == platform.stage.names(claim)
        ),
        what="answers of both",
        timeout=MINUTE + GRACE,
    )


# --- what people look at


def test_a_nightly_evaluation_runs(platform: folder.Platform) -> None:
    """Each CronJob's Job, begun by hand: Promptfoo asks, and the results are in the store."""
    jobs = {
        key: item for key, item in platform.door.composed().items() if item["kind"] == "CronJob"
    }
    models = {item["metadata"]["name"]: item for item in jobs.values()}
    assert len(models) == len(MODELS - {"claude-haiku", "mom"})
    (name,) = [name for name in models if name.startswith("llm-eval-chat-")]
    done = platform.stage.tenant.plane.kubectl(
        *("-n", NAMESPACE, "create", "job", "by-hand", f"--from=cronjob/{name}")
    )
    assert done.returncode == 0, done.stderr
    job = api.Ref("batch/v1", "Job", "by-hand", NAMESPACE)
    platform.admin.wait_condition(job, "Complete", timeout=2 * GRACE)
    series = f'{{__name__=~"{_EVAL}.*",model="chat"}}'
    polling.until(
        lambda: platform.monitoring.query(f"count({series})"), what="results", timeout=GRACE
    )


# Panels that are empty with reason.
_EMPTY: Mapping[str, str] = {
    "Download of weights": "nothing is downloaded any more",
    "Failures": "nothing failed: until then text-embeddings-inference has no series of it",
}


def test_no_panel_is_empty(platform: folder.Platform) -> None:
    """Those of the door and of three claims, once each was asked."""
    drawn = ("chat", "coder", "embeddings")
    boards = [
        json.loads(text)
        for owner in (platform.door, *(platform.served[name] for name in drawn))
        for item in owner.composed().values()
        if item["kind"] == "ConfigMap" and "grafana_dashboard" in item["metadata"]["labels"]
        for text in item["data"].values()
    ]
    assert len(boards) == 4
    queries = {
        (board["title"], panel["title"], target["expr"])
        for board in boards
        for panel in board["panels"]
        for target in panel.get("targets", ())
    }

    def asked() -> None:
        for model in ("chat", "coder", "coder-sql", "embeddings", "claude-haiku", "mom"):
            platform.ask(model, tokens=4)

    def empty() -> list[tuple[str, str, str]]:
        return sorted(
            (board, panel, text)
            for board, panel, text in queries
            if panel not in _EMPTY and not platform.monitoring.query(_asked(text))
        )

    def filled() -> bool:
        # Rates of five minutes must not end while something else is waited for.
        asked()
        return not empty()

    for _ in range(20):
        asked()
    with contextlib.suppress(TimeoutError):
        polling.until(filled, what="series", timeout=2 * GRACE, interval=10)
    assert not empty(), "\n".join(" | ".join(one) for one in empty())


def _asked(text: str) -> str:
    """A query as Grafana asks it, with its interval."""
    return text.replace("$__rate_interval", "1m").replace("$__interval", "15s")


def test_a_clients_configuration_works(platform: folder.Platform, tmp_path: pathlib.Path) -> None:
    """The commands that the command line writes for curl, for one caller, as they are."""
    for name in (*CLAIMS, "door"):
        owner = platform.door if name == "door" else platform.served[name]
        (tmp_path / f"{name}.json").write_text(json.dumps(owner.manifest))
    host, port = platform.way_in().address
    arguments = ["--for", "curl", "--caller", "editor", "--endpoint", f"http://{host}:{port}/v1"]
    chosen = tmp_path / "settings.json"
    chosen.write_text(json.dumps(platform.settings))
    arguments += ["--environment", str(chosen)]
    written = subprocess.run(
        [sys.executable, "-m", "function.cli.main", "clients", str(tmp_path), *arguments],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert {
        model for line in written for model in re.findall(r'"model": "([^"]+)"', line)
    } == folder.CODE
    for line in written:
        done = subprocess.run(
            ["sh", "-c", line],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "INFERENCE_API_KEY": KEYS["editor"]},
        )
        assert done.returncode == 0, (shlex.quote(line), done.stderr)


# --- what is left of the canary


def test_an_author_tries_a_canary_again(platform: folder.Platform) -> None:
    """The alert fires until then: by now it has been true for its five minutes."""
    alert = "InferenceServiceCanaryRolledBack"
    polling.until(
        lambda: platform.monitoring.alerts("coder").get(alert) == "firing",
        what=f"{alert} to fire",
        timeout=5 * MINUTE + GRACE,
        interval=1,
    )
    assert _route(platform)[1] == "CanaryRolledBack"
    _begin(platform, 2)
    polling.until(lambda: _weight(platform) == 2, what="the first step", timeout=GRACE)
    polling.until(
        lambda: alert not in platform.monitoring.alerts("coder"),
        what="the end of the alert",
        timeout=MINUTE + GRACE,
    )


# --- a model more


def test_a_sixth_model_is_one_file_and_leaves_no_trace(platform: folder.Platform) -> None:
    """It is listed, answers, is evaluated and drawn; when it goes, nothing names it."""
    before = copy.deepcopy(platform.texts())
    document = copy.deepcopy(platform.served["chat"].manifest)
    document["metadata"]["name"] = "sixth"
    claim = platform.stage.tenant.claim(document)
    claim.apply()
    platform.wait("sixth")
    polling.until(
        lambda: any(
            item["kind"] == "CronJob" and item["metadata"]["name"].startswith("llm-eval-sixth-")
            for item in platform.door.composed().values()
        ),
        what="its evaluation",
        timeout=MINUTE + GRACE,
    )
    polling.until(lambda: "sixth" in platform.listed(), what="its name", timeout=MINUTE + GRACE)
    claim.delete()
    platform.admin.wait_gone(claim.ref, timeout=MINUTE + GRACE)
    platform.wait("sixth", status=404)
    polling.until(
        lambda: not any("sixth" in text for text in platform.texts().values()),
        what="a door without it",
        timeout=MINUTE + GRACE,
    )
    assert platform.texts().keys() == before.keys()
    polling.until(
        lambda: not [name for name in platform.stage.tenant.inventory() if "sixth" in name],
        what="a namespace without it",
        timeout=MINUTE + GRACE,
    )
    assert platform.listed() == MODELS


# --- another way in


def test_litellm_answers_before_the_door(platform: folder.Platform) -> None:
    """Its pod lists every name that its caller may use, and passes on what it is asked."""
    master = "sk-0123456789abcdef0123456789abcdef"
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "litellm", "namespace": NAMESPACE},
        "stringData": {"master-key": master, "database-url": "postgresql://nobody.invalid/litellm"},
    }
    platform.admin.apply(secret)
    key = {"remoteRef": "llm/callers", "property": "edge"}
    platform.door.apply(
        callers=[
            *platform.door.manifest["spec"]["callers"],
            {"name": "edge", "externalSecret": key},
        ],
        edge={
            "litellm": {
                "caller": "edge",
                "secretRef": {"name": "litellm"},
                "aliases": [{"name": "best", "model": "chat"}],
            }
        },
    )
    platform.door.wait(
        # The day's tokens of a caller have no form there.
        lambda item: claims.conditions(item).get("EdgeReady", ())[:2] == ("True", "Partly"),
        what="with a proxy before it",
        timeout=2 * MINUTE + 2 * GRACE,
    )
    (pod,) = platform.admin.objects(
        "v1", "Pod", namespace=NAMESPACE, labels={"app.kubernetes.io/component": "edge"}
    )
    proxy = asking.Caller(pod["status"]["podIP"], 4000)
    headers = {"Authorization": f"Bearer {master}"}
    listed = proxy.send("GET", "/v1/models", headers=headers)
    assert {one["id"] for one in listed.content["data"]} == {*MODELS, "best"}
    for model, claim in (("chat", "chat"), ("best", "chat"), ("coder-secure", "coder")):
        answer = proxy.ask(model, headers=headers)
        assert answer.status == 200, answer
        assert answer.content["system_fingerprint"] in platform.stage.names(
            platform.served[claim]
        ), answer
    body = json.dumps({"model": "embeddings", "input": ["hello"]})
    vectors = proxy.send("POST", "/v1/embeddings", body, headers)
    assert vectors.content["data"][0]["embedding"] == [0.1, 0.2, 0.3], vectors
    stream = proxy.ask("chat", **{**asking.STREAM, "headers": headers})
    assert stream.whole, stream
    assert proxy.ask("chat").status == 401
    scrape = (NAMESPACE, "llm.edge")
    polling.until(
        lambda: (
            {target.up for target in platform.monitoring.targets().get(scrape, set())} == {True}
        ),
        what="metrics of the proxy",
        timeout=MINUTE + GRACE,
    )
