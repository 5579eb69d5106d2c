"""A container's view of the file system, over this machine's."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping

# Mounts of the machine that a container keeps; what is written elsewhere is gone with the process.
_KEPT = ("proc", "dev", "sys", "tmp")


def script(home: pathlib.Path, mounts: Mapping[str, pathlib.Path]) -> list[str]:
    """The words that run further ones, by root, in mounts of their own.

    Args:
        home: A directory of the container's.
        mounts: What lies at which absolute path.
    """
    top = home / "root"
    top.mkdir(parents=True, exist_ok=True)
    root = top / "all"
    lines = [
        f"mount -t tmpfs none {top}",
        f"mkdir {top}/up {top}/work {root}",
        f"mount -t overlay -o lowerdir=/,upperdir={top}/up,workdir={top}/work overlay {root}",
        *(f"mount --rbind /{one} {root}/{one}" for one in _KEPT),
    ]
    for path, source in mounts.items():
        # A symbolic link on Debian: it would lead out of the new root.
        place = f"{root}{re.sub('^/var/run/', '/run/', path)}"
        make = "mkdir -p" if source.is_dir() else "touch"
        lines += [f"{make} {place}", f"mount --bind {source} {place}"]
    lines.append(f'exec chroot {root} "$@"')
    return ["unshare", "--mount", "sh", "-ec", "\n".join(lines), "sh"]
