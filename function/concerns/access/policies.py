"""The network policies of the pods, in the spelling of the cluster's provider."""

from collections.abc import Iterator
from typing import Protocol

from function import assembly
from function.cluster import observed
from function.concerns import providers, reasons
from function.concerns.access import cilium, native
from function.planning import identity, plans
from function.situation import situations


class Provider(Protocol):
    """A spelling of the policies.

    Attributes:
        SUFFIX: End of the key of the serving pods' policy, and the beginning of the Jobs'.
        PICKER_SUFFIX: End of the key of the endpoint picker's policy.
    """

    SUFFIX: str
    PICKER_SUFFIX: str

    def serving(self, plan: plans.Plan, *, picker: bool) -> identity.Manifest:
        """Returns the serving pods' policy."""

    def preload(self, plan: plans.Plan) -> identity.Manifest:
        """Returns the preload pods' policy: it accepts nothing."""

    def cleanup(self, plan: plans.Plan) -> identity.Manifest:
        """Returns the clean-up pods' policy: no caller, and nothing to reach."""

    def picker(self, plan: plans.Plan) -> identity.Manifest:
        """Returns the endpoint picker's policy."""


PROVIDERS = providers.table("network_policy", {"cilium": cilium, "kubernetes": native})


class PolicyReady(reasons.Reasons):
    """Reasons of PolicyReady."""

    READY = reasons.Reason(
        "Ready",
        True,
        "The policies are there and valid.",
    )
    NOT_MANAGED = reasons.Reason(
        "NotManaged",
        True,
        "`providers.networkPolicy: none`.",
        "Something else must keep callers out.",
    )
    NOT_READY = reasons.Reason(
        "NotReady",
        False,
        "Not created yet, or Cilium refuses the policy.",
        "The message is Cilium's; usually a rule of `networkPolicies` in the claim.",
    )
    KIND_MISSING = reasons.Reason(
        "KindMissing",
        False,
        "The cluster has no such kind of policy.",
        "Install it ([later](#a-kind-that-is-installed-later)), or correct"
        " `providers.networkPolicy`.",
        alarm=True,
    )


def compose(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields a policy for each kind of pod that the claim has."""
    plan = now.plan
    provider: Provider | None = PROVIDERS.get(plan.site.providers.network_policy)
    if provider is None:
        return
    serving = provider.serving(plan, picker=now.traffic.picker)
    yield assembly.Part(provider.SUFFIX, serving)
    if plan.storage.preloads:
        yield assembly.Part(f"{provider.SUFFIX}-preload", provider.preload(plan))
    if plan.storage.deletes:
        yield assembly.Part(f"{provider.SUFFIX}-cleanup", provider.cleanup(plan))
    if now.traffic.picker:
        yield assembly.Part(provider.PICKER_SUFFIX, provider.picker(plan))


def conditions(
    now: situations.Situation, desired: assembly.Desired
) -> Iterator[observed.Condition]:
    """Yields PolicyReady."""
    if now.plan.site.providers.network_policy == "none":
        yield PolicyReady.NOT_MANAGED.condition("the settings have no provider of networkPolicy")
        return
    absent, waits = desired.lacking(PolicyReady.type()), desired.waits(PolicyReady.type())
    if absent is not None:
        yield PolicyReady.KIND_MISSING.condition(reasons.missing(absent, "networkPolicy"))
    elif waits is not None:
        yield PolicyReady.NOT_READY.condition(waits)
    else:
        yield PolicyReady.READY.condition()
