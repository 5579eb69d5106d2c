"""Hypothesis profiles: the same examples in CI each time, more when a person asks.

`HYPOTHESIS_PROFILE=thousands` runs the property tests over thousands of claims.
"""

import os

import hypothesis

hypothesis.settings.register_profile(
    "default",
    max_examples=100,
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
