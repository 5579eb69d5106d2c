"""The program that keeps adapters inside of the engine, before endpoints that behave as vLLM's do.

What vLLM does is read in its sources (entrypoints/openai/models/serving.py of 0.32.0); the program
before those themselves is `python -m tools.engine.adapters`.
"""

import asyncio
import collections
import json
import pathlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from function.engines.vllm.inside import inference_service_adapters as program

SQL, LAW, NEW = (f"/models/adapter-{letter * 16}/weights" for letter in "abc")
QUICK = 0.01


class Engine:
    """An app that loads and unloads adapters as vLLM does, and refuses some."""

    def __init__(self) -> None:
        self.loaded: dict[str, str] = {}
        self.too_large: set[str] = set()
        self.raises: set[str] = set()
        self.keeps: set[str] = set()
        self.asked: collections.Counter[tuple[str, str]] = collections.Counter()
        self.keys: set[bytes | None] = set()

    async def __call__(
        self, scope: program.Message, receive: program.Receive, send: program.Send
    ) -> None:
        assert scope["app"] == "vllm", "a handler looks itself up there"
        body = json.loads((await receive())["body"] or b"{}")
        name, path = body.get("lora_name", ""), body.get("lora_path", "")
        status = 200
        if scope["path"] == program.LOAD:
            self.asked[name, path] += 1
            self.keys.add(dict(scope["headers"]).get(b"authorization"))
            status = 400 if name in self.loaded else 500 if path in self.too_large else 200
            if status == 200:
                self.loaded[name] = path
            if path in self.raises:
                raise RuntimeError("the engine is busy")
        elif scope["path"] == program.UNLOAD:
            status = 500 if name in self.keeps else 200 if self.loaded.pop(name, None) else 404
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"said"})


async def ask(app: program.App, path: str, body: Any = None) -> int:
    given = [{"type": "http.request", "body": json.dumps(body or {}).encode()}]
    statuses: list[int] = []

    async def receive() -> program.Message:
        return given.pop()

    async def send(message: program.Message) -> None:
        if "status" in message:
            statuses.append(message["status"])

    scope = {"type": "http", "path": path, "method": "POST", "app": "vllm", "state": {}}
    await app(scope, receive, send)
    (status,) = statuses
    return status


async def rests() -> None:
    await asyncio.sleep(20 * QUICK)


@pytest.fixture
def listing(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    path = tmp_path / "adapters.json"
    monkeypatch.setenv(program.LIST, str(path))
    return path


def told(listing: pathlib.Path, content: dict[str, str] | str) -> None:
    listing.write_text(content if isinstance(content, str) else json.dumps(content))


def run(story: Callable[[Engine, program.App], Awaitable[None]]) -> None:
    async def whole() -> None:
        engine = Engine()
        await story(engine, program.Adapters(engine, QUICK))

    asyncio.run(whole())


def test_it_follows_the_list(listing: pathlib.Path) -> None:
    async def story(engine: Engine, app: program.App) -> None:
        told(listing, {"sql": SQL})
        await ask(app, "/health")
        await rests()
        assert engine.loaded == {"sql": SQL}
        told(listing, {"sql": NEW, "law": LAW})
        await rests()
        assert engine.loaded == {"sql": NEW, "law": LAW}
        told(listing, {})
        await rests()
        assert engine.loaded == {}

    run(story)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/load_lora_adapter",
        "/v1/unload_lora_adapter",
        "/prefix/v1/load_lora_adapter",
        "/adapters",
        "/adapters/sql",
    ],
)
@pytest.mark.decision(48)
def test_nobody_else_loads_or_unloads(path: str, listing: pathlib.Path) -> None:
    async def story(engine: Engine, app: program.App) -> None:
        told(listing, {"sql": SQL})
        await ask(app, "/health")
        await rests()
        assert await ask(app, path, {"lora_name": "sql", "lora_path": "/etc"}) == 404
        assert engine.loaded == {"sql": SQL}
        assert await ask(app, "/v1/chat/completions") == 200

    run(story)


def test_it_is_healthy_once_each_was_tried(listing: pathlib.Path) -> None:
    """One that cannot be loaded keeps nothing else back."""

    async def story(engine: Engine, app: program.App) -> None:
        engine.too_large = {LAW}
        told(listing, {"law": LAW, "sql": SQL})
        assert await ask(app, "/health") == 503
        await rests()
        assert await ask(app, "/health") == 200
        assert engine.loaded == {"sql": SQL}
        tries = engine.asked["law", LAW]
        assert tries < 4, "it is tried again each minute, and not at each look"

    run(story)


def test_an_adapter_without_an_answer_keeps_nothing_else_back(listing: pathlib.Path) -> None:
    async def story(engine: Engine, app: program.App) -> None:
        engine.raises = {LAW}
        told(listing, {"law": LAW, "sql": SQL})
        await ask(app, "/health")
        await rests()
        assert engine.loaded["sql"] == SQL
        told(listing, {"law": NEW, "sql": SQL})
        await rests()
        assert engine.loaded == {"law": NEW, "sql": SQL}, "the engine had it, and nobody knew"

    run(story)


def test_an_adapter_is_gone_when_the_engine_says_so(listing: pathlib.Path) -> None:
    """An engine that still has it refuses the next one of the name for good."""

    async def story(engine: Engine, app: program.App) -> None:
        told(listing, {"law": LAW, "sql": SQL})
        await ask(app, "/health")
        await rests()
        engine.keeps = {"law"}
        told(listing, {"law": NEW})
        await rests()
        assert engine.loaded == {"law": LAW}
        assert engine.asked["law", NEW] == 0, "it is not asked for before the other has gone"
        engine.keeps = set()
        await rests()
        assert engine.loaded == {"law": NEW}

    run(story)


def test_only_what_a_job_verified_is_loaded(listing: pathlib.Path) -> None:
    """Whoever may write ConfigMaps can name another directory, and gets nothing."""

    async def story(engine: Engine, app: program.App) -> None:
        told(listing, {"etc": "/etc", "up": f"{SQL}/../../x", "sql": SQL})
        await ask(app, "/health")
        await rests()
        assert engine.loaded == {"sql": SQL}

    run(story)


@pytest.mark.parametrize("nonsense", ["no json", "[]", '{"sql": 1}'])
def test_nonsense_changes_nothing(nonsense: str, listing: pathlib.Path) -> None:
    async def story(engine: Engine, app: program.App) -> None:
        told(listing, {"sql": SQL})
        await ask(app, "/health")
        await rests()
        told(listing, nonsense)
        await rests()
        assert engine.loaded == {"sql": SQL}
        told(listing, {"law": LAW})
        await rests()
        assert engine.loaded == {"law": LAW}

    run(story)


@pytest.mark.parametrize("key", [None, "secret"])
def test_it_has_the_engines_key(
    key: str | None, listing: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vLLM asks for one below /v1 where the variable is set."""
    if key is not None:
        monkeypatch.setenv("VLLM_API_KEY", key)

    async def story(engine: Engine, app: program.App) -> None:
        told(listing, {"sql": SQL})
        await ask(app, "/health")
        await rests()
        assert engine.keys == {None if key is None else b"Bearer secret"}

    run(story)


def test_without_a_list_it_serves(listing: pathlib.Path) -> None:
    async def story(engine: Engine, app: program.App) -> None:
        assert not listing.exists()
        await ask(app, "/health")
        await rests()
        assert await ask(app, "/health") == 200
        assert engine.loaded == {}

    run(story)
