"""What admission refuses.

The tables, this one and those that it puts together, are data, so that the same claims can be put
to the function, to the generated schema and to a real API server.
"""

from tests.api import entries, invalid_engines, invalid_gateways, invalid_pods

_PROMISED: entries.Json = {"availability": {"percent": "99.5"}}
_IMAGE = {"source": "oci", "image": "registry.example.com/m@sha256:" + "0a" * 32}
_BUCKET = {"source": "s3", "uri": "s3://models/qwen"}

_MODEL = (
    entries.Invalid("no model", {**entries.claim(), "spec": {}}, "spec.model"),
    entries.Invalid("no repository", entries.claim(model={}), "repository is required"),
    entries.Invalid(
        "volume without a path",
        entries.claim(model={"source": "pvc"}),
        "path is required for source",
    ),
    entries.Invalid(
        "path without a volume", entries.model(path="a"), "path is for source pvc and oci"
    ),
    entries.Invalid(
        "path in a bucket", entries.claim(model={**_BUCKET, "path": "a"}), "path is for source pvc"
    ),
    entries.Invalid("no image", entries.model(source="oci"), "image is required for source oci"),
    entries.Invalid(
        "image of the hub", entries.model(image=_IMAGE["image"]), "image is for source oci"
    ),
    entries.Invalid(
        "image by a tag", entries.claim(model=_IMAGE | {"image": "org/m:v1"}), "spec.model.image"
    ),
    entries.Invalid(
        "short digest", entries.claim(model=_IMAGE | {"image": "m@sha256:0a"}), "spec.model.image"
    ),
    *(
        entries.Invalid(
            f"an image that no runtime reads: {name}",
            entries.claim(model=_IMAGE | {"image": f"{name}@sha256:{'0a' * 32}"}),
            "spec.model.image",
        )
        for name in ("ghcr.io/org/Qwen3-8B", "ghcr.io//m", "ghcr.io/../m", "m:v1:v2", "m-")
    ),
    entries.Invalid("no bucket", entries.model(source="s3"), "uri is required for source s3"),
    entries.Invalid(
        "bucket of the hub", entries.model(uri="s3://models/a"), "uri is for source s3"
    ),
    entries.Invalid(
        "another store", entries.claim(model=_BUCKET | {"uri": "gs://models/a"}), "spec.model.uri"
    ),
    entries.Invalid(
        "bucket that is none", entries.claim(model=_BUCKET | {"uri": "s3://a..b"}), "spec.model.uri"
    ),
    entries.Invalid(
        "upwards", entries.claim(model=_BUCKET | {"uri": "s3://models/../a"}), "spec.model.uri"
    ),
    entries.Invalid(
        "slash at the end", entries.claim(model=_BUCKET | {"uri": "s3://models/"}), "spec.model.uri"
    ),
    entries.Invalid(
        "keys of no store",
        entries.model(credentialsSecretRef={"name": "keys"}),
        "credentialsSecretRef is for source s3",
    ),
    entries.Invalid(
        "revision of an image",
        entries.claim(model={**_IMAGE, "revision": "main"}),
        "revision is of the hub",
    ),
    entries.Invalid(
        "bucket that is not streamed",
        entries.claim(model={**_BUCKET, "streaming": {"enabled": False}}),
        "source s3 is streamed",
    ),
    entries.Invalid(
        "volume with a download",
        entries.claim(model={"source": "pvc", "path": "a", "preload": {"enabled": True}}),
        "source pvc brings its own weights",
    ),
    entries.Invalid(
        "embeddings that call tools",
        entries.model(runner="pooling", toolCallParser="hermes"),
        "toolCallParser, reasoningParser and chatTemplate are for runner generate",
    ),
    entries.Invalid(
        "no wait at all", entries.model(longestQueueSeconds=0), "spec.model.longestQueueSeconds"
    ),
    entries.Invalid(
        "a wait of days", entries.model(longestQueueSeconds=3601), "spec.model.longestQueueSeconds"
    ),
    entries.Invalid("unknown source", entries.model(source="gcs"), "spec.model.source"),
    entries.Invalid(
        "unknown quantization", entries.model(quantization="int3"), "spec.model.quantization"
    ),
    entries.Invalid("unknown type", entries.model(dtype="float8"), "spec.model.dtype"),
    entries.Invalid(
        "unknown type of the cache", entries.model(kvCacheDtype="int8"), "spec.model.kvCacheDtype"
    ),
    entries.Invalid(
        "repository of three parts",
        entries.claim(model={"repository": "a/b/c"}),
        "model.repository",
    ),
    entries.Invalid(
        "repository with two dots",
        entries.claim(model={"repository": "a/b..c"}),
        "a repository holds neither '..' nor '--'",
    ),
    entries.Invalid(
        "path in the repository", entries.claim(model={"repository": "../b"}), "model.repository"
    ),
    entries.Invalid(
        "long repository", entries.claim(model={"repository": "a" * 97}), "spec.model.repository"
    ),
    entries.Invalid(
        "revision with two dots", entries.model(revision="a..b"), "a revision does not hold '..'"
    ),
    entries.Invalid("long revision", entries.model(revision="a" * 65), "spec.model.revision"),
    entries.Invalid(
        "revision that is a number", entries.model(revision=1234567), "spec.model.revision"
    ),
    entries.Invalid(
        "absolute path", entries.claim(model={"source": "pvc", "path": "/a"}), "spec.model.path"
    ),
    entries.Invalid(
        "path upwards", entries.claim(model={"source": "pvc", "path": "a/../b"}), "spec.model.path"
    ),
    entries.Invalid("small context", entries.model(contextWindow=1023), "spec.model.contextWindow"),
    entries.Invalid(
        "context in a string", entries.model(contextWindow="4096"), "spec.model.contextWindow"
    ),
    entries.Invalid(
        "part of a token", entries.model(contextWindow=4096.5), "spec.model.contextWindow"
    ),
    entries.Invalid("no sequence", entries.model(maxNumSeqs=0), "spec.model.maxNumSeqs"),
    entries.Invalid("too many sequences", entries.model(maxNumSeqs=65537), "spec.model.maxNumSeqs"),
    entries.Invalid(
        "rank that no kernel has", entries.model(maxLoraRank=48), "spec.model.maxLoraRank"
    ),
    entries.Invalid(
        "parser with a blank", entries.model(toolCallParser="her mes"), "spec.model.toolCallParser"
    ),
    entries.Invalid(
        "relative template", entries.model(chatTemplate="a.jinja"), "spec.model.chatTemplate"
    ),
    entries.Invalid(
        "too many readers", entries.model(streaming={"concurrency": 65}), "streaming.concurrency"
    ),
    entries.Invalid("size of nothing", entries.model(sizeGiB=0), "spec.model.sizeGiB"),
    entries.Invalid(
        "negative generation", entries.model(preload={"generation": -1}), "preload.generation"
    ),
    entries.Invalid(
        "yes is not a boolean", entries.model(preload={"enabled": "yes"}), "preload.enabled"
    ),
    entries.Invalid(
        "token without a name", entries.model(tokenSecretRef={"key": "a"}), "tokenSecretRef.name"
    ),
)

