"""The dashboard of a claim, in the kind by which the cluster's Grafana finds it."""

from collections.abc import Iterator
from typing import Protocol

from function import assembly, kinds, memo
from function.api import claim, settings
from function.cluster import observed
from function.concerns import providers
from function.concerns.dashboards import contents, grafana, grafana_operator, grafana_sidecar
from function.concerns.observability import watching
from function.planning import identity, plans, running
from function.situation import situations


class Provider(Protocol):
    """A way by which Grafana finds dashboards."""

    KIND: kinds.Kind

    def suffix(self, site: settings.Settings) -> str:
        """Returns the end of the object's key."""

    def dashboard(
        self, who: identity.Identity, site: settings.Settings, part: str, component: str, text: str
    ) -> identity.Manifest:
        """Returns the object that carries a dashboard.

        Args:
            who: Whose it is.
            site: The settings.
            part: What its name has behind that of its owner.
            component: What it shows, as the label `app.kubernetes.io/component` has it.
            text: The dashboard.
        """


PROVIDERS = providers.table(
    "dashboards",
    {"grafana-sidecar": grafana_sidecar, "grafana-operator": grafana_operator},
)


PART = "dashboard"


def compose(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields the dashboard."""
    plan = now.plan
    provider: Provider | None = PROVIDERS.get(plan.site.providers.dashboards)
    if provider is None:
        return
    class_name = now.kept_class or plan.hardware.priced_as
    made = _dashboard(
        plan, now.rollout.running, class_name, now.adapters, picker=now.traffic.picker
    )
    yield assembly.Part(provider.suffix(plan.site), made)


@memo.per_plan
def _dashboard(
    plan: plans.Plan,
    now: running.Running,
    class_name: str,
    adapters: tuple[str, ...],
    *,
    picker: bool,
) -> identity.Manifest:
    provider: Provider = PROVIDERS[plan.site.providers.dashboards]
    who = plan.identity
    board = grafana.Board(
        who,
        claim.KIND,
        f"{who.namespace} / {who.name}",
        f"InferenceService {who.name} of namespace {who.namespace}.",
        plan.site.monitoring.runbook_base,
        watching.named(plan, now, picker=picker),
    )
    drawn = grafana.text(board, contents.panels(plan, now, class_name, adapters, picker=picker))
    return provider.dashboard(who, plan.site, PART, "inference", drawn)


def conditions(
    now: situations.Situation, desired: assembly.Desired
) -> Iterator[observed.Condition]:
    """Yields nothing: ObservabilityReady speaks for the dashboard too."""
    del now, desired
    yield from ()
