"""Keys, names and labels: what ties composed objects to their claim and to each other."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from function import canonical
from function.api import claim

DOMAIN = "inference-service.cloud.ogenki.io"
# Where the template that was emitted last, the part of the claim that it came from, and what its
# pods are, are remembered: on the workload, not on its pods, so that remembering restarts nothing.
TEMPLATE_ANNOTATION = f"{DOMAIN}/pod-template"
CLAIM_ANNOTATION = f"{DOMAIN}/pod-template-claim"
FACTS_ANNOTATION = f"{DOMAIN}/pod-template-facts"
# On every pod of a replica of several, whatever it does there: its claim.
GROUP_LABEL = f"{DOMAIN}/group"
# What pods that follow a leader are. No Service selects them: they answer nobody.
FOLLOWER = "inference-worker"

# The component that the objects of a claim's endpoint picker are of.
PICKER = "endpoint-picker"
# The same of a front door's semantic router.
ROUTER = "semantic-router"
# The same of the proxy before a front door.
EDGE = "edge"

Manifest = dict[str, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Identity:
    """Which claim it is, and what all of its objects carry.

    Attributes:
        name: The claim's name.
        namespace: The claim's namespace, which is that of everything that it composes.
        common: The site's labels, on every object.
    """

    name: str
    namespace: str
    common: Mapping[str, str]

    @property
    def picker_name(self) -> str:
        """The endpoint picker's name, which its chart derives from the release's."""
        return f"{self.name}{claim.PICKER_SUFFIX}"

    @property
    def pods_name(self) -> str:
        """The name of the headless Service that resolves to every ready pod.

        A Service's name holds no dot. No claim has this name: `borrowed` tells it.
        """
        return shortened(self.name, f"pods-{_mark(self.name)}")

    @property
    def group_name(self) -> str:
        """The name of what keeps replicas of several pods, and of the Service that names them.

        Such names hold no dot. No claim has this name: `borrowed` tells it.
        """
        return f"{self.name}-group-{_mark(self.name)}"

    @property
    def router_name(self) -> str:
        """The name of a front door's semantic router and of its Service.

        Such names hold no dot. No claim has this name: `borrowed` tells it.
        """
        return shortened(self.name, f"router-{_mark(self.name)}")

    @property
    def edge_name(self) -> str:
        """The name of the proxy before a front door and of its Service.

        Such names hold no dot. No claim has this name: `borrowed` tells it.
        """
        return shortened(self.name, f"edge-{_mark(self.name)}")

    def part(self, name: str) -> str:
        """Returns the name of an object beside those that are named as the claim.

        No claim has a dot in its name, so no claim can have this one.
        """
        return f"{self.name}.{name}"

    @property
    def adapters_name(self) -> str:
        """Name of the list of adapters that pods follow while they run."""
        return self.part("adapters")

    def outside(self, provider: str) -> str:
        """Returns the name of the objects by which a claim reaches a provider."""
        return self.part(f"outside-{provider}")

    def labels(self, component: str = "inference") -> dict[str, str]:
        """Returns the four labels that select pods.

        A Deployment's selector is immutable: these are 0.9.0's.
        """
        return {
            "app.kubernetes.io/name": self.name,
            "app.kubernetes.io/instance": self.name,
            "app.kubernetes.io/component": component,
            "app.kubernetes.io/part-of": "ai",
        }

    def metadata(
        self,
        name: str | None = None,
        *,
        component: str = "inference",
        extra: Mapping[str, str] | None = None,
        annotations: dict[str, str] | None = None,
    ) -> Manifest:
        """Returns the metadata of a composed object, named as the claim unless told otherwise."""
        result: Manifest = {
            "name": name or self.name,
            "namespace": self.namespace,
            "labels": {**self.common, **(extra or {}), **self.labels(component)},
        }
        if annotations:
            result["annotations"] = annotations
        return result

    def key(self, suffix: str) -> str:
        """Returns the composed resource's name: it keys the object for as long as it lives."""
        return f"{self.name}-{suffix}"


def _mark(name: str) -> str:
    return canonical.digest(name, 8)


_POD_SERVICE = re.compile(r"(.+)-(?:pods|group|router|edge)-([0-9a-f]{8})")


def borrowed(name: str) -> str | None:
    """Returns the claim whose Service of pods has this name, or None where no claim's has."""
    match = _POD_SERVICE.fullmatch(name)
    return match[1] if match and _mark(match[1]) == match[2] else None


def shortened(prefix: str, suffix: str, longest: int = 63) -> str:
    """Returns `prefix-suffix` within a length, the prefix cut and made unique by a hash."""
    if len(prefix) + 1 + len(suffix) <= longest:
        return f"{prefix}-{suffix}"
    mark = canonical.digest(prefix, 5)
    room = longest - len(suffix) - len(mark) - 2
    return f"{prefix[:room].rstrip('-.')}-{mark}-{suffix}"


def object_name(text: str) -> str:
    """Returns an adapter's name as part of an object's name: itself where Kubernetes allows it."""
    if re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", text):
        return text
    safe = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return f"{safe}-{canonical.digest(text, 5)}"
