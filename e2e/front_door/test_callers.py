"""Who gets in, to which models, and what passes."""

from __future__ import annotations

import itertools

import pytest

from e2e import claims
from e2e.controlplane import polling
from e2e.dataplane import stage
from e2e.front_door import doors

MEGABYTE = 1_000_000


@pytest.mark.parametrize("key", [None, "", "wrong", doors.KEY.format("nobody")])
def test_without_a_key_of_a_caller_nobody_gets_in(
    key: str | None, door: doors.Door, coder: claims.Claim
) -> None:
    """Neither to an engine nor to the list of models."""
    headers = {} if key is None else doors.bearer(key)
    assert door.statuses(coder.name, key) == {401}
    listed = [way.send("GET", "/v1/models", headers=headers) for way in door.ways_in()]
    assert {one.status for one in listed} == {401}
    assert not any(coder.name in one.text for one in listed)


@pytest.mark.parametrize("header", ["Authorization", "x-api-key"])
def test_a_key_opens_and_goes_no_further(
    header: str, door: doors.Door, coder: claims.Claim
) -> None:
    """The engine gets the caller's name, and not the key."""
    for name in ("chat", "editor"):
        key = doors.KEY.format(name)
        headers = {header: f"Bearer {key}" if header == "Authorization" else key}
        for answer in door.ask(coder.name, None, headers=headers):
            assert answer.status == 200, answer
            assert answer.headers["x-caller"] == name
            passed = answer.headers["x-header-names"].lower().split(",")
            assert not {"authorization", "x-api-key"} & set(passed), passed


def test_a_caller_may_use_what_its_rule_names_and_nothing_else(
    door: doors.Door, coder: claims.Claim, chat: claims.Claim
) -> None:
    """By the labels of claims, adapters too."""
    for model in (coder.name, doors.ADAPTER, doors.CANARY):
        assert door.statuses(model, doors.EDITOR) == {200}, model
    refused = door.ask(chat.name, doors.EDITOR)
    assert {one.status for one in refused} == {403}, refused
    assert {one.engine for one in refused} == {""}
    assert door.statuses(chat.name, doors.CHAT) == {200}


def test_headers_of_the_gateway_help_nobody(
    door: doors.Door, coder: claims.Claim, chat: claims.Claim
) -> None:
    """What a client says of the caller or of the model is dropped before anything reads it."""
    forged = {doors.CALLER_HEADER: "chat"}
    assert door.statuses(chat.name, None, headers=forged) == {401}
    assert door.statuses(chat.name, doors.EDITOR, headers=forged) == {403}
    assert door.statuses(chat.name, doors.EDITOR, headers={doors.MODEL_HEADER: coder.name}) == {403}
    both = {doors.CALLER_HEADER: "chat", doors.MODEL_HEADER: coder.name, "X-API-Key": "wrong"}
    assert door.statuses(chat.name, doors.EDITOR, headers=both) == {403}
    (answer, *_) = door.ask(coder.name, doors.EDITOR, headers=forged)
    assert (answer.status, answer.headers["x-caller"]) == (200, "editor")


def test_an_unknown_model_is_not_found(door: doors.Door) -> None:
    """Whoever may use everything is told so."""
    door.wait("nobody", doors.CHAT, status=404)
    door.wait("nobody", doors.EDITOR, status=403)


def test_the_list_of_models_is_complete(
    door: doors.Door, coder: claims.Claim, chat: claims.Claim
) -> None:
    """For each caller the names of all claims and adapters; the status has the same."""
    names = {coder.name, chat.name, doors.ADAPTER, doors.CANARY}
    assert door.models(doors.CHAT) == [names, names]
    assert door.models(doors.EDITOR) == [names, names]
    status = door.claim.read()["status"]
    assert {one["name"] for one in status["models"]} == names
    assert (status["claims"], status["callers"]) == ("2/2", 2)


# --- what passes


def test_a_stream_passes_chunk_by_chunk(door: doors.Door, coder: claims.Claim) -> None:
    """Nothing between engine and caller waits for its end."""
    how = {"tokens": 10, "stream": True, "headers": {"X-Stand-In": "tokenSeconds=0.5"}}
    for answer in door.ask(coder.name, doors.EDITOR, **how):
        assert answer.whole, answer
        times = [at for at, _ in answer.events]
        pauses = [later - earlier for earlier, later in itertools.pairwise(times[:10])]
        assert sum(pause > 0.2 for pause in pauses) >= 4, pauses


def test_a_megabyte_passes(door: doors.Door, coder: claims.Claim) -> None:
    """The door's own policy for clients says how much."""
    for answer in door.ask(coder.name, doors.EDITOR, padding=MEGABYTE):
        assert answer.status == 200, answer
        assert int(answer.headers["x-received"]) > MEGABYTE


def test_usage_is_counted_by_caller(
    door: doors.Door, coder: claims.Claim, running: stage.Stage
) -> None:
    """The processor's series have the caller, as its option says."""
    assert door.statuses(coder.name, doors.EDITOR, tokens=50) == {200}
    query = (
        'sum(gen_ai_client_token_usage_sum{inference_caller="editor",gen_ai_token_type="output",'
        f'gen_ai_original_model="{coder.name}"}})'
    )
    polling.until(
        lambda: sum(running.metrics.query(query)) >= 50,
        what="tokens of the caller",
        timeout=4 * stage.SCRAPE_SECONDS + doors.GRACE,
    )
