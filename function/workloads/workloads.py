"""The workloads that there are."""

from function.api import claim
from function.cluster import observed
from function.planning import parallelism
from function.workloads import deployment, leaderworkerset, workload

DEFAULT = deployment.SUFFIX
GROUPS = leaderworkerset.SUFFIX

WORKLOADS: dict[str, workload.Workload] = {DEFAULT: deployment, GROUPS: leaderworkerset}


def chosen(spec: claim.Spec) -> workload.Workload:
    """Returns the workload that keeps the pods of a claim."""
    return WORKLOADS[GROUPS if parallelism.split(spec).spans else DEFAULT]


def of(item: observed.Object) -> workload.Workload | None:
    """Returns the workload that an object is, or None for an object that keeps no engines."""
    return next((one for one in WORKLOADS.values() if one.holds(item)), None)
