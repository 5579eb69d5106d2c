"""For each rule of docs/findings.md a claim that breaks it, in the reference platform."""

import dataclasses
from typing import Any

from tests import cluster
from tests.fleet import scene as doors
from tests.resources import scene

QWEN = "Qwen/Qwen3-8B"
LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


@dataclasses.dataclass(frozen=True)
class Case:
    """A file of claims.

    Attributes:
        rule: The rule that it breaks.
        severity: Of the finding.
        field: That is at fault.
        words: In the message.
        claims: The documents, or the text of the file.
        settings: Changes of the platform's settings.
    """

    rule: str
    severity: str
    field: str | None
    words: str
    claims: list[Any] | str
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)


def _of(repository: str = QWEN, *, model: dict[str, Any] | None = None, **spec: Any) -> list[Any]:
    return [scene.of(model={"repository": repository, **(model or {})}, **spec)]


def _arguments(*arguments: str) -> list[Any]:
    return _of(engineArgs=list(arguments))


def _tei(*arguments: str, repository: str = "BAAI/bge-m3", **spec: Any) -> list[Any]:
    return _of(repository, engine={"kind": "tei"}, engineArgs=list(arguments), **spec)


SMALLEST: Any = cluster.example("smallest")
ADAPTERS: list[Any] = [{"name": "sql", "repository": "org/sql"}]

