"""What a row of the table of flags has."""

import dataclasses
import enum
from collections.abc import Mapping

from function.engines import judgements


class Takes(enum.StrEnum):
    """What follows a flag."""

    NOTHING = "nothing"
    TEXT = "text"
    WHOLE = "whole number"
    SIZE = "whole number or size, such as 8k"
    NUMBER = "number"
    JSON = "JSON"
    OPTIONAL = "text or nothing"
    MANY = "several values"


@dataclasses.dataclass(frozen=True)
class Rule:
    """What one key of a JSON flag can do.

    Attributes:
        kind: The worst of it.
        plain: Tells whether a value does no harm, or None when no value is known not to.
        lists: Whether a list of such values does no harm either.
    """

    kind: judgements.Kind
    plain: judgements.Judge | None = None
    lists: bool = False


@dataclasses.dataclass(frozen=True)
class Flag:
    """One flag.

    Attributes:
        name: Without the leading dashes.
        kind: The worst that it can do; of a JSON flag, what a key does that `keys` lacks.
        takes: What follows it.
        why: What it does, as the end of a sentence that the flag begins.
        plain: Tells whether a value does no harm, or None when no value is known not to.
        keys: Rules of a JSON flag by dotted path. A rule holds for all below its path too, unless
            a longer path has its own. `*.name` is a key of that name at any depth,
            `*_end` one whose name ends so, at any depth too.
        repeats: Whether a second use adds to the first. Otherwise the last use counts.
    """

    name: str
    kind: judgements.Kind = judgements.Kind.PLAIN
    takes: Takes = Takes.TEXT
    why: str = ""
    plain: judgements.Judge | None = None
    keys: Mapping[str, Rule] = dataclasses.field(default_factory=dict)
    repeats: bool = False
