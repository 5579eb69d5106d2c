"""What a variable of `podTemplate.env` can do, and that none of vLLM's own is overlooked."""

import json
import pathlib
import re
from typing import Any

import pytest

from function.api import claim_pod
from function.engines import judgements
from function.engines.vllm import environment
from tests import cluster
from tests.engines.vllm import recorded
from tests.resources import scene

Kind = judgements.Kind
RECORDED: dict[str, list[str]] = json.loads(
    pathlib.Path("tests/engines/vllm/recorded/environment.json").read_text()
)["variables"]


def variable(name: str, value: str | None = None, **source: Any) -> claim_pod.EnvVar:
    """Returns a variable with a value, or with a source by its kind."""
    written: dict[str, Any] = {"name": name}
    if value is not None:
        written["value"] = value
    if source:
        written["valueFrom"] = source
    return claim_pod.EnvVar.model_validate(written)


def kinds(name: str, value: str | None = None, **source: Any) -> list[Kind]:
    danger = environment.danger(variable(name, value, **source))
    return [] if danger is None else [danger.kind]


SECRET = {"secretKeyRef": {"name": "keys", "key": "a"}}


@pytest.mark.parametrize("version", recorded.VERSIONS)
def test_the_table_holds_every_variable_of_the_version(version: str) -> None:
    own = {name for name, versions in RECORDED.items() if version in versions}
    assert len(own) > 200
    assert own - set(environment.TABLE) == set()


# What a name gives away of files, code, addresses, secrets and switches of safety.
_TELLING = re.compile(
    r"(^|_)(ADDR|ADDRESS|ALLOW|API|CACHE|CLASS|CODE|CONFIG|CONNECTOR|DIR|DUMP|ENDPOINT|ENV|FILE"
    r"|FOLDER|HOME|HOST|HOSTNAME|INCLUDE|INSECURE|IP|KEY|LIB|LIBRARY|LOAD|LOADER|MODULE|PATH|PLUGINS"
    r"?|PORT|PREFIX|PREFIXES|PROGRAM|REDIRECT|REDIRECTS|REPO|RESOLVER|ROOT|RUNTIME|SECRET|SERVER|SO"
    r"|SOURCE|STREAM|TOKEN|TRUST|URL|VARS|BACKEND)($|_)"
)
# Plain all the same: switches, numbers, sizes, and names of what vLLM ships. A media connector and
# a video loader are looked up in registries that only vLLM and its plugins fill. A prefix stands
# before log lines and names of processes.
_REVIEWED = """
    CUBLAS_WORKSPACE_CONFIG CUDA_MODULE_LOADING NCCL_CUMEM_HOST_ENABLE POD_IP
    VLLM_ALLOW_CHUNKED_LOCAL_ATTN_WITH_HYBRID_KV_CACHE VLLM_ALLOW_LONG_MAX_MODEL_LEN
    VLLM_ASSETS_CACHE_MODEL_CLEAN VLLM_ATTENTION_BACKEND VLLM_BUILD_URL
    VLLM_COHERE2_ATTN_MOE_DUAL_STREAM_TOKEN_THRESHOLD VLLM_COMPILE_CACHE_SAVE_FORMAT
    VLLM_CPU_CI_ENV VLLM_DEBUG_LOG_API_SERVER_RESPONSE VLLM_DEEPEP_V2_ALLOW_HYBRID_MODE
    VLLM_DEEPEP_V2_ALLOW_MULTIPLE_REDUCTION VLLM_DISABLE_COMPILE_CACHE
    VLLM_DISABLE_SHARED_EXPERTS_STREAM VLLM_ENABLE_COHERE_API VLLM_ENABLE_RESPONSES_API_STORE
    VLLM_FLASHINFER_ALLREDUCE_BACKEND VLLM_FLASHINFER_MOE_BACKEND VLLM_FORCE_AOT_LOAD
    VLLM_KIMI_K3_AUX_ATTN_RES_STREAM VLLM_KV_CACHE_LAYOUT VLLM_LOGGING_PREFIX
    VLLM_LORA_ENABLE_DUAL_STREAM VLLM_MEDIA_CACHE_MAX_SIZE_MB VLLM_MEDIA_CACHE_TTL_HOURS
    VLLM_MEDIA_CONNECTOR VLLM_MEDIA_URL_ALLOW_REDIRECTS VLLM_MOONCAKE_CONNECTOR_TIMEOUT
    VLLM_MOONCAKE_LOAD_RECV_THREADS VLLM_MORIIO_CONNECTOR_READ_MODE
    VLLM_MULTI_STREAM_GEMM_TOKEN_THRESHOLD VLLM_MXFP4_EMULATION_DEQUANT_AT_LOAD
    VLLM_MXFP8_EMULATION_DEQUANT_AT_LOAD VLLM_NVFP4_GEMM_BACKEND
    VLLM_PREFIX_CACHE_RETENTION_INTERVAL VLLM_PROCESS_NAME_PREFIX VLLM_ROCM_SHUFFLE_KV_CACHE_LAYOUT
    VLLM_SHARED_EXPERTS_STREAM_TOKEN_THRESHOLD VLLM_TRITON_FORCE_FIRST_CONFIG VLLM_USAGE_SOURCE
    VLLM_USE_RAY_V2_EXECUTOR_BACKEND VLLM_V1_USE_OUTLINES_CACHE VLLM_VIDEO_LOADER_BACKEND
    VLLM_XGRAMMAR_CACHE_MB VLLM_XPU_INC_WNA16_BACKEND
    """


