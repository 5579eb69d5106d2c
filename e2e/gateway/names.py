"""The cluster's DNS: a server of A records on the loopback address (RFC 1035)."""

from __future__ import annotations

import asyncio
import collections
import ipaddress
import struct
import typing
from collections.abc import Callable, Sequence

from e2e.drain import clock as clocks
from e2e.drain import gateway as gateways

_A = 1
_NO_SUCH_NAME = 3
Source = Callable[[], Sequence[str]]


class Names(asyncio.DatagramProtocol):
    """Answers with the addresses of a second ago, and repeats an answer for the record's life.

    The server gives an empty answer for a name without an address. CoreDNS does the same for a
    headless Service without pods (plugin kubernetes). With `ignore empty_service` CoreDNS answers
    that there is no such name; put the name into ``missing`` for that answer.

    Attributes:
        port: The port of the server.
        asked: How often clients asked for each name and type of record.
        missing: Names for which the server answers that there is no such name.
    """

    def __init__(self, clock: clocks.Clock) -> None:
        """Make a server without names; ``start`` makes the server answer."""
        self._clock = clock
        self._sources: dict[str, Source] = {}
        self._histories: dict[str, collections.deque[tuple[float, tuple[str, ...]]]] = {}
        self._answers: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self._following: asyncio.Task[None] | None = None
        self.port = 0
        self.asked: collections.Counter[tuple[str, int]] = collections.Counter()
        self.missing: set[str] = set()

    def add(self, name: str, source: Source) -> None:
        """Answer for a name from now on."""
        self._sources[name] = source
        self._histories[name] = collections.deque([(self._clock.now(), tuple(source()))])

    async def start(self) -> None:
        """Listen."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        self.port = self._transport.get_extra_info("sockname")[1]
        self._following = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Answer no more."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        if self._transport is not None:
            self._transport.close()

    async def _follow(self) -> None:
        while True:
            now = self._clock.now()
            for name, source in self._sources.items():
                history = self._histories[name]
                history.append((now, tuple(source())))
                while len(history) > 1 and history[1][0] <= now - gateways.WATCH_SECONDS:
                    history.popleft()
            await self._clock.sleep(0.2)

    def _addresses(self, name: str) -> tuple[str, ...]:
        """The addresses of a name; an empty answer lives as long as any other answer."""
        now = self._clock.now()
        until, addresses = self._answers.get(name, (now, ()))
        if until <= now:
            addresses = self._histories[name][0][1]
            self._answers[name] = now + gateways.RECORD_SECONDS, addresses
        return addresses

    def datagram_received(self, data: bytes, addr: tuple[str | typing.Any, int]) -> None:
        """Answer a question."""
        assert self._transport is not None
        self._transport.sendto(self._answer(data), addr)

    def _answer(self, query: bytes) -> bytes:
        labels, at = [], 12
        while length := query[at]:
            labels.append(query[at + 1 : at + 1 + length].decode().lower())
            at += 1 + length
        (kind,) = struct.unpack_from(">H", query, at + 1)
        question, name = query[12 : at + 5], ".".join(labels)
        self.asked[name, kind] += 1
        denied = name in self.missing or name not in self._sources
        addresses = self._addresses(name) if kind == _A and not denied else ()
        life = max(1, round(gateways.RECORD_SECONDS / self._clock.speed))
        # Flags: an authoritative answer, recursion desired and available. The name of each record
        # is a pointer to the question.
        flags = 0x8580 | (_NO_SUCH_NAME if denied else 0)
        records = b"".join(
            struct.pack(">HHHIH", 0xC00C, _A, 1, life, 4) + ipaddress.IPv4Address(one).packed
            for one in addresses
        )
        head = query[:2] + struct.pack(">HHHHH", flags, 1, len(addresses), 0, 0)
        return head + question + records
