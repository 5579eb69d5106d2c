"""Hypothesis profiles: few examples while one works, more in CI, thousands when a person asks.

`HYPOTHESIS_PROFILE=ci` is what `make laws` uses: the same examples each time, as the default has.
`HYPOTHESIS_PROFILE=thousands` runs the property tests over thousands of claims, others each time.
"""

import gc
import os

import hypothesis
import pytest

# Draws depend on the modules that are loaded, from which Hypothesis takes constants: so how many
# claims are refused or too large at the beginning depends on the tests that a worker ran before.
_BY_CHANCE = (
    hypothesis.HealthCheck.too_slow,
    hypothesis.HealthCheck.data_too_large,
    hypothesis.HealthCheck.filter_too_much,
)

for _name, _examples in (("default", 25), ("ci", 100)):
    hypothesis.settings.register_profile(
        _name,
        max_examples=_examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=_BY_CHANCE,
    )
hypothesis.settings.register_profile(
    "thousands",
    max_examples=3000,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Returns one worker more than there are cores: many tests wait for processes and clocks."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_finish() -> None:
    """Leaves what is imported and collected out of every later collection of garbage."""
    gc.freeze()
