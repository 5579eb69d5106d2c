"""The pod template that is remembered beside a workload, read as what anybody may have written.

Core applies what it is given: a text that is no pod template would be refused by the API server for
as long as it is remembered. So it counts as lost unless it has the form of a template of ours, or
of 0.9.0's: the labels that the selector wants, and of containers and volumes what is read of them.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any

import pydantic

from function.capacity import quantity
from function.planning import identity


class _Part(pydantic.BaseModel):
    """A part of a template: what is read of it has its type, the rest is not looked at."""

    model_config = pydantic.ConfigDict(strict=True, extra="ignore")


class _Named(_Part):
    name: str


class _Resources(_Part):
    limits: dict[str, Annotated[int | str, pydantic.AfterValidator(quantity.parse)]] = {}


class _Probe(_Part):
    failureThreshold: int | None = None  # noqa: N815 - Kubernetes' own names
    initialDelaySeconds: int = 0  # noqa: N815
    periodSeconds: int = 10  # noqa: N815


class _Container(_Named):
    image: str
    args: list[str] = []
    env: list[_Named] = []
    envFrom: list[dict[str, Any]] = []  # noqa: N815
    resources: _Resources = _Resources()
    startupProbe: _Probe = _Probe()  # noqa: N815
    volumeMounts: list[_Named] = []  # noqa: N815


class _Pod(_Part):
    containers: Annotated[list[_Container], pydantic.Field(min_length=1)]
    terminationGracePeriodSeconds: int = 30  # noqa: N815
    volumes: list[_Named] = []


class _Metadata(_Part):
    labels: dict[str, str]


class _Template(_Part):
    metadata: _Metadata
    spec: _Pod


def loads(text: Any, labels: Mapping[str, str]) -> identity.Manifest | None:
    """Returns the pod template in a text, or None where it holds none.

    Args:
        text: What stands in the annotation.
        labels: Those that the workload selects its pods by.
    """
    if not isinstance(text, str):
        return None
    try:
        template: Any = json.loads(text)
        read = _Template.model_validate(template)
    except ValueError:
        return None
    selected = labels.items() <= read.metadata.labels.items()
    return template if selected else None
