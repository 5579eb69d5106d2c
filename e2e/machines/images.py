"""Images of one program each, made on the spot and pushed to the registry of the tests.

Machines take every image from there, whatever registry its name has (``machine``), so that pods
start under the names that the product renders.
"""

from __future__ import annotations

import pathlib
import tarfile
from collections.abc import Mapping

from e2e.controlplane import registry


def push(
    loopback: registry.Registry,
    name: str,
    program: pathlib.Path,
    work: pathlib.Path,
    *,
    entry: str = "/program",
    environment: Mapping[str, str] | None = None,
) -> None:
    """Push an image of one static program.

    Args:
        loopback: The registry.
        name: The name by which pods know it; its registry is left out, ``vllm/vllm-openai:v1`` and
            ``docker.io/vllm/vllm-openai:v1`` are one.
        program: What its entry point is.
        work: For a file.
        entry: Where the program is in the image.
        environment: Variables of the image.
    """
    layer = work / "layer.tar"
    with tarfile.open(layer, "w") as archive:
        member = archive.gettarinfo(str(program.resolve()), arcname=entry.lstrip("/"))
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mode = 0o755
        with program.open("rb") as content:
            archive.addfile(member, content)
    path, _, tag = _path(name).rpartition(":")
    reference = loopback.reference(path, tag)
    loopback.crane("append", "--oci-empty-base", "--new_layer", layer, "--new_tag", reference)
    variables = [f"--env={key}={value}" for key, value in (environment or {}).items()]
    loopback.crane("mutate", reference, "--entrypoint", entry, *variables, "--tag", reference)
    layer.unlink()


def _path(name: str) -> str:
    """A name without its registry, as a runtime asks the registry for it."""
    first, _, rest = name.partition("/")
    if rest and ("." in first or ":" in first):
        return rest
    return name if rest else f"library/{name}"
