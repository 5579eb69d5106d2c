"""Keys of an issuer that the door's proxies fetch (`jwksURI`), and tokens that they are for."""

from __future__ import annotations

import pytest

from e2e import claims
from e2e.controlplane import polling
from e2e.dataplane import asking, issuing, stage
from e2e.front_door import doors, limits

PATH = "/realms/llm/keys"


@pytest.fixture(scope="module")
def issuer(
    door: doors.Door, running: stage.Stage, published: issuing.Published, counting: None
) -> issuing.Issuer:
    """An identity provider that publishes its keys, and a caller with its tokens."""
    del counting  # who has limits stays among the callers
    running.tenant.plane.admin.apply_all(published.objects(running.site.outside))
    sso = {
        "name": "sso",
        "issuer": published.issuer.address,
        "audiences": [published.issuer.audience],
        "jwksURI": f"https://{published.host}{PATH}",
        "callerClaim": "azp",
    }
    agent = {"name": "agent", "jwt": {"issuer": "sso"}}
    door.claim.apply(issuers=[sso], callers=[*limits.standing(), agent])
    door.wait_condition("CallersReady", "True", "Enforced", doors.MINUTE + doors.GRACE)
    return published.issuer


def _statuses(door: doors.Door, model: str, token: str) -> set[int]:
    """What each proxy answers on the port of tokens."""
    ways = [asking.Caller(pod["status"]["podIP"], doors.TOKEN_PORT) for pod in door.proxies()]
    given = doors.bearer(token)
    return {way.ask(model, headers=given, timeout=10).status for way in ways}


def test_proxies_fetch_the_keys_of_an_issuer_and_take_its_tokens_alone(
    door: doors.Door, issuer: issuing.Issuer, published: issuing.Published, chat: claims.Claim
) -> None:
    """By TLS, whose certificate they check."""
    token = issuer.token("agent")
    polling.until(
        lambda: _statuses(door, chat.name, token) == {200},
        what="200 for a token",
        timeout=doors.MINUTE + doors.GRACE,
    )
    assert set(published.asked) == {PATH}
    stranger = issuing.Issuer(issuer.address, issuer.audience)
    assert _statuses(door, chat.name, stranger.token("agent")) == {401}
    assert _statuses(door, chat.name, issuer.token("agent", aud="others")) in ({401}, {403})
    assert _statuses(door, chat.name, issuer.token("nobody")) == {403}
