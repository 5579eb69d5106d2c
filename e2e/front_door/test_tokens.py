"""Callers with tokens of an identity provider."""

from __future__ import annotations

import typing
from collections.abc import Mapping

import pytest

from e2e import claims
from e2e.controlplane import api, polling
from e2e.dataplane import asking, issuing, stage
from e2e.front_door import doors, limits


@pytest.fixture(scope="module")
def issuer(door: doors.Door, running: stage.Stage, counting: None) -> issuing.Issuer:
    """An identity provider whose keys lie in the namespace, and callers with its tokens."""
    del counting  # who has limits stays among the callers
    made = issuing.Issuer("https://sso.example.com/ai", "llm")
    running.tenant.plane.admin.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "sso-keys", "namespace": running.tenant.namespace},
            "data": {"jwks": made.keys},
        }
    )
    sso = {
        "name": "sso",
        "issuer": made.address,
        "audiences": [made.audience],
        "jwksConfigMap": {"name": "sso-keys"},
        "callerClaim": "azp",
    }
    door.claim.apply(issuers=[sso], callers=_with_tokens())
    door.wait_condition("CallersReady", "True", "Enforced", doors.MINUTE + doors.GRACE)
    return made


def _with_tokens(**agent: typing.Any) -> list[api.Object]:
    groups = {"name": "groups", "values": ["developers"], "type": "StringArray"}
    member = {"name": "member", "jwt": {"issuer": "sso", "claims": [groups]}}
    return [
        *limits.standing(),
        {"name": "agent", "jwt": {"issuer": "sso"}, "models": {"matchLabels": doors.CODE}, **agent},
        member,
    ]


def _by_token(door: doors.Door, model: str, token: str | None, **how: typing.Any) -> asking.Answers:
    """What each proxy answers on the port of tokens."""
    given: Mapping[str, str] = how.pop("headers", {})
    headers = {**(doors.bearer(token) if token is not None else {}), **given}
    ways = [asking.Caller(pod["status"]["podIP"], doors.TOKEN_PORT) for pod in door.proxies()]
    return [way.ask(model, headers=headers, **how) for way in ways]


def _wait_token(door: doors.Door, model: str, token: str, status: int) -> None:
    polling.until(
        lambda: {one.status for one in _by_token(door, model, token)} == {status},
        what=f"{status} for a token",
        timeout=doors.MINUTE + doors.GRACE,
    )


def test_a_token_opens_its_own_port_for_the_caller_that_it_names(
    door: doors.Door, issuer: issuing.Issuer, coder: claims.Claim, chat: claims.Claim
) -> None:
    """By its rules, with its name; keys open the other port, as before."""
    token = issuer.token("agent")
    _wait_token(door, coder.name, token, 200)
    for how in ({"Authorization": f"Bearer {token}"}, {"x-api-key": token}):
        for answer in _by_token(
            door, coder.name, None, headers={**how, doors.CALLER_HEADER: "chat"}
        ):
            assert (answer.status, answer.headers["x-caller"]) == (200, "agent"), answer
            passed = answer.headers["x-header-names"].lower().split(",")
            assert not {"authorization", "x-api-key"} & set(passed), passed
    refused = _by_token(door, chat.name, token)
    assert {one.status for one in refused} == {403}, refused
    assert door.statuses(coder.name, token) == {401}, "the port of keys"
    assert {one.status for one in _by_token(door, coder.name, doors.CHAT)} == {401}
    assert door.statuses(coder.name, doors.CHAT) == {200}


def test_a_token_that_is_not_the_callers_opens_nothing(
    door: doors.Door, issuer: issuing.Issuer, coder: claims.Claim
) -> None:
    """Neither of another issuer, audience or time, nor with another name, nor without a claim."""
    _wait_token(door, coder.name, issuer.token("agent"), 200)
    stranger = issuing.Issuer(issuer.address, issuer.audience)
    statuses = {
        words: {one.status for one in _by_token(door, coder.name, token)}
        for words, token in {
            "no token": None,
            "no token at all": "nonsense",
            "signed by somebody else": stranger.token("agent"),
            "for somebody else": issuer.token("agent", aud="others"),
            "of another issuer": issuer.token("agent", iss="https://other.example.com"),
            "of yesterday": issuer.token("agent", life=-3600),
            "of nobody that is a caller": issuer.token("nobody"),
            "of a caller with a key": issuer.token("chat"),
            "without the group": issuer.token("member"),
            "of another group": issuer.token("member", groups=["guests"]),
        }.items()
    }
    wrong = {words: got for words, got in statuses.items() if got not in ({401}, {403})}
    assert not wrong
    named = ("of nobody that is a caller", "of a caller with a key", "without the group")
    assert [statuses[words] for words in named] == [{403}] * 3
    for pod in door.proxies():
        way = asking.Caller(pod["status"]["podIP"], doors.TOKEN_PORT)
        assert way.send("GET", "/v1/models").status == 401, "the list of models"
    member = issuer.token("member", groups=["guests", "developers"])
    answers = _by_token(door, coder.name, member)
    assert {one.headers["x-caller"] for one in answers} == {"member"}


def test_a_caller_with_a_token_has_limits(
    door: doors.Door, issuer: issuing.Issuer, coder: claims.Claim
) -> None:
    """As one with a key has them."""
    limited = _with_tokens(limits=[{"requests": 3, "per": "day"}])
    door.claim.apply(callers=limited)
    door.wait_condition("LimitsReady", "True", "Enforced", doors.MINUTE + doors.GRACE)
    token = issuer.token("agent")
    _wait_token(door, coder.name, token, 429)
    (answer, *_) = _by_token(door, coder.name, token)
    limits.assert_told(answer)
    assert door.statuses(coder.name, doors.CHAT) == {200}
    door.claim.apply(callers=_with_tokens())
