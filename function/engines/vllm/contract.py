"""Whether a version of vLLM takes a command line, before a GPU is rented for it.

vLLM ends with exit code 2 when its parser does not know a flag, or cannot read its value. A name
that it looks up later (a parser, a quantization) ends it a minute later, unless a plugin has it.
Between two recorded versions only what both refuse is a finding, and never more than a warning.
"""

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from function import likeness
from function.engines import semver
from function.engines.vllm import command_line, group, recordings
from function.findings import rules

_ENDS = "vLLM ends with exit code 2 before it loads anything, and its pod restarts for ever."

UNKNOWN_FLAG = rules.Rule(
    "engine-flag-unknown",
    rules.Severity.ERROR,
    "An engine argument is no flag of the claim's version of vLLM.",
    _ENDS,
    "Correct the flag: the message names the nearest one. Flags are listed by `vllm serve"
    " --help=all` of the version.",
)
REMOVED_FLAG = rules.Rule(
    "engine-flag-removed",
    rules.Severity.ERROR,
    "An engine argument is a flag of other versions of vLLM, and not of the claim's.",
    _ENDS,
    "Take the flag away, or set `spec.engine.version` to a version that has it.",
)
AMBIGUOUS_FLAG = rules.Rule(
    "engine-flag-ambiguous",
    rules.Severity.ERROR,
    "An engine argument is short for several flags of the claim's version of vLLM.",
    _ENDS,
    "Write the flag in full.",
)
ABBREVIATED_FLAG = rules.Rule(
    "engine-flag-abbreviated",
    rules.Severity.NOTE,
    "An engine argument is short for one flag of the claim's version of vLLM.",
    "vLLM takes it for that flag. In another version it may be short for several, or for none.",
    "Write the flag in full: the message names it.",
)
WRONG_TYPE = rules.Rule(
    "engine-flag-value",
    rules.Severity.ERROR,
    "An engine argument has a value that its flag cannot read: text for a number, a value for a"
    " switch, none where one is needed.",
    _ENDS,
    "Give the flag a value of its type.",
)
MALFORMED_JSON = rules.Rule(
    "engine-flag-json",
    rules.Severity.ERROR,
    "An engine argument takes JSON, and its value is none.",
    _ENDS,
    "Correct the JSON; keys and texts stand in double quotes.",
)
UNKNOWN_KEY = rules.Rule(
    "engine-flag-key",
    rules.Severity.ERROR,
    "A JSON value of an engine argument has a key that its configuration lacks in the claim's"
    " version of vLLM.",
    "vLLM refuses the whole value and ends.",
    "Correct the key: the message names the nearest one.",
)
UNKNOWN_CHOICE = rules.Rule(
    "engine-flag-choice",
    rules.Severity.ERROR,
    "A flag has a value that is none of its choices in the claim's version of vLLM.",
    _ENDS,
    "Take one of the choices: the message names the nearest one.",
)
UNKNOWN_NAME = rules.Rule(
    "engine-name-unknown",
    rules.Severity.WARNING,
    "A tool or reasoning parser, quantization, type of the KV cache, load format or attention"
    " backend is none of those that the claim's version of vLLM ships.",
    "vLLM looks the name up after its parser has passed it, and ends when nothing has it. A plugin"
    " of the image may have it.",
    "Take one of the names: the message names the nearest one.",
)
RULES = (
    UNKNOWN_FLAG,
    REMOVED_FLAG,
    AMBIGUOUS_FLAG,
    ABBREVIATED_FLAG,
    WRONG_TYPE,
    MALFORMED_JSON,
    UNKNOWN_KEY,
    UNKNOWN_CHOICE,
    UNKNOWN_NAME,
)

NO_FLAG = (UNKNOWN_FLAG, REMOVED_FLAG, AMBIGUOUS_FLAG)
"""An argument that the parser takes for no flag, whatever else is said of it."""

# Flags that are in no recorded version, and are copied from older texts; with what is used now.
GONE = {
    "--calculate-kv-scales": "take it away: scales come from the checkpoint",
    "--enable-reasoning": "use spec.model.reasoningParser",
    "--guided-decoding-backend": "use --structured-outputs-config.backend",
    "--max-seq-len-to-capture": "use --max-cudagraph-capture-size",
    "--num-scheduler-steps": "take it away: the scheduler has no such steps any more",
    "--rope-scaling": "use --hf-overrides with rope_parameters",
    "--swap-space": "use spec.cache.kvOffload",
    "--task": "use spec.model.runner",
}

