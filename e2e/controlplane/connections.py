"""Connections to one server that stay open for the next question."""

from __future__ import annotations

import collections
import contextlib
import http.client
import pathlib
import ssl
import threading
import weakref
from collections.abc import Iterator, Mapping

_SECONDS = 60.0
# What a connection gives that the server has left.
_LEFT = (ConnectionError, ssl.SSLError, http.client.HTTPException)


class Connections:
    """Sends requests to one server. Safe to use from several threads.

    A handshake costs the server more than most questions. What reads uses a connection again, and
    is asked once more on a new one where the server has left it. What writes has a connection of
    its own: nobody could tell whether the server had taken it.
    """

    def __init__(self, host: str, port: int, authority: pathlib.Path) -> None:
        """Address a server.

        Args:
            host: Its name, which its certificate holds.
            port: Its port.
            authority: PEM file of the certificate that its own is signed with.
        """
        self._address = (host, port)
        self._authority = authority
        self._context: ssl.SSLContext | None = None
        self._lock = threading.Lock()
        self._idle: collections.deque[http.client.HTTPSConnection] = collections.deque()
        weakref.finalize(self, _close, self._idle)

    def send(
        self, method: str, target: str, payload: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, str]:
        """Send one request, and return the status and the body of the answer.

        Raises:
            OSError, http.client.HTTPException: The server could not be reached, or cut its answer.
        """
        if method != "GET":
            with contextlib.closing(self._open()) as connection:
                return _ask(connection, method, target, payload, headers)
        while self._idle:
            with contextlib.suppress(IndexError, *_LEFT):
                return self._read(self._idle.pop(), target, headers)
        return self._read(self._open(), target, headers)

    @contextlib.contextmanager
    def stream(self, target: str, headers: Mapping[str, str]) -> Iterator[http.client.HTTPResponse]:
        """Ask on a connection of its own, and have the answer while it comes.

        Raises:
            OSError, http.client.HTTPException: As ``send``.
        """
        with contextlib.closing(self._open()) as connection:
            connection.request("GET", target, headers=dict(headers))
            yield connection.getresponse()

    def _read(
        self, connection: http.client.HTTPSConnection, target: str, headers: Mapping[str, str]
    ) -> tuple[int, str]:
        """Read, and keep the connection if the server keeps it."""
        with contextlib.ExitStack() as opened:
            opened.callback(connection.close)
            answer = _ask(connection, "GET", target, None, headers)
            if connection.sock is not None:
                opened.pop_all()
                self._idle.append(connection)
        return answer

    def _open(self) -> http.client.HTTPSConnection:
        host, port = self._address
        return http.client.HTTPSConnection(host, port, context=self._tls(), timeout=_SECONDS)

    def _tls(self) -> ssl.SSLContext:
        """Made at first use, and once: reading an authority takes a while."""
        with self._lock:
            if self._context is None:
                self._context = ssl.create_default_context(cafile=str(self._authority))
            return self._context


def _close(idle: collections.deque[http.client.HTTPSConnection]) -> None:
    while idle:
        idle.pop().close()


def _ask(
    connection: http.client.HTTPSConnection,
    method: str,
    target: str,
    payload: bytes | None,
    headers: Mapping[str, str],
) -> tuple[int, str]:
    connection.request(method, target, payload, dict(headers))
    response = connection.getresponse()
    return response.status, response.read().decode()
