"""The whole of the reference platform: `examples/platform`, applied as it stands.

`make platform` runs it; it is no part of `make e2e`, for whose budget its programs are too large.
Envoy Gateway, the AI gateway, Envoy, KEDA, the VictoriaMetrics operator with what it runs,
kube-state-metrics, External Secrets, Redis, the rate limit service and Promptfoo are the released
programs. vLLM, text-embeddings-inference, the provider and the judge of vLLM Semantic Router are
stand-ins.

Three things of the folder are others here: the door has neither the name nor the certificate of a
public zone, the provider is at another address, and results go to this run's metrics server.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
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

from e2e import claims, installation, operators, promptfoo, shipped
from e2e.controlplane import api, external, plane, polling
from e2e.dataplane import asking, controllers, monitoring, outside, stage
from e2e.gateway import proxy
from e2e.machines import hub, site
from function.api import settings

FOLDER = shipped.ROOT / "examples/platform"
NAMESPACE = "llm"
CLAIMS = ("chat", "coder", "embeddings", "fim", "guard")
MODELS = {*CLAIMS, "coder-sql", "coder-secure", "claude-haiku", "mom"}
CODE = {"coder", "coder-sql", "coder-secure", "embeddings", "fim"}
KEYS = {name: f"key-of-{name}-0123456789abcdef" for name in ("chat", "editor", "nightly")}
ROUTER_KEY = "key-of-the-router-0123456789abcdef"
PROVIDER_KEY = "key-of-the-provider"
SECRETS: Mapping[str, Mapping[str, str]] = {
    "llm/callers": KEYS,
    "llm/hf-token": {"HF_TOKEN": "x"},
    "llm/anthropic": {"apiKey": PROVIDER_KEY},
    "llm/semantic-router": {"semantic-router": ROUTER_KEY},
}
STORE = "clustersecretstore"
# A claim that comes or goes is at the door within a minute; the rest is for a busy machine.
MINUTE, GRACE = 60, 180
_EMBEDDER = "ghcr.io/huggingface/text-embeddings-inference:cpu-1.9.3"
_EVAL = "inference_gateway_eval_"


def _documents(name: str) -> list[api.Object]:
    return list(api.load(FOLDER / f"{name}.yaml"))


@dataclasses.dataclass
class Platform:
    """What runs.

    Attributes:
        stage: Machines, gateways, KEDA and the hub.
        monitoring: The operator of metrics.
        served: The claims by name.
        door: The front door.
        provider: Who serves models outside.
        settings: What the platform team set.
    """

    stage: stage.Stage
    monitoring: monitoring.Monitoring
    served: Mapping[str, claims.Claim]
    door: claims.Claim
    provider: outside.Provider
    settings: api.Object

    @property
    def admin(self) -> api.Client:
        """The administrator."""
        return self.stage.tenant.plane.admin

    def way_in(self) -> asking.Caller:
        """A proxy of the door."""
        ref = api.Ref("gateway.networking.k8s.io/v1", "Gateway", self.door.name, NAMESPACE)
        (pod, *_) = polling.until(
            lambda: self.stage.controllers.proxies(ref), what="a proxy", timeout=MINUTE + GRACE
        )
        return asking.Caller(pod["status"]["podIP"], controllers.LISTENER_PORT)

    def ask(self, model: str, caller: str = "chat", **how: typing.Any) -> asking.Answer:
        """What a caller gets."""
        headers = {"Authorization": f"Bearer {KEYS[caller]}", **how.pop("headers", {})}
        if model == "embeddings":
            body = json.dumps({"model": model, "input": "hello"})
            return self.way_in().send("POST", "/v1/embeddings", body, headers)
        return self.way_in().ask(model, headers=headers, **how)

    def wait(self, model: str, caller: str = "chat", status: int = 200) -> asking.Answer:
        """Ask until the answer has a status, and return it."""
        answer = asking.Answer()

        def answered() -> bool:
            nonlocal answer
            answer = self.ask(model, caller)
            return answer.status == status

        try:
            polling.until(answered, what=f"{status} for {model}", timeout=MINUTE + GRACE)
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {answer}") from None
        return answer

    def listed(self) -> set[str]:
        """The names that the door lists."""
        headers = {"Authorization": f"Bearer {KEYS['chat']}"}
        answer = self.way_in().send("GET", "/v1/models", headers=headers)
        return {one["id"] for one in answer.content["data"]} if answer.status == 200 else set()

    def answered_by(self, answer: asking.Answer) -> str:
        """The claim of the pod that answered, or nothing where none did."""
        for name, claim in self.served.items():
            if answer.engine in self.stage.names(claim):
                return name
        return ""

    def texts(self) -> Mapping[str, str]:
        """Each object that the door is composed of, as JSON, by its key."""
        return {key: json.dumps(item) for key, item in self.door.composed().items()}


def _settings(
    running: stage.Stage, watched: monitoring.Monitoring, provider: outside.Provider
) -> api.Object:
    """Those of the stage, merged with the folder's, and with the addresses of these tests."""
    base = running.settings()
    (ours,) = _documents("settings")
    data = settings.merge(base["data"], ours["data"])
    given = data["inferenceService"]
    given["providers"]["dashboards"] = "grafana-sidecar"
    given["scaling"]["serverAddress"] = watched.url
    given["allowed"]["providerHosts"] = {NAMESPACE: [provider.host]}
    given["frontDoor"]["evals"] |= {"pushURL": watched.push_url, "store": watched.store}
    return {**base, "data": data}


