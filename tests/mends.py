"""Rules between fields, kept by mending a drawn object."""

import functools
import re
from collections import abc

from function.api import (
    base,
    claim,
    claim_cost,
    claim_engines,
    claim_metrics,
    claim_model,
    claim_pod,
    claim_scaling,
    claim_traffic,
    gateway,
    gateway_money,
    gateway_router,
    gateway_tokens,
    settings_engine,
)
from function.engines.vllm import environment, group, managed
from function.fleet import meaning
from function.planning import lifetimes
from tests import pools


def _mend_model(model: pools.Json) -> None:
    source = model.get("source", "huggingface")
    for field, sources in (
        ("path", ("pvc", "oci")),
        ("image", ("oci",)),
        ("uri", ("s3",)),
        ("credentialsSecretRef", ("s3",)),
        ("revision", ("huggingface", "pvc")),
    ):
        if source not in sources:
            model.pop(field, None)
    needs = {
        "huggingface": ("repository", "Qwen/Qwen3-8B"),
        "pvc": ("path", "models/qwen"),
        "oci": ("image", pools.STRINGS[claim_model.PINNED_IMAGE][0]),
        "s3": ("uri", pools.STRINGS[claim_model.S3_URI][0]),
    }
    model.setdefault(*needs[source])
    if source == "pvc" and model.get("preload", {}).get("enabled"):
        del model["preload"]["enabled"]
    if source == "s3" and model.get("streaming", {}).get("enabled") is False:
        del model["streaming"]["enabled"]
    if model.get("runner") == "pooling":
        for field in ("toolCallParser", "reasoningParser", "chatTemplate"):
            model.pop(field, None)


def _mend_scaling(scaling: pools.Json) -> None:
    least, most = scaling.get("minReplicas", 1), scaling.get("maxReplicas")
    if most is not None and least > most:
        scaling["minReplicas"], scaling["maxReplicas"] = most, least
    triggers = scaling.get("triggers", {})
    for old, new in (
        ("runningRatioThreshold", "running"),
        ("cacheUtilizationThreshold", "kvCache"),
        ("queueLengthThreshold", "queue"),
    ):
        if "target" in triggers.get(new, {}):
            scaling.pop(old, None)


def _mend_triggers(triggers: pools.Json) -> None:
    if len(triggers) == 3 and all(t.get("enabled") is False for t in triggers.values()):
        del triggers["queue"]["enabled"]


def _mend_gpu(gpu: pools.Json) -> None:
    parts = gpu.get("parallelism")
    if parts is None:
        return
    # Each stage and each copy has pods of its own; there are 16 pods at most.
    if "tensor" in parts:
        parts["tensor"] = gpu.get("count", 1)
    for field in ("pipeline", "data"):
        if field in parts:
            parts[field] = min(parts[field], 4)


def _mend_objectives(slo: pools.Json) -> None:
    if not slo.keys() & {"ttft", "itl", "availability"}:
        slo["availability"] = {"percent": "99.9"}


def _mend_cost(cost: pools.Json) -> None:
    if not cost:
        cost["team"] = "search"


def _mend_payers(keys: pools.Json) -> None:
    for field in [field for field in keys if keys[field] in ("team", "project", "cost-center")]:
        del keys[field]
    for field in [field for field in keys if list(keys.values()).count(keys[field]) > 1]:
        keys[field] = f"{field.lower()}.example.com/payer"


def _mend_scheduling(scheduling: pools.Json) -> None:
    if "queue" not in scheduling:
        scheduling.pop("priorityClass", None)


def _mend_gateway(route: pools.Json) -> None:
    if route.get("endpointPicker", {}).get("enabled"):
        route["enabled"] = True
        route.pop("fallback", None)
        for canary in route.get("canaries", []):
            canary.pop("gate", None)
    if route.get("canaries") or route.get("fallback"):
        route["enabled"] = True
    if route.get("canaries"):
        route["canaries"] = distinct(route["canaries"], "adapter")


def _mend_fallback(fallback: pools.Json) -> None:
    if "provider" in fallback and "claim" not in fallback:
        fallback.setdefault("model", "claude-haiku")
    else:
        fallback.setdefault("claim", "other")
        for field in ("provider", "model"):
            fallback.pop(field, None)


def _mend_scorers(scorers: pools.Json) -> None:
    counted = [scorers.get(score, 1) for score in ("prefix", "queue", "kvCache")]
    if not any((*counted, scorers.get("adapters"))):
        scorers["queue"] = 1


