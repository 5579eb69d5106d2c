"""LiteLLM's real proxy with what this function writes for it, before a stand-in for the Gateway.

Its database is not there: PyPI has no engine of its client. So no key but its own is judged, and
what its management API is to be asked is read there and goes no further.
"""

from __future__ import annotations

import dataclasses
import functools
import http.server
import json
import pathlib
import subprocess
import threading
import typing
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from e2e.controlplane import polling, process
from tests import cluster
from tests.fleet import scene
from tools.litellm import program

MASTER = "sk-0123456789abcdef0123456789abcdef"
KEY = "the-callers-key"
# So many tokens each answer has.
PROMPT, ANSWER = 7, 5
CALLERS = [
    scene.caller("edge"),
    {
        **scene.caller("chat"),
        "budget": {"amount": "20.5", "per": "month"},
        "limits": [
            {"requests": 60, "per": "minute"},
            {"tokens": 9000, "per": "minute", "model": "coder"},
        ],
    },
    scene.caller("nightly", names=["sql"]),
    scene.caller("nobody", names=["gone"]),
]
DOOR = scene.of(
    callers=CALLERS,
    providers=[scene.provider("outside", "claude-haiku")],
    prices=[
        {"model": "coder", "input": "0.5", "output": "1.5"},
        {"model": "vectors", "input": "0.1"},
    ],
    edge={
        "litellm": {
            "caller": "edge",
            "secretRef": {"name": "litellm"},
            "aliases": [{"name": "best", "model": "coder"}],
            "teams": [
                {"name": "day", "callers": ["chat"], "budget": {"amount": "3", "per": "day"}}
            ],
        }
    },
)
MEMBERS = (
    # Public names, a word of YAML, a number: each is a name that an author may choose.
    scene.member("coder", "sql", "gpt-4o", "on", "1e3", "best", "all-proxy-models"),
    scene.member("fim", offers=("complete",)),
    scene.member("vectors", offers=("embed",)),
)
NAMES = ["1e3", "claude-haiku", "coder", "fim", "gpt-4o", "on", "sql", "vectors"]


@dataclasses.dataclass
class Gateway:
    """A stand-in for the Gateway: no model, but its answers, and what it was asked.

    Attributes:
        address: Its OpenAI API.
        asked: Path, key and model of each request.
        full: Models for which it says that a limit is reached.
    """

    address: str
    asked: list[tuple[str, str, str]]
    full: set[str]


def _usage() -> dict[str, int]:
    return {
        "prompt_tokens": PROMPT,
        "completion_tokens": ANSWER,
        "total_tokens": PROMPT + ANSWER,
    }


def _answer(path: str, model: str) -> dict[str, typing.Any]:
    base = {"id": "a-1", "created": 1, "model": model, "usage": _usage()}
    if path == "/v1/embeddings":
        vector = {"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}
        return {**base, "object": "list", "data": [vector]}
    if path == "/v1/completions":
        ended = {"index": 0, "text": "    return a + b", "finish_reason": "stop"}
        return {**base, "object": "text_completion", "choices": [ended]}
    message = {"role": "assistant", "content": f"from {model}"}
    ended = {"index": 0, "message": message, "finish_reason": "stop"}
    return {**base, "object": "chat.completion", "choices": [ended]}


def _chunks(model: str) -> Iterator[dict[str, typing.Any]]:
    base = {"id": "a-1", "object": "chat.completion.chunk", "created": 1, "model": model}
    for word in ("one ", "two"):
        delta = {"index": 0, "delta": {"role": "assistant", "content": word}}
        yield {**base, "choices": [{**delta, "finish_reason": None}]}
    yield {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    yield {**base, "choices": [], "usage": _usage()}


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """The stand-in."""
    (port,) = process.free_ports(1)
    given = Gateway(f"http://127.0.0.1:{port}/v1", [], set())

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            model = body["model"]
            given.asked.append((self.path, self.headers["authorization"], model))
            if model in given.full:
                self._send(429, "application/json", b'{"error":{"message":"a limit"}}')
            elif body.get("stream"):
                lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in _chunks(model)]
                self._send(200, "text/event-stream", "".join([*lines, "data: [DONE]\n\n"]).encode())
            else:
                document = json.dumps(_answer(self.path, model))
                self._send(200, "application/json", document.encode())

        def _send(self, code: int, kind: str, content: bytes) -> None:
            self.send_response(code)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield given
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def world() -> cluster.Cluster:
    """A front door with a proxy before it, at rest."""
    return scene.resting(DOOR, *MEMBERS)


@dataclasses.dataclass
class Proxy:
    """LiteLLM's proxy.

    Attributes:
        port: Where it answers.
        metrics: Where it tells its metrics.
        configuration: What it reads.
        bodies: What its management API is to be asked.
    """

    port: int
    metrics: int
    configuration: pathlib.Path
    bodies: dict[str, list[dict[str, typing.Any]]]

    def ask(
        self, path: str, body: typing.Any = None, key: str | None = MASTER
    ) -> tuple[int, dict[str, str], str]:
        """Returns code, headers and text of an answer."""
        headers = {"content-type": "application/json"}
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        data = None if body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return answer.status, dict(answer.headers.items()), answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers.items()), error.read().decode()


