"""Containers without a container runtime: an image's entry point, file system and user."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from e2e.controlplane import api, registry
from tools import image as images

_MOUNTS = (
    'mount --bind "$1" "$1" && mount --rbind /dev "$1/dev" && mount --rbind /proc "$1/proc"'
    ' && mount -o remount,bind,ro "$1" && shift && exec "$@"'
)
_SYSTEM = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclasses.dataclass(frozen=True)
class Image:
    """The part of an image's configuration that says how to run the image.

    Attributes:
        user: User and group by number, such as ``2000:2000``.
        environment: Its variables.
        command: Entry point and default arguments.
    """

    user: str
    environment: Mapping[str, str]
    command: Sequence[str]


def parse(config: api.Object) -> Image:
    """Read the configuration of an image, as ``crane config`` prints it."""
    parameters = config["config"]
    return Image(
        user=parameters["User"],
        environment=dict(entry.split("=", 1) for entry in parameters["Env"]),
        command=[*(parameters.get("Entrypoint") or ()), *(parameters.get("Cmd") or ())],
    )


def _platform() -> str:
    return f"--platform=linux/{images.native()}"


class Container:
    """An unpacked image, in whose file system a test runs commands.

    Attributes:
        image: How to run the image.
        root: The file system of the image. A test may add files before it runs a command.
    """

    def __init__(self, loopback: registry.Registry, reference: str, root: pathlib.Path) -> None:
        """Make a directory and unpack an image into it."""
        self.image = parse(json.loads(loopback.crane("config", _platform(), reference)))
        self.root = root
        root.mkdir(parents=True)
        exported = root.with_name(f"{root.name}.tar")
        loopback.crane("export", _platform(), reference, exported)
        command = ["tar", "--extract", f"--file={exported}", f"--directory={root}"]
        subprocess.run(command, check=True)
        exported.unlink()
        for name in ("dev", "proc"):
            (root / name).mkdir(exist_ok=True)

    def give(self, place: pathlib.Path) -> None:
        """Make the image's user the owner of a directory below ``root`` and of the files in it."""
        if os.geteuid() == 0:
            user, group = map(int, self.image.user.split(":"))
            for path in (place, *place.iterdir()):
                os.chown(path, user, group)

    def command(self, environment: Mapping[str, str]) -> list[str]:
        """The command of the image, under a read-only root with /dev and /proc.

        Args:
            environment: Variables of the pod, which override the image's.

        Returns:
            A command that replaces itself by the program; a caller may append arguments.
        """
        # Without root this needs user namespaces, in which there is no other user to become.
        rights = ["--map-root-user"] if os.geteuid() != 0 else []
        become = [f"--userspec={self.image.user}"] if os.geteuid() == 0 else []
        variables = dict(self.image.environment) | dict(environment)
        return [
            *("unshare", "--mount", *rights, "sh", "-c", _MOUNTS, "sh", str(self.root)),
            *("/usr/bin/env", "-i", *(f"{name}={value}" for name, value in variables.items())),
            *(shutil.which("chroot", path=_SYSTEM) or "chroot", *become, str(self.root)),
            *self.image.command,
        ]
