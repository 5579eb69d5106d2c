"""What the hub holds and the bytes of it, with every answer sorted into three kinds.

Something worth another try (`TransientError`), something only a person can mend
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
import pathlib
import re
import ssl
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NoReturn

import httpx2
import huggingface_hub
from httpcore2._backends import sync
from httpcore2._sync import http11
from huggingface_hub import errors as hub_errors
from huggingface_hub import utils as hub_utils

import preload
from preload import documents, exits, redirects, report, settings

Algorithm = Literal["sha256", "gitSha1"]

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
_LONGEST_WAIT = 60.0

_LARGEST_ANSWER = 32 << 20
"""Bytes of the API's answer; the hub's own for 10,000 files has 3 MB."""
_LARGEST_ERROR = 64 << 10
"""Bytes of the body of an error or a redirect that are looked at."""
_SLOWEST_ANSWER = 5
"""How many times the longest silence an answer of the API may take as a whole."""
_MOST_FILES = 100_000
_LONGEST_NAME = 255
"""Bytes of a name, and below of a path, that a file system takes."""
_LONGEST_PATH = 1024
_LARGEST_FILE = 1 << 50
_DIGESTS: dict[Algorithm, re.Pattern[str]] = {
    "sha256": re.compile(r"[0-9a-f]{64}"),
    "gitSha1": re.compile(r"[0-9a-f]{40}"),
}
_COMMIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
"""The hub's are 40 hexadecimal digits; a mirror's may be something else that names a path."""
_KEPT = 240.0
"""Seconds for which a signed address is used again; the hub's serve for an hour."""
_MOST_KEPT = 128
"""Signed addresses at once: of more files than are fetched at once with 64 connections."""
_LONGEST_DRAIN = 5.0
"""Seconds for the body of a redirect."""
_TOKEN_LOOKS = 2.0
"""Seconds between two looks for a token that is still to come."""


