"""The function and the API server give the same verdict on a claim.

The schema is the one that Crossplane makes of the XRD. There is one intended difference: rules
about new objects alone hold for stored ones in the function too.
"""

import copy
import functools

import hypothesis
import pytest

from function.api import base, claim, generate
from tests import schemas, strategies
from tests.api import invalid_claims

Json = strategies.Json


@functools.cache
def _installed() -> schemas.Schema:
    return schemas.Schema.from_crd(generate.composite_definition(), claim.VERSION)


def _by_schema(value: Json, old: Json | None = None) -> list[str]:
    return [str(found) for found in _installed().validate(value, old)]


def _by_function(value: Json) -> tuple[base.Problem, ...]:
    try:
        base.parse(claim.InferenceService, value, what="claim")
    except base.InvalidError as error:
        return error.problems
    return ()


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(strategies.claims())
def test_both_accept_a_valid_claim(value: Json) -> None:
    assert not _by_function(value)
    assert not _by_schema(value)


@hypothesis.settings(max_examples=600, deadline=None)
@hypothesis.given(strategies.broken_claims())
def test_both_refuse_a_mistake(broken: strategies.Broken) -> None:
    problems = _by_function(broken.claim)
    assert problems, broken.what
    assert all(p.path.startswith(broken.path) for p in problems), (broken.what, problems)
    assert _by_schema(broken.claim), broken.what


@pytest.mark.parametrize("invalid", invalid_claims.INVALID, ids=lambda invalid: invalid.name)
def test_both_refuse(invalid: invalid_claims.Invalid) -> None:
    problems = _by_function(invalid.claim)
    assert any(invalid.words in str(p) for p in problems), problems
    found = _by_schema(invalid.claim)
    assert any(invalid.words in text for text in found), found


@pytest.mark.parametrize("accepted", invalid_claims.ACCEPTED, ids=lambda accepted: accepted.name)
def test_both_accept(accepted: invalid_claims.Accepted) -> None:
    assert not _by_function(accepted.claim)
    assert not _by_schema(accepted.claim)


def test_names_of_the_table_are_distinct() -> None:
    names = [entry.name for entry in (*invalid_claims.INVALID, *invalid_claims.ACCEPTED)]
    claims = [repr(entry.claim) for entry in (*invalid_claims.INVALID, *invalid_claims.ACCEPTED)]
    assert len(invalid_claims.INVALID) >= 60
    assert sorted(set(claims)) == sorted(claims)
    assert len(set(names)) == len(names)


def test_every_rule_has_an_entry() -> None:
    messages = {
        rule["message"]
        for node in _nodes(generate.claim_schema())
        for rule in node.get("x-kubernetes-validations", ())
        # The rules of keys are made from the bounds of a map.
        if not rule["message"].startswith("each key")
    }
    refused = {
        str(problem)
        for invalid in invalid_claims.INVALID
        for problem in (*_by_schema(invalid.claim),)
    }
    assert messages
    assert [m for m in messages if not any(m in text for text in refused)] == []


def test_every_bound_of_a_flag_has_an_entry() -> None:
    from function.engine import flags

    given = {
        flags.normal(argument)
        for invalid in invalid_claims.INVALID
        for argument in invalid.claim["spec"].get("engineArgs", ())
        if isinstance(argument, str)
    }
    assert given
"""placeholder"""
