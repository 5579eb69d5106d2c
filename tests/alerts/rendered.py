"""Rules and triggers as the function renders them: the examples, and claims that shape them."""

import copy
import dataclasses
import functools
import json
import pathlib
from collections.abc import Iterator
from typing import Any

from function.api import claim, settings
from function.concerns.dashboards import contents
from function.concerns.observability import watching
from function.concerns.scaling import keda
from function.engines import engine
from function.situation import situations
from tests import documents, newborn

ROOT = pathlib.Path(__file__).parents[2]
Manifest = dict[str, Any]

LONG_NAME = "q" * claim.LONGEST_NAME


def _load(path: pathlib.Path) -> Manifest:
    document = documents.parse(path.read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


EXAMPLES = {path.stem: _load(path) for path in sorted((ROOT / "examples/claims").glob("*.yaml"))}
ENVIRONMENTS = {
    path.parent.name: _load(path)
    for path in sorted((ROOT / "examples").glob("*/environmentconfig.yaml"))
}


def changed(name: str | None = None, **spec: Any) -> Manifest:
    """Returns the claim xplane-qwen-coder with fields replaced."""
    result = copy.deepcopy(EXAMPLES["xplane-qwen-coder"])
    result["spec"] |= spec
    if name is not None:
        result["metadata"]["name"] = name
    return result


def embedding(**spec: Any) -> Manifest:
    """Returns a claim of text-embeddings-inference."""
    claimed = changed("embeddings")
    model = {"repository": "BAAI/bge-base-en-v1.5"}
    claimed["spec"] = {"engine": {"kind": "tei"}, "model": model, **spec}
    return claimed


VARIANTS = {
    "tei": embedding(gateway={"enabled": True}, slo={"availability": {"percent": "99.5"}}),
    "tei-on-a-gpu": embedding(
        gpu={"count": 1},
        model={"repository": "BAAI/bge-reranker-v2-m3", "maxNumSeqs": 64},
        scaling={"minReplicas": 0, "maxReplicas": 2},
        observability={"alerts": {"errorRatio": "0.01", "queueLength": 50}},
        cost={"team": "search"},
    ),
    "pooling": changed(
        model={"repository": "Qwen/Qwen3-Embedding-0.6B", "runner": "pooling"},
        loraAdapters=[],
        gateway={"enabled": True},
    ),
    "gated": changed(
        gateway={
            "enabled": True,
            "canaries": [
                {"adapter": "xplane-qwen-coder-sql-dpo", "weightPercent": 10, "gate": {}},
            ],
        }
    ),
    "picker": changed(gateway={"enabled": True, "endpointPicker": {"enabled": True}}),
    "thresholds": changed(
        observability={
            "alerts": {
                "errorRatio": "0.01",
                "timeToFirstTokenSeconds": "2.5",
                "queueLength": 50,
                "kvCacheUsage": "0.8",
                "preemptionsPerMinute": "30",
            }
        }
    ),
    "triggers": changed(
        scaling={
            "minReplicas": 2,
            "maxReplicas": 4,
            "triggers": {
                "running": {"target": "12.5"},
                "kvCache": {"enabled": False},
                "queue": {"target": "3"},
            },
        }
    ),
    "promised": changed(
        slo={
            "ttft": {"percentile": "95", "seconds": "1"},
            "itl": {"percentile": "99", "seconds": "0.1"},
            "availability": {"percent": "99.5"},
        }
    ),
    "promised-by-the-service": changed(
        gateway={"enabled": False},
        slo={"availability": {"percent": "99"}, "window": "7d"},
    ),
    "several-pods": changed(
        gpu={"count": 1, "parallelism": {"pipeline": 2}},
        scaling={"minReplicas": 1, "maxReplicas": 2},
        slo={"availability": {"percent": "99.5"}},
    ),
    "paid": changed(cost={"team": "search", "project": "answers"}),
    "idle": changed(scaling={"minReplicas": 0, "maxReplicas": 2}),
    "suspended": changed(suspend=True),
    "volume": changed(
        model={"source": "pvc", "path": "models/qwen"}, loraAdapters=[], gateway={"enabled": True}
    ),
    "long-name": changed(LONG_NAME, gateway={"enabled": False}),
}
CLAIMS = {**EXAMPLES, **VARIANTS}


def planned(subject: Manifest, config: Manifest | None) -> situations.Situation:
    """Returns the situation of a new claim under an EnvironmentConfig or neutral settings."""
    site = settings.resolve([]) if config is None else settings.assemble({}, {}, [config])
    return newborn.situation(subject, site)


@dataclasses.dataclass(frozen=True)
class Expression:
    """A query with where it stands."""

    where: str
    text: str


@functools.cache
def plans() -> dict[str, situations.Situation]:
    """Returns the situation of each claim under each settings, by `CLAIM/SETTINGS`."""
    made = {
        f"{name}/{site}": planned(subject, config)
        for name, subject in CLAIMS.items()
        for site, config in {**ENVIRONMENTS, "neutral": None}.items()
    }
    picker = changed(
        gateway={"enabled": True, "endpointPicker": {"enabled": True}},
        scaling={"minReplicas": 0, "maxReplicas": 2},
    )
    native = {"inferenceService": {"endpointPicker": {"provider": "native"}}}
    site = ENVIRONMENTS["reference"]
    site = {**site, "data": settings.merge(site["data"], native)}
    return {**made, "native-picker/reference": planned(picker, site)}


def rules(planned_claim: situations.Situation) -> list[Manifest]:
    """Returns the alerts of all groups, as the operator gets them."""
    return [rule for rule in _rules(planned_claim) if "alert" in rule]


def recorded(planned_claim: situations.Situation) -> list[Manifest]:
    """Returns the rules that record series."""
    return [rule for rule in _rules(planned_claim) if "record" in rule]


def _rules(planned_claim: situations.Situation) -> list[Manifest]:
    return [rule for group in manifest(planned_claim)["spec"]["groups"] for rule in group["rules"]]


def manifest(planned_claim: situations.Situation) -> Manifest:
    """Returns the VMRule or PrometheusRule, as it is sent."""
    parts = {part.suffix: part.manifest for part in watching.compose(planned_claim)}
    result = json.loads(json.dumps(parts.get("vmrule") or parts["prometheusrule"]))
    assert isinstance(result, dict)
    return result


def triggers(planned_claim: situations.Situation) -> list[Manifest]:
    """Returns the triggers of the ScaledObject."""
    plan, running = planned_claim.plan, planned_claim.rollout.running
    entries = keda.scaled_object(plan, running)["spec"]["triggers"]
    assert isinstance(entries, list)
    return entries


def panels(planned_claim: situations.Situation) -> list[engine.Panel]:
    """Returns the panels of the claim's dashboard, whatever the settings say of dashboards."""
    plan = planned_claim.plan
    return list(
        contents.panels(
            plan,
            planned_claim.rollout.running,
            planned_claim.kept_class or plan.hardware.priced_as,
            planned_claim.adapters,
            picker=planned_claim.traffic.picker,
        )
    )


def expressions(planned_claim: situations.Situation) -> tuple[Expression, ...]:
    """Returns every query of a claim; those of `plans` are rendered once for all tests."""
    return _of_plans().get(id(planned_claim)) or tuple(_expressions(planned_claim))


@functools.cache
def _of_plans() -> dict[int, tuple[Expression, ...]]:
    return {id(one): tuple(_expressions(one)) for one in plans().values()}


def _expressions(planned_claim: situations.Situation) -> Iterator[Expression]:
    for rule in rules(planned_claim):
        yield Expression(rule["alert"], rule["expr"])
    for rule in recorded(planned_claim):
        yield Expression(f"{rule['record']} {rule['labels']}", rule["expr"])
    for trigger in triggers(planned_claim):
        yield Expression(f"trigger {trigger['name']}", trigger["metadata"]["query"])
    for panel in panels(planned_claim):
        for query in panel.queries:
            yield Expression(f"panel {panel.title}", query.expression)
