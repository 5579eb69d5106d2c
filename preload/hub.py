"""What the hub holds and the bytes of it, with every answer sorted into three kinds.

Something worth another try (`TransientError`), something only a person can mend
(`exits.PreloadError`), or content. huggingface_hub supplies names, headers, the HTTP client with
its proxies and CAs, and the understanding of the hub's errors. Its download functions are not used:
since 2.x each process downloads to a file name of its own, opened empty
(`_download_to_tmp_and_move` in its `file_download`), so a killed download starts over, leaves its
partial file behind for ever, and falls back to lock files that survive their holder.
"""

import contextlib
import dataclasses
import email.utils
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal, NoReturn

import httpx2
import huggingface_hub
from huggingface_hub import errors as hub_errors
from huggingface_hub import utils as hub_utils

import preload
from preload import exits, report, settings

Algorithm = Literal["sha256", "gitSha1"]

# Documented names of huggingface_hub.utils, which its lazy __init__ does not re-export for typing.
_build_headers: Any = hub_utils.build_hf_headers  # type: ignore[attr-defined]
_raise_for_status: Any = hub_utils.hf_raise_for_status  # type: ignore[attr-defined]
_parse_ratelimit: Any = hub_utils.parse_ratelimit_headers  # type: ignore[attr-defined]

_UNAUTHORIZED = {401, 403, 451}
_NOT_FOUND = {400, 404, 410, 422}
_LONGEST_WAIT = 60.0


class TransientError(Exception):
    """An answer that may be another one a little later.

    Args:
        message: What happened, without URLs: those of the CDN carry signatures.
        retry_after: Seconds that the hub asked to wait, if it did.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


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


class Patience:
    """The retry budget: how long to go on without progress, and how long to pause.

    Args:
        seconds: The budget; `progress` refills it.
        first_wait: The first pause in seconds. Each further one is twice as long, up to a minute.
        log: Told of each pause.
    """

    def __init__(self, seconds: float, first_wait: float, log: report.Log) -> None:
        self._seconds = seconds
        self._first_wait = first_wait
        self._log = log
        self.progress()

    def progress(self) -> None:
        """Something new arrived."""
        self._since = time.monotonic()
        self._tries = 0

    def wait(self, error: TransientError, subject: str) -> None:
        """Pause before another try.

        Raises:
            exits.PreloadError: With `HUB_UNAVAILABLE`, when the budget is spent or would be by a
                wait that the hub itself asks for.
        """
        pause = min(self._first_wait * 2 ** min(self._tries, 16), _LONGEST_WAIT)
        if error.retry_after is not None:
            # One second more: the hub rounds down.
            pause = max(pause, error.retry_after + 1 if error.retry_after else 0)
        left = self._since + self._seconds - time.monotonic()
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
        time.sleep(pause)


def _retry_after(response: httpx2.Response) -> float | None:
    """Seconds to wait by `Retry-After` (seconds or a date) or the hub's `ratelimit` header."""
    limit = _parse_ratelimit(response.headers)
    if limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    text = response.headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(text)
    with contextlib.suppress(ValueError, TypeError):
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


def _raise(error: hub_errors.HfHubHTTPError, subject: str) -> NoReturn:
    """Sort an error status into a failure or something to try again."""
    response = error.response
    status = response.status_code
    detail = f" ({error.server_message[:500]})" if error.server_message else ""
    redirected = response.history and response.url.host != response.history[0].url.host
    if redirected and status not in (408, 429):
        # A CDN that refuses a signed URL says nothing about the token or the name; the next
        # request gets a new signature.
        raise TransientError(f"HTTP {status} by {response.url.host}")
    if status in _UNAUTHORIZED:
        raise _unauthorized(status, subject, detail)
    if status in _NOT_FOUND:
        raise exits.PreloadError(
            exits.Exit.NOT_FOUND,
            f"{subject}: the hub answered {status}{detail}. Check the repository's name and that "
            "the revision (branch, tag, SHA or refs/pr/N) exists there.",
        )
    raise TransientError(f"HTTP {status}{detail}", _retry_after(response))


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
    except hub_errors.HfHubHTTPError as error:
        _raise(error, subject)
    except (httpx2.HTTPError, httpx2.StreamError) as error:
        raise TransientError(f"{type(error).__name__}: {error}") from error