def test_a_telling_name_was_looked_at() -> None:
    telling = {
        listed.name
        for listed in environment.TABLE.values()
        if listed.kind is Kind.PLAIN and _TELLING.search(listed.name)
    }
    assert telling == set(_REVIEWED.split())


def test_what_is_not_plain_says_what_it_does() -> None:
    for listed in environment.TABLE.values():
        assert bool(listed.why) == (listed.kind is not Kind.PLAIN), listed.name
        assert listed.kind is not Kind.UNKNOWN
    names = [listed.name for listed in environment._table()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VLLM_LOGGING_LEVEL", "DEBUG"),
        ("VLLM_ATTENTION_BACKEND", "FLASH_ATTN"),
        ("VLLM_USE_V1", "1"),
        ("VLLM_LOGGING_STREAM", "ext://sys.stderr"),
        ("VLLM_PLUGINS", ""),
        ("VLLM_PLUGINS", None),
        ("NCCL_DEBUG", "INFO"),
        ("NCCL_P2P_DISABLE", "1"),
        ("NCCL_NET_PLUGIN", "none"),
        ("CUDA_LAUNCH_BLOCKING", "1"),
        ("OMP_NUM_THREADS", "4"),
        ("HF_HUB_OFFLINE", "1"),
        ("DO_NOT_TRACK", "1"),
        ("TZ", "Europe/Paris"),
        ("LANG", "C.UTF-8"),
        ("PYTHONUNBUFFERED", "1"),
        ("POD_NAME", "x"),
    ],
)
def test_tuning_passes(name: str, value: str | None) -> None:
    assert kinds(name, value) == []


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("VLLM_LOGGING_STREAM", "ext://evil.stream", Kind.CODE),
        ("VLLM_PLUGINS", "mine", Kind.CODE),
        ("LD_PRELOAD", "/models/x.so", Kind.CODE),
        ("LD_A_NEW_ONE", "1", Kind.CODE),
        ("PYTHONWARNINGS", "error::a.B", Kind.CODE),
        ("NCCL_NEXT_PLUGIN", "/models/x.so", Kind.CODE),
        ("VLLM_NEXT_CACHE_DIR", "/models/x", Kind.CODE),
        ("TRITON_NEW", "1", Kind.CODE),
        ("HF_HUB_OFFLINE", "0", Kind.CONNECTS),
        ("VLLM_PORT", "1", Kind.LISTENS),
        ("VLLM_API_KEY", "x", Kind.SECRET),
        ("VLLM_SOMETHING_NEW", "1", Kind.UNKNOWN),
        ("A", "1", Kind.UNKNOWN),
        ("TZ", "/etc/passwd", Kind.FILES),
        ("TZ", ":/etc/passwd", Kind.FILES),
        ("TZ", "../../etc/passwd", Kind.FILES),
        ("LC_ALL", "/models/x", Kind.FILES),
        ("NVIDIA_VISIBLE_DEVICES", "all", Kind.MANAGED),
    ],
)
def test_what_a_variable_can_do(name: str, value: str, kind: Kind) -> None:
    assert kinds(name, value) == [kind]


