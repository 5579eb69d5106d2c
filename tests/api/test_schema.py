"""The schemas are structural, and a pattern means the same to every engine that reads it."""

import functools
import re
import typing
from collections import abc

import annotated_types
import hypothesis
import pydantic
import pytest
import re2
from hypothesis import strategies as st

from function import generate
from function.api import base, claim, claim_scaling, schema, settings, settings_engine, status
from function.composites import inference_service
from tests import effort

Node = schema.Node
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_RULES = "x-kubernetes-validations"

# Everything that may stand in a node: no `default`, no `$ref`, no logical junctors.
_KEYWORDS = {
    "type",
    "format",
    "description",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "items",
    "minProperties",
    "maxProperties",
    "additionalProperties",
    "properties",
    "required",
    "anyOf",
    "nullable",
    "x-kubernetes-int-or-string",
    _PRESERVE,
    _RULES,
}


def _nodes(node: Node, path: str = "") -> abc.Iterator[tuple[str, Node]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from _nodes(child, f"{path}.{name}")
    if "items" in node:
        yield from _nodes(node["items"], f"{path}[]")
    if "additionalProperties" in node:
        yield from _nodes(node["additionalProperties"], f"{path}.<key>")


def _input_schema() -> Node:
    versions = generate.input_definition()["spec"]["versions"]
    root: Node = versions[0]["schema"]["openAPIV3Schema"]
    return root


_SCHEMAS = {"claim": generate.composite_schema(inference_service), "settings": _input_schema()}


def test_every_node_is_typed_and_uses_what_the_api_server_takes() -> None:
    for name, root in _SCHEMAS.items():
        for path, node in _nodes(root):
            where = f"{name}{path}"
            assert set(node) <= _KEYWORDS, where
            if node.get("x-kubernetes-int-or-string"):
                assert node["anyOf"] == [{"type": "integer"}, {"type": "string"}], where
                assert "type" not in node, where
            else:
                assert node["type"] in {"object", "array", "string", "integer", "boolean"}, where
                assert "anyOf" not in node, where
            assert isinstance(node.get("additionalProperties", {}), dict), where


@pytest.mark.pitfall("the CRD is never established: CEL cost, unbounded lists")
def test_every_value_is_bounded() -> None:
    """The API server multiplies these bounds into the cost of a rule, and refuses a costly rule."""
    for name, root in _SCHEMAS.items():
        for path, node in _nodes(root):
            if path in ("", ".apiVersion", ".kind", ".metadata"):
                continue
            where, kind = f"{name}{path}", node.get("type")
            if kind == "array":
                assert node["maxItems"] <= 64, where
                assert "items" in node, where
            elif "additionalProperties" in node:
                assert node["maxProperties"] <= 32, where
            elif kind == "object":
                assert "properties" in node or node[_PRESERVE] is True, where
            elif kind == "integer":
                assert "enum" in node or {"minimum", "maximum"} <= set(node), where
                assert node["format"] == "int64", where
            elif kind != "boolean":
                assert "enum" in node or node["maxLength"] <= 4096, where


def test_every_property_of_a_model_is_in_the_schema() -> None:
    for model, root, without in (
        (claim.Spec, _SCHEMAS["claim"]["properties"]["spec"], {"crossplane"}),
        (status.Status, _SCHEMAS["claim"]["properties"]["status"], set[str]()),
        (settings.Settings, _SCHEMAS["settings"], set[str]()),
    ):
        names = {str(f.alias) for f in model.model_fields.values()} - without
        assert names <= set(root["properties"])
        assert not without & set(root["properties"])


@pytest.mark.decision(1)
def test_null_is_a_value_only_where_it_switches_off_a_default() -> None:
    paths = [f"{n}{p}" for n, r in _SCHEMAS.items() for p, node in _nodes(r) if "nullable" in node]
    assert paths == ["settings.weights.fsGroup", "settings.limits.maxGPUs"]
    assert settings.resolve([{"weights": {"fsGroup": None}}]).weights.fs_group is None
    assert settings.resolve([{"limits": {"maxGPUs": None}}]).limits.max_gpus is None
    assert settings.resolve([{"weights": {"runAsUser": None}}]).weights.run_as_user == 1001


def test_what_is_required() -> None:
    required = {
        path: node["required"]
        for path, node in _nodes(_SCHEMAS["claim"])
        if "required" in node and not path.startswith(".status")
    }
    assert required == {
        "": ["spec"],
        ".spec": ["model"],
        ".spec.model.credentialsSecretRef": ["name"],
        ".spec.model.tokenSecretRef": ["name"],
        ".spec.loraAdapters[]": ["name", "repository"],
        ".spec.gateway.canaries[]": ["adapter", "weightPercent"],
        ".spec.gateway.endpointPicker.priorities[]": ["name", "value"],
        ".spec.externalSecrets[]": ["name", "remoteRef"],
        ".spec.slo.ttft": ["percentile", "seconds"],
        ".spec.slo.itl": ["percentile", "seconds"],
        ".spec.slo.availability": ["percent"],
        ".spec.podTemplate.env[]": ["name"],
    }


# Rules.


def _models(model: type[base.Model]) -> abc.Iterator[type[base.Model]]:
    yield model
    for below in model.__subclasses__():
        yield from _models(below)


def _rules_in(metadata: typing.Any) -> abc.Iterator[base.Rule]:
    """Yields the rules anywhere inside of an annotation."""
    if isinstance(metadata, base.Rule):
        yield metadata
    for inner in getattr(metadata, "__metadata__", ()):
        yield from _rules_in(inner)
    for inner in typing.get_args(metadata):
        yield from _rules_in(inner)


def test_every_rule_of_every_model_is_in_the_schema() -> None:
    in_schema = {
        (rule["rule"], rule["message"])
        for root in _SCHEMAS.values()
        for _, node in _nodes(root)
        for rule in node.get(_RULES, ())
    }
    wanted: set[tuple[str, str]] = set()
    for model in _models(base.Model):
        if not model.__module__.startswith((claim.__name__, settings.__name__)):
            continue
        rules = [*model.RULES]
        for annotation in typing.get_type_hints(model, include_extras=True).values():
            rules += _rules_in(annotation)
        wanted |= {(rule.cel, rule.message) for rule in rules if not rule.function_only}
    assert len(wanted) > 35
    assert wanted <= in_schema


@pytest.mark.pitfall("a rule at the root blocks updates and deletion of live claims")
@pytest.mark.decision(6)
def test_rules_sit_on_the_node_that_they_are_about() -> None:
    nodes = dict(_nodes(_SCHEMAS["claim"]))
    assert len(nodes[""][_RULES]) == len(claim.InferenceService.RULES)
    assert all(rule["optionalOldSelf"] is True for rule in nodes[""][_RULES])
    assert not any(
        "optionalOldSelf" in rule
        for path, node in nodes.items()
        for rule in node.get(_RULES, ())
        if path
    )
    assert [rule["rule"] for rule in nodes[".spec.scaling"][_RULES]] == [
        rule.cel for rule in claim_scaling.Scaling.RULES
    ]
    (managed,) = nodes[".spec.engineArgs[]"][_RULES]
    assert managed["message"].startswith("this flag is set by the composition")
    # The bounds of the keys give one rule.
    (keys,) = nodes[".spec.podTemplate.nodeSelector"][_RULES]
    assert keys["rule"].startswith("self.all(k, k.size() >= 1 && k.size() <= 253 && k.matches('^")


# Types.


class _Inner(base.Model):
    """Words about it.

    More words.
    """

    some_name: int | None = None


class _Sample(base.Model):
    plain: base.Raw
    mixed: typing.Annotated[int, base.number(0, 9)] | base.Quantity
    labels: typing.Annotated[dict[base.DnsLabel, _Inner], base.items(4, 1)]
    ranks: typing.Literal[8, 16]
    described: _Inner = pydantic.Field(description="Its own words.")
    inner: list[_Inner] | None = None


def test_types() -> None:
    inner = {
        "description": "Words about it.",
        "type": "object",
        "properties": {"someName": {"type": "integer", "format": "int64"}},
    }
    assert schema.of_model(_Sample) == {
        "description": schema.paragraph(_Sample),
        "type": "object",
        "required": ["plain", "mixed", "labels", "ranks", "described"],
        "properties": {
            "plain": {"type": "object", "maxProperties": 64, _PRESERVE: True},
            "mixed": {
                "anyOf": [{"type": "integer"}, {"type": "string"}],
                "x-kubernetes-int-or-string": True,
                "minimum": 0,
                "maximum": 9,
                "minLength": 1,
                "maxLength": 32,
                "pattern": base.QUANTITY,
            },
            "labels": {
                "type": "object",
                "minProperties": 1,
                "maxProperties": 4,
                "additionalProperties": inner,
                _RULES: [
                    {
                        "rule": "self.all(k, k.size() >= 1 && k.size() <= 63"
                        f" && k.matches('{base.DNS_LABEL}'))",
                        "message": f"each key has at most 63 characters and matches"
                        f" {base.DNS_LABEL}",
                    }
                ],
            },
            "ranks": {"type": "integer", "format": "int64", "enum": [8, 16]},
            "described": inner | {"description": "Its own words."},
            "inner": {"type": "array", "items": inner},
        },
    }


@pytest.mark.parametrize(
    "annotation",
    [
        float,
        typing.Any,
        int | bool,
        typing.Annotated[int, annotated_types.Gt(0)],
        typing.Annotated[int, pydantic.Field(multiple_of=2)],
    ],
)
def test_what_would_be_lost_is_an_error(annotation: typing.Any) -> None:
    with pytest.raises(schema.UnsupportedError):
        schema.of_annotation(annotation)


def test_literals_of_cel_are_escaped() -> None:
    assert schema.quote(r"a\.b'c") == r"'a\\.b\'c'"


# Patterns: Rust's engine in pydantic, RE2 in the API server and in CEL.


def _patterns() -> list[str]:
    patterns = set()
    for root in _SCHEMAS.values():
        for _, node in _nodes(root):
            if "pattern" in node:
                patterns.add(node["pattern"])
            for rule in node.get(_RULES, ()):
                for literal in re.findall(r"matches\('((?:[^'\\]|\\.)*)'\)", rule["rule"]):
                    patterns.add(literal.replace("\\\\", "\\"))
    return sorted(patterns)


@functools.cache
def _adapter(pattern: str) -> pydantic.TypeAdapter[str]:
    constraint = pydantic.StringConstraints(pattern=pattern)
    return pydantic.TypeAdapter(typing.Annotated[str, constraint])


@functools.cache
def _near(pattern: str) -> st.SearchStrategy[str]:
    """Returns strings that fit, and strings with one change that may no longer fit."""
    fit = st.from_regex(pattern)
    odd = st.sampled_from(["\n", "\r", "\x00", " ", "\u00a0", "\u2028", "é", "K", "/", "-", ""])
    return st.one_of(
        fit,
        st.text(),
        st.tuples(fit, odd).map("".join),
        st.tuples(odd, fit).map("".join),
        st.tuples(fit, odd, st.integers(0, 9)).map(lambda t: t[0][: t[2]] + t[1] + t[0][t[2] :]),
    )


@pytest.mark.parametrize("pattern", _patterns())
@effort.examples(10)
@hypothesis.given(data=st.data())
def test_a_pattern_means_the_same_to_both(pattern: str, data: st.DataObject) -> None:
    text = data.draw(_near(pattern))
    # RE2 reads UTF-8, which has no lone surrogates.
    hypothesis.assume(text.encode(errors="ignore").decode() == text)
    match = re2.search(pattern, text)  # type: ignore[no-untyped-call]
    by_server = match is not None
    try:
        _adapter(pattern).validate_python(text)
    except pydantic.ValidationError:
        assert not by_server
    else:
        assert by_server


def test_patterns_are_anchored() -> None:
    patterns = _patterns()
    assert len(patterns) > 20
    for pattern in patterns:
        # Only the pattern of the version in an image's tag has no anchor at its start.
        assert pattern.startswith(("^", ":v?")), pattern
        assert pattern.endswith("$"), pattern


@pytest.mark.parametrize("deep", [False, True])
def test_a_changed_copy_is_not_taken_for_the_object_that_it_was_made_from(deep: bool) -> None:
    site = settings.Settings()
    copied = site.model_copy(update={"capacity": settings_engine.Capacity(fit="Ignore")}, deep=deep)
    assert site.model_copy(deep=deep).fingerprint == site.fingerprint
    changed = site.model_copy(
        update={"capacity": settings_engine.Capacity(fit="Ignore")}, deep=deep
    )
    assert changed.fingerprint == copied.fingerprint != site.fingerprint
