"""The program that keeps adapters, before vLLM's own endpoints and its own table of adapters.

`python -m tools.engine.adapters VERSION...` tells its story to each version's sources, without
their libraries (see inside.py), and ends with 1 where vLLM answers otherwise than the program is
made for. What loads weights into a GPU is a stand-in.
"""

import argparse
import asyncio
import importlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import types
from collections.abc import Iterator, Sequence
from typing import Any

HERE = pathlib.Path(__file__).resolve()
PROGRAM = HERE.parents[2] / "function" / "engines" / "vllm" / "inside"
SQL, LAW, NEW = (f"/models/adapter-{letter * 16}/weights" for letter in "abc")
QUICK = 0.02
LOAD, UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"


class Loader:
    """Loads every adapter but one, whose rank is too high."""

    def __init__(self) -> None:
        """Is what vLLM's table of adapters asks of an engine."""
        self.model_config = types.SimpleNamespace(model="/models/base", max_model_len=1)
        self.renderer = self.input_processor = None

    async def add_lora(self, request: Any) -> None:
        """Loads an adapter.

        Raises:
            ValueError: Its rank is too high.
        """
        if request.lora_path == LAW:
            raise ValueError("LoRA rank 128 is greater than max_lora_rank 64.")


async def ask(app: Any, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Returns what an app answers."""
    content = b"" if body is None else json.dumps(body).encode()
    given = [{"type": "http.request", "body": content, "more_body": False}]
    status, answered = 0, b""

    async def receive() -> Any:
        return given.pop() if given else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        nonlocal status, answered
        status, answered = message.get("status", status), answered + message.get("body", b"")

    headers = [(b"content-type", b"application/json"), (b"host", b"model")]
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "headers": headers,
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "http_version": "1.1",
        "server": ("model", 8000),
        "client": ("caller", 1),
        "state": {},
    }
    await app(scope, receive, send)
    return status, answered.decode()


def served() -> Any:
    """Returns an app with vLLM's own endpoints of models and adapters."""
    fastapi = importlib.import_module("fastapi")
    room = "vllm.entrypoints"
    models = importlib.import_module(f"{room}.openai.models.serving")
    protocol = importlib.import_module(f"{room}.openai.models.protocol")
    base = protocol.BaseModelPath(name="model", model_path="/models/base")
    app = fastapi.FastAPI()
    app.state.openai_serving_models = models.OpenAIServingModels(Loader(), [base])
    app.include_router(importlib.import_module(f"{room}.openai.models.api_router").router)
    importlib.import_module(f"{room}.serve.lora.api_router").attach_router(app)

    async def healthy() -> dict[str, str]:
        return {}

    app.add_api_route("/health", healthy)
    return app


async def story(listing: pathlib.Path) -> list[str]:
    """Returns where vLLM answers otherwise."""
    program = importlib.import_module("inference_service_adapters")
    open_, app, wrong = served(), served(), list[str]()
    app.add_middleware(program.Adapters, seconds=QUICK)

    def must(holds: bool, words: str) -> None:
        if not holds:
            wrong.append(words)

    async def names() -> list[str]:
        await asyncio.sleep(10 * QUICK)
        _, text = await ask(app, "GET", "/v1/models")
        return [one["id"] for one in json.loads(text)["data"]]

    anything = {"lora_name": "any", "lora_path": "/etc"}
    status, _ = await ask(open_, "POST", LOAD, anything)
    must(status == 200, "the variable opens the endpoint to everybody")
    listing.write_text(json.dumps({"sql": SQL, "law": LAW}))
    must((await ask(app, "GET", "/health"))[0] == 503, "a pod is not healthy at once")
    must(await names() == ["model", "sql"], "the list is loaded, but what vLLM refuses")
    must((await ask(app, "GET", "/health"))[0] == 200, "a pod is healthy once each was tried")
    for path in (LOAD, UNLOAD, "/adapters"):
        status, _ = await ask(app, "POST", path, {"lora_name": "sql", "lora_path": "/etc"})
        must(status == 404, f"{path} is closed")
    listing.write_text(json.dumps({"sql": NEW}))
    must(await names() == ["model", "sql"], "another revision is loaded")
    table = app.state.openai_serving_models.lora_requests
    must(table["sql"].lora_path == NEW, "by its own path")
    listing.write_text("{}")
    must(await names() == ["model"], "what is taken out is unloaded")
    return wrong


def tell(sources: str) -> int:
    """Tells the story to one version's sources, in a process of its own."""
    sys.path[:0] = [str(HERE.parent), str(PROGRAM)]
    importlib.import_module("inside").prepare(pathlib.Path(sources))
    with tempfile.TemporaryDirectory() as directory:
        listing = pathlib.Path(directory) / "adapters.json"
        os.environ |= {
            "INFERENCE_SERVICE_ADAPTERS": str(listing),
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
        }
        wrong = asyncio.run(story(listing))
    print("\n".join(wrong) or "as it is made for")
    return 1 if wrong else 0


def versions(names: Sequence[str]) -> Iterator[int]:
    """Yields the exit code of each version."""
    parsers = importlib.import_module("tools.engine.parsers")
    for name in names:
        print(name, end=": ", flush=True)
        command = [parsers.environment(), HERE, "--sources", parsers.sources(name)]
        yield subprocess.run([str(word) for word in command], check=False).returncode


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.engine.adapters", description=__doc__)
    parser.add_argument("versions", nargs="*")
    parser.add_argument("--sources", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.sources is not None:
        return tell(options.sources)
    return max(versions(options.versions), default=0)


if __name__ == "__main__":
    sys.exit(main())
