"""Images of a few files each, made on the spot and pushed to the registry of the tests.

Machines take every image from there, whatever registry its name has (``machine``), so that pods
start under the names that the product and the gateways render.
"""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import tarfile
import types
from collections.abc import Mapping, Sequence

from e2e.controlplane import registry

# A registry on loopback has time for a few bytes more. crane compresses twice what is not yet so:
# for the digest, and again for the upload.
_LEVEL = 1


def push(
    loopback: registry.Registry,
    name: str,
    program: pathlib.Path,
    work: pathlib.Path,
    *,
    entry: str = "/program",
    user: int = 0,
    files: Sequence[pathlib.Path] = (),
    trees: Mapping[str, pathlib.Path] = types.MappingProxyType({}),
) -> None:
    """Push an image of one program, unless the registry has it of an earlier file of tests.

    Args:
        loopback: The registry.
        name: The name by which pods know it; its registry is left out, ``vllm/vllm-openai:v1`` and
            ``docker.io/vllm/vllm-openai:v1`` are one.
        program: What its entry point is.
        work: For a file.
        entry: Where the program is in the image; commands are looked for in its directory.
        user: Who runs it where the pod does not say so.
        files: More files, which are in the image where they are here.
        trees: More directories, by where they are in the image.
    """
    repository, _, tag = _path(name).rpartition(":")
    reference = loopback.reference(repository, tag)
    made_of = (program, entry, user, tuple(files), tuple(trees.items()))
    if loopback.images.get(reference) == made_of:
        return
    layer = work / "layer.tar.gz"
    content: Mapping[str, pathlib.Path] = {entry: program} | {str(path): path for path in files}
    with tarfile.open(layer, "w:gz", compresslevel=_LEVEL) as archive:
        scratch = tarfile.TarInfo("tmp")
        scratch.type, scratch.mode = tarfile.DIRTYPE, 0o1777
        archive.addfile(scratch)
        for place, path in content.items():
            _add(archive, place, path.resolve())
        for place, path in trees.items():
            archive.add(path, arcname=place.lstrip("/"))
    loopback.crane("append", "--oci-empty-base", "--new_layer", layer, "--new_tag", reference)
    search = f"--env=PATH={pathlib.PurePath(entry).parent}"
    how = ("--entrypoint", entry, "--user", str(user), search)
    loopback.crane("mutate", reference, *how, "--tag", reference)
    layer.unlink()
    loopback.images[reference] = made_of


def push_files(
    loopback: registry.Registry, name: str, trees: Mapping[str, pathlib.Path], work: pathlib.Path
) -> str:
    """Push an image of directories alone, without a program; returns its digest.

    Args:
        loopback: The registry.
        name: The name by which pods know it.
        trees: The directories, by where they are in the image.
        work: For a file.
    """
    layer = work / "layer.tar.gz"
    with tarfile.open(layer, "w:gz", compresslevel=_LEVEL) as archive:
        for place, path in trees.items():
            archive.add(path, arcname=place.lstrip("/"), filter=_readable)
    repository, _, tag = _path(name).rpartition(":")
    reference = loopback.reference(repository, tag)
    loopback.crane("append", "--oci-empty-base", "--new_layer", layer, "--new_tag", reference)
    layer.unlink()
    return loopback.crane("digest", reference).strip()


def _readable(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """For every user, as no pod owns an image."""
    member.mode = 0o755 if member.isdir() else 0o644
    return member


def _add(archive: tarfile.TarFile, place: str, path: pathlib.Path) -> None:
    member = archive.gettarinfo(str(path), arcname=place.lstrip("/"))
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755
    with path.open("rb") as content:
        archive.addfile(member, content)


def libraries(program: pathlib.Path) -> list[pathlib.Path]:
    """The shared libraries that a program of this machine needs, its loader among them.

    Raises:
        subprocess.CalledProcessError: It is no program of this machine.
    """
    done = subprocess.run(["ldd", program], capture_output=True, text=True, check=True)
    # A library that lies beside the program is told by way of the program's directory.
    paths = map(os.path.normpath, re.findall(r"(/\S+) \(0x", done.stdout))
    return [pathlib.Path(path) for path in paths]


def _path(name: str) -> str:
    """A name without its registry, as a runtime asks the registry for it."""
    first, _, rest = name.partition("/")
    if rest and ("." in first or ":" in first):
        return rest
    return name if rest else f"library/{name}"