# Fields of a claim that become a flag with a name in it.
FIELDS = {
    "chat-template": "spec.model.chatTemplate",
    "dtype": "spec.model.dtype",
    "kv-cache-dtype": "spec.model.kvCacheDtype",
    "load-format": "spec.model.streaming",
    "max-lora-rank": "spec.model.maxLoraRank",
    "max-model-len": "spec.model.contextWindow",
    "max-num-seqs": "spec.model.maxNumSeqs",
    "quantization": "spec.model.quantization",
    "reasoning-parser": "spec.model.reasoningParser",
    "runner": "spec.model.runner",
    "tool-call-parser": "spec.model.toolCallParser",
}
# With one of these, names that vLLM does not ship may be there.
_PLUGINS = {
    "reasoning-parser": "reasoning-parser-plugin",
    "tool-call-parser": "tool-parser-plugin",
}

_MILDNESS = tuple(rules.Severity)

Place = Callable[[int], str]


def judge(
    arguments: Sequence[str], version: semver.Version, place: Place | None = None
) -> list[rules.Finding]:
    """Returns what a version of vLLM does not take of a command line.

    Args:
        arguments: After `vllm serve`.
        version: The version.
        place: Returns the field that the argument of an index comes from; of `spec.engineArgs` when
            absent.
    """
    where = place or _own
    parsers = recordings.around(version)
    line = command_line.CommandLine.read(arguments)
    results = [list(_Judge(parser, arguments, where).judge(line)) for parser in parsers]
    if len(results) == 1 and parsers[0].version == version:
        return results[0]
    common = [
        finding
        for finding in results[0]
        if all((finding.rule, finding.field) in _pairs(others) for others in results[1:])
    ]
    names = " and ".join(semver.show(parser.version) for parser in parsers)
    return [
        dataclasses.replace(
            finding,
            severity=max(finding.severity, rules.Severity.WARNING, key=_MILDNESS.index),
            message=f"{finding.message}; {semver.show(version)} is not recorded, so this is what"
            f" {names} say",
        )
        for finding in common
    ]


def of_claim(arguments: Sequence[str], own: int, version: semver.Version) -> list[rules.Finding]:
    """Returns what a version of vLLM does not take of the line that a claim is rendered to.

    Args:
        arguments: The line.
        own: How many arguments at its end are the author's own.
        version: The version.
    """
    first = len(arguments) - own

    def place(index: int) -> str:
        if index >= first:
            return _own(index - first)
        flag = command_line.name(arguments[index])
        return FIELDS.get(flag, f"the composed argument --{flag}")

    return judge(group.expanded(list(arguments)), version, place)


def _own(index: int) -> str:
    return f"spec.engineArgs[{index}]"


def _pairs(findings: Iterable[rules.Finding]) -> set[tuple[rules.Rule, str]]:
    return {(finding.rule, finding.field) for finding in findings}


