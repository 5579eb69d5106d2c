"""What text-embeddings-router 1.9.3 printed: its help and its series, read for comparisons.

It was built of commit 06670157 with the features candle and http, for CPUs, without the export of
traces and the page of its API, with metrics 0.23.1. `tests.engines.tei.against` recorded both.
"""

import dataclasses
import pathlib
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence

from function.engines import semver
from function.engines.tei import flags, serving, versions
from tests.alerts import sources

VERSION = semver.show(versions.JUDGED)
EXPOSITION = sources.HERE / f"tei-{VERSION}.txt"
HELP = pathlib.Path(__file__).parent / f"help-{VERSION}.txt"
_HEAD = f"# text-embeddings-router {VERSION}, as tests/engines/tei/recorded.py says.\n"
# Options of the program that do nothing but print.
_PRINT = ("help", "version")
# `hide = true` in router/src/main.rs.
_HIDDEN = ("hf-api-token",)


@dataclasses.dataclass(frozen=True)
class Option:
    """An option of the help.

    Attributes:
        takes: Its value, as the help writes it, or empty for none.
        variable: The variable that stands for it.
        default: The value without it, or empty.
        choices: What its value may be, or nothing.
    """

    takes: str
    variable: str
    default: str
    choices: tuple[str, ...]


def help_of(program: pathlib.Path) -> str:
    """Returns what a program prints of its options."""
    done = subprocess.run(
        [str(program), "--help"], env={}, capture_output=True, text=True, check=True
    )
    return done.stdout


def options(text: str) -> Mapping[str, Option]:
    """Returns the options of a help, by their names."""
    parts = re.split(r"^ +(?:-\w, )?--([a-z-]+)(.*)$", text, flags=re.MULTILINE)
    read = {}
    for name, takes, words in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        if name not in _PRINT:
            read[name] = Option(
                takes.strip(),
                _first(r"\[env: ([A-Z_]+)=", words),
                _first(r"\[default: (\S+)\]", words),
                _choices(words),
            )
    return read


def _first(pattern: str, words: str) -> str:
    found = re.search(pattern, words)
    return "" if found is None else found[1]


def _choices(words: str) -> tuple[str, ...]:
    one_line = _first(r"\[possible values: ([^\]]+)\]", words)
    listed = re.findall(r"^ +- ([a-z0-9-]+)(?::|$)", words, flags=re.MULTILINE)
    return tuple(one_line.split(", ")) if one_line else tuple(listed)


def differences(text: str) -> Iterator[str]:
    """Yields where our table of flags is not what a help says."""
    theirs = options(text)
    for name in theirs.keys() ^ (flags.TABLE.keys() - set(_HIDDEN)):
        yield f"--{name} is {'not in the table' if name in theirs else 'no option'}"
    for name, option in theirs.items():
        flag = flags.TABLE.get(name)
        if flag is None:
            continue
        if flag.variable != option.variable:
            yield f"--{name}: its variable is {option.variable}"
        if flag.takes is not flags.Takes.SWITCH and flag.choices != option.choices:
            yield f"--{name}: it takes {option.choices}"
        usual = {
            flags.Takes.NOTHING: "",
            flags.Takes.SWITCH: f"[<{flag.variable}>]",
        }.get(flag.takes, f"<{flag.variable}>")
        if option.takes != usual:
            yield f"--{name}: {option.takes or 'no value'} follows"
    tokens = theirs["max-batch-tokens"].default
    if tokens != str(serving.BATCH_TOKENS):
        yield f"--max-batch-tokens: the default is {tokens}"


def exposition() -> str:
    """Returns the recorded series."""
    return EXPOSITION.read_text(encoding="utf-8")


def merged(texts: Sequence[str]) -> str:
    """Returns expositions of several programs as one: of each family every series once."""
    families: dict[str, dict[str, str]] = {}
    for text in texts:
        head = ""
        for line in filter(None, text.splitlines()):
            if line.startswith("# TYPE"):
                head = line
            else:
                families.setdefault(head, {}).setdefault(line.rpartition(" ")[0], line)
    lines = [line for head, series in families.items() for line in (head, *series.values())]
    return _HEAD + "\n".join(lines) + "\n"


def shape(text: str) -> frozenset[str]:
    """Returns an exposition without its comments, values and buckets."""
    lines = (line for line in text.splitlines() if line and '_bucket{le="' not in line)
    return frozenset(
        line if line.startswith("# TYPE") else line.rpartition(" ")[0]
        for line in lines
        if line.startswith("# TYPE") or not line.startswith("#")
    )
