"""vLLM's own parsers, as recorded: option strings, kinds of values and keys for each version.

The tables are those that the product reads: `function/engines/vllm/recorded/VERSION.json`. Each
says where its figures come from. `Parser` reads a command line by the rules of vLLM's
FlexibleArgumentParser with them, on the standard library's argparse.
"""

import argparse
import functools
import json
import pathlib
import typing

VERSIONS = ("0.18.0", "0.25.1", "0.32.0", "0.33.0")

_HERE = pathlib.Path("function/engines/vllm/recorded")


@functools.cache
def flags(version: str) -> dict[str, dict[str, typing.Any]]:
    """Returns the recorded flags of a version by their first name."""
    recorded = json.loads((_HERE / f"{version}.json").read_text())["flags"]
    return {str(name): entry for name, entry in recorded.items()}


def names(version: str, flag: str) -> list[str]:
    """Returns every spelling of a flag that the parser has an entry for."""
    return [flag, *flags(version)[flag].get("also", ())]


class RefusedError(Exception):
    """The parser ends the engine."""


class Parser(argparse.ArgumentParser):
    """The parser of one version; a value stays the text that it is."""

    def __init__(self, version: str) -> None:
        super().__init__(add_help=False)
        self.add_argument("model_tag", nargs="?")
        for flag, entry in flags(version).items():
            options: dict[str, typing.Any] = {"dest": flag.removeprefix("--"), "default": None}
            if entry["type"] == "switch":
                for name in names(version, flag):
                    off = name != flag and name.startswith("--")
                    const = "off" if off else "on"
                    self.add_argument(name, action="store_const", const=const, **options)
                continue
            if "nargs" in entry:
                options["nargs"] = entry["nargs"]
            self.add_argument(*names(version, flag), **options)

    def error(self, message: str) -> typing.NoReturn:
        """Raises in place of an exit."""
        raise RefusedError(message)

    def read(self, arguments: list[str]) -> dict[str, typing.Any]:
        """Returns what is set, by flag, without what is left at its default.

        Raises:
            RefusedError: The engine would not start.
        """
        tokens: list[str] = []
        gathered: dict[str, list[tuple[str, str]]] = {}
        waiting = list(arguments)
        while waiting:
            token = waiting.pop(0)
            head, equals, value = token.partition("=")
            if not token.startswith("-"):
                tokens.append(token)
                continue
            option, dot, key = head.partition(".")
            option = option.replace("_", "-") if option.startswith("--") else option
            if not dot:
                tokens.append(option + equals + value)
                continue
            if not equals:
                if not waiting:
                    raise RefusedError("a key without a value")
                value = waiting.pop(0)
            gathered.setdefault(option, []).append((key, value))
        for option, pairs in gathered.items():
            tokens += [option, _nested(pairs)]
        try:
            return {k: v for k, v in vars(self.parse_args(tokens)).items() if v is not None}
        except SystemExit as ended:
            raise RefusedError from ended


def _nested(pairs: list[tuple[str, str]]) -> str:
    """Returns the JSON that dotted keys stand for."""
    result: dict[str, typing.Any] = {}
    for path, text in pairs:
        *parents, last = path.removesuffix("+").split(".")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        if path.endswith("+"):
            value = text.split(",")
        node = result
        for parent in parents:
            below = node.get(parent)
            node[parent] = node = below if isinstance(below, dict) else {}
        if isinstance(value, list) and isinstance(node.get(last), list):
            value = node[last] + value
        node[last] = value
    return json.dumps(result)


@functools.cache
def parser(version: str) -> Parser:
    """Returns the parser of a version."""
    return Parser(version)


def flat(
    content: dict[str, typing.Any], above: str = ""
) -> typing.Iterator[tuple[str, typing.Any]]:
    """Yields path and value of each leaf of an object."""
    for key, value in content.items():
        if isinstance(value, dict):
            yield from flat(value, f"{above}{key}.")
        else:
            yield above + key, value
