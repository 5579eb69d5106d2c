"""Checks of ConfigMaps and Secrets that Kubernetes has in code.

Source: Kubernetes 1.36 `ValidateConfigMap` and `ValidateSecret` in `pkg/apis/core/validation`.
"""

import base64
import json
import typing
from collections import abc

from tests.schemas import containers, names

Object: typing.TypeAlias = abc.Mapping[str, typing.Any]
Findings: typing.TypeAlias = containers.Findings

# Bytes of all values together (MaxSecretSize).
SIZE_LIMIT = 1024 * 1024
_REQUIRED_KEYS = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}
_JSON_KEYS = (".dockercfg", ".dockerconfigjson")


def config_map(obj: Object, out: Findings) -> None:
    """Check a ConfigMap."""
    text = obj.get("data", {})
    binary = obj.get("binaryData", {})
    for path, values in (("data", text), ("binaryData", binary)):
        for key in values:
            names.add(out, f"{path}[{key}]", names.data_key(key))
    for key in set(text) & set(binary):
        containers.fail(out, f"data[{key}]", "is in binaryData as well")
    size = sum(len(value.encode()) for value in text.values())
    _size(size + sum(len(base64.b64decode(value)) for value in binary.values()), "data", out)


def secret(obj: Object, out: Findings) -> None:
    """Check a Secret, with `stringData` merged over `data` as the server merges it."""
    data = {key: base64.b64decode(value) for key, value in obj.get("data", {}).items()}
    data |= {key: value.encode() for key, value in obj.get("stringData", {}).items()}
    for key in data:
        names.add(out, f"data[{key}]", names.data_key(key))
    _size(sum(len(value) for value in data.values()), "data", out)
    kind = obj.get("type", "Opaque")
    for key in _REQUIRED_KEYS.get(kind, ()):
        if key not in data:
            containers.fail(out, f"data[{key}]", f"needed by type {kind}")
    if kind == "kubernetes.io/basic-auth" and not data.keys() & {"username", "password"}:
        containers.fail(out, "data", "type kubernetes.io/basic-auth needs username or password")
    for key in set(_REQUIRED_KEYS.get(kind, ())) & set(_JSON_KEYS) & set(data):
        try:
            json.loads(data[key])
        except ValueError:
            containers.fail(out, f"data[{key}]", "must be JSON")


def _size(size: int, path: str, out: Findings) -> None:
    if size > SIZE_LIMIT:
        containers.fail(out, path, f"has {size} bytes, at most {SIZE_LIMIT} are allowed")
