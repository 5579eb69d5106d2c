"""The gRPC server: what the SDK's lacks for a pod that is probed, rotated, drained and measured.

Its services, options and logs are the SDK's. Added are certificates that follow their files, the
gRPC health service, HTTP probes and metrics, a drain that tells before it refuses, and failures at
startup that end the process instead of leaving it half up.
"""

# grpc has no annotations.
# mypy: allow-untyped-calls

import asyncio
import dataclasses
import signal
import time
from typing import Any, Protocol

import grpc
import structlog
from crossplane.function import logging as function_logging
from crossplane.function import runtime
from crossplane.function.proto.v1 import run_function_pb2 as fnv1
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

import function
from function.server import certificates, intake, metrics, probes

SERVICES = (*runtime.SERVICE_NAMES, health.SERVICE_NAME)
# The versions of the one service, whose messages are the same.
VERSIONS = tuple(name for name in SERVICES if name.endswith(".FunctionRunnerService"))

# Core keeps its connections for as long as they work, so that it would never notice a second
# replica, and a client whose CA was rotated away would stay. Ending them costs it a handshake.
MAX_CONNECTION_AGE_SECONDS = 600
# Core shakes hands within milliseconds. Who has not after this long is closed.
HANDSHAKE_SECONDS = 5
# Connections at most, among them those that shake hands: 512 silent ones take 23 MiB until they
# are closed (measured, with TLS). Core has one for each of its pods. Those beyond are closed once
# they are accepted.
MOST_CONNECTIONS = 512
# gRPC keeps sizes as signed 32-bit numbers of bytes.
MOST_MESSAGE_MIB = 2047

# How long no call must come before the server stops taking them, and for how long that is tried.
QUIET_SECONDS = 0.05
MOST_GATHER_SECONDS = 1.0

_SEVERITY = {
    fnv1.SEVERITY_FATAL: "fatal",
    fnv1.SEVERITY_WARNING: "warning",
    fnv1.SEVERITY_NORMAL: "normal",
}


class Servicer(Protocol):
    """What answers calls: `runner.Runner`."""

    async def RunFunction(  # noqa: N802 - the service's name
        self, received: intake.Received, context: Any, /
    ) -> fnv1.RunFunctionResponse:
        """Returns the answer."""


class StartError(Exception):
    """The server cannot start; says why in words for whoever reads the pod's log."""


@dataclasses.dataclass(frozen=True)
class Options:
    """How to serve.

    Attributes:
        address: Where gRPC listens, as host:port.
        http_address: Where probes and metrics listen, as host:port; empty for not at all.
        tls_certs_dir: A directory with tls.crt, tls.key and ca.crt.
        insecure: Serve without TLS, even if there are certificates.
        max_recv_message_size: Largest request, in MiB.
        max_send_message_size: Largest answer, in MiB; None for the same as a request.
        drain_seconds: How long running calls may go on after SIGTERM or SIGINT.
        debug: Readable logs instead of JSON.
    """

    address: str
    http_address: str
    tls_certs_dir: str | None
    insecure: bool
    max_recv_message_size: int
    max_send_message_size: int | None
    drain_seconds: float
    debug: bool = False


