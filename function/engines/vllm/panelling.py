"""The panels on vLLM's own series, with the targets of triggers and the thresholds of alerts."""

from collections.abc import Iterator

from function.api import claim_metrics
from function.engines import engine
from function.engines.vllm import alerting, metrics
from function.planning import identity, running, scaling

# Seconds for which an adapter counts as used since a step computed with it.
_USED = 120


def panels(
    who: identity.Identity,
    thresholds: claim_metrics.Alerts,
    targets: scaling.Scaling,
    now: running.Running,
) -> Iterator[engine.Panel]:
    """Yields the panels that make sense for the pods that run."""
    yield from _requests(who, thresholds, targets, now)
    yield from _latency(who, thresholds, now)
    yield from _tokens(who, thresholds, targets, now)
    if now.adapters or now.hot:
        yield _adapters(who)


def _requests(
    who: identity.Identity,
    thresholds: claim_metrics.Alerts,
    targets: scaling.Scaling,
    now: running.Running,
) -> Iterator[engine.Panel]:
    own = _own(who)
    every = engine.matchers(who)[:-1] + ',handler=~"/v1/.*"'
    total = f"sum(rate({metrics.HTTP_REQUESTS}{every}}}[5m]))"
    failed = f'sum(rate({metrics.HTTP_REQUESTS}{every},status="5xx"}}[5m]))'
    yield engine.Panel(
        engine.Row.REQUESTS,
        "Requests running",
        "short",
        "Requests that each replica computes now. The line is the scaling target of a replica:"
        " above it replicas are added, up to maxReplicas. Above the line with all replicas there:"
        " raise scaling.maxReplicas.",
        (engine.Query(f"sum by (pod) ({metrics.RUNNING}{own})", "{{pod}}"),),
        targets.running_target(now.max_requests),
        ("InferenceServiceReplicasUnbalanced", "InferenceServiceEngineStalled"),
    )
    yield engine.Panel(
        engine.Row.REQUESTS,
        "Requests waiting",
        "short",
        "Requests that wait in each replica. The line is the scaling target of a replica. A queue"
        " that stays wants more replicas, or a larger model.maxNumSeqs while the KV cache is idle.",
        (engine.Query(f"sum by (pod) ({metrics.WAITING}{own})", "{{pod}}"),),
        targets.queue,
        ("InferenceServiceQueueSustained", "InferenceServiceRaiseMaxNumSeqs"),
    )
    yield engine.Panel(
        engine.Row.REQUESTS,
        "Requests answered",
        "reqps",
        "Answers of the engine a second, by status. 4xx are the callers' mistakes, 5xx the"
        " engine's; 503 is a queue that is full.",
        (
            engine.Query(
                f"sum by (status) (rate({metrics.HTTP_REQUESTS}{every}}}[5m]))", "{{status}}"
            ),
        ),
    )
    yield engine.Panel(
        engine.Row.REQUESTS,
        "Error rate",
        "percentunit",
        "Share of answers that are 5xx. The line is the alert's threshold. Read the engine's log,"
        " and look for replicas that restart.",
        (engine.Query(f"({failed} or {total} * 0) / ({total} > 0)", "5xx"),),
        thresholds.error_ratio or alerting.ERROR_RATIO,
        ("InferenceServiceErrorRatioHigh",),
    )


def _latency(
    who: identity.Identity, thresholds: claim_metrics.Alerts, now: running.Running
) -> Iterator[engine.Panel]:
    own = _own(who)
    if now.generates:
        yield engine.Panel(
            engine.Row.LATENCY,
            "Time to first token",
            "s",
            "From a request's arrival at the engine to its first token. The line is the threshold"
            " of the alert on p95. It grows with the queue and with long prompts: add replicas, or"
            " look at the prefix cache.",
            engine.percentiles(metrics.FIRST_TOKEN, own),
            thresholds.time_to_first_token_seconds or alerting.TIME_TO_FIRST_TOKEN,
            ("InferenceServiceTimeToFirstTokenHigh",),
        )
        yield engine.Panel(
            engine.Row.LATENCY,
            "Time between tokens",
            "s",
            "From one token of an answer to the next. It grows with the requests that a replica"
            " runs at once: a smaller model.maxNumSeqs or more replicas make it shorter.",
            engine.percentiles(metrics.BETWEEN_TOKENS, own),
        )
    yield engine.Panel(
        engine.Row.LATENCY,
        "Whole request",
        "s",
        "From a request's arrival at the engine to the end of its answer. Long answers take long:"
        " compare with the tokens a second before anything is changed.",
        engine.percentiles(metrics.WHOLE_REQUEST, own),
    )


def _tokens(
    who: identity.Identity,
    thresholds: claim_metrics.Alerts,
    targets: scaling.Scaling,
    now: running.Running,
) -> Iterator[engine.Panel]:
    own = _own(who)
    counted = [engine.Query(f"sum(rate({metrics.PROMPT_TOKENS}{own}[5m]))", "prompt")]
    if now.generates:
        counted.append(engine.Query(f"sum(rate({metrics.GENERATED_TOKENS}{own}[5m]))", "generated"))
    yield engine.Panel(
        engine.Row.TOKENS,
        "Tokens a second",
        "short",
        "Tokens that all replicas read and write in a second. Requests that run while nothing is"
        " generated are a stalled engine: delete its pod.",
        tuple(counted),
        None,
        ("InferenceServiceEngineStalled",) if now.generates else (),
    )
    yield engine.Panel(
        engine.Row.TOKENS,
        "KV cache use",
        "percentunit",
        "Used share of each replica's KV cache. The line is the scaling target of a replica. A full"
        " cache preempts requests: more replicas, a smaller model.contextWindow, or"
        " model.kvCacheDtype fp8.",
        (engine.Query(f"max by (pod) ({metrics.KV_CACHE_USAGE}{own})", "{{pod}}"),),
        targets.kv_usage,
        ("InferenceServiceKVCacheSaturated",),
    )
    hits, queries = (
        f"sum(rate({metric}{own}[5m]))" for metric in (metrics.PREFIX_HITS, metrics.PREFIX_QUERIES)
    )
    yield engine.Panel(
        engine.Row.TOKENS,
        "Prefix cache hits",
        "percentunit",
        "Share of prompt tokens that the prefix cache had. Low with prompts that share a beginning:"
        " more than one replica without an endpoint picker spreads them.",
        (engine.Query(f"{hits} / ({queries} > 0)", "hits"),),
    )
    yield engine.Panel(
        engine.Row.TOKENS,
        "Preemptions",
        "short",
        "Requests a minute that lost their KV blocks and were computed again, of each replica. The"
        " line is the alert's threshold. The same remedies as for a full KV cache.",
        (engine.Query(f"sum by (pod) (rate({metrics.PREEMPTIONS}{own}[5m])) * 60", "{{pod}}"),),
        thresholds.preemptions_per_minute or alerting.PREEMPTIONS_PER_MINUTE,
        ("InferenceServicePreemptions",),
    )


def _adapters(who: identity.Identity) -> engine.Panel:
    recent = f"{metrics.ADAPTERS}{engine.matchers(who)} > time() - {_USED}"
    return engine.Panel(
        engine.Row.TOKENS,
        "Adapters in use",
        "short",
        "Replicas by the adapters that they computed with in the last two minutes; without a name:"
        " the base model alone. Many adapters at once slow a replica down.",
        (
            engine.Query(
                f"count by (running_lora_adapters) ({recent})", "{{running_lora_adapters}}"
            ),
        ),
    )


def _own(who: identity.Identity) -> str:
    return engine.matchers(who, model_name=who.name)
