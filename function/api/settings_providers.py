"""Which implementation the cluster has of each concern."""

from typing import Annotated, ClassVar, Literal

import pydantic

from function.api import base

Withdrawn = Literal[
    "cilium",
    "kubernetes",
    "victoriametrics",
    "prometheus-operator",
    "keda",
    "envoy-ai-gateway",
    "gateway-api",
    "external-secrets",
    "grafana-sidecar",
    "grafana-operator",
]


class Providers(base.Model):
    """Which implementation the cluster has of each concern; `none` leaves its objects out."""

    network_policy: Literal["cilium", "kubernetes", "none"] = "kubernetes"
    monitoring: Literal["victoriametrics", "prometheus-operator", "none"] = "prometheus-operator"
    autoscaler: Literal["keda", "none"] = "keda"
    gateway: Literal["envoy-ai-gateway", "none"] = "none"
    route: Literal["gateway-api", "none"] = "gateway-api"
    secrets: Literal["external-secrets", "none"] = "external-secrets"
    queue: Literal["kueue", "none"] = "none"
    dashboards: Literal["grafana-sidecar", "grafana-operator", "none"] = "none"
    withdrawn: Annotated[list[Withdrawn], base.items(10)] = pydantic.Field(
        default_factory=base.no_items,
        description="Providers that the cluster had and that no concern names any more. Only their"
        " objects may go: settings that lose a provider whose objects are there are refused.",
    )

    RULES: ClassVar = (
        base.Rule(
            cel=" && ".join(
                f"!(has(self.{name}) && has(self.withdrawn) && self.{name} in self.withdrawn)"
                for name in (
                    "networkPolicy",
                    "monitoring",
                    "autoscaler",
                    "gateway",
                    "route",
                    "secrets",
                    "dashboards",
                )
            ),
            message="a provider that a concern names cannot be withdrawn",
            holds=lambda chosen: not set(chosen.withdrawn) & set(chosen.used().values()),
            at="withdrawn",
        ),
    )

    def used(self) -> dict[str, str]:
        """Returns the provider of each concern, `none` included."""
        return {
            name: getattr(self, name) for name in type(self).model_fields if name != "withdrawn"
        }
