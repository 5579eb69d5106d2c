"""Claims with exactly one mistake, and where it is: drawn, or every one of a claim's values."""

import dataclasses
import json
import types
import typing
import zlib
from collections import abc

from hypothesis import strategies as st

from function.api import claim, claim_pod, schema
from function.engines.vllm import managed
from tests import mends, pools, strategies

_T = typing.TypeVar("_T")


@dataclasses.dataclass(frozen=True)
class Broken:
    """A claim with one mistake.

    Attributes:
        claim: The claim.
        path: Where the mistake is, as the function reports it.
        what: The mistake in words, for the output of a failing test.
    """

    claim: pools.Json
    path: str
    what: str


def broken_claims() -> st.SearchStrategy[Broken]:
    """Returns claims with one mistake in a value, or with one broken rule."""
    return st.one_of(_mutated(), _rule_broken())


def every(valid: pools.Json) -> abc.Iterator[Broken]:
    """Yields a copy of the claim for every mistake that a single value in it can have."""
    for place in _places(valid, "spec", "spec", claim.Spec, required=True):
        for what, path, value in list(_changes(place)):
            yield Broken(_with(valid, place, value), path, what)


def nulled(valid: pools.Json) -> abc.Iterator[tuple[str, pools.Json]]:
    """Yields for every field and entry that can be left out a copy of the claim with null in it."""
    for place in _places(valid, "spec", "spec", claim.Spec, required=True):
        if not place.required:
            yield place.path, _with(valid, place, None)


def _with(valid: pools.Json, place: "_Place", value: typing.Any) -> pools.Json:
    """Returns a copy of the claim with another value in one place."""
    before = place.value
    place.parent[place.key] = value
    # Claims are JSON, and this copy is several times as fast as copy.deepcopy.
    changed: pools.Json = json.loads(json.dumps(valid))
    place.parent[place.key] = before
    return changed


@dataclasses.dataclass(frozen=True)
class _Place:
    """A value in a claim, with its place and its type.

    Attributes:
        parent: The object or list that holds the value.
        key: The key or index of the value in the parent.
        path: The path of the value.
        required: Whether the value cannot be left out.
        annotation: The value's type.
        limits: The value's constraints.
    """

    parent: typing.Any
    key: str | int
    path: str
    required: bool
    annotation: typing.Any
    limits: schema.Constraints

    @property
    def value(self) -> typing.Any:
        return self.parent[self.key]


@st.composite
def _mutated(draw: st.DrawFn) -> Broken:
    drawn = draw(strategies.claims())
    place = _pick(draw, drawn, list(_places(drawn, "spec", "spec", claim.Spec, required=True)))
    what, path, value = _pick(draw, drawn, list(_changes(place)))
    place.parent[place.key] = value
    return Broken(drawn, path, what)


def _pick(draw: st.DrawFn, drawn: pools.Json, options: abc.Sequence[_T]) -> _T:
    """Returns one of many, which depends on the claim as well.

    What is drawn last is drawn as zero or repeated most of the time, so that by itself it would
    come to the same few mistakes.
    """
    salt = zlib.crc32(json.dumps(drawn).encode())
    return options[(draw(st.integers(0, 2**16 - 1)) + salt) % len(options)]


def _places(
    parent: typing.Any,
    key: str | int,
    path: str,
    annotation: typing.Any,
    metadata: abc.Iterable[typing.Any] = (),
    *,
    required: bool = False,
) -> abc.Iterator[_Place]:
    """Yields a value and all that are in it."""
    annotation, metadata = schema.unwrap(annotation, metadata)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    yield _Place(parent, key, path, required, annotation, schema.Constraints.read(metadata))
    value = parent[key]
    if strategies.is_object(annotation):
        fields = {str(f.alias): f for f in annotation.model_fields.values()}
        for name in value:
            field = fields[name]
            given = (field.annotation, field.metadata)
            needed = field.is_required()
            yield from _places(value, name, f"{path}.{name}", *given, required=needed)
    elif origin is list:
        for index in range(len(value)):
            yield from _places(value, index, f"{path}[{index}]", arguments[0], required=True)
    elif origin is dict and arguments[1] is not typing.Any:
        for name in value:
            yield from _places(value, name, f"{path}.{name}", arguments[1])


