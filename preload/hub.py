"""What the hub holds and the bytes of it, with every answer sorted into three kinds.

Something worth another try (`retries.TransientError`), something only a person can mend
(`exits.PreloadError`), or content. huggingface_hub supplies URLs, headers, and the HTTP client with
its proxies and CAs. Its download functions are not used: since 2.x each process downloads to a file
name of its own, opened empty (`_download_to_tmp_and_move` in its `file_download`), so a killed
download starts over, leaves its partial file behind for ever, and falls back to lock files that
survive their holder. Its model API is not used either: it believes an answer of any length, type
and redirect, and what answers is not always the hub.
"""

import contextlib
import dataclasses
import email.utils
import re
import ssl
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import httpx2
import huggingface_hub
from httpcore2._backends import sync
from httpcore2._sync import http11
from huggingface_hub import errors as hub_errors
from huggingface_hub import utils as hub_utils

import preload
from preload import documents, exits, listing, redirects, report, retries, settings

# Documented names of huggingface_hub.utils, which its lazy __init__ does not re-export for typing.
_build_headers: Any = hub_utils.build_hf_headers  # type: ignore[attr-defined]
_parse_ratelimit: Any = hub_utils.parse_ratelimit_headers  # type: ignore[attr-defined]

http11.HTTP11Connection.READ_NUM_BYTES = 1 << 20
"""The client's own 64 KiB take three times the CPU time a byte, nearly all of it in Python."""


def _read_all_records(
    stream: sync.SyncStream, max_bytes: int, timeout: float | None = None
) -> bytes:
    """Read as the client does, and with TLS all records that are there: each has 16 KiB at most.

    What fails after the first record fails again at the next read.
    """
    first = _read_once(stream, max_bytes, timeout)
    connection = stream._sock
    if not first or not isinstance(connection, ssl.SSLSocket):
        return first
    buffer = memoryview(bytearray(max_bytes))
    buffer[: len(first)] = first
    size = len(first)
    connection.settimeout(0)
    with contextlib.suppress(OSError):
        while size < max_bytes and (count := connection.recv_into(buffer[size:])):
            size += count
    return bytes(buffer[:size])


_read_once = sync.SyncStream.read
sync.SyncStream.read = _read_all_records  # type: ignore[assignment,method-assign]

_UNAUTHORIZED = {401, 403, 451}
_NOT_FOUND = {400, 404, 410, 422}
_OVERLOADED = {429, 503}
_REDIRECT = {301, 302, 303, 307, 308}

_LARGEST_ANSWER = 32 << 20
"""Bytes of the API's answer; the hub's own for 10,000 files has 3 MB."""
_LARGEST_ERROR = 64 << 10
"""Bytes of the body of an error or a redirect that are looked at."""
_SLOWEST_ANSWER = 5
"""How many times the longest silence an answer of the API may take as a whole."""
_KEPT = 240.0
"""Seconds for which a signed address is used again; the hub's serve for an hour."""
_MOST_KEPT = 128
"""Signed addresses at once: of more files than are fetched at once with 64 connections."""
_LONGEST_DRAIN = 5.0
"""Seconds for the body of a redirect."""
_TOKEN_LOOKS = 2.0
"""Seconds between two looks for a token that is still to come."""


@dataclasses.dataclass(frozen=True)
class Body:
    """A part of a file: where it begins and its bytes."""

    start: int
    chunks: Iterator[bytes]


def _retry_after(response: httpx2.Response) -> float | None:
    """Seconds to wait by `Retry-After` (seconds or a date) or the hub's `ratelimit` header."""
    # Numbers and dates of others: too long, too large, or no ASCII.
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        limit = _parse_ratelimit(response.headers)
        if limit is not None and limit.remaining == 0:
            return float(limit.reset_in_seconds)
    text = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    return None


def _unauthorized(status: int, subject: str, detail: str) -> exits.PreloadError:
    return exits.PreloadError(
        exits.Exit.UNAUTHORIZED,
        f"{subject}: the hub answered {status}{detail}. Either the repository is gated or private "
        "and HF_TOKEN is missing, wrong or without access to it (accept the licence on its page, "
        "give the Job a token that may read it), or there is no repository of that name: the hub "
        "answers 401 rather than 404 to a caller that it does not know.",
    )


def _words(response: httpx2.Response) -> str:
    """What an error says of itself, in brackets, or nothing."""
    message: object = response.headers.get("X-Error-Message")
    if not message:
        with contextlib.suppress(ValueError, retries.TransientError, exits.PreloadError):
            document = documents.decode(_content(response, "", _LARGEST_ERROR, 5.0))
            message = document.get("error") if isinstance(document, dict) else None
    return f" ({documents.line(message, 500)})" if isinstance(message, str) and message else ""


