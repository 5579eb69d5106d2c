"""A plan in its parts."""

from function import explanation
from function.engines.vllm import serving as vllm
from function.planning import plans
from tests.resources import scene

PLAIN = scene.site("plain")
# No interruption notice, no spare GPU, nothing known about nodes or the volume.
BARE = scene.site(
    "plain",
    gpu={"defaultClass": "bare", "classes": {"bare": {}}},
    weights={"bandwidthMiB": None},
)


def serving(plan: plans.Plan) -> vllm.Serving:
    assert isinstance(plan.serving, vllm.Serving)
    return plan.serving


def explained(plan: plans.Plan) -> dict[str, explanation.Explanation]:
    return {why.value: why for why in plan.explanations}
