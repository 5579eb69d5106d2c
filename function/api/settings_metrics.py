"""Where metrics are asked for and watched: scaling, alerts, objectives."""

from typing import Annotated, Any, Literal

import pydantic

from function.api import base, settings_forms

# A label of a series.
METRIC_LABEL = base.form(
    r"^[a-zA-Z_][a-zA-Z0-9_]*$",
    "the label of a series: letters, digits and '_', and no digit first",
)


class Wake(base.Model):
    """The signal that exists when no replica does."""

    query: Annotated[str, base.text(2048)] = pydantic.Field(
        description="PromQL over the gateway's own series; {name} and {namespace} are replaced."
        " Above zero it wakes the claim."
    )
    counts: Annotated[list[Literal["gateway", "route", "service"]], base.items(3, 1)] = (
        pydantic.Field(
            ["gateway"],
            description="Whose requests the query sees: those by the AI gateway, by the claim's"
            " route (when its gateway's proxies are counted too), or whatever asks for the Service."
            " A claim that has none of them is held at one replica. An endpoint picker answers for"
            " a claim without pods before anything is counted, so it is no `gateway` here; a"
            " native one holds the requests and counts them itself.",
        )
    )


class Scaling(base.Model):
    """What the autoscaler reads."""

    server_address: settings_forms.Url = pydantic.Field(
        "http://prometheus-operated.monitoring.svc:9090",
        description="Prometheus-compatible query endpoint. VictoriaMetrics single node: 8428.",
    )
    wake: Wake | None = pydantic.Field(
        None, description="Without it minReplicas 0 is held at one replica."
    )
    authentication_ref: Annotated[dict[str, Any], base.items(2)] | None = pydantic.Field(
        None, description="KEDA authenticationRef of the triggers: name and kind."
    )


class Requests(base.Model):
    """The gateway's own count of a claim's requests.

    It has what no replica answered, which no engine can count. {name} and {namespace} are replaced.
    """

    every: Annotated[str, base.text(2048)] = pydantic.Field(
        description="PromQL: requests a second over five minutes, one series without labels."
    )
    failed: Annotated[str, base.text(2048)] = pydantic.Field(
        description="PromQL: the same of those that were answered with 5xx."
    )
    counts: Annotated[list[Literal["gateway", "route", "service"]], base.items(3, 1)] = (
        pydantic.Field(
            ["gateway"],
            description="Whose requests the queries see, as in scaling.wake. For another claim the"
            " engine's own count is taken.",
        )
    )


class Monitoring(base.Model):
    """What scrapes and alerts carry so that the site's operators select them."""

    labels: base.Labels = pydantic.Field(
        default_factory=dict, description="On scrape and rule objects, for example release: x."
    )
    alert_labels: base.Labels = pydantic.Field(
        default_factory=dict, description="On every alert, for example a team that is called."
    )
    runbook_base: settings_forms.Url = pydantic.Field(
        "https://github.com/Smana/function-inference-service/blob/main/docs/operations.md",
        description="Runbook links are this address with #<alert> appended.",
    )
    requests: Requests | None = pydantic.Field(
        None,
        description="By which objectives of availability are judged. Without it they see only what"
        " reaches an engine.",
    )


class Dashboards(base.Model):
    """How Grafana finds the dashboards of claims and front doors."""

    label: base.LabelKey = pydantic.Field(
        "grafana_dashboard",
        description="Label by which Grafana's sidecar finds ConfigMaps (`sidecar.dashboards.label`"
        " of its chart).",
    )
    label_value: base.LabelValue = pydantic.Field("1", description="Value of that label.")
    folder: Annotated[str, base.text(128)] | None = pydantic.Field(
        None, description="Folder of Grafana that dashboards lie in."
    )
    folder_annotation: base.LabelKey = pydantic.Field(
        "grafana_folder",
        description="Annotation in which the sidecar reads the folder"
        " (`sidecar.dashboards.folderAnnotation` of its chart).",
    )
    instance_labels: base.Labels = pydantic.Field(
        default_factory=lambda: {"dashboards": "grafana"},
        description="Labels of the Grafana objects that grafana-operator puts dashboards into.",
    )
    caller_label: Annotated[str, base.text(63, METRIC_LABEL)] | None = pydantic.Field(
        None,
        description="Label of the AI gateway's series that has the caller's name, for example"
        " inference_caller. What callers use is drawn with it alone.",
    )
