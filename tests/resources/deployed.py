"""The Deployment of a claim that serves, in its parts."""

from typing import Any

from function.workloads import pods
from tests import cluster
from tests.resources import scene

PLAIN = scene.site("plain")


def template(claimed: cluster.Object | None = None, config: cluster.Object | None = None) -> Any:
    return pods.template(scene.planned(claimed, config or PLAIN))


def pod(claimed: cluster.Object | None = None, config: cluster.Object | None = None) -> Any:
    return template(claimed, config)["spec"]


def engine(claimed: cluster.Object | None = None, config: cluster.Object | None = None) -> Any:
    (container,) = pod(claimed, config)["containers"]
    return container
