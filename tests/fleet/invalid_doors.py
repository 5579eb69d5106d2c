"""Front doors with one mistake each, for the function, the schema and a real API server."""

from typing import Any

from tests.api import entries
from tests.fleet import scene


def _caller(**fields: Any) -> dict[str, Any]:
    return scene.of(callers=[{"name": "a", "secretRef": {"name": "k"}, **fields}])


def _paying(**fields: Any) -> dict[str, Any]:
    door = _caller(**fields)
    door["spec"]["prices"] = [{"model": "m", "input": "1"}]
    return door


_ISSUER: Any = {
    "name": "sso",
    "issuer": "https://sso.example.com",
    "audiences": ["llm"],
    "jwksURI": "https://sso.example.com/keys",
}


def _issuer(**fields: Any) -> dict[str, Any]:
    return scene.of(issuers=[{**_ISSUER, **fields}])


def _router(**model: Any) -> dict[str, Any]:
    virtual = {"name": "mom", "default": {"model": "small"}, **model}
    return scene.of(semanticRouter={"secretRef": {"name": "k"}, "models": [virtual]})


def _decision(**when: Any) -> dict[str, Any]:
    return _router(decisions=[{"name": "d", "when": when, "to": {"model": "small"}}])


def _evals(**fields: Any) -> dict[str, Any]:
    return scene.of(callers=[scene.caller("a")], evals={"caller": "a", **fields})


def _edge(**fields: Any) -> dict[str, Any]:
    litellm = {"caller": "a", "secretRef": {"name": "s"}, **fields}
    return scene.of(callers=[scene.caller("a"), scene.caller("b")], edge={"litellm": litellm})


