"""Which models the pods of a claim may answer with: several while they change to another one.

A claim changes before its pods do, and an edit may come while they still follow the one before. So
this follows from the facts of the templates that pods have (`planning.running`), and never from
what the claim asks for by now.
"""

from function.api import status
from function.cluster import memory
from function.planning import plans
from function.situation import rollouts


def models(
    plan: plans.Plan, rollout: rollouts.Rollout, remembered: memory.Memory
) -> tuple[str, ...]:
    """Returns the models, that of the newest template last; none where nobody knows.

    Args:
        plan: The plan: where nothing runs, pods will have its model.
        rollout: Which template runs.
        remembered: What the claim's status remembers.
    """
    if rollout.template is None:
        return (plan.storage.base.model,)
    serving = (remembered.serving or {}).get("repository")
    before = remembered.repositories or (() if serving is None else (serving,))
    newest = rollout.running.model
    if not newest:
        return before  # its template is of a release that knew no such fact
    state = rollout.state
    if state is None or (rollout.followed and not state.ending):
        return (newest,)
    others = [model for model in before if model != newest]
    return (*others[: status.MOST_MODELS - 1], newest)
