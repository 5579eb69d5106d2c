"""Plain HTTP for the kubelet and the metrics scraper: /healthz, /readyz, /metrics.

A probe of the kubelet's cannot present a client certificate, so the gRPC port cannot be probed.
It answers on the event loop that answers Crossplane: a loop that hangs fails its liveness probe,
which a thread of its own would hide.
"""

import asyncio
import contextlib
from collections.abc import Callable
from http import HTTPStatus

from function.server import metrics

# A probe or a scrape sends a few hundred bytes at once; whoever does not, loses the connection.
READ_SECONDS = 5.0
MAX_REQUEST_BYTES = 16 * 1024
# A probe and a scrape each use one, for some milliseconds. Of more, the one that is open for
# longest is closed: it is silent, and a probe of the kubelet's that just came must be answered.
MOST_CONNECTIONS = 64


class Probes:
    """The HTTP endpoint.

    Attributes:
        ready: Whether /readyz answers 200: true while the function serves, false while it drains.
    """

    def __init__(self, scrape: Callable[[], str]) -> None:
        self.ready = False
        self._scrape = scrape
        self._server: asyncio.Server | None = None
        # By age, the oldest first.
        self._open: dict[asyncio.StreamWriter, None] = {}

    async def start(self, host: str | None, port: int) -> int:
        """Listens and returns the port.

        Args:
            host: Address or name; None for all.
            port: 0 for any free one.

        Raises:
            OSError: The address cannot be listened at.
        """
        self._server = await asyncio.start_server(self._answer, host, port, limit=MAX_REQUEST_BYTES)
        return int(self._server.sockets[0].getsockname()[1])

    def stop(self) -> None:
        """Stops listening."""
        if self._server is not None:
            self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one request and closes the connection."""
        self._open[writer] = None
        if len(self._open) > MOST_CONNECTIONS:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.transport.abort()
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), READ_SECONDS)
            writer.write(self._response(head))
            await asyncio.wait_for(writer.drain(), READ_SECONDS)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, TimeoutError):
            pass  # It went away, was too slow or sent too much: there is nobody to tell.
        finally:
            self._open.pop(writer, None)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _response(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b"\r\n")[0].partition(b" ")
        status, body, kind = self._route(rest.partition(b" ")[0].partition(b"?")[0])
        if method not in (b"GET", b"HEAD"):
            status, body, kind = HTTPStatus.METHOD_NOT_ALLOWED, "only GET\n", "text/plain"
        content = body.encode()
        lines = (
            f"HTTP/1.1 {status.value} {status.phrase}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(content)}",
            "Connection: close",
            "\r\n",
        )
        return "\r\n".join(lines).encode() + (b"" if method == b"HEAD" else content)

    def _route(self, path: bytes) -> tuple[HTTPStatus, str, str]:
        if path == b"/metrics":
            return HTTPStatus.OK, self._scrape(), metrics.CONTENT_TYPE
        if path == b"/healthz":
            return HTTPStatus.OK, "ok\n", "text/plain"
        if path == b"/readyz" and self.ready:
            return HTTPStatus.OK, "ok\n", "text/plain"
        if path == b"/readyz":
            return HTTPStatus.SERVICE_UNAVAILABLE, "not serving\n", "text/plain"
        return HTTPStatus.NOT_FOUND, "try /metrics, /healthz or /readyz\n", "text/plain"
