"""`inference-service facts`: what a model is made of, for a catalogue of one's own."""

import json
import pathlib
import sys
from collections.abc import Iterator
from typing import Any, Literal

import click

from function import strict_yaml
from function.capacity import cards, catalogue, forms, published, reading, traits
from function.capacity import facts as models
from function.cli import hub, options, result, terminal

Output = Literal["yaml", "json", "line"]

_CONFIG = "config.json"
_INDEX = "model.safetensors.index.json"
_PACKING = "hf_quant_config.json"
_UNKNOWN = 1


@click.command()
@click.argument("model", metavar="MODEL", type=click.Path())
@click.option(
    "--name",
    metavar="ORG/NAME",
    help="Repository that the facts are of, when MODEL is a file or a directory. By default the"
    " one that a directory of the hub's cache is named after, or the directory's name.",
)
@click.option(
    "--hub",
    "ask",
    is_flag=True,
    help="Ask the Hugging Face hub for a repository that the catalogue has not by its name."
    " HF_ENDPOINT is a mirror to ask in its place, HF_TOKEN a token for gated repositories.",
)
@options.output(
    "yaml",
    "json",
    "line",
    words="line is one line of the catalogue of this project.",
)
def facts(model: str, name: str | None, ask: bool, output: Output) -> None:
    """Print what a model is made of: layers, sizes, packing, context, parsers.

    MODEL is a repository, a directory with the files of one, or a config.json. A repository is
    looked up in the catalogue; --hub asks the network.

    Exit codes: 0 the facts were printed. 1 nobody knows the model, or its config.json says too
    little. 2 wrong usage, or something could not be read or written.
    """
    try:
        held = _local(pathlib.Path(model), name) if _is_path(model) else _remote(model, ask=ask)
    except (OSError, UnicodeDecodeError) as error:
        near = _nearest(model) if isinstance(error, FileNotFoundError) else ""
        terminal.complain(f"{model}: {getattr(error, 'strerror', None) or error}{near}")
        sys.exit(result.NOT_READ)
    except (hub.HubError, _NotReadError) as error:
        terminal.complain(str(error))
        sys.exit(result.NOT_READ)
    except reading.UnreadableError as error:
        terminal.complain(f"{model}: {error}")
        sys.exit(_UNKNOWN)
    if held is None:
        terminal.complain(
            f"{model} is not in the catalogue: give a directory with its {_CONFIG}, or"
            f" --hub{_nearest(model)}"
        )
        sys.exit(_UNKNOWN)
    if (note := _disagreement(held)) is not None:
        terminal.complain(f"note: {model}: {note}")
    terminal.write(_text(held, output))


def _nearest(model: str) -> str:
    near = catalogue.nearest(model)
    return f"; the nearest: {', '.join(near)}" if near else ""


def _disagreement(held: models.Facts) -> str | None:
    """Returns what is wrong with the bytes of the files, or None where they agree."""
    present, expected = held.checkpoint_bytes, published.expected(held)
    if present is None or expected.holds(present):
        return None
    return (
        f"the weights' files have {present / cards.GIB:.1f} GiB, and {_CONFIG} makes"
        f" {expected.best / cards.GIB:.1f} GiB of tensors: are both of one repository, and the"
        " weights in its dtype?"
    )


class _NotReadError(ValueError):
    """A file is there and no mapping."""


def _text(model: models.Facts, output: Output) -> str:
    if output == "line":
        return catalogue.line(model) + "\n"
    form = forms.document(model)
    if output == "json":
        return json.dumps(form, indent=2) + "\n"
    return strict_yaml.dump([form])


def _is_path(model: str) -> bool:
    return pathlib.Path(model).exists() or not hub.is_repository(model)


def _remote(repository: str, *, ask: bool) -> models.Facts | None:
    held = catalogue.lookup(repository)
    if not ask or (held is not None and held.name == repository):
        return held
    config = hub.mapping(repository, _CONFIG)
    if config is None:
        raise hub.HubError(f"{repository}: the hub has no {_CONFIG} of this repository")
    packing = None if "quantization_config" in config else hub.mapping(repository, _PACKING)
    index = hub.mapping(repository, _INDEX)
    return _read(config, packing, index, repository, source=f"{repository} {_CONFIG}")


def _local(path: pathlib.Path, name: str | None) -> models.Facts:
    directory = path if path.is_dir() else path.parent
    if path.is_dir() and not (directory / _CONFIG).exists():
        raise _NotReadError(
            f"{path}: there is no {_CONFIG} in it: give the directory of a checkpoint"
        )
    config = _mapping(directory / _CONFIG if path.is_dir() else path)
    packing, index = directory / _PACKING, directory / _INDEX
    return _read(
        config,
        _mapping(packing) if packing.exists() else None,
        _mapping(index) if index.exists() else _bytes(directory),
        name or _named(directory.resolve()),
        source=_CONFIG,
    )


def _read(
    config: dict[str, Any],
    packing: dict[str, Any] | None,
    files: int | dict[str, Any] | None,
    name: str,
    source: str,
) -> models.Facts:
    whole = config if packing is None else config | {"hf_quant_config": packing}
    return traits.apply(reading.read(whole, name, files=files, source=source), name)


def _bytes(directory: pathlib.Path) -> int | None:
    """Returns the bytes of the weights' files, or None where none lies."""
    sizes = [file.stat().st_size for file in directory.glob("*.safetensors")]
    return sum(sizes) or None


def _named(directory: pathlib.Path) -> str:
    """Returns the repository that a directory of the hub's cache is of, or the directory's name."""
    return next(_cached(directory), directory.name)


def _cached(directory: pathlib.Path) -> Iterator[str]:
    for part in directory.parts:
        kind, *repository = part.split("--", 2)
        if kind == "models" and len(repository) == 2:
            yield "/".join(repository)


def _mapping(file: pathlib.Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text("utf-8"))
    except (json.JSONDecodeError, RecursionError) as error:
        raise _NotReadError(f"{file}: is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise _NotReadError(f"{file}: is no mapping")
    return value
