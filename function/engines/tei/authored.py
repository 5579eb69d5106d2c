"""What an author gives the program, by its flags and by the variables that stand for them.

clap reads a variable where its flag is not on the command line, and only there. For two flags that
exclude each other it counts a variable as a flag.
"""

from collections.abc import Iterator, Mapping

from function.api import base, claim, claim_pod
from function.engines import judgements
from function.engines.tei import command_line, flags


def line(spec: claim.Spec) -> command_line.CommandLine:
    """Returns the author's own arguments, read."""
    return command_line.CommandLine.read(spec.engine_args or [])


def variables(spec: claim.Spec) -> Iterator[tuple[str, claim_pod.EnvVar, flags.Flag]]:
    """Yields the author's variables that stand for flags: field, variable and flag."""
    for index, variable in enumerate(base.of(spec.pod_template, "env") or []):
        flag = flags.BY_VARIABLE.get(variable.name)
        if flag is not None:
            yield f"spec.podTemplate.env[{index}]", variable, flag


def places(spec: claim.Spec) -> dict[str, tuple[str, str]]:
    """Returns by flag the field that sets it first, and its name there: of flag or variable."""
    result: dict[str, tuple[str, str]] = {}
    for argument in line(spec).arguments:
        place = f"spec.engineArgs[{argument.index}]", f"--{argument.name}"
        result.setdefault(argument.name, place)
    for path, variable, flag in variables(spec):
        result.setdefault(flag.name, (path, variable.name))
    return result


def value(spec: claim.Spec, name: str) -> str | None:
    """Returns what a flag is given, or else its variable; None where neither says anything."""
    own = line(spec)
    if own.sets(name):
        return own.value(name)
    return next((one.value for _, one, flag in variables(spec) if flag.name == name), None)


def whole(spec: claim.Spec, name: str) -> int | None:
    """Returns the whole number that a flag or its variable is given, or None for no such one."""
    text = value(spec, name)
    if text is None or flags.wrong(flags.TABLE[name], text) is not None:
        return None
    return int(text)


def overruled(spec: claim.Spec, ours: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yields each variable that the program does not read: its field, and why.

    Args:
        spec: What the author asks for.
        ours: What the composition gives flags that authors may set too.
    """
    own = places(spec)
    for path, variable, flag in variables(spec):
        where, written = own[flag.name]
        if flag.kind is judgements.Kind.MANAGED:
            continue
        if written != variable.name:
            words = f"{where} has {written}, and a flag wins over its variable: keep one"
            yield path, f"{variable.name} is not read: {words}"
        elif flag.name in ours and ours[flag.name] != variable.value:
            yield path, f"{variable.name} is not read: {_ours(variable, flag, ours[flag.name])}"


def _ours(variable: claim_pod.EnvVar, flag: flags.Flag, given: str) -> str:
    """Returns what wins over a variable, and what to write in its place."""
    setter, way = "the composition", f"write --{flag.name} in spec.engineArgs"
    if flag.name == "dtype":
        setter, way = "spec.model.dtype", "keep one"
    elif variable.value is not None and flags.wrong_variable(flag, variable.value) is None:
        way = f"write --{flag.name}={variable.value} in spec.engineArgs"
    return f"{setter} sets --{flag.name}={given}, and a flag wins over its variable: {way}"
