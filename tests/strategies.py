"""Claims and settings for property tests: plain dicts, as a YAML file gives them.

The strategies are built from the models, so a new field is drawn as soon as the field exists. A
string with a pattern comes from a pool for the pattern. An object that passes through to Kubernetes
comes from a pool for its field. A drawn object is mended to keep the rules between fields.
"""

import functools
import re
import typing
from collections import abc

from hypothesis import strategies as st

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
    schema,
    settings_engine,
    settings_forms,
    settings_providers,
)
from function.api import settings as site
from function.engines import judgements
from function.engines.vllm import command_line, dangers, environment, group, managed
from function.fleet import meaning
from function.planning import lifetimes, parallelism
from tests import documents

Json: typing.TypeAlias = dict[str, typing.Any]
Strategy: typing.TypeAlias = st.SearchStrategy[typing.Any]
_T = typing.TypeVar("_T")

# How many entries a drawn list or map has at most; the longest ones are in `invalid_claims`.
_MOST = 3

# Values of strings by their pattern. Each is tried against the longest length of its field.
_STRINGS: dict[str | None, tuple[str, ...]] = {
    None: ("x", "apps/llm/token", "ünïcödé ✓", "a b\tc", "0", "{}"),
    base.DNS_LABEL: ("a", "gpu-l4", "h200-141", "0", "llm", "a" * 63, "x--y"),
    base.DNS_SUBDOMAIN: ("hf-token", "a", "models.example.com", "0.0", "b" * 253),
    base.LABEL_VALUE: ("", "true", "ai-platform", "Team_A.1", "v" * 63),
    gateway_tokens.ISSUER: ("https://sso.example.com", "http://a", "https://sso/realms/llm"),
    gateway_tokens.JWKS: ("https://sso.example.com/keys", "https://login.example.com:8443/"),
    gateway_tokens.CLAIM: ("sub", "azp", "realm_access.roles"),
    claim_cost.PAYER: ("search", "cc-4711", "Team_A.1", "p" * 63),
    base.LABEL_KEY: ("team", "example.com/cost-center", "A_b.c", "a/" + "k" * 63, "n" * 63),
    base.EXTENDED_RESOURCE: ("nvidia.com/gpu", "amd.com/gpu", "nvidia.com/mig-1g.10gb"),
    base.QUANTITY: ("1", "16Gi", "500m", "1.5", "24Gi", "0"),
    base.DURATION: ("30s", "1h", "1h30m", "500ms", "15m"),
    base.DECIMAL: ("0.7", "1", "22.4", "0.0001", "999999.9999", "95", "99.9"),
    claim.NAME: ("a", "qwen", "xplane-qwen-coder", "q" * 53, "q" * 54, "a-0"),
    claim_model.REPOSITORY: (
        "Qwen/Qwen3-8B",
        "gpt2",
        "meta-llama/Llama-Guard-3-1B",
        "Qwen/Qwen2.5-Coder-7B-Instruct",
        "o" * 96 + "/" + "m" * 96,
    ),
    claim_model.REVISION: (
        "main",
        "c03e6d358207e414f1eca0bb1891e29f1db0e242",
        "refs/pr/7",
        "v1.0",
        "r" * 64,
    ),
    claim_model.RELATIVE_PATH: ("models/qwen", "a", "teams/a/Qwen_3-8B.v1", "p" * 255),
    claim_model.PINNED_IMAGE: (
        "registry.example.com/models/qwen3-8b@sha256:" + "0a" * 32,
        "ghcr.io/org/model:v1@sha256:" + "b" * 64,
        "localhost:5000/m@sha256:" + "c" * 64,
    ),
    claim_model.S3_URI: ("s3://models/qwen3-8b", "s3://a.b-c/teams/a/Qwen_3-8B.v1", "s3://abc"),
    claim_model.ABSOLUTE_PATH: ("/templates/chat.jinja", "/a", "/opt/x_y/z-1.jinja"),
    claim_model.WORD: ("hermes", "qwen3_coder", "sql-dpo", "Llama3.1", "w" * 63),
    claim_pod.IMAGE: (
        "vllm/vllm-openai:v0.25.1",
        "registry.example.com:5000/vllm/vllm-openai:0.26.0-cu130",
        "ghcr.io/example/vllm:v0.25.1.post1",
    ),
    claim_pod.ENGINE_VERSION: ("0.25.1", "v0.26.0", "0.25.1.post1", "1.0.0-rc1"),
    claim.ENGINE_ARGUMENT: (
        "--enable-log-requests",
        "--seed=1",
        "--tensor-parallel-size=2",
        "--kv-cache-dtype=fp8",
        "--max-num-batched-tokens=8192",
        '--override-generation-config={"temperature": 0.2}',
        "--rope-scaling.factor=4.0",
        "--reasoning-parser=qwen3",
        "--chat-template=/templates/chat.jinja",
        "--dtype=bfloat16",
        "--runner=generate",
        "--shutdown_timeout=60",
        "--Enforce-Eager",
        "--no-enable-chunked-prefill",
        "--trust-remote-code",
        "--limit-mm-per-prompt=" + "1" * 234,
    ),
    r"^[-._A-Za-z0-9]+$": ("token", "HF_TOKEN", "a.b-c_d"),
    r"^0\.[0-9]{1,4}$": ("0.1", "0.9", "0.92", "0.98", "0.1234"),
    r"^(0\.[0-9]{1,4}|1(\.0{1,4})?)$": ("0.05", "1", "1.0", "0.0001", "0.95"),
    r"^[A-Za-z_][A-Za-z0-9_]*$": ("HF_HOME", "_a", "VLLM_USE_V1", "x9"),
    settings_forms.URL: (
        "http://[0]/is/no/address",
        "http://[fd00::1]:3128",
        "http://prometheus.monitoring.svc:9090",
        "https://hub.example.com/mirror",
        "http://vm:8428",
    ),
    r"^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$": ("*", "llm", "apps", "team-a"),
    # Without {region}, which settings without one refuse.
    settings_forms.HOST_PATTERN: ("models.example.com", "*.s3.amazonaws.com", "*"),
    r"^sha256:[a-f0-9]{64}$": ("sha256:" + "0a" * 32,),
    r"^/[-._~A-Za-z0-9/]*$": ("/v1", "/", "/v1beta/openai"),
    r"^[A-Z]{3}$": ("USD", "EUR"),
    gateway_router.PHRASE: ("urgent", "stack trace", "naïve ✓", "x" * 64),
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$": ("2026-08-01",),
    base.CIDR: ("10.0.0.0/8", "fd00::/8", "192.168.7.1/32"),
}

