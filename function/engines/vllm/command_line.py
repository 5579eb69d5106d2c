"""One reader of vLLM command lines: an author's own arguments, ours, and those of running pods.

vLLM's `FlexibleArgumentParser` (vllm/utils/argparse_utils.py) folds `_` into `-` up to the first
dot of an option, and takes dotted keys for JSON options (`--speculative-config.method=ngram`, with
a `+` at the end for an element of a list). Argparse accepts any unique prefix of an option, and the
last use of one counts. A switch has a negation: `--no-enable-x`, from 0.33 also `--disable-x`.

Which prefixes are unique changes with each release. Case counts for vLLM and not here. What an
argument could do is judged in `dangers`.
"""

import dataclasses
import functools
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from function.api import base
from function.engines.vllm import flags, rows

Number = int | float

# No engine has more of anything that an author counts.
_MOST = 1 << 40

# The forms with a single dash, as `name` writes them.
_SHORT = frozenset(form.lower().lstrip("-") for form in flags.SHORT)


@dataclasses.dataclass(frozen=True)
class Argument:
    """One option of a command line, with all that belongs to it.

    Attributes:
        index: Place of its first token.
        name: The option as it is written, folded, without dashes, key and value.
        candidates: The flags that it could be read as, each with True where that switches it off.
        key: Dotted path below a JSON flag; None where the option has no dot.
        values: What it is given.
    """

    index: int
    name: str
    candidates: tuple[tuple[str, bool], ...]
    key: str | None
    values: tuple[str, ...]

    @property
    def flag(self) -> str | None:
        """The flag, or None where it is unknown or ambiguous."""
        return self.candidates[0][0] if len(self.candidates) == 1 else None

    @property
    def abbreviated(self) -> bool:
        """Whether it is a prefix of an option, and no option itself in any version."""
        return bool(self.candidates) and self.name not in {*flags.OPTIONS, *_SHORT}

    @property
    def value(self) -> str | None:
        """The last of its values."""
        return self.values[-1] if self.values else None

    def leaves(self) -> Iterator[tuple[str, Any]]:
        """Yields the dotted paths that a JSON value sets, with their values.

        A key that stands twice is yielded twice. An element of a list has the path of the list.

        Raises:
            ValueError: The value is no JSON, or there is none.
        """
        if self.value is None:
            raise ValueError("no value")
        if self.key is None:
            yield from _leaves(_parse(self.value), ())
            return
        key = self.key.removesuffix("+")
        try:
            value = _parse(self.value)
        except ValueError:
            value = self.value
        if key != self.key and not isinstance(value, list):
            value = str(self.value).split(",")
        yield from _leaves(value, tuple(key.split(".")))


