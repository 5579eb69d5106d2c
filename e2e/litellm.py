"""LiteLLM's real proxy as an image, of the packages that `tools/litellm` pins.

Its own image was to be had nowhere, and no package has the engine of its database's client. With an
address of a database the program ends where it does not come to one, so the image leaves the
address out: what is kept in the database is not there, and the rest is.
"""

from __future__ import annotations

import pathlib
import sys
import sysconfig

from e2e.machines import site
from tools.litellm import program

# Of 600 MB, what nothing here runs: exports of costs as tables, and what installs.
_LEFT_OUT = ("polars", "_polars_runtime_32", "pip")
# Of the standard library: other packages of this machine, and tests.
_NOT_STANDARD = ("site-packages", "dist-packages", "test", "idlelib")
_SCRIPT = """\
#!{interpreter}
import os
import sys

sys.path.insert(0, "/app/packages")
# What tells its metrics is a process of its own.
os.environ["PYTHONPATH"] = "/app/packages"
os.environ.pop("DATABASE_URL", None)
from litellm import run_server

run_server()
"""


def push(place: site.Site, name: str, work: pathlib.Path) -> None:
    """Let machines pull it under a name.

    Args:
        place: The machines.
        name: The name that pods have.
        work: For a file.
    """
    interpreter = pathlib.Path(sys.executable).resolve()
    standard = pathlib.Path(sysconfig.get_path("stdlib"))
    (packages,) = (program.environment() / "lib").glob("python*/site-packages")
    trees = {str(interpreter): interpreter} | {
        str(path): path for path in standard.iterdir() if path.name not in _NOT_STANDARD
    }
    trees |= {
        f"/app/packages/{path.name}": path
        for path in packages.iterdir()
        if path.name not in _LEFT_OUT
    }
    files = (one for path in trees.values() for one in (path, *path.rglob("*.so")))
    linked = [interpreter, *(one for one in files if one.suffix == ".so")]
    script = work / "litellm"
    script.write_text(_SCRIPT.format(interpreter=interpreter))
    place.push_script(name, script, linked, trees)
