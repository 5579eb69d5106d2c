"""Values that a person would write into a field, by pattern and by field."""

import typing

from function.api import (
    base,
    claim,
    claim_cost,
    claim_model,
    claim_pod,
    gateway_router,
    gateway_tokens,
    settings_forms,
)

Json: typing.TypeAlias = dict[str, typing.Any]

# Values of strings by their pattern. Each is tried against the longest length of its field.
STRINGS: dict[str | None, tuple[str, ...]] = {
    None: ("x", "apps/llm/token", "ünïcödé ✓", "a b\tc", "0", "{}"),
    base.DNS_LABEL: ("a", "gpu-l4", "h200-141", "0", "llm", "a" * 63, "x--y"),
    base.DNS_SUBDOMAIN: ("hf-token", "a", "models.example.com", "0.0", "b" * 253),
    base.LABEL_VALUE: ("", "true", "ai-platform", "Team_A.1", "v" * 63),
    gateway_tokens.ISSUER: ("https://sso.example.com", "http://a", "https://sso/realms/llm"),
    gateway_tokens.JWKS: ("https://sso.example.com/keys", "https://login.example.com:8443/"),
    gateway_tokens.CLAIM: ("sub", "azp", "realm_access.roles"),
    claim_cost.PAYER: ("search", "cc-4711", "Team_A.1", "p" * 63),
    base.LABEL_KEY: ("team", "example.com/cost-center", "A_b.c", "a/" + "k" * 63, "n" * 63),
    base.EXTENDED_RESOURCE: ("nvidia.com/gpu", "amd.com/gpu", "nvidia.com/mig-1g.10gb"),
    base.QUANTITY: ("1", "16Gi", "500m", "1.5", "24Gi", "0"),
    base.DURATION: ("30s", "1h", "1h30m", "500ms", "15m"),
    base.DECIMAL: ("0.7", "1", "22.4", "0.0001", "999999.9999", "95", "99.9"),
    claim.NAME: ("a", "qwen", "xplane-qwen-coder", "q" * 53, "q" * 54, "a-0"),
    claim_model.REPOSITORY: (
        "Qwen/Qwen3-8B",
        "gpt2",
        "meta-llama/Llama-Guard-3-1B",
        "Qwen/Qwen2.5-Coder-7B-Instruct",
        "o" * 96 + "/" + "m" * 96,
    ),
    claim_model.REVISION: (
        "main",
        "c03e6d358207e414f1eca0bb1891e29f1db0e242",
        "refs/pr/7",
        "v1.0",
        "r" * 64,
    ),
    claim_model.RELATIVE_PATH: ("models/qwen", "a", "teams/a/Qwen_3-8B.v1", "p" * 255),
    claim_model.PINNED_IMAGE: (
        "registry.example.com/models/qwen3-8b@sha256:" + "0a" * 32,
        "ghcr.io/org/model:v1@sha256:" + "b" * 64,
        "localhost:5000/m@sha256:" + "c" * 64,
    ),
    claim_model.S3_URI: ("s3://models/qwen3-8b", "s3://a.b-c/teams/a/Qwen_3-8B.v1", "s3://abc"),
    claim_model.ABSOLUTE_PATH: ("/templates/chat.jinja", "/a", "/opt/x_y/z-1.jinja"),
    claim_model.WORD: ("hermes", "qwen3_coder", "sql-dpo", "Llama3.1", "w" * 63),
    claim_pod.IMAGE: (
        "vllm/vllm-openai:v0.25.1",
        "registry.example.com:5000/vllm/vllm-openai:0.26.0-cu130",
        "ghcr.io/example/vllm:v0.25.1.post1",
    ),
    claim_pod.ENGINE_VERSION: ("0.25.1", "v0.26.0", "0.25.1.post1", "1.0.0-rc1"),
    claim.ENGINE_ARGUMENT: (
        "--enable-log-requests",
        "--seed=1",
        "--tensor-parallel-size=2",
        "--kv-cache-dtype=fp8",
        "--max-num-batched-tokens=8192",
        '--override-generation-config={"temperature": 0.2}',
        "--rope-scaling.factor=4.0",
        "--reasoning-parser=qwen3",
        "--chat-template=/templates/chat.jinja",
        "--dtype=bfloat16",
        "--runner=generate",
        "--shutdown_timeout=60",
        "--Enforce-Eager",
        "--no-enable-chunked-prefill",
        "--trust-remote-code",
        "--limit-mm-per-prompt=" + "1" * 234,
    ),
    r"^[-._A-Za-z0-9]+$": ("token", "HF_TOKEN", "a.b-c_d"),
    r"^0\.[0-9]{1,4}$": ("0.1", "0.9", "0.92", "0.98", "0.1234"),
    r"^(0\.[0-9]{1,4}|1(\.0{1,4})?)$": ("0.05", "1", "1.0", "0.0001", "0.95"),
    r"^[A-Za-z_][A-Za-z0-9_]*$": ("HF_HOME", "_a", "VLLM_USE_V1", "x9"),
    settings_forms.URL: (
        "http://[0]/is/no/address",
        "http://[fd00::1]:3128",
        "http://prometheus.monitoring.svc:9090",
        "https://hub.example.com/mirror",
        "http://vm:8428",
    ),
    r"^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$": ("*", "llm", "apps", "team-a"),
    # Without {region}, which settings without one refuse.
    settings_forms.HOST_PATTERN: ("models.example.com", "*.s3.amazonaws.com", "*"),
    r"^sha256:[a-f0-9]{64}$": ("sha256:" + "0a" * 32,),
    r"^/[-._~A-Za-z0-9/]*$": ("/v1", "/", "/v1beta/openai"),
    r"^[A-Z]{3}$": ("USD", "EUR"),
    gateway_router.PHRASE: ("urgent", "stack trace", "naïve ✓", "x" * 64),
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$": ("2026-08-01",),
    base.CIDR: ("10.0.0.0/8", "fd00::/8", "192.168.7.1/32"),
}

