"""A program of these tests that the cluster knows by a name, and reaches by TLS."""

from __future__ import annotations

import http.server
import pathlib
import ssl
import threading

from e2e.controlplane import api, certificates
from e2e.dataplane import services

PORT = 443


class Server:
    """A server on a port of loopback.

    Attributes:
        port: The port.
        host: The name by which the cluster knows it, which its certificate has.
        authority: The PEM certificate of who signed its own.
    """

    def __init__(
        self,
        name: str,
        namespace: str,
        work: pathlib.Path,
        handler: type[http.server.BaseHTTPRequestHandler],
    ) -> None:
        """Make its certificate, and serve.

        Args:
            name: The name of its Service.
            namespace: Where that is to be.
            work: For files.
            handler: Who answers.
        """
        self._name = name
        self._namespace = namespace
        self.host = f"{name}.{namespace}.svc.cluster.local"
        signer = certificates.authority(work, "ca")
        pair = certificates.certificate(work, "tls", signer, [self.host])
        self.authority = signer.certificate.read_text()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def objects(self, address: str) -> list[api.Object]:
        """What gives it a name in the cluster.

        Args:
            address: Where pods reach its port.
        """
        return services.outside(self._name, self._namespace, PORT, address, self.port)

    def stop(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()
