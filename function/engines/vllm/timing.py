"""By which of vLLM's series objectives are judged."""

import math
from typing import Any

from function.api import claim
from function.engines import engine
from function.engines.vllm import metrics, serving
from function.planning import identity

# In seconds: vllm/v1/metrics/loggers.py of 0.18.0 and 0.25.1, buckets.py beside it in 0.32.0 and
# 0.33.0. All four have the same.
_FIRST_TOKEN = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
_BETWEEN_TOKENS = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0),
)
# By objective: the series, what vLLM calls its bounds in `--custom-histogram-buckets`, and the
# bounds that it has without that flag.
_HISTOGRAMS = {
    "ttft": (metrics.FIRST_TOKEN, "time_to_first_token", _FIRST_TOKEN),
    "itl": (metrics.BETWEEN_TOKENS, "inter_token_latency", _BETWEEN_TOKENS),
}
_CUSTOM = "custom-histogram-buckets"


def measures(who: identity.Identity, spec: claim.Spec) -> engine.Measures:
    """Returns by which of vLLM's own series objectives are judged."""
    own = engine.matchers(who, model_name=who.name)
    custom = serving.own(spec).keys(_CUSTOM)
    # What a stream breaks off with has no status: its 200 went out with the first token. A request
    # that the engine refuses never reaches the counter of finished ones, so statuses are counted.
    every = engine.matchers(who)[:-1] + ',handler=~"/v1/.*"'
    return engine.Measures(
        times={
            objective: engine.Histogram(name, own, _bounds(custom.get(family), bounds))
            for objective, (name, family, bounds) in _HISTOGRAMS.items()
        },
        requests=(
            f"{metrics.HTTP_REQUESTS}{every}}}",
            f'{metrics.HTTP_REQUESTS}{every},status="5xx"}}',
        ),
        finished=f"{metrics.FINISHED}{own}",
        tokens=(f"{metrics.PROMPT_TOKENS}{own}", f"{metrics.GENERATED_TOKENS}{own}"),
    )


def _bounds(custom: Any, otherwise: tuple[float, ...]) -> tuple[float, ...]:
    """Returns the bounds that the author's own arguments set, or the engine's."""
    if not isinstance(custom, list):
        return otherwise
    numbers = [one for one in custom if isinstance(one, (int, float)) and math.isfinite(one)]
    return tuple(sorted(map(float, numbers)))
