"""Every rule that a claim can break, and what a planned claim breaks."""

from collections.abc import Mapping

from function.api import claim, settings
from function.cluster import checkpoints
from function.engines import adviser, advisers, engines
from function.findings import canaries, costs, foresight, reachability, refusals, rules
from function.planning import plans

RULES: Mapping[str, rules.Rule] = {
    rule.name: rule
    for rule in (
        *refusals.RULES,
        *foresight.RULES,
        *(rule for one in advisers.ADVISERS.values() for rule in one.RULES),
        *reachability.RULES,
        *canaries.RULES,
        *costs.RULES,
    )
}
# An argument that an engine takes for no flag, whatever else is said of it.
NO_FLAG = tuple(rule for one in advisers.ADVISERS.values() for rule in one.NO_FLAG)
# What a refusal of the same argument says too.
NAMED = tuple(rule for one in advisers.ADVISERS.values() for rule in one.NAMED)


def judge(
    plan: plans.Plan, adapters: Mapping[str, adviser.Adapter] | None = None
) -> list[rules.Finding]:
    """Returns what a planned claim breaks of its engine's rules; nothing without such rules.

    What becomes of its GPUs is `foresight.judge`.

    Args:
        plan: The claim, planned.
        adapters: What is known of adapters, by the name of their entry in `spec.loraAdapters`.
    """
    return list(advisers.of(plan.engine).judge(plan, adapters or {}))


def adapters(plan: plans.Plan, facts: checkpoints.Facts) -> dict[str, adviser.Adapter]:
    """Returns what was read in the files of the adapters that lie on the volume, by name."""
    known = {}
    for adapter in plan.storage.adapters:
        read = facts.checkpoint(plan.storage.recorded(adapter))
        if read.base is not None or read.rank is not None:
            known[adapter.name] = adviser.Adapter(read.base, read.rank)
    return known


def of_arguments(spec: claim.Spec, site: settings.Settings) -> list[rules.Finding]:
    """Returns what is wrong with the author's own arguments, for a claim that has no plan."""
    return list(advisers.of(engines.chosen(spec)).judge_arguments(spec, site))


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
