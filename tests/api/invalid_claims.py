"""What admission refuses, and what 0.9.0 accepted and stays accepted.

The tables are data, so that the same claims can be put to the function, to the generated schema and
to a real API server.
"""

import typing

from tests import former_defaults

Json: typing.TypeAlias = dict[str, typing.Any]


class Invalid(typing.NamedTuple):
    """A claim with one mistake.

    Attributes:
        name: What is wrong with it.
        claim: The claim.
        words: What every refusal says, the API server's too: the rule's message, or the path of the
            field when it is a bound of the schema.
    """

    name: str
    claim: Json
    words: str


class Accepted(typing.NamedTuple):
    """A claim that is valid.

    Attributes:
        name: What is special about it.
        claim: The claim.
    """

    name: str
    claim: Json


def claim(name: str = "qwen", **spec: typing.Any) -> Json:
    """Returns a claim of that name with the smallest model and these fields of spec."""
    return {
        "apiVersion": "cloud.ogenki.io/v1alpha1",
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": "llm"},
        "spec": {"model": {"repository": "Qwen/Qwen3-8B"}, **spec},
    }


def model(**fields: typing.Any) -> Json:
    """Returns a claim with these fields of spec.model beside its repository."""
    return claim(model={"repository": "Qwen/Qwen3-8B", **fields})


def shared(**parallelism: typing.Any) -> Json:
    """Returns a claim of pods with 8 GPUs that share the model so."""
    return claim(gpu={"count": 8, "parallelism": parallelism})


def fetched(**fields: typing.Any) -> Json:
    """Returns a claim with a Secret of the store, and these fields of it."""
    return claim(externalSecrets=[{"name": "s", "remoteRef": "llm/s", **fields}])


def arguments(*given: typing.Any) -> Json:
    """Returns a claim with these arguments of the engine."""
    return claim(engineArgs=list(given))


def pod(**fields: typing.Any) -> Json:
    """Returns a claim with these fields of spec.podTemplate."""
    return claim(podTemplate=fields)


def canaries(*given: Json, **gateway: typing.Any) -> Json:
    """Returns a claim with adapters a to e and these canaries."""
    adapters = [{"name": name, "repository": f"org/{name}"} for name in "abcde"]
    enabled: Json = {"enabled": True, "canaries": list(given)}
    return claim(loraAdapters=adapters, gateway=enabled | gateway)


def gated(**gate: typing.Any) -> Json:
    """Returns a claim with a canary of a tenth that has a gate."""
    return canaries({**_canary("a", 10), "gate": gate})


def _canary(adapter: str, weight: int) -> Json:
    return {"adapter": adapter, "weightPercent": weight}


def picker(**fields: typing.Any) -> Json:
    """Returns a claim with these fields of its endpoint picker."""
    return claim(gateway={"enabled": True, "endpointPicker": {"enabled": True, **fields}})


def _priority(name: str, value: int) -> Json:
    return {"name": name, "value": value}


_REFERENCE = "a kubelet would put a variable's value there"
_MANAGED = "this flag is set by the composition"
_PROMISED: Json = {"availability": {"percent": "99.5"}}
_ADAPTER: Json = {"name": "sql", "repository": "org/sql"}
_PICKER: Json = {"enabled": True, "endpointPicker": {"enabled": True}}

_FLAGS = (
    Invalid("flag", arguments("--model=x"), _MANAGED),
    Invalid("managed flag without a value", arguments("--enable-lora"), _MANAGED),
    Invalid("flag behind a good one", arguments("--seed=1", "--port=1"), "spec.engineArgs[1]"),
    Invalid("flag in capitals", arguments("--MODEL=x"), _MANAGED),
    Invalid("flag in mixed case", arguments("--Max-Model-Len=1"), _MANAGED),
    Invalid("flag with underscores", arguments("--max_num_seqs=1"), _MANAGED),
    Invalid("flag with both", arguments("--gpu_memory-Utilization=0.5"), _MANAGED),
    Invalid("unique prefix of a flag", arguments("--served-model=x"), _MANAGED),
    Invalid("short prefix of a flag", arguments("--quant=awq"), _MANAGED),
    Invalid("one letter of a flag", arguments("--m=x"), _MANAGED),
    Invalid("prefix with an underscore", arguments("--max_lora=1"), _MANAGED),
    Invalid("dotted key", arguments("--model-loader-extra-config.concurrency=4"), _MANAGED),
    Invalid("dotted key of a prefix", arguments("--model_loader.concurrency=4"), _MANAGED),
    Invalid("negation", arguments("--no-enable-prefix-caching"), _MANAGED),
    Invalid("negation with underscores", arguments("--no_enable_lora"), _MANAGED),
    Invalid("disabling", arguments("--disable-prefix-caching"), _MANAGED),
    Invalid("disabling with an underscore", arguments("--disable_auto-tool-choice"), _MANAGED),
    Invalid("configuration file", arguments("--config=/tmp/engine.yaml"), _MANAGED),
    Invalid("prefix of the configuration file", arguments("--conf=/tmp/x"), _MANAGED),
    Invalid("host", arguments("--host=0.0.0.0"), _MANAGED),
    Invalid("load format", arguments("--load-format=dummy"), _MANAGED),
    Invalid("weights on the CPU", arguments("--cpu-offload-gb=4"), _MANAGED),
    Invalid("adapters", arguments('--lora-modules={"name":"a"}'), _MANAGED),
    Invalid("number of adapters", arguments("--max-loras=2"), _MANAGED),
    Invalid("rank of adapters", arguments("--max-lora-rank=8"), _MANAGED),
    Invalid("tool calls", arguments("--tool-call-parser=hermes"), _MANAGED),
    Invalid("nothing but a negation", arguments("--no-"), _MANAGED),
    Invalid("short flag", arguments("-tp=2"), "spec.engineArgs[0]"),
    Invalid("flag and value as two words", arguments("--seed 1"), "spec.engineArgs[0]"),
    Invalid("value as its own argument", arguments("--seed", "1"), "spec.engineArgs[1]"),
    Invalid("two dashes alone", arguments("--"), "spec.engineArgs[0]"),
    Invalid("argument of two lines", arguments("--seed=1\n2"), "spec.engineArgs[0]"),
    Invalid("argument that is too long", arguments("--x=" + "a" * 253), "spec.engineArgs[0]"),
    Invalid("argument that is a number", arguments(1), "spec.engineArgs[0]"),
    Invalid("too many arguments", arguments(*["--seed=1"] * 17), "spec.engineArgs"),
    Invalid("arguments in one string", claim(engineArgs="--seed=1"), "spec.engineArgs"),
    Invalid("argument with a reference", arguments("--seed=$(A)"), _REFERENCE),
    Invalid("argument with a literal reference", arguments("--seed=$$(A)"), _REFERENCE),
    Invalid("variable with a reference", pod(env=[{"name": "A", "value": "$(B)"}]), _REFERENCE),
)

