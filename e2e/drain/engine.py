"""A stand-in for vLLM that takes the engine's command line and stops as measured engines stop.

vLLM 0.25.1 was measured on one H200 with 48 requests in flight (32 running, 16 waiting), and on the
CPU build. vLLM 0.32.0 was measured on the CPU build; 0.33.0 behaves like 0.32.0. Without
`--shutdown-timeout` the requests in flight hang, the engine refuses connections, and the process
lives until SIGKILL. With `--shutdown-timeout` all requests in flight finish, the waiting ones too,
and the process ends with status 0 some seconds after the last request. A request that takes longer
than the timeout hangs. While the engine drains, 0.25.1 refuses connections from the first moment
on; 0.32 accepts new requests, answers them with 500, and answers /health with 200. Both versions
ignore the signal during their start.

uvicorn keeps a connection for the next request: for five seconds, or until uvicorn shuts down. At
the shutdown uvicorn closes connections without a request at once, and the other connections after
their answer (uvicorn/server.py, shutdown; vllm/envs.py, VLLM_HTTP_TIMEOUT_KEEP_ALIVE).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import typing
from collections.abc import Sequence

if typing.TYPE_CHECKING:  # The process itself starts many times, and needs none of it.
    from e2e.drain import kubelet

# The last minor version that refuses connections while it drains, and a later one that does not.
REFUSES, ANSWERS = "0.25.1", "0.32"
VERSIONS = (REFUSES, ANSWERS)

# Seconds between two tokens of a request, and from the last request to the exit.
TOKEN_SECONDS = 3.0
EXIT_SECONDS = 3.0
# Seconds for which a connection without a request stays open.
KEEP_ALIVE_SECONDS = 5.0


def like(version: str, *, speed: float, start_seconds: float) -> kubelet.Command:
    """The command by which a kubelet starts the stand-in.

    Args:
        version: One of ``VERSIONS``.
        speed: By what all durations are divided.
        start_seconds: Until the first connection is accepted.
    """

    def command(pod: kubelet.Pod) -> list[str]:
        own = [f"--like={version}", f"--speed={speed}", f"--start-seconds={start_seconds}"]
        own += [f"--host={pod.address}", f"--port={pod.port}"]
        return [sys.executable, "-m", __name__, *own, "--", *pod.container["args"]]

    return command


class Engine:
    """The engine's HTTP server."""

    def __init__(self, version: str, arguments: Sequence[str], *, speed: float) -> None:
        """Read the command line.

        Args:
            version: One of ``VERSIONS``.
            arguments: The container's arguments, for the entry point of the engine's image.
            speed: Divisor of all durations.
        """
        parser = argparse.ArgumentParser(allow_abbrev=False)
        parser.add_argument("--shutdown-timeout", type=float, default=0)
        parser.add_argument("--max-num-seqs", type=int, default=256)
        options, _ = parser.parse_known_args(arguments)
        self._version = version
        self._timeout = options.shutdown_timeout / speed
        self._speed = speed
        self._batch = asyncio.Semaphore(options.max_num_seqs)
        self._in_flight = 0
        self._draining = False
        self._frozen = asyncio.Event()
        self._closing = False
        self._idle: set[asyncio.StreamWriter] = set()

    async def serve(self, host: str, port: int, start_seconds: float) -> None:
        """Start, serve until SIGTERM, drain, and return when the process may exit.

        Args:
            host: The address to listen on.
            port: The port to listen on.
            start_seconds: Seconds until the engine accepts connections.
        """
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, lambda: None)
        await asyncio.sleep(start_seconds / self._speed)
        stopping = asyncio.Event()
        server = await asyncio.start_server(self._accepted, host, port, backlog=512)
        loop.add_signal_handler(signal.SIGTERM, stopping.set)
        await stopping.wait()
        self._draining = True
        if self._version == REFUSES or not self._timeout:
            self._close(server)
        await self._drain()
        self._close(server)
        await asyncio.sleep(EXIT_SECONDS / self._speed)

    def _close(self, server: asyncio.Server) -> None:
        """Take no more connections, and end those that wait for a request."""
        self._closing = True
        server.close()
        for writer in tuple(self._idle):
            writer.close()

    async def _drain(self) -> None:
        """Wait for the requests in flight; a request that outlasts the timeout hangs for ever."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout
        while self._in_flight and loop.time() < deadline:
            await asyncio.sleep(0.02)
        self._frozen.set()
        while self._in_flight:
            await asyncio.sleep(0.02)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        patience = None
        try:
            while await self._exchange(reader, writer, patience):
                patience = KEEP_ALIVE_SECONDS / self._speed
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass  # The client closed the connection, or sent no further request.
        finally:
            writer.close()

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        patience: float | None,
    ) -> bool:
        """Answer one request, and return whether the connection stays.

        Args:
            reader: What the client sends.
            writer: Where the answer goes.
            patience: Seconds to wait for the request; ``None`` is for ever.

        Raises:
            OSError, asyncio.IncompleteReadError: The connection ended.
            TimeoutError: No request came.
        """
        self._idle.add(writer)
        try:
            async with asyncio.timeout(patience):
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
        finally:
            self._idle.discard(writer)
        length = 0
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            length = int(value) if name == b"content-length" else length
        body = await reader.readexactly(length)
        await self._answer(head.split(b" ", 2)[1], body, writer)
        await writer.drain()
        return not self._closing and b"\r\nconnection: close\r\n" not in head

    async def _answer(self, path: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        if path == b"/health":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        elif self._draining:
            text = b"cannot schedule new futures after shutdown"
            head = f"HTTP/1.1 500 Internal Server Error\r\nContent-Length: {len(text)}\r\n\r\n"
            writer.write(head.encode() + text)
        else:
            self._in_flight += 1
            try:
                await self._complete(json.loads(body)["max_tokens"], writer)
            finally:
                self._in_flight -= 1

    async def _complete(self, tokens: int, writer: asyncio.StreamWriter) -> None:
        """Stream tokens, once there is room in the batch."""
        async with self._batch:
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n"
            )
            for _ in range(tokens):
                await self._token()
                writer.write(_chunk('data: {"choices": [{"text": "w"}]}\n\n'))
                await writer.drain()
            usage = json.dumps({"choices": [], "usage": {"completion_tokens": tokens}})
            writer.write(_chunk(f"data: {usage}\n\ndata: [DONE]\n\n") + _chunk(""))

    async def _token(self) -> None:
        await asyncio.sleep(TOKEN_SECONDS / self._speed)
        if self._frozen.is_set():
            await asyncio.Event().wait()


def _chunk(text: str) -> bytes:
    """A chunk of a chunked HTTP body; an empty chunk ends the body."""
    return f"{len(text):x}\r\n{text}\r\n".encode()


def main() -> None:
    """Run the stand-in as the container's process."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--like", choices=VERSIONS, required=True)
    parser.add_argument("--speed", type=float, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--start-seconds", type=float, required=True)
    own = sys.argv[1 : sys.argv.index("--")]
    chosen = parser.parse_args(own)
    arguments = sys.argv[len(own) + 2 :]

    async def run() -> None:
        engine = Engine(chosen.like, arguments, speed=chosen.speed)
        await engine.serve(chosen.host, chosen.port, chosen.start_seconds)

    asyncio.run(run())


if __name__ == "__main__":
    main()
