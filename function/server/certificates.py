"""The server's certificates, read again when their files change.

Crossplane mounts a Secret with `tls.crt`, `tls.key` and `ca.crt`. Its root CA can change under a
running function (crossplane#7480: an upgrade by GitOps makes a new one), and a server that read its
files once then refuses every caller until someone restarts it. Here each handshake looks at the
files; what does not fit together is refused, and what worked before stays.
"""

# grpc has no annotations.
# mypy: allow-untyped-calls

import base64
import calendar
import dataclasses
import pathlib
import re
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc

from function.server import metrics

CERTIFICATE = "tls.crt"
KEY = "tls.key"
AUTHORITY = "ca.crt"

_PEM_CERTIFICATE = re.compile(
    rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL
)


class CertificateError(Exception):
    """The files cannot be read, or do not fit together. Says which and why, never a key's text."""


@dataclasses.dataclass(frozen=True, repr=False)
class Files:
    """What the three files hold, in PEM. Without a repr: it would print the key."""

    certificate: bytes
    key: bytes
    authority: bytes

    @classmethod
    def read(cls, directory: pathlib.Path) -> "Files":
        """Reads the three files.

        Raises:
            CertificateError: One cannot be read.
        """
        try:
            return cls(
                certificate=(directory / CERTIFICATE).read_bytes(),
                key=(directory / KEY).read_bytes(),
                authority=(directory / AUTHORITY).read_bytes(),
            )
        except OSError as error:
            raise CertificateError(f"cannot read {error.filename}: {error.strerror}") from error

    def configuration(self) -> Any:
        """Returns gRPC's form of it."""
        return grpc.ssl_server_certificate_configuration(
            [(self.key, self.certificate)], root_certificates=self.authority
        )


class Certificates:
    """Credentials for mutual TLS that follow their files.

    gRPC asks for the configuration at each handshake, on a thread of its own; a scrape of the
    metrics asks from the event loop.
    """

    def __init__(self, directory: str, counters: metrics.Metrics, log: Any) -> None:
        """Reads the files of a directory.

        Raises:
            CertificateError: They cannot be used. Nothing works yet that could be kept.
        """
        self._directory = pathlib.Path(directory)
        self._counters = counters
        self._log = log
        self._lock = threading.Lock()
        self._refused: Files | str | None = None
        self._used = Files.read(self._directory)
        _check(self._directory, self._used)

    def credentials(self) -> Any:
        """Returns server credentials that demand a certificate of each client."""
        return grpc.dynamic_ssl_server_credentials(
            self._used.configuration(), self._fetch, require_client_authentication=True
        )

    def expiry(self) -> dict[str, float]:
        """Returns when the certificates in use end, in Unix seconds: `server` and `ca`."""
        self.refresh()
        ends = {
            "server": min(_ends(self._used.certificate), default=None),
            "ca": min(_ends(self._used.authority), default=None),
        }
        return {name: end for name, end in ends.items() if end is not None}

    def refresh(self) -> bool:
        """Takes over changed files, and tells whether it did. Raises nothing."""
        with self._lock:
            try:
                files = Files.read(self._directory)
                if files in (self._used, self._refused):
                    return False
                _check(self._directory, files)
            except CertificateError as error:
                self._refuse(error)
                return False
            self._used, self._refused = files, None
            self._counters.reload("success")
            self._log.info("Certificates changed: new connections use them")
            return True

    def _refuse(self, error: CertificateError) -> None:
        """Says once for each state of the files that they are not used."""
        try:
            state: Files | str = Files.read(self._directory)
        except CertificateError as unreadable:
            state = str(unreadable)
        if state == self._refused:
            return
        self._refused = state
        self._counters.reload("failure")
        self._log.error("Changed certificates are not used; the old ones stay", reason=str(error))

    def _fetch(self) -> Any:
        """Returns the configuration for a handshake, or None to keep the one before."""
        return self._used.configuration() if self.refresh() else None


def _check(directory: pathlib.Path, files: Files) -> None:
    """Checks that the key is the certificate's and that the CA can be parsed.

    Raises:
        CertificateError: They do not fit, or changed while being read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate, key, authority = (directory / name for name in (CERTIFICATE, KEY, AUTHORITY))
    try:
        # An empty password, so that an encrypted key is an error and not a prompt.
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, OSError) as error:
        raise CertificateError(f"{certificate} and {key} do not fit: {error}") from error
    try:
        context.load_verify_locations(cadata=files.authority.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise CertificateError(f"{authority} holds no usable CA: {error}") from error
    # OpenSSL reads the pair from its paths: only if they did not move was this pair checked.
    if Files.read(directory) != files:
        raise CertificateError(f"{directory} changed while it was read")


def _ends(pem: bytes) -> Iterator[float]:
    """Yields the end of each certificate of a file, in Unix seconds; unparsable ones yield none."""
    for match in _PEM_CERTIFICATE.finditer(pem):
        try:
            yield _not_after(base64.b64decode(match.group(1)))
        except (IndexError, ValueError):
            continue


def _not_after(certificate: bytes) -> float:
    """Returns a DER certificate's notAfter (RFC 5280, 4.1) in Unix seconds.

    The standard library parses that field only of a peer's certificate.

    Raises:
        IndexError: It is cut off.
        ValueError: Its time is not one of the two forms of RFC 5280, 4.1.2.5.
    """
    _, fields = _element(_element(certificate)[1])
    tag, _ = _element(fields)
    # Version (optional, context tag 0), serial number, algorithm, issuer; then the validity.
    for _ in range(4 if tag == 0xA0 else 3):
        fields = _after(fields)
    _, validity = _element(fields)
    tag, text = _element(_after(validity))
    digits = text.decode("ascii")
    if tag == 0x17:  # UTCTime: two digits of the year, 1950 to 2049.
        digits = ("19" if digits >= "50" else "20") + digits
    return float(calendar.timegm(time.strptime(digits, "%Y%m%d%H%M%SZ")))


def _header(data: bytes) -> tuple[int, int]:
    """Returns where a DER element's content begins and ends."""
    length = data[1]
    if length < 0x80:
        return 2, 2 + length
    size = length & 0x7F
    return 2 + size, 2 + size + int.from_bytes(data[2 : 2 + size], "big")


def _element(data: bytes) -> tuple[int, bytes]:
    """Returns the tag and the content of the first DER element."""
    begin, end = _header(data)
    return data[0], data[begin:end]


def _after(data: bytes) -> bytes:
    """Returns what follows the first DER element."""
    return data[_header(data)[1] :]
