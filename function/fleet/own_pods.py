"""Pods that a front door keeps beside its Gateway: what is the same for each purpose."""

import dataclasses
from collections.abc import Mapping

from function import canonical, kinds
from function.concerns.observability import watching
from function.fleet import doors
from function.planning import identity
from function.workloads import pods


@dataclasses.dataclass(frozen=True)
class OwnPods:
    """Pods of one purpose.

    Attributes:
        component: The value of their label.
        part: What the names of their objects end with.
        prefix: What the keys of their objects begin with.
    """

    component: str
    part: str
    prefix: str

    def labels(self, door: doors.Door) -> dict[str, str]:
        """Returns the labels of the pods."""
        return door.identity.labels(self.component)

    def metadata(
        self,
        door: doors.Door,
        name: str | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> identity.Manifest:
        """Returns the metadata of an object beside them, of another name or with more labels."""
        return door.identity.metadata(
            name or door.identity.part(self.part), component=self.component, extra=extra
        )

    def deployment(
        self,
        door: doors.Door,
        name: str,
        replicas: int,
        annotations: Mapping[str, str],
        spec: identity.Manifest,
        *,
        surge: int | str = 1,
    ) -> identity.Manifest:
        """Returns the Deployment.

        Args:
            door: The front door.
            name: Its name.
            replicas: How many pods.
            annotations: Those of the pods.
            spec: What `pod` returns.
            surge: How many more pods there are while they are replaced.
        """
        return {
            "apiVersion": kinds.ROUTER_PODS.api_versions[0],
            "kind": kinds.ROUTER_PODS.name,
            "metadata": self.metadata(door, name),
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": self.labels(door)},
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": surge, "maxUnavailable": 0},
                },
                "template": {
                    "metadata": {
                        "labels": self.labels(door),
                        "annotations": dict(annotations),
                    },
                    "spec": spec,
                },
            },
        }

    def pod(
        self,
        door: doors.Door,
        user: int,
        grace: int,
        containers: list[identity.Manifest],
        volumes: list[identity.Manifest],
    ) -> identity.Manifest:
        """Returns the specification of a pod.

        Args:
            door: The front door.
            user: As whom it runs.
            grace: Seconds that it has to end.
            containers: Its containers.
            volumes: Its volumes.
        """
        return canonical.prune(
            {
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "imagePullSecrets": pods.image_pull_secrets(door.site),
                "terminationGracePeriodSeconds": grace,
                "securityContext": pods.unprivileged(user),
                "topologySpreadConstraints": [
                    {
                        "maxSkew": 1,
                        "topologyKey": "kubernetes.io/hostname",
                        "whenUnsatisfiable": "ScheduleAnyway",
                        "labelSelector": {"matchLabels": self.labels(door)},
                    }
                ],
                "containers": containers,
                "volumes": volumes,
            }
        )

    def budget(self, door: doors.Door) -> identity.Manifest:
        """Returns the PodDisruptionBudget."""
        return {
            "apiVersion": kinds.BUDGET.api_versions[0],
            "kind": kinds.BUDGET.name,
            "metadata": self.metadata(door),
            "spec": {
                "maxUnavailable": 1,
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
                "selector": {"matchLabels": self.labels(door)},
            },
        }

    def service(self, door: doors.Door, name: str, ports: Mapping[str, int]) -> identity.Manifest:
        """Returns the Service, with the ports of the pods by name."""
        return {
            "apiVersion": "v1",
            "kind": kinds.SERVICE.name,
            "metadata": self.metadata(door, name),
            "spec": {
                "type": "ClusterIP",
                "selector": self.labels(door),
                "ports": [
                    {"name": port, "port": number, "targetPort": number, "protocol": "TCP"}
                    for port, number in ports.items()
                ],
            },
        }

    def scrape(self, door: doors.Door, provider: watching.Provider, port: str) -> identity.Manifest:
        """Returns the scrape of a port of the Service."""
        endpoint = {
            "port": port,
            "path": "/metrics",
            "interval": watching.INTERVAL,
            "scrapeTimeout": watching.TIMEOUT,
        }
        metadata = self.metadata(door, extra=door.site.monitoring.labels)
        return provider.scrape(metadata, self.labels(door), endpoint)


def lifecycle(seconds: int) -> identity.Manifest:
    """Returns the lifecycle of a container that is still asked so long when its pod goes."""
    return {"preStop": {"sleep": {"seconds": seconds}}}