def _mend_canary(canary: pools.Json) -> None:
    gate = canary.get("gate", {})
    if "steps" in gate:
        below = [step for step in gate["steps"] if step < canary["weightPercent"]]
        gate["steps"] = below
        if not below:
            del gate["steps"]


def _mend_picker(picker: pools.Json) -> None:
    if "priorities" in picker:
        picker["priorities"] = distinct(picker["priorities"], "name")


def _mend_route(route: pools.Json) -> None:
    if route.get("enabled"):
        route.setdefault("hostname", "chat")
    if route.get("hostname") == "llm":
        route["hostname"] = "chat"  # the gateway's own, where the settings have one


def _mend_env(variable: pools.Json) -> None:
    if "value" in variable:
        variable.pop("valueFrom", None)
    if not environment.of(variable["name"]).secret:
        # What the engine prints is never a Secret's.
        variable.get("valueFrom", {}).pop("secretKeyRef", None)
    if not variable.get("valueFrom", True):
        variable.pop("valueFrom")


def _mend_probes(probes: pools.Json) -> None:
    startup = probes.get("startup", {})
    if "failureThreshold" in startup:
        period = startup.get("periodSeconds", lifetimes.STARTUP_PERIOD)
        most = lifetimes.LONGEST_CHOSEN_START // period
        startup["failureThreshold"] = min(startup["failureThreshold"], most)


def _mend_pod(pod: pools.Json) -> None:
    if "env" in pod:
        pod["env"] = distinct(pod["env"], "name")
    for field, key in (("volumes", "name"), ("volumeMounts", "mountPath")):
        if field in pod:
            pod[field] = distinct(pod[field], key)
    if "volumeMounts" in pod:
        volumes = [volume["name"] for volume in pod.get("volumes", ())]
        pod["volumeMounts"] = [m for m in pod["volumeMounts"] if m["name"] in volumes]


def _mend_spec(spec: pools.Json) -> None:
    for field in ("loraAdapters", "externalSecrets"):
        if field in spec:
            spec[field] = distinct(spec[field], "name")
    if "envFromSecrets" in spec:
        spec["envFromSecrets"] = list(dict.fromkeys(spec["envFromSecrets"]))
    route, adapters = spec.get("gateway", {}), spec.get("loraAdapters", [])
    if "canaries" in route:
        # Canaries name adapters in order; those beyond the last adapter go.
        route["canaries"] = [
            canary | {"adapter": adapter["name"]}
            for canary, adapter in zip(route["canaries"], adapters, strict=False)
        ]
    if "deployment" in spec.get("patches", {}):
        spec.get("gpu", {}).pop("parallelism", None)
    if spec.get("engine", {}).get("kind") == "tei":
        _mend_tei(spec)
    _mend_hot(spec)
    if "longestQueueSeconds" in spec["model"] or hot(spec):
        spec["engine"] = spec.get("engine", {}) | {"version": "0.33.0"}
    if "engineArgs" in spec:
        taken = {
            flag for flag, (part, field) in REPLACED.items() if field in spec.get(part or "", spec)
        }
        spec["engineArgs"] = [a for a in spec["engineArgs"] if managed.normal(a) not in taken]


_TEI_ARGUMENTS = (
    "--max-client-batch-size=64",
    "--pooling=mean",
    "--auto-truncate",
    "--max-concurrent-requests=1024",
)
_TEI_VARIABLES = ("RAYON_NUM_THREADS", "LOG_LEVEL", "TASK")


def _mend_tei(spec: pools.Json) -> None:
    """Leaves what text-embeddings-inference has."""
    for path in claim_engines.ABSENT:
        *parents, name = path.split(".")
        functools.reduce(lambda node, part: node.get(part, {}), parents, spec).pop(name, None)
    spec.get("gateway", {}).pop("canaries", None)
    engine, model, gpu = spec["engine"], spec["model"], spec.get("gpu", {})
    if engine.keys() & {"image", "version"}:
        engine["version"] = "1.9.3"
    if model.get("source") == "s3":
        for field in ("source", "uri", "credentialsSecretRef"):
            model.pop(field, None)
    model.setdefault("repository", "BAAI/bge-m3")
    if model.get("runner") == "generate":
        del model["runner"]
    if model.get("dtype") == "bfloat16":
        del model["dtype"]
    gpu.pop("resourceName", None)
    if "count" in gpu:
        gpu["count"] = 1
    triggers = spec.get("scaling", {}).get("triggers", {})
    if triggers.get("queue", {}).get("enabled") is False:
        del triggers["queue"]["enabled"]
    if "slo" in spec:
        spec["slo"].setdefault("availability", {"percent": "99.9"})
    arguments = range(len(spec.get("engineArgs", ())))
    if "engineArgs" in spec:
        spec["engineArgs"] = [_TEI_ARGUMENTS[index] for index in arguments]
    for index, variable in enumerate(spec.get("podTemplate", {}).get("env", ())):
        variable["name"] = _TEI_VARIABLES[index]


