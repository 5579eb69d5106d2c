"""An identity provider: keys, and tokens that are signed by one of them."""

from __future__ import annotations

import base64
import http.server
import json
import pathlib
import ssl
import threading
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from e2e.controlplane import api, certificates
from e2e.dataplane import services

LIFE_SECONDS = 3600
NAME, PORT = "stand-in-issuer", 443


class Issuer:
    """Somebody who signs tokens.

    Attributes:
        address: What tokens have in iss.
        audience: For whom tokens are.
    """

    def __init__(self, address: str, audience: str) -> None:
        """Make a key."""
        self.address = address
        self.audience = audience
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def keys(self) -> str:
        """The JSON Web Key Set."""
        numbers = self._key.public_key().public_numbers()
        key = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "one"}
        key |= {"n": _number(numbers.n), "e": _number(numbers.e)}
        return json.dumps({"keys": [key]})

    def token(self, caller: str, *, life: int = LIFE_SECONDS, **claims: object) -> str:
        """A token.

        Args:
            caller: What it has in azp.
            life: Seconds from now until its end.
            claims: More claims, or others in the place of the usual ones.
        """
        now = int(time.time())
        body: dict[str, object] = {
            "iss": self.address,
            "aud": self.audience,
            "sub": f"user-of-{caller}",
            "azp": caller,
            "iat": now - 60,
            "exp": now + life,
            **claims,
        }
        head = {"alg": "RS256", "typ": "JWT", "kid": "one"}
        signed = f"{_text(json.dumps(head).encode())}.{_text(json.dumps(body).encode())}"
        mark = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_text(mark)}"


class Published:
    """Where the keys of an issuer are, by TLS, on a port of loopback.

    Attributes:
        port: The port.
        host: The name by which the cluster knows it, which its certificate has.
        trusted: Directory with `ca-certificates.crt`, the authority that signed it.
        asked: Paths that it was asked for so far.
    """

    def __init__(self, issuer: Issuer, work: pathlib.Path, namespace: str) -> None:
        """Make its certificate, and serve.

        Args:
            issuer: Whose keys.
            work: For files.
            namespace: Where its Service is to be.
        """
        self._namespace = namespace
        self.host = f"{NAME}.{namespace}.svc.cluster.local"
        self.asked: list[str] = []
        signer = certificates.authority(work, "ca")
        pair = certificates.certificate(work, "tls", signer, [self.host])
        self.trusted = work / "trusted"
        self.trusted.mkdir()
        (self.trusted / "ca-certificates.crt").write_text(signer.certificate.read_text())
        for path in (self.trusted, *self.trusted.iterdir()):
            path.chmod(0o755)
        asked = self.asked

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                content = issuer.keys.encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments: object) -> None:
                del arguments

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
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
        return services.outside(NAME, self._namespace, PORT, address, self.port)

    def stop(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _text(value.to_bytes((value.bit_length() + 7) // 8, "big"))
