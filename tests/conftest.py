"""Hypothesis profiles: few examples while one works, more in CI, thousands when a person asks.

`HYPOTHESIS_PROFILE=ci` is what `.ci/run` uses: the same examples each time, as the default has.
`HYPOTHESIS_PROFILE=thousands` runs the property tests over thousands of claims, others each time.
"""

import gc
import os

import hypothesis

for _name, _examples in (("default", 40), ("ci", 100)):
    hypothesis.settings.register_profile(
        _name,
        max_examples=_examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
hypothesis.settings.register_profile(
    "thousands",
    max_examples=3000,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_collection_finish() -> None:
    """Leaves what is imported and collected out of every later collection of garbage."""
    gc.freeze()
