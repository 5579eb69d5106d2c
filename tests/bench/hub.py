"""The tests' hub for measurements, as a process of its own: files of any size, paced connections.

`python -m tests.bench.hub '{"files": 8, "mib": 32, "rate": 26, "latency": 0.02}'` prints its
endpoint and serves `bench/model` until its standard input ends. Each line of the input is answered
with the bytes of content that were sent so far. With `"tls": "<directory>"` it speaks TLS, and the
directory gets `ca.crt`.
"""

import json
import os
import pathlib
import ssl
import sys
import threading
import time

from tests.preload import hub_server
from tests.server import pki

_BLOCK = 1 << 20
_MODEL = "bench/model"


class Server(hub_server.Server):
    """Serves copies of random bytes."""

    def __init__(
        self, files: int, mib: int, rate: float, latency: float, tls: str | None = None
    ) -> None:
        self.scheme = "http" if tls is None else "https"
        super().__init__(Handler)
        if tls is not None:
            self._speak_tls(pathlib.Path(tls))
        self.rate = rate
        self.latency = latency
        self.sent = 0
        self.lock = threading.Lock()
        contents = {"config.json": b'{"architectures": ["X"]}'}
        for number in range(files):
            name = f"model-{number + 1:05}-of-{files:05}.safetensors"
            # The first bytes are a safetensors header that is too long to be read.
            block = os.urandom(_BLOCK)
            contents[name] = b"\xff" * 8 + block[8:] + block * (mib - 1)
        self.publish(_MODEL, contents)

    def _speak_tls(self, directory: pathlib.Path) -> None:
        authority = pki.Authority()
        pki.write(directory, authority.pair(), authority.certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / "tls.crt", directory / "tls.key")
        # The handshake is the first read's, in the thread of the connection.
        self.socket = context.wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: killed clients are a part of the measurements."""


class Handler(hub_server.Handler):
    """Answers late and at a pace, and lists files as the hub's own client asks for them."""

    server: Server

    def _answer(self) -> None:
        time.sleep(self.server.latency)
        super()._answer()

    def _route(self, path: str) -> None:
        if "/tree/" in path:
            self._send(200, json.dumps(self._tree()).encode(), {})
        elif path == f"/api/models/{_MODEL}":
            self._info(_MODEL, "main")
        else:
            super()._route(path)

    def _tree(self) -> list[dict[str, object]]:
        tree: list[dict[str, object]] = []
        commit = self.server.commits[_MODEL, self.server.revisions[_MODEL, "main"]]
        for name, content in commit.items():
            entry: dict[str, object] = {"type": "file", "path": name, "size": len(content)}
            if hub_server.is_lfs(name):
                oid = hub_server.sha256(content)
                entry["lfs"] = {"oid": oid, "size": len(content), "pointerSize": 134}
            else:
                oid = hub_server.git_sha1(content)
            tree.append(entry | {"oid": oid})
        return tree

    def _write(self, body: bytes | memoryview) -> None:
        begin, block = time.monotonic(), _BLOCK // 8 if self.server.rate else _BLOCK
        for position in range(0, len(body), block):
            piece = memoryview(body)[position : position + block]
            self.connection.sendall(piece)
            self.sent += len(piece)
            with self.server.lock:
                self.server.sent += len(piece)
            if self.server.rate:
                due = begin + (position + len(piece)) / (self.server.rate * 2**20)
                time.sleep(max(0.0, due - time.monotonic()))


def main() -> None:
    """Serve until the standard input ends."""
    server = Server(**json.loads(sys.argv[1]))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.endpoint, flush=True)
    for _ in sys.stdin:
        print(server.sent, flush=True)


if __name__ == "__main__":
    main()