_FLAGS_AND_FIELDS = tuple(
    Invalid(
        f"--{flag} and its field",
        value | {"spec": value["spec"] | {"engineArgs": [f"--{flag}=x"]}},
        f"engineArgs sets --{flag} and",
    )
    for flag, value in (
        ("kv-cache-dtype", model(kvCacheDtype="fp8")),
        ("reasoning-parser", model(reasoningParser="qwen3")),
        ("chat-template", model(chatTemplate="/templates/chat.jinja")),
        ("dtype", model(dtype="bfloat16")),
        ("runner", model(runner="generate")),
        ("max-num-queued-reqs", model(longestQueueSeconds=10)),
        ("shutdown-timeout", claim(drainSeconds=0)),
    )
)

_IMAGE = {"source": "oci", "image": "registry.example.com/m@sha256:" + "0a" * 32}
_BUCKET = {"source": "s3", "uri": "s3://models/qwen"}

_MODEL = (
    Invalid("no model", {**claim(), "spec": {}}, "spec.model"),
    Invalid("no repository", claim(model={}), "repository is required"),
    Invalid("volume without a path", claim(model={"source": "pvc"}), "path is required for source"),
    Invalid("path without a volume", model(path="a"), "path is for source pvc and oci"),
    Invalid("path in a bucket", claim(model={**_BUCKET, "path": "a"}), "path is for source pvc"),
    Invalid("no image", model(source="oci"), "image is required for source oci"),
    Invalid("image of the hub", model(image=_IMAGE["image"]), "image is for source oci"),
    Invalid("image by a tag", claim(model=_IMAGE | {"image": "org/m:v1"}), "spec.model.image"),
    Invalid("short digest", claim(model=_IMAGE | {"image": "m@sha256:0a"}), "spec.model.image"),
    *(
        Invalid(
            f"an image that no runtime reads: {name}",
            claim(model=_IMAGE | {"image": f"{name}@sha256:{'0a' * 32}"}),
            "spec.model.image",
        )
        for name in ("ghcr.io/org/Qwen3-8B", "ghcr.io//m", "ghcr.io/../m", "m:v1:v2", "m-")
    ),
    Invalid("no bucket", model(source="s3"), "uri is required for source s3"),
    Invalid("bucket of the hub", model(uri="s3://models/a"), "uri is for source s3"),
    Invalid("another store", claim(model=_BUCKET | {"uri": "gs://models/a"}), "spec.model.uri"),
    Invalid("bucket that is none", claim(model=_BUCKET | {"uri": "s3://a..b"}), "spec.model.uri"),
    Invalid("upwards", claim(model=_BUCKET | {"uri": "s3://models/../a"}), "spec.model.uri"),
    Invalid("slash at the end", claim(model=_BUCKET | {"uri": "s3://models/"}), "spec.model.uri"),
    Invalid(
        "keys of no store",
        model(credentialsSecretRef={"name": "keys"}),
        "credentialsSecretRef is for source s3",
    ),
    Invalid(
        "revision of an image",
        claim(model={**_IMAGE, "revision": "main"}),
        "revision is of the hub",
    ),
    Invalid(
        "bucket that is not streamed",
        claim(model={**_BUCKET, "streaming": {"enabled": False}}),
        "source s3 is streamed",
    ),
    Invalid(
        "volume with a download",
        claim(model={"source": "pvc", "path": "a", "preload": {"enabled": True}}),
        "source pvc brings its own weights",
    ),
    Invalid(
        "embeddings that call tools",
        model(runner="pooling", toolCallParser="hermes"),
        "toolCallParser, reasoningParser and chatTemplate are for runner generate",
    ),
    Invalid("no wait at all", model(longestQueueSeconds=0), "spec.model.longestQueueSeconds"),
    Invalid("a wait of days", model(longestQueueSeconds=3601), "spec.model.longestQueueSeconds"),
    Invalid("unknown source", model(source="gcs"), "spec.model.source"),
    Invalid("unknown quantization", model(quantization="int3"), "spec.model.quantization"),
    Invalid("unknown type", model(dtype="float8"), "spec.model.dtype"),
    Invalid("unknown type of the cache", model(kvCacheDtype="int8"), "spec.model.kvCacheDtype"),
    Invalid("repository of three parts", claim(model={"repository": "a/b/c"}), "model.repository"),
    Invalid(
        "repository with two dots",
        claim(model={"repository": "a/b..c"}),
        "a repository holds neither '..' nor '--'",
    ),
    Invalid("path in the repository", claim(model={"repository": "../b"}), "model.repository"),
    Invalid("long repository", claim(model={"repository": "a" * 97}), "spec.model.repository"),
    Invalid("revision with two dots", model(revision="a..b"), "a revision does not hold '..'"),
    Invalid("long revision", model(revision="a" * 65), "spec.model.revision"),
    Invalid("revision that is a number", model(revision=1234567), "spec.model.revision"),
    Invalid("absolute path", claim(model={"source": "pvc", "path": "/a"}), "spec.model.path"),
    Invalid("path upwards", claim(model={"source": "pvc", "path": "a/../b"}), "spec.model.path"),
    Invalid("small context", model(contextWindow=1023), "spec.model.contextWindow"),
    Invalid("context in a string", model(contextWindow="4096"), "spec.model.contextWindow"),
    Invalid("part of a token", model(contextWindow=4096.5), "spec.model.contextWindow"),
    Invalid("no sequence", model(maxNumSeqs=0), "spec.model.maxNumSeqs"),
    Invalid("too many sequences", model(maxNumSeqs=65537), "spec.model.maxNumSeqs"),
    Invalid("rank that no kernel has", model(maxLoraRank=48), "spec.model.maxLoraRank"),
    Invalid("parser with a blank", model(toolCallParser="her mes"), "spec.model.toolCallParser"),
    Invalid("relative template", model(chatTemplate="a.jinja"), "spec.model.chatTemplate"),
    Invalid("too many readers", model(streaming={"concurrency": 65}), "streaming.concurrency"),
    Invalid("size of nothing", model(sizeGiB=0), "spec.model.sizeGiB"),
    Invalid("negative generation", model(preload={"generation": -1}), "preload.generation"),
    Invalid("yes is not a boolean", model(preload={"enabled": "yes"}), "preload.enabled"),
    Invalid("token without a name", model(tokenSecretRef={"key": "a"}), "tokenSecretRef.name"),
)

