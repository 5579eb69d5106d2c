"""Claims that the function takes and Kubernetes does not, each under the name of its defect.

Property tests keep from them until the defect is mended; then its entry goes. An entry is as narrow
as the defect, and `e2e/test_validation.py` fails for one that is no longer there.
"""

import json
import math
import typing
from collections import abc

from function.engine import flags

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


_INTERNAL = "Cannot compose"
# What the composition names and mounts itself.
_VOLUMES = frozenset(("cache", "models", "shm", "tmp"))
_MOUNTS = frozenset(("/models", "/dev/shm", "/tmp", "/cache"))
_STANDARD = frozenset(("cpu", "memory", "ephemeral-storage"))
# Characters of environment and annotations: the template is remembered in one annotation.
_MUCH = 250_000

# Patches whose result Kubernetes refuses: nothing looks at what a patch makes of an object.
BROKEN_PATCHES: tuple[tuple[str, Json], ...] = (
    ("deployment", {"spec": {"minReadySeconds": 100000}}),
    ("deployment", {"spec": {"strategy": {"type": "Recreate"}}}),
    ("deployment", {"spec": {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}}}),
    ("deployment", {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}}),
    ("deployment", {"spec": {"template": {"spec": {"dnsPolicy": "None"}}}}),
    ("deployment", {"spec": {"template": {"spec": {"volumes": []}}}}),
    ("deployment", {"spec": {"template": {"spec": {"restartPolicy": "Never"}}}}),
    (
        "deployment",
        {"spec": {"template": {"spec": {"initContainers": [{"name": "vllm", "image": "i"}]}}}},
    ),
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


def _twice(keys: abc.Iterable[typing.Any]) -> bool:
    listed = list(keys)
    return len(set(listed)) < len(listed)


def _pod(spec: Json, field: str) -> typing.Any:
    return spec.get("podTemplate", {}).get(field, ())


def _numbers(spec: Json, flag: str) -> list[float]:
    """Return the numbers that are given to a flag."""
    values = [a.partition("=")[2] for a in spec.get("engineArgs", ()) if flags.normal(a) == flag]
    out = []
    for value in values:
        try:
            out.append(float(value))
        except ValueError:
            continue
    return out


def _not_finite(spec: Json) -> bool:
    given = [*_numbers(spec, "shutdown-timeout"), *_numbers(spec, "kv-offloading-size")]
    return any(not math.isfinite(number) for number in given)


def _negative(flag: str) -> abc.Callable[[Json], bool]:
    return lambda spec: any(-math.inf < number < 0 for number in _numbers(spec, flag))


def _spread(spec: Json) -> bool:
    entries = _pod(spec, "topologySpreadConstraints")
    return _twice((entry["topologyKey"], entry["whenUnsatisfiable"]) for entry in entries)


def _groups(spec: Json) -> bool:
    rules = spec.get("observability", {}).get("alertingRules", {})
    return _twice(group["name"] for group in rules.get("groups", ()))


def _volumes(spec: Json) -> bool:
    names = [volume["name"] for volume in _pod(spec, "volumes")]
    return _twice(names) or not _VOLUMES.isdisjoint(names)


def _mounts(spec: Json) -> bool:
    paths = [mount["mountPath"] for mount in _pod(spec, "volumeMounts")]
    return _twice(paths) or not _MOUNTS.isdisjoint(paths)


def _no_volume(spec: Json) -> bool:
    names = {volume["name"] for volume in _pod(spec, "volumes")} | _VOLUMES
    return any(mount["name"] not in names for mount in _pod(spec, "volumeMounts"))


def _escalation(spec: Json) -> bool:
    """Escalation is switched off beside it unless the author says otherwise."""
    context = spec.get("securityContext", {})
    added = (context.get("capabilities") or {}).get("add") or ()
    strong = context.get("privileged") or "CAP_SYS_ADMIN" in added
    return bool(strong) and context.get("allowPrivilegeEscalation", False) is False


def _proc(spec: Json) -> bool:
    return bool(spec.get("securityContext", {}).get("procMount", "Default") != "Default")


