"""What must be there before a pod is: the network policies that select it.

A pod that starts before its policy is open to everybody, and may reach everything. What is not
observed waits; what runs is never withheld.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping

from function import claim_rows
from function.cluster import observed, readiness
from function.planning import plans, stores

# End of the key of the serving pods' policy, by provider.
SUFFIXES = {"cilium": "cilium-netpol", "kubernetes": "networkpolicy"}


@dataclasses.dataclass(frozen=True)
class Guards:
    """What new pods wait for, in words, or None where nothing holds them back.

    A policy is read when somebody asks: at rest there are no new pods, and nobody does.

    Attributes:
        provider: Who protects the pods; with `none`, or another, nothing is waited for.
        world: What the cluster reports.
        spans: Whether a replica has several pods, with a policy between them.
        annotations: What its ServiceAccount must bear before a pod reads from the object store.
    """

    provider: str
    world: observed.Observed
    spans: bool
    annotations: Mapping[str, str]

    @functools.cached_property
    def identity(self) -> str | None:
        """What pods that read from the object store wait for.

        A webhook gives a pod its identity when the pod is made: one that is made before its
        ServiceAccount says which never has it.
        """
        account = self.world.get("serviceaccount")
        lacks = [
            key
            for key, value in sorted(self.annotations.items())
            if observed.at(account, "metadata", "annotations", key) != value
        ]
        return f"its ServiceAccount has no {', '.join(lacks)} yet" if lacks else None

    @functools.cached_property
    def serving(self) -> str | None:
        """What new pods of the workload wait for."""
        missing = self._lack(serving_suffix)
        return missing or (self._lack(group_suffix) if self.spans else None)

    @functools.cached_property
    def download(self) -> str | None:
        """What a new Job that downloads waits for."""
        return self._lack(download_suffix)

    @functools.cached_property
    def removal(self) -> str | None:
        """What a new Job that removes weights waits for."""
        return self._lack(removal_suffix)

    @functools.cached_property
    def gate(self) -> str | None:
        """What a new Job that judges a canary waits for."""
        return self._lack(gate_suffix)

    @functools.cached_property
    def picker(self) -> str | None:
        """What a new endpoint picker waits for."""
        return self._lack(picker_suffix)

    def _lack(self, suffix: Callable[[str], str]) -> str | None:
        return lack(self.world, suffix(self.provider)) if self.provider in SUFFIXES else None


def serving_suffix(provider: str) -> str:
    """Returns the end of the key of the serving pods' policy."""
    return SUFFIXES[provider]


def download_suffix(provider: str) -> str:
    """Returns the end of the key of the policy of the pods that download."""
    return f"{SUFFIXES[provider]}-download"


def removal_suffix(provider: str) -> str:
    """Returns the end of the key of the policy of the pods that remove weights."""
    return f"{SUFFIXES[provider]}-removal"


def group_suffix(provider: str) -> str:
    """Returns the end of the key of the policy between the pods of one replica."""
    return f"{SUFFIXES[provider]}-group"


def gate_suffix(provider: str) -> str:
    """Returns the end of the key of the policy of the pods that judge canaries."""
    return f"{SUFFIXES[provider]}-gate"


def picker_suffix(provider: str) -> str:
    """Returns the end of the key of the endpoint picker's policy."""
    return f"picker-{SUFFIXES[provider]}"


_FORMER = {"download": "preload", "removal": "cleanup", "picker": "epp"}


def former(provider: str, part: str) -> tuple[str, str]:
    """Returns the end of the key, and of the name, that a policy had until 1.1."""
    name = _FORMER[part]
    policy = SUFFIXES[provider]
    return (f"epp-{policy}" if part == "picker" else f"{policy}-{name}"), name


def guards(plan: plans.Plan, world: observed.Observed) -> Guards:
    """Returns what new pods wait for; nothing where the settings leave policies to others."""
    spans = plan.hardware.split.spans
    reads = plan.running.store != ""
    annotations = stores.identity(plan.site, plan.resource) if reads else {}
    return Guards(plan.site.providers.network_policy, world, spans, annotations)


def lack(world: observed.Observed, suffix: str) -> str | None:
    """Returns why a policy does not protect yet, or None when it is there and valid."""
    kind = claim_rows.of(suffix).kind
    policy = world.get(suffix)
    if policy is None:
        if any(world.lacks(version, kind.name) for version in kind.api_versions):
            return f"the cluster has no {kind.name}"
        return f"its {kind.name} is not there yet"
    check = kind.ready or readiness.there
    verdict = check(policy)
    return None if verdict.ready else f"its {kind.name} is not valid: {verdict.message}"
