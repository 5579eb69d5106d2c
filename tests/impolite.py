"""Claims of authors who try things: each touch is plausible, and some clash with what is ours.

What is touched passes through the claim's schema. The function may refuse the claim for it, in
words; what it takes has to work.
"""

import json
import typing
from collections import abc

from hypothesis import strategies as st

from tests import defects, pieces, strategies

Json: typing.TypeAlias = dict[str, typing.Any]
Touch: typing.TypeAlias = abc.Callable[[Json, st.DrawFn], None]

_ENGINE_ARGUMENTS = (
    "--shutdown-timeout",
    "--kv-offloading-size",
    "--kv-cache-dtype=",
    "--seed=$(HOME)",
    "--seed=é✓",
    "--otlp-traces-endpoint=$(x)$$",
    '--override-generation-config={"a": "\\"b\\""}',
    '--speculative-config={"model": "org/draft", "num_speculative_tokens": 5}',
    '--compilation-config={"level": 3}',
    '--kv-transfer-config={"kv_connector": "x"}',
    "--enforce-eager",
    "--runner=pooling",
    "--dtype=float32",
    "--block-size=0",
    "--block-size=²",
    "--" + "a" * 254,
    *(
        f"--shutdown-timeout={value}"
        for value in ("inf", "nan", "-100", "1e3", "0.5", "9999999", "x")
    ),
    *(f"--kv-offloading-size={value}" for value in ("inf", "nan", "-100", "1e6", "0.5", "8", "x")),
    *(f"--kv_offloading.size={value}" for value in ("8",)),
    *(f"--tensor-parallel-size={value}" for value in ("0", "-1", "8", "1000", "x", "1.5")),
    *(f"--pipeline-parallel-size={value}" for value in ("0", "2", "1000")),
    *(f"--data-parallel-size={value}" for value in ("-2", "2")),
    *(f"--max-num-batched-tokens={value}" for value in ("0", "-1", "x", "99999999999999999999")),
)

_SECURITY_CONTEXTS: tuple[Json, ...] = (
    {"runAsUser": 0},
    {"allowPrivilegeEscalation": True},
    {"privileged": True, "allowPrivilegeEscalation": True},
    {"privileged": True},
    {"runAsUser": 0, "runAsNonRoot": False},
    {"runAsGroup": 0},
    {"capabilities": {"add": ["SYS_ADMIN"]}},
    {"capabilities": {"add": ["SYS_ADMIN"], "drop": None}},
    {"capabilities": None},
    {"capabilities": {"add": ["CAP_SYS_ADMIN"]}},
    {"procMount": "Unmasked"},
    {"seccompProfile": {"type": "Unconfined"}},
    {"seccompProfile": {"type": "Localhost", "localhostProfile": "profiles/a.json"}},
    {"seccompProfile": {"localhostProfile": "profiles/a.json"}},
    {"seccompProfile": None},
    {"readOnlyRootFilesystem": False},
    {"readOnlyRootFilesystem": None, "runAsNonRoot": None},
    {"appArmorProfile": {"type": "Unconfined"}},
    {"seLinuxOptions": {"type": "spc_t"}},
)

_RESOURCES: tuple[Json, ...] = (
    {"requests": {"memory": "64Gi"}, "limits": {"memory": "8Gi"}},
    {"requests": {"cpu": "8"}, "limits": {"cpu": "500m"}},
    {"requests": {"ephemeral-storage": "9Gi"}, "limits": {"ephemeral-storage": "1Gi"}},
    {"limits": {"memory": "1Gi"}},
    {"limits": {"cpu": "100m"}},
    {"requests": {"memory": "900Gi"}},
    {"requests": {"cpu": 900}},
    {"limits": {"memory": 0}},
    {"requests": {"memory": 0}, "limits": {"memory": "0"}},
    {"requests": {"cpu": "0.0001"}},
    {"limits": {"memory": "100m"}},
    {"requests": {"memory": "1.5"}, "limits": {"memory": "16Gi"}},
    {"limits": {"nvidia.com/gpu": 2}},
    {"requests": {"nvidia.com/gpu": 2}},
    {"limits": {"nvidia.com/mig-1g.10gb": 1}},
    {"requests": {"example.com/fpga": 1}},
    {"limits": {"example.com/fpga": 1}},
    {"limits": {"example.com/fpga": "500m"}},
    {"requests": {"example.com/fpga": 1}, "limits": {"example.com/fpga": 2}},
    {"limits": {"hugepages-2Mi": "4Mi"}},
    {"requests": {"hugepages-2Mi": "4Mi"}},
    {"limits": {"storage": "1Gi"}},
    {"limits": {"gpu": 1}},
    {"limits": {"pods": 1}},
    {"requests": {"memory": "9E"}, "limits": {"memory": "9E"}},
    {"requests": {"memory": "99999Ei"}},
)

