"""Packages of this machine's distribution, unpacked beside other programs and not installed.

What needs a C compiler comes this way. No service starts, and nothing of the machine changes. A
package has the version that the archive has today: archives keep no older one.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shlex
import shutil
import subprocess
from collections.abc import Sequence


class DebianError(Exception):
    """A package cannot be had; the message says what is missing or what failed."""


@dataclasses.dataclass(frozen=True)
class Package:
    """A package of Debian's or Ubuntu's archive.

    Attributes:
        name: Name of the package.
        programs: Names of programs in it, in any directory of programs.
    """

    name: str
    programs: Sequence[str] = ()


def unpack(package: Package, place: pathlib.Path) -> str:
    """Unpack a package to ``system`` below a directory, and link its programs into ``bin``.

    Returns:
        The name of the archive's file, which holds the version.

    Raises:
        DebianError: The archive has no such package or program, or there is no apt.
    """
    archive = _download(package.name, place)
    system = place / "system"
    _run(["dpkg-deb", "--extract", str(archive), str(system)], place)
    archive.unlink()
    for name in package.programs:
        programs = sorted(path for path in system.glob(f"usr/*bin/{name}") if path.is_file())
        if not programs:
            message = f"{archive.name} holds no program {name}"
            raise DebianError(message)
        (place / "bin" / name).symlink_to(pathlib.Path("..") / programs[0].relative_to(place))
    return archive.name


def _download(name: str, place: pathlib.Path) -> pathlib.Path:
    """Download a package.

    Raises:
        DebianError: The archive has none of this name, or there is no apt.
    """
    command = ["apt-get", "--quiet=2", "download", name]
    try:
        _run(command, place)
    except DebianError:
        # Images of machines often come without the archive's lists.
        if os.geteuid() != 0:
            raise
        _run(["apt-get", "--quiet=2", "update"], place)
        _run(command, place)
    (archive,) = place.glob(f"{name}_*.deb")
    return archive


def _run(command: Sequence[str], place: pathlib.Path) -> None:
    """Run a command of apt's or dpkg's.

    Raises:
        DebianError: It is absent or failed.
    """
    if shutil.which(command[0]) is None:
        message = f"{command[0]} is missing: container runtimes come as packages of a Debian"
        raise DebianError(message)
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        message = f"`{shlex.join(command)}` ended with {done.returncode}: {done.stderr.strip()}"
        raise DebianError(message)
