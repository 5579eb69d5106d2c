"""What admission refuses of pods and their parts."""

from tests.api import entries

POD = (
    entries.Invalid("no GPU", entries.claim(gpu={"count": 0}), "spec.gpu.count"),
    entries.Invalid("nine GPUs", entries.claim(gpu={"count": 9}), "spec.gpu.count"),
    entries.Invalid(
        "GPU without a domain", entries.claim(gpu={"resourceName": "gpu"}), "spec.gpu.resourceName"
    ),
    entries.Invalid("no tensor share", entries.shared(tensor=0), "gpu.parallelism.tensor"),
    entries.Invalid(
        "tensor share over 64 GPUs", entries.shared(tensor=65), "gpu.parallelism.tensor"
    ),
    entries.Invalid("no stage", entries.shared(pipeline=0), "gpu.parallelism.pipeline"),
    entries.Invalid("17 stages", entries.shared(pipeline=17), "gpu.parallelism.pipeline"),
    entries.Invalid("no copy", entries.shared(data=0), "gpu.parallelism.data"),
    entries.Invalid("65 copies", entries.shared(data=65), "gpu.parallelism.data"),
    entries.Invalid("a count of experts", entries.shared(expert=8), "gpu.parallelism.expert"),
    entries.Invalid(
        "pods that are half full", entries.shared(tensor=4), "is a multiple of gpu.count"
    ),
    entries.Invalid("17 pods", entries.shared(tensor=8, data=17), "a replica has at most 16 pods"),
    entries.Invalid(
        "a copy over one pod and a half", entries.shared(tensor=12, data=2), "fills whole pods"
    ),
    entries.Invalid(
        "a queue in words", entries.claim(scheduling={"queue": "the GPUs"}), "spec.scheduling.queue"
    ),
    entries.Invalid(
        "a priority in words",
        entries.claim(scheduling={"queue": "gpus", "priorityClass": "very high"}),
        "spec.scheduling.priorityClass",
    ),
    entries.Invalid(
        "a place in no queue",
        entries.claim(scheduling={"priorityClass": "high"}),
        "name the queue too",
    ),
    entries.Invalid("memory in words", entries.claim(gpu={"minVRAM": "24 GB"}), "spec.gpu.minVRAM"),
    entries.Invalid(
        "all of the memory",
        entries.claim(gpu={"memoryUtilization": "0.99"}),
        "memoryUtilization is between 0.1 and 0.98",
    ),
    entries.Invalid(
        "none of the memory",
        entries.claim(gpu={"memoryUtilization": "0.05"}),
        "memoryUtilization is between 0.1 and 0.98",
    ),
    entries.Invalid(
        "share that is a number",
        entries.claim(gpu={"memoryUtilization": 0.9}),
        "gpu.memoryUtilization",
    ),
    entries.Invalid(
        "image without a version",
        entries.claim(engine={"image": "vllm/vllm-openai:latest"}),
        "version is required when the image's tag does not end in one",
    ),
    entries.Invalid(
        "port taken for a tag",
        entries.claim(engine={"image": "registry.example.com:5000/vllm"}),
        "version is required when the image's tag does not end in one",
    ),
    entries.Invalid(
        "version of two parts", entries.claim(engine={"version": "0.25"}), "spec.engine.version"
    ),
    entries.Invalid(
        "value and source of a variable",
        entries.pod(env=[{"name": "A", "value": "", "valueFrom": {}}]),
        "value and valueFrom exclude each other",
    ),
    entries.Invalid(
        "variable twice",
        entries.pod(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
        "podTemplate.env must have distinct names",
    ),
    entries.Invalid(
        "variable with a dash", entries.pod(env=[{"name": "A-B"}]), "podTemplate.env[0].name"
    ),
    entries.Invalid(
        "label that selects",
        entries.pod(labels={"app.kubernetes.io/name": "x"}),
        "podTemplate.labels cannot set the labels that select the pods",
    ),
    entries.Invalid("key of a label", entries.pod(labels={"a b": "c"}), "spec.podTemplate.labels"),
    entries.Invalid(
        "long key of a label", entries.pod(labels={"k" * 64: "c"}), "spec.podTemplate.labels"
    ),
    entries.Invalid(
        "value of a label", entries.pod(labels={"a": "b c"}), "spec.podTemplate.labels"
    ),
    entries.Invalid(
        "long value of a label", entries.pod(labels={"a": "b" * 64}), "spec.podTemplate.labels"
    ),
    entries.Invalid(
        "label that is a number", entries.pod(labels={"a": 1}), "spec.podTemplate.labels"
    ),
    entries.Invalid(
        "too many labels",
        entries.pod(labels={f"a{i}": "" for i in range(33)}),
        "spec.podTemplate.labels",
    ),
    entries.Invalid(
        "long annotation",
        entries.pod(annotations={"a": "b" * 4097}),
        "spec.podTemplate.annotations",
    ),
    entries.Invalid(
        "toleration in a string", entries.pod(tolerations=["x"]), "podTemplate.tolerations[0]"
    ),
    entries.Invalid(
        "too many volumes", entries.pod(volumes=[{"name": "a"}] * 33), "spec.podTemplate.volumes"
    ),
    entries.Invalid("affinity in a list", entries.pod(affinity=[]), "spec.podTemplate.affinity"),
    entries.Invalid(
        "request that is no quantity",
        entries.claim(resources={"requests": {"cpu": "two"}}),
        "spec.resources.requests",
    ),
    entries.Invalid(
        "negative limit", entries.claim(resources={"limits": {"cpu": -1}}), "spec.resources.limits"
    ),
    entries.Invalid(
        "request that is a boolean",
        entries.claim(resources={"requests": {"cpu": True}}),
        "spec.resources.requests",
    ),
    entries.Invalid(
        "resource with a blank",
        entries.claim(resources={"requests": {"c u": 1}}),
        "resources.requests",
    ),
    entries.Invalid(
        "probe that never runs",
        entries.claim(healthProbes={"readiness": {"periodSeconds": 0}}),
        "healthProbes.readiness.periodSeconds",
    ),
    entries.Invalid(
        "unknown probe", entries.claim(healthProbes={"alive": {}}), "spec.healthProbes.alive"
    ),
    entries.Invalid("long drain", entries.claim(drainSeconds=3601), "spec.drainSeconds"),
    entries.Invalid("suspended by a word", entries.claim(suspend="true"), "spec.suspend"),
    entries.Invalid(
        "security context in a string",
        entries.claim(securityContext="restricted"),
        "spec.securityContext",
    ),
)
