"""Reads a model's small files from the Hugging Face hub, or from a mirror of it."""

import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

_HUB = "https://huggingface.co"
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_TIMEOUT_SECONDS = 20
# The index of a model of a million million parameters has 10 MB.
_LARGEST_BYTES = 64 * 1024 * 1024

_ABSENT = 404
_REFUSED = (401, 403)


class HubError(ValueError):
    """The hub did not give a file."""


def is_repository(name: str) -> bool:
    """Tells whether a name has the form of a repository."""
    return _REPOSITORY.fullmatch(name) is not None


def mapping(repository: str, file: str, revision: str = "main") -> dict[str, Any] | None:
    """Returns the content of a JSON file, or None when the repository has none of this name.

    `HF_ENDPOINT` is a mirror that is asked in the hub's place, and `HF_TOKEN` is sent to it: as
    the hub's own programs do.

    Raises:
        HubError: The hub cannot be reached, refuses, or gives something else.
    """
    return _get("/".join((*_quoted(repository), "resolve", _quote(revision), _quote(file))))


def commit(repository: str, revision: str = "main") -> str:
    """Returns the commit that a branch or tag is at now.

    Raises:
        HubError: The hub cannot be reached, refuses, or does not have the repository.
    """
    path = "/".join(("api/models", *_quoted(repository), "revision", _quote(revision)))
    answer = _get(path)
    if answer is None:
        raise HubError(f"{repository}: the hub has no revision {revision} of this repository")
    sha = answer.get("sha")
    if not isinstance(sha, str) or _COMMIT.fullmatch(sha) is None:
        raise HubError(f"{repository}: the hub names no commit for revision {revision}")
    return sha


def _quote(part: str) -> str:
    return urllib.parse.quote(part, safe="")


def _quoted(repository: str) -> list[str]:
    return [_quote(part) for part in repository.split("/")]


def _get(path: str) -> dict[str, Any] | None:
    """Returns the mapping at a path of the hub, or None where there is nothing.

    Raises:
        HubError: The hub cannot be reached, refuses, or gives something else.
    """
    endpoint = os.environ.get("HF_ENDPOINT") or _HUB
    if urllib.parse.urlsplit(endpoint).scheme not in ("http", "https"):
        raise HubError(f"HF_ENDPOINT is {endpoint!r}: must begin with https:// or http://")
    url = f"{endpoint.rstrip('/')}/{path}"
    request = urllib.request.Request(url, headers={"User-Agent": "inference-service"})  # noqa: S310
    token = os.environ.get("HF_TOKEN")
    if token:
        # A redirect to another host must not carry the token along.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
            content = answer.read(_LARGEST_BYTES + 1)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == _ABSENT:
            return None
        raise HubError(f"{url}: {_meaning(error.code)}") from None
    except (OSError, ValueError) as error:
        raise HubError(f"{url}: {getattr(error, 'reason', None) or error}") from None
    if len(content) > _LARGEST_BYTES:
        raise HubError(f"{url}: larger than {_LARGEST_BYTES // 1024**2} MiB")
    return _mapping(content, url)


def _mapping(content: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        raise HubError(f"{where}: is no JSON") from None
    if not isinstance(value, dict):
        raise HubError(f"{where}: is no mapping")
    return value


def _meaning(code: int) -> str:
    if code in _REFUSED:
        return (
            f"refused ({code}): the repository is private or asks for a licence to be accepted: "
            "accept it, and set HF_TOKEN"
        )
    return f"answered {code}"
