"""Front doors with one mistake each, for the function, the schema and a real API server."""

from typing import Any

from tests.api import invalid_claims
from tests.fleet import scene


def _caller(**fields: Any) -> dict[str, Any]:
    return scene.of(callers=[{"name": "a", "secretRef": {"name": "k"}, **fields}])


def _evals(**fields: Any) -> dict[str, Any]:
    return scene.of(callers=[scene.caller("a")], evals={"caller": "a", **fields})


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
        "evaluations with nobody's key",
        scene.of(evals={"caller": "a"}),
        "evals.caller must be one of callers",
    ),
    invalid_claims.Invalid(
        "evaluations with the key of somebody else",
        _evals(caller="b"),
        "evals.caller must be one of callers",
    ),
    invalid_claims.Invalid(
        "evaluations on a Gateway of somebody else",
        scene.of(gateway={"name": "g", "namespace": "n"}, evals={"caller": "a"}),
        "gateway excludes evals",
    ),
    invalid_claims.Invalid(
        "an hour that no day has", _evals(schedule="0 24 * * *"), "spec.evals.schedule"
    ),
    invalid_claims.Invalid(
        "a schedule with the name of a day", _evals(schedule="0 2 * * mon"), "spec.evals.schedule"
    ),
    invalid_claims.Invalid(
        "a time zone that is none", _evals(timeZone="Europe/Paris Z"), "spec.evals.timeZone"
    ),
    invalid_claims.Invalid(
        "a file of cases that is code",
        _evals(cases={"configMapRef": {"name": "c", "key": "tests.js"}}),
        "spec.evals.cases.configMapRef.key",
    ),
    invalid_claims.Invalid(
        "a threshold above all cases",
        _evals(thresholds={"passPercent": 101}),
        "spec.evals.thresholds.passPercent",
    ),
    invalid_claims.Invalid(
        "a model's name that is none",
        _caller(models={"names": ["a/b"]}),
        "spec.callers[0].models.names[0]",
    ),
)
