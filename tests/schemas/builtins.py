"""Built-in kinds: schema of the OpenAPI documents, then the checks that Kubernetes has in code."""

import typing
from collections import abc

from tests.schemas import finding, names, networks, openapi, payloads, workloads

Object: typing.TypeAlias = abc.Mapping[str, typing.Any]
Findings: typing.TypeAlias = list[finding.Finding]
NameCheck: typing.TypeAlias = abc.Callable[[str], names.Messages]
Check: typing.TypeAlias = abc.Callable[[Object, Findings], None]


def _nothing(_obj: Object, _out: Findings) -> None:
    """The schema and the metadata say it all."""


_KINDS: dict[tuple[str, str], tuple[NameCheck, Check]] = {
    ("apps/v1", "Deployment"): (names.dns_subdomain, workloads.deployment),
    ("batch/v1", "Job"): (names.dns_subdomain, workloads.job),
    ("policy/v1", "PodDisruptionBudget"): (names.dns_subdomain, workloads.disruption_budget),
    ("networking.k8s.io/v1", "NetworkPolicy"): (names.dns_subdomain, networks.network_policy),
    ("v1", "Service"): (names.dns_1035_label, networks.service),
    ("v1", "ServiceAccount"): (names.dns_subdomain, _nothing),
    ("v1", "ConfigMap"): (names.dns_subdomain, payloads.config_map),
    ("v1", "Secret"): (names.dns_subdomain, payloads.secret),
}

_FINALIZERS = ("orphan", "foregroundDeletion", "kubernetes")
# Paths that an update may not change (`Validate…Update` in the same packages). The template of a
# Job is one: a change of it has to be another Job.
_IMMUTABLE: dict[tuple[str, str], tuple[str, ...]] = {
    ("apps/v1", "Deployment"): ("spec.selector",),
    ("batch/v1", "Job"): (
        "spec.selector",
        "spec.template",
        "spec.completions",
        "spec.completionMode",
        "spec.podFailurePolicy",
        "spec.backoffLimitPerIndex",
    ),
    ("v1", "Service"): ("spec.clusterIP",),
    ("v1", "Secret"): ("type",),
}


def knows(api_version: str, kind: str) -> bool:
    """Whether the kind is a built-in one that is checked here."""
    return (api_version, kind) in _KINDS


def validate(obj: Object, old: Object | None = None) -> Findings:
    """Return what the API server would refuse in an object of a built-in kind.

    The checks in code run once the schema holds, since they rely on its types.

    Args:
        obj: the object.
        old: the object that it replaces; None when it is created.
    """
    api_version, kind = obj["apiVersion"], obj["kind"]
    node = openapi.kind(api_version, kind)
    assert node is not None
    out: Findings = []
    admitted = node.admit(obj, "", out)
    node.check(admitted, "", out)
    if out:
        return out
    node.duplicates(admitted, "", out)
    name_check, check = _KINDS[api_version, kind]
    names.metadata(admitted.get("metadata", {}), name_check, "metadata", out)
    _finalizers(admitted.get("metadata", {}).get("finalizers", ()), out)
    check(admitted, out)
    for path in _IMMUTABLE.get((api_version, kind), ()) if old is not None else ():
        if _at(admitted, path) != _at(node.admit(old, "", []), path):
            out.append(finding.Finding(path, "is immutable"))
    return out


def _finalizers(values: abc.Iterable[str], out: Findings) -> None:
    """A finalizer of a built-in kind is a standard one or has a domain."""
    for value in values:
        if "/" not in value and value not in _FINALIZERS:
            out.append(finding.Finding("metadata.finalizers", f"must have a domain: {value!r}"))


def _at(obj: typing.Any, path: str) -> typing.Any:
    """Return the value at a path of keys, or None."""
    for key in path.split("."):
        obj = obj.get(key) if isinstance(obj, abc.Mapping) else None
    return obj
