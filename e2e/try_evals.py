"""Evaluations by Promptfoo's real program, from the composed pod to the store and its alerts.

`make evals` runs it; it is no part of `make e2e`, for whose budget 460 MB of packages are too much.
Engines are played by a server that speaks OpenAI's API and answers well or badly by its models'
names. Everything else is as composed: configuration, arguments, variables, user, read-only root.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import pathlib
import subprocess
import sys
import threading
import time
import typing
from collections.abc import Iterator, Mapping

import pytest
import yaml

from e2e import promptfoo
from e2e.controlplane import api, metrics
from tests import cluster
from tests.fleet import scene

KEY = "a-key-of-nobody"
OWN = [
    {"vars": {"prompt": "Say hello."}, "assert": [{"type": "contains", "value": "hello"}]},
    {
        "description": "code of the author's own",
        "vars": {"prompt": "Say hello."},
        "assert": [{"type": "javascript", "value": "output.length < 100"}],
    },
]
MODELS = {
    "good": ("chat", "tools"),
    "wrong": ("chat", "tools"),
    "thinks": ("chat", "reasoning"),
    "middle": ("complete",),
    "vectors": ("embed",),
    "guards": ("guard",),
    "lets-through": ("guard",),
    "down": ("chat",),
}
# Which cases fail, and how; all others pass.
FAILS = {
    "wrong": {("answers", "failed"), ("json", "failed"), ("tools", "failed"), ("own", "failed")},
    "lets-through": {("blocks", "failed")},
    "down": {("answers", "error"), ("json", "error"), ("own", "error")},
}


class Engines:
    """Models behind one address."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, typing.Any]]] = []
        self.keys: set[str | None] = set()

    @contextlib.contextmanager
    def serve(self) -> Iterator[str]:
        """The address of its API."""
        engines = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                engines.asked.append((self.path, body))
                engines.keys.add(self.headers["Authorization"])
                down = body["model"] == "down"
                answer = {"error": {"message": "no pod"}} if down else _answer(self.path, body)
                text = json.dumps(answer).encode()
                self.send_response(503 if down else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: typing.Any) -> None:  # noqa: A002
                del format, args

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _answer(path: str, body: Mapping[str, typing.Any]) -> dict[str, typing.Any]:
    usage = {"prompt_tokens": 8, "completion_tokens": 4, "total_tokens": 12}
    whole = {"id": "a", "created": 1, "model": body["model"], "usage": usage}
    if path.endswith("/embeddings"):
        data = [{"object": "embedding", "index": 0, "embedding": [0.1, 0.2, 0.3]}]
        return {**whole, "object": "list", "data": data}
    if path.endswith("/chat/completions"):
        choice = {"index": 0, "message": _message(body), "finish_reason": "stop"}
        return {**whole, "object": "chat.completion", "choices": [choice]}
    choice = {"index": 0, "text": "a + b\n", "finish_reason": "stop"}
    return {**whole, "object": "text_completion", "choices": [choice]}


def _message(body: Mapping[str, typing.Any]) -> dict[str, typing.Any]:
    prompt, model = body["messages"][-1]["content"], body["model"]
    said: dict[str, typing.Any] = {"role": "assistant"}
    if model == "wrong":
        return {**said, "content": "I would rather not."}
    if model == "guards":
        return {**said, "content": "unsafe\nS2" if "steal" in prompt else "safe"}
    if model == "lets-through":
        return {**said, "content": "safe"}
    if body.get("tools"):
        call = {"name": body["tools"][0]["function"]["name"], "arguments": '{"city": "Paris"}'}
        calls = [{"id": "c", "type": "function", "function": call}]
        return {**said, "content": None, "tool_calls": calls}
    if body.get("response_format"):
        return {**said, "content": '{"city": "Paris", "country": "France"}'}
    thought = {"reasoning_content": "Two and two."} if model == "thinks" else {}
    return {**said, **thought, "content": "hello" if "hello" in prompt else "4"}


def _world(store: str) -> cluster.Cluster:
    evals = {"caller": "nightly", "cases": {"configMapRef": {"name": "ours"}}}
    door = scene.of(callers=[scene.caller("nightly")], evals=evals)
    members = [scene.member(name, offers=offers) for name, offers in MODELS.items()]
    world = scene.world(door, *members)
    site = world.environments[-1]["data"]["inferenceService"]["frontDoor"]["evals"]
    site["pushURL"] = f"{store}/api/v1/import/prometheus"
    world.converge()
    assert world.condition("EvalsReady") == ("True", "Scheduled")
    return world


def _pod(world: cluster.Cluster, model: str) -> api.Object:
    (job,) = [
        item
        for item in world.objects.values()
        if item["kind"] == "CronJob" and item["metadata"]["name"].startswith(f"llm-eval-{model}-")
    ]
    pod: api.Object = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return pod


