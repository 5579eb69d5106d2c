"""A repository for the tests that compare its revisions."""

import pathlib

import pytest

from tests.cli import revisions


@pytest.fixture
def repository(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> revisions.Repository:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    made = revisions.Repository(tmp_path)
    for name in ("chat", "code"):
        made.write(f"claims/{name}.yaml", revisions.claim(name))
    made.commit()
    return made
