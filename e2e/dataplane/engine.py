"""A stand-in for vLLM's server: OpenAI's API with the engine's own command line.

It answers for the names of `--served-model-name` and `--lora-modules`, one word for each token
that is asked for. Headers of a request say how slowly: `x-first` has the seconds before the first
byte, `x-pause` those between two chunks. Each answer names the model, the engine's address in
`x-engine` and the length of the body that came, in `x-received`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import typing
from collections.abc import Mapping, Sequence

_KEEP_ALIVE_SECONDS = 5
_STATUS = {200: "OK", 400: "Bad Request", 404: "Not Found"}


class Engine:
    """The HTTP server."""

    def __init__(self, address: str, models: Sequence[str]) -> None:
        """Answer for these models.

        Args:
            address: Its own address.
            models: Names of the model and of its adapters.
        """
        self._address = address
        self._models = models
        self._running = 0
        self._stopping = asyncio.Event()
        self._idle: set[asyncio.StreamWriter] = set()
        self._counts = dict.fromkeys(models, 0)

    async def serve(self, port: int) -> None:
        """Serve until SIGTERM, and then until nothing is under way."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stopping.set)
        server = await asyncio.start_server(self._accepted, self._address, port, limit=1 << 20)
        await self._stopping.wait()
        server.close()
        for writer in tuple(self._idle):
            writer.close()
        while self._running:
            await asyncio.sleep(0.05)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass  # The client went away, or sent nothing more.
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request, and return whether the connection stays."""
        self._idle.add(writer)
        try:
            async with asyncio.timeout(_KEEP_ALIVE_SECONDS):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        finally:
            self._idle.discard(writer)
        self._running += 1
        try:
            line, *rest = head.split("\r\n")
            pairs = (one.partition(":") for one in rest if one)
            headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
            body = await _body(reader, headers)
            await self._answer(line.split(" ")[1].partition("?")[0], headers, body, writer)
            await writer.drain()
        finally:
            self._running -= 1
        return not self._stopping.is_set() and headers.get("connection") != "close"

    async def _answer(
        self, path: str, headers: Mapping[str, str], body: bytes, writer: asyncio.StreamWriter
    ) -> None:
        if path == "/health":
            self._send(writer, 200, b"")
        elif path == "/metrics":
            self._send(writer, 200, self._metrics().encode(), kind="text/plain; version=0.0.4")
        elif path == "/v1/models":
            listed = [{"id": name, "object": "model"} for name in self._models]
            self._send_json(writer, 200, {"object": "list", "data": listed})
        else:
            await self._complete(headers, body, writer)

    async def _complete(
        self, headers: Mapping[str, str], body: bytes, writer: asyncio.StreamWriter
    ) -> None:
        asked = json.loads(body)
        model = asked.get("model")
        if model not in self._models:
            error = {"message": f"The model `{model}` does not exist.", "type": "NotFoundError"}
            self._send_json(writer, 404, {"error": error | {"code": 404}})
            return
        self._counts[model] += 1
        count = asked.get("max_tokens") or 1
        usage = {"prompt_tokens": 7, "completion_tokens": count, "total_tokens": 7 + count}
        await asyncio.sleep(float(headers.get("x-first", 0)))
        common = {"id": f"chatcmpl-{self._running}", "created": 1, "model": model}
        received = {"x-received": str(len(body))}
        if not asked.get("stream"):
            message = {"role": "assistant", "content": " ".join(["word"] * count)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            whole = common | {"object": "chat.completion", "choices": [choice], "usage": usage}
            self._send_json(writer, 200, whole, received)
            return
        writer.write(_head(200, "text/event-stream", self._address, received))
        chunk = common | {"object": "chat.completion.chunk"}
        for number in range(count):
            if number:
                await asyncio.sleep(float(headers.get("x-pause", 0)))
            delta = {"index": 0, "delta": {"content": "word "}, "finish_reason": None}
            writer.write(_event(chunk | {"choices": [delta]}))
            await writer.drain()
        end = {"index": 0, "delta": {}, "finish_reason": "stop"}
        writer.write(_event(chunk | {"choices": [end]}))
        if (asked.get("stream_options") or {}).get("include_usage"):
            writer.write(_event(chunk | {"choices": [], "usage": usage}))
        writer.write(_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")

    def _metrics(self) -> str:
        """The gauges that scalers and pickers read, with their types: others are not read."""
        (model, *_) = self._models
        label = f'{{engine="0",model_name="{model}"}}'
        lines = []
        for name, value in (
            ("num_requests_running", self._running),
            ("num_requests_waiting", 0),
            ("kv_cache_usage_perc", "0.0"),
        ):
            lines += [f"# TYPE vllm:{name} gauge", f"vllm:{name}{label} {value}"]
        return "\n".join(lines) + "\n"

    def _send_json(
        self,
        writer: asyncio.StreamWriter,
        status: int,
        content: object,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._send(writer, status, json.dumps(content).encode(), headers)

    def _send(
        self,
        writer: asyncio.StreamWriter,
        status: int,
        content: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        kind: str = "application/json",
    ) -> None:
        given = {"content-length": str(len(content))} | dict(headers or {})
        writer.write(_head(status, kind, self._address, given) + content)


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    """A request's body, whole or in chunks."""
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    parts = []
    while size := int((await reader.readline()).strip() or b"0", 16):
        parts.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(parts)


def _head(status: int, kind: str, address: str, headers: Mapping[str, str]) -> bytes:
    given: dict[str, typing.Any] = {"content-type": kind, "x-engine": address} | dict(headers)
    if "content-length" not in given:
        given["transfer-encoding"] = "chunked"
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"HTTP/1.1 {status} {_STATUS[status]}\r\n{lines}\r\n".encode()


def _chunk(content: bytes) -> bytes:
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"


def _event(content: object) -> bytes:
    return _chunk(f"data: {json.dumps(content)}\n\n".encode())


def main() -> None:
    """Run as the container's process."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--served-model-name", nargs="+", required=True)
    parser.add_argument("--lora-modules", nargs="+", default=[])
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--address", required=True)
    options, _ = parser.parse_known_args()
    adapters = [one.partition("=")[0] for one in options.lora_modules]
    engine = Engine(options.address, [*options.served_model_name, *adapters])
    asyncio.run(engine.serve(options.port))


if __name__ == "__main__":
    main()