_TOLERATIONS: tuple[Json, ...] = (
    {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "team", "operator": "Equal", "value": "ai", "effect": "NoExecute"},
    {"operator": "Exists"},
)
_CILIUM_PEER: Json = {
    "endpoints": {"matchLabels": {"k8s:io.kubernetes.pod.namespace": "apps", "app": "webui"}},
}
_PORTS: list[Json] = [{"ports": [{"port": "8000", "protocol": "TCP"}]}]
_VOLUMES: tuple[tuple[Json, Json], ...] = (
    (
        {"name": "templates", "configMap": {"name": "chat-templates"}},
        {"name": "templates", "mountPath": "/templates", "readOnly": True},
    ),
    (
        {"name": "scratch", "emptyDir": {"sizeLimit": "10Gi"}},
        {"name": "scratch", "mountPath": "/scratch", "subPath": "a"},
    ),
)

# Objects that pass through, by the model and the field that holds them (of a list: its items).
_RAW: dict[tuple[str, str], tuple[Json, ...]] = {
    ("ModelSpec", "facts"): (
        {
            "name": "org/own",
            "architecture": "LlamaForCausalLM",
            "hidden": 64,
            "vocabulary": 1000,
            "tied": True,
            "dtypeBytes": 2,
            "context": 2048,
            "blocks": [
                {
                    "count": 2,
                    "mixer": {
                        "kind": "full",
                        "heads": 4,
                        "kvHeads": 2,
                        "headSize": 16,
                        "valueSize": 16,
                    },
                    "network": {"intermediate": 128},
                }
            ],
        },
    ),
    ("Spec", "security_context"): (
        {"readOnlyRootFilesystem": True},
        {"runAsUser": 2000, "runAsNonRoot": True},
        {"seccompProfile": {"type": "RuntimeDefault"}},
        {},
    ),
    ("Spec", "patches"): (
        {"metadata": {"annotations": {"example.com/owner": "team-a"}}},
        {"metadata": {"labels": {"example.com/tier": None}}},
    ),
    ("NetworkPolicies", "ingress"): (
        {"fromEndpoints": [_CILIUM_PEER["endpoints"]], "toPorts": _PORTS},
        {},
    ),
    ("NetworkPolicies", "egress"): (
        {"toFQDNs": [{"matchName": "example.com"}], "toPorts": _PORTS},
        {"toEntities": ["world"]},
    ),
    ("AlertingRules", "groups"): (
        {
            "name": "own",
            "rules": [
                {
                    "alert": "Slow",
                    "expr": "vector(1) > 0",
                    "for": "5m",
                    "labels": {"severity": "warning"},
                }
            ],
        },
    ),
    ("EnvVar", "value_from"): (
        {"secretKeyRef": {"name": "hf-token", "key": "token"}},
        {"fieldRef": {"fieldPath": "metadata.name"}},
    ),
    ("PodTemplate", "tolerations"): _TOLERATIONS,
    ("GpuClass", "tolerations"): _TOLERATIONS,
    ("Cpu", "tolerations"): _TOLERATIONS,
    ("Preload", "tolerations"): _TOLERATIONS,
    ("PodTemplate", "affinity"): (
        {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "gpu", "operator": "In", "values": ["l4"]}]}
                    ]
                }
            }
        },
        {},
    ),
    ("PodTemplate", "topology_spread_constraints"): (
        {
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app.kubernetes.io/component": "inference"}},
        },
    ),
    ("PodTemplate", "volumes"): tuple(volume for volume, _ in _VOLUMES),
    ("PodTemplate", "volume_mounts"): tuple(mount for _, mount in _VOLUMES),
    ("Scaling", "authentication_ref"): (
        {"name": "prometheus"},
        {"name": "prometheus", "kind": "ClusterTriggerAuthentication"},
    ),
}

