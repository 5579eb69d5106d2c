"""Models from outside, by the same address, keys and limits."""

from __future__ import annotations

import json

import pytest

from e2e import claims
from e2e.dataplane import outside, stage
from e2e.front_door import doors, limits, providers


def test_a_provider_answers_by_its_own_key_under_another_name(
    door: doors.Door, external: outside.Provider
) -> None:
    """It never learns the caller's key; its name it does, as tokens are counted by that."""
    for answer in door.ask(providers.CHATS, doors.CHAT):
        assert answer.status == 200, answer
        assert answer.content["choices"][0]["message"]["content"] == "from outside"
    asked = external.asked[-1]
    assert asked.path == "/v1/chat/completions"
    assert asked.body["model"] == "claude-haiku-4-5"
    assert asked.headers["authorization"] == f"Bearer {providers.KEY}"
    assert asked.headers["host"] == external.host
    assert asked.headers[doors.CALLER_HEADER] == "chat"
    assert doors.CHAT not in str(asked.headers)


def test_a_provider_of_anthropics_api_answers_messages(
    door: doors.Door, external: outside.Provider
) -> None:
    """Chat completions of it are refused: the AI gateway does not translate them."""
    body = {
        "model": providers.MESSAGES,
        "max_tokens": 10,
        "messages": [{"role": "user", "content": "hello"}],
    }
    for way in door.ways_in():
        headers = {"x-api-key": doors.CHAT, "anthropic-version": "2023-06-01"}
        answer = way.send("POST", "/anthropic/v1/messages", json.dumps(body), headers)
        assert answer.status == 200, answer
        assert answer.content["content"][0]["text"] == "from outside"
    asked = external.asked[-1]
    assert (asked.path, asked.body["model"]) == ("/v1/messages", "claude-haiku-4-5")
    assert asked.headers["x-api-key"] == providers.KEY
    assert door.statuses(providers.MESSAGES, doors.CHAT).isdisjoint({200})


def test_a_provider_has_the_same_doorkeeper(
    door: doors.Door, coder: claims.Claim, external: outside.Provider
) -> None:
    """Keys, rules and the list of models are those of claims."""
    count = len(external.asked)
    assert door.statuses(providers.CHATS, None) == {401}
    assert door.statuses(providers.CHATS, doors.EDITOR) == {403}
    assert len(external.asked) == count
    for listed in door.models(doors.CHAT):
        assert {coder.name, providers.CHATS, providers.MESSAGES} <= listed


@pytest.mark.usefixtures("counting")
def test_limits_hold_for_a_provider(
    door: doors.Door, chat: claims.Claim, running: stage.Stage, external: outside.Provider
) -> None:
    """What it says of tokens is counted."""
    whole = outside.PROMPT_TOKENS + outside.ANSWER_TOKENS
    limit = {"tokens": 3 * whole, "per": "day", "model": providers.CHATS}
    with limits.given(door, running, "abroad", limit) as key:
        limits.assert_told(limits.spend(door, providers.CHATS, key))
        assert door.statuses(chat.name, key) == {200}


def test_a_provider_with_another_certificate_gets_nothing(
    door: doors.Door, external: outside.Provider
) -> None:
    """Neither a prompt nor the key."""
    door.wait(providers.IMPOSTOR, doors.CHAT, status=503)
    count = len(external.asked)
    assert door.statuses(providers.IMPOSTOR, doors.CHAT) == {503}
    assert len(external.asked) == count
