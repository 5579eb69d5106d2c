"""What admission refuses of the ways to a claim: canaries, fallbacks, endpoint picker."""

from tests.api import entries

GATEWAY = (
    entries.Invalid(
        "canary without an adapter",
        entries.claim(gateway={"enabled": True, "canaries": [entries.canary("sql", 10)]}),
        "every gateway.canaries[].adapter must name an entry of loraAdapters",
    ),
    entries.Invalid(
        "canary of another adapter",
        entries.canaries(entries.canary("z", 10)),
        "every gateway.canaries[].adapter must name an entry of loraAdapters",
    ),
    entries.Invalid(
        "canary twice",
        entries.canaries(entries.canary("a", 10), entries.canary("a", 20)),
        "canaries must name distinct adapters",
    ),
    entries.Invalid(
        "canaries that take everything",
        entries.canaries(entries.canary("a", 50), entries.canary("b", 50)),
        "canary weights must sum to at most 99",
    ),
    entries.Invalid(
        "canaries without the gateway",
        entries.canaries(entries.canary("a", 10), enabled=False),
        "canaries require gateway.enabled",
    ),
    entries.Invalid(
        "picker without the gateway",
        entries.claim(gateway={"endpointPicker": {"enabled": True}}),
        "endpointPicker requires gateway.enabled",
    ),
    entries.Invalid(
        "a fallback without the gateway",
        entries.claim(gateway={"fallback": {"claim": "other"}}),
        "fallback requires gateway.enabled",
    ),
    entries.Invalid(
        "a fallback with a picker",
        entries.claim(gateway=entries.PICKER | {"fallback": {"claim": "other"}}),
        "endpointPicker excludes fallback",
    ),
    entries.Invalid(
        "a fallback of nobody",
        entries.claim(gateway={"enabled": True, "fallback": {}}),
        "a fallback is one of claim and provider",
    ),
    entries.Invalid(
        "a fallback of two",
        entries.claim(
            gateway={
                "enabled": True,
                "fallback": {"claim": "other", "provider": "anthropic", "model": "haiku"},
            }
        ),
        "a fallback is one of claim and provider",
    ),
    entries.Invalid(
        "a provider without a model",
        entries.claim(gateway={"enabled": True, "fallback": {"provider": "anthropic"}}),
        "model names one of the provider's models",
    ),
    entries.Invalid(
        "a model of a claim",
        entries.claim(gateway={"enabled": True, "fallback": {"claim": "other", "model": "haiku"}}),
        "model names one of the provider's models",
    ),
    entries.Invalid(
        "a provider of no such name",
        entries.claim(gateway={"enabled": True, "fallback": {"provider": "A", "model": "haiku"}}),
        "gateway.fallback.provider",
    ),
    entries.Invalid(
        "a fallback of no such name",
        entries.claim(gateway={"enabled": True, "fallback": {"claim": "Other"}}),
        "gateway.fallback.claim",
    ),
    entries.Invalid(
        "a hot adapter without a Job",
        entries.claim(
            model={"repository": "org/m", "preload": {"enabled": False}},
            loraAdapters=[{"name": "sql", "repository": "org/sql", "hot": True}],
        ),
        "hot adapters are those that a Job verifies",
    ),
    entries.Invalid(
        "a hot adapter as a canary",
        entries.claim(
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
    entries.Invalid(
        "a hot adapter on a volume",
        entries.claim(
            model={"source": "pvc", "path": "m"},
            loraAdapters=[{"name": "sql", "repository": "org/sql", "hot": True}],
        ),
        "hot adapters are those that a Job verifies",
    ),
    entries.Invalid("three pickers", entries.picker(replicas=3), "endpointPicker.replicas"),
    entries.Invalid("no picker at all", entries.picker(replicas=0), "endpointPicker.replicas"),
    entries.Invalid(
        "no score that counts",
        entries.picker(scorers={"prefix": 0, "queue": 0, "kvCache": 0}),
        "one of the weights is above 0",
    ),
    entries.Invalid("negative score", entries.picker(scorers={"queue": -1}), "scorers.queue"),
    entries.Invalid(
        "score above its bound", entries.picker(scorers={"adapters": 101}), "scorers.adapters"
    ),
    entries.Invalid("unknown score", entries.picker(scorers={"latency": 1}), "scorers.latency"),
    entries.Invalid(
        "queue for nobody", entries.picker(queue={"maxRequests": 0}), "queue.maxRequests"
    ),
    entries.Invalid(
        "priority twice",
        entries.picker(priorities=[entries.priority("batch", 1), entries.priority("batch", 2)]),
        "the name of a priority is there twice",
    ),
    entries.Invalid(
        "priority without a value",
        entries.picker(priorities=[{"name": "batch"}]),
        "priorities[0].value",
    ),
    entries.Invalid(
        "priority above its bound",
        entries.picker(priorities=[entries.priority("batch", 1001)]),
        "priorities[0].value",
    ),
    entries.Invalid(
        "priority with a dot",
        entries.picker(priorities=[entries.priority("a.b", 1)]),
        "priorities[0].name",
    ),
    entries.Invalid(
        "nine priorities",
        entries.picker(priorities=[entries.priority(f"p{value}", value) for value in range(9)]),
        "endpointPicker.priorities",
    ),
    entries.Invalid(
        "a step above the weight", entries.gated(steps=[5, 11]), "steps lie below weightPercent"
    ),
    entries.Invalid(
        "a step of the weight", entries.gated(steps=[10]), "steps lie below weightPercent"
    ),
    entries.Invalid("no step", entries.gated(steps=[]), "gate.steps"),
    entries.Invalid("a step of nothing", entries.gated(steps=[0]), "gate.steps[0]"),
    entries.Invalid("nine steps", entries.gated(steps=list(range(1, 10))), "gate.steps"),
    entries.Invalid("a step of no time", entries.gated(minutes=0), "gate.minutes"),
    entries.Invalid("a step of two days", entries.gated(minutes=2880), "gate.minutes"),
    entries.Invalid(
        "more errors than requests", entries.gated(maxErrorPercent=101), "gate.maxErrorPercent"
    ),
    entries.Invalid("a judgement of nothing", entries.gated(minRequests=0), "gate.minRequests"),
    entries.Invalid(
        "cases that may all fail", entries.gated(evals={"passPercent": 0}), "evals.passPercent"
    ),
    entries.Invalid("a try before the first", entries.gated(generation=-1), "gate.generation"),
    entries.Invalid(
        "a gate behind a picker",
        entries.canaries({**entries.canary("a", 10), "gate": {}}, endpointPicker={"enabled": True}),
        "endpointPicker excludes gates",
    ),
    entries.Invalid(
        "weight of 100", entries.canaries(entries.canary("a", 100)), "canaries[0].weightPercent"
    ),
    entries.Invalid(
        "weight of zero", entries.canaries(entries.canary("a", 0)), "canaries[0].weightPercent"
    ),
    entries.Invalid("no weight", entries.canaries({"adapter": "a"}), "canaries[0].weightPercent"),
    entries.Invalid(
        "five canaries",
        entries.canaries(*(entries.canary(a, 1) for a in "abcde")),
        "gateway.canaries",
    ),
    entries.Invalid(
        "adapter twice",
        entries.claim(loraAdapters=[entries.ADAPTER, entries.ADAPTER]),
        "adapters must have distinct names",
    ),
    entries.Invalid(
        "an adapter of the claim's name",
        entries.claim(
            loraAdapters=[entries.ADAPTER | {"name": entries.claim()["metadata"]["name"]}]
        ),
        "an adapter cannot have the claim's name",
    ),
    entries.Invalid(
        "no trigger left",
        entries.claim(
            scaling={"triggers": {t: {"enabled": False} for t in ("running", "kvCache", "queue")}}
        ),
        "at least one trigger must stay enabled",
    ),
    entries.Invalid(
        "nine adapters",
        entries.claim(loraAdapters=[entries.ADAPTER | {"name": f"a{index}"} for index in range(9)]),
        "spec.loraAdapters",
    ),
    entries.Invalid(
        "adapter in a directory",
        entries.claim(loraAdapters=[entries.ADAPTER | {"name": "../sql"}]),
        "spec.loraAdapters[0].name",
    ),
    entries.Invalid(
        "adapter with a long name",
        entries.claim(loraAdapters=[entries.ADAPTER | {"name": "a" * 64}]),
        "spec.loraAdapters[0].name",
    ),
    entries.Invalid(
        "adapter of a bad repository",
        entries.claim(loraAdapters=[entries.ADAPTER | {"repository": "a--b"}]),
        "a repository holds neither '..' nor '--'",
    ),
    entries.Invalid(
        "adapter of nothing",
        entries.claim(loraAdapters=[{"name": "a"}]),
        "loraAdapters[0].repository",
    ),
    entries.Invalid(
        "route to nowhere", entries.claim(route={"enabled": True}), "hostname is required when"
    ),
    entries.Invalid(
        "full host name",
        entries.claim(route={"hostname": "llm.example.com"}),
        "spec.route.hostname",
    ),
)