@pytest.fixture(scope="module")
def proxy(
    world: cluster.Cluster, gateway: Gateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """The proxy with the arguments and the variables of its container."""
    place = tmp_path_factory.mktemp("edge")
    (container,) = world.one("Deployment")["spec"]["template"]["spec"]["containers"]
    data = world.one("ConfigMap", "edge-configmap")["data"]
    wrote = data["config.yaml"]
    address = json.loads(wrote)["model_list"][0]["litellm_params"]["api_base"]
    assert wrote.count(address) == len(NAMES)
    configuration = place / "config.yaml"
    configuration.write_text(wrote.replace(address, gateway.address))
    port, metrics = process.free_ports(2)
    swapped = {"/etc/edge/config.yaml": str(configuration), "4000": str(port), "4001": str(metrics)}
    arguments = [
        f"{name}={swapped.get(value, value)}"
        for name, _, value in (argument.partition("=") for argument in container["args"])
    ]
    given = {
        variable["name"]: variable["value"].replace("/scratch", str(place))
        for variable in container["env"]
        if "value" in variable
    }
    secrets = {"EDGE_KEY": KEY, "LITELLM_MASTER_KEY": MASTER}
    named = {variable["name"] for variable in container["env"] if "valueFrom" in variable}
    assert named == {*secrets, "DATABASE_URL"}
    command = [str(program.environment() / "bin" / "litellm"), "--host=127.0.0.1", *arguments]
    made = Proxy(port, metrics, configuration, json.loads(data["management.json"]))
    with (place / "log").open("w") as log:
        running = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=program.variables(**given, **secrets),
            cwd=place,
        )
        try:
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                path = container[probe]["httpGet"]["path"]
                what = f"{probe} of LiteLLM"
                polling.until(functools.partial(_answers, made, path), what=what, timeout=180)
            yield made
        finally:
            running.terminate()
            running.wait(30)


def _answers(proxy: Proxy, path: str) -> bool:
    try:
        return proxy.ask(path, key=None)[0] == 200
    except OSError:
        return False


def _chat(model: str, **more: typing.Any) -> dict[str, typing.Any]:
    return {"model": model, "messages": [{"role": "user", "content": "hello"}], **more}


def test_the_proxy_lists_the_names_that_its_caller_may_use(proxy: Proxy) -> None:
    """And aliases; none that an alias or LiteLLM itself has is a model of its own."""
    _, _, text = proxy.ask("/v1/models")
    listed = [model["id"] for model in json.loads(text)["data"]]
    assert sorted(listed) == sorted([*NAMES, "best"])


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("fim", "vectors")])
def test_every_name_is_answered_by_its_model(proxy: Proxy, gateway: Gateway, name: str) -> None:
    """With the caller's key, under the same name."""
    code, _, text = proxy.ask("/v1/chat/completions", _chat(name))
    assert (code, json.loads(text)["choices"][0]["message"]["content"]) == (200, f"from {name}")
    assert gateway.asked[-1] == ("/v1/chat/completions", f"Bearer {KEY}", name)


def test_an_alias_is_answered_by_the_model_that_it_stands_for(proxy: Proxy) -> None:
    """An adapter of somebody else has the same name."""
    _, _, text = proxy.ask("/v1/chat/completions", _chat("best"))
    assert json.loads(text)["choices"][0]["message"]["content"] == "from coder"


