"""An identity provider: keys, and tokens that are signed by one of them."""

from __future__ import annotations

import base64
import json
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

LIFE_SECONDS = 3600


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


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _text(value.to_bytes((value.bit_length() + 7) // 8, "big"))
