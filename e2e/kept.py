"""What a cluster of 0.9.0 had before a take-over, and keeps."""

from __future__ import annotations

from e2e.controlplane import api
from e2e.takeover import OldCluster

# A raw rule that needs no more than the permission for raw rules.
PROXY = {"fromEndpoints": [{"matchLabels": {"app": "proxy"}}]}
# Ends of the keys of what serves.
SUFFIXES = ("deployment", "service")


class Before:
    """The objects that ran under 0.9.0, to compare later objects with."""

    def __init__(self, cluster: OldCluster) -> None:
        """Note what is there now."""
        self._cluster = cluster
        self.mark = cluster.plane.api.audit.mark()
        self.objects = {name: claim.composed() for name, claim in cluster.claims.items()}

    def uid(self, name: str, suffix: str) -> str:
        """The UID of one of its objects."""
        return str(self.objects[name][f"{name}-{suffix}"]["metadata"]["uid"])

    def assert_kept(self, *names: str) -> None:
        """Nothing that serves was replaced or restarted, and the pods' template is as it was."""
        for name in names:
            now = self._cluster.claims[name].composed()
            for suffix in SUFFIXES:
                assert now[f"{name}-{suffix}"]["metadata"]["uid"] == self.uid(name, suffix)
            key = f"{name}-deployment"
            template = self.objects[name][key]["spec"]["template"]
            assert now[key]["spec"]["template"] == template
        assert not {
            pod
            for pod in self._cluster.tenant.ended_pods(self.mark)
            if pod.startswith(tuple(names))
        }

    def assert_untouched(self, *names: str) -> None:
        """Nothing that was composed is another object, or was written with an effect."""
        for name in names:
            now = self._cluster.claims[name].composed()
            for key, item in self.objects[name].items():
                assert now[key]["metadata"]["uid"] == item["metadata"]["uid"], key
                assert now[key].get("spec") == item.get("spec"), key
        self.assert_kept(*names)

    def replaced(self, *names: str) -> set[tuple[str, str]]:
        """Objects that the guide says are deleted: Jobs, canaries by index, the Jobs' policy."""
        deletions = set()
        for name in names:
            for key, item in self.objects[name].items():
                if item["kind"] == "Job":
                    deletions.add(("jobs", item["metadata"]["name"]))
                if "-canary-" in key:
                    deletions.add(("aiservicebackends", item["metadata"]["name"]))
                if key.endswith("-cilium-netpol-preload"):
                    deletions.add(("ciliumnetworkpolicies", item["metadata"]["name"]))
        return deletions


def engine(deployment: api.Object) -> api.Object:
    """The container of the engine."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container
