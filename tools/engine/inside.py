"""vLLM's own parser without its libraries: runs in a process that has vLLM's sources on its path.

The sources are those of a wheel. What they import and the environment lacks (torch, transformers,
kernels) is replaced by mocks, as vLLM's own documentation does (docs/mkdocs/hooks). The parser, the
configuration classes that it is made of and the registries of names are the engine's own.

`python inside.py SOURCES record` writes the parser's options as JSON. `python inside.py SOURCES
judge` answers each line of stdin, a JSON list of arguments, with a JSON object: `error` is null, or
what the parser wrote before it ended the engine with exit code 2.
"""

import ast
import contextlib
import dataclasses
import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import io
import json
import logging
import pathlib
import sys
import types
import typing
from collections.abc import Iterator, Sequence
from unittest import mock

from pydantic_core import core_schema

# Modules of vLLM itself that touch a device as they are imported.
_DEVICE = (
    "vllm.distributed",
    "vllm.env_override",
    "vllm.model_executor.custom_op",
    "vllm.model_executor.parameter",
    "vllm.platforms",
    "vllm.utils.torch_utils",
)
# Installed or not, these are mocked: with one of them alone the other would be asked for more.
_LIBRARIES = ("torch", "transformers")
# Where the parser of `vllm serve` is made, newest place first.
_PARSERS = (
    "vllm.entrypoints.common.cli_args",
    "vllm.entrypoints.launchers.cli_args",
    "vllm.entrypoints.openai.cli_args",
)


class _Absent(mock.MagicMock):
    """Stands for a module, class or function that is not there."""

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> typing.Any:
        return core_schema.any_schema()

    def __copy__(self) -> "_Absent":
        return self

    def __deepcopy__(self, memo: object) -> "_Absent":
        return self

    def __or__(self, other: object) -> "_Absent":
        return self

    def __ror__(self, other: object) -> "_Absent":
        return self

    def __call__(self, *arguments: typing.Any, **options: typing.Any) -> typing.Any:
        """Leaves what it decorates as it is."""
        if len(arguments) == 1 and not options and isinstance(arguments[0], type):
            return arguments[0]
        return super().__call__(*arguments, **options)


class _Base:
    """A base class that is not there."""


def _schema(function: typing.Any, **_: object) -> str:
    """Returns a schema of an operator with as many outputs as the function has."""
    result = typing.get_type_hints(function)["return"]
    outputs = typing.get_args(result) if typing.get_origin(result) is tuple else (result,)
    return "(Tensor x) -> " + ", ".join("Tensor" for _ in outputs)


_ATTRIBUTES: dict[str, dict[str, typing.Any]] = {
    "torch.library": {"infer_schema": _schema},
    "torch.nn": {"Module": _Base, "Parameter": _Base},
    # The pods' own.
    "vllm.platforms": {"current_platform": _Absent(device_type="cuda")},
    "transformers": {"PreTrainedConfig": _Base, "PretrainedConfig": _Base},
}