# Kubernetes refuses requests above limits, also where one of them is the function's default.
_CLAIM_RESOURCES: dict[str, Json] = {
    "requests": {"cpu": ("500m", 1, "2"), "memory": ("8Gi", "16Gi"), "ephemeral-storage": ("1Gi",)},
    "limits": {"cpu": (2, "8"), "memory": ("32Gi", "64Gi"), "ephemeral-storage": ("5Gi",)},
}
_SITE_RESOURCES: dict[str, Json] = {
    "requests": {"cpu": ("100m", "1"), "memory": ("256Mi", "1Gi")},
    "limits": {"cpu": (2, "4"), "memory": ("2Gi", "8Gi")},
}

# Values that a person would choose; whatever a bound admits is in the pools of strings.
_FIELDS: dict[tuple[str, str], Strategy] = {
    ("Spec", "patches"): st.dictionaries(
        st.sampled_from(("deployment", "service", "scaledobject")),
        st.sampled_from(_RAW["Spec", "patches"]),
        max_size=2,
    ),
    # Kubernetes keeps these lists as maps and refuses a repeated key.
    **{
        field: st.lists(st.sampled_from(_RAW[field]), max_size=_MOST, unique_by=str)
        for field in (
            ("AlertingRules", "groups"),
            ("PodTemplate", "topology_spread_constraints"),
        )
    },
    # Models that tell what they cost, one that does not, and one that nobody has.
    ("Price", "model"): st.sampled_from(["m0", "m1", "m49", "gone"]),
    ("Canary", "weight_percent"): st.integers(1, 24),
    ("Gate", "steps"): st.lists(st.integers(1, 23), min_size=1, max_size=_MOST),
    # Names of the claims that `tests/fleet` draws, and one that nobody has.
    ("Target", "model"): st.sampled_from(["m0", "m1", "gone"]),
    ("Alias", "name"): st.sampled_from(["best", "m1", "all-proxy-models", "1e3"]),
    ("Alias", "model"): st.sampled_from(["m0", "m1", "gone"]),
    **{
        ("GpuClass", field): st.sampled_from([22, "79.2"])
        for field in ("memory_gi_b", "bandwidth_gb", "tflops16", "tflops8")
    },
    ("Capacity", "models"): st.dictionaries(
        st.sampled_from(["org/own", "org/*"]), st.sampled_from(_RAW["ModelSpec", "facts"])
    ),
}


