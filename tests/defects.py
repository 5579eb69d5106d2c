"""Claims that the function takes and Kubernetes does not, each under the name of its defect.

Property tests keep from them until the defect is mended; then its entry goes. An entry is as narrow
as the defect, and `e2e/test_validation.py` fails for one whose claim is refused or taken by both.
"""

import typing
from collections import abc

Json: typing.TypeAlias = dict[str, typing.Any]


class Defect(typing.NamedTuple):
    """One way to get an object refused.

    Attributes:
        name: What the author wrote.
        spec: The smallest spec that shows it, without `model`.
        says: What Kubernetes says to an object of that claim.
        meets: Whether a claim's spec is of this kind.
    """

    name: str
    spec: Json
    says: str
    meets: abc.Callable[[Json], bool]


def _twice(keys: abc.Iterable[typing.Any]) -> bool:
    listed = list(keys)
    return len(set(listed)) < len(listed)


def _spread(spec: Json) -> bool:
    entries = spec.get("podTemplate", {}).get("topologySpreadConstraints", ())
    return _twice((entry["topologyKey"], entry["whenUnsatisfiable"]) for entry in entries)


def _groups(spec: Json) -> bool:
    rules = spec.get("observability", {}).get("alertingRules", {})
    return _twice(group["name"] for group in rules.get("groups", ()))


_ZONES: Json = {
    "maxSkew": 1,
    "topologyKey": "topology.kubernetes.io/zone",
    "whenUnsatisfiable": "ScheduleAnyway",
}
_RULES: Json = {"name": "own", "rules": [{"alert": "Slow", "expr": "vector(1) > 0"}]}

DEFECTS = (
    Defect(
        "the same topologySpreadConstraint twice",
        {"podTemplate": {"topologySpreadConstraints": [_ZONES, _ZONES]}},
        "topologySpreadConstraints: duplicate entries for key",
        _spread,
    ),
    Defect(
        "two alertingRules groups of one name",
        {"observability": {"alertingRules": {"groups": [_RULES, _RULES]}}},
        "spec.groups[1]: Duplicate value",
        _groups,
    ),
)


def met(claim: Json) -> list[str]:
    """Return the defects that a claim runs into."""
    return [defect.name for defect in DEFECTS if defect.meets(claim["spec"])]
