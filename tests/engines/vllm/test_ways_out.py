"""Each way out that is offered can be typed: the changed claim has no error of its own."""

import copy
import itertools
from typing import Any

import pytest

from function.api import settings
from function.cli import checking, documents, planned
from function.findings import rules
from tests import cluster
from tests.resources import scene

MODELS: tuple[dict[str, Any], ...] = (
    {"repository": "Qwen/Qwen3-8B", "contextWindow": 131072},
    {"repository": "Qwen/Qwen3-8B", "contextWindow": 40960, "maxNumSeqs": 512},
    {"repository": "Qwen/Qwen3-Coder-30B-A3B-Instruct", "contextWindow": 131072},
    {"repository": "Qwen/Qwen3-32B"},
    {"repository": "Qwen/Qwen2.5-72B-Instruct-AWQ"},
    {"repository": "openai/gpt-oss-120b"},
)
ARGUMENTS: tuple[list[str], ...] = (
    [],
    ["--tensor-parallel-size=1"],
    ["--kv-cache-dtype=bfloat16"],
)
SITES: dict[str, dict[str, Any]] = {
    "small": {
        "gpu": {
            "classes": {
                "l40s": {"product": "L40S", "nodeGpus": 1, "pricePerHour": "1.861"},
                "h100": {"product": "H100", "nodeGpus": 8, "pricePerHour": "6.88"},
            }
        }
    },
    "capped": {
        "gpu": {"classes": {"l40s": {"product": "L40S", "nodeGpus": 8, "pricePerHour": "1.861"}}},
        "limits": {"maxGPUs": 2},
    },
    "short-of-memory": {
        "gpu": {
            "classes": {
                "l40s": {"product": "L40S", "nodeGpus": 8, "nodeCpu": "9", "nodeMemory": "70Gi"}
            }
        }
    },
}


def errors(claimed: cluster.Object, site: settings.Settings) -> set[str]:
    source = documents.Source("claim.yaml", claimed)
    return {
        one.finding.rule.name
        for one in checking.of(planned.of(source, site))
        if one.finding.severity is rules.Severity.ERROR
    }


@pytest.mark.parametrize("name", SITES)
def test_each_way_as_it_is_written_passes_check(name: str) -> None:
    config = scene.site(**SITES[name])
    tried = 0
    for model, arguments in itertools.product(MODELS, ARGUMENTS):
        claimed = scene.of(model=model, engineArgs=arguments, scaling={"maxReplicas": 1})
        plan = scene.planned(claimed, config)
        outlook = plan.serving.outlook
        assert outlook is not None
        before = errors(claimed, plan.site)
        for way in outlook.ways:
            changed = copy.deepcopy(claimed)
            for field, value in way.fields:
                part, _, key = field.partition(".")
                changed["spec"].setdefault(part, {})[key] = value
            words = (model, arguments, way.written)
            left = errors(changed, plan.site)
            assert not left - (before - {"does-not-fit"}), words
            tried += 1
    assert tried
