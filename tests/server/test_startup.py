"""What cannot start says why and exits with an error, instead of staying half up.

Exit codes, and what listens already when the next address cannot be used, are asked of processes.
One more process tells what else is refused.
"""

import json
import pathlib
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from click import testing

from function import main
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

# Reads options, a JSON list a line; answers each with why the server does not start.
_ASKED = """
import json, sys
import click
from function import main
for line in sys.stdin:
    try:
        main.main(json.loads(line), standalone_mode=False)
    except click.ClickException as error:
        print(json.dumps(error.message), flush=True)
"""


@pytest.fixture(scope="module")
def asked() -> Iterator[subprocess.Popen[str]]:
    """A process that tries one start after the other."""
    with subprocess.Popen(
        (sys.executable, "-c", _ASKED),
        cwd=process.ROOT,
        env={"PATH": "/usr/bin:/bin"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as started:
        yield started
        assert started.stdin is not None
        started.stdin.close()
        started.wait(process.STOP_SECONDS)


def refused(asked: subprocess.Popen[str], *options: str) -> str:
    """Returns why a server with these options does not start."""
    assert asked.stdin is not None
    assert asked.stdout is not None
    print(json.dumps(options), file=asked.stdin, flush=True)
    message = json.loads(asked.stdout.readline())
    assert isinstance(message, str)
    return message


def test_without_certificates() -> None:
    done = run(*LOCAL)
    assert done.returncode == 1
    assert "no certificates: give --tls-server-certs-dir" in done.stderr
    assert "--insecure" in done.stderr


def test_certificates_that_are_not_there(tmp_path: pathlib.Path) -> None:
    done = run(*LOCAL, TLS_SERVER_CERTS_DIR=str(tmp_path))
    assert done.returncode == 1
    assert f"cannot read {tmp_path}/tls.crt: No such file or directory" in done.stderr


def test_a_key_of_another_certificate(asked: subprocess.Popen[str], tmp_path: pathlib.Path) -> None:
    authority = pki.Authority()
    pki.write(tmp_path, authority.pair(), authority.certificate)
    (tmp_path / "tls.key").write_bytes(authority.pair().key)
    message = refused(asked, *LOCAL, "--tls-certs-dir", str(tmp_path))
    assert "do not fit" in message
    assert "PRIVATE" not in message


@pytest.fixture
def taken() -> Iterator[str]:
    """An address at which somebody listens."""
    with socket.socket() as taken:
        # Whoever holds it allows sharing, as gRPC servers do unless told otherwise.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def test_a_port_that_is_taken(asked: subprocess.Popen[str], taken: str) -> None:
    message = refused(asked, "--insecure", *LOCAL, "--address", taken)
    assert f"cannot listen at {taken}" in message


def test_a_port_of_the_probes_that_is_taken(taken: str) -> None:
    """The port of gRPC listens by then: the process ends all the same."""
    done = run("--insecure", *LOCAL, "--http-address", taken)
    assert done.returncode == 1
    assert f"cannot listen at {taken}" in done.stderr


@pytest.mark.parametrize("address", ["8080", "localhost:http", "localhost:99999"])
def test_an_http_address_that_is_none(asked: subprocess.Popen[str], address: str) -> None:
    message = refused(asked, "--insecure", "--address", process.FREE, "--http-address", address)
    assert message == f"--http-address is not host:port: {address}"


@pytest.mark.parametrize("size", ["0", "4096"])
def test_a_message_size_that_cannot_be(asked: subprocess.Popen[str], size: str) -> None:
    message = refused(asked, "--insecure", *LOCAL, "--max-recv-message-size", size)
    assert "--max-recv-message-size" in message


def test_help_names_every_option() -> None:
    done = testing.CliRunner().invoke(main.main, ["--help"])
    assert done.exit_code == 0
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
