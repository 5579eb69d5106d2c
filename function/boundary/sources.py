"""Where a variable of `podTemplate.env` takes its value from, typed as Kubernetes types it.

The claim's schema leaves `valueFrom` open, because a stored claim may say anything there. A source
that Kubernetes refuses would fail the apply of the whole Deployment, for as long as the claim says
so. Types and rules: k8s.io/api/core/v1 EnvVarSource, and its validation.
"""

import decimal
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, ClassVar, Literal

from function.api import base, claim_pod, kubernetes
from function.capacity import quantity

# A file of that name is the kubelet's own, or the directory itself.
KEY = base.form(
    r"^\.?[-_A-Za-z0-9][-._A-Za-z0-9]*$",
    "a key: letters, digits, '-', '_' and '.', with no two dots at its beginning",
)
_LABEL = base.LABEL_KEY.removeprefix("^").removesuffix("$")
# Kubernetes reads the key of an annotation without regard to case.
_ANNOTATION = _LABEL.replace("a-z0-9", "A-Za-z0-9").replace("A-ZA-Za-z", "A-Za-z")
_FIELDS = base.form(
    rf"^(metadata\.(name|namespace|uid|labels\['{_LABEL}'\]|annotations\['{_ANNOTATION}'\])"
    r"|spec\.(nodeName|serviceAccountName)|status\.(hostIPs?|podIPs?))$",
    "a field of the pod that a variable may have: its name, namespace, uid, a label or annotation"
    " by its key, spec.nodeName, spec.serviceAccountName, status.hostIP or status.podIP",
)
_RESOURCES = base.form(
    r"^((limits|requests)\.(cpu|memory|ephemeral-storage)|requests\.hugepages-[A-Za-z0-9.]+"
    r"|limits\.hugepages-[A-Za-z0-9.]+)$",
    "an amount of the container, such as limits.memory or requests.cpu",
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

    RULES: ClassVar = (
        base.Rule(
            cel="true",
            message="of cpu it is 1 or 1m; else 1, or 1 with a unit such as k, Mi or Gi",
            holds=lambda ref: ref.divisor is None or _divides(ref.resource, ref.divisor),
            at="divisor",
        ),
    )


def _divides(resource: str, divisor: int | str) -> bool:
    """Tells whether Kubernetes divides an amount by another; 0 is for none."""
    value = quantity.parse(divisor)
    if value == 0:
        return True
    if resource.endswith(".cpu"):
        return value in (1, decimal.Decimal("0.001"))
    step = 1024 if str(divisor).endswith("i") else 1000
    return value in [step**power for power in range(7)]


class KeyRef(base.Model):
    """A key of a ConfigMap or a Secret in the claim's namespace."""

    name: base.DnsSubdomain
    key: Annotated[str, base.text(253, KEY)]
    optional: bool | None = None


class Source(base.Model):
    """The source of a variable's value."""

    field_ref: FieldRef | None = None
    resource_field_ref: ResourceFieldRef | None = None
    config_map_key_ref: KeyRef | None = None
    secret_key_ref: KeyRef | None = None


_FILES = "reads a file of a volume, which claims cannot: use configMapKeyRef or secretKeyRef"
_ONE = "takes one of fieldRef, resourceFieldRef, configMapKeyRef and secretKeyRef"


def problems(variables: Iterable[claim_pod.EnvVar]) -> Iterator[base.Problem]:
    """Yields what Kubernetes would refuse in the sources of a claim's variables."""
    for index, variable in enumerate(variables):
        source, path = variable.value_from, f"spec.podTemplate.env[{index}].valueFrom"
        if source is None:
            continue
        if "fileKeyRef" in source:
            yield base.Problem(f"{path}.fileKeyRef", _FILES)
        else:
            yield from misshapen(source, path)


def misshapen(source: dict[str, Any], path: str) -> Iterator[base.Problem]:
    """Yields what Kubernetes would refuse in the source of one variable."""
    if len(source) != 1:
        yield base.Problem(path, _ONE)
    else:
        yield from kubernetes.problems(Source, source, path)
