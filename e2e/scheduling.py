"""Which worker runs what: a file at a time, and one worker without a control plane.

A control plane takes two GiB, and tests of it wait more than they compute. What needs none runs
meanwhile on the last worker, and on the others when nothing else is left for them.
"""

from __future__ import annotations

import contextlib
import os
import pathlib

from xdist import workermanage
from xdist.scheduler import loadfile

_ROOT = pathlib.Path(__file__).parent
# Files that go first: the one that needs a cluster without some kinds, then the longest. Those that
# fill the machine do not come beside those that tell by the second what KEDA or Envoy does.
FIRST = (
    "test_absent_kinds.py",
    "test_data_path.py",
    "test_takeover.py",
    "test_lifecycle.py",
    "test_faults.py",
    # In this order: the last ones take away what the others use.
    "front_door/test_callers.py",
    "front_door/test_changes.py",
    "front_door/test_limits.py",
    "front_door/test_prices.py",
    "front_door/test_tokens.py",
    "front_door/test_issuers.py",
    "front_door/test_providers.py",
    "front_door/test_fallback.py",
    "front_door/test_end.py",
    "test_pods.py",
    "test_life.py",
    "test_packets.py",
    "test_picker.py",
    "test_scaling.py",
    "test_operators.py",
    "test_diagnostics.py",
    "test_quiet.py",
)
# Files of which no test has a control plane: first those in which something happens by the clock,
# then those that only compute, which leave the processors to whoever wants them.
_CLOCKS = (
    "test_gateway.py",
    "test_drain.py",
    "test_failing_pods.py",
    "test_limits.py",
    "test_process.py",
)
PATIENT = (
    "test_alerts.py",
    "test_ci_example.py",
    "test_dashboards.py",
    "test_edge.py",
    "test_embedder.py",
    "test_evals.py",
    "test_meaning.py",
    "test_objectives.py",
    "test_package.py",
    "test_reach.py",
    "test_render.py",
    "test_validate.py",
)
ALONE = (*_CLOCKS, *PATIENT)
_NICENESS = 10


def place(path: pathlib.Path) -> int:
    """The place of a file among all: the workers should end at about the same time."""
    name = path.relative_to(_ROOT).as_posix() if path.is_relative_to(_ROOT) else ""
    order = (*FIRST, *ALONE)
    return order.index(name) if name in order else len(order)


def unit(nodeid: str) -> str:
    """What one worker runs whole: the file of a test, or its folder beneath this one.

    The files of a folder share what is dear to set up.
    """
    file = pathlib.PurePath(nodeid.partition("::")[0])
    return str(file if file.parent.name == _ROOT.name else file.parent)


def is_alone(name: str) -> bool:
    """Whether a unit needs no control plane."""
    return name in {f"{_ROOT.name}/{file}" for file in ALONE}


def yield_processors(name: str) -> None:
    """Lets what this process starts for a unit wait for others' programs, where that is no matter.

    Back again it may be for root alone.
    """
    wanted = _NICENESS if name in {f"{_ROOT.name}/{file}" for file in PATIENT} else 0
    with contextlib.suppress(OSError):
        if os.getpriority(os.PRIO_PROCESS, 0) in (0, _NICENESS):
            os.setpriority(os.PRIO_PROCESS, 0, wanted)


class Scheduling(loadfile.LoadFileScheduling):
    """Gives a worker a unit at a time, and the last one none that needs a control plane."""

    _apart: workermanage.WorkerController | None = None

    def _split_scope(self, nodeid: str) -> str:
        """The unit of a test."""
        return unit(nodeid)

    def schedule(self) -> None:
        """Begin, once all workers have collected the tests."""
        if self.collection is None and len(self.nodes) > 1:
            tests = next(iter(self.registered_collections.values()))
            if {True, False} == {is_alone(unit(test)) for test in tests}:
                self._apart = self.nodes[-1]
        super().schedule()

    def _next(self, node: workermanage.WorkerController) -> str | None:
        """The next unit of a worker; None where none of those that are left is for this one."""
        by_need: dict[bool, list[str]] = {True: [], False: []}
        for name in self.workqueue:
            by_need[is_alone(name)].append(name)
        order = by_need[True] if node is self._apart else by_need[False] + by_need[True]
        return next(iter(order), None)

    def _assign_work_unit(self, node: workermanage.WorkerController) -> None:
        """Give a worker its next unit, of which there is one."""
        name = self._next(node)
        if name is not None:
            self.workqueue.move_to_end(name, last=False)
        super()._assign_work_unit(node)

    def _reschedule(self, node: workermanage.WorkerController) -> None:
        """Give a worker one more unit, or tell that there is none."""
        if self.workqueue and self._next(node) is None and not node.shutting_down:
            node.shutdown()
        else:
            super()._reschedule(node)
