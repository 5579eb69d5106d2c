"""What the server needs at its start, and what can wait: imported before the rest of the function.

Most of a cold start is importing. Modules of types that few claims need are read when something of
them is first used, and the garbage collector waits until `started`: what is imported stays, and
looking through it takes an eighth of the start (measured, docs/performance.md).
"""

import gc
import importlib.util
import sys

# Each is used as `module.Name` inside of functions alone: by its first use it is read.
MODULES = (
    "function.api.alerting",
    "function.api.cilium",
    "function.api.kubernetes",
    "function.api.volumes",
    "function.api.containers",
)


def _postpone(name: str) -> None:
    spec = importlib.util.find_spec(name)
    if name in sys.modules or spec is None or spec.loader is None:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # `from PACKAGE import MODULE` reads a module at once that its package lacks.
    package, _, short = name.rpartition(".")
    setattr(sys.modules[package], short, module)


def started() -> None:
    """Collects garbage from now on, and never looks at what was imported."""
    gc.freeze()
    gc.enable()


gc.disable()
for module_name in MODULES:
    _postpone(module_name)