def hot(spec: pools.Json) -> list[pools.Json]:
    return [adapter for adapter in spec.get("loraAdapters", []) if adapter.get("hot")]


def _mend_hot(spec: pools.Json) -> None:
    model = spec["model"]
    verified = model.get("source") != "pvc" and model.get("preload", {}).get("enabled") is not False
    if not verified or "parallelism" in spec.get("gpu", {}) or "image" in spec.get("engine", {}):
        for adapter in hot(spec):
            del adapter["hot"]
    elif hot(spec):
        shared = {one["adapter"] for one in spec.get("gateway", {}).get("canaries", [])}
        for adapter in hot(spec):
            if adapter["name"] in shared:
                del adapter["hot"]
        spec.pop("engineArgs", None)
        spec.get("podTemplate", {}).pop("env", None)


def _mend_gpu_classes(gpu: pools.Json) -> None:
    classes = gpu.get("classes")
    if classes is None:
        gpu.pop("defaultClass", None)
    else:
        gpu["defaultClass"] = next(iter(classes))


def distinct(entries: list[pools.Json], key: str) -> list[pools.Json]:
    return list({entry[key]: entry for entry in entries}.values())


# Flags that a field replaces: the object in the spec that has the field, and the field.
REPLACED: dict[str, tuple[str | None, str]] = {
    "kv-cache-dtype": ("model", "kvCacheDtype"),
    "reasoning-parser": ("model", "reasoningParser"),
    "chat-template": ("model", "chatTemplate"),
    "dtype": ("model", "dtype"),
    "runner": ("model", "runner"),
    "max-num-queued-reqs": ("model", "longestQueueSeconds"),
    "shutdown-timeout": (None, "drainSeconds"),
    **dict.fromkeys(group.DECIDES, ("gpu", "parallelism")),
}


def _mend_limit(limit: pools.Json) -> None:
    """Counts one thing."""
    if "tokens" in limit:
        limit.pop("requests", None)
    else:
        limit.setdefault("requests", 1)


def _mend_caller(caller: pools.Json) -> None:
    """Leaves a key in one place."""
    if "secretRef" in caller:
        caller.pop("externalSecret", None)
        caller.pop("jwt", None)
    elif "externalSecret" in caller:
        caller.pop("jwt", None)
    elif "jwt" not in caller:
        caller["secretRef"] = {"name": "key"}


_ISSUER: pools.Json = {
    "name": "sso",
    "issuer": "https://sso.example.com",
    "audiences": ["llm"],
    "jwksURI": "https://sso.example.com/keys",
}


def _mend_token(token: pools.Json) -> None:
    if "claims" in token:
        token["claims"] = distinct(token["claims"], "name")


def _mend_issuer(issuer: pools.Json) -> None:
    if "jwksURI" in issuer:
        issuer.pop("jwksConfigMap", None)
        if re.search(r":\d{5}", issuer["jwksURI"]):
            issuer["jwksURI"] = _ISSUER["jwksURI"]
    elif "jwksConfigMap" not in issuer:
        issuer["jwksURI"] = _ISSUER["jwksURI"]


def _mend_target(target: pools.Json) -> None:
    """Names who answers in one way."""
    if "model" in target:
        for field in ("tier", "specialty", "matchLabels"):
            target.pop(field, None)
    elif not target:
        target["model"] = "m0"


def _mend_when(when: pools.Json) -> None:
    """Asks for something."""
    if not when:
        when["keywords"] = ["urgent"]


def _mend_tokens(tokens: pools.Json) -> None:
    least, most = tokens.setdefault("atLeast", 1), tokens.get("atMost")
    if most is not None and least > most:
        tokens["atLeast"], tokens["atMost"] = most, least


def _mend_virtual(model: pools.Json) -> None:
    """Leaves the decisions that prompts can reach."""
    decisions = distinct(model.get("decisions", []), "name")
    read = [gateway_router.Decision.model_validate(decision) for decision in decisions]
    lost = {place for place, _ in meaning.unreachable(read)}
    model["decisions"] = [one for place, one in enumerate(decisions) if place not in lost]


def _mend_router(router: pools.Json) -> None:
    router["models"] = distinct(router["models"], "name")
    if not router.get("configurationOnly"):
        router.setdefault("secretRef", {"name": "router-key"})


