"""Every series that an expression may read: its kind, its labels, and who exposes it.

The engine's series come from recorded expositions, one for each end of the supported range of
versions. This module lists all other series, each with the place where upstream documents it. A
series that is in neither does not exist.
"""

import dataclasses
import functools
import pathlib
import re
from collections.abc import Mapping

from prometheus_client import parser

from function.concerns.observability import objectives, spending
from function.fleet import spending as spent

HERE = pathlib.Path(__file__).parent / "expositions"
VERSIONS = ("0.25.1", "0.32")

GAUGE, COUNTER, BUCKET = "gauge", "counter", "bucket"

# What the operators' service discovery adds to each series of a scrape through a Service; `job` is
# the Service's name where the scrape has no jobLabel (Prometheus operator: ServiceMonitorSpec,
# VictoriaMetrics operator: VMServiceScrapeSpec).
SCRAPE_LABELS = frozenset(
    ("namespace", "job", "pod", "container", "endpoint", "service", "instance")
)


@dataclasses.dataclass(frozen=True)
class Series:
    """All series of one name.

    Attributes:
        kind: gauge, counter (also a histogram's _count and _sum), or bucket.
        values: The recorded values of each label; empty where any value is possible.
        source: Who exposes it.
    """

    name: str
    kind: str
    values: Mapping[str, frozenset[str]]
    source: str

    @property
    def labels(self) -> frozenset[str]:
        """All labels."""
        return frozenset(self.values)


@functools.cache
def engine(version: str) -> Mapping[str, Series]:
    """Returns the series of vLLM by a recorded exposition, by name."""
    return exposed(f"vllm-{version}", f"vLLM {version}")


def exposed(file: str, source: str) -> dict[str, Series]:
    """Returns the series of a file of `expositions`, by name."""
    text = (HERE / f"{file}.txt").read_text(encoding="utf-8")
    by_name: dict[str, Series] = {}
    for family in parser.text_string_to_metric_families(text):
        for sample in family.samples:
            # The parser writes the `_total` of a counter that has none in the text.
            name = sample.name if sample.name in text else sample.name.removesuffix("_total")
            before = by_name.get(name)
            values = {
                label: frozenset((value,)) | (before.values[label] if before else frozenset())
                for label, value in sample.labels.items()
            }
            added = dict.fromkeys(SCRAPE_LABELS, frozenset[str]())
            kind = _kind(family.type, name)
            by_name[name] = Series(name, kind, {**added, **values}, source)
    return by_name


def _kind(family: str, name: str) -> str:
    if family == "histogram" and name.endswith("_bucket"):
        return BUCKET
    if family == "counter" or (
        family in ("histogram", "summary") and re.search("_(count|sum)$", name)
    ):
        return COUNTER
    return GAUGE


# kube-state-metrics 2.20, docs/metrics/workload/{deployment,statefulset,pod,job}-metrics.md. The
# labels are the object's: it is scraped with honorLabels, in both operators' stacks.
_KUBE_STATE_METRICS = {
    "kube_deployment_status_replicas_available": ("namespace", "deployment"),
    "kube_deployment_spec_replicas": ("namespace", "deployment"),
    "kube_statefulset_status_replicas_ready": ("namespace", "statefulset"),
    "kube_statefulset_replicas": ("namespace", "statefulset"),
    "kube_pod_status_scheduled_time": ("namespace", "pod", "uid"),
    "kube_pod_status_ready_time": ("namespace", "pod", "uid"),
    "kube_pod_deletion_timestamp": ("namespace", "pod", "uid"),
    "kube_pod_status_ready": ("namespace", "pod", "uid", "condition"),
    "kube_cronjob_created": ("namespace", "cronjob"),
    "kube_job_failed": ("namespace", "job_name", "condition"),
    "kube_job_status_start_time": ("namespace", "job_name"),
    "kube_job_status_active": ("namespace", "job_name"),
}
_CONDITION = frozenset(("true", "false", "unknown"))

# Envoy's cluster statistics, as its Prometheus endpoint spells them. A request that finds no
# healthy host is charged to the route's cluster as a 5xx.
_GATEWAY = {
    "envoy_cluster_upstream_rq_xx": ("envoy_cluster_name", "envoy_response_code_class"),
    "envoy_cluster_upstream_rq_retry": ("envoy_cluster_name",),
}

