"""What the controllers configured a proxy with, as Envoy itself shows it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence

from e2e.controlplane import api
from e2e.machines import containers

# Envoy Gateway's bootstrap has it on the loopback address of the pod.
_ADMINISTRATION = "http://127.0.0.1:19000"
_READ = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=20).read().decode())"
_DURATION = re.compile(r"-?\d+(\.\d+)?s")


def show(proxy: api.Object, path: str) -> str:
    """A page of a proxy's administration.

    Raises:
        subprocess.CalledProcessError: It did not answer.
    """
    network = f"--net=/proc/{containers.process_of(proxy, 'envoy')}/ns/net"
    read = [sys.executable, "-I", "-c", _READ, f"{_ADMINISTRATION}{path}"]
    command = ["nsenter", network, *read]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


def clusters(proxy: api.Object) -> Mapping[str, api.Object]:
    """The clusters that came by xDS, by name."""
    return {
        held["cluster"]["name"]: held["cluster"]
        for dump in _dumps(proxy, "ClustersConfigDump")
        for held in dump.get("dynamic_active_clusters", [])
    }


def routes(proxy: api.Object) -> Sequence[api.Object]:
    """The routes that came by xDS."""
    return [
        route
        for dump in _dumps(proxy, "RoutesConfigDump")
        for held in dump.get("dynamic_route_configs", [])
        for host in held["route_config"].get("virtual_hosts", [])
        for route in host.get("routes", [])
    ]


def _dumps(proxy: api.Object, kind: str) -> Iterator[api.Object]:
    for dump in json.loads(show(proxy, "/config_dump"))["configs"]:
        if dump["@type"].endswith(f".{kind}"):
            yield dump


def differences(expected: object, given: object, place: str = "") -> list[str]:
    """Where a part of Envoy's configuration is missing from another, or is otherwise there.

    Args:
        expected: The part.
        given: What may have more fields.
        place: The part's place, for the answer.
    """
    if isinstance(expected, Mapping) and isinstance(given, Mapping):
        return [
            line
            for key, value in expected.items()
            for line in differences(value, given.get(key), f"{place}.{key}")
        ]
    if isinstance(expected, list) and isinstance(given, list) and len(expected) == len(given):
        return [
            line
            for index, pair in enumerate(zip(expected, given, strict=True))
            for line in differences(*pair, f"{place}[{index}]")
        ]
    if _plain(expected) == _plain(given):
        return []
    return [f"{place}: {expected!r}, but the proxy has {given!r}"]


def _plain(value: object) -> object:
    """A value without what two spellings of it differ in; nothing, false and empty are one."""
    if isinstance(value, str) and _DURATION.fullmatch(value):
        return float(value.removesuffix("s"))
    # Numbers of 64 bits are text in the JSON of protobuf.
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value or None
