"""Where the hub may send a request on to."""

import ipaddress
import socket
from typing import Any

import httpx2
import pytest

from preload import redirects

HUB = "https://huggingface.co"
HERE = httpx2.URL("https://huggingface.co/a/b/resolve/main/model.safetensors")
NAMES = {
    "huggingface.co": ["13.32.0.1"],
    "cdn.example.net": ["151.101.1.6", "2a04:4e42::6"],
    "half.example.net": ["151.101.1.6", "10.0.0.7"],
    "store.corp.example": ["10.20.3.4"],
    "mirror.corp.example": ["10.9.9.9"],
    "alias.corp.example": ["10.9.9.9"],
    "metadata.google.internal": ["169.254.169.254"],
    "localhost": ["127.0.0.1", "::1"],
    "dns64.example.net": ["64:ff9b::9765:106"],
    "dns64.corp.example": ["64:ff9b::a9fe:a9fe"],
}


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch) -> None:
    original = socket.getaddrinfo

    def getaddrinfo(host: str, port: int | None, **options: Any) -> list[Any]:
        if host in NAMES:
            return [(0, 0, 0, "", (address, port)) for address in NAMES[host]]
        if host.replace(".", "").isalpha():
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return list(original(host, port, **options))

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    for name in ("HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)


def gate(endpoint: str = HUB, *networks: str) -> redirects.Gate:
    return redirects.Gate(endpoint, [ipaddress.ip_network(text) for text in networks])


@pytest.mark.parametrize(
    "location",
    [
        "https://cdn.example.net/x?Signature=y",
        "https://cdn.example.net:8443/x",
        "https://151.101.1.6/x",
        "https://dns64.example.net/x",
        "/api/models/new/name",
        "//cdn.example.net/x",
    ],
)
def test_public_hosts_and_the_endpoints_own_are_followed(location: str) -> None:
    assert gate().target(HERE, location) == HERE.join(location)


@pytest.mark.parametrize(
    "location",
    [
        "https://169.254.169.254/latest/meta-data/",
        "https://metadata.google.internal/",
        "https://168.63.129.16/",
        "https://[fd00:ec2::254]/",
        "https://100.100.100.200/",
        "https://localhost/",
        "https://127.0.0.1:10250/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://0.0.0.0/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:a9fe:a9fe]/",
        "https://[2002:a9fe:a9fe::]/",
        "https://dns64.corp.example/",
        "https://[fe80::1]/",
        "https://224.0.0.1/",
        "https://10.96.0.1/",
        "https://192.168.1.1/",
        "https://172.16.0.1/",
        "https://[fd12::1]/",
        "https://store.corp.example/",
        "https://half.example.net/",
        "http://cdn.example.net/",
        "http://huggingface.co/a",
        "file:///proc/self/environ",
        "ftp://cdn.example.net/",
        "gopher://cdn.example.net/",
        "https://user:word@cdn.example.net/",
        "",
        "/" + "a" * 20_000,
    ],
)
def test_whatever_is_inside_and_every_other_scheme_is_refused(location: str) -> None:
    with pytest.raises(redirects.RefusedError, match=r"^a redirect"):
        gate().target(HERE, location)


def test_a_mirror_redirects_to_itself_and_to_the_networks_of_the_settings() -> None:
    mirror = httpx2.URL("https://mirror.corp.example/a")
    inside = gate("https://mirror.corp.example", "10.20.0.0/16")
    for location in (
        "/b",
        "https://mirror.corp.example:9000/b",
        "https://alias.corp.example/b",  # the same machine
        "https://store.corp.example/b",
        "https://cdn.example.net/b",
    ):
        inside.target(mirror, location)
    with pytest.raises(redirects.RefusedError):
        inside.target(mirror, "https://10.21.0.1/b")
    with pytest.raises(redirects.RefusedError):
        gate("https://mirror.corp.example").target(mirror, "https://store.corp.example/b")


def test_no_network_of_the_settings_opens_metadata_or_loopback() -> None:
    wide = gate(HUB, "0.0.0.0/0", "::/0")
    wide.target(HERE, "https://10.0.0.1/")
    for host in ("169.254.169.254", "127.0.0.1", "[::1]", "[fd00:ec2::254]", "168.63.129.16"):
        with pytest.raises(redirects.RefusedError):
            wide.target(HERE, f"https://{host}/")


def test_plain_http_stays_plain_or_becomes_https() -> None:
    plain = httpx2.URL("http://mirror.corp.example/a")
    mirror = gate("http://mirror.corp.example")
    mirror.target(plain, "http://cdn.example.net/b")
    mirror.target(plain, "https://cdn.example.net/b")


def test_a_name_that_is_none_is_tried_again_or_left_to_the_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(redirects.UnresolvedError):
        gate().target(HERE, "https://unheard.example/")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.corp.example:3128")
    gate().target(HERE, "https://unheard.example/")
    with pytest.raises(redirects.RefusedError):
        gate().target(HERE, "https://169.254.169.254/")


def test_the_address_that_answered_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that resolves to something else a moment later gives nothing back."""
    url = httpx2.URL("https://cdn.example.net/x")
    gate().check_peer(url, ("151.101.1.6", 443))
    gate().check_peer(url, None)
    gate().check_peer(HERE, ("10.0.0.1", 443))
    with pytest.raises(redirects.RefusedError):
        gate().check_peer(url, ("169.254.169.254", 443))
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.corp.example:3128")
    gate().check_peer(url, ("10.0.0.9", 3128))


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("https://huggingface.co/a", True),
        ("https://huggingface.co:443/a", True),
        ("https://huggingface.co:8443/a", False),
        ("http://huggingface.co/a", False),
        ("https://huggingface.co.example.net/a", False),
        ("https://cdn.example.net/a", False),
    ],
)
def test_the_token_is_for_the_endpoint_alone(url: str, own: bool) -> None:
    assert gate().is_endpoint(httpx2.URL(url)) is own