def claims(*, hatches: bool = True) -> st.SearchStrategy[Json]:
    """Returns valid claims.

    Args:
        hatches: Whether they use what settings have to permit: volumes, patches, an image of the
            engine, --trust-remote-code and a security context.
    """
    return _claims() if hatches else _claims().map(_without_hatches)


def doors() -> st.SearchStrategy[Json]:
    """Returns valid front doors, and some whose callers the settings have to permit."""

    def whole(spec: Json) -> Json:
        for provider in spec.get("providers", []):
            # Settings name what may lie inside of the cluster.
            provider["host"] = f"{provider['host'][:100]}.api.example.com"
        return {
            "apiVersion": f"{gateway.GROUP}/{gateway.VERSION}",
            "kind": gateway.KIND,
            "metadata": {"name": "door", "namespace": "llm"},
            "spec": spec,
        }

    return _object(gateway.Spec).map(whole)


def routers() -> st.SearchStrategy[Json]:
    """Returns semantic routers whose decisions prompts can reach."""
    return _object(gateway_router.SemanticRouter)


def settings() -> st.SearchStrategy[Json]:
    """Returns valid settings, as they stand under the key of an EnvironmentConfig."""
    return _object(site.Settings).map(_withdrawn_apart)


def _withdrawn_apart(given: Json) -> Json:
    """Returns settings that withdraw no provider that they name."""
    providers = given.get("providers") or {}
    if providers.get("withdrawn"):
        rest = {name: value for name, value in providers.items() if name != "withdrawn"}
        used = settings_providers.Providers.model_validate(rest).used().values()
        kept = [name for name in providers["withdrawn"] if name not in used]
        return {**given, "providers": {**rest, "withdrawn": kept}}
    return given


def names() -> st.SearchStrategy[str]:
    """Returns valid names of claims."""
    inner = st.text("az09-", max_size=claim.LONGEST_NAME - 2)
    return st.one_of(st.sampled_from(_STRINGS[claim.NAME]), inner.map(lambda text: f"q{text}0"))


def full_claim() -> Json:
    """Returns a valid claim with every field that can stand beside the others."""
    return {
        "apiVersion": f"{claim.GROUP}/{claim.VERSION}",
        "kind": claim.KIND,
        "metadata": {"name": "qwen", "namespace": "llm"},
        "spec": _full(claim.Spec),
    }


@st.composite
def _claims(draw: st.DrawFn) -> Json:
    metadata: Json = {"name": draw(names())}
    if namespace := draw(st.sampled_from(("", "llm", "team-a", "n" * 63))):
        metadata["namespace"] = namespace
    spec = draw(_object(claim.Spec))
    gateway = spec.get("gateway", {})
    if gateway.get("endpointPicker", {}).get("enabled"):
        metadata["name"] = metadata["name"][: claim.LONGEST_NAME_WITH_PICKER].rstrip("-")
    if gateway.get("fallback", {}).get("claim") == metadata["name"]:
        gateway["fallback"]["claim"] = f"{metadata['name'][:40]}-other"
    if metadata["name"] in {adapter["name"] for adapter in spec.get("loraAdapters", [])}:
        metadata["name"] = f"{metadata['name'][:20]}-base-model"
    if "parallelism" in spec.get("gpu", {}):
        metadata["name"] = metadata["name"][: parallelism.LONGEST_NAME].rstrip("-")
    return {
        "apiVersion": f"{claim.GROUP}/{claim.VERSION}",
        "kind": claim.KIND,
        "metadata": metadata,
        "spec": spec,
    }


def _without_hatches(value: Json) -> Json:
    spec = value["spec"]
    spec.pop("patches", None)
    spec.pop("securityContext", None)
    spec.get("engine", {}).pop("image", None)
    for adapter in _hot(spec):
        del adapter["hot"]
    if "provider" in spec.get("gateway", {}).get("fallback", {}):
        del spec["gateway"]["fallback"]
    for field in ("volumes", "volumeMounts"):
        spec.get("podTemplate", {}).pop(field, None)
    if spec.get("engine", {}).get("kind") == "tei":
        return value
    if "env" in spec.get("podTemplate", {}):
        spec["podTemplate"]["env"] = [
            variable
            for variable in spec["podTemplate"]["env"]
            if environment.danger(claim_pod.EnvVar.model_validate(variable)) is None
        ]
    if "engineArgs" in spec:
        spec["engineArgs"] = [
            argument
            for argument in spec["engineArgs"]
            if not any(danger.kind in judgements.OF_ARGUMENTS for danger in _dangers(argument))
        ]
    return value


