"""The example claims: what each shows, and the command that renders it (its first two lines)."""

import dataclasses
import functools
import pathlib
import re

from tests import cluster, documents

FOLDERS = ("claims", "features")
COMMAND = re.compile(r"^inference-service render (?P<claim>\S+)(?P<options>( --environment \S+)+)$")


@dataclasses.dataclass(frozen=True)
class Example:
    """One claim of `examples/`.

    Attributes:
        path: Relative to the repository.
        words: What it shows, in a sentence.
        command: The command line that renders it, without the program.
        settings: The EnvironmentConfigs that it is rendered with, relative to the repository.
    """

    path: str
    words: str
    command: tuple[str, ...]
    settings: tuple[str, ...]

    @property
    def name(self) -> str:
        """The file's name, which is also the claim's."""
        return pathlib.Path(self.path).stem

    @property
    def claim(self) -> cluster.Object:
        """A copy of the claim."""
        return documents.copied(_document(self.path))

    @property
    def environments(self) -> list[cluster.Object]:
        """Copies of the EnvironmentConfigs."""
        return [documents.copied(_document(path)) for path in self.settings]


@functools.cache
def _document(path: str) -> cluster.Object:
    return cluster.load(path)


def read(path: pathlib.Path) -> Example:
    """Returns the example in a file.

    Raises:
        AssertionError: Its first two lines are not a sentence and a command.
    """
    relative = str(path.relative_to(cluster.ROOT))
    words, command, *_ = path.read_text().splitlines()
    assert words.startswith("# "), f"{relative} begins with what it shows"
    assert words.endswith("."), f"{relative} begins with a sentence"
    parts = COMMAND.match(command.removeprefix("# "))
    assert parts is not None, f"{relative}: the second line is the command that renders it"
    assert parts["claim"] == relative
    options = parts["options"].split()
    return Example(relative, words[2:], ("render", relative, *options), tuple(options[1::2]))


def every() -> list[Example]:
    """Returns all examples, by path."""
    return [
        read(path)
        for folder in FOLDERS
        for path in sorted((cluster.ROOT / "examples" / folder).glob("*.yaml"))
    ]