CASES = (
    Case("file-unreadable", "error", None, "not a Kubernetes object", "words\n"),
    Case(
        "settings-invalid",
        "error",
        "engine.image",
        "must be text",
        [SMALLEST],
        {"engine": {"image": 1}},
    ),
    Case(
        "kind-misspelt",
        "error",
        "kind",
        "there is no such kind",
        [SMALLEST | {"kind": "InferenceServices"}],
    ),
    Case(
        "claim-duplicate",
        "error",
        "metadata.name",
        "has a claim of this name too",
        [SMALLEST, SMALLEST],
    ),
    Case(
        "claim-invalid",
        "error",
        "spec.model.contextwindow",
        "the nearest is spec.model.contextWindow",
        _of(model={"contextwindow": 4096}),
    ),
    Case(
        "settings-forbid",
        "error",
        "spec.gpu.class",
        "there are: l4",
        _of(gpu={"class": "h900"}),
    ),
    Case(
        "otherwise-than-written",
        "warning",
        "spec.scaling.minReplicas",
        "0 is held at 1",
        _of(scaling={"minReplicas": 0}),
        {"providers": {"autoscaler": "none"}},
    ),
    Case(
        "not-provided",
        "warning",
        "spec.gateway",
        "no provider",
        _of(gateway={"enabled": True}),
        {"providers": {"gateway": "none"}},
    ),
    Case(
        "fallback-silent",
        "warning",
        "spec.gateway.fallback.provider",
        "has no such provider: name one of anthropic",
        [
            scene.of(
                model={"repository": QWEN},
                gateway={"enabled": True, "fallback": {"provider": "other", "model": "haiku"}},
            ),
            doors.of(providers=[doors.provider("anthropic", "haiku")]),
        ],
        {
            "frontDoor": {"namespaces": {"llm": "llm"}},
            "allowed": {"fallbackProviders": {"llm": ["*"]}},
        },
    ),
    Case(
        "gate-unjudged",
        "warning",
        "spec.gateway.canaries[0].gate",
        "canary sql gets no share: the settings name no canaryGates.store",
        _of(
            loraAdapters=ADAPTERS,
            gateway={
                "enabled": True,
                "canaries": [{"adapter": "sql", "weightPercent": 20, "gate": {}}],
            },
        ),
    ),
    Case(
        "cost-unknown",
        "warning",
        "spec.gateway",
        "lets the price of model follow from costs of load rag, and nobody knows them: such"
        " requests are refused",
        [
            scene.of(model={"repository": QWEN, "contextWindow": 8192}, gateway={"enabled": True}),
            doors.of(pricing={"fromCost": {"load": "rag"}}),
        ],
    ),
    Case(
        "gate-shared",
        "warning",
        "spec.gateway.canaries[0].gate",
        "requests of shop/model, on another Gateway, are added up with those of this claim",
        [
            scene.of(
                model={"repository": QWEN},
                loraAdapters=ADAPTERS,
                gateway={
                    "enabled": True,
                    "canaries": [{"adapter": "sql", "weightPercent": 20, "gate": {}}],
                },
            ),
            scene.of(namespace="shop", model={"repository": QWEN}, gateway={"enabled": True}),
        ],
        {
            "canaryGates": {"egressCidrs": ["10.0.0.0/8"]},
            "frontDoor": {"namespaces": {"shop": "desk"}},
        },
    ),
    Case(
        "repository-is-address",
        "warning",
        "spec.model.repository",
        "the repository is Qwen",
        _of("huggingface.co/Qwen"),
    ),
    Case(
        "does-not-fit",
        "error",
        "spec.model",
        "Ways out: ",
        _of("meta-llama/Llama-3.3-70B-Instruct", model={"tokenSecretRef": {"name": "hf-token"}}),
        {"gpu": {"classes": {"h200": {"product": "NVIDIA-H200", "nodeGpus": 8}}}},
    ),
    Case(
        "fits-tightly",
        "warning",
        "spec.model",
        "",
        _of(model={"contextWindow": 25600, "maxNumSeqs": 8}),
    ),
    Case(
        "exceeds-gpu-class",
        "error",
        "spec.gpu.count",
        "a node of class l4 has 1",
        _of(gpu={"count": 2}),
    ),
    Case(
        "mig-slices",
        "error",
        "spec.gpu.count",
        "2 slices of GPUs (nvidia.com/mig-3g.40gb) make no larger one",
        _of(gpu={"class": "mig", "count": 2}),
        {
            "gpu": {
                "classes": {
                    "mig": {
                        "resourceName": "nvidia.com/mig-3g.40gb",
                        "memoryGiB": "39.5",
                        "nodeGpus": 16,
                    }
                }
            }
        },
    ),
    Case(
        "exceeds-node-pool",
        "error",
        "spec",
        "the claims ask for 2 GPUs even at their minimum, and the node pool has 1",
        [*_of(), *_of(name="second")],
        {"gpu": {"classes": {"l4": {"poolGpus": 1}}}},
    ),
    Case(
        "class-not-placed",
        "warning",
        "gpu.classes.l4",
        "nothing places pods of big, l4 on their own GPUs: the classes have the same",
        _of(),
        {
            "gpu": {
                "classes": {
                    "l4": {"nodeSelector": None, "tolerations": [], "runtimeClassName": None},
                    "big": {"product": "NVIDIA-H100-80GB-HBM3"},
                }
            }
        },
    ),
    Case("model-unknown", "note", "spec.model.repository", "nothing is known", _of("org/model")),
    Case(
        "gpu-unknown",
        "note",
        "spec.gpu.class",
        "do not say what GPU",
        _of(gpu={"class": "mine"}),
        {"gpu": {"classes": {"mine": {"nodeGpus": 1}}}},
    ),
    Case(
        "prompt-exceeds-gateway",
        "warning",
        "spec.model.contextWindow",
        "262144 tokens takes about 1280 KiB, and the AI gateway holds 1024",
        _of("org/model", model={"contextWindow": 262144}, gateway={"enabled": True}),
        {"gateway": {"bufferMiB": 1}},
    ),
    Case("context-cut", "note", "spec.model.contextWindow", "made for 40960", _of()),
    Case(
        "trigger-never-fires",
        "warning",
        "spec.scaling.triggers.running.target",
        "never runs more than its 8 sequences",
        _of(model={"maxNumSeqs": 8}, scaling={"triggers": {"running": {"target": "12"}}}),
    ),
    Case(
        "engine-flag-unknown",
        "error",
        "spec.engineArgs[1]",
        "did you mean --enforce-eager?",
        _arguments("--seed=1", "--enforce-eagre"),
    ),
    Case("engine-flag-removed", "error", "spec.engineArgs[0]", "", _arguments("--swap-space=4")),
    Case("engine-flag-ambiguous", "error", "spec.engineArgs[0]", "", _arguments("--allow")),
    Case(
        "engine-flag-abbreviated",
        "note",
        "spec.engineArgs[0]",
        "--max-num-batched-token is short for --max-num-batched-tokens in vLLM",
        _arguments("--max-num-batched-token=8192"),
        {"permissions": {"unknownArguments": ["llm"]}},
    ),
    Case("engine-flag-value", "error", "spec.engineArgs[0]", "", _arguments("--seed=x")),
    Case(
        "engine-flag-json", "error", "spec.engineArgs[0]", "", _arguments("--compilation-config=[")
    ),
    Case(
        "engine-flag-key",
        "error",
        "spec.engineArgs[0]",
        "did you mean mode?",
        _arguments('--compilation-config={"mod":3}'),
    ),
    Case(
        "engine-flag-choice",
        "error",
        "spec.engineArgs[0]",
        "",
        _arguments("--mm-encoder-tp-mode=none"),
    ),
    Case(
        "engine-name-unknown",
        "warning",
        "spec.model.toolCallParser",
        "did you mean hermes?",
        _of("org/model", model={"toolCallParser": "hermess"}),
    ),
    Case(
        "quantized-twice",
        "error",
        "spec.model.quantization",
        "is awq",
        _of("Qwen/Qwen3-8B-AWQ", model={"quantization": "fp8"}),
    ),
    Case(
        "quantization-not-applied",
        "warning",
        "spec.model.quantization",
        "Qwen/Qwen3-8B is in 16 bit, and no flag is passed for awq",
        _of(model={"quantization": "awq"}),
    ),
    Case(
        "context-above-model",
        "error",
        "spec.model.contextWindow",
        "above the 40960",
        _of(model={"contextWindow": 65536}),
    ),
    Case(
        "tensor-parallel-indivisible",
        "error",
        "spec.gpu.count",
        "3 GPUs do not divide",
        _of(gpu={"count": 3}),
    ),
    Case(
        "tensor-parallel-indivisible",
        "error",
        "spec.gpu.parallelism.tensor",
        "3 GPUs do not divide",
        _of(gpu={"count": 1, "parallelism": {"tensor": 3}}),
    ),
    Case(
        "gpu-count",
        "error",
        "spec.engineArgs[0]",
        "set spec.gpu.count to 2",
        _arguments("--pipeline-parallel-size=2"),
    ),
    Case("gguf", "error", "spec.model.repository", "is GGUF", _of("org/model-GGUF")),
    Case(
        "embedding-without-pooling",
        "error",
        "spec.model.runner",
        "BAAI/bge-m3 cannot generate",
        _of("BAAI/bge-m3", model={"runner": "generate"}),
    ),
    Case(
        "adapter-of-another-base",
        "warning",
        "spec.loraAdapters[0]",
        "its name says qwen2.5-coder-7b",
        _of(loraAdapters=[{"name": "sql", "repository": "org/qwen2.5-coder-7b-sql-dpo"}]),
    ),
    Case(
        "adapter-rank",
        "warning",
        "spec.loraAdapters[0]",
        "its name says rank 128",
        _of(loraAdapters=[{"name": "sql", "repository": "org/qwen3-8b-sql-r128"}]),
    ),
    Case(
        "gated-without-token",
        "error",
        "spec.model.tokenSecretRef",
        "accept its licence",
        _of(LLAMA),
    ),
    Case(
        "parser-of-another-family",
        "warning",
        "spec.model.toolCallParser",
        "take hermes",
        _of(model={"toolCallParser": "mistral"}),
    ),
    Case(
        "lora-with-pooling",
        "warning",
        "spec.loraAdapters",
        "",
        _of("BAAI/bge-m3", model={"runner": "pooling"}, loraAdapters=ADAPTERS),
    ),
    Case(
        "lora-unsupported",
        "warning",
        "spec.loraAdapters",
        "takes none",
        _of("ibm-granite/granite-vision-3.3-2b", loraAdapters=ADAPTERS),
    ),
    Case(
        "architecture-unknown",
        "warning",
        "spec.model.repository",
        "",
        _of("Qwen/Qwen3.8-2.4T-A95B"),
    ),
    Case(
        "speculative-without-draft",
        "error",
        "spec.engineArgs[0]",
        "has none",
        _arguments('--speculative-config={"method":"mtp","num_speculative_tokens":1}'),
    ),
    Case(
        "speculative-memory",
        "warning",
        "spec.engineArgs[0]",
        "the draft takes GPU memory",
        _arguments('--speculative-config={"method":"eagle3","model":"org/draft"}'),
    ),
    Case(
        "flow-closed",
        "warning",
        "spec.route",
        "proxies of the Gateway platform-tailscale-general cannot reach model: serving pods on 8000"
        " (requests by the route): no rule of CiliumNetworkPolicy llm/model: set route.proxy",
        _of(route={"enabled": True, "hostname": "chat"}),
    ),
    Case(
        "flow-open",
        "warning",
        "spec.networkPolicies.ingress[1]",
        "any public address and any private address can reach model: serving pods on 8000",
        _of(
            networkPolicies={
                "ingress": [
                    {"fromEndpoints": [{"matchLabels": {"app": "web"}}]},
                    {
                        "fromEntities": ["world"],
                        "toPorts": [{"ports": [{"port": "8000", "protocol": "TCP"}]}],
                    },
                ]
            }
        ),
    ),
    Case(
        "engine-unmeasured",
        "note",
        "spec.gpu",
        "nobody measured what tei takes of a GPU",
        _tei(gpu={"class": "l4"}),
    ),
    Case(
        "tei-flag-unknown",
        "error",
        "spec.engineArgs[0]",
        "did you mean --max-batch-tokens?",
        _tei("--max-batch-token=8192"),
    ),
    Case("tei-flag-value", "error", "spec.engineArgs[0]", "takes cls,", _tei("--pooling=max")),
    Case(
        "tei-flag-repeated",
        "error",
        "spec.engineArgs[1]",
        "stands in spec.engineArgs[0] too",
        _tei("--pooling=cls", "--pooling=mean"),
    ),
    Case(
        "tei-model-not-served",
        "error",
        "spec.model.repository",
        "does not compute: name spec.gpu",
        _tei(repository="intfloat/e5-mistral-7b-instruct"),
    ),
    Case(
        "tei-model-unread",
        "error",
        "spec.model.repository",
        "pin spec.model.revision to a commit that is older",
        _tei(repository="nomic-ai/nomic-embed-text-v1.5"),
    ),
    Case(
        "tei-model-dtype",
        "error",
        "spec.engineArgs",
        "and gets float32: write --dtype=float16",
        _tei("--dtype=float32", repository="intfloat/e5-mistral-7b-instruct", gpu={"class": "l4"}),
    ),
    Case(
        "tei-model-generates",
        "warning",
        "spec.model.repository",
        "is made to generate text",
        _tei(repository=QWEN),
    ),
    Case(
        "tei-texts-cut",
        "error",
        "spec.engineArgs",
        "the engine ends; set --max-batch-tokens=8192",
        _tei("--auto-truncate=false", "--max-batch-tokens=512"),
    ),
    Case(
        "tei-memory",
        "warning",
        "spec.resources.limits.memory",
        "and the limit is 8Gi: set spec.resources.limits.memory to 12Gi",
        _tei(
            "--max-batch-tokens=8192",
            repository="BAAI/bge-m3",
            resources={"limits": {"memory": "8Gi"}},
        ),
    ),
)
