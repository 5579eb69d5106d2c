"""Starts servers without paying for their imports: forks from a process that has them.

Run as a module; reads one JSON request a line, answers one JSON line. A `start` forks a child that
is a server from then on, with both outputs at a named pipe; a `poll` tells its exit code once it
has one.
"""

import importlib
import json
import os
import pkgutil
import runpy
import sys
import typing

from function import main as entry
from function import server


def _child(request: dict[str, typing.Any]) -> int:
    os.environ.clear()
    os.environ.update(request["environment"])
    output = os.open(request["output"], os.O_WRONLY)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for handle, stream in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(handle, stream)
    os.close(output)
    os.close(nothing)
    sys.argv = [request["module"], *request["options"]]
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
            return 1
        return ended.code or 0
    return 0


def main() -> None:
    """Starts and polls until nobody asks any more."""
    assert entry
    for module in pkgutil.iter_modules(server.__path__, "function.server."):
        importlib.import_module(module.name)
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            pid, status = os.waitpid(request["poll"], os.WNOHANG)
            print(json.dumps(os.waitstatus_to_exitcode(status) if pid else None), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                code = _child(request)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        print(json.dumps(pid), flush=True)


if __name__ == "__main__":
    main()