_SCALING = (
    Invalid(
        "least above most",
        claim(scaling={"minReplicas": 3, "maxReplicas": 2}),
        "minReplicas must be at most maxReplicas",
    ),
    Invalid("no most", claim(scaling={"maxReplicas": 0}), "spec.scaling.maxReplicas"),
    Invalid("negative least", claim(scaling={"minReplicas": -1}), "spec.scaling.minReplicas"),
    Invalid("short cooldown", claim(scaling={"cooldownSeconds": 59}), "scaling.cooldownSeconds"),
    Invalid("fast polling", claim(scaling={"pollingIntervalSeconds": 4}), "pollingIntervalSeconds"),
    Invalid(
        "running in both spellings",
        claim(scaling={"runningRatioThreshold": "0.7", "triggers": {"running": {"target": "20"}}}),
        "runningRatioThreshold and triggers.running.target say the same thing",
    ),
    Invalid(
        "cache in both spellings",
        claim(
            scaling={"cacheUtilizationThreshold": "0.6", "triggers": {"kvCache": {"target": "0.6"}}}
        ),
        "cacheUtilizationThreshold and triggers.kvCache.target say the same thing",
    ),
    Invalid(
        "queue in both spellings",
        claim(scaling={"queueLengthThreshold": 8, "triggers": {"queue": {"target": "8"}}}),
        "queueLengthThreshold and triggers.queue.target say the same thing",
    ),
    Invalid(
        "threshold of zero",
        claim(scaling={"runningRatioThreshold": "0.0"}),
        "a threshold is at least 0.001",
    ),
    Invalid(
        "target of zero",
        claim(scaling={"triggers": {"queue": {"target": "0"}}}),
        "target is at least 0.001",
    ),
    Invalid(
        "threshold that is a number",
        claim(scaling={"cacheUtilizationThreshold": 0.6}),
        "spec.scaling.cacheUtilizationThreshold",
    ),
    Invalid(
        "threshold in percent",
        claim(scaling={"runningRatioThreshold": "70%"}),
        "spec.scaling.runningRatioThreshold",
    ),
    Invalid("unknown trigger", claim(scaling={"triggers": {"cpu": {}}}), "scaling.triggers.cpu"),
)