INVALID = (
    entries.Invalid(
        "an edge without a proxy", scene.of(callers=[scene.caller("a")], edge={}), "spec.edge"
    ),
    entries.Invalid(
        "an edge that calls as nobody",
        _edge(caller="gone"),
        "edge.litellm.caller must be one of callers, with a key",
    ),
    entries.Invalid(
        "an edge with a token",
        scene.of(
            callers=[{"name": "a", "jwt": {"issuer": "sso"}}],
            issuers=[_ISSUER],
            edge={"litellm": {"caller": "a", "configurationOnly": True}},
        ),
        "edge.litellm.caller must be one of callers, with a key",
    ),
    entries.Invalid(
        "an edge before a Gateway of somebody else",
        scene.of(
            gateway={"name": "g", "namespace": "n"},
            edge={"litellm": {"caller": "a", "configurationOnly": True}},
        ),
        "gateway excludes edge",
    ),
    entries.Invalid(
        "a proxy without a database",
        scene.of(callers=[scene.caller("a")], edge={"litellm": {"caller": "a"}}),
        "a proxy needs its own key and a database",
    ),
    entries.Invalid(
        "an alias of two models",
        _edge(aliases=[{"name": "x", "model": "m"}, {"name": "x", "model": "n"}]),
        "aliases must have distinct names",
    ),
    entries.Invalid(
        "an alias that is a path",
        _edge(aliases=[{"name": "openai/*", "model": "m"}]),
        "spec.edge.litellm.aliases[0].name",
    ),
    entries.Invalid(
        "two teams of one name",
        _edge(teams=[{"name": "t", "callers": ["b"]}, {"name": "t", "callers": ["b"]}]),
        "teams must have distinct names",
    ),
    entries.Invalid(
        "a team of nobody",
        _edge(teams=[{"name": "t", "callers": []}]),
        "spec.edge.litellm.teams[0].callers",
    ),
    entries.Invalid(
        "a team's budget without prices",
        _edge(
            teams=[{"name": "t", "callers": ["b"], "budget": {"amount": "1", "per": "day"}}],
        ),
        "a team's budget counts by prices: name what models cost",
    ),
    entries.Invalid(
        "a token of nobody",
        scene.of(callers=[{"name": "a", "jwt": {"issuer": "sso"}}]),
        "callers[].jwt.issuer must name one of issuers",
    ),
    entries.Invalid(
        "a token and a key",
        scene.of(callers=[{**scene.caller("a"), "jwt": {"issuer": "sso"}}], issuers=[_ISSUER]),
        "a caller has one of secretRef, externalSecret and jwt",
    ),
    entries.Invalid(
        "keys of an issuer in two places",
        _issuer(jwksConfigMap={"name": "keys"}),
        "an issuer's keys are in one place",
    ),
    entries.Invalid(
        "keys by an address that anybody may change",
        _issuer(jwksURI="http://sso.example.com/keys"),
        "spec.issuers[0].jwksURI",
    ),
    entries.Invalid("tokens for anybody", _issuer(audiences=[]), "spec.issuers[0].audiences"),
    entries.Invalid(
        "an issuer that is no address", _issuer(issuer="sso"), "spec.issuers[0].issuer"
    ),
    entries.Invalid(
        "an issuer twice",
        scene.of(issuers=[_ISSUER, {**_ISSUER, "name": "other"}]),
        "issuers must be distinct",
    ),
    entries.Invalid(
        "issuers on a Gateway of somebody else",
        scene.of(gateway={"name": "g", "namespace": "n"}, issuers=[_ISSUER]),
        "gateway excludes issuers",
    ),
    entries.Invalid(
        "a budget without prices",
        _caller(budget={"amount": "1", "per": "day"}),
        "a budget counts by prices",
    ),
    entries.Invalid(
        "a budget of nothing",
        _paying(budget={"amount": "0", "per": "day"}),
        "a budget is above 0 and at most 4294",
    ),
    entries.Invalid(
        "a budget that no counter holds",
        _paying(budget={"amount": "4294.1", "per": "month"}),
        "a budget is above 0 and at most 4294",
    ),
    entries.Invalid(
        "a budget of a year",
        _paying(budget={"amount": "1", "per": "year"}),
        "spec.callers[0].budget.per",
    ),
    entries.Invalid(
        "two prices of a model",
        scene.of(prices=[{"model": "m", "input": "1"}, {"model": "m", "input": "2"}]),
        "a model has one price",
    ),
    entries.Invalid(
        "a price below nothing",
        scene.of(prices=[{"model": "m", "input": "-1"}]),
        "spec.prices[0].input",
    ),
    entries.Invalid(
        "prices on a Gateway of somebody else",
        scene.of(gateway={"name": "g", "namespace": "n"}, prices=[{"model": "m", "input": "1"}]),
        "gateway excludes prices",
    ),
    entries.Invalid(
        "a price of nothing",
        scene.of(prices=[{"model": "m"}]),
        "a price is stated or follows from costs: input or fromCost",
    ),
    entries.Invalid(
        "a price in two ways",
        scene.of(prices=[{"model": "m", "input": "1", "fromCost": {}}]),
        "a price is stated or follows from costs: input or fromCost",
    ),
    entries.Invalid(
        "a price that follows by half",
        scene.of(prices=[{"model": "m", "output": "1", "fromCost": {}}]),
        "fromCost excludes cachedInput and output",
    ),
    entries.Invalid("prices from nowhere", scene.of(pricing={}), "spec.pricing"),
    entries.Invalid(
        "a load that nobody knows",
        scene.of(pricing={"fromCost": {"load": "poems"}}),
        "spec.pricing.fromCost.load",
    ),
    entries.Invalid(
        "replicas that are used more than whole",
        scene.of(pricing={"fromCost": {"utilizationPercent": 101}}),
        "spec.pricing.fromCost.utilizationPercent",
    ),
    entries.Invalid(
        "replicas that nobody uses",
        scene.of(prices=[{"model": "m", "fromCost": {"utilizationPercent": 0}}]),
        "spec.prices[0].fromCost.utilizationPercent",
    ),
    entries.Invalid(
        "a margin below nothing",
        scene.of(pricing={"fromCost": {"marginPercent": -1}}),
        "spec.pricing.fromCost.marginPercent",
    ),
    entries.Invalid(
        "prices from costs on a Gateway of somebody else",
        scene.of(gateway={"name": "g", "namespace": "n"}, pricing={"fromCost": {}}),
        "gateway excludes pricing",
    ),
    entries.Invalid(
        "a caller without a key",
        scene.of(callers=[{"name": "a"}]),
        "a caller has one of secretRef, externalSecret and jwt",
    ),
    entries.Invalid(
        "a caller with two keys",
        _caller(externalSecret={"remoteRef": "llm/a"}),
        "a caller has one of secretRef, externalSecret and jwt",
    ),
    entries.Invalid(
        "a caller twice",
        scene.of(callers=[scene.caller("a"), scene.caller("a")]),
        "callers must have distinct names",
    ),
    entries.Invalid(
        "a caller's name is no header's",
        scene.of(callers=[{"name": "A b", "secretRef": {"name": "k"}}]),
        "spec.callers[0].name",
    ),
    entries.Invalid(
        "too many callers",
        scene.of(callers=[scene.caller(f"c{number}") for number in range(65)]),
        "spec.callers",
    ),
    entries.Invalid(
        "callers on a Gateway of somebody else",
        scene.of(gateway={"name": "g", "namespace": "n"}, callers=[scene.caller("a")]),
        "gateway excludes callers",
    ),
    entries.Invalid(
        "a certificate for a Gateway of somebody else",
        scene.of(gateway={"name": "g", "namespace": "n"}, tls={"secretName": "t"}),
        "gateway excludes tls",
    ),
    entries.Invalid(
        "a host for a Gateway of somebody else",
        scene.of(gateway={"name": "g", "namespace": "n"}, hostname="h.example.com"),
        "gateway excludes hostname",
    ),
    entries.Invalid(
        "a provider twice",
        scene.of(providers=[scene.provider("a", "m"), scene.provider("a", "n")]),
        "providers must have distinct names",
    ),
    entries.Invalid(
        "a provider's model twice",
        scene.of(providers=[scene.provider("a", "m", "m")]),
        "models of a provider must have distinct names",
    ),
    entries.Invalid(
        "a provider without models", scene.of(providers=[scene.provider("a")]), "models"
    ),
    entries.Invalid(
        "a provider of an API that is not offered",
        scene.of(providers=[{**scene.provider("a", "m"), "api": "AWSBedrock"}]),
        "spec.providers[0].api",
    ),
    entries.Invalid(
        "providers on a Gateway of somebody else",
        scene.of(gateway={"name": "g", "namespace": "n"}, providers=[scene.provider("a", "m")]),
        "gateway excludes providers",
    ),
    entries.Invalid(
        "a router on a Gateway of somebody else",
        scene.of(gateway={"name": "g", "namespace": "n"}, **_router()["spec"]),
        "gateway excludes semanticRouter",
    ),
    entries.Invalid(
        "a router without a key",
        scene.of(semanticRouter={"models": [{"name": "mom", "default": {"model": "small"}}]}),
        "a router needs a key: secretRef, or configurationOnly",
    ),
    entries.Invalid(
        "a router without a name",
        scene.of(semanticRouter={"secretRef": {"name": "k"}, "models": []}),
        "spec.semanticRouter.models",
    ),
    entries.Invalid(
        "a virtual name twice",
        scene.of(
            semanticRouter={
                "secretRef": {"name": "k"},
                "models": [{"name": "mom", "default": {"model": "small"}}] * 2,
            }
        ),
        "virtual models must have distinct names",
    ),
    entries.Invalid(
        "a decision twice",
        _router(
            decisions=[{"name": "d", "when": {"keywords": ["x"]}, "to": {"model": "small"}}] * 2
        ),
        "decisions of a model must have distinct names",
    ),
    entries.Invalid("nobody who answers", _router(default={}), "who answers is named in one way"),
    entries.Invalid(
        "two who answer",
        _router(default={"model": "small", "tier": "small"}),
        "who answers is named in one way",
    ),
    entries.Invalid(
        "a decision for every prompt",
        _decision(),
        "a decision asks for something: keywords, domains or tokens",
    ),
    entries.Invalid(
        "a subject that the router does not know",
        _decision(domains=["cooking"]),
        "spec.semanticRouter.models[0].decisions[0].when.domains[0]",
    ),
    entries.Invalid(
        "a keyword of blanks",
        _decision(keywords=[" "]),
        "spec.semanticRouter.models[0].decisions[0].when.keywords[0]",
    ),
    entries.Invalid(
        "a band of lengths without an end",
        _decision(tokens={}),
        "a band of tokens has an end: atLeast, atMost or both",
    ),
    entries.Invalid(
        "a band of lengths that is empty",
        _decision(tokens={"atLeast": 2, "atMost": 1}),
        "atLeast is not above atMost",
    ),
    entries.Invalid("a host that is none", scene.of(hostname="h_1"), "spec.hostname"),
    entries.Invalid(
        "a limit of nothing",
        _caller(limits=[{"per": "day"}]),
        "a limit counts one thing: tokens or requests",
    ),
    entries.Invalid(
        "a limit of two things",
        _caller(limits=[{"tokens": 1, "requests": 1, "per": "day"}]),
        "a limit counts one thing: tokens or requests",
    ),
    entries.Invalid(
        "a limit that lets nothing through",
        _caller(limits=[{"tokens": 0, "per": "day"}]),
        "spec.callers[0].limits[0].tokens",
    ),
    entries.Invalid(
        "a limit for a time that nobody counts",
        _caller(limits=[{"tokens": 1, "per": "week"}]),
        "spec.callers[0].limits[0].per",
    ),
    entries.Invalid(
        "too many limits",
        _caller(limits=[{"tokens": number, "per": "day"} for number in range(1, 18)]),
        "spec.callers[0].limits",
    ),
    entries.Invalid(
        "evaluations with nobody's key",
        scene.of(evals={"caller": "a"}),
        "evals.caller must be one of callers",
    ),
    entries.Invalid(
        "evaluations by a caller with a token, which nobody renews",
        scene.of(
            callers=[{"name": "a", "jwt": {"issuer": "sso"}}],
            issuers=[_ISSUER],
            evals={"caller": "a"},
        ),
        "evals.caller must be one of callers, with a key",
    ),
    entries.Invalid(
        "evaluations with the key of somebody else",
        _evals(caller="b"),
        "evals.caller must be one of callers",
    ),
    entries.Invalid(
        "evaluations on a Gateway of somebody else",
        scene.of(gateway={"name": "g", "namespace": "n"}, evals={"caller": "a"}),
        "gateway excludes evals",
    ),
    entries.Invalid(
        "an hour that no day has", _evals(schedule="0 24 * * *"), "spec.evals.schedule"
    ),
    entries.Invalid(
        "a schedule with the name of a day", _evals(schedule="0 2 * * mon"), "spec.evals.schedule"
    ),
    entries.Invalid(
        "a time zone that is none", _evals(timeZone="Europe/Pari"), "spec.evals.timeZone"
    ),
    entries.Invalid(
        "a former name of a time zone", _evals(timeZone="US/Pacific"), "spec.evals.timeZone"
    ),
    entries.Invalid(
        "a file of cases that is code",
        _evals(cases={"configMapRef": {"name": "c", "key": "tests.js"}}),
        "spec.evals.cases.configMapRef.key",
    ),
    entries.Invalid(
        "a threshold above all cases",
        _evals(thresholds={"passPercent": 101}),
        "spec.evals.thresholds.passPercent",
    ),
    entries.Invalid(
        "a model's name that is none",
        _caller(models={"names": ["a/b"]}),
        "spec.callers[0].models.names[0]",
    ),
)
