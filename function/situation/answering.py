"""Which models the pods of a claim may answer with: several while they change to another one.

A claim changes before its pods do, and an edit may come while they still follow the one before. So
this follows from the facts of the templates that pods have (`planning.running`), and never from
what the claim asks for by now.
"""

from function.api import status
from function.cluster import memory
from function.planning import plans
from function.situation import bases, rollouts


def models(
    plan: plans.Plan, rollout: rollouts.Rollout, remembered: memory.Memory
) -> tuple[str, ...]:
    """Returns the models, that of the newest template last; none where nobody knows.

    Only pods that all have one template, while none ends, forget a model.

    Args:
        plan: The plan: where nothing ran yet, pods will have its model.
        rollout: Which template runs.
        remembered: What the claim's status remembers.
    """
    # Before anything served, the status tells what was asked for.
    before = () if remembered.serving is None else remembered.repositories
    if rollout.template is None:
        return (plan.storage.base.model,) if remembered.serving is None else before
    newest = rollout.running.model or bases.proved(plan, rollout.template, remembered.records)
    state = rollout.state
    if not newest or (rollout.followed and state is not None and not state.ending):
        return (newest,) if newest else ()
    if rollout.last is not None:
        last = rollout.last
        former = last.facts.model or bases.proved(plan, last.template, remembered.records)
        if not former:
            return ()
        # It tells of every pod that exists where all of them follow it.
        if before or (state is not None and state.settled and not state.ending):
            before = (*(model for model in before if model != former), former)
    ran = state is not None and (state.serves or state.ran)
    if not before and (ran or remembered.serving is not None):
        return ()
    others = [model for model in before if model != newest]
    return (*others[: status.MOST_MODELS - 1], newest)