class _Mocks(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds mocks: of the modules that touch a device first, of all that is missing last."""

    def __init__(self, sources: pathlib.Path, *, first: bool) -> None:
        self.sources = sources
        self.first = first

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in _DEVICE if self.first else not self._missing(fullname):
            return None
        spec = importlib.machinery.ModuleSpec(fullname, self)
        spec.submodule_search_locations = [str(self.sources.joinpath(*fullname.split(".")))]
        return spec

    def _missing(self, name: str) -> bool:
        top, _, _ = name.partition(".")
        if top == "vllm":
            # Compiled extensions have such names.
            return name.rpartition(".")[2].startswith("_")
        if top in sys.stdlib_module_names or not (top in _LIBRARIES or self._asked_by_vllm()):
            return False
        return importlib.machinery.PathFinder.find_spec(top) is None

    def _asked_by_vllm(self) -> bool:
        """Tells whether vLLM imports it, and not a library that can do without."""
        frame = sys._getframe(1)
        while frame is not None:
            name = frame.f_code.co_filename
            if "importlib" not in name and name != __file__:
                return name.startswith(str(self.sources))
            frame = frame.f_back  # type: ignore[assignment]
        return False

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> typing.Any:
        module = _Absent(name=spec.name)
        attributes: dict[str, typing.Any] = {
            "__name__": spec.name,
            "__file__": "absent",
            "__all__": [],
            "__version__": "99.0.0",
            "__path__": spec.submodule_search_locations,
        }
        for name, value in (attributes | _ATTRIBUTES.get(spec.name, {})).items():
            setattr(module, name, value)
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        """Does nothing: a mock has no code."""


def prepare(sources: pathlib.Path) -> None:
    """Lets vLLM's sources be imported."""
    logging.disable(logging.CRITICAL)
    sys.meta_path.insert(0, _Mocks(sources, first=True))
    sys.meta_path.append(_Mocks(sources, first=False))
    sys.path.insert(0, str(sources))
    installed = importlib.metadata.version

    def version(distribution_name: str) -> str:
        try:
            return installed(distribution_name)
        except importlib.metadata.PackageNotFoundError:
            return "99.0.0"

    importlib.metadata.version = version


def parser(sources: pathlib.Path) -> typing.Any:
    """Returns the parser of `vllm serve`.

    Raises:
        LookupError: The sources have it at no known place.
    """
    for module in _PARSERS:
        if sources.joinpath(*module.split(".")).with_suffix(".py").is_file():
            made = importlib.import_module("vllm.utils.argparse_utils")
            empty = made.FlexibleArgumentParser(prog="vllm serve")
            return importlib.import_module(module).make_arg_parser(empty)
    raise LookupError(f"no parser at {', '.join(_PARSERS)}: add where this version makes it")


# --- judging


def judge(serve: typing.Any, arguments: list[str]) -> str | None:
    """Returns what the parser says before it ends, or None when it reads the arguments."""
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(told):
            serve.parse_args(arguments)
    except SystemExit as ended:
        return (told.getvalue().strip().splitlines() or [f"exit {ended.code}"])[-1]
    except Exception as raised:  # what ends the engine too, with another exit code
        return f"{type(raised).__name__}: {raised}"
    return None


# --- recording


def record(serve: typing.Any, sources: pathlib.Path) -> dict[str, dict[str, typing.Any]]:
    """Returns each option of the parser by its first long name.

    Keys of an entry, each only where it holds: `type`; `also`, the other spellings; `nargs`;
    `repeats`; `keys`, the paths of a JSON value; `choices`, without which the parser ends;
    `names`, which the engine looks up once it has started; `object`, where JSON must be one;
    `closed`, where the parser refuses a key that is not among `keys`;
    `words`, which it takes in place of a number, of JSON or of a choice.
    """
    registered = names(sources)
    keys = dict(_keys())
    entries: dict[str, dict[str, typing.Any]] = {}
    for action in serve._actions:
        if action.dest in ("model_tag", "help") and not action.option_strings:
            continue
        flag = next(option for option in action.option_strings if option.startswith("--"))
        entry: dict[str, typing.Any] = {"type": _type(action)}
        # Later versions accept more spellings than they show.
        every = dict.fromkeys(action.option_strings)
        every |= {o: None for o, a in serve._option_string_actions.items() if a is action}
        also = [option for option in every if option != flag]
        if also:
            entry["also"] = also
        if isinstance(action.nargs, str):
            entry["nargs"] = action.nargs
        if type(action).__name__ == "_AppendAction":
            entry["repeats"] = True
        if entry["type"] == "json" and action.dest in keys:
            entry["keys"] = keys[action.dest]
        choices = [str(c) for c in action.choices or () if isinstance(c, str | int)]
        choices = [choice for choice in choices if _chooses(action, choice)]
        if choices:
            entry["choices"] = choices
        if flag in registered and not choices:
            entry["names"] = registered[flag]
        if entry["type"] == "json" and not _takes(action, "[]"):
            entry["object"] = True
        if "keys" in entry and not _takes(action, '{"no_such_key": 1}'):
            entry["closed"] = True
        words = _words(action, entry["type"])
        if words:
            entry["words"] = words
        entries[flag] = entry
    return dict(sorted(entries.items()))


def _takes(action: typing.Any, text: str) -> bool:
    if action.type is None:
        return True
    try:
        action.type(text)
    except Exception:
        return False
    return True


def _chooses(action: typing.Any, text: str) -> bool:
    """Tells whether a value is one of the choices, as argparse asks: after it is converted."""
    return _takes(action, text) and (action.type or str)(text) in action.choices


def _type(action: typing.Any) -> str:
    """Returns the kind of an option's value, by what its own function takes."""
    if action.nargs == 0 or type(action).__name__ == "BooleanOptionalAction":
        return "switch"
    if _takes(action, "x1") and not _takes(action, "{x}"):
        return "json"  # text too, unless it begins as an object does
    if _takes(action, "x1"):
        return "text"
    if _takes(action, "8k"):
        return "size"
    if _takes(action, "8.5"):
        return "json" if _takes(action, "{}") else "number"
    if _takes(action, "8"):
        return "json" if _takes(action, "[]") else "integer"
    return "json" if _takes(action, "{}") else "text"


def _words(action: typing.Any, kind: str) -> list[str]:
    if kind == "switch" or (kind == "text" and not action.choices):
        return []
    if action.choices:
        return [word for word in ("None", "") if _chooses(action, word)]
    words = [word for word in ("None", "", "auto") if _takes(action, word)]
    return ["*"] if kind == "json" and _takes(action, "x1") else words


def _keys() -> Iterator[tuple[str, list[str]]]:
    """Yields the paths of each option that a configuration class reads, by its destination."""
    arguments = importlib.import_module("vllm.engine.arg_utils").EngineArgs
    config = vars(importlib.import_module("vllm.config"))
    local = dict(config)
    with contextlib.suppress(ImportError):
        # Imported for type checkers alone.
        local |= vars(importlib.import_module("vllm.config.quantization"))
    hints = typing.get_type_hints(arguments, localns=local)
    for field in dataclasses.fields(arguments):
        owner = "".join(part.capitalize() for part in field.name.split("_"))
        hint = vars(sys.modules[arguments.__module__]).get(owner, hints[field.name])
        owned = sorted(set(_paths(hint, ())) or set(_paths(hints[field.name], ())))
        if owned:
            yield field.name, owned
    # Read as a plain mapping, and made into its class later; what is nested in it is the engine's.
    speculative = dataclasses.fields(config["SpeculativeConfig"])
    yield "speculative_config", sorted(field.name for field in speculative if field.init)


def _paths(hint: typing.Any, above: tuple[str, ...]) -> Iterator[str]:
    for option in (hint, *typing.get_args(hint)):
        if not (isinstance(option, type) and dataclasses.is_dataclass(option)):
            continue
        hints = typing.get_type_hints(option)
        for field in dataclasses.fields(option):
            if not field.init or field.name.startswith("_") or len(above) > 1:
                continue
            below = list(_paths(hints[field.name], (*above, field.name)))
            yield from below or [".".join((*above, field.name))]


def names(sources: pathlib.Path) -> dict[str, list[str]]:
    """Returns what a name is looked up in once the engine has started, by flag."""

    def of(module: str, name: str) -> typing.Any:
        return getattr(importlib.import_module(module), name)

    tools = sorted(of("vllm.tool_parsers", "ToolParserManager").list_registered())
    reasoning = sorted(of("vllm.reasoning", "ReasoningParserManager").list_registered())
    attention = of("vllm.v1.attention.backends.registry", "AttentionBackendEnum")
    return {
        "--attention-backend": sorted(attention.__members__),
        "--kv-cache-dtype": sorted(typing.get_args(of("vllm.config.cache", "CacheDType"))),
        # The loaders import kernels: their names are read from the source.
        "--load-format": sorted(
            _literal(sources, "vllm/model_executor/model_loader", "LoadFormats")
        ),
        "--quantization": sorted(
            of("vllm.model_executor.layers.quantization", "QUANTIZATION_METHODS")
        ),
        "--reasoning-parser": reasoning,
        "--tool-call-parser": tools,
    }


def _literal(sources: pathlib.Path, package: str, name: str) -> list[str]:
    tree = ast.parse((sources / package / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(target, ast.Name) and target.id == name:
            texts = (part.value for part in ast.walk(node) if isinstance(part, ast.Constant))
            return [text for text in texts if isinstance(text, str)]
    raise LookupError(f"{package} has no {name}")


def architectures(sources: pathlib.Path) -> dict[str, list[str]]:
    """Returns the architectures of the registry: those that take adapters, and the others.

    Read from the sources: a class takes adapters when it has `SupportsLoRA` among its bases.
    """
    models = sources / "vllm" / "model_executor" / "models"
    bases: dict[str, set[str]] = {}
    for path in models.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                bases.setdefault(node.name, set()).update(map(_named, node.bases))

    def adapts(name: str, above: tuple[str, ...] = ()) -> bool:
        own = bases.get(name, set()) - set(above)
        return name == "SupportsLoRA" or any(adapts(base, (*above, name)) for base in own)

    registry = ast.parse((models / "registry.py").read_text(encoding="utf-8"))
    rows = [node.value for node in registry.body if isinstance(node, ast.Assign | ast.AnnAssign)]
    entries = [
        (ast.literal_eval(key), ast.literal_eval(value.elts[-1]))
        for row in rows
        if isinstance(row, ast.Dict)
        for key, value in zip(row.keys, row.values, strict=True)
        if isinstance(key, ast.Constant)
        and isinstance(value, ast.Tuple)
        and isinstance(value.elts[-1], ast.Constant)
    ]
    return {
        "adapters": sorted({str(key) for key, name in entries if adapts(str(name))}),
        "others": sorted({str(key) for key, name in entries if not adapts(str(name))}),
    }


def _named(node: ast.expr) -> str:
    """Returns the name of a base class, without its module and its parameters."""
    if isinstance(node, ast.Subscript):
        return _named(node.value)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def main() -> None:
    """Records, or judges."""
    sources = pathlib.Path(sys.argv[1]).resolve()
    prepare(sources)
    serve = parser(sources)
    if sys.argv[2] == "record":
        made = {"flags": record(serve, sources), "architectures": architectures(sources)}
        print(json.dumps(made))
        return
    for line in sys.stdin:
        print(json.dumps({"error": judge(serve, json.loads(line))}), flush=True)


if __name__ == "__main__":
    main()
