"""Every rule that a claim can break, and what a planned claim breaks."""

from collections.abc import Mapping

from function.api import claim, settings
from function.cluster import checkpoints
from function.engines import engines
from function.engines.vllm import arguments, contract, contradictions, server, serving
from function.findings import foresight, reachability, refusals, rules
from function.planning import plans

RULES: Mapping[str, rules.Rule] = {
    rule.name: rule
    for rule in (
        *refusals.RULES,
        *foresight.RULES,
        *contract.RULES,
        *contradictions.RULES,
        *reachability.RULES,
    )
}


def judge(
    plan: plans.Plan, adapters: Mapping[str, contradictions.Adapter] | None = None
) -> list[rules.Finding]:
    """Returns what a planned claim breaks of the engine's rules; nothing without such rules.

    What becomes of its GPUs is `foresight.judge`.

    Args:
        plan: The claim, planned.
        adapters: What is known of adapters, by the name of their entry in `spec.loraAdapters`.
    """
    planned, spec = plan.serving, plan.spec
    if not isinstance(planned, serving.Serving):
        return []
    line = arguments.serve(plan, planned)
    subject = contradictions.Subject(
        spec, planned.version, planned.outlook.prospect.model, adapters or {}
    )
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


def adapters(plan: plans.Plan, facts: checkpoints.Facts) -> dict[str, contradictions.Adapter]:
    """Returns what was read in the files of the adapters that lie on the volume, by name."""
    known = {}
    for adapter in plan.storage.adapters:
        read = facts.checkpoint(plan.storage.recorded(adapter))
        if read.base is not None or read.rank is not None:
            known[adapter.name] = contradictions.Adapter(read.base, read.rank)
    return known


def of_arguments(spec: claim.Spec, site: settings.Settings) -> list[rules.Finding]:
    """Returns what is wrong with the author's own arguments, for a claim that has no plan."""
    if engines.chosen(spec) is not engines.ENGINES[server.NAME]:
        return []
    _, version = serving.image_of(spec, site)
    return contract.judge(spec.engine_args or [], version)


def page() -> str:
    """Returns docs/findings.md."""
    return _HEAD + "".join(_section(rule) for rule in RULES.values())


_HEAD = """<!-- Generated from function/findings by `make generate`; edits here are lost. -->

# Findings

What stops a claim or its engine, or makes it do other things than the author thinks, before a GPU
is rented: what [`inference-service check`](command-line.md#check) prints. An **error** means that
the claim cannot serve as it stands. A **warning** means that it may. A **note** is worth knowing.
A finding refuses nothing by itself: a claim that is stored stays rendered.

Flags and their values are judged by the parser of the claim's version of vLLM, as recorded from
vLLM itself. For a version between two recorded ones, a finding is what both refuse, and a warning.
Rules about the model need its facts. Without facts they are silent, or say what the name tells.
"""


def _section(rule: rules.Rule) -> str:
    return f"""
## {rule.name}

**{rule.severity}.** {rule.what}

Why: {rule.why}

What to do: {rule.remedy}
"""
