"""The network policies of the pods, in the spelling of the cluster's provider."""

import functools
from collections.abc import Iterator
from typing import Protocol

from function import assembly
from function.cluster import observed
from function.concerns import providers, reasons
from function.concerns.access import cilium, native
from function.planning import identity, plans
from function.situation import guards, renames, situations


class Provider(Protocol):
    """A spelling of the policies."""

    def serving(
        self, plan: plans.Plan, *, picker: bool, read: tuple[str, ...]
    ) -> identity.Manifest:
        """Returns the serving pods' policy.

        Args:
            plan: The plan.
            picker: Whether an endpoint picker asks the pods.
            read: What pods read from the object store when they start.
        """

    def download(self, plan: plans.Plan, name: str) -> identity.Manifest:
        """Returns the policy of pods that download: it accepts nothing."""

    def removal(self, plan: plans.Plan, name: str) -> identity.Manifest:
        """Returns the policy of pods that remove weights: no caller, and nothing to reach."""

    def gate(self, plan: plans.Plan, name: str) -> identity.Manifest:
        """Returns the policy of pods that judge canaries: nobody calls them."""

    def group(self, plan: plans.Plan, name: str, *, read: tuple[str, ...]) -> identity.Manifest:
        """Returns the policy between the pods of one replica; what is read is that of `serving`."""

    def picker(self, plan: plans.Plan, name: str) -> identity.Manifest:
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
        "Install it ([a kind that is installed later](#a-kind-that-is-installed-later)), or correct"
        " `providers.networkPolicy`.",
        alarm=True,
    )


def compose(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields a policy for each kind of pod that the claim has."""
    plan, name = now.plan, now.plan.site.providers.network_policy
    provider: Provider | None = PROVIDERS.get(name)
    if provider is None:
        return
    serving = provider.serving(plan, picker=now.traffic.picker, read=now.reads)
    yield assembly.Part(guards.serving_suffix(name), serving)
    suffix = guards.group_suffix(name)
    if plan.hardware.split.spans or now.world.get(suffix) is not None:
        yield assembly.Part(suffix, provider.group(plan, _part(now, "group"), read=now.reads))
    suffix = guards.gate_suffix(name)
    # Once there, it stays: pods that end outlive the Job that they are of.
    if plan.gates or now.world.get(suffix) is not None:
        yield assembly.Part(suffix, provider.gate(plan, _part(now, "gate")))
    parts = (
        (plan.storage.preloads, guards.download_suffix(name), "download", provider.download),
        (plan.storage.deletes, guards.removal_suffix(name), "removal", provider.removal),
        (now.traffic.picker, guards.picker_suffix(name), "picker", provider.picker),
    )
    for wanted, suffix, part, build in parts:
        # Once there, it stays: pods that end outlive the object that they are of.
        if not wanted and now.world.get(suffix) is None:
            continue
        former, former_name = guards.former(name, part)
        verdict = renames.verdict(now.world, former, suffix)
        yield assembly.Part(suffix, build(plan, plan.identity.part(part)), verdict)
        if renames.stays(now.world, former, suffix):
            yield assembly.Part(former, build(plan, f"{plan.identity.name}-{former_name}"))
    yield from _of_the_last_provider(now)


def _of_the_last_provider(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields the policies of a provider that is withdrawn, until those of the new one protect.

    Core deletes before it applies: the pods would be open in between.
    """
    plan, chosen = now.plan, now.plan.site.providers.network_policy
    for name, last in PROVIDERS.items():
        if name == chosen:
            continue
        pairs = (
            (
                guards.serving_suffix,
                functools.partial(last.serving, picker=now.traffic.picker, read=now.reads),
            ),
            (guards.download_suffix, functools.partial(last.download, name=_part(now, "download"))),
            (guards.removal_suffix, functools.partial(last.removal, name=_part(now, "removal"))),
            (guards.gate_suffix, functools.partial(last.gate, name=_part(now, "gate"))),
            (
                guards.group_suffix,
                functools.partial(last.group, name=_part(now, "group"), read=now.reads),
            ),
            (guards.picker_suffix, functools.partial(last.picker, name=_part(now, "picker"))),
        )
        for suffix, build in pairs:
            if renames.stays(now.world, suffix(name), suffix(chosen)):
                yield assembly.Part(suffix(name), build(plan))


def _part(now: situations.Situation, part: str) -> str:
    return now.plan.identity.part(part)


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
        yield PolicyReady.READY.condition(now.plan.ways.left_out)
