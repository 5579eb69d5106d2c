"""vLLM as an `Adviser`: what it refuses of a claim, and what fields and arguments mean."""

from collections.abc import Mapping
from typing import Any

from function import canonical
from function.api import claim, settings
from function.capacity import arrangements, cards, facts, fit
from function.engines import adviser, engine
from function.engines.vllm import (
    arguments,
    command_line,
    contract,
    contradictions,
    forecast,
    managed,
    rewriting,
    server,
    serving,
    sizing,
    subjects,
)
from function.findings import rules

RULES: tuple[rules.Rule, ...] = (*contract.RULES, *contradictions.RULES)
NO_FLAG: tuple[rules.Rule, ...] = contract.NO_FLAG
NAMED: tuple[rules.Rule, ...] = (contract.ABBREVIATED_FLAG,)
CONTEXT_WINDOW: int = sizing.CONTEXT_WINDOW
MAX_REQUESTS: int = sizing.MAX_NUM_SEQS

# What the engine does without the argument too.
_DEFAULTS = (["tensor-parallel-size", "1"],)


def judge(plan: engine.Planned, adapters: Mapping[str, adviser.Adapter]) -> list[rules.Finding]:
    """Returns what a planned claim breaks of the parser, and what contradicts its model."""
    planned, spec = serving.of(plan.serving), plan.spec
    line = arguments.serve(plan, planned)
    model = planned.outlook.prospect.model
    subject = subjects.Subject(spec, planned.version, model, adapters)
    refused = contract.of_claim(line, len(spec.engine_args or []), planned.version)
    # A parser that the engine does not have is of no family.
    misspelt = {one.field for one in refused if one.rule is contract.UNKNOWN_NAME}
    return [
        *refused,
        *(
            one
            for one in contradictions.judge(subject)
            if not (one.rule is contradictions.OTHER_PARSER and one.field in misspelt)
        ),
    ]


def judge_arguments(spec: claim.Spec, site: settings.Settings) -> list[rules.Finding]:
    """Returns what the parser refuses of the author's own arguments."""
    _, version = serving.image_of(spec, site)
    return contract.judge(spec.engine_args or [], version)


def stretched(spec: claim.Spec) -> adviser.Stretch | None:
    """Returns the context window of a yarn that the author's own arguments state whole."""
    tokens = forecast.stretched(serving.own(spec))
    return None if tokens is None else adviser.Stretch(tokens, "the yarn of --hf-overrides")


def fits(
    model: facts.Facts, card: cards.Card, setup: adviser.Setup, site: settings.Settings
) -> fit.Fit | None:
    """Returns whether a model fits with the share of the GPUs' memory that follows."""
    arrangement = arrangements.Arrangement(
        version=site.engine.version.removeprefix("v"),
        context=setup.context,
        sequences=setup.sequences,
        utilization=float(sizing.utilization(setup.sequences)),
        quantization=setup.quantization,
        tensor=setup.gpus,
    )
    return forecast.answer(model, card, arrangement)


def instead(argument: str) -> str | None:
    """Returns what sets a managed flag, or None for another one."""
    flag = managed.of(argument)
    if flag is None:
        return None
    return f"--{flag} is set by the composition in every spelling: {managed.INSTEAD[flag]}"


def in_force(planned: engine.Serving) -> dict[str, Any]:
    """Returns the values of the fields about which vLLM's plan decides."""
    own = serving.of(planned)
    return {
        "spec.engine.image": own.image,
        "spec.engine.version": own.release,
        "spec.gpu.memoryUtilization": own.utilization,
        "spec.model.contextWindow": own.context_window,
        "spec.model.longestQueueSeconds": own.max_in_flight,
        "spec.model.maxNumSeqs": own.max_num_seqs,
        "spec.model.reasoningParser": own.reasoning_parser,
        "spec.model.runner": own.runner,
        "spec.model.toolCallParser": own.tool_parser,
    }


def comparable(container: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a container with its arguments in one order, and its cache without its own name."""
    command = command_line.CommandLine.read(list(container.get("args") or []))
    options = sorted([argument.name, *argument.values] for argument in command.arguments)
    result: dict[str, Any] = canonical.plain(container)
    result["args"] = [list(command.positional), *(one for one in options if one not in _DEFAULTS)]
    for variable in result.get("env") or []:
        if variable["name"] == server.CACHE_VARIABLE:
            # The directory is named by a hash of image, class and arguments.
            variable["value"] = variable["value"].rpartition("/")[0]
    return result


steps = rewriting.steps
