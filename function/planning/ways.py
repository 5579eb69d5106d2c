"""By which ways requests reach the claim."""

import dataclasses
from collections.abc import Iterator

from function import explanation
from function.api import base, claim, claim_traffic, settings


@dataclasses.dataclass(frozen=True)
class Ways:
    """By which ways requests reach the claim, as far as the site has them.

    Attributes:
        gateway: The AI gateway's route.
        picker: An endpoint picker behind that route.
        route: A plain HTTP route.
        fallback: The claim that answers on the AI gateway while no pod of this one does, or None.
        provider: The provider that answers then in place of a claim, with its model, or None.
        left_out: Which raw rules of the claim the settings' provider cannot read, in words.
        queue: Whether the endpoint picker itself counts the requests that wait for a pod.
    """

    gateway: bool
    picker: bool
    route: bool
    fallback: str | None = None
    provider: claim_traffic.Fallback | None = None
    left_out: str = ""
    queue: bool = False

    @property
    def counted(self) -> set[str]:
        """The settings' `scaling.wake.counts` by which requests of the claim are counted.

        An endpoint picker answers for a claim without pods before the gateway counts anything. One
        that holds the requests counts them itself.
        """
        ways = {"service": True, "gateway": self.gateway and not self.picker, "route": self.route}
        return {way for way, there in ways.items() if there}


def ways(spec: claim.Spec, site: settings.Settings, why: list[explanation.Explanation]) -> Ways:
    """Returns by which ways requests reach the claim."""
    left_out = tuple(_left_out(spec, site))
    why.extend(left_out)
    gateway = _on(spec.gateway) and site.providers.gateway != "none"
    asked = base.of(spec.gateway, "fallback") if gateway else None
    picks = spec.gateway is not None and spec.gateway.picks
    return Ways(
        gateway=gateway,
        picker=picks and site.providers.gateway != "none",
        route=_on(spec.route) and site.providers.route != "none",
        fallback=base.of(asked, "claim"),
        provider=asked if base.of(asked, "provider") is not None else None,
        left_out="; ".join(one.rule for one in left_out),
        # The queue is read where the picker is scraped.
        queue=picks
        and site.providers.gateway != "none"
        and site.endpoint_picker.provider == "native"
        and site.providers.monitoring != "none",
    )


def _left_out(spec: claim.Spec, site: settings.Settings) -> Iterator[explanation.Explanation]:
    """Yields which raw rules have no meaning because they are Cilium's and the provider is not.

    An empty list, and rules without content, let in nobody with either provider.
    """
    raw = spec.network_policies
    if raw is None or site.providers.network_policy != "kubernetes":
        return
    for field, rules, outcome in (
        ("ingress", raw.ingress, "no default caller is let in: name callers in spec.access.from"),
        ("egress", raw.egress, "pods do not reach DNS: take the field out of the claim"),
    ):
        if any(rules or []):
            yield explanation.Explanation(
                f"networkPolicies.{field}",
                "left out",
                f"spec.networkPolicies.{field}: its rules are Cilium's and the settings'"
                f" providers.networkPolicy is kubernetes: they are left out, and {outcome}",
                f"networkPolicies.{field}, settings providers.networkPolicy=kubernetes",
                surprising=True,
            )


def _on(switch: claim_traffic.Gateway | claim_traffic.Route | None) -> bool:
    return switch is not None and switch.enabled is True
