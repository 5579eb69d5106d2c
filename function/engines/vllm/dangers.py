"""What an author's arguments could do beyond plain tuning: code, files, connections, secrets.

Where something is refused, a prefix counts for every option that it could be short for.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from function.api import base
from function.engines import judgements
from function.engines.vllm import command_line, flags, rows


@dataclasses.dataclass(frozen=True)
class Danger:
    """What one argument could do beyond what an author may.

    Attributes:
        index: Place of the argument.
        flag: The flag, without dashes.
        key: Dotted path of the key that does it, or None where it is the flag itself.
        why: The end of a sentence that the flag begins.
    """

    index: int
    flag: str
    key: str | None
    kind: judgements.Kind
    why: str

    @property
    def option(self) -> str:
        """The option, in full."""
        return f"--{self.flag}" + (f".{self.key}" if self.key else "")


def of(line: command_line.CommandLine, mounted: Sequence[str] = ()) -> Iterator[Danger]:
    """Yields what the arguments could do beyond plain tuning.

    Args:
        line: The author's own arguments.
        mounted: Directories of volumes that the claim itself mounts: its files are its own.
    """
    directories = tuple(path.rstrip("/") + "/" for path in mounted if path.strip("/"))
    for argument in line.arguments:
        for danger in _judged(argument):
            if danger.kind is not judgements.Kind.FILES or not _below(argument, directories):
                yield danger


def problems(line: command_line.CommandLine) -> Iterator[base.Problem]:
    """Yields what no permission opens: managed flags by a second name, numbers out of bounds.

    The claim's own rule has refused the names of managed flags before.
    """
    for danger in of(line):
        if danger.kind is judgements.Kind.MANAGED:
            yield base.Problem(
                f"{line.path}[{danger.index}]",
                f"{danger.option} is set by the composition: {danger.why}",
            )
    yield from line.out_of_bounds()


def _judged(argument: command_line.Argument) -> Iterator[Danger]:
    """Yields the dangers of one argument, for each flag that it could be read as."""
    if not argument.candidates:
        yield Danger(
            argument.index,
            argument.name,
            argument.key,
            judgements.Kind.UNKNOWN,
            "is a flag of no supported version",
        )
    dangers = [
        danger
        for candidate, off in argument.candidates
        for danger in _as(argument, flags.TABLE[candidate], off)
    ]
    yield from dangers
    if not dangers and argument.abbreviated:
        meant = f"--{_full(argument)}" if argument.flag is not None else "a flag"
        why = f"is short for {meant}, and for which flag each version decides: write it in full"
        yield Danger(argument.index, argument.name, argument.key, judgements.Kind.UNKNOWN, why)


def _full(argument: command_line.Argument) -> str:
    """Returns the option that one is short for, the shortest of those of its flag."""
    return min((one for one in flags.OPTIONS if one.startswith(argument.name)), key=len)


def _as(argument: command_line.Argument, flag: rows.Flag, off: bool) -> Iterator[Danger]:
    """Yields the dangers of one argument, read as one flag."""
    if flag.kind is judgements.Kind.MANAGED:
        yield Danger(argument.index, flag.name, None, flag.kind, flag.why)
    elif flag.takes is rows.Takes.JSON:
        yield from _judged_keys(argument, flag)
    elif flag.kind is not judgements.Kind.PLAIN and not off and not _harmless(argument, flag):
        yield Danger(argument.index, flag.name, None, flag.kind, flag.why)


def _harmless(argument: command_line.Argument, flag: rows.Flag) -> bool:
    return (
        flag.plain is not None
        and argument.key is None
        and bool(argument.values)
        and all(flag.plain(value) for value in argument.values)
    )


def _below(argument: command_line.Argument, directories: tuple[str, ...]) -> bool:
    """Tells whether a flag names files in one of the directories alone."""
    return (
        argument.key is None
        and bool(argument.values)
        and bool(directories)
        and all(
            value.startswith(directories) and ".." not in value.split("/")
            for value in argument.values
        )
    )


def _judged_keys(argument: command_line.Argument, flag: rows.Flag) -> Iterator[Danger]:
    """Yields the dangers of a JSON flag; a value that cannot be read is the worst of them."""
    if flag.kind is judgements.Kind.PLAIN and not flag.keys:
        return
    try:
        leaves = list(argument.leaves())
    except ValueError:
        leaves = [("", None)]
    kinds: dict[str, judgements.Kind] = {}
    for path, value in leaves:
        ruled = rule(flag, path)
        if ruled.kind is not judgements.Kind.PLAIN and not _plain(ruled, value):
            kinds.setdefault(path, ruled.kind)
    for path, kind in kinds.items():
        yield Danger(argument.index, flag.name, path or None, kind, flag.why)


def _plain(rule: rows.Rule, value: Any) -> bool:
    if isinstance(value, list):
        return rule.lists and all(_plain(rule, item) for item in value)
    if rule.plain is None or value is None:
        return False
    return rule.plain(str(value))


def rule(flag: rows.Flag, path: str) -> rows.Rule:
    """Returns the rule of a key.

    That of its name at any depth, that of its name's end, its own, that of what holds it. A key
    without any has the flag's rule: the worst that the flag can do.
    """
    parts = path.split(".")
    places = [f"*.{part}" for part in parts]
    places += [f"*_{part.rpartition('_')[2]}" for part in parts if "_" in part]
    places += [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    for place in (*places, "*"):
        if place in flag.keys:
            return flag.keys[place]
    return rows.Rule(flag.kind)