def _publish(running: stage.Stage, claim: claims.Claim) -> None:
    """Let the hub have what a claim names, at revisions of its own."""
    spec = claim.manifest["spec"]
    base = spec["model"]["repository"]
    spec["model"]["revision"] = running.hub.publish(base, hub.model())
    for adapter in spec.get("loraAdapters", []):
        adapter["revision"] = running.hub.publish(adapter["repository"], hub.adapter(base))


def _push_images(running: stage.Stage, work: pathlib.Path) -> None:
    """The images that the folder's settings name, in addition to the stage's."""
    (ours,) = _documents("settings")
    front = ours["data"]["inferenceService"]["frontDoor"]
    router = front["semanticRouter"]
    running.site.push(router["image"], "stand-in-router", "router")
    running.site.push(_EMBEDDER, site.STAND_INS, "embedder")
    running.site.push_local(
        router["proxyImage"], proxy.program(), entry="/usr/local/bin/envoy", user=0
    )
    promptfoo.push(running.site, front["evals"]["image"], work)


@pytest.fixture(scope="module")
def platform(
    control_plane: plane.ControlPlane,
    installed: installation.Installation,
    all_kinds: None,
    standing_in: operators.Operators,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Platform]:
    """Everything that a platform team has, and then the folder."""
    del all_kinds
    work = tmp_path_factory.mktemp("platform")
    provider = outside.Provider(work / "outside", NAMESPACE)
    kinds = (*stage.KINDS, "ExternalSecret", "VMRule", "VMServiceScrape")
    with hub.serving() as models, standing_in.absent(*kinds), contextlib.ExitStack() as parts:
        parts.callback(provider.stop)
        prepared = stage.Stage(
            control_plane, work, NAMESPACE, models, limits=True, ports=[provider.port]
        )
        parts.enter_context(prepared.running())
        _push_images(prepared, work)
        watched = monitoring.Monitoring(control_plane, prepared.site)
        secrets = external.ExternalSecrets(control_plane.api, control_plane.logs)
        for part in (watched, secrets):
            parts.callback(part.stop)
            part.start()
        secrets.store(STORE, SECRETS)
        admin = control_plane.admin
        admin.apply_all([*provider.objects(prepared.site.outside), _proxies_scrape()])
        chosen = _settings(prepared, watched, provider)
        installed.configure(chosen)
        made = _apply(prepared, watched, provider, chosen)
        try:
            yield made
        finally:
            made.door.delete()
            admin.wait_gone(made.door.ref, timeout=MINUTE + GRACE)


def _proxies_scrape() -> api.Object:
    """What docs/dashboards.md asks of a platform: proxies and their processors are scraped."""
    endpoints = [
        {"portNumber": port, "path": path, "interval": f"{monitoring.SCRAPE_SECONDS}s"}
        for port, path in ((controllers.STATISTICS_PORT, "/stats/prometheus"), (1064, "/metrics"))
    ]
    return {
        "apiVersion": "operator.victoriametrics.com/v1beta1",
        "kind": "VMPodScrape",
        "metadata": {"name": "proxies", "namespace": monitoring.NAMESPACE},
        "spec": {
            "namespaceSelector": {"matchNames": [controllers.SYSTEM]},
            "selector": {"matchLabels": {"app.kubernetes.io/component": "proxy"}},
            "podMetricsEndpoints": endpoints,
        },
    }