def _localhost(spec: Json) -> bool:
    """The profile that it is merged over has a type, which excludes a path."""
    profile = spec.get("securityContext", {}).get("seccompProfile") or {}
    return bool(profile) and "type" not in profile


def _foreign(spec: Json) -> bool:
    """Resources beside those that every container has, and that are not given as they must be."""
    given = spec.get("resources", {})
    requests, limits = given.get("requests", {}), given.get("limits", {})
    for name in {*requests, *limits} - _STANDARD:
        if "/" not in name and not name.startswith("hugepages-"):
            return True
        if not str(limits.get(name, "0")).isdigit() and "/" in name:
            return True
        if name in requests and requests[name] != limits.get(name, requests[name]):
            return True
        if name.startswith("hugepages-") and name not in limits:
            return True
    return False


def _much(spec: Json) -> bool:
    env = sum(len(entry.get("value", "")) for entry in _pod(spec, "env"))
    annotations = sum(map(len, dict(_pod(spec, "annotations")).values()))
    return bool(env + annotations > _MUCH)


def _patches(spec: Json) -> bool:
    given = [json.dumps([*item], sort_keys=True) for item in spec.get("patches", {}).items()]
    return any(json.dumps([*item], sort_keys=True) in given for item in BROKEN_PATCHES)


_ZONES: Json = {
    "maxSkew": 1,
    "topologyKey": "topology.kubernetes.io/zone",
    "whenUnsatisfiable": "ScheduleAnyway",
}
_RULES: Json = {"name": "own", "rules": [{"alert": "Slow", "expr": "vector(1) > 0"}]}

DEFECTS = (
    Defect(
        "a flag whose number is not finite",
        {"engineArgs": ["--shutdown-timeout=inf"]},
        _INTERNAL,
        _not_finite,
    ),
    Defect(
        "--shutdown-timeout below zero",
        {"engineArgs": ["--shutdown-timeout=-100"]},
        "less than terminationGracePeriodSeconds (-40)",
        _negative("shutdown-timeout"),
    ),
    Defect(
        "--kv-offloading-size below zero",
        {"engineArgs": ["--kv-offloading-size=-100"]},
        "resources.requests[memory]: Invalid value",
        _negative("kv-offloading-size"),
    ),
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
    Defect(
        "a volume of a name that is taken",
        {"podTemplate": {"volumes": [{"name": "tmp", "emptyDir": {}}]}},
        'volumes: duplicate entries for key [name="tmp"]',
        _volumes,
    ),
    Defect(
        "a mount at a path that is taken",
        {"podTemplate": {"volumeMounts": [{"name": "tmp", "mountPath": "/models"}]}},
        'volumeMounts: duplicate entries for key [mountPath="/models"]',
        _mounts,
    ),
    Defect(
        "a mount of a volume that is not there",
        {"podTemplate": {"volumeMounts": [{"name": "absent", "mountPath": "/x"}]}},
        'name: Not found: "absent"',
        _no_volume,
    ),
    Defect(
        "a privileged container",
        {"securityContext": {"privileged": True}},
        "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
        _escalation,
    ),
    Defect(
        "an unmasked /proc",
        {"securityContext": {"procMount": "Unmasked"}},
        "`hostUsers` must be false to use `Unmasked`",
        _proc,
    ),
    Defect(
        "a seccomp profile without its type",
        {"securityContext": {"seccompProfile": {"localhostProfile": "a.json"}}},
        "can only be set when seccomp type is Localhost",
        _localhost,
    ),
    Defect(
        "a resource that containers do not have, or not in this way",
        {"resources": {"limits": {"gpu": 1}}},
        "must be a standard resource for containers",
        _foreign,
    ),
    Defect(
        "as much environment and annotations as the schema admits",
        {
            "podTemplate": {
                "env": [{"name": f"E{index}", "value": "x" * 4096} for index in range(32)],
                "annotations": {f"a{index}": "x" * 4096 for index in range(32)},
            }
        },
        "metadata.annotations: Too long",
        _much,
    ),
    Defect(
        "a patch that breaks its object",
        {"patches": {"pdb": {"spec": {"minAvailable": 1}}}},
        "PodDisruptionBudget",
        _patches,
    ),
)