class Calls:
    """Another servicer's calls: counted, and held at a gate while the server turns to draining.

    Attributes:
        gate: Set while calls go straight through.
        arrived: How many calls came so far.
    """

    def __init__(self, wrapped: Servicer, counters: metrics.Metrics) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.arrived = 0
        self._wrapped = wrapped
        self._counters = counters

    async def RunFunction(  # noqa: N802 - the service's name
        self, received: intake.Received, context: Any
    ) -> fnv1.RunFunctionResponse:
        """Returns the other servicer's answer."""
        self.arrived += 1
        self._counters.started()
        severity = "error"
        begin = time.perf_counter()
        try:
            await self.gate.wait()
            rsp = await self._wrapped.RunFunction(received, context)
            severity = _worst(rsp)
            return rsp
        finally:
            self._counters.finished(severity, time.perf_counter() - begin)

    def handlers(self, service: str) -> Any:
        """Returns the handlers of a version of the service: both have the same messages.

        Those that protoc makes decode a request before anything can look at it.
        """
        method = grpc.unary_unary_rpc_method_handler(
            self.RunFunction,
            request_deserializer=intake.read,
            response_serializer=fnv1.RunFunctionResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(service, {"RunFunction": method})

    async def all_in(self) -> None:
        """Closes the gate and waits until no call comes any more, or not for long.

        A call that reached the socket and not yet Python is cancelled when the server stops. In a
        loop that composes nothing each of them comes in within a fraction of a millisecond.
        """
        self.gate.clear()
        for _ in range(round(MOST_GATHER_SECONDS / QUIET_SECONDS)):
            before = self.arrived
            await asyncio.sleep(QUIET_SECONDS)
            if self.arrived == before:
                return


def _worst(rsp: fnv1.RunFunctionResponse) -> str:
    """Returns the worst severity among an answer's results: a lower number is worse."""
    severities = [result.severity for result in rsp.results if result.severity]
    return _SEVERITY.get(min(severities), "none") if severities else "none"


def serve(servicer: Servicer, options: Options) -> None:
    """Serves until SIGTERM or SIGINT, then drains.

    Raises:
        StartError: An address, a certificate or an option cannot be used.
    """
    configure_logging(debug=options.debug)
    asyncio.run(Server(servicer, options).run())


def configure_logging(*, debug: bool) -> None:
    """Configures the SDK's logging, with tracebacks that hold no variables.

    The SDK's print each frame's locals, and a frame's locals include the request: with it the
    credentials that core hands over.
    """
    level = function_logging.Level.DEBUG if debug else function_logging.Level.INFO
    function_logging.configure(level=level)
    bare = structlog.processors.ExceptionRenderer(
        structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    )
    processors: list[Any] = []
    for processor in structlog.get_config()["processors"]:
        if isinstance(processor, structlog.processors.ExceptionRenderer):
            processors.append(bare)
        elif isinstance(processor, structlog.dev.ConsoleRenderer):
            processors.append(
                structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
            )
        else:
            processors.append(processor)
    # Whoever keeps a logger would otherwise have it bound again for each entry.
    structlog.configure(processors=processors, cache_logger_on_first_use=True)


class Server:
    """One server: gRPC and HTTP on one event loop."""

    def __init__(self, servicer: Servicer, options: Options) -> None:
        self._options = options
        self._log = function_logging.get_logger()
        self._metrics = metrics.Metrics()
        self._calls = Calls(servicer, self._metrics)
        self._probes = probes.Probes(self._metrics.render)
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]

    async def run(self) -> None:
        """Serves until a signal, then drains.

        Raises:
            StartError: It cannot start.
        """
        asked = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, asked.set)
        server = self._grpc()
        address = self._listen(server)
        http_port = await self._serve_http()
        await server.start()
        await self._set_serving()
        self._log.info(
            "Serving",
            version=function.__version__,
            address=address,
            http_port=http_port,
            insecure=self._options.insecure,
        )
        await asked.wait()
        await self._drain(server)

    def _grpc(self) -> Any:
        """Returns the gRPC server with its services, not yet listening."""
        receive = self._options.max_recv_message_size
        send = self._options.max_send_message_size
        send = receive if send is None else send
        for option, size in (("recv", receive), ("send", send)):
            if not 0 < size <= MOST_MESSAGE_MIB:
                raise StartError(f"--max-{option}-message-size is 1 to {MOST_MESSAGE_MIB} (MiB)")
        server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", receive * 1024 * 1024),
                ("grpc.max_send_message_length", send * 1024 * 1024),
                ("grpc.max_connection_age_ms", MAX_CONNECTION_AGE_SECONDS * 1000),
                # TLS and HTTP/2's first frame.
                ("grpc.server_handshake_timeout_ms", HANDSHAKE_SECONDS * 1000),
                ("grpc.max_allowed_incoming_connections", MOST_CONNECTIONS),
                # Two servers could otherwise share a port, each with half of the connections.
                ("grpc.so_reuseport", 0),
            ]
        )
        versions = tuple(self._calls.handlers(name) for name in VERSIONS)
        server.add_generic_rpc_handlers(versions)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection(SERVICES, server)
        return server

    def _listen(self, server: Any) -> str:
        """Binds the gRPC port and returns the address with the port that it got."""
        address = self._options.address
        try:
            if self._options.insecure:
                port = server.add_insecure_port(address)
            else:
                port = server.add_secure_port(address, self._credentials())
        except RuntimeError as error:
            raise StartError(f"cannot listen at {address}: {error}") from error
        return f"{address.rpartition(':')[0]}:{port}"

    def _credentials(self) -> Any:
        directory = self._options.tls_certs_dir
        if not directory:
            raise StartError(
                "no certificates: give --tls-server-certs-dir (or $TLS_SERVER_CERTS_DIR) a "
                "directory with tls.crt, tls.key and ca.crt, or --insecure for development"
            )
        try:
            pair = certificates.Certificates(directory, self._metrics, self._log)
        except certificates.CertificateError as error:
            raise StartError(f"cannot use the certificates: {error}") from error
        self._metrics.expiry = pair.expiry
        return pair.credentials()

    async def _serve_http(self) -> int | None:
        """Starts the probes and returns their port."""
        address = self._options.http_address
        if not address:
            return None
        host, colon, port = address.rpartition(":")
        # A port above 65535 would be taken modulo 65536.
        if not colon or not port.isdecimal() or int(port) > 65535:
            raise StartError(f"--http-address is not host:port: {address}")
        try:
            return await self._probes.start(host.strip("[]") or None, int(port))
        except OSError as error:
            raise StartError(f"cannot listen at {address}: {error.strerror}") from error

    async def _set_serving(self) -> None:
        for service in SERVICES:
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)
        self._probes.ready = True

    async def _drain(self, server: Any) -> None:
        """Turns readiness off, refuses new calls, lets the running ones end."""
        self._log.info("Draining", seconds=self._options.drain_seconds)
        self._probes.ready = False
        await self._health.enter_graceful_shutdown()
        await self._calls.all_in()
        stopping = asyncio.create_task(server.stop(self._options.drain_seconds))
        await asyncio.sleep(0)  # From here on new calls are refused.
        self._calls.gate.set()
        await stopping
        self._probes.stop()
        self._log.info("Stopped")