def _volumes(
    world: cluster.Cluster, pod: api.Object, work: pathlib.Path, address: str
) -> dict[str, pathlib.Path]:
    """The pod's volumes; the Gateway's address becomes that of the engines."""
    made = {}
    for volume in pod["volumes"]:
        made[volume["name"]] = place = work / volume["name"]
        place.mkdir(parents=True)
        named = volume.get("configMap", {}).get("name")
        if named == "ours":
            for item in volume["configMap"]["items"]:
                (place / item["path"]).write_text(yaml.safe_dump(OWN))
        elif named is not None:
            (data,) = [
                one["data"]
                for one in world.objects.values()
                if one["kind"] == "ConfigMap" and one["metadata"]["name"] == named
            ]
            for name, text in data.items():
                assert KEY not in text
                (place / name).write_text(text.replace(world.claim["status"]["endpoint"], address))
    return made


def _export(pod: api.Object, volumes: Mapping[str, pathlib.Path]) -> str:
    """Runs the second container's program; returns its log."""
    (container,) = pod["containers"]
    environment = {one["name"]: one["value"] for one in container["env"]}
    results = environment["EVALS_RESULTS"].replace("/results", str(volumes["results"]), 1)
    done = subprocess.run(
        [sys.executable, "-m", "exporter"],
        env={**environment, "EVALS_RESULTS": results},
        cwd=cluster.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[metrics.MetricsServer]:
    """A metrics server."""
    work = tmp_path_factory.mktemp("store")
    server = metrics.MetricsServer(work, work, "http://127.0.0.1:1/none")
    server.process.start()
    yield server
    server.process.stop()


def _eventually(store: metrics.MetricsServer, query: str) -> list[float]:
    deadline = time.monotonic() + 30
    while not (values := store.query(query)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return values


@pytest.mark.parametrize("model", MODELS)
def test_each_model_is_judged_by_what_it_answers(
    model: str, store: metrics.MetricsServer, tmp_path: pathlib.Path
) -> None:
    """Promptfoo, then our program, then the store: which cases passed, and how the others ended."""
    world, engines = _world(store.url), Engines()
    pod = _pod(world, model)
    with engines.serve() as address:
        volumes = _volumes(world, pod, tmp_path, address)
        done = promptfoo.run(pod, volumes, {"nightly-key/nightly": KEY})
    assert done.code == 0, done.log
    assert engines.keys == {f"Bearer {KEY}"}
    assert {body["model"] for _, body in engines.asked} == {model}
    assert KEY not in done.log
    _export(pod, volumes)
    tests = json.loads((volumes["configuration"] / "promptfooconfig.json").read_text())["tests"]
    cases = {one["metadata"]["case"] for one in tests if not isinstance(one, str)} | {"own"}
    own = f'inference_gateway_eval_cases{{gateway="llm",model="{model}"'
    fails = FAILS.get(model, set())
    asked = _eventually(store, f"sum(last_over_time({own}}}[1h]))")
    assert asked == [len(cases) - 1 + len(OWN)]
    for case in cases:
        ends = {
            end: store.query(f'last_over_time({own},case="{case}",result="{end}"}}[1h])')[0]
            for end in ("passed", "failed", "error")
        }
        missed = {end for name, end in fails if name == case}
        shown = {end for end, count in ends.items() if count and end != "passed"}
        if model in ("good", "thinks", "wrong", "down") or case != "own":
            assert shown == missed, (case, ends)
    (ratio,) = store.query(
        f'last_over_time(inference_gateway_eval_pass_ratio{{model="{model}"}}[1h])'
    )
    assert ratio == 1 or fails or model in ("middle", "vectors", "guards")
    (rule,) = [
        one
        for one in world.one("VMRule")["spec"]["groups"][0]["rules"]
        if one["alert"] == "InferenceGatewayEvalsFail"
    ]
    # Without its end, for which kube-state-metrics would have to run here.
    expression = rule["expr"].partition(" and on (cronjob)")[0]
    fires = store.query(f'label_match({expression}, "model", "{model}")')
    assert bool(fires) == (ratio < 0.9)


def test_a_configuration_that_is_none_fails_the_pod(
    store: metrics.MetricsServer, tmp_path: pathlib.Path
) -> None:
    """No result is no good result."""
    world = _world(store.url)
    pod = _pod(world, "good")
    volumes = _volumes(world, pod, tmp_path, "http://127.0.0.1:9/v1")
    (volumes["cases"] / "tests.yaml").write_text("- vars: [")
    done = promptfoo.run(pod, volumes, {"nightly-key/nightly": KEY})
    assert done.code != 0, done.log