def _mend_door(spec: pools.Json) -> None:
    if "callers" in spec:
        spec["callers"] = distinct(spec["callers"], "name")
    if "providers" in spec:
        spec["providers"] = distinct(spec["providers"], "name")
        for provider in spec["providers"]:
            provider["models"] = distinct(provider["models"], "name")
    if "prices" in spec:
        spec["prices"] = distinct(spec["prices"], "model")
    if "gateway" in spec:
        for field in (
            *("hostname", "tls", "callers", "issuers"),
            *("providers", "prices", "pricing", "semanticRouter", "edge"),
        ):
            spec.pop(field, None)
    if "issuers" in spec:
        spec["issuers"] = distinct(distinct(spec["issuers"], "name"), "issuer")
    if any("jwt" in caller for caller in spec.get("callers", [])):
        known = spec.get("issuers") or [_ISSUER]
        spec["issuers"] = known
        for caller in spec["callers"]:
            if "jwt" in caller:
                token, named = caller["jwt"], known[0].get("callerClaim", "sub")
                token["issuer"] = known[0]["name"]
                claims = [one for one in token.pop("claims", []) if one["name"] != named]
                token |= {"claims": claims} if claims else {}
    if any("budget" in caller for caller in spec.get("callers", [])):
        _mend_budget(spec)
    keyed = [one for one in spec.get("callers", []) if "jwt" not in one]
    if keyed and "evals" in spec:
        spec["evals"]["caller"] = keyed[0]["name"]
        ranges = re.findall(r"(\d+)-(\d+)", spec["evals"].get("schedule", ""))
        if any(int(first) > int(last) for first, last in ranges):
            spec["evals"]["schedule"] = "0 2 * * *"
    else:
        spec.pop("evals", None)
    if keyed and "edge" in spec:
        _mend_edge(spec, keyed[0]["name"])
    else:
        spec.pop("edge", None)


def _mend_budget(spec: pools.Json) -> None:
    if "pricing" not in spec:
        spec.setdefault("prices", [{"model": "coder", "input": "0.5"}])


def _mend_price(price: pools.Json) -> None:
    if "fromCost" in price:
        for field in ("input", "cachedInput", "output"):
            price.pop(field, None)
    else:
        price.setdefault("input", "0.5")


def _mend_edge(spec: pools.Json, caller: str) -> None:
    """Has the proxy call as a caller with a key, and each other caller in one team at most."""
    litellm = spec["edge"]["litellm"]
    litellm["caller"] = caller
    if not litellm.get("configurationOnly"):
        litellm.setdefault("secretRef", {"name": "litellm"})
    if "aliases" in litellm:
        litellm["aliases"] = distinct(litellm["aliases"], "name")
    others = [one["name"] for one in spec["callers"] if one["name"] != caller]
    teams = distinct(litellm.pop("teams", []), "name")
    placed = [{**team, "callers": [other]} for team, other in zip(teams, others, strict=False)]
    if placed:
        litellm["teams"] = placed
    if any("budget" in team for team in placed):
        _mend_budget(spec)


MEND: dict[type[base.Model], abc.Callable[[pools.Json], None]] = {
    claim_model.ModelSpec: _mend_model,
    claim_scaling.Triggers: _mend_triggers,
    claim_scaling.Scaling: _mend_scaling,
    claim_metrics.Objectives: _mend_objectives,
    claim_cost.Cost: _mend_cost,
    claim_traffic.Canary: _mend_canary,
    claim_traffic.Gateway: _mend_gateway,
    claim_traffic.Fallback: _mend_fallback,
    claim_traffic.Scorers: _mend_scorers,
    claim_traffic.EndpointPicker: _mend_picker,
    claim_traffic.Route: _mend_route,
    claim_pod.EnvVar: _mend_env,
    claim_pod.Gpu: _mend_gpu,
    claim_pod.Scheduling: _mend_scheduling,
    claim_pod.HealthProbes: _mend_probes,
    claim_pod.PodTemplate: _mend_pod,
    claim.Spec: _mend_spec,
    gateway.Caller: _mend_caller,
    gateway.Limit: _mend_limit,
    gateway_money.Price: _mend_price,
    gateway_tokens.Issuer: _mend_issuer,
    gateway_tokens.Token: _mend_token,
    gateway.Spec: _mend_door,
    gateway_router.Target: _mend_target,
    gateway_router.Tokens: _mend_tokens,
    gateway_router.When: _mend_when,
    gateway_router.VirtualModel: _mend_virtual,
    gateway_router.SemanticRouter: _mend_router,
    settings_engine.Gpu: _mend_gpu_classes,
    settings_engine.PayerLabels: _mend_payers,
}
