"""Keys and certificates of the control plane, made with the ``openssl`` command."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
import subprocess
from collections.abc import Sequence

# Longer than any run, shorter than anybody would rely on.
_DAYS = "2"


@dataclasses.dataclass(frozen=True)
class Pair:
    """A PEM certificate (or public key) and its private key."""

    certificate: pathlib.Path
    key: pathlib.Path


def _openssl(*arguments: str | pathlib.Path) -> None:
    """Run openssl.

    Raises:
        RuntimeError: It is absent or failed.
    """
    program = shutil.which("openssl")
    if program is None:
        message = "openssl is missing: the control plane makes its certificates with it"
        raise RuntimeError(message)
    command = [program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        message = f"{' '.join(command)}: {done.stderr}"
        raise RuntimeError(message)


def signing_keys(directory: pathlib.Path) -> Pair:
    """Make the key pair that signs service account tokens; the certificate is a public key."""
    pair = Pair(certificate=directory / "sa.pub", key=directory / "sa.key")
    _openssl("genrsa", "-out", pair.key, "2048")
    _openssl("rsa", "-in", pair.key, "-pubout", "-out", pair.certificate)
    return pair


def authority(directory: pathlib.Path, name: str) -> Pair:
    """Make a self-signed certificate authority, ``<name>.crt`` and ``<name>.key``."""
    pair = Pair(certificate=directory / f"{name}.crt", key=directory / f"{name}.key")
    _openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-days", _DAYS, "-subj", f"/CN={name}"),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        *("-keyout", pair.key, "-out", pair.certificate),
    )
    return pair


def certificate(
    directory: pathlib.Path, name: str, issuer: Pair, hosts: Sequence[str] = ()
) -> Pair:
    """Make a certificate for a client and, with ``hosts``, also a server.

    Args:
        directory: Where ``<name>.crt`` and ``<name>.key`` go.
        name: File name and common name.
        issuer: The authority that signs.
        hosts: DNS names or IPv4 addresses of the server.
    """
    pair = Pair(certificate=directory / f"{name}.crt", key=directory / f"{name}.key")
    names = ",".join(
        f"{'IP' if host.replace('.', '').isdigit() else 'DNS'}:{host}" for host in hosts
    )
    _openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
        *("-days", _DAYS, "-subj", f"/CN={name}"),
        *("-CA", issuer.certificate, "-CAkey", issuer.key),
        *("-addext", "basicConstraints=critical,CA:FALSE"),
        *("-addext", "extendedKeyUsage=clientAuth,serverAuth"),
        *(("-addext", f"subjectAltName={names}") if hosts else ()),
        *("-keyout", pair.key, "-out", pair.certificate),
    )
    return pair
