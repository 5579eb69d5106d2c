"""Silent connections: calls and probes are answered, memory stays, and they are closed.

A few more are opened than the server lets in. `CROWD=10000` opens as many; more file descriptors
than a shell has by default are needed then.
"""

# grpc has no annotations.
# mypy: allow-untyped-calls

import contextlib
import os
import pathlib
import socket
import time
from collections.abc import Iterator

import grpc
import pytest
from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from function.server import probes, serving
from tests.server import pki, process

CROWD = int(os.environ.get("CROWD", "640"))
MIB = 1024 * 1024
RESIDENT = "process_resident_memory_bytes"
FILES = "process_open_fds"
# Measured: 23 MiB for 512 connections that wait for TLS, most of it when they are closed.
MOST_GROWTH = 40 * MIB


@contextlib.contextmanager
def crowd(port: int, first: bytes = b"") -> Iterator[list[socket.socket]]:
    """Opens many connections for a block, each of which says no more than its first bytes."""
    opened: list[socket.socket] = []
    try:
        for _ in range(CROWD):
            connection = socket.create_connection(("127.0.0.1", port), process.CALL_SECONDS)
            opened.append(connection)
            with contextlib.suppress(ConnectionError):
                connection.sendall(first)
        yield opened
    finally:
        for connection in opened:
            connection.close()


def until_closed(connections: list[socket.socket], seconds: float) -> None:
    """Waits until the other side has closed every connection."""
    deadline = time.monotonic() + seconds
    for connection in connections:
        connection.settimeout(max(deadline - time.monotonic(), 0.1))
        with contextlib.suppress(ConnectionError):
            while connection.recv(65536):
                pass


# Half of a ClientHello, the beginning of HTTP/2, and nothing.
@pytest.mark.parametrize("first", [b"", b"\x16\x03\x01\x02\x00\x01", b"PRI * HTTP/2.0\r\n"])
def test_a_crowd_at_the_grpc_port(
    tmp_path: pathlib.Path, request_: fnv1.RunFunctionRequest, first: bytes
) -> None:
    authority = pki.Authority()
    pki.write(tmp_path, authority.pair(), authority.certificate)
    pair = authority.pair()
    credentials = grpc.ssl_channel_credentials(
        root_certificates=authority.certificate,
        private_key=pair.key,
        certificate_chain=pair.certificate,
    )
    with process.serving("--tls-server-certs-dir", str(tmp_path)) as server:
        core = process.channel(server.address, credentials=credentials)
        process.stub(core).RunFunction(request_, timeout=process.CALL_SECONDS)
        before = server.sample(RESIDENT)
        with crowd(int(server.address.rpartition(":")[2]), first) as opened:
            assert server.sample(FILES) < serving.MOST_CONNECTIONS + 64
            process.stub(core).RunFunction(request_, timeout=process.CALL_SECONDS)
            assert server.get("/readyz")[0] == 200
            assert server.sample(RESIDENT) - before < MOST_GROWTH
            until_closed(opened, serving.HANDSHAKE_SECONDS + process.CALL_SECONDS)
            assert server.sample(RESIDENT) - before < MOST_GROWTH
            # A replica of core that starts now is let in.
            with process.channel(server.address, credentials=credentials) as other:
                process.stub(other).RunFunction(request_, timeout=process.CALL_SECONDS)
            core.close()


@pytest.mark.parametrize("first", [b"", b"GET /metr"])
def test_a_crowd_at_the_probes_port(
    insecure: process.Running, request_: fnv1.RunFunctionRequest, first: bytes
) -> None:
    assert insecure.http_port is not None
    before = insecure.sample(RESIDENT)
    with crowd(insecure.http_port, first) as opened:
        assert insecure.get("/healthz") == (200, "ok\n")
        with process.channel(insecure.address) as channel:
            process.stub(channel).RunFunction(request_, timeout=process.CALL_SECONDS)
        assert insecure.sample(FILES) < probes.MOST_CONNECTIONS + 64
        assert insecure.sample(RESIDENT) - before < MOST_GROWTH
        until_closed(opened, probes.READ_SECONDS + process.CALL_SECONDS)
    assert "Traceback" not in insecure.output
