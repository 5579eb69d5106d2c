"""The status of a claim: what is being waited for, in words, and what the function remembers.

The function keeps no state of its own. What must outlive one call is a field here, written again
on each call: conditions would not do, because core turns those that a failed call did not return
into Unknown.
"""

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import pydantic

from function.api import base

# Of a repository, or of where else a model lies.
LONGEST_PLACE = 512
# Models of pods that are told: that there are several is what counts.
MOST_MODELS = 8


_COST = re.compile(r"[0-9]{1,12}(\.[0-9]{1,16})?")


def is_cost(value: Any) -> bool:
    """Tells whether a value is a cost: nothing is none, as it would be a price of nothing."""
    return isinstance(value, str) and _COST.fullmatch(value) is not None and float(value) > 0


def places(values: Iterable[Any]) -> tuple[str, ...]:
    """Returns those of some values that are repositories, or say where else a model lies."""
    return tuple(
        value for value in values if isinstance(value, str) and 0 < len(value) <= LONGEST_PLACE
    )


Phase = Literal[
    "Pending",
    "Downloading",
    "Starting",
    "WaitingForQuota",
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

    name: Annotated[str, base.text(63)] = pydantic.Field(
        description="What clients put into the field model of a request."
    )
    kind: Literal["base", "adapter"] = pydantic.Field(
        description="The base model, or an adapter of it."
    )
    canary_weight_percent: Annotated[int, base.number(1, 99)] | None = pydantic.Field(
        None, description="Percent of the base model's requests that the adapter answers."
    )


Offer = Literal["chat", "complete", "embed", "guard", "reasoning", "tools"]


class Serving(base.Model):
    """What the running pods were started with."""

    repository: Annotated[str, base.text(LONGEST_PLACE)] | None = pydantic.Field(
        None,
        description="Hugging Face repository; of sources oci and s3 the image, without its digest,"
        " and the address in the bucket.",
    )
    revision: Annotated[str, base.text(71)] | None = pydantic.Field(
        None, description="Revision as the claim named it; of an image, its digest."
    )
    sha: Annotated[str, base.text(64)] | None = pydantic.Field(
        None, description="Commit that the revision was when it was downloaded."
    )
    engine_image: Annotated[str, base.text(512)] | None = pydantic.Field(
        None, description="Image of the engine."
    )
    adapters: Annotated[list[Annotated[str, base.text(63)]], base.items(8)] | None = pydantic.Field(
        None, description="Names of the adapters that every pod has, those that end included."
    )
    gpu_class: Annotated[str, base.text(63)] | None = pydantic.Field(
        None, description="GPU class of the settings: status.cost takes its price."
    )


class Verified(base.Model):
    """A directory of weights that was verified and published."""

    directory: Annotated[str, base.text(600)] = pydantic.Field(
        description="<volume>/<subPath>/<directory>."
    )
    repository: Annotated[str, base.text(255)] | None = pydantic.Field(
        None, description="Hugging Face repository."
    )
    revision: Annotated[str, base.text(64)] | None = pydantic.Field(
        None, description="Revision as the claim named it."
    )
    sha: Annotated[str, base.text(64)] | None = pydantic.Field(
        None, description="Commit that the revision was when it was downloaded."
    )
    bytes: Annotated[int, base.number(0, 2**53 - 1)] | None = pydantic.Field(
        None, description="Size of all files."
    )
    dtype: Annotated[str, base.text(32)] | None = pydantic.Field(
        None, description="Type of the weights, from the checkpoint's configuration."
    )
    quantization: Annotated[str, base.text(64)] | None = pydantic.Field(
        None, description="Quantization of the checkpoint, from its configuration."
    )
    architecture: Annotated[str, base.text(128)] | None = pydantic.Field(
        None, description="Class of the model, from its configuration."
    )
    context_limit: Annotated[int, base.number(0)] | None = pydantic.Field(
        None, description="Longest sequence in tokens that the model was made for."
    )
    lora_rank: Annotated[int, base.number(1, 65536)] | None = pydantic.Field(
        None, description="Rank of an adapter, from its adapter_config.json."
    )
    base_model: Annotated[str, base.text(255)] | None = pydantic.Field(
        None, description="Model that an adapter was trained on, from its adapter_config.json."
    )
    facts: Annotated[base.RawObject, base.Bounds(500, characters=16384)] | None = pydantic.Field(
        None,
        description="What the model is made of, from its own files, in the form of"
        " spec.model.facts. Fit follows from it where neither claim nor settings state any.",
    )


class Weights(base.Model):
    """What lies verified on the volume."""

    key: Annotated[str, base.text(64)] | None = pydantic.Field(
        None, description="Identity of the weights that the claim wants now."
    )
    cache_directory: Annotated[str, base.text(600)] | None = pydantic.Field(
        None,
        description="Where in the sub-path the Job makes the engine's own caches; absent where they"
        " lie as until 1.1.",
    )
    generation: Annotated[int, base.number(0)] | None = pydantic.Field(
        None, description="model.preload.generation of the last finished Job."
    )
    verified: Annotated[list[Verified], base.items(32)] | None = None
    removing: Annotated[list[Annotated[str, base.text(600)]], base.items(32)] | None = (
        pydantic.Field(
            None, description="Directories that are no longer wanted and are being removed."
        )
    )


_TIME = base.form(
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$",
    "a time such as 2026-01-31T12:00:00Z",
)


class Canary(base.Model):
    """How far a canary with a gate is."""

    adapter: Annotated[str, base.text(63)] = pydantic.Field(description="Name of the adapter.")
    weight_percent: Annotated[int, base.number(0, 99)] | None = pydantic.Field(
        None, description="Percent of the base model's requests that the adapter is to answer now."
    )
    held_percent: Annotated[int, base.number(0, 99)] | None = pydantic.Field(
        None, description="The highest step that held."
    )
    verdict: Literal["Rising", "Waiting", "Held", "RolledBack", "Stuck"] | None = pydantic.Field(
        None,
        description="Rising: a step is judged. Waiting: it cannot be judged yet. Held: every step"
        " held. RolledBack: a step broke. Stuck: nothing judges the step.",
    )
    reason: Annotated[str, base.text(63)] | None = pydantic.Field(
        None, description="Why, in one word."
    )
    tries: Annotated[int, base.number(0, 2**31 - 1)] | None = pydantic.Field(
        None, description="Jobs that ended without a verdict on this step."
    )
    since: Annotated[str, base.text(20, _TIME)] | None = pydantic.Field(
        None, description="Since when requests count for this step, where a Job ended before."
    )
    began: Annotated[str, base.text(20, _TIME)] | None = pydantic.Field(
        None, description="When the first step began: older evaluations do not count."
    )
    mark: Annotated[str, base.text(16)] | None = pydantic.Field(
        None, description="Which adapter and try this is about."
    )
    asked: Annotated[str, base.text(16)] | None = pydantic.Field(
        None, description="Which text of the canary this is about."
    )


class Capacity(base.Model):
    """What a replica of what the claim asks for holds, by the estimate's pessimistic end."""

    kv_tokens: Annotated[int, base.number(0, 2**53 - 1)] | None = pydantic.Field(
        None, description="Tokens that the KV cache of a replica holds."
    )
    full_sequences: Annotated[str, base.text(16)] | None = pydantic.Field(
        None, description="Sequences of the whole context window that fit at a time."
    )
    longest_context: Annotated[int, base.number(0, 2**53 - 1)] | None = pydantic.Field(
        None, description="Longest context window that fits, in tokens."
    )
    weights_gi_b: Annotated[str, base.text(16)] | None = pydantic.Field(
        None, alias="weightsGiB", description="GiB of weights on one GPU."
    )
    summary: Annotated[str, base.text(64)] | None = pydantic.Field(
        None, description="Full sequences and their length, for the column HOLDS."
    )


class TokenCost(base.Model):
    """What a million tokens cost where a replica is full of requests of one load."""

    load: Annotated[str, base.text(32)] = pydantic.Field(description="The load, by its name.")
    input: Annotated[str, base.text(32)] = pydantic.Field(description="A million of prompts.")
    output: Annotated[str, base.text(32)] = pydantic.Field(description="A million of answers.")


class Cost(base.Model):
    """What the claim's GPUs cost, at the settings' prices."""

    currency: Annotated[str, base.text(3)] | None = pydantic.Field(
        None, description="ISO 4217 code."
    )
    per_hour_min: Annotated[str, base.text(32)] | None = pydantic.Field(
        None, description="An hour with the least replicas."
    )
    per_hour_max: Annotated[str, base.text(32)] | None = pydantic.Field(
        None, description="An hour with the most replicas."
    )
    per_hour_now: Annotated[str, base.text(32)] | None = pydantic.Field(
        None, description="An hour with the replicas that run or start now."
    )
    price_date: Annotated[str, base.text(10)] | None = pydantic.Field(
        None, description="Day on which the price was taken."
    )
    per_million_tokens: Annotated[list[TokenCost], base.items(8)] | None = pydantic.Field(
        None,
        description="What a million tokens cost on a full replica, by load. It is of the model"
        " that pods have (`repositories`), of the dearer one while they have several, and of the"
        " one that the claim asks for without pods. Prices of an InferenceGateway may follow from"
        " it. Only of claims with `gateway` whose times are known.",
    )


class Latches(base.Model):
    """What happened once and must not be forgotten."""

    route_published: bool | None = pydantic.Field(
        None, description="The Deployment was there once: the gateway's route stays."
    )
    fixed_replicas: bool | None = pydantic.Field(
        None, description="spec.replicas of the Deployment is ours, without an autoscaler."
    )
    scaled_by_autoscaler: bool | None = pydantic.Field(
        None, description="The autoscaler owns spec.replicas of the Deployment."
    )


class Status(base.Model):
    """What `kubectl get` and `kubectl describe` show."""

    observed_generation: Annotated[int, base.number(0, 2**53 - 1)] | None = pydantic.Field(
        None, description="Generation of the claim that the rest of the status is about."
    )
    phase: Phase | None = pydantic.Field(None, description="Where the claim is in its life.")
    waiting_for: Annotated[str, base.text(1024, None, 0)] | None = pydantic.Field(
        None, description="What the claim waits for, in words; empty when it waits for nothing."
    )
    replicas: Annotated[str, base.text(16)] | None = pydantic.Field(
        None, description="Ready and wanted replicas, for example 1/2."
    )
    gpu: Annotated[str, base.text(200)] | None = pydantic.Field(
        None,
        description="GPUs of one replica and their class; of what runs while an edit is held.",
    )
    capacity: Capacity | None = None
    cost: Cost | None = None
    model_endpoint: Annotated[str, base.text(512)] | None = pydantic.Field(
        None, description="Address of the OpenAI API on the AI gateway."
    )
    served_models: Annotated[list[ServedModel], base.items(9)] | None = None
    served_models_summary: Annotated[str, base.text(1024)] | None = pydantic.Field(
        None, description="Names of the served models, comma-separated."
    )
    offers: Annotated[list[Offer], base.items(6)] | None = pydantic.Field(
        None, description="What the served models can be asked for, adapters too."
    )
    repositories: (
        Annotated[list[Annotated[str, base.text(LONGEST_PLACE)]], base.items(MOST_MODELS)] | None
    ) = pydantic.Field(
        None,
        description="The base models that pods may answer with: repository, image, address in a"
        " bucket, or path on the volume. More than one while pods change from one model to another."
        " Without pods, the model that the claim asks for.",
    )
    serving: Serving | None = None
    weights: Weights | None = None
    canaries: Annotated[list[Canary], base.items(4)] | None = None
    latches: Latches | None = None
