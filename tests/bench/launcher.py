"""Runs a module as the image would: without `rich`, which only the command line needs.

structlog, and with it the SDK's logging, imports rich when it is there.
"""

import runpy
import sys

if __name__ == "__main__":
    sys.modules["rich"] = None  # type: ignore[assignment]
    module = sys.argv.pop(1)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
