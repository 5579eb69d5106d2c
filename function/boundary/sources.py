"""Where a variable of `podTemplate.env` takes its value from, typed as Kubernetes types it.

The claim's schema leaves `valueFrom` open, because a stored claim may say anything there. A source
that Kubernetes refuses would fail the apply of the whole Deployment, for as long as the claim says
so. Types and rules: k8s.io/api/core/v1 EnvVarSource, and its validation.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

import pydantic

from function.api import base, claim

_KEY = r"^[-._A-Za-z0-9]+$"
_FIELDS = (
    r"^(metadata\.(name|namespace|uid|(labels|annotations)\['[^']+'\])"
    r"|spec\.(nodeName|serviceAccountName)|status\.(hostIPs?|podIPs?))$"
)
_RESOURCES = (
    r"^((limits|requests)\.(cpu|memory|ephemeral-storage)|requests\.hugepages-[A-Za-z0-9.]+"
    r"|limits\.hugepages-[A-Za-z0-9.]+)$"
)


class FieldRef(base.Model):
    """A field of the pod."""

    api_version: Literal["v1"] | None = None
    field_path: Annotated[str, base.text(384, _FIELDS)]


class ResourceFieldRef(base.Model):
    """An amount that the container asks for."""

    container_name: base.DnsLabel | None = None
    resource: Annotated[str, base.text(128, _RESOURCES)]
    divisor: base.Quantity | int | None = None


class KeyRef(base.Model):
    """A key of a ConfigMap or a Secret in the claim's namespace."""

    name: base.DnsSubdomain
    key: Annotated[str, base.text(253, _KEY)]
    optional: bool | None = None


class Source(base.Model):
    """The source of a variable's value."""

    field_ref: FieldRef | None = None
    resource_field_ref: ResourceFieldRef | None = None
    config_map_key_ref: KeyRef | None = None
    secret_key_ref: KeyRef | None = None


_FILES = "reads a file of a volume, which claims cannot: use configMapKeyRef or secretKeyRef"
_ONE = "takes one of fieldRef, resourceFieldRef, configMapKeyRef and secretKeyRef"


def problems(variables: Iterable[claim.EnvVar]) -> Iterator[base.Problem]:
    """Yields what Kubernetes would refuse in the sources of variables."""
    for index, variable in enumerate(variables):
        source, path = variable.value_from, f"spec.podTemplate.env[{index}].valueFrom"
        if source is None:
            continue
        if "fileKeyRef" in source:
            yield base.Problem(f"{path}.fileKeyRef", _FILES)
            continue
        if len(source) != 1:
            yield base.Problem(path, _ONE)
            continue
        try:
            Source.model_validate(source, by_alias=True, by_name=False)
        except pydantic.ValidationError as error:
            yield from base.problems(error, path)