_SCALING = (
    entries.Invalid(
        "least above most",
        entries.claim(scaling={"minReplicas": 3, "maxReplicas": 2}),
        "minReplicas must be at most maxReplicas",
    ),
    entries.Invalid(
        "no most", entries.claim(scaling={"maxReplicas": 0}), "spec.scaling.maxReplicas"
    ),
    entries.Invalid(
        "negative least", entries.claim(scaling={"minReplicas": -1}), "spec.scaling.minReplicas"
    ),
    entries.Invalid(
        "short cooldown", entries.claim(scaling={"cooldownSeconds": 59}), "scaling.cooldownSeconds"
    ),
    entries.Invalid(
        "fast polling",
        entries.claim(scaling={"pollingIntervalSeconds": 4}),
        "pollingIntervalSeconds",
    ),
    entries.Invalid(
        "running in both spellings",
        entries.claim(
            scaling={"runningRatioThreshold": "0.7", "triggers": {"running": {"target": "20"}}}
        ),
        "runningRatioThreshold and triggers.running.target say the same thing",
    ),
    entries.Invalid(
        "cache in both spellings",
        entries.claim(
            scaling={"cacheUtilizationThreshold": "0.6", "triggers": {"kvCache": {"target": "0.6"}}}
        ),
        "cacheUtilizationThreshold and triggers.kvCache.target say the same thing",
    ),
    entries.Invalid(
        "queue in both spellings",
        entries.claim(scaling={"queueLengthThreshold": 8, "triggers": {"queue": {"target": "8"}}}),
        "queueLengthThreshold and triggers.queue.target say the same thing",
    ),
    entries.Invalid(
        "threshold of zero",
        entries.claim(scaling={"runningRatioThreshold": "0.0"}),
        "a threshold is at least 0.001",
    ),
    entries.Invalid(
        "target of zero",
        entries.claim(scaling={"triggers": {"queue": {"target": "0"}}}),
        "target is at least 0.001",
    ),
    entries.Invalid(
        "threshold that is a number",
        entries.claim(scaling={"cacheUtilizationThreshold": 0.6}),
        "spec.scaling.cacheUtilizationThreshold",
    ),
    entries.Invalid(
        "threshold in percent",
        entries.claim(scaling={"runningRatioThreshold": "70%"}),
        "spec.scaling.runningRatioThreshold",
    ),
    entries.Invalid(
        "unknown trigger", entries.claim(scaling={"triggers": {"cpu": {}}}), "scaling.triggers.cpu"
    ),
)


