"""A workload of a few lines, as unlike a Deployment as a LeaderWorkerSet is.

A replica is a group of pods, of which the leader serves: its template lies deeper, and its status
has other names.
"""

from typing import Any

from function import canonical
from function.cluster import observed
from function.planning import identity, scaling
from function.workloads import workload


class Group:
    """The workload."""

    GROUP = "groups.example.com"
    VERSION = "v1"
    KIND = "PodGroup"
    PLURAL = "podgroups"
    OPTIONAL = True
    READY_WHEN = "a group is ready"
    SUFFIX = "group"
    OBJECT_NAME = "N"
    WHEN = "always"
    PATCHABLE = True
    TEMPLATE = "spec.members.leader"
    SERIES = workload.Series("group_ready", "group_wanted", "group")

    def name(self, who: identity.Identity) -> str:
        """Returns the claim's name."""
        return who.name

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
        members: workload.Members,
    ) -> identity.Manifest:
        """Returns a group whose leader has the template."""
        del members
        return {
            "apiVersion": f"{self.GROUP}/{self.VERSION}",
            "kind": self.KIND,
            "metadata": who.metadata(annotations=annotations),
            "spec": canonical.prune(
                {
                    "groups": replicas,
                    "patience": deadline_seconds,
                    "surge": replacement.surge,
                    "members": {"leader": template, "size": 2},
                }
            ),
        }

    def holds(self, item: observed.Object) -> bool:
        """Tells whether an object is a group."""
        return bool(item["kind"] == self.KIND)

    def template(self, manifest: observed.Object | None) -> Any:
        """Returns the leader's template."""
        return observed.at(manifest, "spec", "members", "leader")

    def with_template(
        self, manifest: identity.Manifest, template: identity.Manifest
    ) -> identity.Manifest:
        """Returns the group with another leader."""
        spec = manifest["spec"]
        members = {**spec["members"], "leader": template}
        return {**manifest, "spec": {**spec, "members": members}}

    def without_templates(self, manifest: observed.Object) -> dict[str, Any]:
        """Returns the group without its leader."""
        spec = {k: v for k, v in manifest["spec"].items() if k != "members"}
        return {**manifest, "spec": spec}

    def all_at_once(self, manifest: observed.Object) -> bool:
        """Groups follow one by one."""
        del manifest
        return False

    def state(self, resource: observed.Object | None) -> workload.State | None:
        """Returns the group's numbers."""
        if resource is None:
            return None
        status = observed.at(resource, "status")
        wanted = observed.number(observed.at(resource, "spec", "groups"), 1)
        ready = observed.number(observed.at(status, "ready"))
        return workload.State(wanted, ready, ready == wanted, None, ready > 0)

    def scaled_by_others(self, resource: observed.Object) -> bool:
        """Nobody else scales it."""
        del resource
        return False

    def pod_names(self, name: str) -> str:
        """Returns the pattern of its pods: a group's number, and a member's."""
        return f"{name}-[0-9]+(-[0-9]+)?"
