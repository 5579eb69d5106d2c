"""Claims and settings for property tests: plain dicts, as a YAML file gives them.

The strategies are built from the models, so a new field is drawn as soon as the field exists. A
string with a pattern comes from a pool for the pattern. An object that passes through to Kubernetes
comes from a pool for its field (`pools`). A drawn object is mended to keep the rules between fields
(`mends`).
"""

import functools
import re
import typing
from collections import abc

from hypothesis import strategies as st

from function.api import (
    base,
    claim,
    claim_pod,
    gateway,
    gateway_router,
    schema,
    settings_providers,
)
from function.api import settings as site
from function.engines import judgements
from function.engines.vllm import command_line, dangers, environment
from function.planning import parallelism
from tests import documents, mends, pools

Strategy: typing.TypeAlias = st.SearchStrategy[typing.Any]
_T = typing.TypeVar("_T")

# How many entries a drawn list or map has at most; the longest ones are in `invalid_claims`.
_MOST = 3


# Values that a person would choose; whatever a bound admits is in the pools of strings.
_FIELDS: dict[tuple[str, str], Strategy] = {
    ("Spec", "patches"): st.dictionaries(
        st.sampled_from(("deployment", "service", "scaledobject")),
        st.sampled_from(pools.RAW["Spec", "patches"]),
        max_size=2,
    ),
    # Kubernetes keeps these lists as maps and refuses a repeated key.
    **{
        field: st.lists(st.sampled_from(pools.RAW[field]), max_size=_MOST, unique_by=str)
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
        st.sampled_from(["org/own", "org/*"]), st.sampled_from(pools.RAW["ModelSpec", "facts"])
    ),
}


def claims(*, hatches: bool = True) -> st.SearchStrategy[pools.Json]:
    """Returns valid claims.

    Args:
        hatches: Whether they use what settings have to permit: volumes, patches, an image of the
            engine, --trust-remote-code and a security context.
    """
    return _claims() if hatches else _claims().map(_without_hatches)


def doors() -> st.SearchStrategy[pools.Json]:
    """Returns valid front doors, and some whose callers the settings have to permit."""

    def whole(spec: pools.Json) -> pools.Json:
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


def routers() -> st.SearchStrategy[pools.Json]:
    """Returns semantic routers whose decisions prompts can reach."""
    return _object(gateway_router.SemanticRouter)


def settings() -> st.SearchStrategy[pools.Json]:
    """Returns valid settings, as they stand under the key of an EnvironmentConfig."""
    return _object(site.Settings).map(_withdrawn_apart)


def _withdrawn_apart(given: pools.Json) -> pools.Json:
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
    return st.one_of(
        st.sampled_from(pools.STRINGS[claim.NAME]), inner.map(lambda text: f"q{text}0")
    )


def full_claim() -> pools.Json:
    """Returns a valid claim with every field that can stand beside the others."""
    return {
        "apiVersion": f"{claim.GROUP}/{claim.VERSION}",
        "kind": claim.KIND,
        "metadata": {"name": "qwen", "namespace": "llm"},
        "spec": _full(claim.Spec),
    }


@st.composite
def _claims(draw: st.DrawFn) -> pools.Json:
    metadata: pools.Json = {"name": draw(names())}
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


def _without_hatches(value: pools.Json) -> pools.Json:
    spec = value["spec"]
    spec.pop("patches", None)
    spec.pop("securityContext", None)
    spec.get("engine", {}).pop("image", None)
    for adapter in mends.hot(spec):
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
def _object(model: type[base.Model]) -> st.SearchStrategy[pools.Json]:
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
) -> pools.Json:
    # One bit for each optional field: a single draw, and less is fewer fields. As an integer it
    # would be small most of the time, and the last fields would hardly ever be drawn.
    size = len(optional) // 8 + 1
    every = st.binary(min_size=size, max_size=size)
    mask = int.from_bytes(draw(every))
    if sparse and draw(st.booleans()):
        mask &= int.from_bytes(draw(every))
    chosen = [alias for bit, alias in enumerate(optional) if mask >> bit & 1]
    fields = {alias: documents.copied(draw(values[alias])) for alias in (*required, *chosen)}
    if mend := mends.MEND.get(model):
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
        of_site = model.__module__.startswith(site.__name__)
        resources = pools.SITE_RESOURCES if of_site else pools.CLAIM_RESOURCES
        optional = {key: st.sampled_from(pool) for key, pool in resources[name].items()}
        return st.fixed_dictionaries({}, optional=optional)
    return _value(annotation, metadata, pools.RAW.get((model.__name__, name)))


def _value(
    annotation: typing.Any,
    metadata: abc.Iterable[typing.Any] = (),
    raw: tuple[pools.Json, ...] | None = None,
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
    fit = [s for s in pools.STRINGS.get(limits.pattern, ()) if len(s) <= (limits.longest or 0)]
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
    raw: tuple[pools.Json, ...] | None = None,
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


def _full_object(model: type[base.Model]) -> pools.Json:
    fields: pools.Json = {}
    for name, field in model.model_fields.items():
        where = (model.__name__, name)
        if name in ("requests", "limits"):
            fields[name] = {key: pool[0] for key, pool in pools.CLAIM_RESOURCES[name].items()}
        elif name != "crossplane":
            fields[str(field.alias)] = _full(field.annotation, field.metadata, pools.RAW.get(where))
    if mend := mends.MEND.get(model):
        mend(fields)
    return fields
