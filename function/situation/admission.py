"""What Kueue's webhooks would refuse of a workload that is there: said before it is applied.

Core would apply nothing else of the claim's changes in one piece, and tell a webhook's words.
"""

from function.api import base
from function.cluster import observed
from function.planning import plans, queues


def check(plan: plans.Plan, world: observed.Observed) -> None:
    """Checks that queue and priority may become what the claim says.

    Raises:
        base.InvalidError: They may not while the workload is there, or while it has ready pods.
    """
    keeper = world.get(plan.workload.SUFFIX)
    if keeper is None or plan.site.providers.queue == "none":
        return
    wanted = queues.labels(plan.spec)
    runs = observed.number(observed.at(keeper, "status", "readyReplicas")) > 0
    problems = []
    for label, field in ((queues.QUEUE, "queue"), (queues.PRIORITY, "priorityClass")):
        old, new = observed.at(keeper, "metadata", "labels", label), wanted.get(label)
        if old == new:
            continue
        path = f"spec.scheduling.{field}"
        if new is None:
            words = (
                f"Kueue takes no {plan.workload.KIND} out of {old!r}: put it back, or delete the"
                " claim and apply it without"
            )
            problems.append(base.Problem(path, words))
        elif runs and (old is None or label == queues.QUEUE):
            words = (
                f"was {old!r}" if old is not None else "was absent"
            ) + " when the replicas that run were admitted: take the change back, suspend the"
            words += " claim (spec.suspend), and make the change once no replica runs"
            problems.append(base.Problem(path, words))
    if problems:
        raise base.InvalidError("claim", problems)