@dataclasses.dataclass(frozen=True)
class CommandLine:
    """A command line, read once.

    Attributes:
        positional: What belongs to no option; the model's path is the first.
        path: The field that the tokens come from, for messages.
    """

    arguments: tuple[Argument, ...]
    positional: tuple[str, ...] = ()
    path: str = "spec.engineArgs"

    @classmethod
    def read(cls, arguments: Sequence[str], path: str = "spec.engineArgs") -> "CommandLine":
        """Reads tokens as vLLM's parser does: `--flag=value`, `--flag value`, short forms."""
        tokens = list(arguments)
        options: list[Argument] = []
        positional: list[str] = []
        index = 0
        while index < len(tokens):
            if not _is_option(tokens[index]):
                positional.append(tokens[index])
                index += 1
                continue
            options.append(_option(tokens, index))
            joined = "=" in tokens[index] or _attached(tokens[index]) is not None
            index += 1 if joined else 1 + len(options[-1].values)
        return cls(tuple(options), tuple(positional), path)

    def of(self, flag: str) -> tuple[Argument, ...]:
        """Returns the arguments that are read as the flag, in order."""
        return tuple(argument for argument in self.arguments if argument.flag == flag)

    def sets(self, flag: str) -> bool:
        """Tells whether the flag is given, switched off included."""
        return bool(self.of(flag))

    def switched(self, flag: str) -> bool | None:
        """Tells whether a switch is on, or None where it is not given."""
        uses = self.of(flag)
        return None if not uses else not uses[-1].candidates[0][1]

    def value(self, flag: str) -> str | None:
        """Returns the flag's value, or None. The last one counts."""
        uses = self.of(flag)
        return uses[-1].value if uses else None

    def values(self, flag: str) -> tuple[str, ...]:
        """Returns the values of a flag that takes several. The last use counts, or all add up."""
        uses = self.of(flag)
        if uses and flags.TABLE[flag].repeats:
            return tuple(value for use in uses for value in use.values)
        return uses[-1].values if uses else ()

    def whole(self, flag: str) -> int | None:
        """Returns the whole number that the flag is given; None for none, or one below 1."""
        try:
            number = whole(self.value(flag) or "")
        except ValueError:
            return None  # the contract says it
        return number if 1 <= number <= _MOST else None

    def keys(self, flag: str) -> dict[str, Any]:
        """Returns what a JSON flag sets, by dotted path; nothing where its value is no JSON.

        Dotted keys are gathered into one JSON value, which vLLM appends: they replace a value in
        one piece, wherever it stands.
        """
        uses = self.of(flag)
        dotted = [use for use in uses if use.key is not None]
        # Each spelling of the flag is gathered by itself, and the spelling that came last replaces.
        spellings = list(dict.fromkeys(use.name for use in dotted))
        last = [use for use in dotted if use.name == spellings[-1]] if dotted else uses[-1:]
        result: dict[str, Any] = {}
        for use in last:
            try:
                leaves = dict(use.leaves())
            except ValueError:
                return {}
            for path, value in leaves.items():
                _merge(result, path, value)
        return result

    def number(self, flag: str, minimum: Number, maximum: Number) -> Number | None:
        """Returns the number that the flag is given, or None where it is not.

        Raises:
            base.InvalidError: It is no number as vLLM reads one, or lies outside of the bounds.
        """
        problems = list(self._number_problems(flag, minimum, maximum))
        if problems:
            raise base.InvalidError("claim", problems)
        value = self.value(flag)
        return None if value is None else _number(flag, value)

    def _number_problems(
        self, flag: str, minimum: Number, maximum: Number
    ) -> Iterator[base.Problem]:
        for use in self.of(flag):
            where = f"{self.path}[{use.index}]"
            try:
                value = _number(flag, use.value or "")
            except ValueError:
                yield base.Problem(where, f"--{flag} takes a {flags.TABLE[flag].takes}")
                continue
            # So that nan, which is neither below nor above, is refused too.
            if not minimum <= value <= maximum:
                yield base.Problem(where, f"--{flag} is between {minimum} and {maximum}")

    def out_of_bounds(self) -> Iterator[base.Problem]:
        """Yields the numbers that planning cannot reckon with."""
        for flag, (minimum, maximum) in flags.BOUNDS.items():
            yield from self._number_problems(flag, minimum, maximum)


def name(token: str) -> str:
    """Returns the option that a token names: folded, without dashes, key and value."""
    return token.partition("=")[0].partition(".")[0].lower().replace("_", "-").lstrip("-")


@functools.lru_cache(maxsize=4096)
def resolve(name: str) -> tuple[tuple[str, bool], ...]:
    """Returns the flags that an option could be read as in any version.

    Each comes with True where the option switches it off. A full name is that flag alone.
    """
    exact = flags.OPTIONS.get(name)
    if exact is not None:
        return (exact,)
    return tuple(
        sorted({target for option, target in flags.OPTIONS.items() if option.startswith(name)})
    )


# Reading.


def _is_option(token: str) -> bool:
    """Tells whether argparse takes a token for an option, and not for a value."""
    return token.startswith("-") and len(token) > 1 and not _NEGATIVE.fullmatch(token)


_NEGATIVE = re.compile(r"-\d+|-\d*\.\d+")


def _attached(token: str) -> str | None:
    """Returns the value that is written right behind a short form of one letter: `-O3`."""
    if (
        token.startswith("--")
        or token[:2] not in flags.SHORT
        or token.partition("=")[0] in (flags.SHORT)
    ):
        return None
    return token[2:].removeprefix("=") or None


