"""One reader of the command lines of `text-embeddings-router`: an author's, ours, those that run.

clap 4 takes `--flag=value`, `--flag value` and a switch alone. It knows no abbreviation, no other
case and no underscore, and refuses a flag that stands twice.
"""

import dataclasses
from collections.abc import Sequence

from function.engines.tei import flags


@dataclasses.dataclass(frozen=True)
class Argument:
    """One flag with its value.

    Attributes:
        index: Place of its token.
        name: As it is written, without dashes and value.
        value: What it is given, or None.
    """

    index: int
    name: str
    value: str | None

    @property
    def flag(self) -> flags.Flag | None:
        """The flag, or None for one that the program does not have."""
        return flags.TABLE.get(self.name)


@dataclasses.dataclass(frozen=True)
class CommandLine:
    """A command line, read once."""

    arguments: tuple[Argument, ...]

    @classmethod
    def read(cls, tokens: Sequence[str]) -> "CommandLine":
        """Reads tokens of which each is a flag, joined with its value by `=`."""
        read = []
        for index, token in enumerate(tokens):
            name, equals, value = token.partition("=")
            read.append(Argument(index, name.removeprefix("--"), value if equals else None))
        return cls(tuple(read))

    def value(self, name: str) -> str | None:
        """Returns a flag's value, or None."""
        values = [argument.value for argument in self.arguments if argument.name == name]
        return values[-1] if values else None

    def whole(self, name: str) -> int | None:
        """Returns the whole number that a flag is given, or None for none that it could read."""
        value = self.value(name)
        if value is None or flags.wrong(flags.TABLE[name], value) is not None:
            return None
        return int(value)

    def sets(self, name: str) -> bool:
        """Tells whether a flag is given."""
        return any(argument.name == name for argument in self.arguments)
