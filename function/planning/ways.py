"""By which ways requests reach the claim."""

import dataclasses

from function.api import claim, claim_traffic, settings


@dataclasses.dataclass(frozen=True)
class Ways:
    """By which ways requests reach the claim, as far as the site has them.

    Attributes:
        gateway: The AI gateway's route.
        picker: An endpoint picker behind that route.
        route: A plain HTTP route.
    """

    gateway: bool
    picker: bool
    route: bool

    @property
    def counted(self) -> set[str]:
        """The settings' `scaling.wake.counts` by which requests of the claim are counted.

        An endpoint picker answers for a claim without pods before anything is counted.
        """
        ways = {"service": True, "gateway": self.gateway and not self.picker, "route": self.route}
        return {way for way, there in ways.items() if there}


def ways(spec: claim.Spec, site: settings.Settings) -> Ways:
    """Returns by which ways requests reach the claim."""
    gateway = _on(spec.gateway) and site.providers.gateway != "none"
    picks = spec.gateway is not None and spec.gateway.picks
    return Ways(
        gateway=gateway,
        picker=picks and site.providers.gateway != "none",
        route=_on(spec.route) and site.providers.route != "none",
    )


def _on(switch: claim_traffic.Gateway | claim_traffic.Route | None) -> bool:
    return switch is not None and switch.enabled is True
