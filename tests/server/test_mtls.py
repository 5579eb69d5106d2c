"""Mutual TLS: who is let in, and what happens when certificates change while serving."""

# grpc has no annotations.
# mypy: allow-untyped-calls

import concurrent.futures
import datetime
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from function.server import certificates, metrics
from tests.server import pki, process

RELOADS = 'inference_service_function_certificate_reloads_total{result="%s"}'
EXPIRY = 'inference_service_function_certificate_expiry_timestamp_seconds{certificate="%s"}'
CHANGED = "Certificates changed: new connections use them"
REFUSED = "Changed certificates are not used; the old ones stay"


@pytest.fixture
def authority() -> pki.Authority:
    return pki.Authority()


@pytest.fixture
def directory(tmp_path: pathlib.Path, authority: pki.Authority) -> pathlib.Path:
    pki.write(tmp_path, authority.pair(), authority.certificate)
    return tmp_path


@pytest.fixture
def server(directory: pathlib.Path) -> Iterator[process.Running]:
    with process.serving("--tls-server-certs-dir", str(directory)) as running:
        yield running


def credentials(trusted: bytes, pair: pki.Pair | None) -> Any:
    """Returns a client's credentials."""
    if pair is None:
        return grpc.ssl_channel_credentials(root_certificates=trusted)
    return grpc.ssl_channel_credentials(
        root_certificates=trusted, private_key=pair.key, certificate_chain=pair.certificate
    )


def connect(server: process.Running, trusted: bytes, pair: pki.Pair | None) -> Any:
    """Returns a channel over a connection of its own."""
    return process.channel(server.address, credentials=credentials(trusted, pair))


def answered(
    server: process.Running, req: fnv1.RunFunctionRequest, trusted: bytes, pair: pki.Pair | None
) -> bool:
    """Tells whether a new connection gets an answer; anything but a refused handshake fails."""
    with connect(server, trusted, pair) as channel:
        try:
            process.stub(channel).RunFunction(req, timeout=process.CALL_SECONDS)
        except grpc.RpcError as error:
            if process.failure(error)[0] is not grpc.StatusCode.UNAVAILABLE:
                raise
            return False
    return True


def test_a_client_needs_a_certificate_of_the_ca(
    server: process.Running, authority: pki.Authority, request_: fnv1.RunFunctionRequest
) -> None:
    trusted = authority.certificate
    assert answered(server, request_, trusted, authority.pair())
    assert not answered(server, request_, trusted, None)
    assert not answered(server, request_, trusted, pki.Authority().pair())
    with process.channel(server.address) as plain, pytest.raises(grpc.RpcError):
        process.stub(plain).RunFunction(request_, timeout=process.CALL_SECONDS)


def test_the_server_pair_rotates(
    server: process.Running,
    directory: pathlib.Path,
    authority: pki.Authority,
    request_: fnv1.RunFunctionRequest,
) -> None:
    client = authority.pair()
    before = server.sample(EXPIRY % "server")
    pki.write(directory, authority.pair(datetime.timedelta(days=60)), authority.certificate)
    assert answered(server, request_, authority.certificate, client)
    server.logged(CHANGED)
    assert server.sample(RELOADS % "success") == 1
    assert server.sample(EXPIRY % "server") == pytest.approx(before + 30 * 86400, abs=60)
    # Nothing changed since: nothing is read in again.
    assert answered(server, request_, authority.certificate, client)
    assert server.sample(RELOADS % "success") == 1


def test_the_ca_rotates(
    server: process.Running,
    directory: pathlib.Path,
    authority: pki.Authority,
    request_: fnv1.RunFunctionRequest,
) -> None:
    old, new = authority, pki.Authority()
    old_client, new_client = old.pair(), new.pair()
    with connect(server, old.certificate, old_client) as before:
        stub = process.stub(before)
        stub.RunFunction(request_, timeout=process.CALL_SECONDS)
        # In step one both are trusted, in step two the old one is not any more.
        pki.write(directory, new.pair(), old.certificate + new.certificate)
        assert answered(server, request_, new.certificate, old_client)
        assert answered(server, request_, new.certificate, new_client)
        pki.write(directory, new.pair(), new.certificate)
        assert answered(server, request_, new.certificate, new_client)
        # It trusts the server's new certificate: it is the server that refuses.
        assert not answered(server, request_, new.certificate, old_client)
        # What is connected stays connected.
        stub.RunFunction(request_, timeout=process.CALL_SECONDS)


