"""What a program needs at its start, and what can wait: imported before the rest of the function.

Most of a start is importing, the server's and the command line's. Modules of types that few claims
need are read when something of them is first used, and the garbage collector waits until `started`:
what is imported stays, and looking through it takes an eighth of the start (measured,
docs/performance.md).
"""

import gc
import importlib.util
import sys
import types

# Each is used as `module.Name` inside of functions alone: by its first use it is read.
MODULES = (
    "function.api.alerting",
    "function.api.cilium",
    "function.api.kubernetes",
    "function.api.volumes",
    "function.api.containers",
    # What a checkpoint says of itself, and formulas of models that no claim of the fleet may have.
    "function.capacity.bodies",
    "function.capacity.coefficients",
    "function.capacity.decoders",
    "function.capacity.families",
    "function.capacity.fields",
    "function.capacity.hybrids",
    "function.capacity.packing",
    "function.capacity.published",
    "function.capacity.reading",
    "function.capacity.speed",
    "function.capacity.towers",
    # What findings and some verbs ask of an engine, with its judges.
    "function.engines.tei.advice",
    "function.engines.vllm.advice",
    "function.findings.table",
    # The kind of claim of which a namespace has one, with all that only it imports.
    "function.composites.inference_gateway",
    "function.fleet.boards",
    "function.fleet.members",
    "function.fleet.report",
)
# Also where no plugin is to be looked for (`main`), its import reads what the standard library has
# for installed packages: mail, archives and 30 more modules.
_PLUGINS = "pydantic.plugin._loader"


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


def _leave_out_plugins() -> None:
    """Puts a module without plugins in the place of pydantic's: none is installed."""
    if _PLUGINS not in sys.modules:
        loader = types.ModuleType(_PLUGINS)
        loader.get_plugins = tuple  # type: ignore[attr-defined]
        sys.modules[_PLUGINS] = loader


def started() -> None:
    """Collects garbage from now on, and never looks at what was imported. Once is enough."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


gc.disable()
_leave_out_plugins()
for module_name in MODULES:
    _postpone(module_name)
