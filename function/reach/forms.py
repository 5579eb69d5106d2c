"""Both forms of policies, read."""

from collections.abc import Iterable, Mapping
from typing import Any

from function.reach import cilium, native, policies

_FORMS = {cilium.KIND: cilium.read, native.KIND: native.read}
KINDS = frozenset(_FORMS)


def read(manifests: Iterable[Mapping[str, Any]]) -> policies.Policies:
    """Returns the policies among manifests; objects of other kinds are passed over.

    Raises:
        ValueError: An object is no policy as its schema has them.
    """
    return policies.Policies(
        policy for manifest in manifests if manifest["kind"] in KINDS for policy in _read(manifest)
    )


def _read(manifest: Mapping[str, Any]) -> tuple[policies.Policy, ...]:
    try:
        return tuple(_FORMS[manifest["kind"]](manifest))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        name = (manifest.get("metadata") or {}).get("name")
        words = f"{manifest['kind']} {name} is no policy as its schema has them: {error}"
        raise ValueError(words) from error


def key(manifest: Mapping[str, Any]) -> tuple[str, str, str]:
    """Returns kind, namespace and name of a policy."""
    metadata = manifest["metadata"]
    return manifest["kind"], str(metadata.get("namespace") or "default"), str(metadata["name"])
