"""What cannot start says why and exits with an error, instead of staying half up."""

import pathlib
import socket
import subprocess
import sys

import pytest

from tests.server import pki, process


def run(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a server that should end by itself."""
    return subprocess.run(
        (sys.executable, "-m", "function", *options),
        cwd=process.ROOT,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=process.START_SECONDS,
        check=False,
    )


LOCAL = ("--address", process.FREE, "--http-address", process.FREE)


def test_without_certificates() -> None:
    done = run(*LOCAL)
    assert done.returncode == 1
    assert "no certificates: give --tls-server-certs-dir" in done.stderr
    assert "--insecure" in done.stderr


def test_certificates_that_are_not_there(tmp_path: pathlib.Path) -> None:
    done = run(*LOCAL, TLS_SERVER_CERTS_DIR=str(tmp_path))
    assert done.returncode == 1
    assert f"cannot read {tmp_path}/tls.crt: No such file or directory" in done.stderr


def test_a_key_of_another_certificate(tmp_path: pathlib.Path) -> None:
    authority = pki.Authority()
    pki.write(tmp_path, authority.pair(), authority.certificate)
    (tmp_path / "tls.key").write_bytes(authority.pair().key)
    done = run(*LOCAL, "--tls-certs-dir", str(tmp_path))
    assert done.returncode == 1
    assert "do not fit" in done.stderr
    assert "PRIVATE" not in done.stderr


@pytest.mark.parametrize("option", ["--address", "--http-address"])
def test_a_port_that_is_taken(option: str) -> None:
    with socket.socket() as taken:
        # Whoever holds it allows sharing, as gRPC servers do unless told otherwise.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run("--insecure", *LOCAL, option, address)
    assert done.returncode == 1
    assert f"cannot listen at {address}" in done.stderr


@pytest.mark.parametrize("address", ["8080", "localhost:http", "localhost:99999"])
def test_an_http_address_that_is_none(address: str) -> None:
    done = run("--insecure", "--address", process.FREE, "--http-address", address)
    assert done.returncode == 1
    assert f"--http-address is not host:port: {address}" in done.stderr


@pytest.mark.parametrize("size", ["0", "4096"])
def test_a_message_size_that_cannot_be(size: str) -> None:
    done = run("--insecure", *LOCAL, "--max-recv-message-size", size)
    assert done.returncode == 1
    assert "--max-recv-message-size" in done.stderr


def test_help_names_every_option() -> None:
    done = run("--help")
    assert done.returncode == 0
    for option in (
        "--debug",
        "--address",
        "--tls-server-certs-dir",
        "--tls-certs-dir",
        "--insecure",
        "--max-recv-message-size",
        "--max-grpc-message-size",
        "--max-send-message-size",
        "--http-address",
        "--drain-seconds",
    ):
        assert option in done.stdout