_TOLERATIONS: tuple[Json, ...] = (
    {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "nvidia.com/gpu", "operator": "Equal", "value": "", "effect": "NoSchedule"},
    {"operator": "Exists"},
    {"key": "a", "effect": "NoExecute", "tolerationSeconds": 0},
)

_VOLUMES: tuple[Json, ...] = (
    *(
        {"name": name, "emptyDir": {}}
        for name in ("scratch", "v" * 63, "dshm", "models", "shm", "cache", "tmp")
    ),
    {"name": "models", "persistentVolumeClaim": {"claimName": "mine"}},
    {"name": "host", "hostPath": {"path": "/"}},
    {"name": "secrets", "secret": {"secretName": "a", "defaultMode": 256}},
    {"name": "claim", "persistentVolumeClaim": {"claimName": "mine", "readOnly": True}},
    {
        "name": "all",
        "projected": {
            "sources": [{"serviceAccountToken": {"path": "t"}}, {"secret": {"name": "a"}}]
        },
    },
    {
        "name": "big",
        "ephemeral": {
            "volumeClaimTemplate": {
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": "1Gi"}},
                }
            }
        },
    },
)
_MOUNTS = (
    "/scratch",
    "/root/.cache",
    "/models/sub",
    "/models/",
    "/",
    "relative",
    "/a:b",
    "/models",
    "/dev/shm",
    "/tmp",
    "/cache",
)

_ENV: tuple[Json, ...] = (
    *(
        {"name": name, "value": "mine"}
        for name in ("HF_HOME", "HF_HUB_OFFLINE", "VLLM_LOGGING_LEVEL")
    ),
    *({"name": name, "value": "mine"} for name in ("PATH", "HOME", "POD_IP", "VLLM_USE_V1")),
    {"name": "EMPTY"},
    {"name": "REFERENCE", "value": "$(HF_HOME)$$(A)"},
    {"name": "LONG", "value": "x" * 4096},
    {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
    {
        "name": "MAPPED",
        "valueFrom": {"configMapKeyRef": {"name": "a", "key": "b", "optional": True}},
    },
)

# Patches that are refused in words, or of which each object is one that Kubernetes takes.
_PATCHES: tuple[tuple[str, Json], ...] = (
    ("deployment", {"metadata": {"annotations": {"a": "b", "c": None}}}),
    ("deployment", {"spec": {"progressDeadlineSeconds": 1}}),
    ("deployment", {"spec": {"strategy": {"rollingUpdate": None}}}),
    ("deployment", {"spec": {"template": {"metadata": {"labels": {"tier": "a"}}}}}),
    ("deployment", {"spec": {"template": {"spec": {"hostNetwork": True}}}}),
    ("deployment", {"spec": {"template": {"spec": {"hostUsers": False}}}}),
    ("deployment", {"spec": {"template": {"spec": {"securityContext": None}}}}),
    ("deployment", {"spec": {"template": {"spec": {"topologySpreadConstraints": []}}}}),
    ("deployment", {"spec": {"template": {"spec": {"priority": 5}}}}),
    ("deployment", {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}}),
    ("deployment", {"spec": {"template": {"spec": {"dnsPolicy": "None"}}}}),
    ("deployment", {"spec": {"template": {"spec": {"volumes": []}}}}),
    ("deployment", {"spec": {"template": {"spec": {"restartPolicy": "Never"}}}}),
    (
        "deployment",
        {"spec": {"template": {"spec": {"initContainers": [{"name": "vllm", "image": "i"}]}}}},
    ),
    ("service", {"spec": {"ports": [{"port": 80}]}}),
    ("service", {"spec": {"sessionAffinity": "ClientIP"}}),
    ("serviceaccount", {"automountServiceAccountToken": True}),
    ("serviceaccount", {"imagePullSecrets": [{"name": "a"}]}),
    ("pdb", {"spec": {"maxUnavailable": "50%"}}),
    ("preload-job", {"spec": {"backoffLimit": 0, "ttlSecondsAfterFinished": 5}}),
    ("preload-job", {"spec": {"podFailurePolicy": None}}),
    ("preload-job", {"spec": {"completions": 3, "parallelism": 3}}),
    ("scaledobject", {"spec": {"cooldownPeriod": 5}}),
    ("scaledobject", {"spec": {"idleReplicaCount": 0}}),
    ("vmrule", {"spec": {"groups": []}}),
    ("prometheusrule", {"spec": {"groups": []}}),
    ("httproute", {"spec": {"hostnames": ["*.example.com"]}}),
    ("gateway-airoute", {"spec": {"rules": []}}),
    ("backendtrafficpolicy", {"spec": {"retry": None}}),
    ("servicemonitor", {"spec": {"endpoints": []}}),
    ("vmservicescrape", {"spec": {"endpoints": []}}),
)


