"""The function and the API server give the same verdict on a claim.

The schema is the one that Crossplane makes of the XRD. There are two intended differences. The
function applies a rule about new objects to stored objects too. A claim that breaks an
`admission_only` rule is refused by admission; the function renders the claim and reports it.
"""

import functools

import hypothesis
import pytest

from function import generate
from function.api import base, claim, claim_model, claim_scaling, settings
from function.composites import inference_service
from function.engines.vllm import managed
from tests import cases, mistakes, pools, schemas, strategies
from tests.api import accepted_claims, entries, invalid_claims

Json = pools.Json


@functools.cache
def _installed() -> schemas.Schema:
    return schemas.Schema.from_crd(generate.composite_definition(inference_service), claim.VERSION)


def _by_schema(value: Json) -> list[str]:
    return _installed().validate(value)


def _by_function(value: Json) -> tuple[base.Problem, ...]:
    try:
        base.parse(claim.InferenceService, value, what="claim")
    except base.InvalidError as error:
        return error.problems
    return ()


@hypothesis.given(strategies.claims())
def test_both_accept_a_valid_claim(value: Json) -> None:
    assert not _by_function(value)
    assert not _by_schema(value)


@hypothesis.given(mistakes.broken_claims())
def test_both_refuse_a_mistake(broken: mistakes.Broken) -> None:
    problems = _by_function(broken.claim)
    assert problems, broken.what
    assert all(p.path.startswith(broken.path) for p in problems), (broken.what, problems)
    assert _by_schema(broken.claim), broken.what


@pytest.mark.pitfall("a claim's string runs as a command in the preload Job")
@pytest.mark.decision(5)
@cases.together("invalid", cases.named(invalid_claims.INVALID))
def test_both_refuse(invalid: entries.Invalid) -> None:
    problems = _by_function(invalid.claim)
    assert any(invalid.words in str(p) for p in problems), problems
    refusals = _by_schema(invalid.claim)
    assert any(invalid.words in text for text in refusals), refusals


@cases.together("stored", cases.named(invalid_claims.STORED))
def test_only_admission_refuses_what_stored_claims_may_say(stored: entries.Invalid) -> None:
    assert _by_function(stored.claim) == ()
    assert any(stored.words in text for text in _by_schema(stored.claim))


@pytest.mark.parametrize(
    ("value", "path", "words"),
    [
        (
            entries.claim("sql", loraAdapters=[{"name": "sql", "repository": "a/b"}]),
            "spec.loraAdapters",
            "an adapter cannot have the claim's name",
        ),
        (
            entries.claim(gateway={"enabled": True, "canaries": [entries.CANARY]}),
            "spec.gateway.canaries",
            "must name an entry of loraAdapters",
        ),
        (entries.pod(labels={"a b": "c"}), "spec.podTemplate.labels", "key 'a b': "),
        (entries.claim(patches={"A": {}}), "spec.patches", "key 'A': "),
        (
            entries.claim(resources={"limits": {"cpu": "two"}}),
            "spec.resources.limits.cpu",
            "a quantity, for example",
        ),
        (entries.arguments("--a", 1), "spec.engineArgs[1]", "must be text"),
        (entries.claim(replicas=1), "spec.replicas", "unknown field"),
    ],
)
def test_the_function_names_one_place(value: Json, path: str, words: str) -> None:
    (problem,) = _by_function(value)
    assert problem.path == path
    assert words in problem.message


@cases.together("accepted", cases.named(accepted_claims.ACCEPTED))
def test_both_accept(accepted: entries.Accepted) -> None:
    assert not _by_function(accepted.claim)
    assert not _by_schema(accepted.claim)


def test_names_of_the_table_are_distinct() -> None:
    invalid, accepted = invalid_claims.INVALID, accepted_claims.ACCEPTED
    names = [entry.name for entry in invalid] + [entry.name for entry in accepted]
    claims = [repr(entry.claim) for entry in invalid] + [repr(entry.claim) for entry in accepted]
    assert len(invalid_claims.INVALID) >= 60
    assert sorted(set(claims)) == sorted(claims)
    assert len(set(names)) == len(names)


