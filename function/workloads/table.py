"""The workloads that there are."""

from function.api import claim
from function.workloads import deployment, workload

WORKLOADS: dict[str, workload.Workload] = {deployment.SUFFIX: deployment}

DEFAULT = deployment.SUFFIX


def chosen(spec: claim.Spec) -> workload.Workload:
    """Returns the workload that keeps the pods of a claim."""
    del spec  # one workload so far: a claim has no word for it
    return WORKLOADS[DEFAULT]
