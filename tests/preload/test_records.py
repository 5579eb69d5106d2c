"""What one read of a connection returns: with TLS all records that are there."""

import pathlib
import socket
import ssl
import threading
from collections.abc import Iterator

import httpcore2
import pytest
from httpcore2._backends import sync
from httpcore2._sync import http11

from preload import hub
from tests.server import pki

CONTENT = bytes(range(256)) * 400
"""Seven records of TLS."""
MOST = http11.HTTP11Connection.READ_NUM_BYTES


@pytest.fixture
def ends(tmp_path: pathlib.Path) -> Iterator[tuple[sync.SyncStream, ssl.SSLSocket]]:
    """The client's stream and the server's socket, after the handshake."""
    authority = pki.Authority()
    pki.write(tmp_path, authority.pair(), authority.certificate)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    client = ssl.create_default_context(cadata=authority.certificate.decode())
    ours, theirs = socket.socketpair()
    theirs = server.wrap_socket(theirs, server_side=True, do_handshake_on_connect=False)
    greeting = threading.Thread(target=theirs.do_handshake)
    greeting.start()
    ours = client.wrap_socket(ours, server_hostname="localhost")
    greeting.join()
    with ours, theirs:
        yield sync.SyncStream(ours), theirs


def test_one_read_takes_every_record(ends: tuple[sync.SyncStream, ssl.SSLSocket]) -> None:
    stream, server = ends
    server.sendall(CONTENT)
    assert stream.read(MOST, 5) == CONTENT


def test_a_read_takes_no_more_than_it_may(ends: tuple[sync.SyncStream, ssl.SSLSocket]) -> None:
    stream, server = ends
    server.sendall(CONTENT)
    assert stream.read(40_000, 5) == CONTENT[:40_000]
    assert stream.read(MOST, 5) == CONTENT[40_000:]


def test_what_came_before_a_connection_broke_counts(
    ends: tuple[sync.SyncStream, ssl.SSLSocket],
) -> None:
    stream, server = ends
    server.sendall(CONTENT)
    socket.socket(fileno=server.detach()).close()
    assert stream.read(MOST, 5) == CONTENT
    assert stream.read(MOST, 5) == b""


def test_a_silent_server_ends_in_a_time_out(
    ends: tuple[sync.SyncStream, ssl.SSLSocket],
) -> None:
    stream, server = ends
    server.sendall(CONTENT)
    assert stream.read(MOST, 5) == CONTENT
    with pytest.raises(httpcore2.ReadTimeout):
        stream.read(MOST, 0.05)


def test_the_client_reads_so() -> None:
    assert sync.SyncStream.read is hub._read_all_records
