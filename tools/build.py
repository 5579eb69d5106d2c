"""Builds the programs that the end-to-end tests run, from the pinned Go modules beside this file.

Each group is a Go module of its own, because the Kubernetes versions of the programs differ. A
group is built once per machine into ``$XDG_CACHE_HOME/inference-service/tools/<group>-<digest>``,
where the digest is taken over everything that decides what comes out: ``go.mod``, ``go.sum``, our
own sources, the recipe in ``groups`` and the platform. ``bin/`` there holds the programs and
``share/`` the manifests that upstream keeps beside them (CRDs, chart roles, stages). What needs a C
compiler is a package of this machine's distribution, unpacked to ``system/`` (``debian``).

Needs Go, apt where a group has packages, and nothing else beyond the standard library; used as
``python tools/build.py`` and, for ``directory``, by the end-to-end tests.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import pathlib
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

# Also run as a file: `python tools/build.py` has tools/, not the repository, on its path.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tools import debian, groups

HERE = pathlib.Path(__file__).resolve().parent


class BuildError(Exception):
    """A build cannot go on; the message says what is missing or what failed."""


def group(name: str) -> groups.Group:
    """Look up a group.

    Raises:
        BuildError: No group has this name.
    """
    for candidate in groups.GROUPS:
        if candidate.name == name:
            return candidate
    names = ", ".join(candidate.name for candidate in groups.GROUPS)
    message = f"no group {name!r}; there are: {names}"
    raise BuildError(message)


def cache() -> pathlib.Path:
    """The directory that holds the built groups, outside the source tree."""
    base = os.environ.get("XDG_CACHE_HOME") or str(pathlib.Path.home() / ".cache")
    return pathlib.Path(base) / "inference-service" / "tools"


def directory(name: str) -> pathlib.Path:
    """Where a group is, once built: ``bin/`` and ``share/`` are below it.

    Raises:
        BuildError: No group has this name.
    """
    return cache() / f"{name}-{_digest(group(name))}"


def sources(item: groups.Group) -> list[pathlib.Path]:
    """The files of ours that decide, beside the recipe, what a build of the group gives."""
    root = HERE / item.name
    return [root / "go.mod", root / "go.sum", *sorted(root.rglob("*.go"))]


def _digest(item: groups.Group) -> str:
    """Twelve hexadecimal digits over all that decides what a build of the group gives."""
    digest = hashlib.sha256()
    root = HERE / item.name
    for path in sources(item):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes() + b"\0")
    # The times are estimates for the reader: better ones must not rebuild anything.
    programs = [dataclasses.replace(program, seconds=0) for program in item.programs]
    recipe = dataclasses.replace(item, programs=tuple(programs))
    for package in item.packages:
        digest.update(f"{package!r}\0".encode())
    digest.update(f"{recipe!r}\0{sys.platform}\0{platform.machine()}".encode())
    return digest.hexdigest()[:12]


def _go() -> str:
    """The Go command.

    Raises:
        BuildError: Go is absent.
    """
    go = shutil.which("go")
    if go is None:
        need = max(_directive(HERE / item.name) for item in groups.GROUPS)
        message = (
            "Go is missing: install Go "
            + ".".join(map(str, need))
            + " or newer (https://go.dev/dl)"
            " and put `go` on PATH"
        )
        raise BuildError(message)
    return go


def _directive(root: pathlib.Path) -> tuple[int, ...]:
    """The Go version that a module asks for."""
    match = re.search(r"^go (\d+(?:\.\d+)*)$", (root / "go.mod").read_text(), re.MULTILINE)
    if match is None:
        message = f"{root / 'go.mod'} has no go directive"
        raise BuildError(message)
    return tuple(int(part) for part in match.group(1).split("."))


def _pin(root: pathlib.Path, module: str) -> str:
    """The version of a module that ``go.mod`` requires, without the leading ``v``."""
    pattern = rf"^(?:require)?\s+{re.escape(module)} v(\S+)$"
    match = re.search(pattern, (root / "go.mod").read_text(), re.MULTILINE)
    if match is None:
        message = f"{root / 'go.mod'} does not require {module}"
        raise BuildError(message)
    return match.group(1)


def _run(command: Sequence[str], root: pathlib.Path) -> tuple[str, int]:
    """Run a Go command in a module, without the settings of a workspace or of the user's shell.

    Returns:
        Its standard output, and the largest resident memory of any of its processes, in bytes.

    Raises:
        BuildError: It failed.
    """
    environment = dict(os.environ, CGO_ENABLED="0", GOTOOLCHAIN="local", GOWORK="off")
    environment.pop("GOFLAGS", None)
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, cwd=root, env=environment, stdout=output)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:  # interrupted: go must not compile on for minutes
            process.terminate()
            process.wait()
            raise
        # Popen must not wait again for a process that is already reaped.
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            message = f"`{shlex.join(command)}` in {root} ended with {process.returncode}"
            raise BuildError(message)
        output.seek(0)
        return output.read().decode(), usage.ru_maxrss * 1024


def _say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    print(text, flush=True)


def _stage(name: str, started: float, detail: str) -> None:
    """Print one stage with its time."""
    _say(f"  {name:<26} {time.monotonic() - started:6.1f} s   {detail}")


def _megabytes(size: int) -> str:
    """Bytes as whole megabytes (10^6)."""
    return f"{size / 1e6:.0f} MB"


def _programs(item: groups.Group, root: pathlib.Path, target: pathlib.Path, jobs: int) -> None:
    """Build each program of a group into ``target``."""
    go = _go()
    for program in item.programs:
        started = time.monotonic()
        flags = ["-s", "-w"]
        if program.stamps:
            version = _pin(root, program.stamp_module)
            major, minor, *_ = version.split(".")
            values = {"version": version, "major": major, "minor": minor}
            flags += [f"-X={stamp.format(**values)}" for stamp in program.stamps]
        output = target / program.name
        command = [go, "build", "-mod=readonly", "-trimpath", "-buildvcs=false", f"-p={jobs}"]
        command += ["-ldflags", " ".join(flags), "-o", str(output), program.package]
        _, peak = _run(command, root)
        size = _megabytes(output.stat().st_size)
        _stage(program.name, started, f"{size}, largest process {_megabytes(peak)}")


def _copy(item: groups.Group, root: pathlib.Path, target: pathlib.Path) -> None:
    """Copy the manifests of a group out of the downloaded modules."""
    for manifests in item.manifests:
        # Of some modules nothing is compiled: those are not yet here.
        told, _ = _run([_go(), "mod", "download", "-json", manifests.module], root)
        files = sorted(pathlib.Path(json.loads(told)["Dir"]).glob(manifests.pattern))
        if not files:
            message = f"{manifests.module} holds nothing like {manifests.pattern}"
            raise BuildError(message)
        place = target / manifests.target
        place.mkdir(parents=True, exist_ok=True)
        for path in files:
            # copyfile leaves the module cache's read-only mode behind.
            shutil.copyfile(path, place / path.name)


def _unpack(item: groups.Group, place: pathlib.Path) -> None:
    """Unpack the packages of a group.

    Raises:
        BuildError: The archive has no such package, or there is no apt.
    """
    for package in item.packages:
        started = time.monotonic()
        try:
            archive = debian.unpack(package, place)
        except debian.DebianError as error:
            raise BuildError(str(error)) from None
        _stage(package.name, started, archive)


@contextlib.contextmanager
def _alone(target: pathlib.Path) -> Iterator[None]:
    """Hold off a second build of the same group until this one is done."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(target.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(item: groups.Group, jobs: int) -> bool:
    """Build a group unless it is there.

    Args:
        item: The group.
        jobs: Compilations at a time; the largest needs about 2 GB.

    Returns:
        Whether anything had to be built.

    Raises:
        BuildError: Go is absent, or a download or a compilation failed.
    """
    target = directory(item.name)
    if target.is_dir():
        return False
    _go()
    with _alone(target):
        if target.is_dir():  # another process built it while we waited for the lock
            return False
        root = HERE / item.name
        names = ", ".join(program.name for program in item.programs)
        minutes = max(1, round(item.seconds / 60))
        _say(f"{item.name}: building {names}; about {minutes} min on two cores, plus downloads")
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{item.name}-") as scratch:
            place = pathlib.Path(scratch) / "new"
            (place / "bin").mkdir(parents=True)
            started = time.monotonic()
            packages = [program.package for program in item.programs]
            _run([_go(), "list", "-mod=readonly", "-deps", *packages], root)
            _stage("download", started, "")
            _programs(item, root, place / "bin", jobs)
            _copy(item, root, place / "share")
            _unpack(item, place)
            # Last, and atomic: a directory that exists is complete.
            place.rename(target)
    return True


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Build the programs of the end-to-end tests.")
    parser.add_argument(
        "--group",
        action="append",
        choices=[item.name for item in groups.GROUPS],
        help="only this group (repeatable); by default all but those on request",
    )
    parser.add_argument(
        "--path", action="store_true", help="print the bin directories and build nothing"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=min(4, os.cpu_count() or 1),
        help="compilations at a time (default: the cores, at most 4)",
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Build what is asked for; exit status 1 when that fails."""
    options = _arguments(arguments)
    usual = [item for item in groups.GROUPS if not item.on_request]
    chosen = [group(name) for name in options.group] if options.group else usual
    if options.path:
        for item in chosen:
            print(directory(item.name) / "bin")
        return 0
    # Minutes of compilation should not be felt by whoever works on the machine meanwhile.
    os.nice(19)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    try:
        built = [item.name for item in chosen if build(item, options.jobs)]
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    summary = f"built {', '.join(built)}" if built else "all built already"
    _say(f"tools: {summary} in {time.monotonic() - started:.0f} s; they are in {cache()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