TOLERATIONS: tuple[Json, ...] = (
    {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "team", "operator": "Equal", "value": "ai", "effect": "NoExecute"},
    {"operator": "Exists"},
)
_CILIUM_PEER: Json = {
    "endpoints": {"matchLabels": {"k8s:io.kubernetes.pod.namespace": "apps", "app": "webui"}},
}
_PORTS: list[Json] = [{"ports": [{"port": "8000", "protocol": "TCP"}]}]
_VOLUMES: tuple[tuple[Json, Json], ...] = (
    (
        {"name": "templates", "configMap": {"name": "chat-templates"}},
        {"name": "templates", "mountPath": "/templates", "readOnly": True},
    ),
    (
        {"name": "scratch", "emptyDir": {"sizeLimit": "10Gi"}},
        {"name": "scratch", "mountPath": "/scratch", "subPath": "a"},
    ),
)

# Objects that pass through, by the model and the field that holds them (of a list: its items).
RAW: dict[tuple[str, str], tuple[Json, ...]] = {
    ("ModelSpec", "facts"): (
        {
            "name": "org/own",
            "architecture": "LlamaForCausalLM",
            "hidden": 64,
            "vocabulary": 1000,
            "tied": True,
            "dtypeBytes": 2,
            "context": 2048,
            "blocks": [
                {
                    "count": 2,
                    "mixer": {
                        "kind": "full",
                        "heads": 4,
                        "kvHeads": 2,
                        "headSize": 16,
                        "valueSize": 16,
                    },
                    "network": {"intermediate": 128},
                }
            ],
        },
    ),
    ("Spec", "security_context"): (
        {"readOnlyRootFilesystem": True},
        {"runAsUser": 2000, "runAsNonRoot": True},
        {"seccompProfile": {"type": "RuntimeDefault"}},
        {},
    ),
    ("Spec", "patches"): (
        {"metadata": {"annotations": {"example.com/owner": "team-a"}}},
        {"metadata": {"labels": {"example.com/tier": None}}},
    ),
    ("NetworkPolicies", "ingress"): (
        {"fromEndpoints": [_CILIUM_PEER["endpoints"]], "toPorts": _PORTS},
        {},
    ),
    ("NetworkPolicies", "egress"): (
        {"toFQDNs": [{"matchName": "example.com"}], "toPorts": _PORTS},
        {"toEntities": ["world"]},
    ),
    ("AlertingRules", "groups"): (
        {
            "name": "own",
            "rules": [
                {
                    "alert": "Slow",
                    "expr": "vector(1) > 0",
                    "for": "5m",
                    "labels": {"severity": "warning"},
                }
            ],
        },
    ),
    ("EnvVar", "value_from"): (
        {"secretKeyRef": {"name": "hf-token", "key": "token"}},
        {"fieldRef": {"fieldPath": "metadata.name"}},
    ),
    ("PodTemplate", "tolerations"): TOLERATIONS,
    ("GpuClass", "tolerations"): TOLERATIONS,
    ("Cpu", "tolerations"): TOLERATIONS,
    ("Preload", "tolerations"): TOLERATIONS,
    ("PodTemplate", "affinity"): (
        {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "gpu", "operator": "In", "values": ["l4"]}]}
                    ]
                }
            }
        },
        {},
    ),
    ("PodTemplate", "topology_spread_constraints"): (
        {
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app.kubernetes.io/component": "inference"}},
        },
    ),
    ("PodTemplate", "volumes"): tuple(volume for volume, _ in _VOLUMES),
    ("PodTemplate", "volume_mounts"): tuple(mount for _, mount in _VOLUMES),
    ("Scaling", "authentication_ref"): (
        {"name": "prometheus"},
        {"name": "prometheus", "kind": "ClusterTriggerAuthentication"},
    ),
}

# Kubernetes refuses requests above limits, also where one of them is the function's default.
CLAIM_RESOURCES: dict[str, Json] = {
    "requests": {"cpu": ("500m", 1, "2"), "memory": ("8Gi", "16Gi"), "ephemeral-storage": ("1Gi",)},
    "limits": {"cpu": (2, "8"), "memory": ("32Gi", "64Gi"), "ephemeral-storage": ("5Gi",)},
}
SITE_RESOURCES: dict[str, Json] = {
    "requests": {"cpu": ("100m", "1"), "memory": ("256Mi", "1Gi")},
    "limits": {"cpu": (2, "4"), "memory": ("2Gi", "8Gi")},
}