_COST = (
    entries.Invalid(
        "nobody pays", entries.claim(cost={}), "name at least one of team, project and costCenter"
    ),
    entries.Invalid("payer without a name", entries.claim(cost={"team": ""}), "spec.cost.team"),
    entries.Invalid(
        "payer of 64 letters", entries.claim(cost={"project": "p" * 64}), "spec.cost.project"
    ),
    entries.Invalid(
        "payer with a space", entries.claim(cost={"costCenter": "a b"}), "spec.cost.costCenter"
    ),
)

_SLO = (
    entries.Invalid(
        "no objective", entries.claim(slo={}), "name at least one of ttft, itl and availability"
    ),
    entries.Invalid(
        "objectives of no days",
        entries.claim(slo={"window": "30d"}),
        "name at least one of ttft, itl and availability",
    ),
    entries.Invalid(
        "unknown window", entries.claim(slo={**_PROMISED, "window": "31d"}), "spec.slo.window"
    ),
    entries.Invalid(
        "percentile too low",
        entries.claim(slo={"ttft": {"percentile": "89.9", "seconds": "1"}}),
        "must be between 90 and 99.99",
    ),
    entries.Invalid(
        "percentile of all",
        entries.claim(slo={"itl": {"percentile": "100", "seconds": "1"}}),
        "must be between 90 and 99.99",
    ),
    entries.Invalid(
        "percentile that is a number",
        entries.claim(slo={"ttft": {"percentile": 95, "seconds": "1"}}),
        "spec.slo.ttft.percentile",
    ),
    entries.Invalid(
        "a time that is none",
        entries.claim(slo={"ttft": {"percentile": "95", "seconds": "0.0009"}}),
        "must be between 0.001 and 3600 seconds",
    ),
    entries.Invalid(
        "a time of hours",
        entries.claim(slo={"ttft": {"percentile": "95", "seconds": "3601"}}),
        "must be between 0.001 and 3600 seconds",
    ),
    entries.Invalid(
        "percentile without a time", entries.claim(slo={"itl": {"percentile": "95"}}), "seconds"
    ),
    entries.Invalid(
        "always available",
        entries.claim(slo={"availability": {"percent": "100"}}),
        "must be between 90 and 99.99",
    ),
    entries.Invalid("available", entries.claim(slo={"availability": {}}), "percent"),
)
_REST = (
    entries.Invalid("unknown field", entries.claim(replicas=2), "spec.replicas"),
    entries.Invalid("field in snake case", entries.claim(drain_seconds=1), "spec.drain_seconds"),
    entries.Invalid("field in another case", entries.claim(enginEargs=[]), "spec.enginEargs"),
    entries.Invalid("unknown field below", entries.model(repo="a"), "spec.model.repo"),
    entries.Invalid(
        "unknown field in a list",
        entries.claim(loraAdapters=[entries.ADAPTER | {"x": 1}]),
        "loraAdapters[0].x",
    ),
    entries.Invalid("unknown field at the root", {**entries.claim(), "data": {}}, "data"),
    entries.Invalid("spec in a list", {**entries.claim(), "spec": []}, "spec"),
    entries.Invalid("no spec", {k: v for k, v in entries.claim().items() if k != "spec"}, "spec"),
    entries.Invalid("name that starts with a digit", entries.claim("7b"), "name"),
    entries.Invalid("name with a dot", entries.claim("qwen3.5"), "name"),
    entries.Invalid("name in capitals", entries.claim("Qwen"), "name"),
    entries.Invalid("name that ends in a dash", entries.claim("qwen-"), "name"),
    entries.Invalid("long name", entries.claim("q" * 55), "name"),
    entries.Invalid(
        "long name with a picker",
        entries.claim("q" * 54, gateway=entries.PICKER),
        "with gateway.endpointPicker the claim's name is at most 53 characters",
    ),
    entries.Invalid("leading slash", entries.claim(weightsFileSystem={"subPath": "/a"}), "subPath"),
    entries.Invalid(
        "cache without room", entries.claim(cache={"kvOffload": {"sizeGB": 0}}), "kvOffload.sizeGB"
    ),
    entries.Invalid("unknown tier", entries.claim(routing={"tier": "huge"}), "spec.routing.tier"),
    entries.Invalid(
        "bad Secret", entries.claim(envFromSecrets=["hf_token"]), "spec.envFromSecrets[0]"
    ),
    entries.Invalid(
        "null in a list", entries.claim(envFromSecrets=[None]), "spec.envFromSecrets[0]"
    ),
    entries.Invalid(
        "too many Secrets", entries.claim(envFromSecrets=["a"] * 17), "spec.envFromSecrets"
    ),
    entries.Invalid(
        "secret of nothing",
        entries.claim(externalSecrets=[{"name": "a"}]),
        "externalSecrets[0].remoteRef",
    ),
    entries.Invalid(
        "secret twice",
        entries.claim(
            externalSecrets=[{"name": "a", "remoteRef": "x"}, {"name": "a", "remoteRef": "y"}]
        ),
        "externalSecrets must have distinct names",
    ),
    entries.Invalid(
        "interval without a unit",
        entries.claim(observability={"metrics": {"interval": "30"}}),
        "observability.metrics.interval",
    ),
    entries.Invalid(
        "share above one",
        entries.claim(observability={"alerts": {"errorRatio": "1.5"}}),
        "errorRatio",
    ),
    entries.Invalid(
        "share of zero",
        entries.claim(observability={"alerts": {"kvCacheUsage": "0.00"}}),
        "a share is above 0",
    ),
    entries.Invalid(
        "seconds of zero",
        entries.claim(observability={"alerts": {"timeToFirstTokenSeconds": "0"}}),
        "a threshold is at least 0.001",
    ),
    entries.Invalid(
        "caller without a port",
        entries.claim(access={"from": [{"port": 0}]}),
        "access.from[0].port",
    ),
    entries.Invalid(
        "peers in an object",
        entries.claim(networkPolicies={"ingress": {}}),
        "networkPolicies.ingress",
    ),
    entries.Invalid(
        "patch of a bad key", entries.claim(patches={"Deployment": {}}), "spec.patches"
    ),
    entries.Invalid("patch in a list", entries.claim(patches={"deployment": []}), "spec.patches"),
)


