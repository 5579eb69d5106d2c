"""What a flag or a variable of an engine can do in the hands of an author of claims.

An author of claims is no author of pods. Each engine judges its own flags and variables by these
kinds, and a kind needs the same permission whatever the engine.
"""

import dataclasses
import enum
from collections.abc import Callable, Mapping


class Kind(enum.StrEnum):
    """The worst that it can do."""

    PLAIN = "plain"
    MANAGED = "managed"
    CODE = "loads code"
    FILES = "reads or writes files"
    CONNECTS = "opens connections"
    LISTENS = "listens"
    SECRET = "carries a secret"  # noqa: S105
    UNKNOWN = "unknown"


# Tells of a value whether it does no harm.
Judge = Callable[[str], bool]


@dataclasses.dataclass(frozen=True)
class Danger:
    """What one variable could do beyond what an author may.

    Attributes:
        kind: The class of it.
        why: The end of a sentence that the variable's name begins.
    """

    kind: Kind
    why: str


# What an author needs a permission for, by the name of its field in the settings. Code that is run
# can do all the others too: its permission opens them all.
OF_ARGUMENTS: Mapping[Kind, str] = {
    Kind.CODE: "trust_remote_code",
    Kind.FILES: "engine_files",
    Kind.CONNECTS: "engine_connections",
    Kind.LISTENS: "engine_listeners",
    Kind.SECRET: "engine_secrets",
    Kind.UNKNOWN: "unknown_arguments",
}
OF_VARIABLES: Mapping[Kind, str] = {
    Kind.CODE: "trust_remote_code",
    Kind.SECRET: "engine_secrets",
    Kind.FILES: "environment",
    Kind.CONNECTS: "environment",
    Kind.LISTENS: "environment",
    Kind.UNKNOWN: "environment",
}