def _raise(response: httpx2.Response, subject: str, *, redirected: bool) -> NoReturn:
    """Sort an error status into a failure or something to try again."""
    status = response.status_code
    if redirected and status not in (408, 429):
        # A CDN that refuses a signed URL says nothing about the token or the name; the next
        # request gets a new signature.
        raise retries.TransientError(
            f"HTTP {status} by {response.url.host}", overloaded=status in _OVERLOADED
        )
    detail = _words(response)
    if status in _UNAUTHORIZED:
        raise _unauthorized(status, subject, detail)
    if status in _NOT_FOUND:
        raise exits.PreloadError(
            exits.Exit.NOT_FOUND,
            f"{subject}: the hub answered {status}{detail}. Check the repository's name and that "
            "the revision (branch, tag, SHA or refs/pr/N) exists there.",
        )
    raise retries.TransientError(
        f"HTTP {status}{detail}", _retry_after(response), overloaded=status in _OVERLOADED
    )


@contextlib.contextmanager
def _sorted_errors(subject: str) -> Iterator[None]:
    """Translate whatever the client and the library raise. Errors of the volume pass."""
    try:
        yield
    except hub_errors.OfflineModeIsEnabled as error:
        raise exits.PreloadError(
            exits.Exit.HUB_UNAVAILABLE,
            f"{subject}: HF_HUB_OFFLINE is set for this Job, which exists to download: unset it.",
        ) from error
    except redirects.RefusedError as error:
        # Not worth a retry, and no code of its own: each code is a rule in every Job's hash.
        raise exits.PreloadError(
            exits.Exit.HUB_UNAVAILABLE,
            f"{subject}: the hub answered with {error}, which is not followed. If a mirror keeps "
            "its content there, name its network in the settings (hub.egressCidrs); else find out "
            "what answers in the place of the hub.",
        ) from error
    except redirects.UnresolvedError as error:
        raise retries.TransientError(str(error)) from error
    except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL) as error:
        raise retries.TransientError(f"{type(error).__name__}: {error}") from error


def _content(response: httpx2.Response, subject: str, limit: int, seconds: float) -> bytes:
    """Read a body whole, within bounds.

    Raises:
        TransientError: It takes longer than it may.
        exits.PreloadError: It is longer than it may be.
    """
    until = time.monotonic() + seconds
    content = bytearray()
    for chunk in response.iter_bytes():
        content += chunk
        if len(content) > limit:
            raise exits.PreloadError(
                exits.Exit.VERIFICATION_FAILED,
                f"{subject}: an answer of more than {limit} bytes is no list of files; see what "
                "answers at the endpoint (HF_ENDPOINT, proxy).",
            )
        if time.monotonic() > until:
            raise retries.TransientError(f"an answer that takes longer than {seconds:.0f} s")
    return bytes(content)


