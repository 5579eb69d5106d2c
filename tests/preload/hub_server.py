"""A hub on loopback: the answers of huggingface.co that the preload program depends on, and faults.

Modelled on what huggingface_hub 2.4.0 parses: the model API with `blobs=True`, `resolve` with
`X-Repo-Commit`, `ETag`, `X-Linked-Etag` and `X-Linked-Size`, LFS objects behind a redirect to
another host (here `localhost` beside `127.0.0.1`), errors with `X-Error-Code`.
"""

import collections
import dataclasses
import functools
import hashlib
import http
import http.server
import json
import re
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping


@dataclasses.dataclass(frozen=True)
class Request:
    """One request as it was answered; `sent` counts body bytes handed to the socket."""

    method: str
    path: str
    start: int
    authorization: str | None
    host: str
    at: float
    sent: int = 0


@dataclasses.dataclass
class Fault:
    """How to answer instead, for the next `times` requests whose path contains `match`."""

    match: str
    times: int = 1
    status: int = 200
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    truncate: int | None = None
    """Send only this many bytes of the body, then close."""
    chunked: bool = False
    """Close without having announced a length."""
    stall: float = 0.0
    """Seconds of silence after `truncate` bytes."""
    slow: float = 0.0
    """Seconds between two pieces of 1 KiB."""
    content: Callable[[bytes], bytes] | None = None
    ignore_range: bool = False
    more: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Headers beside those of the usual answer."""


@functools.lru_cache(maxsize=64)
def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@functools.lru_cache(maxsize=64)
def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def is_lfs(path: str) -> bool:
    return path.endswith((".safetensors", ".bin", ".gguf", "tokenizer.json"))


class Server(http.server.ThreadingHTTPServer):
    """The hub; `endpoint` is what HF_ENDPOINT says."""

    daemon_threads = True
    scheme = "http"

    def __init__(self, handler: "type[Handler] | None" = None) -> None:
        super().__init__(("127.0.0.1", 0), handler or Handler)
        self.endpoint = f"{self.scheme}://127.0.0.1:{self.server_port}"
        self.content = f"{self.scheme}://localhost:{self.server_port}"
        """Where LFS objects are."""
        self.revisions: dict[tuple[str, str], str] = {}
        self.commits: dict[tuple[str, str], dict[str, bytes]] = {}
        self.objects: dict[str, bytes] = {}
        self.gated: set[str] = set()
        self.token = "hf_goodGOODgood"
        self.faults: list[Fault] = []
        self._requests: list[Request] = []
        self.answering = 0
        self.served: collections.Counter[str] = collections.Counter()
        self.pause = 0.0
        """Seconds between two pieces of 64 KiB."""
        self.on_bytes: Callable[[int], None] | None = None
        self._lock = threading.Lock()

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignores the errors of killed clients and shows all others."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def publish(
        self, repository: str, files: Mapping[str, bytes], revisions: tuple[str, ...] = ("main",)
    ) -> str:
        """Add a commit and let the revisions point at it; returns its SHA."""
        digest = hashlib.sha1(repository.encode())
        for path, content in sorted(files.items()):
            digest.update(path.encode() + hashlib.sha1(content).digest())
        sha = digest.hexdigest()
        self.commits[repository, sha] = dict(files)
        for revision in (*revisions, sha):
            self.revisions[repository, revision] = sha
        for path, content in files.items():
            if is_lfs(path):
                self.objects[sha256(content)] = content
        return sha

    @property
    def requests(self) -> list[Request]:
        """The requests so far. Waits for answers under way: a request is noted after its answer."""
        until = time.monotonic() + 2
        while self.answering and time.monotonic() < until:
            time.sleep(0.005)
        return self._requests

    def count(self, change: int) -> None:
        """Note that an answer begins or ends."""
        with self._lock:
            self.answering += change

    def record(self, request: Request) -> None:
        with self._lock:
            self._requests.append(request)
            self.served[request.path] += request.sent

    def fault(self, path: str) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if fault.match in path and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None

    def downloads(self) -> list[Request]:
        """Requests for content, redirects not counted."""
        return [request for request in self.requests if request.sent > 0 and _is_file(request)]


def _is_file(request: Request) -> bool:
    return not request.path.startswith("/api/")


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    # Else the body of an answer waits 40 ms for the client to acknowledge its headers.
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.server.count(+1)
        try:
            self._counted()
        finally:
            self.server.count(-1)

    def _counted(self) -> None:
        self.start = 0
        self.sent = 0
        self.at = time.monotonic()
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        self.fault = self.server.fault(path)
        try:
            if self.fault is not None and self.fault.status != 200:
                self._send(self.fault.status, b"{}", self.fault.headers)
            else:
                self._route(path)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            self.server.record(
                Request(
                    self.command,
                    path,
                    self.start,
                    self.headers.get("Authorization"),
                    self.headers.get("Host", ""),
                    self.at,
                    self.sent,
                )
            )

    def _route(self, path: str) -> None:
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/(.+)", path):
            self._info(match[1], match[2])
        elif match := re.fullmatch(r"/cdn/([0-9a-f]{64})", path):
            self._content(self.server.objects[match[1]], {"ETag": f'"{match[1]}"'})
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(match[1], match[2], match[3])
        else:
            self._send(404, b"{}", {})

    def _allowed(self, repository: str) -> bool:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        exists = any(name == repository for name, _ in self.server.commits)
        if exists and (repository not in self.server.gated or token == self.server.token):
            return True
        if repository in self.server.gated and token:
            self._error(403, "GatedRepo", "Access to this model is restricted.")
        elif token == self.server.token:
            self._error(404, "RepoNotFound", "Repository not found")
        else:
            # The hub answers an unknown caller so, whether the name exists or not.
            self._error(401, "RepoNotFound", "Invalid username or password.")
        return False

    def _error(self, status: int, code: str, message: str) -> None:
        body = json.dumps({"error": message}).encode()
        self._send(status, body, {"X-Error-Code": code, "X-Error-Message": message})

    def _info(self, repository: str, revision: str) -> None:
        if not self._allowed(repository):
            return
        sha = self.server.revisions.get((repository, revision))
        if sha is None:
            self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return
        siblings = []
        for path, content in self.server.commits[repository, sha].items():
            entry: dict[str, object] = {"rfilename": path, "size": len(content)}
            entry["blobId"] = git_sha1(content)
            if is_lfs(path):
                digest = {"sha256": sha256(content), "size": len(content), "pointerSize": 134}
                entry["lfs"] = digest
            siblings.append(entry)
        body = json.dumps(
            {"id": repository, "modelId": repository, "sha": sha, "siblings": siblings}
        )
        self._send(200, body.encode(), {"Content-Type": "application/json"})

    def _resolve(self, repository: str, revision: str, path: str) -> None:
        if not self._allowed(repository):
            return
        sha = self.server.revisions[repository, revision]
        content = self.server.commits[repository, sha].get(path)
        if content is None:
            self._error(404, "EntryNotFound", "Entry not found")
        elif is_lfs(path):
            digest = sha256(content)
            self._send(
                302,
                b"",
                {
                    "X-Repo-Commit": sha,
                    "X-Linked-Etag": f'"{digest}"',
                    "X-Linked-Size": str(len(content)),
                    "Location": f"{self.server.content}/cdn/{digest}?Signature=x",
                },
            )
        else:
            self._content(content, {"X-Repo-Commit": sha, "ETag": f'"{git_sha1(content)}"'})

    def _content(self, content: bytes, headers: Mapping[str, str]) -> None:
        if self.fault is not None and self.fault.content is not None:
            content = self.fault.content(content)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None or (self.fault is not None and self.fault.ignore_range):
            self._send(200, content, headers)
            return
        self.start = int(asked[1])
        stop = min(int(asked[2] or len(content)) + 1, len(content))
        if self.start >= len(content):
            self._send(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            return
        span = f"bytes {self.start}-{stop - 1}/{len(content)}"
        part = memoryview(content)[self.start : stop]
        self._send(206, part, {**headers, "Content-Range": span})

    def _send(self, status: int, body: bytes | memoryview, headers: Mapping[str, str]) -> None:
        fault = self.fault or Fault("")
        if fault.content is not None and self.path.startswith("/api/"):
            body = fault.content(bytes(body))
        self.send_response(status)
        for name, value in {**headers, **fault.more}.items():
            self.send_header(name, value)
        if fault.chunked:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self._write(body if fault.truncate is None else body[: fault.truncate])
        if fault.truncate is not None:
            time.sleep(fault.stall)
            self.close_connection = True

    def _write(self, body: bytes | memoryview) -> None:
        slow = self.fault.slow if self.fault is not None else 0.0
        size = 1 << 10 if slow else 1 << 16
        for begin in range(0, len(body), size):
            time.sleep(slow)
            piece = body[begin : begin + size]
            self.wfile.write(piece)
            self.sent += len(piece)
            if self.server.on_bytes is not None and _counts(self.path):
                self.server.on_bytes(len(piece))
            if self.server.pause and _counts(self.path):
                time.sleep(self.server.pause)


def _counts(path: str) -> bool:
    return not path.startswith("/api/")