def _changes(place: _Place) -> abc.Iterator[tuple[str, str, typing.Any]]:
    """Yields mistakes for a value: words, the path at which it is reported, and the wrong value."""
    annotation, limits = place.annotation, place.limits
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if strategies.is_object(annotation):
        yield from _object_changes(place)
    elif annotation is bool:
        yield from _at(place, "not a boolean", "true", 1, [], {})
    elif annotation is int:
        yield from _at(place, "not an integer", "1", 1.5, True, [1], {})
        yield from _at(place, "out of range", *_beyond(limits))
    elif annotation is str:
        yield from _at(place, "not a string", 7, 0.5, True, ["x"], {"x": "y"})
        yield from _at(place, "not such a string", *_misfits(limits))
    elif origin is typing.Literal:
        yield from _at(place, "not one of them", f"{arguments[0]}x", "", 7, True, [])
    elif origin in (typing.Union, types.UnionType):
        wrong: tuple[typing.Any, ...] = (True, -1, "abc", "", 1.5, [], "1 Gi", 2**31, "9" * 33)
        yield from _at(place, "not a quantity", *wrong)
    elif origin is list:
        yield from _at(place, "not a list", {}, "x", 1, [None])
        filler = (place.value or [{}])[0]
        yield from _at(place, "too many items", [filler] * ((limits.longest or 0) + 1))
        if limits.shortest:
            yield from _at(place, "too few items", [])
    elif arguments[1] is typing.Any:
        yield from _at(place, "not an object", "x", 1, [], True)
        if limits.longest is not None:
            yield "too many keys", place.path, {f"k{n}": 1 for n in range(limits.longest + 1)}
    else:
        yield from _map_changes(place)


def _at(place: _Place, what: str, *values: typing.Any) -> abc.Iterator[tuple[str, str, typing.Any]]:
    for value in values:
        yield f"{what}: {value!r:.60}", place.path, value


def _beyond(limits: schema.Constraints) -> abc.Iterator[int]:
    if limits.minimum is not None:
        yield limits.minimum - 1
    if limits.maximum is not None:
        yield limits.maximum + 1


def _misfits(limits: schema.Constraints) -> abc.Iterator[str]:
    """Yields strings that the length or the pattern refuses."""
    longest = limits.longest or 0
    yield "a" * (longest + 1)
    if limits.shortest:
        yield ""
    if limits.pattern is not None:
        pattern = strategies.python(limits.pattern)
        fit = next(iter(strategies.fitting(limits)), "a")
        candidates = (f"{fit}\n", f"\n{fit}", f" {fit}", f"{fit} ", f"{fit}é", "-", "a b", "\x00")
        yield from (s for s in candidates if len(s) <= longest and not pattern.search(s))


def _object_changes(place: _Place) -> abc.Iterator[tuple[str, str, typing.Any]]:
    model, value = place.annotation, place.value
    yield from _at(place, "not an object", "x", 1, [], True)
    yield "unknown field", f"{place.path}.unknown", value | {"unknown": 1}
    # A claim cannot use the Python name of a field.
    for name, field in model.model_fields.items():
        alias = str(field.alias)
        if name != alias:
            yield "snake case", f"{place.path}.{name}", value | {name: value.get(alias, 1)}
        if field.is_required():
            rest = {key: inner for key, inner in value.items() if key != alias}
            yield "missing", f"{place.path}.{alias}", rest
            yield "null", f"{place.path}.{alias}", rest | {alias: None}


def _map_changes(place: _Place) -> abc.Iterator[tuple[str, str, typing.Any]]:
    key_type, value_type = typing.get_args(place.annotation)
    keys = schema.Constraints.read(schema.unwrap(key_type)[1])
    inner = next(iter(place.value.values()), {} if schema.unwrap(value_type)[0] is not str else "x")
    raw = typing.get_args(schema.unwrap(value_type)[0])[1:] == (typing.Any,)
    inner = inner if raw or not isinstance(inner, dict) else "1"
    yield from _at(place, "not a map", "x", 1, [], True)
    for key in _misfits(keys):
        yield f"bad key {key!r:.60}", place.path, place.value | {key: inner}
    most = (place.limits.longest or 0) + 1
    yield "too many keys", place.path, {f"k{index}": inner for index in range(most)}


@st.composite
def _rule_broken(draw: st.DrawFn) -> Broken:
    drawn = draw(strategies.claims())
    what = _pick(draw, drawn, sorted(_BREAK))
    path = _BREAK[what](drawn, draw)
    return Broken(drawn, path, what)


_Break: typing.TypeAlias = abc.Callable[[pools.Json, st.DrawFn], str]
_BREAK: dict[str, _Break] = {}


def _breaks(function: _Break) -> _Break:
    _BREAK[function.__name__.strip("_").replace("_", " ")] = function
    return function


