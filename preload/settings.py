"""What the environment says besides the plan."""

import dataclasses
import ipaddress
import math
import pathlib
import re
import urllib.parse
from collections.abc import Mapping, MutableMapping

from preload import documents, exits

DEFAULTS = {
    # Xet transfers stall half-way through a shard on some networks, and keep state outside the
    # volume; transfers here are plain HTTP anyway.
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DOWNLOAD_TIMEOUT": "120",
    "HF_HUB_ETAG_TIMEOUT": "60",
    # The root file system is read-only and the uid has no entry in passwd, so nothing may be
    # derived from a home directory.
    "HF_HOME": "/tmp/huggingface",  # noqa: S108 - an emptyDir, and nothing is kept there
}
"""Set where absent, before huggingface_hub is imported: it reads them at import time."""


_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""Names of the token, in the order in which they are looked at; the second is the old one."""

MOST_CONNECTIONS = 64

_LARGEST_TOKEN = 4096
"""Bytes; the hub's have 37."""

_READ = {
    *DEFAULTS,
    *_TOKENS,
    "HF_ENDPOINT",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "PATH",
    "PRELOAD_CONNECTIONS",
    "PRELOAD_LEASE_SECONDS",
    "PRELOAD_PLAN",
    "PRELOAD_PRIVATE_NETWORKS",
    "PRELOAD_RETRY_SECONDS",
    "PRELOAD_SECRETS_DIRECTORY",
    "PRELOAD_SECRETS_SECONDS",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERMINATION_LOG",
}
"""Every variable that means something to this program or to its libraries."""


def isolate(environment: MutableMapping[str, str]) -> None:
    """Remove every variable that is not among those that are meant.

    Libraries read many more: another proxy in small letters, a file for the keys of TLS, a token's
    path. What is not set on purpose shall do nothing.
    """
    for name in set(environment) - _READ:
        del environment[name]


def set_defaults(environment: MutableMapping[str, str]) -> None:
    """Fill `DEFAULTS` in where the environment has no value of its own."""
    for name, value in DEFAULTS.items():
        environment.setdefault(name, value)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Where the hub is, who asks, and for how long to insist. Times are seconds."""

    endpoint: str = "https://huggingface.co"
    token: str | None = None
    download_timeout: float = 120.0
    """Longest silence inside a transfer."""
    metadata_timeout: float = 60.0
    retry_seconds: float = 900.0
    """How long to go on without one new byte or answer."""
    first_wait: float = 1.0
    """Pause before the first retry; it doubles up to a minute."""
    lease_seconds: float = 30.0
    """How long a lease must stand still before its holder counts as dead (`lease`)."""
    private_networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    """Networks that are not public, which redirects may lead to (`redirects`)."""
    token_directory: pathlib.Path | None = None
    """Where Secrets that may hold the token appear, a directory for each (`token_below`)."""
    token_seconds: float = 300.0
    """How long to wait there for a token that the hub asks for; a kubelet takes up to 90."""
    report_seconds: float = 10.0
    """Pause between two progress lines of the log."""
    connections: int = 8
    """The most pieces of files that are fetched at once."""
    termination_log: str = "/dev/termination-log"


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name, "").strip()
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise exits.PreloadError(
            exits.Exit.PLAN_INVALID, f"{name} must be a positive number of seconds, not {text!r}"
        )
    return value


def _connections(environment: Mapping[str, str]) -> int:
    text = environment.get("PRELOAD_CONNECTIONS", "").strip()
    if not text:
        return Settings.connections
    if not re.fullmatch(r"[0-9]{1,2}", text) or not 1 <= int(text) <= MOST_CONNECTIONS:
        raise exits.PreloadError(
            exits.Exit.PLAN_INVALID,
            f"PRELOAD_CONNECTIONS must be a number from 1 to {MOST_CONNECTIONS}, not {text!r}",
        )
    return int(text)


def _checked(token: str) -> str | None:
    # A Secret made with `echo` ends in a newline, which is no part of the token.
    token = token.strip()
    if token and not re.fullmatch(r"[\x21-\x7e]+", token):
        raise exits.PreloadError(
            exits.Exit.UNAUTHORIZED,
            "HF_TOKEN holds characters that no token has (white space inside, or not ASCII): "
            "check the Secret.",
        )
    return token or None


def token_below(directory: pathlib.Path) -> str | None:
    """Return the token of the first Secret that has one, or None.

    Args:
        directory: One directory for each Secret, in the order of their names, with its keys as
            files.

    Raises:
        exits.PreloadError: It is none.
    """
    for name in _TOKENS:
        for path in sorted(directory.glob(f"*/{name}")):
            try:
                # The kubelet's files are links to where it swaps them whole.
                content = documents.head(path, _LARGEST_TOKEN, follow=True)
            except OSError:
                continue
            token = _checked(content.decode("ascii", "replace"))
            if token is not None:
                return token
    return None


def _token(environment: Mapping[str, str], directory: pathlib.Path | None) -> str | None:
    named = next((text for name in _TOKENS if (text := environment.get(name, "").strip())), "")
    token = _checked(named)
    return token_below(directory) if token is None and directory is not None else token


def _endpoint(environment: Mapping[str, str]) -> str:
    """Return the endpoint in one spelling: manifests compare it."""
    endpoint = environment.get("HF_ENDPOINT", "").strip().rstrip("/") or Settings.endpoint
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", endpoint, re.IGNORECASE):
        raise exits.PreloadError(
            exits.Exit.PLAN_INVALID, f"HF_ENDPOINT must be an http or https URL, not {endpoint!r}"
        )
    parts = urllib.parse.urlsplit(endpoint)
    host = parts.netloc.lower().removesuffix(":443" if parts.scheme == "https" else ":80")
    return f"{parts.scheme}://{host}{parts.path}"


def _networks(
    environment: Mapping[str, str],
) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    listed = environment.get("PRELOAD_PRIVATE_NETWORKS", "").replace(",", " ").split()
    try:
        return tuple(ipaddress.ip_network(text, strict=False) for text in listed)
    except ValueError as error:
        raise exits.PreloadError(
            exits.Exit.PLAN_INVALID,
            f"PRELOAD_PRIVATE_NETWORKS (hub.egressCidrs of the settings): {error}",
        ) from error


def of_environment(environment: Mapping[str, str]) -> Settings:
    """Read the settings.

    Raises:
        exits.PreloadError: A number cannot be read, or the token cannot be one.
    """
    text = environment.get("PRELOAD_SECRETS_DIRECTORY", "").strip()
    directory = pathlib.Path(text) if text else None
    return Settings(
        endpoint=_endpoint(environment),
        token=_token(environment, directory),
        private_networks=_networks(environment),
        token_directory=directory,
        token_seconds=_seconds(environment, "PRELOAD_SECRETS_SECONDS", 300.0),
        download_timeout=_seconds(environment, "HF_HUB_DOWNLOAD_TIMEOUT", 120.0),
        metadata_timeout=_seconds(environment, "HF_HUB_ETAG_TIMEOUT", 60.0),
        retry_seconds=_seconds(environment, "PRELOAD_RETRY_SECONDS", 900.0),
        connections=_connections(environment),
        lease_seconds=_seconds(environment, "PRELOAD_LEASE_SECONDS", 30.0),
        termination_log=environment.get("TERMINATION_LOG") or Settings.termination_log,
    )
