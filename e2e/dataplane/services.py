"""Names and addresses of Services, for pods on the bridge: a stand-in for CoreDNS and kube-proxy.

A headless name has the addresses of the ready endpoints. Another Service's name has an address of
this machine at which a relay listens while an endpoint is ready: connections are refused while none
is, as kube-proxy does it, and stay with the pod that they were given.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import itertools
import struct
import threading
import typing
from collections.abc import Coroutine, Mapping, Sequence

from e2e.controlplane import api
from e2e.dataplane import network

_A = 1
_NO_SUCH_NAME = 3
# The life of a record, as CoreDNS gives it by default.
_RECORD_SECONDS = 5
_LOOK_SECONDS = 0.5
_DOMAIN = "cluster.local"
_CHUNK = 1 << 16
Endpoint = tuple[str, int]


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction to its end."""
    with contextlib.suppress(OSError, RuntimeError):
        while part := await reader.read(_CHUNK):
            writer.write(part)
            await writer.drain()
        writer.write_eof()


class _Relay:
    """A port of a Service: connections go to one of its endpoints in turn."""

    def __init__(self, address: str, port: int) -> None:
        self._place = (address, port)
        self._server: asyncio.Server | None = None
        self._turns = itertools.count()
        self._endpoints: Sequence[Endpoint] = ()

    async def move(self, endpoints: Sequence[Endpoint]) -> None:
        """Have these endpoints from now on."""
        self._endpoints = endpoints
        if endpoints and self._server is None:
            self._server = await asyncio.start_server(self._accepted, *self._place)
        elif not endpoints and self._server is not None:
            self._server.close()
            self._server = None

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        endpoints = self._endpoints
        with contextlib.closing(writer):
            if not endpoints:
                return
            chosen = endpoints[next(self._turns) % len(endpoints)]
            with contextlib.suppress(OSError):
                there = await asyncio.open_connection(*chosen)
                with contextlib.closing(there[1]):
                    await asyncio.gather(_copy(reader, there[1]), _copy(there[0], writer))


class _Names(asyncio.DatagramProtocol):
    """DNS (RFC 1035) with A records."""

    def __init__(self, addresses: Mapping[str, Sequence[str]]) -> None:
        self._addresses = addresses
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = typing.cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | typing.Any, int]) -> None:
        if self._transport is not None:
            self._transport.sendto(self._answer(data), addr)

    def _answer(self, query: bytes) -> bytes:
        labels, at = [], 12
        while length := query[at]:
            labels.append(query[at + 1 : at + 1 + length].decode().lower())
            at += 1 + length
        (kind,) = struct.unpack_from(">H", query, at + 1)
        name = ".".join(labels)
        addresses = self._addresses.get(name, ()) if kind == _A else ()
        # Flags: an authoritative answer, recursion desired and available. The name of each record
        # is a pointer to the question.
        flags = 0x8580 | (0 if name in self._addresses else _NO_SUCH_NAME)
        records = b"".join(
            struct.pack(">HHHIH", 0xC00C, _A, 1, _RECORD_SECONDS, 4)
            + ipaddress.IPv4Address(one).packed
            for one in addresses
        )
        head = query[:2] + struct.pack(">HHHHH", flags, 1, len(addresses), 0, 0)
        return head + query[12 : at + 5] + records


