"""What Kueue says of pods that it holds, where the settings allow to read pods.

A pod's Workload is found by what the pod carries: for a group the name of the group's Workload, and
for a single pod its own UID (sigs.k8s.io/kueue v0.19.2, pkg/controller/constants/constants.go).
"""

import dataclasses

from function.cluster import observed

API_VERSION, KIND = "kueue.x-k8s.io/v1beta2", "Workload"
# The name under which the Workload of a pod that waits is asked for.
REQUIREMENT = "workload"
GATE = "kueue.x-k8s.io/admission"
_PREBUILT = "kueue.x-k8s.io/prebuilt-workload-name"
_OWNER = "kueue.x-k8s.io/job-uid"
UNTOLD = "Kueue has not admitted the pods yet: they wait for quota"


@dataclasses.dataclass(frozen=True)
class Ticket:
    """Which Workload stands in the queue for a pod.

    Attributes:
        name: Its name, or empty where its labels tell it.
        labels: Labels that it alone carries.
    """

    name: str
    labels: dict[str, str]


def held(pod: observed.Object) -> bool:
    """Tells whether Kueue keeps a pod from being scheduled."""
    gates = observed.items(pod, "spec", "schedulingGates")
    return any(observed.at(gate, "name") == GATE for gate in gates)


def ticket(pod: observed.Object) -> Ticket:
    """Returns which Workload stands in the queue for a pod."""
    for place in ("labels", "annotations"):  # a name that is too long for a label is no label
        name = observed.at(pod, "metadata", place, _PREBUILT)
        if isinstance(name, str):
            return Ticket(name, {})
    return Ticket("", {_OWNER: str(observed.at(pod, "metadata", "uid"))})


def words(world: observed.Observed) -> str:
    """Returns what a replica waits for: quota, or a check after it."""
    for item in world.required.get(REQUIREMENT, ()):
        for kind in ("QuotaReserved", "Admitted"):
            condition = observed.status_condition(item, kind)
            if condition is not None and condition.status != "True" and condition.message:
                return condition.message
    return UNTOLD
