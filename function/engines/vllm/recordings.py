"""vLLM's own parsers, as recorded: what each version takes, read when somebody asks.

`recorded/VERSION.json` is written by `python -m tools.engine.parsers record VERSION`. No file is
read while a claim is composed.
"""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from function.engines import semver

_HERE = pathlib.Path(__file__).parent / "recorded"


@dataclasses.dataclass(frozen=True)
class Option:
    """One option of a parser.

    Attributes:
        name: Its first long name, without the dashes.
        type: switch, text, integer, size, number or json.
        nargs: `?` or `+` where it takes none or one, or several values.
        choices: Without one of these the parser ends the engine.
        names: What the engine looks the value up in, after the parser. Plugins add to them.
        words: What it takes in place of a number, of JSON or of a choice; `*` for any text.
        keys: Paths that a JSON value may have; none where it may have any.
        object: Whether a JSON value must be an object.
        closed: Whether the parser itself refuses a key that is not among `keys`.
    """

    name: str
    type: str
    nargs: str | None = None
    choices: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    object: bool = False
    closed: bool = False


@dataclasses.dataclass(frozen=True)
class Parser:
    """The parser of one version.

    Attributes:
        version: The version.
        options: Its options by every spelling, with the dashes.
        adapts: Architectures of models that the version serves, with whether they take adapters.
    """

    version: semver.Version
    options: Mapping[str, Option]
    adapts: Mapping[str, bool]

    def candidates(self, spelling: str) -> tuple[Option, ...]:
        """Returns the options that a spelling could be: argparse takes any prefix of one."""
        exact = self.options.get(spelling)
        if exact is not None:
            return (exact,)
        if not spelling.startswith("--"):
            return ()
        longer = (o for name, o in self.options.items() if name.startswith(spelling))
        return tuple(dict.fromkeys(longer))


@functools.cache
def recorded() -> tuple[semver.Version, ...]:
    """Returns the versions that have a table, oldest first."""
    return tuple(sorted(semver.parse(path.stem) for path in _HERE.glob("*.json")))


@functools.cache
def parser(version: semver.Version) -> Parser:
    """Returns the parser of a version that has a table."""
    path = _HERE / f"{semver.show(version)}.json"
    table = json.loads(path.read_text(encoding="utf-8"))
    options = {}
    for flag, entry in table["flags"].items():
        option = _option(flag.removeprefix("--"), entry)
        options.update(dict.fromkeys((flag, *entry.get("also", ())), option))
    models = table["architectures"]
    adapts = dict.fromkeys(models["others"], False) | dict.fromkeys(models["adapters"], True)
    return Parser(version, options, adapts)


def around(version: semver.Version) -> tuple[Parser, ...]:
    """Returns the parser of a version, or those of the versions just before and after it."""
    every = recorded()
    if version in every:
        return (parser(version),)
    before = [other for other in every if other < version][-1:]
    after = [other for other in every if other > version][:1]
    return tuple(parser(other) for other in (*before, *after))


def _option(name: str, entry: Mapping[str, Any]) -> Option:
    return Option(
        name=name,
        type=entry["type"],
        nargs=entry.get("nargs"),
        choices=tuple(entry.get("choices", ())),
        names=tuple(entry.get("names", ())),
        words=tuple(entry.get("words", ())),
        keys=tuple(entry.get("keys", ())),
        object=entry.get("object", False),
        closed=entry.get("closed", False),
    )