# Values by their type.


@functools.cache
def _dangers(argument: str) -> abc.Iterator[dangers.Danger]:
    return dangers.of(command_line.CommandLine.read([argument]))


class _Values(dict[str, Strategy]):
    """Values of fields, which hypothesis shall not write out whole in its messages."""

    def __repr__(self) -> str:
        return f"<{len(self)} fields>"


@functools.cache
def _object(model: type[base.Model]) -> st.SearchStrategy[Json]:
    """Returns objects of a model: its required fields, and a draw of the others."""
    every = {n: f for n, f in model.model_fields.items() if n not in ("crossplane", "metadata")}
    values = _Values(
        {str(f.alias): _field(model, n, f.annotation, f.metadata) for n, f in every.items()}
    )
    required = [str(f.alias) for f in every.values() if f.is_required()]
    optional = [alias for alias in values if alias not in required]
    # Objects that hold objects get a half or a quarter of their fields, leaves a half.
    sparse = any(is_object(f.annotation) for f in every.values())
    return _drawn(model, values, required, optional, sparse)


@st.composite
def _drawn(
    draw: st.DrawFn,
    model: type[base.Model],
    values: dict[str, Strategy],
    required: list[str],
    optional: list[str],
    sparse: bool,
) -> Json:
    # One bit for each optional field: a single draw, and less is fewer fields. As an integer it
    # would be small most of the time, and the last fields would hardly ever be drawn.
    size = len(optional) // 8 + 1
    every = st.binary(min_size=size, max_size=size)
    mask = int.from_bytes(draw(every))
    if sparse and draw(st.booleans()):
        mask &= int.from_bytes(draw(every))
    chosen = [alias for bit, alias in enumerate(optional) if mask >> bit & 1]
    fields = {alias: documents.copied(draw(values[alias])) for alias in (*required, *chosen)}
    if mend := _MEND.get(model):
        mend(fields)
    return fields


def is_object(annotation: typing.Any) -> bool:
    annotation, _ = schema.unwrap(annotation)
    return isinstance(annotation, type) and issubclass(annotation, base.Model)


def _field(
    model: type[base.Model], name: str, annotation: typing.Any, metadata: abc.Iterable[typing.Any]
) -> Strategy:
    if (model.__name__, name) in _FIELDS:
        return _FIELDS[model.__name__, name]
    if name in ("requests", "limits") and typing.get_origin(schema.unwrap(annotation)[0]) is dict:
        pools = _SITE_RESOURCES if model.__module__.startswith(site.__name__) else _CLAIM_RESOURCES
        optional = {key: st.sampled_from(pool) for key, pool in pools[name].items()}
        return st.fixed_dictionaries({}, optional=optional)
    return _value(annotation, metadata, _RAW.get((model.__name__, name)))


def _value(
    annotation: typing.Any,
    metadata: abc.Iterable[typing.Any] = (),
    raw: tuple[Json, ...] | None = None,
) -> Strategy:
    """Returns values of a type within its constraints."""
    annotation, metadata = schema.unwrap(annotation, metadata)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if is_object(annotation):
        return _object(annotation)
    if annotation is bool:
        return st.booleans()
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    limits = schema.Constraints.read(metadata)
    if annotation is int:
        return st.integers(limits.minimum, limits.maximum)
    if annotation is str:
        return _string(limits)
    if origin is list:
        least, most = limits.shortest or 0, min(limits.longest or _MOST, _MOST)
        return st.lists(_value(arguments[0], (), raw), min_size=least, max_size=most)
    if origin is dict and arguments[1] is typing.Any:
        return st.sampled_from(raw or ())
    if origin is dict:
        least = limits.shortest or 0
        return st.dictionaries(
            _value(arguments[0]), _value(arguments[1]), min_size=least, max_size=_MOST
        )
    raise AssertionError(f"no strategy for {annotation!r}")