# Spellings of a flag that vLLM's parser accepts, or that a person may try.
SPELLINGS: tuple[abc.Callable[[str], str], ...] = (
    lambda flag: f"--{flag}",
    lambda flag: f"--{flag}=1",
    lambda flag: f"--{flag.upper()}=x",
    lambda flag: f"--{flag.replace('-', '_')}=1",
    lambda flag: f"--{flag}.key=1",
    lambda flag: f"--{flag[:-1]}",
    lambda flag: f"--{flag[:2]}=é",
    lambda flag: f"--no-{flag}",
    lambda flag: f"--No_{flag}",
    lambda flag: f"--{flag.replace('enable-', 'disable-')}",
)


@_breaks
def _managed_flag(claim_: pools.Json, draw: st.DrawFn) -> str:
    flag = draw(st.sampled_from(managed.FLAGS))
    spell = draw(st.sampled_from(SPELLINGS))
    arguments = claim_["spec"].setdefault("engineArgs", [])
    arguments.append(spell(flag))
    return f"spec.engineArgs[{len(arguments) - 1}]"


@_breaks
def _flag_and_field(claim_: pools.Json, draw: st.DrawFn) -> str:
    flag = draw(st.sampled_from(sorted(mends.REPLACED)))
    part, field = mends.REPLACED[flag]
    samples = {"drainSeconds": 30, "chatTemplate": "/a", "runner": "generate"}
    samples |= {"longestQueueSeconds": 10}
    claim_["spec"].get(part or "", claim_["spec"]).setdefault(field, samples.get(field, "auto"))
    if field in ("chatTemplate", "reasoningParser"):
        claim_["spec"]["model"].pop("runner", None)
    argument = draw(st.sampled_from((f"--{flag}=x", f"--{flag.replace('-', '_').upper()}=x")))
    claim_["spec"].setdefault("engineArgs", []).append(argument)
    return "spec"


@_breaks
def _objectives_of_nothing(claim_: pools.Json, draw: st.DrawFn) -> str:
    claim_["spec"]["slo"] = draw(st.sampled_from(({}, {"window": "30d"})))
    return "spec.slo"


@_breaks
def _least_above_most(claim_: pools.Json, draw: st.DrawFn) -> str:
    most = draw(st.integers(1, 999))
    scaling = claim_["spec"].setdefault("scaling", {})
    scaling |= {"maxReplicas": most, "minReplicas": draw(st.integers(most + 1, 1000))}
    return "spec.scaling"


@_breaks
def _two_spellings(claim_: pools.Json, draw: st.DrawFn) -> str:
    old, new, value = draw(
        st.sampled_from(
            (
                ("runningRatioThreshold", "running", "0.7"),
                ("cacheUtilizationThreshold", "kvCache", "0.6"),
                ("queueLengthThreshold", "queue", 8),
            )
        )
    )
    scaling = claim_["spec"].setdefault("scaling", {})
    scaling[old] = value
    scaling.setdefault("triggers", {})[new] = {"target": "5"}
    return "spec.scaling"


@_breaks
def _zero(claim_: pools.Json, draw: st.DrawFn) -> str:
    path = draw(
        st.sampled_from(
            (
                "scaling.runningRatioThreshold",
                "scaling.cacheUtilizationThreshold",
                "scaling.triggers.running.target",
                "scaling.triggers.kvCache.target",
                "scaling.triggers.queue.target",
                "observability.alerts.errorRatio",
                "observability.alerts.kvCacheUsage",
                "observability.alerts.timeToFirstTokenSeconds",
                "observability.alerts.preemptionsPerMinute",
                "gpu.memoryUtilization",
            )
        )
    )
    node = claim_["spec"]
    *parents, last = path.split(".")
    for parent in parents:
        node = node.setdefault(parent, {})
    node[last] = "0.0"
    return f"spec.{path}"


@_breaks
def _canary_of_nothing(claim_: pools.Json, draw: st.DrawFn) -> str:
    canaries = [{"adapter": "nobody", "weightPercent": draw(st.integers(1, 99))}]
    claim_["spec"]["gateway"] = {"enabled": True, "canaries": canaries}
    return "spec"


@_breaks
def _bad_canaries(claim_: pools.Json, draw: st.DrawFn) -> str:
    weight = draw(st.integers(50, 99))
    spec = claim_["spec"]
    spec["loraAdapters"] = [{"name": name, "repository": "a/b"} for name in ("a", "b")]
    canaries = [{"adapter": name, "weightPercent": weight} for name in ("a", "b")]
    spec["gateway"] = draw(
        st.sampled_from(
            (
                {"enabled": True, "canaries": canaries},
                {"enabled": True, "canaries": [canaries[0] | {"weightPercent": 1}] * 2},
                {"enabled": False, "canaries": canaries[:1]},
                {"canaries": canaries[:1]},
            )
        )
    )
    return "spec.gateway"


