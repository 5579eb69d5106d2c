"""What the environment says besides the plan."""

import dataclasses
import math
import re
from collections.abc import Mapping, MutableMapping

from preload import exits

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
    report_seconds: float = 10.0
    """Pause between two progress lines of the log."""
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


def _token(environment: Mapping[str, str]) -> str | None:
    # A Secret made with `echo` ends in a newline, which is no part of the token.
    token = (environment.get("HF_TOKEN") or environment.get("HUGGING_FACE_HUB_TOKEN") or "").strip()
    if token and not re.fullmatch(r"[\x21-\x7e]+", token):
        raise exits.PreloadError(
            exits.Exit.UNAUTHORIZED,
            "HF_TOKEN holds characters that no token has (white space inside, or not ASCII): "
            "check the Secret.",
        )
    return token or None


def _endpoint(environment: Mapping[str, str]) -> str:
    endpoint = environment.get("HF_ENDPOINT", "").strip().rstrip("/") or Settings.endpoint
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", endpoint):
        raise exits.PreloadError(
            exits.Exit.PLAN_INVALID, f"HF_ENDPOINT must be an http or https URL, not {endpoint!r}"
        )
    return endpoint


def of_environment(environment: Mapping[str, str]) -> Settings:
    """Read the settings.

    Raises:
        exits.PreloadError: A number cannot be read, or the token cannot be one.
    """
    return Settings(
        endpoint=_endpoint(environment),
        token=_token(environment),
        download_timeout=_seconds(environment, "HF_HUB_DOWNLOAD_TIMEOUT", 120.0),
        metadata_timeout=_seconds(environment, "HF_HUB_ETAG_TIMEOUT", 60.0),
        retry_seconds=_seconds(environment, "PRELOAD_RETRY_SECONDS", 900.0),
        lease_seconds=_seconds(environment, "PRELOAD_LEASE_SECONDS", 30.0),
        termination_log=environment.get("TERMINATION_LOG") or Settings.termination_log,
    )