@st.composite
def claims(draw: st.DrawFn) -> Json:
    """Draws a valid claim with one to three touches."""
    document = draw(strategies.claims())
    touches = draw(st.lists(st.sampled_from(sorted(_TOUCHES)), min_size=1, max_size=3, unique=True))
    for name in touches:
        _TOUCHES[name](document["spec"], draw)
    return typing.cast("Json", json.loads(json.dumps(document)))


def _arguments(spec: Json, draw: st.DrawFn) -> None:
    # A flag beside the field that it replaces is refused, and nothing more is learnt.
    spec.pop("drainSeconds", None)
    for field in ("dtype", "kvCacheDtype", "runner"):
        spec["model"].pop(field, None)
    spec["engineArgs"] = draw(
        st.lists(st.sampled_from(_ENGINE_ARGUMENTS), min_size=1, max_size=3, unique=True)
    )


def _security(spec: Json, draw: st.DrawFn) -> None:
    spec["securityContext"] = draw(st.sampled_from(_SECURITY_CONTEXTS))


def _resources(spec: Json, draw: st.DrawFn) -> None:
    spec["resources"] = draw(st.sampled_from(_RESOURCES))


def _pod(spec: Json) -> Json:
    return typing.cast("Json", spec.setdefault("podTemplate", {}))


def _tolerations(spec: Json, draw: st.DrawFn) -> None:
    _pod(spec)["tolerations"] = draw(
        st.lists(st.sampled_from(_TOLERATIONS), min_size=1, max_size=3)
    )


def _volumes(spec: Json, draw: st.DrawFn) -> None:
    volumes = draw(st.lists(st.sampled_from(_VOLUMES), min_size=1, max_size=2))
    _pod(spec)["volumes"] = volumes
    _pod(spec)["volumeMounts"] = [
        {"name": volume["name"], "mountPath": draw(st.sampled_from(_MOUNTS))} for volume in volumes
    ]


def _mounts(spec: Json, draw: st.DrawFn) -> None:
    path = draw(st.sampled_from(_MOUNTS))
    name = draw(st.sampled_from(("models", "shm", "absent")))
    _pod(spec)["volumeMounts"] = [{"name": name, "mountPath": path, "subPath": "a"}]


def _env(spec: Json, draw: st.DrawFn) -> None:
    chosen = draw(st.lists(st.sampled_from(_ENV), min_size=1, max_size=3))
    _pod(spec)["env"] = list({entry["name"]: entry for entry in chosen}.values())


def _much(spec: Json, draw: st.DrawFn) -> None:
    """Texts as long as the schema admits; few, so that an example can be printed."""
    size = draw(st.sampled_from((100, 4096)))
    _pod(spec)["env"] = [{"name": f"E{index}", "value": "x" * size} for index in range(3)]
    _pod(spec)["annotations"] = {f"a{index}": "x" * size for index in range(3)}


def _patches(spec: Json, draw: st.DrawFn) -> None:
    every = (*_PATCHES, *defects.BROKEN_PATCHES)
    spec["patches"] = dict(draw(st.lists(st.sampled_from(every), min_size=1, max_size=2)))


def _near(field: str, piece: st.SearchStrategy[typing.Any]) -> Touch:
    """Returns the touch that puts a piece that is nearly right into podTemplate."""

    def touch(spec: Json, draw: st.DrawFn) -> None:
        _pod(spec)[field] = draw(piece)

    return touch


def _near_security(spec: Json, draw: st.DrawFn) -> None:
    spec["securityContext"] = draw(pieces.SECURITY)


def _near_resources(spec: Json, draw: st.DrawFn) -> None:
    spec["resources"] = draw(pieces.RESOURCES)


def _near_volumes(spec: Json, draw: st.DrawFn) -> None:
    _pod(spec)["volumes"] = draw(pieces.VOLUMES)
    _pod(spec)["volumeMounts"] = draw(pieces.MOUNTS)


def _near_source(spec: Json, draw: st.DrawFn) -> None:
    _pod(spec)["env"] = [{"name": "POD_NAME", "valueFrom": draw(pieces.SOURCE)}]


def _near_pod(spec: Json, draw: st.DrawFn) -> None:
    spec["patches"] = {"deployment": {"spec": {"template": {"spec": draw(pieces.POD)}}}}


_TOUCHES: dict[str, Touch] = {
    "arguments": _arguments,
    "env": _env,
    "mounts": _mounts,
    "much": _much,
    "near affinity": _near("affinity", pieces.AFFINITY),
    "near annotations": _near("annotations", pieces.ANNOTATIONS),
    "near pod": _near_pod,
    "near resources": _near_resources,
    "near security": _near_security,
    "near source": _near_source,
    "near spreads": _near("topologySpreadConstraints", pieces.SPREADS),
    "near tolerations": _near("tolerations", pieces.TOLERATIONS),
    "near volumes": _near_volumes,
    "patches": _patches,
    "resources": _resources,
    "security": _security,
    "tolerations": _tolerations,
    "volumes": _volumes,
}