class Services:
    """Follows the Services and EndpointSlices of a control plane.

    Attributes:
        resolver: The address of the DNS server; its port is 53.
        api_server: Host and port of the API server for pods; its certificate has that name.
    """

    def __init__(self, admin: api.Client, place: network.Network, api_port: int) -> None:
        """Describe it.

        Args:
            admin: The API server.
            place: Where the pods are.
            api_port: The API server's port on the loopback address.
        """
        self._admin = admin
        self._place = place
        self._api_port = api_port
        self.resolver = place.outside
        self.api_server = ("kubernetes.default.svc", api_port)
        names = (self.api_server[0], f"{self.api_server[0]}.{_DOMAIN}")
        self._fixed = dict.fromkeys(names, (place.outside,))
        self._addresses: dict[str, Sequence[str]] = dict(self._fixed)
        self._own: dict[tuple[str, str], str] = {}
        self._relays: dict[Endpoint, _Relay] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="services", daemon=True)
        self._transports: list[asyncio.BaseTransport] = []
        self._following: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Answer, and pass connections to the API server on.

        Raises:
            OSError: An address is taken.
        """
        self._thread.start()
        self._await(self._start())

    def _await(self, work: Coroutine[typing.Any, typing.Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _start(self) -> None:
        names, _ = await self._loop.create_datagram_endpoint(
            lambda: _Names(self._addresses), local_addr=(self.resolver, 53)
        )
        self._transports.append(names)
        server = _Relay(self._place.outside, self._api_port)
        await server.move([("127.0.0.1", self._api_port)])
        self._following = self._loop.create_task(self._follow())

    def stop(self) -> None:
        """Answer no more."""
        self._await(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        """End what this loop still does, connections among it."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for transport in self._transports:
            transport.close()

    def resolv_conf(self, namespace: str) -> str:
        """What a pod of a namespace has in /etc/resolv.conf."""
        search = f"{namespace}.svc.{_DOMAIN} svc.{_DOMAIN} {_DOMAIN}"
        return f"nameserver {self.resolver}\nsearch {search}\noptions ndots:5\n"

    def address(self, service: api.Ref) -> str:
        """The address of a Service that is not headless; it is known here a moment later.

        Raises:
            KeyError: It is not.
        """
        return self._own[service.namespace or "", service.name]

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(api.ApiError, *api.UNREACHABLE):
                items = await asyncio.to_thread(self._look)
                await self._update(*items)
            await asyncio.sleep(_LOOK_SECONDS)

    def _look(self) -> tuple[list[api.Object], list[api.Object]]:
        return (
            self._admin.objects("v1", "Service"),
            self._admin.objects("discovery.k8s.io/v1", "EndpointSlice"),
        )

    async def _update(self, services: list[api.Object], slices: list[api.Object]) -> None:
        addresses: dict[str, Sequence[str]] = dict(self._fixed)
        relays: dict[Endpoint, Sequence[Endpoint]] = {}
        behind: dict[tuple[str, str], list[api.Object]] = {}
        for item in slices:
            service = item["metadata"].get("labels", {}).get("kubernetes.io/service-name", "")
            behind.setdefault((item["metadata"]["namespace"], service), []).append(item)
        for service in services:
            key = (service["metadata"]["namespace"], service["metadata"]["name"])
            if key == ("default", "kubernetes") or service["spec"].get("type") == "ExternalName":
                continue
            ready = behind.get(key, [])
            if service["spec"].get("clusterIP") == "None":
                answer = sorted({host for item in ready for host in _ready(item)})
            else:
                if key not in self._own:
                    self._own[key] = self._place.service_address()
                answer = [self._own[key]]
                for port in service["spec"]["ports"]:
                    relays[self._own[key], port["port"]] = _endpoints(ready, port)
            for form in (f"{key[1]}.{key[0]}.svc.{_DOMAIN}", f"{key[1]}.{key[0]}.svc"):
                addresses[form] = answer
        self._addresses.clear()
        self._addresses.update(addresses)
        for place in {*self._relays, *relays}:
            relay = self._relays.setdefault(place, _Relay(*place))
            await relay.move(relays.get(place, ()))


def _ready(item: api.Object) -> list[str]:
    """The addresses of the ready endpoints of a slice."""
    return [
        str(endpoint["addresses"][0])
        for endpoint in item.get("endpoints") or []
        if endpoint.get("conditions", {}).get("ready", True)
    ]


def _endpoints(slices: Sequence[api.Object], port: api.Object) -> list[Endpoint]:
    """The ready endpoints of a Service's port."""
    return [
        (host, int(own["port"]))
        for item in slices
        for own in item.get("ports") or []
        if own.get("name", "") == port.get("name", "")
        for host in _ready(item)
    ]
