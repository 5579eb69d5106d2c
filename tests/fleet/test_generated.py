"""What must hold for every front door and every set of claims; schema and function agree."""

import functools

import hypothesis
import pytest
from hypothesis import strategies as st

from function import generate
from function.api import base, gateway, gateway_router
from function.composites import inference_gateway
from tests import cluster, effort, schemas, strategies
from tests.api import entries
from tests.fleet import invalid_doors, scene

_LABELS = st.dictionaries(
    st.sampled_from(["team", "example.com/cost-center"]), st.sampled_from(["", "true"])
)


@st.composite
def _members(draw: st.DrawFn) -> list[cluster.Object]:
    """Returns up to fifty claims, as core reads them."""
    count = draw(st.sampled_from([0, 1, 2, 50]))
    adapters = draw(st.lists(st.sampled_from(["sql-dpo", "hermes", "a"]), unique=True))
    published, labels = draw(st.booleans()), draw(_LABELS)
    return [
        scene.member(
            f"m{number}",
            *(adapters if number < 3 else ()),
            published=published or number % 2 == 0,
            labels=labels if number % 3 else {},
        )
        for number in range(count)
    ]


@functools.cache
def _installed() -> schemas.Schema:
    definition = generate.composite_definition(inference_gateway)
    return schemas.Schema.from_crd(definition, gateway.VERSION)


def _by_function(value: cluster.Object) -> tuple[base.Problem, ...]:
    try:
        inference_gateway.parse(value)
    except base.InvalidError as error:
        return error.problems
    return ()


@hypothesis.given(strategies.doors())
def test_both_accept_a_valid_door(value: cluster.Object) -> None:
    assert not _by_function(value)
    assert not _installed().validate(value)


@pytest.mark.parametrize("invalid", invalid_doors.INVALID, ids=lambda invalid: invalid.name)
def test_both_refuse(invalid: entries.Invalid) -> None:
    problems = _by_function(invalid.claim)
    assert any(invalid.words in str(problem) for problem in problems), problems
    refusals = _installed().validate(invalid.claim)
    assert any(invalid.words in refusal for refusal in refusals), refusals


def _world(document: cluster.Object, members: list[cluster.Object]) -> cluster.Cluster:
    """Returns a cluster whose settings permit what the document names."""
    world = scene.world(document, *members)
    for environment in world.environments:
        allowed = environment["data"]["inferenceService"].setdefault("allowed", {})
        allowed |= {"remoteRefs": {"*": ["**"]}, "secrets": {"*": ["**"]}}
    return world


@effort.examples(15, 40)
@hypothesis.given(strategies.doors(), _members())
def test_every_door_comes_to_rest_and_is_valid_upstream(
    document: cluster.Object, members: list[cluster.Object]
) -> None:
    world = _world(document, members)
    assert world.converge() <= 6
    assert all(world.ready.values())
    for key, item in world.objects.items():
        assert schemas.validate(world.desired(key)) == [], key
        assert schemas.nulls(item) == []
    status = {k: v for k, v in world.claim["status"].items() if k != "conditions"}
    assert _installed().validate({**document, "status": status}) == []
    types = [condition["type"] for condition in world.claim["status"]["conditions"]]
    assert types == list(inference_gateway.CONDITION_TYPES)
    world.strangers = list(reversed(members))
    assert world.reconcile().writes == []
    assert world.events == []


@effort.examples(15, 40)
@hypothesis.given(strategies.doors(), _members())
def test_no_answer_opens_a_door(document: cluster.Object, members: list[cluster.Object]) -> None:
    """In each answer: no Gateway without its policy, no rule without a key, nothing by default.

    And no evaluation before the policy of its pods.
    """
    world = _world(document, members)
    keys = {c["name"] for c in document["spec"].get("callers") or [] if "jwt" not in c}
    served = {
        model["name"]
        for member in members
        if "latches" in member["status"]
        for model in member["status"]["servedModels"]
    }
    router = document["spec"].get("semanticRouter") or {"models": []}
    virtual = {model["name"] for model in router["models"]}
    served |= {
        model["name"]
        for provider in document["spec"].get("providers") or []
        for model in provider["models"]
    }
    for _ in range(4):
        guarded = "CiliumNetworkPolicy" in world.kinds_there()
        world.settle().reconcile()
        assert guarded or "CronJob" not in world.kinds_there()
        if "SecurityPolicy" not in world.kinds_there():
            assert "Gateway" not in world.kinds_there()
            continue
        policy = world.one("SecurityPolicy", "door-security")["spec"]
        assert policy["authorization"]["defaultAction"] == "Deny"
        if not policy["apiKeyAuth"]["credentialRefs"]:
            assert "rules" not in policy["authorization"]
        _assert_tokens(world, document)
        for caller, models in scene.rules(world).items():
            if caller == gateway_router.CALLER:
                assert models is not None
                assert set(models) <= served
                continue
            assert caller in keys
            assert models is None or set(models) <= served | virtual
        for rule in policy["authorization"].get("rules", []):
            assert rule["action"] == "Allow"
            assert rule["principal"]["headers"][0]["name"] == "x-inference-caller"


def _assert_tokens(world: cluster.Cluster, document: cluster.Object) -> None:
    """Each rule of a caller with a token asks for a token of its issuer with its name."""
    callers = document["spec"].get("callers") or []
    asked = {caller["name"]: caller["jwt"] for caller in callers if "jwt" in caller}
    issuers = {issuer["name"]: issuer for issuer in document["spec"].get("issuers") or []}
    made = [item for key, item in world.objects.items() if key.endswith("-door-tokens")]
    if not issuers:
        assert not made
        return
    (policy,) = made
    assert policy["spec"]["authorization"]["defaultAction"] == "Deny"
    assert "optional" not in policy["spec"]["jwt"]
    for rule in policy["spec"]["authorization"].get("rules", []):
        (name,) = rule["principal"]["headers"][0]["values"]
        token = rule["principal"]["jwt"]
        assert token["provider"] == asked[name]["issuer"]
        claim = issuers[token["provider"]].get("callerClaim", "sub")
        first = {"name": claim, "valueType": "String", "values": [name]}
        assert token["claims"][0] == first