_GATEWAY = (
    Invalid(
        "canary without an adapter",
        claim(gateway={"enabled": True, "canaries": [_canary("sql", 10)]}),
        "every gateway.canaries[].adapter must name an entry of loraAdapters",
    ),
    Invalid(
        "canary of another adapter",
        canaries(_canary("z", 10)),
        "every gateway.canaries[].adapter must name an entry of loraAdapters",
    ),
    Invalid(
        "canary twice",
        canaries(_canary("a", 10), _canary("a", 20)),
        "canaries must name distinct adapters",
    ),
    Invalid(
        "canaries that take everything",
        canaries(_canary("a", 50), _canary("b", 50)),
        "canary weights must sum to at most 99",
    ),
    Invalid(
        "canaries without the gateway",
        canaries(_canary("a", 10), enabled=False),
        "canaries require gateway.enabled",
    ),
    Invalid(
        "picker without the gateway",
        claim(gateway={"endpointPicker": {"enabled": True}}),
        "endpointPicker requires gateway.enabled",
    ),
    Invalid(
        "a fallback without the gateway",
        claim(gateway={"fallback": {"claim": "other"}}),
        "fallback requires gateway.enabled",
    ),
    Invalid(
        "a fallback with a picker",
        claim(gateway=_PICKER | {"fallback": {"claim": "other"}}),
        "endpointPicker excludes fallback",
    ),
    Invalid(
        "a fallback of nobody",
        claim(gateway={"enabled": True, "fallback": {}}),
        "a fallback is one of claim and provider",
    ),
    Invalid(
        "a fallback of two",
        claim(
            gateway={
                "enabled": True,
                "fallback": {"claim": "other", "provider": "anthropic", "model": "haiku"},
            }
        ),
        "a fallback is one of claim and provider",
    ),
    Invalid(
        "a provider without a model",
        claim(gateway={"enabled": True, "fallback": {"provider": "anthropic"}}),
        "model names one of the provider's models",
    ),
    Invalid(
        "a model of a claim",
        claim(gateway={"enabled": True, "fallback": {"claim": "other", "model": "haiku"}}),
        "model names one of the provider's models",
    ),
    Invalid(
        "a provider of no such name",
        claim(gateway={"enabled": True, "fallback": {"provider": "A", "model": "haiku"}}),
        "gateway.fallback.provider",
    ),
    Invalid(
        "a fallback of no such name",
        claim(gateway={"enabled": True, "fallback": {"claim": "Other"}}),
        "gateway.fallback.claim",
    ),
    Invalid(
        "a hot adapter without a Job",
        claim(
            model={"repository": "org/m", "preload": {"enabled": False}},
            loraAdapters=[{"name": "sql", "repository": "org/sql", "hot": True}],
        ),
        "hot adapters are those that a Job verifies",
    ),
    Invalid(
        "a hot adapter as a canary",
        claim(
            loraAdapters=[
                {"name": "law", "repository": "org/law"},
                {"name": "sql", "repository": "org/sql", "hot": True},
            ],
            gateway={
                "enabled": True,
                "canaries": [
                    {"adapter": "law", "weightPercent": 10},
                    {"adapter": "sql", "weightPercent": 10},
                ],
            },
        ),
        "the adapter of a canary cannot be hot: leave out loraAdapters[].hot of it",
    ),
    Invalid(
        "a hot adapter on a volume",
        claim(
            model={"source": "pvc", "path": "m"},
            loraAdapters=[{"name": "sql", "repository": "org/sql", "hot": True}],
        ),
        "hot adapters are those that a Job verifies",
    ),
    Invalid("three pickers", picker(replicas=3), "endpointPicker.replicas"),
    Invalid("no picker at all", picker(replicas=0), "endpointPicker.replicas"),
    Invalid(
        "no score that counts",
        picker(scorers={"prefix": 0, "queue": 0, "kvCache": 0}),
        "one of the weights is above 0",
    ),
    Invalid("negative score", picker(scorers={"queue": -1}), "scorers.queue"),
    Invalid("score above its bound", picker(scorers={"adapters": 101}), "scorers.adapters"),
    Invalid("unknown score", picker(scorers={"latency": 1}), "scorers.latency"),
    Invalid("queue for nobody", picker(queue={"maxRequests": 0}), "queue.maxRequests"),
    Invalid(
        "priority twice",
        picker(priorities=[_priority("batch", 1), _priority("batch", 2)]),
        "the name of a priority is there twice",
    ),
    Invalid(
        "priority without a value", picker(priorities=[{"name": "batch"}]), "priorities[0].value"
    ),
    Invalid(
        "priority above its bound",
        picker(priorities=[_priority("batch", 1001)]),
        "priorities[0].value",
    ),
    Invalid("priority with a dot", picker(priorities=[_priority("a.b", 1)]), "priorities[0].name"),
    Invalid(
        "nine priorities",
        picker(priorities=[_priority(f"p{value}", value) for value in range(9)]),
        "endpointPicker.priorities",
    ),
    Invalid("a step above the weight", gated(steps=[5, 11]), "steps lie below weightPercent"),
    Invalid("a step of the weight", gated(steps=[10]), "steps lie below weightPercent"),
    Invalid("no step", gated(steps=[]), "gate.steps"),
    Invalid("a step of nothing", gated(steps=[0]), "gate.steps[0]"),
    Invalid("nine steps", gated(steps=list(range(1, 10))), "gate.steps"),
    Invalid("a step of no time", gated(minutes=0), "gate.minutes"),
    Invalid("a step of two days", gated(minutes=2880), "gate.minutes"),
    Invalid("more errors than requests", gated(maxErrorPercent=101), "gate.maxErrorPercent"),
    Invalid("a judgement of nothing", gated(minRequests=0), "gate.minRequests"),
    Invalid("cases that may all fail", gated(evals={"passPercent": 0}), "evals.passPercent"),
    Invalid("a try before the first", gated(generation=-1), "gate.generation"),
    Invalid(
        "a gate behind a picker",
        canaries({**_canary("a", 10), "gate": {}}, endpointPicker={"enabled": True}),
        "endpointPicker excludes gates",
    ),
    Invalid("weight of 100", canaries(_canary("a", 100)), "canaries[0].weightPercent"),
    Invalid("weight of zero", canaries(_canary("a", 0)), "canaries[0].weightPercent"),
    Invalid("no weight", canaries({"adapter": "a"}), "canaries[0].weightPercent"),
    Invalid("five canaries", canaries(*(_canary(a, 1) for a in "abcde")), "gateway.canaries"),
    Invalid(
        "adapter twice",
        claim(loraAdapters=[_ADAPTER, _ADAPTER]),
        "adapters must have distinct names",
    ),
    Invalid(
        "an adapter of the claim's name",
        claim(loraAdapters=[_ADAPTER | {"name": claim()["metadata"]["name"]}]),
        "an adapter cannot have the claim's name",
    ),
    Invalid(
        "no trigger left",
        claim(
            scaling={"triggers": {t: {"enabled": False} for t in ("running", "kvCache", "queue")}}
        ),
        "at least one trigger must stay enabled",
    ),
    Invalid(
        "nine adapters",
        claim(loraAdapters=[_ADAPTER | {"name": f"a{index}"} for index in range(9)]),
        "spec.loraAdapters",
    ),
    Invalid(
        "adapter in a directory",
        claim(loraAdapters=[_ADAPTER | {"name": "../sql"}]),
        "spec.loraAdapters[0].name",
    ),
    Invalid(
        "adapter with a long name",
        claim(loraAdapters=[_ADAPTER | {"name": "a" * 64}]),
        "spec.loraAdapters[0].name",
    ),
    Invalid(
        "adapter of a bad repository",
        claim(loraAdapters=[_ADAPTER | {"repository": "a--b"}]),
        "a repository holds neither '..' nor '--'",
    ),
    Invalid(
        "adapter of nothing", claim(loraAdapters=[{"name": "a"}]), "loraAdapters[0].repository"
    ),
    Invalid("route to nowhere", claim(route={"enabled": True}), "hostname is required when"),
    Invalid("full host name", claim(route={"hostname": "llm.example.com"}), "spec.route.hostname"),
)