INVALID: tuple[entries.Invalid, ...] = (
    entries.Invalid(
        "a name of Kubernetes'", entries.claim("default"), "the claim's name is Kubernetes' own"
    ),
    *invalid_engines.FLAGS,
    *invalid_engines.FLAGS_AND_FIELDS,
    *_MODEL,
    *_SCALING,
    *_SLO,
    *_COST,
    *invalid_gateways.GATEWAY,
    *invalid_pods.POD,
    *invalid_engines.TEI,
    *_REST,
)


_NEVER = "above it the trigger can never fire"
# What only admission refuses: 0.9.0 stored it, and the function renders and tells it.
STORED = (
    entries.Invalid(
        "a picker's name", entries.claim("qwen-epp"), "that of another claim's endpoint picker"
    ),
    entries.Invalid(
        "KV threshold above all of the cache",
        entries.claim(scaling={"cacheUtilizationThreshold": "7"}),
        _NEVER,
    ),
    entries.Invalid(
        "KV target above all of the cache",
        entries.claim(scaling={"triggers": {"kvCache": {"target": "1.01"}}}),
        _NEVER,
    ),
    *(
        entries.Invalid(
            f"path of the store: {path!r}", entries.fetched(remoteRef=path), "a path of the store"
        )
        for path in ("a/../b", "..", "a\nb", "a\x7f")
    ),
    *(
        entries.Invalid(
            f"Secret each {interval}", entries.fetched(refreshInterval=interval), "between 1m and"
        )
        for interval in ("59s", "1ms", "8761h", "9999999999h")
    ),
    *(
        entries.Invalid(
            f"scrape each {interval}",
            entries.claim(observability={"metrics": {"interval": interval}}),
            "between 5s and 24h",
        )
        for interval in ("4s", "999ms", "25h", "0s")
    ),
    *(
        entries.Invalid(
            f"template {path}", entries.model(chatTemplate=path), "a chat template is in the prompt"
        )
        for path in ("/proc/self/environ", "/dev", "/sys/a", "/models/../a", "/a/..")
    ),
)
