"""The status of a claim: what is being waited for, in words, and what the function remembers.

The function keeps no state of its own. What must outlive one call is a field here, written again
on each call: conditions would not do, because core turns those that a failed call did not return
into Unknown.
"""

from typing import Annotated, Literal

import pydantic

from function.api import base

Phase = Literal[
    "Pending",
    "Downloading",
    "Starting",
    "WaitingForGPU",
    "Serving",
    "Updating",
    "Degraded",
    "Idle",
    "Suspended",
    "Failed",
]


class ServedModel(base.Model):
    """A name that clients may ask for."""

    name: Annotated[str, base.text(63)]
    kind: Literal["base", "adapter"]
    canary_weight_percent: Annotated[int, base.number(1, 99)] | None = None


class Serving(base.Model):
    """What the running pods were started with."""

    repository: Annotated[str, base.text(255)] | None = None
    revision: Annotated[str, base.text(64)] | None = None
    sha: Annotated[str, base.text(64)] | None = None
    engine_image: Annotated[str, base.text(512)] | None = None
    adapters: Annotated[list[Annotated[str, base.text(63)]], base.items(8)] | None = None


class Verified(base.Model):
    """A directory of weights that was verified and published."""

    directory: Annotated[str, base.text(600)] = pydantic.Field(
        description="<volume>/<subPath>/<directory>."
    )
    repository: Annotated[str, base.text(255)] | None = None
    revision: Annotated[str, base.text(64)] | None = None
    sha: Annotated[str, base.text(64)] | None = None
    bytes: Annotated[int, base.number(0, 2**53 - 1)] | None = None
    dtype: Annotated[str, base.text(32)] | None = None
    quantization: Annotated[str, base.text(64)] | None = None
    architecture: Annotated[str, base.text(128)] | None = None
    context_limit: Annotated[int, base.number(0)] | None = None


class Weights(base.Model):
    """What lies verified on the volume."""

    key: Annotated[str, base.text(64)] | None = pydantic.Field(
        None, description="Identity of the weights that the claim wants now."
    )
    generation: Annotated[int, base.number(0)] | None = pydantic.Field(
        None, description="model.preload.generation of the last finished Job."
    )
    verified: Annotated[list[Verified], base.items(32)] | None = None


class Latches(base.Model):
    """What happened once and must not be forgotten."""

    route_published: bool | None = pydantic.Field(
        None, description="The engine served once: the gateway's route stays."
    )
    scaled_by_autoscaler: bool | None = pydantic.Field(
        None, description="The autoscaler owns spec.replicas of the Deployment."
    )


class Status(base.Model):
    """What `kubectl get` and `kubectl describe` show."""

    observed_generation: Annotated[int, base.number(0, 2**53 - 1)] | None = None
    phase: Phase | None = None
    waiting_for: Annotated[str, base.text(1024, None, 0)] | None = pydantic.Field(
        None, description="What the claim waits for, in words; empty when it waits for nothing."
    )
    replicas: Annotated[str, base.text(16)] | None = pydantic.Field(
        None, description="Ready and wanted replicas, for example 1/2."
    )
    gpu: Annotated[str, base.text(200)] | None = pydantic.Field(
        None, description="GPUs of one replica and their class."
    )
    model_endpoint: Annotated[str, base.text(512)] | None = None
    served_models: Annotated[list[ServedModel], base.items(9)] | None = None
    served_models_summary: Annotated[str, base.text(1024)] | None = None
    serving: Serving | None = None
    weights: Weights | None = None
    latches: Latches | None = None
