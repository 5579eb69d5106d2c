"""The error of the build of the end-to-end programs on a machine without Go."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence

import pytest

from tools import build, groups, image

ROOT = build.HERE.parent


@pytest.fixture
def bare(tmp_path: pathlib.Path) -> dict[str, str]:
    """A machine with nothing on PATH and nothing built."""
    empty = tmp_path / "bin"
    empty.mkdir()
    return {"PATH": str(empty), "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}


def _run(bare: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env=bare, capture_output=True, text=True, check=False, timeout=60
    )


def _wanted() -> str:
    """The newest Go that any of the modules asks for."""
    versions = [
        re.findall(r"^go (.+)$", (ROOT / "tools" / item.name / "go.mod").read_text(), re.M)[0]
        for item in groups.GROUPS
    ]
    return str(max(versions, key=lambda version: [int(part) for part in version.split(".")]))


def test_without_go_nothing_is_built_and_the_reader_is_told(
    bare: dict[str, str], tmp_path: pathlib.Path
) -> None:
    done = _run(bare, sys.executable, "tools/build.py")
    assert done.returncode == 1
    assert f"Go is missing: install Go {_wanted()} or newer" in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("target", ["tools", "e2e"])
def test_make_fails_without_go(bare: dict[str, str], target: str) -> None:
    """`make` fails before any test runs, and with the same message."""
    make = shutil.which("make", path=os.environ.get("PATH", os.defpath))
    assert make is not None
    # The test runs in the virtual environment, so `make` must neither make it nor fetch anything.
    kept = [f"--old-file=.venv/{name}" for name in (".installed", ".envoy")]
    done = _run(bare, make, *kept, target, f"PYTHON={sys.executable}")
    assert done.returncode == 2
    assert f"Go is missing: install Go {_wanted()} or newer" in done.stderr
    assert "pytest" not in done.stdout


@pytest.mark.pitfall("the hub's client changes under an unpinned install")
def test_the_preload_image_installs_what_is_pinned() -> None:
    """The hub's client changed its command line and its files under an unpinned install."""
    pins = re.findall(
        r"^([a-z0-9-]+)==([^ ]+) .*\n( +--hash=sha256:[0-9a-f]{64})",
        (ROOT / "requirements/preload.txt").read_text().replace("\\\n", " \\\n"),
        re.M,
    )
    assert "huggingface-hub" in {name for name, _, _ in pins}
    image = (ROOT / "Dockerfile").read_text()
    installs = [line for line in image.replace("\\\n", " ").splitlines() if "pip install" in line]
    assert installs
    for line in installs:
        assert "--require-hashes" in line, line


def test_base_and_packages_of_the_images_are_pinned() -> None:
    """A tag moves, and Debian's archive changes each day."""
    text = image.DOCKERFILE.read_text()
    stages = re.findall(r"^FROM (?:--platform=\S+ )?(\S+)(?: AS (\S+))?$", text, re.M)
    assert [base for base, _ in stages if base not in ("scratch", "python")] == ["${BASE}"]
    assert image.pinned().startswith("docker.io/library/debian:13-slim@sha256:")
    (snapshot,) = re.findall(r"^ARG SNAPSHOT=(.*)$", text, re.M)
    assert re.fullmatch(r"20[0-9]{6}T[0-9]{6}Z", snapshot)
    # The sources are replaced before anything is installed from them.
    assert text.index("http://snapshot.debian.org") < text.index("apt-get update")


@pytest.mark.parametrize("pullable", [True, False])
def test_a_base_that_is_made_here_goes_without_the_snapshot(
    pullable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def succeeds(command: Sequence[str]) -> bool:
        return pullable if image.pinned() in command else True

    monkeypatch.setattr(image, "_succeeds", succeeds)
    assert image._base() == (() if pullable else (f"BASE={image._MADE}", "SNAPSHOT="))


def test_of_the_images_those_that_were_used_last_stay(tmp_path: pathlib.Path) -> None:
    names = [f"{number:02}.tar" for number in range(20)]
    for age, name in enumerate(names):
        path = tmp_path / name
        path.touch()
        os.utime(path, (1_000_000 - age, 1_000_000 - age))
    image.prune(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == names[:12]
