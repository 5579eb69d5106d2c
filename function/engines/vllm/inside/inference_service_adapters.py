"""Keeps the adapters of a running vLLM as a file lists them, and nobody else may.

vLLM loads adapters at run time by two endpoints, which one variable opens to everybody who reaches
the port, with any path. This middleware (`--middleware`, which requests meet before vLLM's own)
answers 404 there, and asks them itself: for each name of the file, with the directory that the file
gives it. The file comes from a ConfigMap, which a kubelet writes anew in a pod that runs.

A pod is not healthy before it has tried each adapter once, so that one that is ready serves them.
"""

import asyncio
import json
import os
import re
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

LIST = "INFERENCE_SERVICE_ADAPTERS"
LOAD, UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"
# vLLM's own two, and those that SageMaker's standard adds for the same handlers.
_CLOSED = re.compile(r"lora_adapter|/adapters(/|$)")
# Where a Job verifies adapters, whatever the file says.
_VERIFIED = re.compile(r"/models/adapter-[0-9a-f]{16}/weights")
_SECONDS = 5.0
# Looks at the file until an adapter that was refused is tried again.
_AGAIN = 12
_OK, _NOT_FOUND, _UNAVAILABLE = 200, 404, 503
# No answer at all.
_NONE = 0


class Adapters:
    """The middleware."""

    def __init__(self, app: App, seconds: float = _SECONDS) -> None:
        """Takes the app that is asked behind it, and the pause between two looks at the file."""
        self._app = app
        self._seconds = seconds
        self._served: Message = {}
        self._loaded: dict[str, str] = {}
        self._refused: dict[tuple[str, str], float] = {}
        self._told_last = ""
        self._keeper: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers a request, or passes it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._keeper is None:
            # What the server and the app tell every request of themselves.
            self._served = {key: scope[key] for key in ("app", "state") if key in scope}
            self._keeper = asyncio.create_task(self._keep())
        path = str(scope["path"])
        if _CLOSED.search(path):
            await _answer(send, _NOT_FOUND, "adapters are loaded as the claim lists them")
        elif path.endswith("/health") and not self._tried.is_set():
            await _answer(send, _UNAVAILABLE, "adapters are being loaded")
        else:
            await self._app(scope, receive, send)

    async def _keep(self) -> None:
        while True:
            try:
                await self._follow(_listed())
            except Exception as error:  # The engine serves on, whatever it is.
                self._tell(f"adapters cannot be followed: {error!r}")
            self._tried.set()
            await asyncio.sleep(self._seconds)

    async def _follow(self, listed: dict[str, str]) -> None:
        """Unloads what the file has no more, or elsewhere, and loads what it has.

        What the engine makes of one adapter keeps no other back.
        """
        for name in [name for name in self._loaded if self._loaded[name] != listed.get(name)]:
            status, words = await self._answered(UNLOAD, {"lora_name": name})
            # After any other answer the engine may have it still, and would refuse the next one.
            if status in (_OK, _NOT_FOUND):
                del self._loaded[name]
            else:
                self._tell(f"adapter {name} cannot be unloaded: {status} {words}")
        now = asyncio.get_running_loop().time()
        for name, path in listed.items():
            if name in self._loaded or self._refused.get((name, path), 0) > now:
                continue
            status, words = await self._answered(LOAD, {"lora_name": name, "lora_path": path})
            if status == _OK:
                self._loaded[name] = path
            else:
                # Each try reads all of its files.
                self._refused[name, path] = now + _AGAIN * self._seconds
                self._tell(f"adapter {name} cannot be loaded: {status} {words}")
            if status == _NONE:
                # Nobody knows how far it came: it is unloaded before it is tried again.
                self._loaded[name] = ""

    def _tell(self, words: str) -> None:
        """Tells something that was not told last."""
        if words != self._told_last:
            self._told_last = words
            print(f"inference-service: {words}", file=sys.stderr, flush=True)

    async def _answered(self, path: str, body: dict[str, str]) -> tuple[int, str]:
        """Returns what the app answers, or that it gave none."""
        try:
            return await self._ask(path, body)
        except Exception as error:
            return _NONE, repr(error)

    async def _ask(self, path: str, body: dict[str, str]) -> tuple[int, str]:
        """Asks the app itself, as a caller of its own would."""
        content = json.dumps(body).encode()
        headers = [
            (b"host", b"localhost"),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
        ]
        if key := os.environ.get("VLLM_API_KEY"):
            headers.append((b"authorization", f"Bearer {key}".encode()))
        scope: Message = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 0),
            "server": ("127.0.0.1", 0),
            **{key: value if key == "app" else {**value} for key, value in self._served.items()},
        }
        status, words = 0, b""
        given: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

        async def receive() -> Message:
            if given:
                return given.pop()
            await asyncio.Event().wait()  # A caller that stays.
            raise AssertionError

        async def send(message: Message) -> None:
            nonlocal status, words
            status = int(message.get("status", status))
            words += message.get("body", b"")

        await self._app(scope, receive, send)
        return status, words.decode(errors="replace")[:500]


def _listed() -> dict[str, str]:
    """Returns the directory of each adapter by name, as the file has it now."""
    try:
        with open(os.environ[LIST], encoding="utf-8") as file:
            read = json.load(file)
    except FileNotFoundError:
        return {}
    return {name: path for name, path in read.items() if _VERIFIED.fullmatch(path)}


async def _answer(send: Send, status: int, words: str) -> None:
    content = json.dumps({"error": {"message": words, "code": status}}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
