"""Fields of 0.9.0 that stored claims still have: they tune and roll what they did."""

from __future__ import annotations

from e2e import kept
from e2e.controlplane import api
from e2e.takeover import CODER, GENERAL, NAMES, OldCluster


def assert_they_tune(cluster: OldCluster, before: kept.Before) -> None:
    """What 0.9.0's users write still works, and where it is no matter of the pods, at once."""
    for claim in cluster.claims.values():
        claim.apply(
            scaling={
                "minReplicas": 1,
                "maxReplicas": 4,
                "cooldownSeconds": 600,
                "pollingIntervalSeconds": 30,
                "runningRatioThreshold": "0.5",
                "cacheUtilizationThreshold": "0.7",
                "queueLengthThreshold": 4,
            },
            routing={"tier": "large", "specialty": "math"},
            networkPolicies={"ingress": [kept.PROXY]},
            observability={
                "metrics": {"interval": "45s"},
                "alertingRules": {
                    "groups": [{"name": "own", "rules": [{"alert": "Own", "expr": "vector(1)"}]}]
                },
            },
        )
    gateway = {
        "enabled": True,
        "canaries": [{"adapter": "xplane-qwen-coder-sql-dpo", "weightPercent": 25}],
    }
    cluster.claims[CODER].apply(gateway=gateway)
    for claim in cluster.claims.values():
        claim.wait(
            lambda _, claim=claim: _tuned(claim.composed()),  # type: ignore[misc]
            what="with all that was tuned",
        )
    coder = cluster.claims[CODER]
    coder.wait(
        lambda _: (
            {
                ref.get("weight")
                for ref in coder.one("AIGatewayRoute")["spec"]["rules"][0]["backendRefs"]
            }
            == {75, 25}
        ),
        what="with 25 % for the canary",
    )
    before.assert_kept(*NAMES)


def _tuned(composed: dict[str, api.Object]) -> bool:
    """Whether every object says what was tuned."""
    kinds = {item["kind"]: item["spec"] for item in composed.values() if "spec" in item}
    scaled = kinds["ScaledObject"]
    policies = [item for item in composed.values() if item["kind"] == "CiliumNetworkPolicy"]
    rules = kinds["VMRule"]["groups"]
    return (
        (scaled["minReplicaCount"], scaled["maxReplicaCount"]) == (1, 4)
        and (scaled["cooldownPeriod"], scaled["pollingInterval"]) == (600, 30)
        and [item["metadata"]["threshold"] for item in scaled["triggers"]] == ["16", "0.7", "4"]
        and kinds["VMServiceScrape"]["endpoints"][0]["interval"] == "45s"
        and [item["name"] for item in rules] == ["own"]
        and any(kept.PROXY in item["spec"]["ingress"] for item in policies)
    )


def assert_they_roll(cluster: OldCluster, before: kept.Before) -> None:
    """Those that pods follow from reach them, with the platform's change, in one restart."""
    claim = cluster.claims[GENERAL]
    spec = claim.manifest["spec"]
    claim.apply(
        model=spec["model"] | {"contextWindow": 16384, "maxNumSeqs": 16, "quantization": "fp16"},
        engineArgs=["--enforce-eager"],
        resources={"requests": {"cpu": "3"}},
        healthProbes={"readiness": {"periodSeconds": 7}, "liveness": {"failureThreshold": 9}},
        securityContext={"readOnlyRootFilesystem": True},
        cache={"kvOffload": {"enabled": False}, "prefixCache": {"enabled": False}},
        externalSecrets=[{"name": f"inference-service.{GENERAL}.extra", "remoteRef": "llm/extra"}],
    )
    claim.wait_ready()
    engine = kept.engine(claim.one("Deployment"))
    words = set(engine["args"])
    assert {
        "--max-model-len=16384",
        "--max-num-seqs=16",
        "--enforce-eager",
        "--no-enable-prefix-caching",
    } <= words, words
    assert not any("quantization" in word or "offload" in word for word in words)
    assert engine["resources"]["requests"]["cpu"] == "3"
    assert engine["readinessProbe"]["periodSeconds"] == 7
    assert engine["livenessProbe"]["failureThreshold"] == 9
    assert {"secretRef": {"name": f"inference-service.{GENERAL}.extra"}} in engine["envFrom"]
    assert claim.one("ExternalSecret")["metadata"]["name"] == f"inference-service.{GENERAL}.extra"
    for suffix in kept.SUFFIXES:
        uid = claim.composed()[f"{GENERAL}-{suffix}"]["metadata"]["uid"]
        assert uid == before.uid(GENERAL, suffix)
