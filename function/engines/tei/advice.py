"""text-embeddings-inference as an `Adviser`: what it refuses of a claim, and what goes unsaid."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from function import canonical, likeness
from function.api import claim, settings
from function.capacity import allotments, facts
from function.engines import adviser, engine, judgements, semver
from function.engines.tei import authored, command_line, flags, models, remarks, serving
from function.findings import rules

_ENDS = "The program ends before it loads anything, and its pod restarts for ever."
FLAG_UNKNOWN = rules.Rule(
    "tei-flag-unknown",
    rules.Severity.ERROR,
    "An engine argument is no flag of text-embeddings-inference.",
    _ENDS,
    "Correct the flag: the message names the nearest one. The program knows no abbreviation, no"
    " other case and no underscore.",
)
FLAG_VALUE = rules.Rule(
    "tei-flag-value",
    rules.Severity.ERROR,
    "An engine argument, or a variable that stands for one, has a value that its flag of"
    " text-embeddings-inference cannot read.",
    _ENDS,
    "Give the flag a value of its type: the message says which.",
)
FLAG_REPEATED = rules.Rule(
    "tei-flag-repeated",
    rules.Severity.ERROR,
    "A flag of text-embeddings-inference stands twice, or two that exclude each other do, as flags"
    " or as variables.",
    _ENDS,
    "Keep one.",
)
MODEL_NOT_SERVED = rules.Rule(
    "tei-model-not-served",
    rules.Severity.ERROR,
    "text-embeddings-inference does not compute the model's architecture, or not without a GPU.",
    "The program ends once it has read the model's configuration. Where the claim does not get the"
    " model from the hub, ONNX files of it may be there, and the finding is a warning.",
    "Name `spec.gpu`, or serve the model by `engine.kind: vllm`.",
)
MODEL_UNREAD = rules.Rule(
    "tei-model-unread",
    rules.Severity.ERROR,
    "No release of text-embeddings-inference so far reads the files of the model.",
    "The program ends once it has read the model's configuration. Where only later commits of the"
    " repository are so, a revision other than `main` is a warning: nobody knows how old it is.",
    "Do what the message names.",
)
MODEL_DTYPE = rules.Rule(
    "tei-model-dtype",
    rules.Severity.ERROR,
    "text-embeddings-inference does not compute the model in the type that it gets: that of"
    " `spec.model.dtype` or `--dtype`, else float32 on CPUs and float16 on GPUs.",
    "The program ends once it has read the model's configuration.",
    "Set `spec.model.dtype` as the message says.",
)
MODEL_GENERATES = rules.Rule(
    "tei-model-generates",
    rules.Severity.WARNING,
    "The model is made to generate text, and text-embeddings-inference makes vectors.",
    "The program ends where the model says no pooling, or makes vectors that mean little.",
    "Name a model that is made for embeddings, or `--pooling` where its makers say which.",
)
TEXTS_CUT = rules.Rule(
    "tei-texts-cut",
    rules.Severity.ERROR,
    "A batch of text-embeddings-inference has room for fewer tokens than the model's longest text.",
    "Longer texts are cut without a word, which is worth a note. With `--auto-truncate=false` the"
    " program ends instead, which is an error.",
    "Set `--max-batch-tokens` in `spec.engineArgs` to the model's context. On CPUs raise"
    " `spec.resources.limits.memory` to the amount in the message, or name `spec.gpu`. Do nothing"
    " where longer texts may be cut.",
)
MEMORY = rules.Rule(
    "tei-memory",
    rules.Severity.WARNING,
    "On CPUs text-embeddings-inference takes more memory than `spec.resources.limits.memory`, or"
    " than common nodes have.",
    "The program computes one text when it starts, as long as the model's context or"
    " `--max-batch-tokens`, whichever is shorter, and holds the attention of a whole layer. Above"
    " its limit the container is killed before it is ready, and its pod restarts for ever. Where a"
    " batch has room for several texts, that batch may kill it. Without a node that has the memory,"
    " the pod stays Pending.",
    "Raise `spec.resources.limits.memory` or leave it out, or set a smaller `--max-batch-tokens` in"
    " `spec.engineArgs` without `--auto-truncate=false`: longer texts are cut.",
)
RULES: tuple[rules.Rule, ...] = (
    FLAG_UNKNOWN,
    FLAG_VALUE,
    FLAG_REPEATED,
    MODEL_NOT_SERVED,
    MODEL_UNREAD,
    MODEL_DTYPE,
    MODEL_GENERATES,
    TEXTS_CUT,
    MEMORY,
)
NO_FLAG: tuple[rules.Rule, ...] = (FLAG_UNKNOWN,)
NAMED: tuple[rules.Rule, ...] = ()
CONTEXT_WINDOW: int = allotments.SHORTEST_CONTEXT
MAX_REQUESTS: int = allotments.LEAST_SEQUENCES


def judge(plan: engine.Planned, adapters: Mapping[str, adviser.Adapter]) -> Iterator[rules.Finding]:
    """Yields what a planned claim breaks of the program, and what contradicts its model."""
    del adapters
    yield from judge_arguments(plan.spec, plan.site)
    yield from _unread(plan)
    yield from _model(plan)
    yield from _memory(plan)


def judge_arguments(spec: claim.Spec, site: settings.Settings) -> Iterator[rules.Finding]:
    """Yields what the program refuses of the author's own arguments and variables."""
    version = semver.show(serving.version_of(spec, site))
    seen: dict[str, int] = {}
    for argument in serving.own(spec).arguments:
        path, flag = f"spec.engineArgs[{argument.index}]", argument.flag
        if flag is None:
            hint = likeness.hint(argument.name, flags.TABLE, "--")
            words = f"--{argument.name} is no flag of text-embeddings-inference {version}{hint}"
            yield FLAG_UNKNOWN.broken(path, words)
            continue
        wrong = flags.wrong(flag, argument.value)
        if wrong is not None:
            yield FLAG_VALUE.broken(path, f"--{flag.name} {wrong}")
        if flag.name in seen and not flag.repeats:
            words = f"--{flag.name} stands in spec.engineArgs[{seen[flag.name]}] too: keep one"
            yield FLAG_REPEATED.broken(path, words)
        seen.setdefault(flag.name, argument.index)
    yield from _exclusive(spec)
    yield from _variables(spec)


