"""One kind of workload takes the place of another only when nothing runs.

A replica of one pod is kept by a Deployment, one of several by a LeaderWorkerSet. Core would delete
the first in the very reconcile in which it creates the second, while the second still waits for
GPUs and weights: nobody would be served. So the claim is suspended first.
"""

from function.api import base
from function.cluster import observed
from function.planning import plans
from function.workloads import workloads


def check(plan: plans.Plan, world: observed.Observed) -> None:
    """Checks that no other workload of the claim has pods.

    Raises:
        base.InvalidError: Another one has.
    """
    for former in workloads.WORKLOADS.values():
        if former is plan.workload:
            continue
        state = former.state(world.get(former.SUFFIX))
        if state is not None and (state.wanted > 0 or state.available > 0):
            words = (
                f"the replicas that run are kept by a {former.KIND}, and these would be kept by a"
                f" {plan.workload.KIND}: take the change back, suspend the claim (spec.suspend),"
                " and make the change once no replica runs"
            )
            problem = base.Problem("spec.gpu.parallelism", words)
            raise base.InvalidError("claim", [problem])
