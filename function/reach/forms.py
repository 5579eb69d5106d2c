"""Both forms of policies, read."""

from collections.abc import Iterable, Mapping
from typing import Any

from function.reach import cilium, native, policies

_FORMS = {cilium.KIND: cilium.read, native.KIND: native.read}
KINDS = frozenset(_FORMS)


def read(manifests: Iterable[Mapping[str, Any]]) -> policies.Policies:
    """Returns the policies among manifests; objects of other kinds are passed over."""
    return policies.Policies(
        _FORMS[manifest["kind"]](manifest) for manifest in manifests if manifest["kind"] in KINDS
    )