def _exclusive(spec: claim.Spec) -> Iterator[rules.Finding]:
    """Yields the later of two that exclude each other, as flags or as variables."""
    places = authored.places(spec)
    for pair in flags.EXCLUSIVE:
        if all(name in places for name in pair):
            order = {name: place for place, name in enumerate(places)}
            earlier, later = sorted(pair, key=order.__getitem__)
            words = f"{places[earlier][1]} and {places[later][1]} exclude each other: keep one"
            yield FLAG_REPEATED.broken(places[later][0], words)


def _variables(spec: claim.Spec) -> Iterator[rules.Finding]:
    """Yields variables that the program cannot read: it passes over one whose flag is given."""
    own = serving.own(spec)
    for path, variable, flag in authored.variables(spec):
        if own.sets(flag.name) or variable.value is None:
            continue
        wrong = flags.wrong_variable(flag, variable.value)
        if wrong is not None:
            yield FLAG_VALUE.broken(path, f"{variable.name} {wrong}")


def _unread(plan: engine.Planned) -> Iterator[rules.Finding]:
    model, version = plan.spec.model, serving.of(plan.serving).version
    unread = models.unread(model.repository, version) if model.repository is not None else None
    if unread is None:
        return
    words = f"{model.repository} {unread.why}: {unread.way}"
    severity = None
    if unread.since is not None:
        words = f"since {unread.since} {words}"
        severity = None if model.revision in (None, "main") else rules.Severity.WARNING
    yield MODEL_UNREAD.broken(f"spec.model.{model.naming}", words, severity)


