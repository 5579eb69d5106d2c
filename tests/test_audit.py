"""Who changed an object, by the audit log of the end-to-end tests (`e2e/controlplane/audit.py`)."""

import json
import pathlib
from typing import Any

import pytest

from e2e.controlplane import audit

Object = dict[str, Any]


def body(version: int, **annotations: str) -> Object:
    metadata = {"name": "claim", "namespace": "n", "annotations": annotations}
    return {"kind": "Thing", "metadata": metadata | {"resourceVersion": str(version)}, "spec": {}}


def line(
    user: str, seconds: tuple[int, int], asked: Object, answer: Object, verb: str = "patch"
) -> Object:
    """What the server writes of a request: received and answered at so many seconds."""
    received, answered = (f"2026-01-01T00:00:{second:02d}.000000Z" for second in seconds)
    return {
        "verb": verb,
        "stage": "ResponseComplete",
        "requestURI": "/apis/g/v1/namespaces/n/things/claim",
        "user": {"username": user},
        "objectRef": {"apiGroup": "g", "resource": "things", "namespace": "n", "name": "claim"},
        "requestReceivedTimestamp": received,
        "stageTimestamp": answered,
        "responseStatus": {"code": 200},
        "requestObject": asked,
        "responseObject": answer,
    }


def changers(path: pathlib.Path, *lines: Object) -> list[str]:
    """The users who changed the object after its birth."""
    born = line("author", (1, 2), body(0), body(10), "create")
    path.write_text("".join(json.dumps(item) + "\n" for item in (born, *lines)))
    writes = audit.AuditLog(path).writes()
    assert [write.user for write in writes][1:] == [item["user"]["username"] for item in lines]
    return [write.user for write in writes[1:] if write.changed]


LOOK = {"metadata": {"annotations": {"look": "1"}}}
SAME: Object = {"metadata": {"name": "claim"}, "spec": {}}
ADMIN = line("admin", (5, 8), LOOK, body(11, look="1"))


@pytest.mark.parametrize(
    "core",
    [
        pytest.param(line("core", (6, 7), SAME, body(11, look="1")), id="woken by it"),
        pytest.param(line("core", (4, 7), SAME, body(11, look="1")), id="under way before it"),
        pytest.param(line("core", (4, 9), SAME, body(11, look="1")), id="longer under way"),
        pytest.param(
            line("core", (6, 7), body(11, look="1"), body(11, look="1"), "update"), id="a whole"
        ),
    ],
)
def test_who_writes_the_same_again_changed_nothing(core: Object, tmp_path: pathlib.Path) -> None:
    """Though its line stands before that of the write whose version it was answered with."""
    assert changers(tmp_path / "log", core, ADMIN) == ["admin"]
    assert changers(tmp_path / "log", ADMIN, core) == ["admin"]


def test_who_writes_something_else_changed_it(tmp_path: pathlib.Path) -> None:
    other = {"metadata": {"annotations": {"mine": "1"}}}
    both = body(12, look="1", mine="1")
    log = tmp_path / "log"
    assert changers(log, line("core", (4, 9), other, both), ADMIN) == ["core", "admin"]
    assert changers(log, ADMIN, line("core", (6, 7), other, body(11, mine="1"))) == ["admin"]
    late = line("core", (9, 9), other, both)
    assert changers(log, ADMIN, late, line("core", (10, 11), other, both)) == ["admin", "core"]


def test_what_was_asked_for_with_an_older_version_changed_it(tmp_path: pathlib.Path) -> None:
    """Whoever replaces an object names the version that is replaced."""
    status = line("controller", (5, 8), body(10), body(11), "update")
    native = line("core", (6, 7), {"spec": {"cpu": "1000m"}}, body(11))
    assert changers(tmp_path / "log", native, status) == ["controller"]
