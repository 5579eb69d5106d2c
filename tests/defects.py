"""Claims that the function takes and Kubernetes does not, each under the name of its defect.

Property tests keep from them until the defect is mended; then its entry goes. An entry is as narrow
as the defect, and `e2e/test_validation.py` fails for one that is no longer there.
"""

import json
import typing
from collections import abc

Json: typing.TypeAlias = dict[str, typing.Any]


class Defect(typing.NamedTuple):
    """One way to get an object refused, or an internal error.

    Attributes:
        name: What the author wrote.
        spec: The smallest spec that shows it, without `model`.
        says: What Kubernetes says to an object of that claim, or the function's log.
        meets: Whether a claim's spec is of this kind.
    """

    name: str
    spec: Json
    says: str
    meets: abc.Callable[[Json], bool]


# Patches whose result Kubernetes refuses: nothing looks at what a patch makes of an object.
BROKEN_PATCHES: tuple[tuple[str, Json], ...] = (
    ("deployment", {"spec": {"minReadySeconds": 100000}}),
    ("deployment", {"spec": {"strategy": {"type": "Recreate"}}}),
    ("deployment", {"spec": {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}}}),
    ("service", {"spec": {"ports": []}}),
    ("service", {"spec": {"clusterIPs": ["10.0.0.1"]}}),
    ("service", {"metadata": {"labels": {"a": "b c"}}}),
    ("pdb", {"spec": {"minAvailable": 1}}),
    ("preload-job", {"spec": {"template": {"spec": {"restartPolicy": "OnFailure"}}}}),
    ("scaledobject", {"spec": {"pollingInterval": 0}}),
    ("scaledobject", {"spec": {"triggers": []}}),
    ("httproute-direct", {"spec": {"rules": []}}),
    ("gateway-backend", {"spec": {"endpoints": []}}),
)


def met(claim: Json) -> list[str]:
    """Return the defects that a claim runs into."""
    return [defect.name for defect in DEFECTS if defect.meets(claim["spec"])]


def _patches(spec: Json) -> bool:
    given = [json.dumps([*item], sort_keys=True) for item in spec.get("patches", {}).items()]
    return any(json.dumps([*item], sort_keys=True) in given for item in BROKEN_PATCHES)


DEFECTS = (
    Defect(
        "a patch that breaks its object",
        {"patches": {"pdb": {"spec": {"minAvailable": 1}}}},
        "PodDisruptionBudget",
        _patches,
    ),
)