@_breaks
def _picker_alone(claim_: pools.Json, draw: st.DrawFn) -> str:
    gateway: pools.Json = {"endpointPicker": {"enabled": True}}
    if draw(st.booleans()):
        gateway["enabled"] = False
    claim_["spec"]["gateway"] = gateway
    return "spec.gateway"


@_breaks
def _same_name_twice(claim_: pools.Json, draw: st.DrawFn) -> str:
    spec = claim_["spec"]
    field = draw(st.sampled_from(("loraAdapters", "externalSecrets", "podTemplate.env")))
    entry = {
        "loraAdapters": {"name": "a", "repository": "a/b"},
        "externalSecrets": {"name": "a", "remoteRef": "x"},
        "podTemplate.env": {"name": "a"},
    }[field]
    holder = spec.setdefault("podTemplate", {}) if "." in field else spec
    holder[field.split(".")[-1]] = [entry, dict(entry)]
    spec.get("gateway", {}).pop("canaries", None)
    return f"spec.{field}"


@_breaks
def _source_and_path(claim_: pools.Json, draw: st.DrawFn) -> str:
    claim_["spec"]["model"] = draw(
        st.sampled_from(
            (
                {},
                {"source": "pvc"},
                {"source": "pvc", "repository": "a/b"},
                {"source": "huggingface", "path": "a"},
                {"source": "oci", "repository": "a/b"},
                {"source": "s3", "repository": "a/b"},
                {"source": "s3", "uri": "s3://abc", "streaming": {"enabled": False}},
                {"source": "s3", "uri": "s3://abc", "revision": "main"},
                {"repository": "a/b", "uri": "s3://abc"},
                {"repository": "a/b", "credentialsSecretRef": {"name": "a"}},
                {"repository": "a/b", "path": "a"},
                {"source": "pvc", "path": "a", "preload": {"enabled": True}},
                {"repository": "a/b", "runner": "pooling", "toolCallParser": "hermes"},
                {"repository": "a/b", "runner": "pooling", "reasoningParser": "qwen3"},
                {"repository": "a/b", "runner": "pooling", "chatTemplate": "/a"},
            )
        )
    )
    return "spec.model"


@_breaks
def _route_without_a_host(claim_: pools.Json, draw: st.DrawFn) -> str:
    claim_["spec"]["route"] = {"enabled": True}
    return "spec.route"


@_breaks
def _image_without_a_version(claim_: pools.Json, draw: st.DrawFn) -> str:
    image = draw(
        st.sampled_from(
            (
                "vllm/vllm-openai",
                "vllm:latest",
                "r:5000/vllm",
                "v:v1.0",
                "v:v1.0.0@sha256:" + "a" * 64,
            )
        )
    )
    claim_["spec"]["engine"] = {"image": image}
    return "spec.engine"


@_breaks
def _dots_in_a_name(claim_: pools.Json, draw: st.DrawFn) -> str:
    field, value = draw(
        st.sampled_from(
            (
                ("repository", "a/b..c"),
                ("repository", "a--b/c"),
                ("revision", "a..b"),
            )
        )
    )
    claim_["spec"]["model"][field] = value
    return f"spec.model.{field}"


@_breaks
def _value_and_source(claim_: pools.Json, draw: st.DrawFn) -> str:
    variable = {"name": "A", "value": "", "valueFrom": {}}
    claim_["spec"].setdefault("podTemplate", {})["env"] = [variable]
    return "spec.podTemplate.env[0]"


@_breaks
def _selecting_label(claim_: pools.Json, draw: st.DrawFn) -> str:
    key = draw(st.sampled_from(sorted(claim_pod.SELECTING_LABELS)))
    claim_["spec"].setdefault("podTemplate", {}).setdefault("labels", {})[key] = "x"
    return "spec.podTemplate"


@_breaks
def _bad_name(claim_: pools.Json, draw: st.DrawFn) -> str:
    claim_["metadata"]["name"] = draw(
        st.sampled_from(("0a", "a.b", "A", "a-", "-a", "a_b", "q" * 55, "", "q\n"))
    )
    return "metadata.name"


@_breaks
def _long_name_with_a_picker(claim_: pools.Json, draw: st.DrawFn) -> str:
    claim_["metadata"]["name"] = "q" * claim.LONGEST_NAME
    claim_["spec"]["gateway"] = {"enabled": True, "endpointPicker": {"enabled": True}}
    return ""