def fitting(limits: schema.Constraints) -> list[str]:
    """Returns the strings of a pattern that fit, and that keep the rules of the string itself."""
    fit = [s for s in _STRINGS.get(limits.pattern, ()) if len(s) <= (limits.longest or 0)]
    return [s for s in fit if all(rule.holds(s) for rule in limits.rules)]


def _string(limits: schema.Constraints) -> Strategy:
    if pool := fitting(limits):
        return st.sampled_from(pool)
    ascii_only = st.characters(codec="ascii")
    any_fit = st.from_regex(python(limits.pattern or ""), fullmatch=True, alphabet=ascii_only)
    longest = limits.longest or 0
    return any_fit.filter(lambda s: len(s) <= longest and all(r.holds(s) for r in limits.rules))


def python(pattern: str) -> re.Pattern[str]:
    """Returns a pattern whose `$` is the end of the string, as it is to pydantic and in RE2."""
    return re.compile(pattern.replace("$", r"\Z"))


def _full(
    annotation: typing.Any,
    metadata: abc.Iterable[typing.Any] = (),
    raw: tuple[Json, ...] | None = None,
) -> typing.Any:
    """Returns the first value of a type; for a model, an object with every field."""
    annotation, metadata = schema.unwrap(annotation, metadata)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if is_object(annotation):
        return _full_object(annotation)
    if annotation is bool:
        return True
    if origin is typing.Literal:
        return arguments[0]
    limits = schema.Constraints.read(metadata)
    if annotation is int:
        return limits.minimum
    if annotation is str:
        return fitting(limits)[0]
    if origin is list:
        return [_full(arguments[0], (), raw)]
    if origin is dict and arguments[1] is typing.Any:
        return (raw or ())[0]
    if origin is dict:
        return {_full(arguments[0]): _full(arguments[1], (), raw)}
    raise AssertionError(f"no value for {annotation!r}")


def _full_object(model: type[base.Model]) -> Json:
    fields: Json = {}
    for name, field in model.model_fields.items():
        where = (model.__name__, name)
        if name in ("requests", "limits"):
            fields[name] = {key: pool[0] for key, pool in _CLAIM_RESOURCES[name].items()}
        elif name != "crossplane":
            fields[str(field.alias)] = _full(field.annotation, field.metadata, _RAW.get(where))
    if mend := _MEND.get(model):
        mend(fields)
    return fields


# Rules between fields, kept by mending a drawn object.


def _mend_model(model: Json) -> None:
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
        "oci": ("image", _STRINGS[claim_model.PINNED_IMAGE][0]),
        "s3": ("uri", _STRINGS[claim_model.S3_URI][0]),
    }
    model.setdefault(*needs[source])
    if source == "pvc" and model.get("preload", {}).get("enabled"):
        del model["preload"]["enabled"]
    if source == "s3" and model.get("streaming", {}).get("enabled") is False:
        del model["streaming"]["enabled"]
    if model.get("runner") == "pooling":
        for field in ("toolCallParser", "reasoningParser", "chatTemplate"):
            model.pop(field, None)


def _mend_scaling(scaling: Json) -> None:
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


def _mend_triggers(triggers: Json) -> None:
    if len(triggers) == 3 and all(t.get("enabled") is False for t in triggers.values()):
        del triggers["queue"]["enabled"]


def _mend_gpu(gpu: Json) -> None:
    parts = gpu.get("parallelism")
    if parts is None:
        return
    # Each stage and each copy has pods of its own; there are 16 pods at most.
    if "tensor" in parts:
        parts["tensor"] = gpu.get("count", 1)
    for field in ("pipeline", "data"):
        if field in parts:
            parts[field] = min(parts[field], 4)


def _mend_objectives(slo: Json) -> None:
    if not slo.keys() & {"ttft", "itl", "availability"}:
        slo["availability"] = {"percent": "99.9"}


def _mend_cost(cost: Json) -> None:
    if not cost:
        cost["team"] = "search"


def _mend_payers(keys: Json) -> None:
    for field in [field for field in keys if keys[field] in ("team", "project", "cost-center")]:
        del keys[field]
    for field in [field for field in keys if list(keys.values()).count(keys[field]) > 1]:
        keys[field] = f"{field.lower()}.example.com/payer"


def _mend_scheduling(scheduling: Json) -> None:
    if "queue" not in scheduling:
        scheduling.pop("priorityClass", None)


