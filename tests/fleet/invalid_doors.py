"""Front doors with one mistake each, for the function, the schema and a real API server."""

from typing import Any

from tests.api import invalid_claims
from tests.fleet import scene


def _caller(**fields: Any) -> dict[str, Any]:
    return scene.of(callers=[{"name": "a", "secretRef": {"name": "k"}, **fields}])


def _router(**model: Any) -> dict[str, Any]:
    virtual = {"name": "mom", "default": {"model": "small"}, **model}
    return scene.of(semanticRouter={"secretRef": {"name": "k"}, "models": [virtual]})


def _decision(**when: Any) -> dict[str, Any]:
    return _router(decisions=[{"name": "d", "when": when, "to": {"model": "small"}}])


INVALID = (
    invalid_claims.Invalid(
        "a caller without a key",
        scene.of(callers=[{"name": "a"}]),
        "a caller's key is in one place: secretRef or externalSecret",
    ),
    invalid_claims.Invalid(
        "a caller with two keys",
        _caller(externalSecret={"remoteRef": "llm/a"}),
        "a caller's key is in one place: secretRef or externalSecret",
    ),
    invalid_claims.Invalid(
        "a caller twice",
        scene.of(callers=[scene.caller("a"), scene.caller("a")]),
        "callers must have distinct names",
    ),
    invalid_claims.Invalid(
        "a caller's name is no header's",
        scene.of(callers=[{"name": "A b", "secretRef": {"name": "k"}}]),
        "spec.callers[0].name",
    ),
    invalid_claims.Invalid(
        "too many callers",
        scene.of(callers=[scene.caller(f"c{number}") for number in range(65)]),
        "spec.callers",
    ),
    invalid_claims.Invalid(
        "callers on a Gateway of somebody else",
        scene.of(gateway={"name": "g", "namespace": "n"}, callers=[scene.caller("a")]),
        "gateway excludes callers",
    ),
    invalid_claims.Invalid(
        "a certificate for a Gateway of somebody else",
        scene.of(gateway={"name": "g", "namespace": "n"}, tls={"secretName": "t"}),
        "gateway excludes tls",
    ),
    invalid_claims.Invalid(
        "a host for a Gateway of somebody else",
        scene.of(gateway={"name": "g", "namespace": "n"}, hostname="h.example.com"),
        "gateway excludes hostname",
    ),
    invalid_claims.Invalid(
        "a provider twice",
        scene.of(providers=[scene.provider("a", "m"), scene.provider("a", "n")]),
        "providers must have distinct names",
    ),
    invalid_claims.Invalid(
        "a provider's model twice",
        scene.of(providers=[scene.provider("a", "m", "m")]),
        "models of a provider must have distinct names",
    ),
    invalid_claims.Invalid(
        "a provider without models", scene.of(providers=[scene.provider("a")]), "models"
    ),
    invalid_claims.Invalid(
        "a provider of an API that is not offered",
        scene.of(providers=[{**scene.provider("a", "m"), "api": "AWSBedrock"}]),
        "spec.providers[0].api",
    ),
    invalid_claims.Invalid(
        "providers on a Gateway of somebody else",
        scene.of(gateway={"name": "g", "namespace": "n"}, providers=[scene.provider("a", "m")]),
        "gateway excludes providers",
    ),
    invalid_claims.Invalid(
        "a router on a Gateway of somebody else",
        scene.of(gateway={"name": "g", "namespace": "n"}, **_router()["spec"]),
        "gateway excludes semanticRouter",
    ),
    invalid_claims.Invalid(
        "a router without a key",
        scene.of(semanticRouter={"models": [{"name": "mom", "default": {"model": "small"}}]}),
        "a router needs a key: secretRef, or configurationOnly",
    ),
    invalid_claims.Invalid(
        "a router without a name",
        scene.of(semanticRouter={"secretRef": {"name": "k"}, "models": []}),
        "spec.semanticRouter.models",
    ),
    invalid_claims.Invalid(
        "a virtual name twice",
        scene.of(
            semanticRouter={
                "secretRef": {"name": "k"},
                "models": [{"name": "mom", "default": {"model": "small"}}] * 2,
            }
        ),
        "virtual models must have distinct names",
    ),
    invalid_claims.Invalid(
        "a decision twice",
        _router(
            decisions=[{"name": "d", "when": {"keywords": ["x"]}, "to": {"model": "small"}}] * 2
        ),
        "decisions of a model must have distinct names",
    ),
    invalid_claims.Invalid(
        "nobody who answers", _router(default={}), "who answers is named in one way"
    ),
    invalid_claims.Invalid(
        "two who answer",
        _router(default={"model": "small", "tier": "small"}),
        "who answers is named in one way",
    ),
    invalid_claims.Invalid(
        "a decision for every prompt",
        _decision(),
        "a decision asks for something: keywords, domains or tokens",
    ),
    invalid_claims.Invalid(
        "a subject that the router does not know",
        _decision(domains=["cooking"]),
        "spec.semanticRouter.models[0].decisions[0].when.domains[0]",
    ),
    invalid_claims.Invalid(
        "a keyword of blanks",
        _decision(keywords=[" "]),
        "spec.semanticRouter.models[0].decisions[0].when.keywords[0]",
    ),
    invalid_claims.Invalid(
        "a band of lengths without an end",
        _decision(tokens={}),
        "a band of tokens has an end: atLeast, atMost or both",
    ),
    invalid_claims.Invalid(
        "a band of lengths that is empty",
        _decision(tokens={"atLeast": 2, "atMost": 1}),
        "atLeast is not above atMost",
    ),
    invalid_claims.Invalid("a host that is none", scene.of(hostname="h_1"), "spec.hostname"),
    invalid_claims.Invalid(
        "a limit of nothing",
        _caller(limits=[{"per": "day"}]),
        "a limit counts one thing: tokens or requests",
    ),
    invalid_claims.Invalid(
        "a limit of two things",
        _caller(limits=[{"tokens": 1, "requests": 1, "per": "day"}]),
        "a limit counts one thing: tokens or requests",
    ),
    invalid_claims.Invalid(
        "a limit that lets nothing through",
        _caller(limits=[{"tokens": 0, "per": "day"}]),
        "spec.callers[0].limits[0].tokens",
    ),
    invalid_claims.Invalid(
        "a limit for a time that nobody counts",
        _caller(limits=[{"tokens": 1, "per": "week"}]),
        "spec.callers[0].limits[0].per",
    ),
    invalid_claims.Invalid(
        "too many limits",
        _caller(limits=[{"tokens": number, "per": "day"} for number in range(1, 18)]),
        "spec.callers[0].limits",
    ),
    invalid_claims.Invalid(
        "a model's name that is none",
        _caller(models={"names": ["a/b"]}),
        "spec.callers[0].models.names[0]",
    ),
)