def _option(tokens: Sequence[str], index: int) -> Argument:
    """Reads the option at a place, with the tokens after it that are its values."""
    token = tokens[index]
    head, equals, joined = token.partition("=")
    option, dot, key = head.partition(".")
    attached = _attached(token)
    candidates: tuple[tuple[str, bool], ...]
    if not token.startswith("--"):
        short = flags.SHORT.get(token[:2] if attached is not None else option)
        candidates = ((short, False),) if short is not None else ()
    else:
        candidates = resolve(name(token))
    values: tuple[str, ...] = ()
    if attached is not None:
        values = (attached,)
    elif equals:
        values = (joined,)
    elif dot:
        values = tuple(tokens[index + 1 : index + 2])
    else:
        values = tuple(_following(tokens, index + 1, candidates))
    return Argument(index, name(token), candidates, key if dot else None, values)


def _following(
    tokens: Sequence[str], start: int, candidates: tuple[tuple[str, bool], ...]
) -> Iterator[str]:
    """Yields the tokens that an option without `=` takes for its values."""
    takes = flags.TABLE[candidates[0][0]].takes if len(candidates) == 1 else rows.Takes.TEXT
    if takes is rows.Takes.NOTHING:
        return
    for token in tokens[start:]:
        if _is_option(token):
            return
        yield token
        if takes is not rows.Takes.MANY:
            return


# Values.


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with all its keys, those that stand twice too."""


# vLLM expands 8k and 8K in a JSON value, outside of quotes (`_expand_json_human_readable_numbers`).
_QUOTED = re.compile(r'("(?:[^"\\]|\\.)*")')
_SUFFIXED = re.compile(r"\b(\d+(?:\.\d+)?)([kKmMgGtT])\b")


def _parse(text: str) -> Any:
    """Returns the value of a JSON text.

    Raises:
        ValueError: It is none, or nested too deeply to be read.
    """
    parts = _QUOTED.split(text)
    for at in range(0, len(parts), 2):
        parts[at] = _SUFFIXED.sub(lambda match: str(whole(match.group())), parts[at])
    try:
        return json.loads("".join(parts), object_pairs_hook=_Pairs)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Yields the paths below a JSON value, in order; an empty object at the top sets nothing.

    vLLM reads `-` in a key of some flags as `_`.
    """
    waiting = [(path, value)]
    while waiting:
        above, item = waiting.pop()
        if isinstance(item, _Pairs) and (item or not above):
            waiting += [((*above, key), below) for key, below in reversed(item)]
        elif isinstance(item, list) and any(isinstance(inner, list) for inner in item):
            # Objects in a list, and lists in it.
            waiting += [(above, inner) for inner in reversed(item)]
        else:
            yield ".".join(above).replace("-", "_"), item


def _merge(content: dict[str, Any], path: str, value: Any) -> None:
    """Sets a path as vLLM merges dotted keys: lists add up, all else replaces what was there."""
    before = content.get(path)
    if isinstance(before, list) and isinstance(value, list):
        content[path] = before + value
        return
    for other in list(content):
        if other.startswith(f"{path}.") or path.startswith(f"{other}."):
            del content[other]
    content[path] = value


def whole(text: str) -> int:
    """Returns a whole number, with vLLM's suffixes: 8k is 8000, 8K is 8192.

    Raises:
        ValueError: The text is no whole number.
    """
    match = _SUFFIXED.fullmatch(text.strip())
    if match is None:
        return int(text)
    power = "kmgt".index(match[2].lower()) + 1
    if match[2].islower():
        return int(float(match[1]) * 1000**power)
    return int(int(match[1]) * 1024**power)


def _number(flag: str, text: str) -> Number:
    """Returns the number that vLLM reads in a flag's value.

    Raises:
        ValueError: It is none.
    """
    takes = flags.TABLE[flag].takes
    if takes is rows.Takes.SIZE:
        return whole(text)
    return int(text) if takes is rows.Takes.WHOLE else float(text)