def _mend_gateway(route: Json) -> None:
    if route.get("endpointPicker", {}).get("enabled"):
        route["enabled"] = True
        route.pop("fallback", None)
        for canary in route.get("canaries", []):
            canary.pop("gate", None)
    if route.get("canaries") or route.get("fallback"):
        route["enabled"] = True
    if route.get("canaries"):
        route["canaries"] = _distinct(route["canaries"], "adapter")


def _mend_fallback(fallback: Json) -> None:
    if "provider" in fallback and "claim" not in fallback:
        fallback.setdefault("model", "claude-haiku")
    else:
        fallback.setdefault("claim", "other")
        for field in ("provider", "model"):
            fallback.pop(field, None)


def _mend_scorers(scorers: Json) -> None:
    counted = [scorers.get(score, 1) for score in ("prefix", "queue", "kvCache")]
    if not any((*counted, scorers.get("adapters"))):
        scorers["queue"] = 1


def _mend_canary(canary: Json) -> None:
    gate = canary.get("gate", {})
    if "steps" in gate:
        below = [step for step in gate["steps"] if step < canary["weightPercent"]]
        gate["steps"] = below
        if not below:
            del gate["steps"]


def _mend_picker(picker: Json) -> None:
    if "priorities" in picker:
        picker["priorities"] = _distinct(picker["priorities"], "name")


def _mend_route(route: Json) -> None:
    if route.get("enabled"):
        route.setdefault("hostname", "chat")
    if route.get("hostname") == "llm":
        route["hostname"] = "chat"  # the gateway's own, where the settings have one


def _mend_env(variable: Json) -> None:
    if "value" in variable:
        variable.pop("valueFrom", None)
    if not environment.of(variable["name"]).secret:
        # What the engine prints is never a Secret's.
        variable.get("valueFrom", {}).pop("secretKeyRef", None)
    if not variable.get("valueFrom", True):
        variable.pop("valueFrom")


def _mend_probes(probes: Json) -> None:
    startup = probes.get("startup", {})
    if "failureThreshold" in startup:
        period = startup.get("periodSeconds", lifetimes.STARTUP_PERIOD)
        most = lifetimes.LONGEST_CHOSEN_START // period
        startup["failureThreshold"] = min(startup["failureThreshold"], most)


def _mend_pod(pod: Json) -> None:
    if "env" in pod:
        pod["env"] = _distinct(pod["env"], "name")
    for field, key in (("volumes", "name"), ("volumeMounts", "mountPath")):
        if field in pod:
            pod[field] = _distinct(pod[field], key)
    if "volumeMounts" in pod:
        volumes = [volume["name"] for volume in pod.get("volumes", ())]
        pod["volumeMounts"] = [m for m in pod["volumeMounts"] if m["name"] in volumes]


def _mend_spec(spec: Json) -> None:
    for field in ("loraAdapters", "externalSecrets"):
        if field in spec:
            spec[field] = _distinct(spec[field], "name")
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
    if "longestQueueSeconds" in spec["model"] or _hot(spec):
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


def _mend_tei(spec: Json) -> None:
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


def _hot(spec: Json) -> list[Json]:
    return [adapter for adapter in spec.get("loraAdapters", []) if adapter.get("hot")]


def _mend_hot(spec: Json) -> None:
    model = spec["model"]
    verified = model.get("source") != "pvc" and model.get("preload", {}).get("enabled") is not False
    if not verified or "parallelism" in spec.get("gpu", {}) or "image" in spec.get("engine", {}):
        for adapter in _hot(spec):
            del adapter["hot"]
    elif _hot(spec):
        shared = {one["adapter"] for one in spec.get("gateway", {}).get("canaries", [])}
        for adapter in _hot(spec):
            if adapter["name"] in shared:
                del adapter["hot"]
        spec.pop("engineArgs", None)
        spec.get("podTemplate", {}).pop("env", None)


def _mend_gpu_classes(gpu: Json) -> None:
    classes = gpu.get("classes")
    if classes is None:
        gpu.pop("defaultClass", None)
    else:
        gpu["defaultClass"] = next(iter(classes))


def _distinct(entries: list[Json], key: str) -> list[Json]:
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


def _mend_limit(limit: Json) -> None:
    """Counts one thing."""
    if "tokens" in limit:
        limit.pop("requests", None)
    else:
        limit.setdefault("requests", 1)


