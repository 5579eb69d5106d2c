"""What the router reads keeps to the schema that it ships, for every front door that can be.

The schema is that of vLLM Semantic Router 0.4.0 (Apache-2.0). Its own program judges more, in
`e2e/test_meaning.py`.
"""

import functools
import json
from typing import Any

import hypothesis
import jsonschema_rs

from function.api import gateway_router
from tests import cluster, effort, strategies
from tests.fleet import scene
from tools.router import judge


@functools.cache
def _schema() -> Any:
    return jsonschema_rs.validator_for(json.loads(judge.RECORDED.read_text(encoding="utf-8")))


def configuration(asked: cluster.Object) -> str | None:
    """Returns what the router of a front door with two claims reads, or None without one."""
    world = scene.world(scene.of(semanticRouter=asked), scene.member("m0"), scene.member("m1"))
    world.reconcile()
    key = "llm-door-router-configmap"
    data = world.desired(key)["data"] if key in world.objects else None
    return None if data is None else str(data["config.yaml"])


def test_the_schema_refuses_what_the_router_does_not_know() -> None:
    assert not _schema().is_valid({"version": "v0.3", "decisions": []})


@effort.examples(15, 40)
@hypothesis.given(strategies.routers())
def test_what_the_router_reads_keeps_to_its_schema(asked: cluster.Object) -> None:
    text = configuration(asked)
    defaults = [model["default"].get("model") for model in asked["models"]]
    assert text is not None or not {"m0", "m1"} & set(defaults)
    if text is None:
        return
    read = json.loads(text)
    assert list(_schema().iter_errors(read)) == []
    # No model is named that nobody serves, and none is left without a way to it.
    models = {model["name"] for model in read["providers"]["models"]}
    assert models <= {"m0", "m1"}
    answering = {
        reference["model"]
        for recipe in read["recipes"]
        for decision in recipe["routing"]["decisions"]
        for reference in decision["modelRefs"]
    }
    assert answering == models
    assert read["providers"]["defaults"]["model"] in models
    names = [model["name"] for model in asked["models"]]
    assert {name for one in read["entrypoints"] for name in one["model_names"]} <= set(names)
    assert gateway_router.CALLER not in models
