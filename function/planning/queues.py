"""The queue in which a claim's replicas wait for quota: Kueue's labels on what keeps the pods.

Kueue's webhooks put the labels on the pods, and hold each of them with a scheduling gate until its
quota is reserved (read in sigs.k8s.io/kueue v0.19.2). The pod template stays ours: neither a queue
nor a change of one is in it.
"""

from function.api import base, claim

QUEUE = "kueue.x-k8s.io/queue-name"
PRIORITY = "kueue.x-k8s.io/priority-class"


def labels(spec: claim.Spec) -> dict[str, str]:
    """Returns the labels of the claim's workload that name queue and priority; none without one."""
    asked = {
        QUEUE: base.of(spec.scheduling, "queue"),
        PRIORITY: base.of(spec.scheduling, "priority_class"),
    }
    return {label: name for label, name in asked.items() if name is not None}
