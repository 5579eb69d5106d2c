"""What each flag of `text-embeddings-router` is and can do: router/src/main.rs of 1.9.0 and 1.9.3.

clap reads each flag by its whole name, and a variable of the environment of the same name in large
letters in its place: a flag on the command line wins. The program prints all of them when it
starts, the tokens of the hub shortened.
"""

import dataclasses
import enum
import re
from collections.abc import Mapping

from function.engines import judgements

Kind = judgements.Kind


class Takes(enum.StrEnum):
    """What follows a flag."""

    NOTHING = "nothing"
    TEXT = "text"
    WHOLE = "a whole number"
    SWITCH = "true, false or nothing"


@dataclasses.dataclass(frozen=True)
class Flag:
    """One flag.

    Attributes:
        name: Without the leading dashes.
        takes: What follows it.
        kind: The worst that it can do.
        why: What it does, as the end of a sentence that the flag begins; of a managed flag, what is
            set instead.
        choices: What its value may be; none where it may be anything of its type.
        plain: Tells whether a value does no harm, or None when no value is known not to.
        repeats: Whether it may stand twice.
    """

    name: str
    takes: Takes = Takes.TEXT
    kind: Kind = Kind.PLAIN
    why: str = ""
    choices: tuple[str, ...] = ()
    plain: judgements.Judge | None = None
    repeats: bool = False

    @property
    def variable(self) -> str:
        """The variable that stands for it."""
        return self.name.upper().replace("-", "_")


_RELATIVE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")

_FLAGS = (
    # Ours.
    Flag("model-id", kind=Kind.MANAGED, why="use spec.model.repository"),
    Flag("revision", kind=Kind.MANAGED, why="use spec.model.revision"),
    Flag("served-model-name", kind=Kind.MANAGED, why="the served name is the claim's name"),
    Flag(
        "hostname",
        kind=Kind.MANAGED,
        why="the address is fixed: Service, probes and gateway depend on it",
    ),
    Flag(
        "port",
        Takes.WHOLE,
        Kind.MANAGED,
        "the port is fixed at 8000: Service, probes and gateway depend on it",
    ),
    Flag(
        "prometheus-port",
        Takes.WHOLE,
        Kind.MANAGED,
        "metrics are served beside the API, and of the HTTP server this flag opens nothing",
    ),
    Flag("max-batch-requests", Takes.WHOLE, Kind.MANAGED, "use spec.model.maxNumSeqs"),
    Flag("json-output", Takes.NOTHING, Kind.MANAGED, "the log is always JSON"),
    # Numbers, switches and names of what the program ships.
    Flag("tokenization-workers", Takes.WHOLE),
    Flag("dtype", choices=("float16", "float32")),
    Flag("pooling", choices=("cls", "mean", "splade", "last-token")),
    Flag("max-concurrent-requests", Takes.WHOLE),
    Flag("max-batch-tokens", Takes.WHOLE),
    Flag("max-client-batch-size", Takes.WHOLE),
    Flag("auto-truncate", Takes.SWITCH),
    Flag("default-prompt-name"),
    Flag("default-prompt"),
    Flag("payload-limit", Takes.WHOLE),
    Flag("disable-spans", Takes.NOTHING),
    Flag("otlp-service-name"),
    Flag("cors-allow-origin", repeats=True),
    # The rest.
    Flag(
        "dense-path",
        kind=Kind.FILES,
        why="names a directory whose weights are read",
        # Below the model's own directory.
        plain=lambda value: _RELATIVE.fullmatch(value) is not None,
    ),
    Flag("huggingface-hub-cache", kind=Kind.FILES, why="names a directory that is written"),
    Flag("uds-path", kind=Kind.FILES, why="names a socket that is made"),
    Flag("otlp-endpoint", kind=Kind.CONNECTS, why="sends every request's trace to a host"),
    Flag("api-key", kind=Kind.SECRET, why="is printed in the log, and shuts the gateway out"),
    Flag("hf-token", kind=Kind.SECRET, why="is printed in part in the log"),
    Flag("hf-api-token", kind=Kind.SECRET, why="is printed in part in the log"),
)
TABLE: Mapping[str, Flag] = {flag.name: flag for flag in _FLAGS}
BY_VARIABLE: Mapping[str, Flag] = {flag.variable: flag for flag in _FLAGS}
# Only one of each may be set (`conflicts_with` of router/src/main.rs), as flag or as variable.
EXCLUSIVE = (("default-prompt", "default-prompt-name"), ("hf-api-token", "hf-token"))

# The largest number that the program could mean.
MOST = 1 << 31


def wrong(flag: Flag, value: str | None) -> str | None:
    """Returns why a flag cannot read its value, as the end of a sentence, or None.

    Args:
        flag: The flag.
        value: What stands behind `=`, or None without one.
    """
    if flag.takes is Takes.NOTHING:
        return None if value is None else "takes no value"
    if flag.takes is Takes.SWITCH:
        return None if value in (None, "true", "false") else "takes true, false or nothing"
    if value is None:
        return f"takes {flag.takes}: write --{flag.name}=..."
    if flag.takes is Takes.WHOLE:
        # Each of these numbers bounds something, and nothing is served with zero.
        digits = value.isascii() and value.isdigit()
        if not digits or not 1 <= int(value[:11]) <= MOST:
            return f"takes a whole number from 1 to {MOST}"
    if flag.choices and value not in flag.choices:
        return f"takes {', '.join(flag.choices[:-1])} or {flag.choices[-1]}"
    return None


def wrong_variable(flag: Flag, value: str) -> str | None:
    """Returns why a flag cannot read its variable, as the end of a sentence, or None.

    clap reads a variable of a switch as a value (`BoolValueParser`), also where the flag has none.
    """
    if flag.takes in (Takes.NOTHING, Takes.SWITCH):
        return None if value in ("true", "false") else "takes true or false"
    return wrong(flag, value)