_POD = (
    Invalid("no GPU", claim(gpu={"count": 0}), "spec.gpu.count"),
    Invalid("nine GPUs", claim(gpu={"count": 9}), "spec.gpu.count"),
    Invalid("GPU without a domain", claim(gpu={"resourceName": "gpu"}), "spec.gpu.resourceName"),
    Invalid("no tensor share", shared(tensor=0), "gpu.parallelism.tensor"),
    Invalid("tensor share over 64 GPUs", shared(tensor=65), "gpu.parallelism.tensor"),
    Invalid("no stage", shared(pipeline=0), "gpu.parallelism.pipeline"),
    Invalid("17 stages", shared(pipeline=17), "gpu.parallelism.pipeline"),
    Invalid("no copy", shared(data=0), "gpu.parallelism.data"),
    Invalid("65 copies", shared(data=65), "gpu.parallelism.data"),
    Invalid("a count of experts", shared(expert=8), "gpu.parallelism.expert"),
    Invalid("pods that are half full", shared(tensor=4), "is a multiple of gpu.count"),
    Invalid("17 pods", shared(tensor=8, data=17), "a replica has at most 16 pods"),
    Invalid("a copy over one pod and a half", shared(tensor=12, data=2), "fills whole pods"),
    Invalid("a queue in words", claim(scheduling={"queue": "the GPUs"}), "spec.scheduling.queue"),
    Invalid(
        "a priority in words",
        claim(scheduling={"queue": "gpus", "priorityClass": "very high"}),
        "spec.scheduling.priorityClass",
    ),
    Invalid(
        "a place in no queue", claim(scheduling={"priorityClass": "high"}), "name the queue too"
    ),
    Invalid("memory in words", claim(gpu={"minVRAM": "24 GB"}), "spec.gpu.minVRAM"),
    Invalid(
        "all of the memory",
        claim(gpu={"memoryUtilization": "0.99"}),
        "memoryUtilization is between 0.1 and 0.98",
    ),
    Invalid(
        "none of the memory",
        claim(gpu={"memoryUtilization": "0.05"}),
        "memoryUtilization is between 0.1 and 0.98",
    ),
    Invalid(
        "share that is a number", claim(gpu={"memoryUtilization": 0.9}), "gpu.memoryUtilization"
    ),
    Invalid(
        "image without a version",
        claim(engine={"image": "vllm/vllm-openai:latest"}),
        "version is required when the image's tag does not end in one",
    ),
    Invalid(
        "port taken for a tag",
        claim(engine={"image": "registry.example.com:5000/vllm"}),
        "version is required when the image's tag does not end in one",
    ),
    Invalid("version of two parts", claim(engine={"version": "0.25"}), "spec.engine.version"),
    Invalid(
        "value and source of a variable",
        pod(env=[{"name": "A", "value": "", "valueFrom": {}}]),
        "value and valueFrom exclude each other",
    ),
    Invalid(
        "variable twice",
        pod(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
        "podTemplate.env must have distinct names",
    ),
    Invalid("variable with a dash", pod(env=[{"name": "A-B"}]), "podTemplate.env[0].name"),
    Invalid(
        "label that selects",
        pod(labels={"app.kubernetes.io/name": "x"}),
        "podTemplate.labels cannot set the labels that select the pods",
    ),
    Invalid("key of a label", pod(labels={"a b": "c"}), "spec.podTemplate.labels"),
    Invalid("long key of a label", pod(labels={"k" * 64: "c"}), "spec.podTemplate.labels"),
    Invalid("value of a label", pod(labels={"a": "b c"}), "spec.podTemplate.labels"),
    Invalid("long value of a label", pod(labels={"a": "b" * 64}), "spec.podTemplate.labels"),
    Invalid("label that is a number", pod(labels={"a": 1}), "spec.podTemplate.labels"),
    Invalid(
        "too many labels", pod(labels={f"a{i}": "" for i in range(33)}), "spec.podTemplate.labels"
    ),
    Invalid("long annotation", pod(annotations={"a": "b" * 4097}), "spec.podTemplate.annotations"),
    Invalid("toleration in a string", pod(tolerations=["x"]), "podTemplate.tolerations[0]"),
    Invalid("too many volumes", pod(volumes=[{"name": "a"}] * 33), "spec.podTemplate.volumes"),
    Invalid("affinity in a list", pod(affinity=[]), "spec.podTemplate.affinity"),
    Invalid(
        "request that is no quantity",
        claim(resources={"requests": {"cpu": "two"}}),
        "spec.resources.requests",
    ),
    Invalid("negative limit", claim(resources={"limits": {"cpu": -1}}), "spec.resources.limits"),
    Invalid(
        "request that is a boolean",
        claim(resources={"requests": {"cpu": True}}),
        "spec.resources.requests",
    ),
    Invalid(
        "resource with a blank", claim(resources={"requests": {"c u": 1}}), "resources.requests"
    ),
    Invalid(
        "probe that never runs",
        claim(healthProbes={"readiness": {"periodSeconds": 0}}),
        "healthProbes.readiness.periodSeconds",
    ),
    Invalid("unknown probe", claim(healthProbes={"alive": {}}), "spec.healthProbes.alive"),
    Invalid("long drain", claim(drainSeconds=3601), "spec.drainSeconds"),
    Invalid("suspended by a word", claim(suspend="true"), "spec.suspend"),
    Invalid(
        "security context in a string", claim(securityContext="restricted"), "spec.securityContext"
    ),
)

_COST = (
    Invalid("nobody pays", claim(cost={}), "name at least one of team, project and costCenter"),
    Invalid("payer without a name", claim(cost={"team": ""}), "spec.cost.team"),
    Invalid("payer of 64 letters", claim(cost={"project": "p" * 64}), "spec.cost.project"),
    Invalid("payer with a space", claim(cost={"costCenter": "a b"}), "spec.cost.costCenter"),
)

_SLO = (
    Invalid("no objective", claim(slo={}), "name at least one of ttft, itl and availability"),
    Invalid(
        "objectives of no days",
        claim(slo={"window": "30d"}),
        "name at least one of ttft, itl and availability",
    ),
    Invalid("unknown window", claim(slo={**_PROMISED, "window": "31d"}), "spec.slo.window"),
    Invalid(
        "percentile too low",
        claim(slo={"ttft": {"percentile": "89.9", "seconds": "1"}}),
        "must be between 90 and 99.99",
    ),
    Invalid(
        "percentile of all",
        claim(slo={"itl": {"percentile": "100", "seconds": "1"}}),
        "must be between 90 and 99.99",
    ),
    Invalid(
        "percentile that is a number",
        claim(slo={"ttft": {"percentile": 95, "seconds": "1"}}),
        "spec.slo.ttft.percentile",
    ),
    Invalid(
        "a time that is none",
        claim(slo={"ttft": {"percentile": "95", "seconds": "0.0009"}}),
        "must be between 0.001 and 3600 seconds",
    ),
    Invalid(
        "a time of hours",
        claim(slo={"ttft": {"percentile": "95", "seconds": "3601"}}),
        "must be between 0.001 and 3600 seconds",
    ),
    Invalid("percentile without a time", claim(slo={"itl": {"percentile": "95"}}), "seconds"),
    Invalid(
        "always available",
        claim(slo={"availability": {"percent": "100"}}),
        "must be between 90 and 99.99",
    ),
    Invalid("available", claim(slo={"availability": {}}), "percent"),
)
_REST = (
    Invalid("unknown field", claim(replicas=2), "spec.replicas"),
    Invalid("field in snake case", claim(drain_seconds=1), "spec.drain_seconds"),
    Invalid("field in another case", claim(enginEargs=[]), "spec.enginEargs"),
    Invalid("unknown field below", model(repo="a"), "spec.model.repo"),
    Invalid(
        "unknown field in a list", claim(loraAdapters=[_ADAPTER | {"x": 1}]), "loraAdapters[0].x"
    ),
    Invalid("unknown field at the root", {**claim(), "data": {}}, "data"),
    Invalid("spec in a list", {**claim(), "spec": []}, "spec"),
    Invalid("no spec", {k: v for k, v in claim().items() if k != "spec"}, "spec"),
    Invalid("name that starts with a digit", claim("7b"), "name"),
    Invalid("name with a dot", claim("qwen3.5"), "name"),
    Invalid("name in capitals", claim("Qwen"), "name"),
    Invalid("name that ends in a dash", claim("qwen-"), "name"),
    Invalid("long name", claim("q" * 55), "name"),
    Invalid(
        "long name with a picker",
        claim("q" * 54, gateway=_PICKER),
        "with gateway.endpointPicker the claim's name is at most 53 characters",
    ),
    Invalid("leading slash", claim(weightsFileSystem={"subPath": "/a"}), "subPath"),
    Invalid("cache without room", claim(cache={"kvOffload": {"sizeGB": 0}}), "kvOffload.sizeGB"),
    Invalid("unknown tier", claim(routing={"tier": "huge"}), "spec.routing.tier"),
    Invalid("bad Secret", claim(envFromSecrets=["hf_token"]), "spec.envFromSecrets[0]"),
    Invalid("null in a list", claim(envFromSecrets=[None]), "spec.envFromSecrets[0]"),
    Invalid("too many Secrets", claim(envFromSecrets=["a"] * 17), "spec.envFromSecrets"),
    Invalid(
        "secret of nothing", claim(externalSecrets=[{"name": "a"}]), "externalSecrets[0].remoteRef"
    ),
    Invalid(
        "secret twice",
        claim(externalSecrets=[{"name": "a", "remoteRef": "x"}, {"name": "a", "remoteRef": "y"}]),
        "externalSecrets must have distinct names",
    ),
    Invalid(
        "interval without a unit",
        claim(observability={"metrics": {"interval": "30"}}),
        "observability.metrics.interval",
    ),
    Invalid(
        "share above one", claim(observability={"alerts": {"errorRatio": "1.5"}}), "errorRatio"
    ),
    Invalid(
        "share of zero",
        claim(observability={"alerts": {"kvCacheUsage": "0.00"}}),
        "a share is above 0",
    ),
    Invalid(
        "seconds of zero",
        claim(observability={"alerts": {"timeToFirstTokenSeconds": "0"}}),
        "a threshold is at least 0.001",
    ),
    Invalid("caller without a port", claim(access={"from": [{"port": 0}]}), "access.from[0].port"),
    Invalid(
        "peers in an object", claim(networkPolicies={"ingress": {}}), "networkPolicies.ingress"
    ),
    Invalid("patch of a bad key", claim(patches={"Deployment": {}}), "spec.patches"),
    Invalid("patch in a list", claim(patches={"deployment": []}), "spec.patches"),
)


def tei(path: str, value: typing.Any) -> Json:
    """Returns a claim of text-embeddings-inference with one field below spec."""
    document = claim(engine={"kind": "tei"})
    *parents, name = path.split(".")
    node = document["spec"]
    for parent in parents:
        node = node.setdefault(parent, {})
    node[name] = value
    return document


# What text-embeddings-inference has no use for, each with a value that is good for vLLM.
_OF_VLLM: Json = {
    "loraAdapters": [{"name": "sql", "repository": "org/sql"}],
    "cache": {"prefixCache": {"enabled": False}},
    "model.quantization": "fp8",
    "model.kvCacheDtype": "fp8",
    "model.contextWindow": 4096,
    "model.longestQueueSeconds": 10,
    "model.toolCallParser": "hermes",
    "model.reasoningParser": "qwen3",
    "model.chatTemplate": "/models/chat.jinja",
    "model.maxLoraRank": 64,
    "model.streaming": {"enabled": True},
    "model.runner": "generate",
    "model.dtype": "bfloat16",
    "gpu.count": 2,
    "gpu.parallelism": {"data": 2},
    "gpu.memoryUtilization": "0.9",
    "scaling.cacheUtilizationThreshold": "0.6",
    "scaling.triggers.kvCache": {"enabled": False},
    "slo.ttft": {"percentile": "95", "seconds": "2"},
    "slo.itl": {"percentile": "95", "seconds": "0.1"},
    "observability.alerts.kvCacheUsage": "0.9",
    "observability.alerts.preemptionsPerMinute": "6",
    "observability.alerts.timeToFirstTokenSeconds": "10",
}
_TEI: tuple[Invalid, ...] = (
    *(
        Invalid(f"tei with {path}", tei(path, value), f"{path}: tei ")
        for path, value in _OF_VLLM.items()
    ),
    Invalid(
        "tei with a bucket",
        claim(engine={"kind": "tei"}, model={"source": "s3", "uri": "s3://models/bge"}),
        "model.source: tei ",
    ),
    Invalid("tei with a picker", tei("gateway", _PICKER), "gateway.endpointPicker: tei "),
    Invalid("an engine that nobody has", claim(engine={"kind": "ollama"}), "spec.engine.kind"),
)

INVALID: tuple[Invalid, ...] = (
    Invalid("a name of Kubernetes'", claim("default"), "the claim's name is Kubernetes' own"),
    *_FLAGS,
    *_FLAGS_AND_FIELDS,
    *_MODEL,
    *_SCALING,
    *_SLO,
    *_COST,
    *_GATEWAY,
    *_POD,
    *_TEI,
    *_REST,
)

# The claim that 0.9.0's schema made of one with little in it: its defaults are stored.
_STORED_0_9: Json = {
    **former_defaults.STORED,
    "model": {"repository": "Qwen/Qwen3-8B", **former_defaults.STORED["model"]},
    "gateway": {"enabled": False, "endpointPicker": {"enabled": False}},
}

_CODER: Json = {
    "model": {
        "repository": "Qwen/Qwen2.5-Coder-7B-Instruct",
        "revision": "c03e6d358207e414f1eca0bb1891e29f1db0e242",
        "quantization": "fp8",
        "contextWindow": 32768,
        "maxNumSeqs": 32,
        "toolCallParser": "hermes",
        "preload": {"enabled": True},
    },
    "gpu": {"count": 1, "minVRAM": "16Gi"},
    "routing": {"tier": "medium", "specialty": "code"},
    "scaling": {"minReplicas": 1, "maxReplicas": 2},
    "cache": {
        "kvOffload": {"enabled": True, "sizeGB": 16},
        "prefixCache": {"enabled": True},
    },
    "loraAdapters": [
        {
            "name": "xplane-qwen-coder-sql-dpo",
            "repository": "jk200201/qwen2.5-coder-7b-sql-dpo",
            "revision": "54344a00bd90d153fe8710abb8d600ceb4ed8458",
        },
        {
            "name": "xplane-qwen-coder-securecode",
            "repository": "scthornton/qwen2.5-coder-7b-securecode",
            "revision": "5745f9faa14d75f84de606ab234615ed36b656f2",
        },
    ],
    "gateway": {
        "enabled": True,
        "canaries": [{"adapter": "xplane-qwen-coder-sql-dpo", "weightPercent": 10}],
    },
    "envFromSecrets": ["hf-token"],
    "observability": {"metrics": {"interval": "30s"}},
}

_GUARD: Json = {
    "model": {
        "repository": "meta-llama/Llama-Guard-3-1B",
        "revision": "acf7aafa60f0410f8f42b1fa35e077d705892029",
        "quantization": "fp16",
        "contextWindow": 8192,
        "maxNumSeqs": 64,
        "preload": {"enabled": True},
    },
    "gpu": {"count": 1, "minVRAM": "4Gi"},
    "routing": {"tier": "small", "specialty": "guardrail"},
    "scaling": {"minReplicas": 1, "maxReplicas": 3},
    "cache": {"prefixCache": {"enabled": True}},
    "resources": {
        "requests": {"cpu": 1, "memory": "8Gi"},
        "limits": {"cpu": "4", "memory": "16Gi"},
    },
    "envFromSecrets": ["hf-token"],
    "observability": {"metrics": {"interval": "30s"}},
}

ACCEPTED: tuple[Accepted, ...] = (
    Accepted("smallest", claim()),
    Accepted("name of one letter", claim("q")),
    Accepted("longest name", claim("q" * 54)),
    Accepted("longest name with a picker", claim("q" * 53, gateway=_PICKER)),
    Accepted("long name with a picker that is off", claim("q" * 54, gateway={"enabled": True})),
    Accepted("0.9.0's stored defaults", {**claim(), "spec": _STORED_0_9}),
    Accepted("reference claim with adapters", {**claim("xplane-qwen-coder"), "spec": _CODER}),
    Accepted("reference claim with resources", {**claim("xplane-llamaguard3-1b"), "spec": _GUARD}),
    Accepted("tei", claim(engine={"kind": "tei"})),
    Accepted("tei on a GPU", claim(engine={"kind": "tei", "version": "1.9.3"}, gpu={"count": 1})),
    Accepted("no maxReplicas", claim(scaling={"minReplicas": 1})),
    Accepted("least above the default most", claim(scaling={"minReplicas": 10})),
    Accepted("zero replicas", claim(scaling={"minReplicas": 0, "maxReplicas": 1})),
    Accepted("cooldown of a day", claim(scaling={"cooldownSeconds": 86400})),
    Accepted("old thresholds", claim(scaling={"runningRatioThreshold": "0.7"})),
    Accepted("threshold that is an integer", claim(scaling={"cacheUtilizationThreshold": "1"})),
    Accepted(
        "old threshold and another new one",
        claim(scaling={"runningRatioThreshold": "0.7", "triggers": {"queue": {"target": "4"}}}),
    ),
    Accepted(
        "old threshold and the new switch",
        claim(
            scaling={"runningRatioThreshold": "0.7", "triggers": {"running": {"enabled": False}}}
        ),
    ),
    *(
        Accepted(f"quantization {name}", model(quantization=name))
        for name in ("fp16", "fp8", "awq", "gptq", "bitsandbytes")
    ),
    Accepted("tensor parallelism", arguments("--tensor-parallel-size=2")),
    Accepted("flag without a value", arguments("--enforce-eager")),
    Accepted("flag with a JSON value", arguments('--hf-overrides={"a": ["b c", "d=e"]}')),
    Accepted("dotted flag", arguments("--rope-scaling.factor=4.0")),
    Accepted("flag that starts as a managed one", arguments("--model-impl=vllm")),
    Accepted("configuration's format", arguments("--config-format=hf")),
    Accepted("negation of another flag", arguments("--no-enable-chunked-prefill")),
    Accepted("most arguments", arguments(*(f"--x{index}=1" for index in range(16)))),
    Accepted("longest argument", arguments("--x=" + "a" * 252)),
    Accepted("argument in another script", arguments("--x=模型")),
    Accepted("flag whose field is absent", arguments("--kv-cache-dtype=fp8", "--dtype=half")),
    Accepted("download off", model(preload={"enabled": False})),
    Accepted("prefix cache off", claim(cache={"prefixCache": {"enabled": False}})),
    Accepted("probes", claim(healthProbes=_STORED_0_9["healthProbes"])),
    Accepted("probe without delay", claim(healthProbes={"liveness": {"initialDelaySeconds": 0}})),
    Accepted("quantities as integers", claim(resources={"limits": {"cpu": 8}})),
    Accepted("part of a CPU", claim(resources={"requests": {"cpu": "0.5"}})),
    Accepted("security context", claim(securityContext={"runAsUser": 2000, "capabilities": {}})),
    Accepted(
        "raw network policies",
        claim(networkPolicies={"ingress": [{"fromEntities": ["cluster"]}], "egress": []}),
    ),
    Accepted(
        "raw alerts",
        claim(observability={"alertingRules": {"groups": [{"name": "a", "rules": []}]}}),
    ),
    Accepted(
        "secret",
        claim(externalSecrets=[{"name": "s", "remoteRef": "llm/s", "refreshInterval": "1h"}]),
    ),
    *(
        Accepted(f"Secret each {interval}", fetched(refreshInterval=interval))
        for interval in ("0s", "1m", "60s", "90000ms", "8760h")
    ),
    *(
        Accepted(f"path of the store {path!r}", fetched(remoteRef=path))
        for path in ("a..b/c", "...", "/a b/ü", "arn:aws:secretsmanager:eu-west-3:1:secret:a")
    ),
    *(
        Accepted(f"template {path}", model(chatTemplate=path))
        for path in ("/process/a..b", "/models/proc/a", "/etc/templates/a.jinja")
    ),
    Accepted("scrape each 5 seconds", claim(observability={"metrics": {"interval": "5s"}})),
    Accepted("sub-directory of another claim", claim(weightsFileSystem={"subPath": "qwen"})),
    Accepted("route", claim(route={"enabled": True, "hostname": "llm"})),
    Accepted("host of a route that is off", claim(route={"enabled": False, "hostname": "llm"})),
    Accepted("gateway with nothing in it", claim(gateway={"enabled": True, "canaries": []})),
    Accepted("the smallest gate", gated()),
    Accepted("a gate of one percent", canaries({**_canary("a", 1), "gate": {}})),
    Accepted(
        "a whole gate",
        gated(
            steps=[9, 1, 1],
            minutes=1440,
            maxErrorPercent=0,
            minRequests=1_000_000,
            evals={},
            generation=3,
        ),
    ),
    Accepted("canaries up to 99", canaries(_canary("a", 49), _canary("b", 50))),
    Accepted("a replica of 16 pods", shared(tensor=64, pipeline=2)),
    Accepted("copies within a pod", shared(tensor=4, data=2, expert=True)),
    Accepted("copies of one pod", shared(data=2)),
    Accepted("a queue", claim(scheduling={"queue": "gpus"})),
    Accepted("a place in a queue", claim(scheduling={"queue": "gpus", "priorityClass": "high"})),
    Accepted(
        "canaries behind a picker", canaries(_canary("a", 10), endpointPicker={"enabled": True})
    ),
    Accepted(
        "everything of a picker",
        picker(
            replicas=2,
            scorers={"prefix": 0, "queue": 0, "kvCache": 0, "adapters": 1},
            queue={"maxRequests": 1},
            priorities=[_priority("batch", -1000), _priority("now", 1000)],
        ),
    ),
    Accepted("empty fields of a picker", picker(scorers={}, queue={}, priorities=[])),
    Accepted("null is an omission", claim(scaling={"runningRatioThreshold": None}, gpu=None)),
    Accepted("null in a map", pod(labels={"team": None})),
    Accepted("empty objects", claim(gpu={}, scaling={}, cache={}, gateway={}, resources={})),
    Accepted(
        "what Crossplane keeps",
        claim(crossplane={"compositionRef": {"name": "xinferenceservices.cloud.ogenki.io"}}),
    ),
)

CANARY: Json = {"adapter": "sql", "weightPercent": 10}
_NEVER = "above it the trigger can never fire"
# What only admission refuses: 0.9.0 stored it, and the function renders and tells it.
STORED = (
    Invalid("a picker's name", claim("qwen-epp"), "that of another claim's endpoint picker"),
    Invalid(
        "KV threshold above all of the cache",
        claim(scaling={"cacheUtilizationThreshold": "7"}),
        _NEVER,
    ),
    Invalid(
        "KV target above all of the cache",
        claim(scaling={"triggers": {"kvCache": {"target": "1.01"}}}),
        _NEVER,
    ),
    *(
        Invalid(f"path of the store: {path!r}", fetched(remoteRef=path), "a path of the store")
        for path in ("a/../b", "..", "a\nb", "a\x7f")
    ),
    *(
        Invalid(f"Secret each {interval}", fetched(refreshInterval=interval), "between 1m and")
        for interval in ("59s", "1ms", "8761h", "9999999999h")
    ),
    *(
        Invalid(
            f"scrape each {interval}",
            claim(observability={"metrics": {"interval": interval}}),
            "between 5s and 24h",
        )
        for interval in ("4s", "999ms", "25h", "0s")
    ),
    *(
        Invalid(f"template {path}", model(chatTemplate=path), "a chat template is in the prompt")
        for path in ("/proc/self/environ", "/dev", "/sys/a", "/models/../a", "/a/..")
    ),
)
