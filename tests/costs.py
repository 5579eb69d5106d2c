"""What tests cost in CPU, their processes included: `python -m pytest -n auto -p tests.costs`.

Seconds on the clock say little on a machine that is shared. Prints the sum, the costliest files and
the costliest tests. A fixture is counted to the test that makes it, and its end to the last one.
"""

import collections
import resource
from typing import Any

import pytest

_CPU = "cpu"
_SHOWN = 20
_started = 0.0


def _spent() -> float:
    """Returns the CPU seconds of this process and of the children that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def pytest_runtest_logstart() -> None:
    """Notes where a test begins."""
    global _started
    _started = _spent()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Gives the last report of a test what the test has cost; xdist brings it home."""
    if call.when == "teardown":
        item.user_properties.append((_CPU, _spent() - _started))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Prints the costs."""
    tests: dict[str, float] = {
        report.nodeid: dict(report.user_properties)[_CPU]
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "teardown"
    }
    files: dict[str, float] = collections.defaultdict(float)
    for name, seconds in tests.items():
        files[name.partition("::")[0]] += seconds
    terminalreporter.section(f"{sum(tests.values()):.0f} s of CPU in {len(tests)} tests")
    for costs in (files, tests):
        for name in sorted(costs, key=costs.__getitem__, reverse=True)[:_SHOWN]:
            terminalreporter.write_line(f"{costs[name]:8.2f} s  {name}")
