"""The seam to workloads: what everything else may ask of the object that keeps the pods.

Nothing outside a workload's file knows its kind. A workload is a module that has what `Workload`
names; `table.py` lists them.
"""

import dataclasses
from typing import Any, Protocol

from function.cluster import observed
from function.planning import identity, scaling


@dataclasses.dataclass(frozen=True)
class State:
    """An observed workload, in the numbers that decide something.

    Attributes:
        wanted: Replicas that somebody asks for now.
        available: Replicas that have been ready for long enough, of any generation.
        settled: True when the controller has read the newest spec and all pods that exist follow
            it; how many exist is another matter.
        stuck: The controller's message when it gave the rollout up, else None.
        ran: True when the rollout was complete once, so that a pod was ready.
        ending: Pods that were deleted and have not ended: a gateway may still ask them. Zero where
            nobody counts them.
    """

    wanted: int
    available: int
    settled: bool
    stuck: str | None
    ran: bool
    ending: int = 0

    @property
    def serves(self) -> bool:
        """Tells whether anybody can be answered.

        Not the condition Available: that is true at zero replicas and in some rollouts.
        """
        return self.available >= 1


@dataclasses.dataclass(frozen=True)
class Series:
    """Series of kube-state-metrics about a workload, without label matchers.

    Attributes:
        available: Replicas that are available.
        wanted: Replicas that are asked for.
        label: The label that names the workload.
    """

    available: str
    wanted: str
    label: str

    def matchers(self, who: identity.Identity, name: str) -> str:
        """Returns the label matchers of the claim's workload of that name."""
        return f'{{namespace="{who.namespace}",{self.label}="{name}"}}'


@dataclasses.dataclass(frozen=True)
class Members:
    """The pods of one replica.

    Attributes:
        pods: How many.
        topology: Label of nodes of which all pods of a replica have one value, and no other replica
            has it; None where they lie anywhere.
    """

    pods: int = 1
    topology: str | None = None


class Workload(Protocol):
    """A workload.

    Attributes:
        GROUP: API group of its objects.
        VERSION: Version of that group.
        KIND: Kind of its objects.
        PLURAL: The resource, as roles name it.
        OPTIONAL: True when a cluster may lack the kind.
        READY_WHEN: When an object is ready, in words.
        SUFFIX: End of its key, and its name in spec.patches.
        OBJECT_NAME: Its name, for docs, N being the claim's.
        WHEN: When a claim has it, for docs.
        PATCHABLE: Whether spec.patches reaches it.
        TEMPLATE: Where its pod template lies, as people write a path.
        SERIES: What kube-state-metrics tells of it.
    """

    GROUP: str
    VERSION: str
    KIND: str
    PLURAL: str
    OPTIONAL: bool
    READY_WHEN: str
    SUFFIX: str
    OBJECT_NAME: str
    WHEN: str
    PATCHABLE: bool
    TEMPLATE: str
    SERIES: Series

    def name(self, who: identity.Identity) -> str:
        """Returns the name of the claim's object."""

    def manifest(
        self,
        who: identity.Identity,
        template: identity.Manifest,
        *,
        replacement: scaling.Replacement,
        deadline_seconds: int,
        replicas: int | None,
        annotations: dict[str, str],
        labels: dict[str, str],
        members: Members,
    ) -> identity.Manifest:
        """Returns the workload around a pod template, held or newly rendered.

        Args:
            who: The claim.
            template: The pod template to run.
            replacement: How pods follow a new template.
            deadline_seconds: After which a rollout has failed.
            replicas: Emitted only where no scaler owns the field: core applies with force and
                would fight it.
            annotations: What is remembered on the object, not on its pods.
            labels: Of the object alone, beside those that all objects carry.
            members: The pods of one replica.
        """

    def holds(self, item: observed.Object) -> bool:
        """Tells whether an object, observed or composed, is one that keeps a claim's engines."""

    def template(self, manifest: observed.Object | None) -> Any:
        """Returns the pod template of a workload, observed or composed, or None."""

    def with_template(
        self, manifest: identity.Manifest, template: identity.Manifest
    ) -> identity.Manifest:
        """Returns the workload with another pod template."""

    def without_templates(self, manifest: observed.Object) -> dict[str, Any]:
        """Returns what the workload says of itself, and nothing of its pods."""

    def all_at_once(self, manifest: observed.Object) -> bool:
        """Tells whether a new template ends all pods before the first new one starts."""

    def state(self, resource: observed.Object | None) -> State | None:
        """Returns the observed workload's numbers, or None when there is none."""

    def scaled_by_others(self, resource: observed.Object) -> bool:
        """Tells whether a manager beside Crossplane owns the replica count."""

    def pod_names(self, name: str) -> str:
        """Returns the regular expression that matches the names of the pods that serve.

        Args:
            name: The name of the claim's object.
        """