def test_a_rotation_leaves_running_calls_alone(
    directory: pathlib.Path, authority: pki.Authority, request_: fnv1.RunFunctionRequest
) -> None:
    new = pki.Authority()
    options = ("--tls-certs-dir", str(directory))
    with (
        process.serving(*options, module="tests.server.slow", SLOW_SECONDS="2") as server,
        connect(server, authority.certificate, authority.pair()) as channel,
        concurrent.futures.ThreadPoolExecutor(1) as pool,
    ):
        call = process.stub(channel).RunFunction
        running = pool.submit(call, request_, timeout=process.CALL_SECONDS)
        server.until_in_flight(1)
        pki.write(directory, new.pair(), new.certificate)
        with connect(server, new.certificate, new.pair()) as fresh:
            grpc.channel_ready_future(fresh).result(process.CALL_SECONDS)
        assert not running.done(), "too late to show anything"
        assert "xplane-qwen-coder-service" in running.result().desired.resources


def break_key(directory: pathlib.Path, authority: pki.Authority) -> None:
    (directory / "tls.key").write_bytes(authority.pair().key)


def break_certificate(directory: pathlib.Path, _: pki.Authority) -> None:
    whole = (directory / "tls.crt").read_bytes()
    (directory / "tls.crt").write_bytes(whole[: len(whole) // 2])


def break_authority(directory: pathlib.Path, _: pki.Authority) -> None:
    (directory / "ca.crt").write_bytes(b"")


def break_directory(directory: pathlib.Path, _: pki.Authority) -> None:
    (directory / "tls.crt").unlink()


def test_a_broken_rotation_keeps_what_works(
    server: process.Running,
    directory: pathlib.Path,
    authority: pki.Authority,
    request_: fnv1.RunFunctionRequest,
) -> None:
    client, good = authority.pair(), authority.pair()
    failures = (break_key, break_certificate, break_authority, break_directory)
    for count, failure in enumerate(failures, start=1):
        failure(directory, authority)
        for _ in range(2):
            assert answered(server, request_, authority.certificate, client), failure.__name__
        server.logged(REFUSED, count)
        assert server.sample(RELOADS % "failure") == count, "one error for one state of the files"
        pki.write(directory, good, authority.certificate)
        assert answered(server, request_, authority.certificate, client)
        good = authority.pair()
    assert len(server.entries(REFUSED)) == len(failures)
    assert all(entry["level"] == "error" for entry in server.entries(REFUSED))
    assert "PRIVATE KEY" not in server.output


def test_insecure_wins_over_certificates(
    directory: pathlib.Path, request_: fnv1.RunFunctionRequest
) -> None:
    options = ("--tls-certs-dir", str(directory), "--insecure")
    with process.serving(*options) as server, process.channel(server.address) as channel:
        process.stub(channel).RunFunction(request_, timeout=process.CALL_SECONDS)


class Log:
    """Takes what is logged."""

    def info(self, *_: Any, **__: Any) -> None: ...

    def error(self, *_: Any, **__: Any) -> None: ...


@pytest.mark.parametrize("days", [1, 365 * 10, 365 * 60])
def test_expiry(tmp_path: pathlib.Path, authority: pki.Authority, days: int) -> None:
    # RFC 5280 writes years from 2050 on in another form.
    life = datetime.timedelta(days=days)
    pki.write(tmp_path, authority.pair(life), authority.certificate)
    read = certificates.Certificates(str(tmp_path), metrics.Metrics(), Log())
    assert read.expiry() == {
        "server": pytest.approx(time.time() + life.total_seconds(), abs=60),
        "ca": pytest.approx(time.time() + pki.LIFE.total_seconds(), abs=60),
    }


def test_expiry_is_of_the_first_certificate_to_end(
    tmp_path: pathlib.Path, authority: pki.Authority
) -> None:
    soon, late = (authority.pair(datetime.timedelta(days=days)) for days in (2, 20))
    chain = pki.Pair(late.certificate + soon.certificate, late.key)
    pki.write(tmp_path, chain, authority.certificate)
    read = certificates.Certificates(str(tmp_path), metrics.Metrics(), Log())
    assert read.expiry()["server"] == pytest.approx(time.time() + 2 * 86400, abs=60)