def _apply(
    running: stage.Stage,
    watched: monitoring.Monitoring,
    provider: outside.Provider,
    chosen: api.Object,
) -> Platform:
    """The folder, in the order of its kustomization."""
    tenant = running.tenant
    admin = tenant.plane.admin
    # The stage has a token already.
    admin.delete(api.Ref("v1", "Secret", "hf-token", NAMESPACE))
    admin.apply_all(one for one in _documents("namespace") if one["kind"] == "ExternalSecret")
    by_name = {}
    for name in CLAIMS:
        (document,) = _documents(name)
        by_name[name] = claim = tenant.claim(document)
        _publish(running, claim)
        claim.apply()
    (document,) = _documents("door")
    door = tenant.claim(document)
    for field in ("hostname", "tls"):
        del door.manifest["spec"][field]
    (outside_models,) = door.manifest["spec"]["providers"]
    authority = {"name": "provider-authority", "namespace": NAMESPACE}
    data = {"ca.crt": provider.authority}
    admin.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": authority, "data": data})
    outside_models |= {
        "host": provider.host,
        "certificateAuthority": {"name": authority["name"]},
    }
    door.apply()
    return Platform(running, watched, by_name, door, provider, chosen)


# --- it comes up


def test_five_claims_and_a_door_are_a_platform(platform: Platform) -> None:
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


def test_each_model_answers_under_its_name(platform: Platform) -> None:
    """Claims by their pods, adapters by their claim's, the sleeper by a pod that it wakes."""
    for model in sorted(MODELS - {"claude-haiku", "mom"}):
        answer = platform.wait(model)
        assert platform.answered_by(answer) == model.partition("-")[0], answer


def test_callers_get_what_their_rules_say(platform: Platform) -> None:
    """Keys come from the store; limits and budgets are told to who has them."""
    for model in sorted(MODELS):
        assert platform.ask(model, "editor").status == (200 if model in CODE else 403), model
    nobody = platform.way_in().ask("chat", headers={"Authorization": "Bearer nobody"})
    assert nobody.status == 401
    polling.until(
        lambda: "x-ratelimit-remaining" in platform.ask("chat").headers,
        what="a limit that is told",
        timeout=MINUTE + GRACE,
    )


def test_a_provider_answers_behind_the_same_door(platform: Platform) -> None:
    """By its own key."""
    answer = platform.wait("claude-haiku")
    assert answer.content["choices"][0]["message"]["content"] == "from outside"
    assert platform.provider.asked[-1].body["model"] == "claude-haiku-4-5"
    assert platform.provider.asked[-1].headers["authorization"] == f"Bearer {PROVIDER_KEY}"


# --- by meaning


def _prompt(text: str) -> dict[str, typing.Any]:
    return {"messages": [{"role": "user", "content": text}]}


def test_a_virtual_name_goes_where_its_decisions_say(platform: Platform) -> None:
    """Words lead to the model of code, length to the provider, all else to the default."""
    platform.wait("mom")
    for text, claim in (("Please refactor this.", "coder"), ("Good morning.", "chat")):
        answer = platform.ask("mom", **_prompt(text))
        assert (answer.status, platform.answered_by(answer)) == (200, claim), answer
    count = len(platform.provider.asked)
    answer = platform.ask("mom", **_prompt("long " * 24_000))
    assert (answer.status, answer.engine) == (200, ""), answer
    assert len(platform.provider.asked) == count + 1


def test_a_virtual_name_streams(platform: Platform) -> None:
    """Through both gateways, chunk by chunk."""
    answer = platform.ask("mom", **asking.STREAM, **_prompt("Good morning."))
    assert answer.whole, answer


# --- what people look at


def test_a_nightly_evaluation_runs(platform: Platform) -> None:
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
_EMPTY: Mapping[str, str] = {"Download of weights": "nothing is downloaded any more"}


def test_no_panel_is_empty(platform: Platform) -> None:
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
    for _ in range(20):
        for model in ("chat", "coder", "coder-sql", "embeddings", "claude-haiku", "mom"):
            platform.ask(model, tokens=4)

    def empty() -> list[tuple[str, str, str]]:
        return sorted(
            (board, panel, text)
            for board, panel, text in queries
            if panel not in _EMPTY and not platform.monitoring.query(_asked(text))
        )

    with contextlib.suppress(TimeoutError):
        polling.until(lambda: not empty(), what="series", timeout=2 * GRACE, interval=10)
    assert not empty(), "\n".join(" | ".join(one) for one in empty())


def _asked(text: str) -> str:
    """A query as Grafana asks it, with its interval."""
    return text.replace("$__rate_interval", "1m").replace("$__interval", "15s")


def test_a_clients_configuration_works(platform: Platform, tmp_path: pathlib.Path) -> None:
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
    assert {model for line in written for model in re.findall(r'"model": "([^"]+)"', line)} == CODE
    for line in written:
        done = subprocess.run(
            ["sh", "-c", line],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "INFERENCE_API_KEY": KEYS["editor"]},
        )
        assert done.returncode == 0, (shlex.quote(line), done.stderr)


# --- a model more


def test_a_sixth_model_is_one_file_and_leaves_no_trace(platform: Platform) -> None:
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