def test_a_value_from_elsewhere_is_not_known() -> None:
    assert kinds("VLLM_LOGGING_LEVEL", configMapKeyRef={"name": "a", "key": "b"}) == []
    assert kinds("HF_HUB_OFFLINE", configMapKeyRef={"name": "a", "key": "b"}) == [Kind.CONNECTS]
    assert kinds("VLLM_API_KEY", configMapKeyRef={"name": "a", "key": "b"}) == [Kind.SECRET]
    assert kinds("VLLM_API_KEY", secretKeyRef=SECRET["secretKeyRef"]) == []


@pytest.mark.parametrize("name", ["VLLM_PORT", "VLLM_LOGGING_LEVEL", "NCCL_DEBUG", "VLLM_NEW_PORT"])
def test_what_the_engine_prints_is_never_from_a_secret(name: str) -> None:
    wanted = scene.of(podTemplate={"env": [{"name": name, "valueFrom": SECRET}]})
    everything = {field: ["*"] for field in ("trustRemoteCode", "environment", "engineSecrets")}
    problems = scene.unplanned(wanted, scene.site(permissions=everything)).problems
    assert [problem.path for problem in problems] == [
        "spec.podTemplate.env[0].valueFrom.secretKeyRef"
    ]
    assert name in problems[0].message


@pytest.mark.parametrize(
    ("entry", "setting"),
    [
        ({"name": "LD_PRELOAD", "value": "/x"}, "trustRemoteCode"),
        ({"name": "HF_ENDPOINT", "value": "https://hub"}, "environment"),
        ({"name": "FEATURE", "value": "1"}, "environment"),
        ({"name": "VLLM_API_KEY", "value": "x"}, "engineSecrets"),
        ({"name": "HTTPS_PROXY", "valueFrom": SECRET}, "environment"),
    ],
)
def test_each_class_has_a_permission(entry: cluster.Object, setting: str) -> None:
    wanted = scene.of(podTemplate={"env": [{"name": "NCCL_DEBUG", "value": "INFO"}, entry]})
    (problem,) = scene.unplanned(wanted).problems
    assert problem.path == "spec.podTemplate.env[1]"
    assert problem.message.startswith(f"{entry['name']} ")
    assert f"permissions.{setting}" in problem.message
    every = ("environment", "engineSecrets", "engineFiles", "unknownArguments", "patches")
    for other in every:
        if other != setting:
            scene.unplanned(wanted, scene.site(permissions={other: ["llm"]}))
    for opens in (setting, "trustRemoteCode"):
        scene.planned(wanted, scene.site(permissions={opens: ["llm"]}))


@pytest.mark.parametrize("argument", ["--fingerprint-value=$(HF_TOKEN)", "--seed=$$(A)", "--x=$("])
def test_a_reference_to_a_variable_is_refused_with_any_permission(argument: str) -> None:
    everything = scene.site(permissions={"trustRemoteCode": ["*"], "environment": ["*"]})
    refusal = scene.refused(scene.of(engineArgs=["--seed=1", argument]), everything)
    assert "spec.engineArgs[1]: holds $(" in refusal
    value = argument.partition("=")[2]
    env = [{"name": "POD_NAME", "value": "a"}, {"name": "VLLM_LOGGING_PREFIX", "value": value}]
    refusal = scene.refused(scene.of(podTemplate={"env": env}), everything)
    assert "spec.podTemplate.env[1].value: holds $(" in refusal
