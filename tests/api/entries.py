"""An entry of the tables of claims, and the claims that they are made of."""

import typing

Json: typing.TypeAlias = dict[str, typing.Any]


class Invalid(typing.NamedTuple):
    """A claim with one mistake.

    Attributes:
        name: What is wrong with it.
        claim: The claim.
        words: What every refusal says, the API server's too: the rule's message, or the path of the
            field when it is a bound of the schema.
    """

    name: str
    claim: Json
    words: str


class Accepted(typing.NamedTuple):
    """A claim that is valid.

    Attributes:
        name: What is special about it.
        claim: The claim.
    """

    name: str
    claim: Json


def claim(name: str = "qwen", **spec: typing.Any) -> Json:
    """Returns a claim of that name with the smallest model and these fields of spec."""
    return {
        "apiVersion": "cloud.ogenki.io/v1alpha1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": "llm"},
        "spec": {"model": {"repository": "Qwen/Qwen3-8B"}, **spec},
    }


def model(**fields: typing.Any) -> Json:
    """Returns a claim with these fields of spec.model beside its repository."""
    return claim(model={"repository": "Qwen/Qwen3-8B", **fields})


def shared(**parallelism: typing.Any) -> Json:
    """Returns a claim of pods with 8 GPUs that share the model so."""
    return claim(gpu={"count": 8, "parallelism": parallelism})


def fetched(**fields: typing.Any) -> Json:
    """Returns a claim with a Secret of the store, and these fields of it."""
    return claim(externalSecrets=[{"name": "s", "remoteRef": "llm/s", **fields}])


def arguments(*given: typing.Any) -> Json:
    """Returns a claim with these arguments of the engine."""
    return claim(engineArgs=list(given))


def pod(**fields: typing.Any) -> Json:
    """Returns a claim with these fields of spec.podTemplate."""
    return claim(podTemplate=fields)


def canaries(*given: Json, **gateway: typing.Any) -> Json:
    """Returns a claim with adapters a to e and these canaries."""
    adapters = [{"name": name, "repository": f"org/{name}"} for name in "abcde"]
    enabled: Json = {"enabled": True, "canaries": list(given)}
    return claim(loraAdapters=adapters, gateway=enabled | gateway)


def gated(**gate: typing.Any) -> Json:
    """Returns a claim with a canary of a tenth that has a gate."""
    return canaries({**canary("a", 10), "gate": gate})


def canary(adapter: str, weight: int) -> Json:
    return {"adapter": adapter, "weightPercent": weight}


def picker(**fields: typing.Any) -> Json:
    """Returns a claim with these fields of its endpoint picker."""
    return claim(gateway={"enabled": True, "endpointPicker": {"enabled": True, **fields}})


def priority(name: str, value: int) -> Json:
    return {"name": name, "value": value}


ADAPTER: Json = {"name": "sql", "repository": "org/sql"}
PICKER: Json = {"enabled": True, "endpointPicker": {"enabled": True}}

CANARY: Json = {"adapter": "sql", "weightPercent": 10}
