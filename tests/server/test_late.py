"""What the server reads at its start, and what waits for its first use."""

import subprocess
import sys

from function import late

_PROGRAM = """
import gc, sys, types
from function import main, late
read = [name for name in late.MODULES if type(sys.modules[name]) is types.ModuleType]
print(read, gc.isenabled())
from function.api import kubernetes
print(list(kubernetes.problems(kubernetes.Toleration, {"operator": 1}, "tolerations[0]"))[0].path)
"""


def test_rare_types_are_read_when_they_are_first_used() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == ["[] True", "tolerations[0].operator"]
    assert "function.api.kubernetes" in late.MODULES


def test_nobody_looks_for_plugins() -> None:
    """What the standard library has for installed packages is a twelfth of all that is read."""
    program = """
import sys
sys.modules["rich"] = None  # The image has none, and the SDK's logging reads it where it is.
from function import main
from function.api import claim
claim.InferenceService.model_rebuild()
print("importlib.metadata" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == ["False"]
