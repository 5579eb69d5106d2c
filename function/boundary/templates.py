"""The form of a pod template: what is read of one has its type, the rest is not looked at.

Two kinds of templates come from outside: what an author's patch and free-form fields make of ours,
and what is remembered beside a workload, which anybody may have written over. Core applies what it
is given. What has not the form of a pod template would be refused by the API server, for as long as
the claim says it or the workload remembers it.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

import pydantic
from pydantic import alias_generators

from function import canonical
from function.capacity import quantity
from function.cluster import observed
from function.planning import identity

# Of seconds or times; the API server takes 32 bits.
_Count = Annotated[int, pydantic.Field(ge=-(2**31), lt=2**31)]
_Amounts = dict[str, Annotated[int | str, pydantic.AfterValidator(quantity.parse)]]


class _Part(pydantic.BaseModel):
    """A part of a template, by Kubernetes' own names of its fields."""

    model_config = pydantic.ConfigDict(
        strict=True,
        extra="ignore",
        defer_build=True,
        alias_generator=alias_generators.to_camel,
    )


class _Named(_Part):
    name: str


class _Capabilities(_Part):
    add: list[str] = []
    drop: list[str] = []


class _Security(_Part):
    capabilities: _Capabilities = pydantic.Field(default_factory=_Capabilities)
    sysctls: list[_Named] = []


class _Resources(_Part):
    limits: _Amounts = {}
    requests: _Amounts = {}


class _Probe(_Part):
    failure_threshold: _Count | None = None
    initial_delay_seconds: _Count = 0
    period_seconds: _Count = 10


class _Sleep(_Part):
    seconds: _Count = 0


class _Handler(_Part):
    sleep: _Sleep = pydantic.Field(default_factory=_Sleep)


class _Lifecycle(_Part):
    pre_stop: _Handler = pydantic.Field(default_factory=_Handler)


class _Container(_Named):
    image: str
    args: list[str] = []
    env: list[_Named] = []
    env_from: list[dict[str, Any]] = []
    lifecycle: _Lifecycle = pydantic.Field(default_factory=_Lifecycle)
    ports: list[dict[str, Any]] = []
    resources: _Resources = pydantic.Field(default_factory=_Resources)
    security_context: _Security = pydantic.Field(default_factory=_Security)
    startup_probe: _Probe = pydantic.Field(default_factory=_Probe)
    volume_mounts: list[_Named] = []


class _Pod(_Part):
    containers: Annotated[list[_Container], pydantic.Field(min_length=1)]
    init_containers: list[_Container] = []
    security_context: _Security = pydantic.Field(default_factory=_Security)
    termination_grace_period_seconds: _Count = 30
    volumes: list[_Named] = []


class _Metadata(_Part):
    labels: dict[str, str]


class _Template(_Part):
    metadata: _Metadata
    spec: _Pod


def misshapen(template: Any) -> Iterator[tuple[str, str]]:
    """Yields path and message of each field that is not what its name says."""
    try:
        _Template.model_validate(template)
    except pydantic.ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False, include_context=False):
            steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in detail["loc"])
            yield "".join(steps).removeprefix("."), detail["msg"]


def loads(text: Any, labels: Mapping[str, str]) -> identity.Manifest | None:
    """Returns the pod template in a text, or None where it holds none.

    Args:
        text: What stands in the annotation.
        labels: Those that the workload selects its pods by.
    """
    if not isinstance(text, str):
        return None
    try:
        template: Any = canonical.loads(text)
        read = _Template.model_validate(template)
    except ValueError:
        return None
    selected = labels.items() <= read.metadata.labels.items()
    return template if selected else None


@dataclasses.dataclass(frozen=True)
class Remembered:
    """The template that was emitted last.

    Attributes:
        template: The pod template.
        annotations: Those of the object that remembers it.
    """

    template: identity.Manifest
    annotations: Mapping[str, Any]


def remembered(
    owners: Iterable[observed.Object | None], labels: Mapping[str, str]
) -> Remembered | None:
    """Returns the pod template that the first of some objects remembers, or None.

    Args:
        owners: The objects, observed, in the order in which they are asked.
        labels: Those that the workload selects its pods by.
    """
    for owner in owners:
        annotations = observed.at(owner, "metadata", "annotations")
        template = loads(observed.at(annotations, identity.TEMPLATE_ANNOTATION), labels)
        if template is not None:
            return Remembered(template, annotations)
    return None
