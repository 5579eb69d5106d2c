"""A hub for measurements, as a process of its own: files of any size, paced connections.

`python -m tests.bench.hub '{"files": 8, "mib": 32, "rate": 26, "latency": 0.02}'` prints its
endpoint and serves `bench/model` until its standard input ends. Each line of the input is answered
with the bytes of content that were sent so far. With `"tls": "<directory>"` it speaks TLS, and the
directory gets `ca.crt`.
"""

import hashlib
import http.server
import json
import os
import pathlib
import re
import ssl
import sys
import threading
import time
import urllib.parse

from tests.server import pki

_BLOCK = 1 << 20
_SHA = "0123456789abcdef0123456789abcdef01234567"


class Server(http.server.ThreadingHTTPServer):
    """Serves copies of random bytes."""

    daemon_threads = True

    def __init__(
        self, files: int, mib: int, rate: float, latency: float, tls: str | None = None
    ) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.scheme = "http" if tls is None else "https"
        if tls is not None:
            self._speak_tls(pathlib.Path(tls))
        self.rate = rate
        self.latency = latency
        self.sent = 0
        self.lock = threading.Lock()
        self.contents = {"config.json": b'{"architectures": ["X"]}'}
        for number in range(files):
            name = f"model-{number + 1:05}-of-{files:05}.safetensors"
            # The first bytes are a safetensors header that is too long to be read.
            block = os.urandom(_BLOCK)
            self.contents[name] = b"\xff" * 8 + block[8:] + block * (mib - 1)
        self.digests = {
            name: hashlib.sha256(each).hexdigest() for name, each in self.large().items()
        }

    def _speak_tls(self, directory: pathlib.Path) -> None:
        authority = pki.Authority()
        pki.write(directory, authority.pair(), authority.certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / "tls.crt", directory / "tls.key")
        # The handshake is the first read's, in the thread of the connection.
        self.socket = context.wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )

    def large(self) -> dict[str, bytes]:
        """Return the files that are kept as LFS objects."""
        return {name: each for name, each in self.contents.items() if name.startswith("model-")}

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: killed clients are a part of the measurements."""


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as the hub does: the model API, `resolve` with a redirect, and the content's host."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        time.sleep(self.server.latency)
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        name = path.rpartition("/")[2]
        if "/tree/" in path:
            self._send(200, json.dumps(self._tree()).encode(), {})
        elif path.startswith("/api/"):
            self._send(200, json.dumps(self._model()).encode(), {})
        elif path.startswith("/cdn/"):
            self._content(self.server.contents[name], {"ETag": f'"{self.server.digests[name]}"'})
        elif name in self.server.digests:
            digest = self.server.digests[name]
            host = f"{self.server.scheme}://localhost:{self.server.server_port}"
            self._send(
                302,
                b"",
                {
                    "Location": f"{host}/cdn/{name}",
                    "X-Repo-Commit": _SHA,
                    "X-Linked-Etag": f'"{digest}"',
                    "X-Linked-Size": str(len(self.server.contents[name])),
                },
            )
        else:
            content = self.server.contents[name]
            self._content(content, {"X-Repo-Commit": _SHA, "ETag": f'"{_blob(content)}"'})

    def _model(self) -> dict[str, object]:
        siblings: list[dict[str, object]] = []
        for name, content in self.server.contents.items():
            entry: dict[str, object] = {"rfilename": name, "size": len(content)}
            if name in self.server.digests:
                digest = self.server.digests[name]
                entry |= {"blobId": "0" * 40}
                entry |= {"lfs": {"sha256": digest, "size": len(content), "pointerSize": 134}}
            else:
                entry |= {"blobId": _blob(content)}
            siblings.append(entry)
        return {"id": "bench/model", "modelId": "bench/model", "sha": _SHA, "siblings": siblings}

    def _tree(self) -> list[dict[str, object]]:
        """Return the same list as the hub's client asks for it."""
        tree: list[dict[str, object]] = []
        for name, content in self.server.contents.items():
            size, oid = len(content), self.server.digests.get(name) or _blob(content)
            lfs = {"oid": oid, "size": size, "pointerSize": 134}
            own = {"lfs": lfs} if name in self.server.digests else {}
            tree.append({"type": "file", "path": name, "size": size, "oid": oid, **own})
        return tree

    def _content(self, content: bytes, headers: dict[str, str]) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            self._send(200, content, headers)
            return
        start, stop = int(asked[1]), min(int(asked[2] or len(content)) + 1, len(content))
        span = f"bytes {start}-{stop - 1}/{len(content)}"
        part = memoryview(content)[start:stop]
        self._send(206, part, {**headers, "Content-Range": span})

    def _send(self, status: int, body: bytes | memoryview, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        begin, block = time.monotonic(), _BLOCK // 8 if self.server.rate else _BLOCK
        for position in range(0, len(body), block):
            piece = memoryview(body)[position : position + block]
            self.connection.sendall(piece)
            with self.server.lock:
                self.server.sent += len(piece)
            if self.server.rate:
                due = begin + (position + len(piece)) / (self.server.rate * 2**20)
                time.sleep(max(0.0, due - time.monotonic()))


def _blob(content: bytes) -> str:
    header = b"blob %d\0" % len(content)
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()


def main() -> None:
    """Serve until the standard input ends."""
    server = Server(**json.loads(sys.argv[1]))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"{server.scheme}://127.0.0.1:{server.server_port}", flush=True)
    for _ in sys.stdin:
        print(server.sent, flush=True)


if __name__ == "__main__":
    main()