def test_a_stream_streams_and_tells_its_tokens(proxy: Proxy) -> None:
    """By whom budgets count."""
    code, headers, text = proxy.ask("/v1/chat/completions", _chat("coder", stream=True))
    assert (code, headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line]
    assert lines[-1] == "[DONE]"
    chunks = [json.loads(line) for line in lines[:-1]]
    words = [one["choices"][0]["delta"].get("content") or "" for one in chunks if one["choices"]]
    assert "".join(words) == "one two"
    assert any((one.get("usage") or {}).get("total_tokens") == PROMPT + ANSWER for one in chunks)


def test_vectors_and_completions_are_asked_by_their_own_ways(
    proxy: Proxy, gateway: Gateway
) -> None:
    """Fill-in-the-middle goes by completions, whose prompt nobody wraps."""
    _, _, text = proxy.ask("/v1/embeddings", {"model": "vectors", "input": ["hello"]})
    assert json.loads(text)["data"][0]["embedding"] == [0.5, 0.25]
    _, _, text = proxy.ask("/v1/completions", {"model": "fim", "prompt": "def add(a, b):"})
    assert json.loads(text)["choices"][0]["text"] == "    return a + b"
    assert [asked[0] for asked in gateway.asked[-2:]] == ["/v1/embeddings", "/v1/completions"]


def test_a_name_that_is_not_there_is_refused(proxy: Proxy, gateway: Gateway) -> None:
    """And whoever has no key; the Gateway hears of neither."""
    before = len(gateway.asked)
    code, _, text = proxy.ask("/v1/chat/completions", _chat("gone"))
    assert (code, "gone" in text) == (400, True)
    assert proxy.ask("/v1/chat/completions", _chat("coder"), key=None)[0] == 401
    assert len(gateway.asked) == before


def test_answers_cost_what_the_front_door_says(proxy: Proxy) -> None:
    """Also nothing, for a model that is named as a public one and has no price."""
    costs = {}
    for name in ("coder", "gpt-4o", "claude-haiku"):
        _, headers, _ = proxy.ask("/v1/chat/completions", _chat(name))
        costs[name] = float(headers["x-litellm-response-cost-original"])
    assert costs["coder"] == pytest.approx((PROMPT * 0.5 + ANSWER * 1.5) / 1e6)
    assert (costs["gpt-4o"], costs["claude-haiku"]) == (0, 0)


def test_a_limit_at_the_gateway_shuts_no_model(proxy: Proxy, gateway: Gateway) -> None:
    """It comes back as it is, is not tried again, and the next request is asked at once."""
    gateway.full.add("sql")
    before = len(gateway.asked)
    assert [proxy.ask("/v1/chat/completions", _chat("sql"))[0] for _ in range(4)] == [429] * 4
    assert len(gateway.asked) == before + 4
    gateway.full.clear()
    assert proxy.ask("/v1/chat/completions", _chat("sql"))[0] == 200


def test_metrics_have_a_port_of_their_own(proxy: Proxy) -> None:
    """And need no key there, and one where callers are."""
    proxy.ask("/v1/chat/completions", _chat("coder"))
    apart = dataclasses.replace(proxy, port=proxy.metrics)

    def told() -> bool:
        code, _, text = apart.ask("/metrics", key=None)
        return code == 200 and 'requested_model="coder"' in text

    polling.until(told, what="metrics of LiteLLM", timeout=30)
    assert proxy.ask("/metrics", key=None)[0] == 401


def test_the_management_api_reads_what_it_is_to_be_asked(proxy: Proxy) -> None:
    """By its own models; it ends at the database, which is not there. A wrong body is refused."""
    assert [len(proxy.bodies[kind]) for kind in ("teams", "keys")] == [1, 3]
    for path, kind in (("/team/new", "teams"), ("/key/generate", "keys")):
        for body in proxy.bodies[kind]:
            code, _, text = proxy.ask(path, body)
            assert code == 500, text
            assert "db" in text.lower(), text
        wrong = {**proxy.bodies[kind][0], "max_budget": "twenty"}
        assert proxy.ask(path, wrong)[0] == 422


def test_keys_open_what_their_callers_may_use(proxy: Proxy) -> None:
    """By LiteLLM's own check: a caller who may use nothing has no key for everything."""
    groups = {body["key_alias"].rpartition("/")[2]: body["models"] for body in proxy.bodies["keys"]}
    names = [*NAMES, "best", "all-proxy-models", "gone"]
    allowed = program.allowed(proxy.configuration, groups, names)
    assert sorted(allowed["chat"]) == sorted([*NAMES, "best"])
    assert allowed["nightly"] == ["sql"]
    assert allowed["nobody"] == []