def test_every_rule_has_an_entry() -> None:
    messages = {
        rule["message"]
        for rule in _rules(generate.composite_schema(inference_service))
        # The bounds of a map give the rules of its keys; another test covers those.
        if not rule["message"].startswith("each key")
    }
    entries = (*invalid_claims.INVALID, *invalid_claims.STORED)
    refused = [text for entry in entries for text in _by_schema(entry.claim)]
    assert len(messages) > 25
    assert [m for m in messages if not any(m in text for text in refused)] == []


@pytest.mark.pitfall("a deny-list in admission alone")
@pytest.mark.parametrize("section", list(strategies.full_claim()["spec"]))
def test_both_refuse_every_mistake_in_a_full_section(section: str) -> None:
    full = strategies.full_claim()["spec"]
    spec: Json = {"model": {"repository": "Qwen/Qwen3-8B"}, section: full[section]}
    if section == "gateway":
        spec["loraAdapters"] = full["loraAdapters"]
    value = entries.claim(**spec)
    assert not _by_function(value)
    assert not _by_schema(value)
    of_section = [b for b in mistakes.every(value) if b.path.startswith(f"spec.{section}")]
    for broken in of_section:
        problems = _by_function(broken.claim)
        assert problems, broken
        assert all(p.path.startswith(broken.path) for p in problems), (broken, problems)
        assert _by_schema(broken.claim), broken
    assert len(of_section) >= 4


@pytest.mark.pitfall("denied flags get through by underscore, dotted key, prefix or --config")
@pytest.mark.parametrize("flag", managed.FLAGS)
def test_both_refuse_every_spelling_of_a_managed_flag(flag: str) -> None:
    for spell in mistakes.SPELLINGS:
        value = entries.arguments(spell(flag))
        assert _by_function(value), spell(flag)
        assert _by_schema(value), spell(flag)


def test_both_accept_a_claim_with_every_field() -> None:
    full = strategies.full_claim()
    # Those that exclude one that is there.
    apart = {"path", "image", "uri", "credentialsSecretRef"}
    apart |= {"runningRatioThreshold", "cacheUtilizationThreshold", "queueLengthThreshold"}
    fields = {str(f.alias) for f in claim.Spec.model_fields.values()} - {"crossplane"}
    assert set(full["spec"]) == fields
    for section, model in (("model", claim_model.ModelSpec), ("scaling", claim_scaling.Scaling)):
        fields = {str(f.alias) for f in model.model_fields.values()}
        assert set(full["spec"][section]) == fields - apart
    assert not _by_function(full)
    assert not _by_schema(full)


def test_both_take_a_null_for_an_omission() -> None:
    accepted = 0
    for path, value in mistakes.nulled(strategies.full_claim()):
        refused = bool(_by_function(value))
        assert refused == bool(_by_schema(value)), path
        accepted += not refused
    assert accepted > 100


@functools.cache
def _input() -> schemas.Schema:
    return schemas.Schema.from_crd(generate.input_definition(), generate.INPUT_VERSION)


@hypothesis.given(strategies.settings())
def test_both_accept_valid_settings(value: Json) -> None:
    settings.resolve([value])
    envelope = {
        "apiVersion": f"{generate.INPUT_GROUP}/{generate.INPUT_VERSION}",
        "kind": "Settings",
        "metadata": {"name": "settings"},
    }
    assert _input().validate(envelope | value) == []


def _rules(node: Json) -> list[Json]:
    rules = list(node.get("x-kubernetes-validations", ()))
    inner = [*node.get("properties", {}).values()]
    inner += [node[key] for key in ("items", "additionalProperties") if key in node]
    for child in inner:
        rules += _rules(child)
    return rules