# The endpoint picker 1.5.0 (pkg/epp/metrics/metrics.go).
_PICKER = {
    "inference_pool_ready_pods": ("name",),
    "inference_extension_flow_control_queue_size": (
        "fairness_id",
        "priority",
        "inference_pool",
        "model_name",
        "target_model_name",
    ),
}


_PICKS = {
    "inference_extension_scheduler_attempts_total": (
        "status",
        "target_model_name",
        "pod_name",
        "port",
    ),
}

# The AI gateway's processor 1.0 (internal/metrics, its page capabilities/observability/metrics),
# as its Prometheus endpoint spells them. By whom and under which labels it is scraped is the
# platform's.
_USE = (
    "gen_ai_operation_name",
    "gen_ai_provider_name",
    "gen_ai_original_model",
    "gen_ai_request_model",
    "gen_ai_response_model",
)
_GATEWAY_USE = {
    "gen_ai_client_token_usage_sum": (*_USE, "gen_ai_token_type"),
    "gen_ai_server_request_duration_seconds_count": (*_USE, "error_type"),
    "gen_ai_server_request_duration_seconds_bucket": (*_USE, "error_type", "le"),
}


# What the claim's own rules record, with the labels that they give it.
_RECORDED = {
    objectives.EVENTS: ("objective",),
    objectives.MISSED: ("objective",),
    objectives.BUDGET: ("objective",),
    objectives.BURN_RATE: ("objective", "window"),
    objectives.BUDGET_LEFT: ("objective",),
    spending.PER_HOUR: ("team", "project", "cost_center", "currency"),
    spending.TOKENS: ("team", "project", "cost_center"),
    spending.PER_MILLION: ("team", "project", "cost_center", "currency", "window"),
    spent.PER_HOUR: ("gateway", "caller", "type", "currency"),
    spent.SUM: ("gateway", "caller", "currency", "window"),
}


# What the program beside Promptfoo writes of a front door's models (exporter/program.py).
_EVALUATED = ("namespace", "gateway", "cronjob", "claim", "model")
_EVALS = {
    "inference_gateway_eval_pass_ratio": _EVALUATED,
    "inference_gateway_eval_timestamp_seconds": _EVALUATED,
}


@functools.cache
def others() -> Mapping[str, Series]:
    """Returns the series that vLLM does not expose, by name."""
    by_name = exposed("tei-1.9.3", "text-embeddings-inference") | {
        name: Series(
            name,
            GAUGE,
            {label: _CONDITION if label == "condition" else frozenset() for label in labels},
            "kube-state-metrics",
        )
        for name, labels in _KUBE_STATE_METRICS.items()
    }
    for name, labels in _GATEWAY.items():
        every = dict.fromkeys((*labels, *SCRAPE_LABELS), frozenset[str]())
        by_name[name] = Series(name, COUNTER, every, "Envoy")
    for name, labels in _PICKER.items():
        every = dict.fromkeys((*labels, *SCRAPE_LABELS), frozenset[str]())
        by_name[name] = Series(name, GAUGE, every, "the endpoint picker")
    for name, labels in _PICKS.items():
        every = dict.fromkeys((*labels, *SCRAPE_LABELS), frozenset[str]())
        by_name[name] = Series(name, COUNTER, every, "the endpoint picker")
    for name, labels in _GATEWAY_USE.items():
        every = dict.fromkeys((*labels, *SCRAPE_LABELS), frozenset[str]())
        kind = BUCKET if name.endswith("_bucket") else COUNTER
        by_name[name] = Series(name, kind, every, "the AI gateway")
    for name, labels in _RECORDED.items():
        recorded = dict.fromkeys(("namespace", "model", *labels), frozenset[str]())
        by_name[name] = Series(name, GAUGE, recorded, "the claim's own rules")
    for name, labels in _EVALS.items():
        pushed = dict.fromkeys(labels, frozenset[str]())
        by_name[name] = Series(name, GAUGE, pushed, "evaluations")
    scraped = dict.fromkeys(SCRAPE_LABELS, frozenset[str]())
    by_name["up"] = Series("up", GAUGE, scraped, "the scrape itself")
    return by_name


@functools.cache
def series(version: str) -> Mapping[str, Series]:
    """Returns every series that exists beside an engine of a version."""
    return {**others(), **engine(version)}
