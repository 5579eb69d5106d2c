"""What is valid, and what 0.9.0 accepted and stays accepted."""

from tests import former_defaults
from tests.api import entries

# The claim that 0.9.0's schema made of one with little in it: its defaults are stored.
_STORED_0_9: entries.Json = {
    **former_defaults.STORED,
    "model": {"repository": "Qwen/Qwen3-8B", **former_defaults.STORED["model"]},
    "gateway": {"enabled": False, "endpointPicker": {"enabled": False}},
}

_CODER: entries.Json = {
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

_GUARD: entries.Json = {
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

ACCEPTED: tuple[entries.Accepted, ...] = (
    entries.Accepted("smallest", entries.claim()),
    entries.Accepted("name of one letter", entries.claim("q")),
    entries.Accepted("longest name", entries.claim("q" * 54)),
    entries.Accepted("longest name with a picker", entries.claim("q" * 53, gateway=entries.PICKER)),
    entries.Accepted(
        "long name with a picker that is off", entries.claim("q" * 54, gateway={"enabled": True})
    ),
    entries.Accepted("0.9.0's stored defaults", {**entries.claim(), "spec": _STORED_0_9}),
    entries.Accepted(
        "reference claim with adapters", {**entries.claim("xplane-qwen-coder"), "spec": _CODER}
    ),
    entries.Accepted(
        "reference claim with resources", {**entries.claim("xplane-llamaguard3-1b"), "spec": _GUARD}
    ),
    entries.Accepted("tei", entries.claim(engine={"kind": "tei"})),
    entries.Accepted(
        "tei on a GPU", entries.claim(engine={"kind": "tei", "version": "1.9.3"}, gpu={"count": 1})
    ),
    entries.Accepted("no maxReplicas", entries.claim(scaling={"minReplicas": 1})),
    entries.Accepted("least above the default most", entries.claim(scaling={"minReplicas": 10})),
    entries.Accepted("zero replicas", entries.claim(scaling={"minReplicas": 0, "maxReplicas": 1})),
    entries.Accepted("cooldown of a day", entries.claim(scaling={"cooldownSeconds": 86400})),
    entries.Accepted("old thresholds", entries.claim(scaling={"runningRatioThreshold": "0.7"})),
    entries.Accepted(
        "threshold that is an integer", entries.claim(scaling={"cacheUtilizationThreshold": "1"})
    ),
    entries.Accepted(
        "old threshold and another new one",
        entries.claim(
            scaling={"runningRatioThreshold": "0.7", "triggers": {"queue": {"target": "4"}}}
        ),
    ),
    entries.Accepted(
        "old threshold and the new switch",
        entries.claim(
            scaling={"runningRatioThreshold": "0.7", "triggers": {"running": {"enabled": False}}}
        ),
    ),
    *(
        entries.Accepted(f"quantization {name}", entries.model(quantization=name))
        for name in ("fp16", "fp8", "awq", "gptq", "bitsandbytes")
    ),
    entries.Accepted("tensor parallelism", entries.arguments("--tensor-parallel-size=2")),
    entries.Accepted("flag without a value", entries.arguments("--enforce-eager")),
    entries.Accepted(
        "flag with a JSON value", entries.arguments('--hf-overrides={"a": ["b c", "d=e"]}')
    ),
    entries.Accepted("dotted flag", entries.arguments("--rope-scaling.factor=4.0")),
    entries.Accepted("flag that starts as a managed one", entries.arguments("--model-impl=vllm")),
    entries.Accepted("configuration's format", entries.arguments("--config-format=hf")),
    entries.Accepted("negation of another flag", entries.arguments("--no-enable-chunked-prefill")),
    entries.Accepted(
        "most arguments", entries.arguments(*(f"--x{index}=1" for index in range(16)))
    ),
    entries.Accepted("longest argument", entries.arguments("--x=" + "a" * 252)),
    entries.Accepted("argument in another script", entries.arguments("--x=模型")),
    entries.Accepted(
        "flag whose field is absent", entries.arguments("--kv-cache-dtype=fp8", "--dtype=half")
    ),
    entries.Accepted("download off", entries.model(preload={"enabled": False})),
    entries.Accepted("prefix cache off", entries.claim(cache={"prefixCache": {"enabled": False}})),
    entries.Accepted("probes", entries.claim(healthProbes=_STORED_0_9["healthProbes"])),
    entries.Accepted(
        "probe without delay", entries.claim(healthProbes={"liveness": {"initialDelaySeconds": 0}})
    ),
    entries.Accepted("quantities as integers", entries.claim(resources={"limits": {"cpu": 8}})),
    entries.Accepted("part of a CPU", entries.claim(resources={"requests": {"cpu": "0.5"}})),
    entries.Accepted(
        "security context", entries.claim(securityContext={"runAsUser": 2000, "capabilities": {}})
    ),
    entries.Accepted(
        "raw network policies",
        entries.claim(networkPolicies={"ingress": [{"fromEntities": ["cluster"]}], "egress": []}),
    ),
    entries.Accepted(
        "raw alerts",
        entries.claim(observability={"alertingRules": {"groups": [{"name": "a", "rules": []}]}}),
    ),
    entries.Accepted(
        "secret",
        entries.claim(
            externalSecrets=[{"name": "s", "remoteRef": "llm/s", "refreshInterval": "1h"}]
        ),
    ),
    *(
        entries.Accepted(f"Secret each {interval}", entries.fetched(refreshInterval=interval))
        for interval in ("0s", "1m", "60s", "90000ms", "8760h")
    ),
    *(
        entries.Accepted(f"path of the store {path!r}", entries.fetched(remoteRef=path))
        for path in ("a..b/c", "...", "/a b/ü", "arn:aws:secretsmanager:eu-west-3:1:secret:a")
    ),
    *(
        entries.Accepted(f"template {path}", entries.model(chatTemplate=path))
        for path in ("/process/a..b", "/models/proc/a", "/etc/templates/a.jinja")
    ),
    entries.Accepted(
        "scrape each 5 seconds", entries.claim(observability={"metrics": {"interval": "5s"}})
    ),
    entries.Accepted(
        "sub-directory of another claim", entries.claim(weightsFileSystem={"subPath": "qwen"})
    ),
    entries.Accepted("route", entries.claim(route={"enabled": True, "hostname": "llm"})),
    entries.Accepted(
        "host of a route that is off", entries.claim(route={"enabled": False, "hostname": "llm"})
    ),
    entries.Accepted(
        "gateway with nothing in it", entries.claim(gateway={"enabled": True, "canaries": []})
    ),
    entries.Accepted("the smallest gate", entries.gated()),
    entries.Accepted(
        "a gate of one percent", entries.canaries({**entries.canary("a", 1), "gate": {}})
    ),
    entries.Accepted(
        "a whole gate",
        entries.gated(
            steps=[9, 1, 1],
            minutes=1440,
            maxErrorPercent=0,
            minRequests=1_000_000,
            evals={},
            generation=3,
        ),
    ),
    entries.Accepted(
        "canaries up to 99", entries.canaries(entries.canary("a", 49), entries.canary("b", 50))
    ),
    entries.Accepted("a replica of 16 pods", entries.shared(tensor=64, pipeline=2)),
    entries.Accepted("copies within a pod", entries.shared(tensor=4, data=2, expert=True)),
    entries.Accepted("copies of one pod", entries.shared(data=2)),
    entries.Accepted("a queue", entries.claim(scheduling={"queue": "gpus"})),
    entries.Accepted(
        "a place in a queue", entries.claim(scheduling={"queue": "gpus", "priorityClass": "high"})
    ),
    entries.Accepted(
        "canaries behind a picker",
        entries.canaries(entries.canary("a", 10), endpointPicker={"enabled": True}),
    ),
    entries.Accepted(
        "everything of a picker",
        entries.picker(
            replicas=2,
            scorers={"prefix": 0, "queue": 0, "kvCache": 0, "adapters": 1},
            queue={"maxRequests": 1},
            priorities=[entries.priority("batch", -1000), entries.priority("now", 1000)],
        ),
    ),
    entries.Accepted(
        "empty fields of a picker", entries.picker(scorers={}, queue={}, priorities=[])
    ),
    entries.Accepted(
        "null is an omission", entries.claim(scaling={"runningRatioThreshold": None}, gpu=None)
    ),
    entries.Accepted("null in a map", entries.pod(labels={"team": None})),
    entries.Accepted(
        "empty objects", entries.claim(gpu={}, scaling={}, cache={}, gateway={}, resources={})
    ),
    entries.Accepted(
        "what Crossplane keeps",
        entries.claim(
            crossplane={"compositionRef": {"name": "xinferenceservices.cloud.ogenki.io"}}
        ),
    ),
)