class TransientError(Exception):
    """An answer that may be another one a little later.

    Args:
        message: What happened, without URLs: those of the CDN carry signatures.
        retry_after: Seconds that the hub asked to wait, if it did.
        overloaded: Whether it has more to do than it can.
    """

    def __init__(
        self, message: str, retry_after: float | None = None, *, overloaded: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.overloaded = overloaded


@dataclasses.dataclass(frozen=True)
class File:
    """A file as the hub describes it: SHA-256 for LFS objects, git's blob SHA-1 for others."""

    path: str
    size: int
    algorithm: Algorithm
    digest: str


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """All files of a repository at one commit."""

    repository: str
    sha: str
    files: tuple[File, ...]


@dataclasses.dataclass(frozen=True)
class Body:
    """A part of a file: where it begins and its bytes."""

    start: int
    chunks: Iterator[bytes]


class Pulse:
    """When something new last arrived for any of those that share it."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def beat(self) -> None:
        """Something new arrived."""
        self.last = time.monotonic()


class Patience:
    """The retry budget: how long to go on without progress, and how long to pause.

    Args:
        seconds: The budget; `progress` refills it, for all that share the pulse.
        first_wait: The first pause in seconds. Each further one is twice as long, up to a minute.
        log: Told of each pause.
        stopping: Set when nobody waits for the answer any more.
        pulse: Who waits for a turn that others have is not without progress.
    """

    def __init__(
        self,
        seconds: float,
        first_wait: float,
        log: report.Log,
        stopping: threading.Event,
        pulse: Pulse,
    ) -> None:
        self._seconds = seconds
        self._first_wait = first_wait
        self._log = log
        self._stopping = stopping
        self._pulse = pulse
        self._began = time.monotonic()
        self._tries = 0

    def progress(self) -> None:
        """Something new arrived."""
        self._pulse.beat()
        self._tries = 0

    def wait(self, error: TransientError, subject: str) -> None:
        """Pause before another try, as `pause` and `sleep` do."""
        self.sleep(self.pause(error, subject))

    def pause(self, error: TransientError, subject: str) -> float:
        """Return the seconds to wait before another try.

        Raises:
            exits.PreloadError: With `HUB_UNAVAILABLE`, when the budget is spent or would be by a
                wait that the hub itself asks for.
            exits.Stopped: Nobody waits any more.
        """
        if self._stopping.is_set():
            raise exits.Stopped
        pause = min(self._first_wait * 2.0 ** min(self._tries, 16), _LONGEST_WAIT)
        if error.retry_after is not None:
            # One second more: the hub rounds down.
            pause = max(pause, error.retry_after + 1 if error.retry_after else 0)
        since = max(self._began, self._pulse.last)
        left = since + self._seconds - time.monotonic()
        if left <= 0 or (error.retry_after is not None and pause > left):
            raise exits.PreloadError(
                exits.Exit.HUB_UNAVAILABLE,
                f"{subject}: no progress for {self._seconds:.0f} s ({self._tries + 1} tries); the "
                f"last answer: {error}. Check the hub's status, HF_ENDPOINT, proxy, CA and the "
                "Job's network policy; what was downloaded stays and the next run continues.",
            )
        self._tries += 1
        pause = min(pause, left)
        self._log("retry", level="warning", subject=subject, error=str(error), wait=round(pause, 1))
        return pause

    def sleep(self, seconds: float) -> None:
        """Wait.

        Raises:
            exits.Stopped: Nobody waits any more.
        """
        if self._stopping.wait(seconds):
            raise exits.Stopped


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
        with contextlib.suppress(ValueError, TransientError, exits.PreloadError):
            document = documents.decode(_content(response, "", _LARGEST_ERROR, 5.0))
            message = document.get("error") if isinstance(document, dict) else None
    return f" ({documents.line(message, 500)})" if isinstance(message, str) and message else ""


def _raise(response: httpx2.Response, subject: str, *, redirected: bool) -> NoReturn:
    """Sort an error status into a failure or something to try again."""
    status = response.status_code
    if redirected and status not in (408, 429):
        # A CDN that refuses a signed URL says nothing about the token or the name; the next
        # request gets a new signature.
        raise TransientError(
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
    raise TransientError(
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
        raise TransientError(str(error)) from error
    except (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL) as error:
        raise TransientError(f"{type(error).__name__}: {error}") from error


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
            raise TransientError(f"an answer that takes longer than {seconds:.0f} s")
    return bytes(content)


def _malformed(what: str) -> TransientError:
    """JSON that was cut, or a page of a proxy in its place."""
    return TransientError(f"not an answer of a hub ({what})")


def _refused(subject: str, words: str) -> exits.PreloadError:
    return exits.PreloadError(exits.Exit.VERIFICATION_FAILED, f"{subject}: {words}")


def _is_safe(path: str) -> bool:
    parts = path.split("/")
    if not path.isprintable() or "\\" in path or {"", ".", ".."} & set(parts):
        return False
    longest = max(len(part.encode()) for part in parts)
    return longest <= _LONGEST_NAME and len(path.encode()) <= _LONGEST_PATH


def _file(entry: object, subject: str) -> File:
    """Take one entry of the hub's list over, if its path is safe and its content can be checked."""
    path = entry.get("rfilename") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(path, str):
        raise _malformed("a file without a name")
    if not _is_safe(path):
        raise _refused(
            subject, f"holds a file whose path is not safe to create: {documents.line(path, 300)!r}"
        )
    lfs = entry.get("lfs")
    algorithm: Algorithm = "gitSha1" if lfs is None else "sha256"
    size, digest = entry.get("size"), entry.get("blobId")
    if lfs is not None:
        size, digest = (lfs.get("size"), lfs.get("sha256")) if isinstance(lfs, dict) else (0, None)
    if not isinstance(size, int) or isinstance(size, bool) or not isinstance(digest, str):
        raise _refused(
            subject,
            f"the hub gives no size or hash for {path}, so it cannot be verified. A "
            "mirror in HF_ENDPOINT must pass `?blobs=True` of the model API on.",
        )
    if not 0 <= size <= _LARGEST_FILE or not _DIGESTS[algorithm].fullmatch(digest.lower()):
        raise _refused(
            subject, f"the hub gives a size or hash for {path} that none can be: see what answers."
        )
    return File(path, size, algorithm, digest.lower())


def is_commit(sha: object) -> bool:
    """Whether something can be the name of a commit: it stands in URLs, notes and the status."""
    return isinstance(sha, str) and bool(_COMMIT.fullmatch(sha)) and ".." not in sha


def _snapshot(repository: str, document: object, subject: str) -> Snapshot:
    """Read the answer of the model API.

    Raises:
        TransientError: It is none.
        exits.PreloadError: It is one that cannot be verified, or not be stored.
    """
    if not isinstance(document, dict):
        raise _malformed("no object")
    sha, siblings = document.get("sha"), document.get("siblings")
    if not sha or not isinstance(siblings, list):
        raise TransientError("an answer without commit or file list")
    if not is_commit(sha):
        raise _refused(subject, f"the hub names a commit that none can be: {str(sha)[:100]!r}")
    if len(siblings) > _MOST_FILES:
        raise _refused(subject, f"{len(siblings)} files are more than {_MOST_FILES}")
    files = tuple(_file(entry, subject) for entry in siblings)
    paths = {file.path for file in files}
    if len(paths) < len(files):
        raise _refused(subject, "the hub lists a file twice")
    for path in paths:
        for parent in pathlib.PurePosixPath(path).parents:
            if str(parent) in paths:
                raise _refused(subject, f"the hub lists {parent} as a file and as a directory")
    return Snapshot(repository, str(sha), files)


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

    def patience(self, pulse: Pulse | None = None) -> Patience:
        """Return a full retry budget, which those that share a pulse refill."""
        given = self._configuration
        return Patience(
            given.retry_seconds, given.first_wait, self._log, self._stopping, pulse or Pulse()
        )

    def snapshot(self, repository: str, revision: str) -> Snapshot:
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
            except TransientError as error:
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

    def _resolve(self, repository: str, revision: str, subject: str) -> Snapshot:
        name = urllib.parse.quote(revision, safe="")
        url = f"{self._configuration.endpoint}/api/models/{repository}/revision/{name}?blobs=true"
        timeout = self._configuration.metadata_timeout
        with _sorted_errors(subject), self._get(url, subject, {}, timeout) as response:
            content = _content(response, subject, _LARGEST_ANSWER, _SLOWEST_ANSWER * timeout)
        try:
            document = documents.decode(content)
        except ValueError as error:
            raise _malformed(type(error).__name__) from error
        return _snapshot(repository, document, subject)

    @contextlib.contextmanager
    def body(self, snapshot: Snapshot, path: str, start: int, stop: int) -> Iterator[Body]:
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
                raise TransientError("compressed content, which was not asked for")
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
        raise TransientError(f"more than {redirects.MOST} redirects")

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
    raise TransientError(f"HTTP {response.status_code} without the range that was asked for")