def _mend_caller(caller: Json) -> None:
    """Leaves a key in one place."""
    if "secretRef" in caller:
        caller.pop("externalSecret", None)
        caller.pop("jwt", None)
    elif "externalSecret" in caller:
        caller.pop("jwt", None)
    elif "jwt" not in caller:
        caller["secretRef"] = {"name": "key"}


_ISSUER: Json = {
    "name": "sso",
    "issuer": "https://sso.example.com",
    "audiences": ["llm"],
    "jwksURI": "https://sso.example.com/keys",
}


def _mend_token(token: Json) -> None:
    if "claims" in token:
        token["claims"] = _distinct(token["claims"], "name")


def _mend_issuer(issuer: Json) -> None:
    if "jwksURI" in issuer:
        issuer.pop("jwksConfigMap", None)
        if re.search(r":\d{5}", issuer["jwksURI"]):
            issuer["jwksURI"] = _ISSUER["jwksURI"]
    elif "jwksConfigMap" not in issuer:
        issuer["jwksURI"] = _ISSUER["jwksURI"]


def _mend_target(target: Json) -> None:
    """Names who answers in one way."""
    if "model" in target:
        for field in ("tier", "specialty", "matchLabels"):
            target.pop(field, None)
    elif not target:
        target["model"] = "m0"


def _mend_when(when: Json) -> None:
    """Asks for something."""
    if not when:
        when["keywords"] = ["urgent"]


def _mend_tokens(tokens: Json) -> None:
    least, most = tokens.setdefault("atLeast", 1), tokens.get("atMost")
    if most is not None and least > most:
        tokens["atLeast"], tokens["atMost"] = most, least


def _mend_virtual(model: Json) -> None:
    """Leaves the decisions that prompts can reach."""
    decisions = _distinct(model.get("decisions", []), "name")
    read = [gateway_router.Decision.model_validate(decision) for decision in decisions]
    lost = {place for place, _ in meaning.unreachable(read)}
    model["decisions"] = [one for place, one in enumerate(decisions) if place not in lost]


def _mend_router(router: Json) -> None:
    router["models"] = _distinct(router["models"], "name")
    if not router.get("configurationOnly"):
        router.setdefault("secretRef", {"name": "router-key"})


def _mend_door(spec: Json) -> None:
    if "callers" in spec:
        spec["callers"] = _distinct(spec["callers"], "name")
    if "providers" in spec:
        spec["providers"] = _distinct(spec["providers"], "name")
        for provider in spec["providers"]:
            provider["models"] = _distinct(provider["models"], "name")
    if "prices" in spec:
        spec["prices"] = _distinct(spec["prices"], "model")
    if "gateway" in spec:
        for field in (
            *("hostname", "tls", "callers", "issuers"),
            *("providers", "prices", "pricing", "semanticRouter", "edge"),
        ):
            spec.pop(field, None)
    if "issuers" in spec:
        spec["issuers"] = _distinct(_distinct(spec["issuers"], "name"), "issuer")
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


def _mend_budget(spec: Json) -> None:
    if "pricing" not in spec:
        spec.setdefault("prices", [{"model": "coder", "input": "0.5"}])


def _mend_price(price: Json) -> None:
    if "fromCost" in price:
        for field in ("input", "cachedInput", "output"):
            price.pop(field, None)
    else:
        price.setdefault("input", "0.5")


def _mend_edge(spec: Json, caller: str) -> None:
    """Has the proxy call as a caller with a key, and each other caller in one team at most."""
    litellm = spec["edge"]["litellm"]
    litellm["caller"] = caller
    if not litellm.get("configurationOnly"):
        litellm.setdefault("secretRef", {"name": "litellm"})
    if "aliases" in litellm:
        litellm["aliases"] = _distinct(litellm["aliases"], "name")
    others = [one["name"] for one in spec["callers"] if one["name"] != caller]
    teams = _distinct(litellm.pop("teams", []), "name")
    placed = [{**team, "callers": [other]} for team, other in zip(teams, others, strict=False)]
    if placed:
        litellm["teams"] = placed
    if any("budget" in team for team in placed):
        _mend_budget(spec)


_MEND: dict[type[base.Model], abc.Callable[[Json], None]] = {
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