@dataclasses.dataclass(frozen=True)
class _Judge:
    """Judges a line by one parser."""

    parser: recordings.Parser
    tokens: Sequence[str]
    place: Place

    @property
    def release(self) -> str:
        return f"vLLM {semver.show(self.parser.version)}"

    def judge(self, line: command_line.CommandLine) -> Iterator[rules.Finding]:
        given = {argument.flag for argument in line.arguments}
        for argument in line.arguments:
            spelling = _spelling(self.tokens[argument.index])
            options = self.parser.candidates(spelling)
            if len(options) == 1:
                if spelling not in self.parser.options:
                    yield self._abbreviated(argument, spelling)
                yield from self._value(argument, spelling, options[0], given)
            else:
                yield self._no_flag(argument, spelling, options)

    def _abbreviated(self, argument: command_line.Argument, spelling: str) -> rules.Finding:
        full = next(name for name in self.parser.options if name.startswith(spelling))
        words = f"{spelling} is short for {full} in {self.release}: write it in full"
        return ABBREVIATED_FLAG.broken(self.place(argument.index), words)

    def _no_flag(
        self,
        argument: command_line.Argument,
        spelling: str,
        options: tuple[recordings.Option, ...],
    ) -> rules.Finding:
        field = self.place(argument.index)
        if options:
            names = ", ".join(f"--{option.name}" for option in options[:4])
            words = f"{spelling} is short for several flags of {self.release}: write {names}"
            return AMBIGUOUS_FLAG.broken(field, f"{words} in full")
        lacks = f"{spelling} is no flag of {self.release}"
        if spelling in GONE:
            return REMOVED_FLAG.broken(field, f"{lacks}: {GONE[spelling]}")
        having = [
            semver.show(version)
            for version in recordings.recorded()
            if spelling in recordings.parser(version).options
        ]
        if having:
            words = (
                f"{lacks}, {' and '.join(having)} have it"
                if having[1:]
                else (f"{lacks}, {having[0]} has it")
            )
            return REMOVED_FLAG.broken(field, f"{words}: take it away")
        return UNKNOWN_FLAG.broken(field, lacks + likeness.hint(spelling, self.parser.options))

    def _value(
        self,
        argument: command_line.Argument,
        spelling: str,
        option: recordings.Option,
        given: set[str | None],
    ) -> Iterator[rules.Finding]:
        field, value = self.place(argument.index), argument.value
        joined = "=" in self.tokens[argument.index]
        if option.type == "switch":
            if joined or argument.key is not None:
                words = f"{spelling} is a switch and takes no value: write {spelling} alone"
                yield WRONG_TYPE.broken(field, words)
        elif value is None:
            if option.nargs != "?":
                yield WRONG_TYPE.broken(field, f"{spelling} needs a value: write {spelling}=VALUE")
        elif option.type == "json":
            yield from self._json(argument, spelling, option)
        elif option.nargs == "+":
            for item in argument.values:
                yield from self._single(field, spelling, option, item, given)
        else:
            yield from self._single(field, spelling, option, value, given)

    def _single(
        self,
        field: str,
        spelling: str,
        option: recordings.Option,
        value: str,
        given: set[str | None],
    ) -> Iterator[rules.Finding]:
        if value in option.words:
            return
        if option.type in _READ and not _reads(option.type, value):
            words = f"{spelling} takes {_READ[option.type]}, and {value!r} is none"
            yield WRONG_TYPE.broken(field, words)
        elif option.choices:
            if value not in option.choices:
                words = f"{value!r} is no choice of {spelling} in {self.release}"
                yield UNKNOWN_CHOICE.broken(field, words + likeness.hint(value, option.choices))
        elif option.names and _PLUGINS.get(option.name) not in given:
            names = {name.lower() for name in option.names}
            if value and value.lower() not in names:
                words = f"{self.release} ships no {value!r} for {spelling}"
                yield UNKNOWN_NAME.broken(field, words + likeness.hint(value, option.names))

    def _json(
        self, argument: command_line.Argument, spelling: str, option: recordings.Option
    ) -> Iterator[rules.Finding]:
        field, value = self.place(argument.index), argument.value or ""
        if argument.key is None:
            if value in option.words:
                return
            if "*" in option.words and not re.fullmatch(r"(?s)\s*\{.*\}\s*", value):
                return
        try:
            paths = [path for path, _ in argument.leaves()]
        except ValueError as error:
            words = f"{spelling} takes JSON, and {value[:80]!r} is none ({error})"
            yield MALFORMED_JSON.broken(field, words)
            return
        if option.object and argument.key is None and not value.lstrip().startswith("{"):
            words = f"{spelling} takes a JSON object, and {value[:80]!r} is none"
            yield MALFORMED_JSON.broken(field, words)
            return
        tops = {key.partition(".")[0] for key in option.keys}
        for top in dict.fromkeys(path.partition(".")[0] for path in paths):
            if tops and top and top not in tops:
                words = f"{spelling} has no key {top!r} in {self.release}"
                severity = rules.Severity.ERROR if option.closed else rules.Severity.WARNING
                yield UNKNOWN_KEY.broken(field, words + likeness.hint(top, tops), severity)


_READ = {
    "integer": "a whole number",
    "size": "a whole number or a size such as 8k",
    "number": "a number",
}


def _reads(kind: str, value: str) -> bool:
    try:
        if kind == "size":
            command_line.whole(value)
        elif kind == "integer":
            int(value)
        else:
            float(value)
    except ValueError:
        return False
    return True


def _spelling(token: str) -> str:
    """Returns an option as vLLM's parser looks it up: `_` is `-` in a long one, case counts."""
    head = token.partition("=")[0]
    if not token.startswith("--"):
        return head
    return head.partition(".")[0].replace("_", "-")
