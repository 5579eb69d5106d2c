"""A release after this one whose pods differ: this tree with one default changed, and its image."""

from __future__ import annotations

import pathlib
import re
import shutil
import tarfile

import function
from e2e import shipped
from e2e.controlplane import registry
from tools import image

VERSION = "9.9.9"
CPU_LIMIT = "9"
# The texts that the release replaces, and their replacements, by file of the function.
_CHANGES = {
    "__init__.py": (f'__version__ = "{function.__version__}"', f'__version__ = "{VERSION}"'),
    # The default of every pod whose claim sets no limit; nothing else caps the limit.
    "planning/hardware.py": (
        '\nLIMITS: dict[str, int] = {"cpu": 8,',
        f'\nLIMITS: dict[str, int] = {{"cpu": {CPU_LIMIT},',
    ),
}


def tree(place: pathlib.Path) -> pathlib.Path:
    """Write the release's function into an empty directory, and return the directory.

    Raises:
        ValueError: This tree does not hold a text that the release replaces.
    """
    shutil.copytree(
        shipped.ROOT / "function",
        place / "function",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for name, (before, after) in _CHANGES.items():
        path = place / "function" / name
        text = path.read_text()
        if text.count(before) != 1:
            message = f"{name} does not hold {before!r} once"
            raise ValueError(message)
        path.write_text(text.replace(before, after))
    return place


def runtime(release: pathlib.Path, loopback: registry.Registry, work: pathlib.Path) -> pathlib.Path:
    """The release's image as a tarball: ours, and a layer with what the release changes.

    Args:
        release: The release's tree.
        loopback: The registry in which to build the image.
        work: Directory for files.
    """
    base = loopback.reference("draft/function", "v1.0.0")
    loopback.crane("push", image.cached("function"), base)
    exported = work / "base.tar"
    loopback.crane("export", base, exported)
    with tarfile.open(exported) as archive:
        names = archive.getnames()
    layer = work / "layer.tar"
    with tarfile.open(layer, "w") as archive:
        for name in _CHANGES:
            archive.add(release / "function" / name, arcname=f"app/function/{name}")
            # Python never checks the compiled module against its source: a whiteout removes it.
            source = pathlib.PurePath("app/function", name)
            cache = re.escape(f"{source.parent}/__pycache__/{source.stem}.")
            (compiled,) = [member for member in names if re.search(rf"{cache}[^/]*pyc$", member)]
            place = pathlib.PurePath(compiled.removeprefix("./"))
            archive.addfile(tarfile.TarInfo(str(place.with_name(f".wh.{place.name}"))))
    exported.unlink()
    draft = loopback.reference("draft/next", "v1.0.0")
    loopback.crane("append", "-b", base, "-f", layer, "-t", draft)
    tarball = work / "next.tar"
    loopback.crane("pull", draft, tarball)
    return tarball
