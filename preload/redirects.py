"""Where the hub may send a request on to.

The hub answers with redirects: to the content hosts, whose names change, and to a repository's new
name. A hub that is hostile, or something between, answers with one to a service that trusts this
pod's address. So a redirect is followed

- to the endpoint's own host, by name or by address: so a mirror in a private network works;
- to a host whose addresses are all public;
- to an address in the networks that the settings name (`hub.egressCidrs`), except for loopback,
  link-local and metadata addresses, which no redirect reaches;

and never from https to http, to a URL with a user in it, or to another scheme. A name is resolved
before the request is sent, and the address that answered is looked at before anything is read of
it: a name that resolves to something else a moment later gets a request without credentials and
gives nothing back. A name that only the proxy can resolve is left to the proxy.
"""

import ipaddress
import os
import socket
from collections.abc import Sequence

import httpx2

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MOST = 10
"""Redirects in a row."""

_LONGEST = 16384
"""Characters of a URL; signed ones have about 2000."""

_DEFAULT_PORTS = {"http": 80, "https": 443}

_METADATA: tuple[Network, ...] = (
    ipaddress.ip_network("fd00:ec2::/32"),  # AWS, inside of the private range of IPv6
    ipaddress.ip_network("168.63.129.16/32"),  # Azure, inside of the public range
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY")


class RefusedError(Exception):
    """A redirect that is not followed; the message says why, without the URL's secrets."""


class UnresolvedError(Exception):
    """A name that has no address now."""


def origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    """Return scheme, host and port: what a token belongs to."""
    return url.scheme, url.host, url.port or _DEFAULT_PORTS.get(url.scheme)


def _plain(text: str) -> Address:
    """Return an address as the network reaches it: what an IPv6 address embeds counts."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour
        if embedded is not None:
            return embedded
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _addresses(host: str, port: int | None) -> set[Address]:
    """Return the addresses of a host.

    Raises:
        UnresolvedError: It has none.
    """
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return {_plain(str(answer[4][0])) for answer in answers}
    except (OSError, ValueError) as error:
        raise UnresolvedError(f"{host} cannot be resolved: {error}") from error


class Gate:
    """Says of each redirect whether it is followed.

    Args:
        endpoint: The hub.
        networks: Private networks that redirects may lead to.
    """

    def __init__(self, endpoint: str, networks: Sequence[Network]) -> None:
        self._endpoint = httpx2.URL(endpoint)
        self._networks = tuple(networks)

    def is_endpoint(self, url: httpx2.URL) -> bool:
        """Whether a URL is the endpoint's own: the token may go there."""
        return origin(url) == origin(self._endpoint)

    def target(self, current: httpx2.URL, location: str) -> httpx2.URL:
        """Return the URL that a redirect leads to.

        Args:
            current: The URL that answered.
            location: The header of that name.

        Raises:
            RefusedError: It is not followed.
            UnresolvedError: Its name has no address now.
        """
        if not location or len(location) > _LONGEST:
            raise RefusedError("a redirect without a usable address")
        try:
            url = current.join(location)
        except (httpx2.InvalidURL, ValueError) as error:
            raise RefusedError("a redirect without a usable address") from error
        if url.scheme not in _DEFAULT_PORTS or not url.host:
            raise RefusedError(f"a redirect to a URL of the scheme {url.scheme[:20]!r}")
        if current.scheme == "https" and url.scheme == "http":
            raise RefusedError(f"a redirect from https to http ({url.host})")
        if url.userinfo:
            raise RefusedError(f"a redirect with a user in it ({url.host})")
        if url.host != self._endpoint.host:
            self._require_reachable(url)
        return url

    def check_peer(self, url: httpx2.URL, peer: object) -> None:
        """Look at the address that answered, which need not be what the name was a moment ago.

        Args:
            url: What was asked.
            peer: The address of the socket's other end, or None where that is not known.

        Raises:
            RefusedError: Nothing of the answer may be read.
        """
        if url.host == self._endpoint.host or any(os.environ.get(name) for name in _PROXIES):
            return
        if isinstance(peer, tuple) and peer:
            self._require_allowed(url, {_plain(str(peer[0]))})

    def _require_reachable(self, url: httpx2.URL) -> None:
        try:
            addresses = _addresses(url.host, url.port or _DEFAULT_PORTS[url.scheme])
        except UnresolvedError:
            if any(os.environ.get(name) for name in _PROXIES):
                return
            raise
        self._require_allowed(url, addresses)

    def _require_allowed(self, url: httpx2.URL, addresses: set[Address]) -> None:
        inner = sorted(str(address) for address in addresses if not self._is_allowed(address))
        if inner and not addresses <= self._own():
            raise RefusedError(f"a redirect to {url.host}, which is not public ({inner[0]})")

    def _is_allowed(self, address: Address) -> bool:
        if any(address in network for network in _METADATA):
            return False
        if address.is_loopback or address.is_link_local or address.is_multicast:
            return False
        if address.is_unspecified:
            return False
        return address.is_global or any(address in network for network in self._networks)

    def _own(self) -> set[Address]:
        """The endpoint's own addresses."""
        try:
            return _addresses(self._endpoint.host, self._endpoint.port)
        except UnresolvedError:
            return set()