def _model(plan: engine.Planned) -> Iterator[rules.Finding]:
    spec, planned = plan.spec, serving.of(plan.serving)
    model = planned.model
    if model is None:
        return
    field = f"spec.model.{spec.model.naming}"
    family = models.family(model.architecture)
    not_here = _not_computed(plan, family)
    if not_here is not None:
        words = f"{model.name} is a {model.architecture}, which tei {not_here}"
        hub = planned.from_hub
        yield MODEL_NOT_SERVED.broken(field, words, None if hub else rules.Severity.WARNING)
    elif family is not None and planned.computes_in in _other_types(family):
        written = serving.own(spec).sets("dtype")
        (right,) = family.dtypes
        way = f"set spec.model.dtype to {serving.WORDS[right]}"
        way = f"write --dtype={right}" if written else way
        words = f"tei computes {model.name} in {right} alone, and gets {planned.computes_in}: {way}"
        yield MODEL_DTYPE.broken("spec.engineArgs" if written else "spec.model.dtype", words)
    elif model.runner is not facts.Runner.POOLING and not serving.own(spec).sets("pooling"):
        words = f"{model.name} is made to generate text, and tei makes vectors of texts"
        yield MODEL_GENERATES.broken(field, words)
    cut = remarks.cut(plan)
    if cut is not None:
        severity = None if remarks.uncut(plan) else rules.Severity.NOTE
        yield TEXTS_CUT.broken("spec.engineArgs", cut, severity)


def _memory(plan: engine.Planned) -> Iterator[rules.Finding]:
    """Yields memory that the limit or common nodes lack, with the texts that they have room for."""
    field = "spec.resources.limits.memory"
    for words in (remarks.below(plan), remarks.pending(plan)):
        if words is not None:
            yield MEMORY.broken(field, words)


def _other_types(family: models.Family) -> set[str]:
    """Returns the engine's types that a family is not computed in; a flag may name none at all."""
    return set(serving.WORDS) - set(family.dtypes)


def _not_computed(plan: engine.Planned, family: models.Family | None) -> str | None:
    """Returns why a family is not computed on what a replica has, with the way out, or None."""
    planned = serving.of(plan.serving)
    if family is None:
        return "does not compute: take engine.kind vllm"
    if planned.model is not None and planned.model.scores and not family.ranks:
        return "computes, but neither to rank nor to classify: take engine.kind vllm"
    if planned.threads:
        return None if family.on_cpu else "without a GPU does not compute: name spec.gpu"
    if not models.lacks(family, planned.card):
        return None
    least = ".".join(map(str, family.capability or ()))
    return (
        f"computes on GPUs of compute capability {least} or newer: name another spec.gpu.class, or"
        " take engine.kind vllm"
    )


def stretched(spec: claim.Spec) -> None:
    """Returns that no argument makes a context window."""
    del spec


def fits(*_: Any, **__: Any) -> None:
    """Returns that nobody knows whether a model fits."""


def instead(argument: str) -> str | None:
    """Returns what sets a managed flag, or None for another one."""
    flag = command_line.CommandLine.read([argument]).arguments[0].flag
    if flag is None or flag.kind is not judgements.Kind.MANAGED:
        return None
    return f"--{flag.name} is set by the composition: {flag.why}"


def in_force(planned: engine.Serving) -> dict[str, Any]:
    """Returns the values of the fields about which the engine's plan decides."""
    own = serving.of(planned)
    return {
        "spec.engine.image": own.image,
        "spec.engine.kind": "tei",
        "spec.engine.version": own.release,
        "spec.model.dtype": own.dtype,
        "spec.model.maxNumSeqs": own.max_requests,
        "spec.model.runner": "pooling",
    }


def comparable(container: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a container with its arguments in one order."""
    result: dict[str, Any] = canonical.plain(container)
    result["args"] = sorted(str(token) for token in container.get("args") or [])
    return result


def steps() -> Iterable[Any]:
    """Returns nothing: no claim of 0.9.0 has this engine."""
    return ()