def _file(sibling: Any, subject: str) -> File:
    """Take one entry of the hub's list over, if its path is safe and its content can be checked."""
    path = str(sibling.rfilename)
    parts = path.split("/")
    if not path.isprintable() or "\\" in path or {"", ".", ".."} & set(parts):
        raise exits.PreloadError(
            exits.Exit.VERIFICATION_FAILED,
            f"{subject}: holds a file whose path is not safe to create: {path!r}",
        )
    if sibling.lfs is not None:
        return File(path, sibling.lfs.size, "sha256", sibling.lfs.sha256)
    if sibling.size is None or sibling.blob_id is None:
        raise exits.PreloadError(
            exits.Exit.VERIFICATION_FAILED,
            f"{subject}: the hub gives no size or hash for {path}, so it cannot be verified. A "
            "mirror in HF_ENDPOINT must pass `?blobs=True` of the model API on.",
        )
    return File(path, sibling.size, "gitSha1", sibling.blob_id)


class Hub:
    """The hub as one caller sees it.

    Args:
        configuration: Endpoint, token and time limits.
        log: Told of retries.

    Raises:
        exits.PreloadError: CA files or proxies in the environment cannot be used.
    """

    def __init__(self, configuration: settings.Settings, log: report.Log) -> None:
        self._configuration = configuration
        self._api = huggingface_hub.HfApi(
            endpoint=configuration.endpoint,
            token=configuration.token or False,
            library_name="inference-service-preload",
            library_version=preload.__version__,
        )
        try:
            huggingface_hub.get_session()
        except (OSError, ValueError, ImportError) as error:
            raise exits.PreloadError(
                exits.Exit.PLAN_INVALID,
                f"the HTTP client cannot be made from the environment ({error}): check "
                "SSL_CERT_FILE, SSL_CERT_DIR and the proxy variables.",
            ) from error
        self._patience: Callable[[], Patience] = lambda: Patience(
            configuration.retry_seconds, configuration.first_wait, log
        )

    def patience(self) -> Patience:
        """A full retry budget."""
        return self._patience()

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
                return self._snapshot(repository, revision, subject)
            except TransientError as error:
                patience.wait(error, subject)

    def _snapshot(self, repository: str, revision: str, subject: str) -> Snapshot:
        try:
            with _sorted_errors(subject):
                info = self._api.model_info(
                    repository,
                    revision=revision,
                    files_metadata=True,
                    timeout=self._configuration.metadata_timeout,
                )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # JSON that was cut, or a page of a proxy in its place.
            raise TransientError(f"not an answer of a hub ({type(error).__name__})") from error
        if not info.sha or info.siblings is None:
            raise TransientError("an answer without commit or file list")
        files = tuple(_file(sibling, subject) for sibling in info.siblings)
        return Snapshot(repository, info.sha, files)

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
        headers = _build_headers(
            token=self._configuration.token or False,
            library_name="inference-service-preload",
            library_version=preload.__version__,
            headers={"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"},
        )
        with (
            _sorted_errors(subject),
            huggingface_hub.get_session().stream(
                "GET", url, headers=headers, timeout=self._configuration.download_timeout
            ) as response,
        ):
            _raise_for_status(response)
            yield Body(_first_byte(response, start), response.iter_bytes())


def _first_byte(response: httpx2.Response, start: int) -> int:
    if response.status_code == 200:
        return 0
    content_range = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if response.status_code == 206 and content_range and int(content_range[1]) == start:
        return start
    raise TransientError(f"HTTP {response.status_code} without the range that was asked for")
