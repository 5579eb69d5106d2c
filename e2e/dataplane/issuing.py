"""An identity provider: keys, and tokens that are signed by one of them."""

from __future__ import annotations

import base64
import http.server
import json
import pathlib
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from e2e.dataplane import published

LIFE_SECONDS = 3600
NAME = "stand-in-issuer"


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


class Published(published.Server):
    """Where the keys of an issuer are.

    Attributes:
        issuer: Whose keys.
        trusted: Directory with `ca-certificates.crt`, the authority that signed its certificate.
        asked: Paths that it was asked for so far.
    """

    def __init__(self, issuer: Issuer, work: pathlib.Path, namespace: str) -> None:
        """Make its certificate, and serve.

        Args:
            issuer: Whose keys.
            work: For files.
            namespace: Where its Service is to be.
        """
        self.issuer = issuer
        self.asked: list[str] = []
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

        super().__init__(NAME, namespace, work, Handler)
        self.trusted = work / "trusted"
        self.trusted.mkdir()
        (self.trusted / "ca-certificates.crt").write_text(self.authority)
        for path in (self.trusted, *self.trusted.iterdir()):
            path.chmod(0o755)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _text(value.to_bytes((value.bit_length() + 7) // 8, "big"))
