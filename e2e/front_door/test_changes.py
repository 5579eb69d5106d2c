"""Callers, keys, claims and adapters that come and go."""

from __future__ import annotations

import json
import time

from e2e import claims
from e2e.controlplane import crossplane, plane, polling
from e2e.dataplane import asking, stage
from e2e.front_door import doors


def test_at_rest_nothing_is_written(door: doors.Door, control_plane: plane.ControlPlane) -> None:
    """Core looks at the object each minute, and finds it as it is."""
    mark = control_plane.api.audit.mark()
    time.sleep(doors.MINUTE + doors.REFRESH_SECONDS)
    written = [
        write
        for write in control_plane.api.audit.writes(mark)
        if write.user == crossplane.USER and write.name.startswith(doors.NAME) and write.changed
    ]
    assert written == []
    assert door.claim.read()["status"]["phase"] == "Serving"


def test_a_key_is_replaced_without_a_restart(
    door: doors.Door, coder: claims.Claim, running: stage.Stage
) -> None:
    """The Secret is all that changes; the old key is worth nothing from then on."""
    before = doors.identities(door)
    doors.write_key(running, "editor", "another-key")
    door.wait(coder.name, "another-key")
    assert door.statuses(coder.name, doors.EDITOR) == {401}
    assert doors.identities(door) == before
    doors.write_key(running, "editor", doors.EDITOR)
    door.wait(coder.name, doors.EDITOR)


def test_a_caller_comes_and_goes(
    door: doors.Door, chat: claims.Claim, running: stage.Stage
) -> None:
    """Within a minute each; the others are not asked meanwhile."""
    key = doors.KEY.format("nightly")
    before = doors.identities(door)
    doors.write_key(running, "nightly", key)
    door.claim.apply(callers=doors.callers("nightly"))
    door.wait(chat.name, key)
    door.claim.apply(callers=doors.callers())
    door.wait(chat.name, key, status=401)
    assert door.statuses(chat.name, doors.CHAT) == {200}
    assert doors.identities(door) == before


def test_a_caller_whose_secret_is_missing_closes_the_door_in_words(
    door: doors.Door, chat: claims.Claim, running: stage.Stage
) -> None:
    """The gateway then asks for no key, so nobody is anybody: also who says that he is."""
    try:
        door.claim.apply(callers=doors.callers("late"))
        door.wait_condition("CallersReady", "False", "Refused")
        assert door.claim.read()["status"]["phase"] == "Degraded"
        assert "late-key" in claims.conditions(door.claim.read())["CallersReady"][2]
        door.wait(chat.name, doors.CHAT, status=403)
        assert door.statuses(chat.name, None, headers={doors.CALLER_HEADER: "chat"}) == {403}
        doors.write_key(running, "late", doors.KEY.format("late"))
        door.wait(chat.name, doors.KEY.format("late"))
        door.wait_condition("CallersReady", "True", "Enforced", doors.MINUTE + doors.GRACE)
    finally:
        door.claim.apply(callers=doors.callers())
        door.wait(chat.name, doors.CHAT)
    door.wait(chat.name, doors.KEY.format("late"), status=401)


def test_without_callers_the_door_is_closed(
    door: doors.Door, coder: claims.Claim, chat: claims.Claim
) -> None:
    """A key is asked for, and none will do; the list of models is told to nobody."""
    try:
        door.claim.apply(callers=[])
        door.wait(chat.name, doors.CHAT, status=401)
        forged = {doors.CALLER_HEADER: "chat"}
        for headers in ({}, forged, doors.bearer(doors.CHAT), doors.bearer("")):
            assert door.statuses(coder.name, None, headers=headers) == {401}
            listed = [way.send("GET", "/v1/models", headers=headers) for way in door.ways_in()]
            assert {one.status for one in listed} == {401}, [*map(str, listed)]
    finally:
        door.claim.apply(callers=doors.callers())
    door.wait(chat.name, doors.CHAT)


