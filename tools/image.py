"""Builds the images of the Dockerfile as tarballs, with Docker or, without a daemon, with buildah.

``python tools/image.py --target function --output dist/function-amd64.tar``. Times, modes and the
order of files are fixed, so that one commit gives one digest.
Nothing of the target's is run, so the other architecture needs no emulation. The settings of the
caller's pip (``PIP_CERT``, ``PIP_INDEX_URL``, ``PIP_FIND_LINKS``) hold in the build too, through a
file that is mounted and not kept.

Needs nothing beyond the standard library. The Dockerfile pins the base image by digest and Debian's
packages by a snapshot of their archive. Where buildah may pull no image, and mmdebstrap is there,
the base is made of Debian's packages as they are today, and so is the rest: such images are for
tests.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import pathlib
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence

# Also run as a file: `python tools/image.py` has tools/, not the repository, on its path.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tools import build as tools

ROOT = tools.HERE.parent
DOCKERFILE = ROOT / "Dockerfile"
TARGETS = ("function", "preload")
# What of the tree each of them has.
_ROOMS = {"function": ("function",), "preload": ("preload", "exporter", "judge")}
ARCHITECTURES = ("amd64", "arm64")
# The SOURCE_DATE_EPOCH of the Dockerfile: 2026-01-01T00:00:00Z.
EPOCH = "1767225600"
# What stands in for the pinned base where none can be pulled.
_MADE = "localhost/inference-service-base:13-slim"
_DEBIAN = "trixie"
_CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_PIP = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS")
# Of tarballs of 90 MB each, for several checkouts that share the cache; the last used stay.
_MOST_KEPT = 12
# Neither a user namespace nor a kernel file system of its own is taken for granted.
_BUILDAH = {"BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs"}


class ImageError(Exception):
    """An image cannot be built; the message says what is missing or what failed."""


def native() -> str:
    """The architecture of this machine, as images name it.

    Raises:
        ImageError: It is neither of ``ARCHITECTURES``.
    """
    names = {"x86_64": "amd64", "aarch64": "arm64", "amd64": "amd64", "arm64": "arm64"}
    machine = platform.machine().lower()
    if machine not in names:
        message = f"no image for {machine}; there are: {', '.join(ARCHITECTURES)}"
        raise ImageError(message)
    return names[machine]


def build(
    target: str, output: pathlib.Path, *, architecture: str, from_scratch: bool = False
) -> None:
    """Build one target of the Dockerfile and save it as a tarball.

    Args:
        target: One of ``TARGETS``.
        output: The tarball, in the format of ``docker save``.
        architecture: One of ``ARCHITECTURES``, not necessarily this machine's.
        from_scratch: Take nothing from an earlier build. buildah never does.

    Raises:
        ImageError: No builder is there, or the build failed.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    output.unlink(missing_ok=True)  # buildah refuses to replace an archive
    if _docker():
        _run(
            [
                *("docker", "buildx", "build", f"--builder={_builder()}", f"--target={target}"),
                f"--platform=linux/{architecture}",
                f"--build-arg=SOURCE_DATE_EPOCH={EPOCH}",
                f"--output=type=docker,dest={output},rewrite-timestamp=true",
                *(("--no-cache",) if from_scratch else ()),
                str(ROOT),
            ]
        )
        return
    if shutil.which("buildah") is None:
        message = "no builder: start Docker, or install buildah"
        raise ImageError(message)
    _buildah(target, output, architecture, _base())


def _buildah(
    target: str, output: pathlib.Path, architecture: str, arguments: Sequence[str]
) -> None:
    """Build with buildah and these build arguments, and leave nothing but the tarball.

    Without ``--layers``: a layered build writes the identity of each intermediate image into the
    history, and with it the order in which they were made.

    Raises:
        ImageError: The build failed.
    """
    with tempfile.TemporaryDirectory() as work, _pip_settings() as mounts:
        identity = pathlib.Path(work) / "image"
        _run(
            [
                *("buildah", "bud", f"--target={target}", f"--iidfile={identity}"),
                f"--platform=linux/{architecture}",
                f"--build-arg=BUILDPLATFORM=linux/{native()}",
                *(f"--build-arg={argument}" for argument in arguments),
                *("--network=host", "--pull=false", f"--timestamp={EPOCH}"),
                *mounts,
                str(ROOT),
            ]
        )
        image = identity.read_text()
        try:
            _run(["buildah", "push", image, f"docker-archive:{output}:{target}:latest"])
        finally:
            # Fails while another build of the same content has the image in use.
            _succeeds(["buildah", "rmi", image])


def cached(target: str, architecture: str | None = None) -> pathlib.Path:
    """The tarball of a target, built only when what the Dockerfile copies has changed.

    Args:
        target: One of ``TARGETS``.
        architecture: One of ``ARCHITECTURES``; this machine's by default.

    Raises:
        ImageError: It cannot be built.
    """
    architecture = architecture or native()
    place = tools.cache().with_name("images")
    sources = [DOCKERFILE, ROOT / ".dockerignore"]
    sources += sorted((ROOT / "requirements").glob("*.txt"))
    for room in _ROOMS[target]:
        sources += sorted((ROOT / room).rglob("*.py"))
    digest = hashlib.sha256()
    for path in sources:
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    tarball = place / f"{architecture}-{target}-{digest.hexdigest()[:12]}.tar"
    if not tarball.exists():
        prune(place)
        place.mkdir(parents=True, exist_ok=True)
        with tarball.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not tarball.exists():  # another process built it while we waited for the lock
                unfinished = tarball.with_suffix(f".{os.getpid()}")
                build(target, unfinished, architecture=architecture)
                unfinished.rename(tarball)
    os.utime(tarball)
    return tarball


