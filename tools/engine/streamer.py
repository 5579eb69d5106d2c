"""The released Run:ai model streamer, and what it needs to read weights here: a store and names.

The streamer is installed from PyPI (`streamer.txt`) beside the libraries of vLLM's sources, in an
environment below `$XDG_CACHE_HOME/inference-service/streamer`; `reading.py` runs there. The store
is versitygw, built by `tools/build.py --group object-store`: it checks signatures and regions, and
has buckets in paths and in names. `Names` is the one resolver of a network namespace, and
remembers what it was asked.
"""

import contextlib
import os
import pathlib
import shutil
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time
import types
from collections.abc import Iterator, Mapping, Sequence

from tools import build
from tools.engine import parsers

HERE = pathlib.Path(__file__).resolve().parent
KEYS = {"AWS_ACCESS_KEY_ID": "reader", "AWS_SECRET_ACCESS_KEY": "reads-what-it-may"}
# Loopback addresses of the store and of the resolver: by them it is told who was connected to.
STORE, RESOLVER = "127.0.0.7", "127.0.0.53"


class MissingError(Exception):
    """What is needed is not there; the message says what."""


def environment() -> pathlib.Path:
    """Returns the interpreter that has the streamer; makes its environment where it is not there.

    Raises:
        MissingError: A library cannot be installed.
    """
    place = parsers.cache().parent / "streamer"
    files = [HERE / "streamer.txt", HERE / "requirements.txt"]
    wanted = "".join(path.read_text(encoding="utf-8") for path in files)
    stamp = place / "installed.txt"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        pip: list[str | pathlib.Path] = [place / "bin" / "pip", "install", "--quiet"]
        pip.append("--disable-pip-version-check")
        hashed: list[str | pathlib.Path] = [
            "--no-deps",
            "--require-hashes",
            "--requirement",
            files[0],
        ]
        _run([sys.executable, "-m", "venv", "--clear", place])
        _run([*pip, "--requirement", files[1]])
        _run([*pip, *hashed])
        stamp.write_text(wanted, encoding="utf-8")
    return place / "bin" / "python"


def _run(command: Sequence[str | pathlib.Path]) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        raise MissingError(f"{' '.join(map(str, command))}: {done.stderr.strip()[-400:]}")


def program(name: str) -> str:
    """Returns the path of a program of this machine.

    Raises:
        MissingError: It is not there.
    """
    found = shutil.which(name)
    if found is None:
        raise MissingError(f"{name} is missing: install it, and put it on PATH")
    return found


def gateway() -> pathlib.Path:
    """Returns the store's program.

    Raises:
        MissingError: It was not built.
    """
    path = build.directory("object-store") / "bin" / "versitygw"
    if not path.is_file():
        raise MissingError("versitygw is missing: python tools/build.py --group object-store")
    return path


def certificate(directory: pathlib.Path, names: Sequence[str]) -> tuple[pathlib.Path, pathlib.Path]:
    """Makes a certificate for names, which vouches for itself; returns its file and its key's."""
    files = directory / "store.crt", directory / "store.key"
    command = [program("openssl"), "req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"]
    command += ["-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=store"]
    command += ["-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)]
    _run([*command, "-out", files[0], "-keyout", files[1]])
    return files


@contextlib.contextmanager
def store(
    directory: pathlib.Path,
    *,
    domain: str,
    port: int,
    region: str,
    tls: tuple[pathlib.Path, pathlib.Path] | None = None,
) -> Iterator[None]:
    """Runs a store of the objects below a directory, with buckets in paths and below a domain."""
    objects, sidecar = directory / "objects", directory / "sidecar"
    for path in (objects, sidecar):
        path.mkdir(exist_ok=True)
    command: list[str | pathlib.Path] = [gateway(), "--port", f"{STORE}:{port}"]
    command += ["--region", region, "--keep-alive", "--virtual-domain", domain, "--quiet"]
    command += [] if tls is None else ["--cert", tls[0], "--key", tls[1]]
    root = {
        "ROOT_ACCESS_KEY": KEYS["AWS_ACCESS_KEY_ID"],
        "ROOT_SECRET_KEY": KEYS["AWS_SECRET_ACCESS_KEY"],
    }
    with (directory / "store.log").open("ab") as log:
        process = subprocess.Popen(
            [str(word) for word in (*command, "posix", "--sidecar", sidecar, objects)],
            env=root | {"HOME": str(directory)},
            stdout=log,
            stderr=log,
        )
    try:
        _wait(port, process)
        yield
    finally:
        process.terminate()
        process.wait()


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    """Waits until the store listens.

    Raises:
        MissingError: It ended, or does not within 20 s.
    """
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection((STORE, port), timeout=1):
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise MissingError("the store does not start: its log is beside its objects")


class Names:
    """A resolver that knows some names, and remembers every name that it was asked for."""

    def __init__(self, known: Mapping[str, str]) -> None:
        """Takes addresses by name; names below one of these have its address."""
        self.asked: set[str] = set()
        names = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                data, connection = self.request
                connection.sendto(names.answer(data, known), self.client_address)

        self._server = socketserver.ThreadingUDPServer((RESOLVER, 53), Handler)

    def answer(self, query: bytes, known: Mapping[str, str]) -> bytes:
        """Returns the answer to a question of DNS: an address, none of its type, or no name."""
        labels, at = list[str](), 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        (kind,) = struct.unpack(">H", query[at + 1 : at + 3])
        name = ".".join(labels).lower()
        self.asked.add(name)
        above = [".".join(labels[i:]).lower() for i in range(len(labels))]
        address = next((known[one] for one in above if one in known), None)
        found = address is not None and kind == 1
        flags = 0x8580 if address is not None else 0x8583
        head = query[:2] + struct.pack(">5H", flags, 1, int(found), 0, 0)
        record = struct.pack(">HHHIH", 0xC00C, 1, 1, 1, 4) + socket.inet_aton(address or STORE)
        return head + query[12 : at + 5] + (record if found else b"")

    def __enter__(self) -> "Names":
        """Begins to answer."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        """Ends."""
        self._server.shutdown()
        self._server.server_close()


def alone(module: str, arguments: Sequence[str]) -> int:
    """Runs a module in network, mount and process namespaces of its own; returns its exit code."""
    command = [program("unshare"), "--net", "--mount", "--pid", "--fork", "--kill-child"]
    command += [] if os.geteuid() == 0 else ["--map-root-user"]
    return subprocess.run([*command, sys.executable, "-m", module, *arguments]).returncode


def settle(directory: pathlib.Path) -> None:
    """Makes this namespace one that has loopback alone, and asks our resolver for names."""
    resolver, hosts = directory / "resolv.conf", directory / "hosts"
    resolver.write_text(f"nameserver {RESOLVER}\noptions timeout:1 attempts:1\n")
    hosts.write_text("127.0.0.1 localhost\n")
    _run([program("ip"), "link", "set", "lo", "up"])
    for path in (resolver, hosts):
        _run([program("mount"), "--bind", path, f"/etc/{path.name}"])
