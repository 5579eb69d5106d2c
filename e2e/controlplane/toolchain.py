"""The built programs and the manifests that came with them."""

from __future__ import annotations

import pathlib

from tools import build


class MissingToolsError(Exception):
    """A group of programs is not built."""


def _group(name: str) -> pathlib.Path:
    """The directory of a built group.

    Raises:
        MissingToolsError: It is not built; the message says how to.
    """
    directory = build.directory(name)
    if not directory.is_dir():
        message = f"the programs of {name} are not built ({directory}): run `make tools`"
        raise MissingToolsError(message)
    return directory


def program(group: str, name: str) -> pathlib.Path:
    """The path of a program, such as ``("kubernetes", "kubectl")``.

    Raises:
        MissingToolsError: Its group is not built.
    """
    return _group(group) / "bin" / name


def manifests(group: str, kind: str) -> list[pathlib.Path]:
    """The YAML files that upstream ships beside the programs, such as ``("keda", "crds")``.

    Raises:
        MissingToolsError: The group is not built.
    """
    return sorted((_group(group) / "share" / kind).glob("*.yaml"))


def directory(group: str, kind: str) -> pathlib.Path:
    """The directory of ``manifests``.

    Raises:
        MissingToolsError: The group is not built.
    """
    return _group(group) / "share" / kind


def libraries(group: str) -> list[pathlib.Path]:
    """Directories of shared libraries that came with a group's packages.

    Raises:
        MissingToolsError: The group is not built.
    """
    return sorted({path.parent for path in (_group(group) / "system").glob("usr/lib/*/*.so*")})