def test_a_claim_that_comes_or_goes_changes_what_is_listed(
    door: doors.Door, running: stage.Stage, coder: claims.Claim, chat: claims.Claim
) -> None:
    """One file is all that a model takes, and all that it leaves."""
    names = {coder.name, chat.name, doors.ADAPTER, doors.CANARY}
    fresh = running.claim("fresh", scaling={"minReplicas": 1, "maxReplicas": 1}).apply()
    fresh.wait_condition("RouteReady", "True", "Published")
    door.wait(fresh.name, doors.CHAT, timeout=doors.REFRESH_SECONDS + doors.GRACE)
    _wait_listed(door, names | {fresh.name}, "3/3")
    assert door.statuses(fresh.name, doors.EDITOR) == {403}
    fresh.delete()
    _wait_listed(door, names, "2/2")
    assert door.statuses(fresh.name, doors.CHAT) == {404}


def _wait_listed(door: doors.Door, names: set[str], count: str) -> None:
    polling.until(
        lambda: all(listed == names for listed in door.models(doors.CHAT)),
        what=f"the list {sorted(names)}",
        timeout=doors.MINUTE,
    )
    door.claim.wait(
        lambda item: (
            {one["name"] for one in item["status"]["models"]} == names
            and item["status"]["claims"] == count
        ),
        what=f"with {count} claims",
        timeout=doors.MINUTE + doors.GRACE,
    )


def test_a_label_of_a_claim_opens_it(door: doors.Door, chat: claims.Claim) -> None:
    """Who may use what follows the claims' labels, within a minute."""
    chat.manifest["metadata"]["labels"] = doors.CODE
    chat.apply()
    door.wait(chat.name, doors.EDITOR, timeout=doors.MINUTE + doors.GRACE)
    chat.manifest["metadata"]["labels"] = {}
    chat.apply()
    door.wait(chat.name, doors.EDITOR, status=403, timeout=doors.MINUTE + doors.GRACE)


def test_adapters_come_and_go_in_a_pod_that_runs(door: doors.Door, running: stage.Stage) -> None:
    """Their Job verifies them, a kubelet brings the list, and no pod starts again."""
    scaling = {"minReplicas": 1, "maxReplicas": 1}
    claim = running.claim("hot", engine={"version": "0.32.0"}, scaling=scaling)
    sql, law = ({**running.adapter(claim, f"hot-{n}"), "hot": True} for n in ("sql", "law"))
    claim.apply(loraAdapters=[sql])
    claim.wait_phase("Serving", timeout=120 + doors.GRACE)
    door.wait("hot-sql", doors.CHAT, timeout=doors.MINUTE + doors.REFRESH_SECONDS + doors.GRACE)
    before = _engines(running, claim)
    claim.apply(loraAdapters=[sql, law])
    door.wait("hot-law", doors.CHAT, timeout=doors.MINUTE + doors.REFRESH_SECONDS + doors.GRACE)
    assert door.statuses("hot-sql", doors.CHAT) == {200}
    claim.apply(loraAdapters=[law])
    door.wait("hot-sql", doors.CHAT, status=404, timeout=doors.MINUTE + doors.GRACE)
    (engine,) = running.engines(claim)
    pod = asking.Caller(engine["status"]["podIP"], 8000)

    def listed() -> list[str]:
        return [one["id"] for one in pod.send("GET", "/v1/models").content["data"]]

    polling.until(
        lambda: listed() == [claim.name, "hot-law"],
        what="a pod without the adapter",
        timeout=doors.MINUTE + doors.GRACE,
    )
    loads = json.dumps({"lora_name": "any", "lora_path": "/models"})
    assert pod.send("POST", "/v1/load_lora_adapter", loads).status == 404
    assert _engines(running, claim) == before
    claim.delete()


def _engines(running: stage.Stage, claim: claims.Claim) -> set[tuple[str, int]]:
    """The engines' pods, and how often their containers started again."""
    return {
        (pod["metadata"]["uid"], sum(c["restartCount"] for c in pod["status"]["containerStatuses"]))
        for pod in running.engines(claim)
    }