def prune(place: pathlib.Path) -> None:
    """Delete the tarballs of a directory but those that were used last."""
    used = {}
    for path in place.glob("*.tar"):
        with contextlib.suppress(FileNotFoundError):  # another process prunes too
            used[path] = path.stat().st_mtime
    for path in sorted(used, key=used.__getitem__)[:-_MOST_KEPT]:
        path.unlink(missing_ok=True)


def _docker() -> bool:
    """Whether a Docker daemon answers."""
    if shutil.which("docker") is None:
        return False
    done = subprocess.run(["docker", "info"], capture_output=True, check=False)
    return done.returncode == 0


def _builder() -> str:
    """A builder of BuildKit that can save tarballs; Docker's default driver cannot.

    Raises:
        ImageError: There is none, and none could be made.
    """
    name = "inference-service"
    if not _succeeds(["docker", "buildx", "inspect", name]):
        _run(["docker", "buildx", "create", f"--name={name}", "--driver=docker-container"])
    return name


def pinned() -> str:
    """The base image as the Dockerfile pins it.

    Raises:
        ImageError: The Dockerfile names none by digest.
    """
    match = re.search(r"^ARG BASE=(\S+@sha256:[0-9a-f]{64})$", DOCKERFILE.read_text(), re.M)
    if match is None:
        message = "the Dockerfile pins no BASE by digest"
        raise ImageError(message)
    return match[1]


def _base() -> tuple[str, ...]:
    """See to it that buildah has a base image; return the build arguments that go with it.

    None for the pinned one. One that is made here comes without a snapshot of the archive: who can
    pull no image reaches the archive through a mirror, if at all.

    Raises:
        ImageError: None can be pulled, and none be made.
    """
    base = pinned()
    if _succeeds(["buildah", "inspect", "--type=image", base]):
        return ()
    if _succeeds(["buildah", "pull", base]):
        return ()
    made = (f"BASE={_MADE}", "SNAPSHOT=")
    if _succeeds(["buildah", "inspect", "--type=image", _MADE]):
        return made
    if shutil.which("mmdebstrap") is None:
        message = f"cannot pull {base}; with mmdebstrap installed it could be made instead"
        raise ImageError(message)
    with tempfile.TemporaryDirectory() as work:
        root = f"{work}/root.tar"
        _run(["mmdebstrap", "--variant=minbase", "--include=ca-certificates", _DEBIAN, root])
        container = _run(["buildah", "from", "scratch"]).strip()
        try:
            _run(["buildah", "add", container, root])
            _run(["buildah", "commit", container, _MADE])
        finally:
            _run(["buildah", "rm", container])
    return made


@contextlib.contextmanager
def _pip_settings() -> Iterator[list[str]]:
    """Flags that mount the caller's pip settings and CA bundle into the build."""
    settings = {name: os.environ[name] for name in _PIP if os.environ.get(name)}
    bundle = os.environ.get("PIP_CERT")
    if bundle:
        settings["PIP_CERT"] = _CA_BUNDLE
    lines = [f"{name[4:].lower().replace('_', '-')} = {value}" for name, value in settings.items()]
    with tempfile.TemporaryDirectory() as work:
        path = pathlib.Path(work) / "pip.conf"
        path.write_text("[global]\n" + "\n".join(lines) + "\n")
        mounts = [(str(path), "/etc/pip.conf")] if lines else []
        if bundle:
            mounts.append((bundle, _CA_BUNDLE))
        local = os.environ.get("PIP_FIND_LINKS", "").split()
        mounts += [(place, place) for place in local if pathlib.Path(place).is_dir()]
        yield [f"--volume={source}:{target}:ro" for source, target in mounts]


def _succeeds(command: Sequence[str]) -> bool:
    environment = os.environ | _BUILDAH
    return (
        subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0
    )


def _run(command: Sequence[str]) -> str:
    """Run a command and return what it printed.

    Raises:
        ImageError: It failed; the message ends with what it said last.
    """
    done = subprocess.run(
        command,
        env=os.environ | _BUILDAH,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        last = "\n".join(done.stdout.splitlines()[-20:])
        message = f"`{shlex.join(command)}` ended with {done.returncode}:\n{last}"
        raise ImageError(message)
    return done.stdout


def main(arguments: Sequence[str] | None = None) -> int:
    """Build what is asked for; exit status 1 when that fails."""
    parser = argparse.ArgumentParser(description="Build an image of the Dockerfile as a tarball.")
    parser.add_argument("--target", choices=TARGETS, default=TARGETS[0])
    parser.add_argument("--architecture", choices=ARCHITECTURES)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    options = parser.parse_args(arguments)
    try:
        architecture = options.architecture or native()
        build(options.target, options.output.resolve(), architecture=architecture)
    except ImageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{options.output}: {options.output.stat().st_size / 2**20:.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