class Hub:
    """The hub as one caller sees it.

    Args:
        configuration: Endpoint, token and time limits.
        log: Told of retries.
        stopping: Set when nobody waits for answers any more.

    Raises:
        exits.PreloadError: CA files or proxies in the environment cannot be used.
    """

    def __init__(
        self,
        configuration: settings.Settings,
        log: report.Log,
        stopping: threading.Event | None = None,
    ) -> None:
        self._configuration = configuration
        self._log = log
        self._stopping = stopping or threading.Event()
        self._contents: dict[str, tuple[httpx2.URL, float]] = {}
        self._lock = threading.Lock()
        self._token = configuration.token
        self._gate = redirects.Gate(configuration.endpoint, configuration.private_networks)
        try:
            huggingface_hub.get_session()
        except (OSError, ValueError, ImportError) as error:
            raise exits.PreloadError(
                exits.Exit.PLAN_INVALID,
                f"the HTTP client cannot be made from the environment ({error}): check "
                "SSL_CERT_FILE, SSL_CERT_DIR and the proxy variables.",
            ) from error

    def patience(self, pulse: retries.Pulse | None = None) -> retries.Patience:
        """Return a full retry budget, which those that share a pulse refill."""
        given = self._configuration
        return retries.Patience(
            given.retry_seconds,
            given.first_wait,
            self._log,
            self._stopping,
            pulse or retries.Pulse(),
        )

    def snapshot(self, repository: str, revision: str) -> listing.Snapshot:
        """Resolve a revision to its commit and list what is there.

        Raises:
            exits.PreloadError: The hub refuses, knows no such thing, or stays away for longer than
                the budget.
        """
        subject = f"{repository}@{revision}"
        patience = self.patience()
        while True:
            try:
                return self._resolve(repository, revision, subject)
            except retries.TransientError as error:
                patience.wait(error, subject)
            except exits.PreloadError as refusal:
                if refusal.exit_code != exits.Exit.UNAUTHORIZED or not self._token_came(subject):
                    raise

    def _token_came(self, subject: str) -> bool:
        """Wait for the Secrets that may hold the token; False when there is nothing to wait for.

        The pod starts without them, because a Secret need not have a token: most models are public.
        One that an operator makes at the same time as the claim comes a little later.
        """
        directory = self._configuration.token_directory
        if self._token is not None or directory is None:
            return False
        seconds = self._configuration.token_seconds
        self._log("token-wait", level="warning", subject=subject, seconds=seconds)
        until = time.monotonic() + seconds
        while (token := settings.token_below(directory)) is None:
            if time.monotonic() >= until:
                return False
            if self._stopping.wait(min(_TOKEN_LOOKS, seconds / 10)):
                raise exits.Stopped
        self._token = self._log.secret = token
        return True

    def _resolve(self, repository: str, revision: str, subject: str) -> listing.Snapshot:
        name = urllib.parse.quote(revision, safe="")
        url = f"{self._configuration.endpoint}/api/models/{repository}/revision/{name}?blobs=true"
        timeout = self._configuration.metadata_timeout
        with _sorted_errors(subject), self._get(url, subject, {}, timeout) as response:
            content = _content(response, subject, _LARGEST_ANSWER, _SLOWEST_ANSWER * timeout)
        try:
            document = documents.decode(content)
        except ValueError as error:
            raise listing.malformed(type(error).__name__) from error
        return listing.read(repository, document, subject)

    @contextlib.contextmanager
    def body(self, snapshot: listing.Snapshot, path: str, start: int, stop: int) -> Iterator[Body]:
        """Open a part of a file, for the time of the context.

        Args:
            snapshot: The commit.
            path: The file in it.
            start: First byte wanted.
            stop: One past the last byte wanted.

        Yields:
            What the server sends, which begins at `start`, or at 0 if it ignores ranges.

        Raises:
            TransientError: No answer, no useful one, or one that broke off.
            exits.PreloadError: An answer that another try will not change.
        """
        subject = f"{snapshot.repository}@{snapshot.sha}/{path}"
        url = huggingface_hub.hf_hub_url(
            snapshot.repository,
            path,
            revision=snapshot.sha,
            endpoint=self._configuration.endpoint,
        )
        headers = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
        timeout = self._configuration.download_timeout
        with _sorted_errors(subject), self._get(url, subject, headers, timeout) as response:
            if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                # A few bytes of it may unpack to any number.
                raise retries.TransientError("compressed content, which was not asked for")
            yield Body(_first_byte(response, start), response.iter_raw())

    @contextlib.contextmanager
    def _get(
        self, text: str, subject: str, headers: Mapping[str, str], timeout: float
    ) -> Iterator[httpx2.Response]:
        """Ask, and follow the redirects that may be followed; yields a success, unread.

        Of several requests for one file only the first asks the hub, which counts them: the others
        go to the signed address of the content, as long as it serves.
        """
        client = huggingface_hub.get_session()
        url = self._kept(text)
        for _ in range(redirects.MOST + 1):
            request = client.build_request(
                "GET", url, headers=self._headers(url, headers), timeout=timeout
            )
            # Closed with the context: a body that nobody read does not stay in a connection.
            with contextlib.closing(
                client.send(request, stream=True, follow_redirects=False)
            ) as response:
                self._gate.check_peer(url, _peer(response))
                if response.status_code not in _REDIRECT:
                    redirected = url.host != httpx2.URL(text).host
                    if not response.is_success:
                        self._forget(text)
                        _raise(response, subject, redirected=redirected)
                    if redirected:
                        self._keep(text, url)
                    yield response
                    return
                url = self._gate.target(url, response.headers.get("Location", ""))
                _drain(response)
        raise retries.TransientError(f"more than {redirects.MOST} redirects")

    def _kept(self, text: str) -> httpx2.URL:
        """Where the content of a URL was a short time ago, or the URL itself."""
        url, until = self._contents.get(text, (None, 0.0))
        if url is not None and time.monotonic() < until:
            return url
        self._forget(text)
        return httpx2.URL(text)

    def _keep(self, text: str, url: httpx2.URL) -> None:
        with self._lock:
            while len(self._contents) >= _MOST_KEPT:
                del self._contents[next(iter(self._contents))]
            self._contents.setdefault(text, (url, time.monotonic() + _KEPT))

    def _forget(self, text: str) -> None:
        with self._lock:
            self._contents.pop(text, None)

    def _headers(self, url: httpx2.URL, more: Mapping[str, str]) -> dict[str, str]:
        """The headers of a request; the token is for the endpoint alone."""
        return dict(
            _build_headers(
                token=self._token if self._token and self._gate.is_endpoint(url) else False,
                library_name="inference-service-preload",
                library_version=preload.__version__,
                headers=dict(more),
            )
        )


def _peer(response: httpx2.Response) -> object:
    stream = response.extensions.get("network_stream")
    return None if stream is None else stream.get_extra_info("server_addr")


def _drain(response: httpx2.Response) -> None:
    """Read a redirect's body, if it is short: the connection can be used again then."""
    length = response.headers.get("Content-Length", "")
    until = time.monotonic() + _LONGEST_DRAIN
    if re.fullmatch(r"[0-9]{1,5}", length) and int(length) <= _LARGEST_ERROR:
        for _ in response.iter_raw():
            if time.monotonic() > until:
                return


def _first_byte(response: httpx2.Response, start: int) -> int:
    if response.status_code == 200:
        return 0
    content_range = re.match(r"bytes ([0-9]{1,18})-", response.headers.get("Content-Range", ""))
    if response.status_code == 206 and content_range and int(content_range[1]) == start:
        return start
    raise retries.TransientError(
        f"HTTP {response.status_code} without the range that was asked for"
    )
