"""What 0.9.0's schema wrote into a stored claim."""

from typing import Any

# Wherever the parent was there (docs/migration-from-0.9.md).
STORED: dict[str, Any] = {
    "model": {
        "revision": "main",
        "quantization": "fp16",
        "contextWindow": 4096,
        "maxNumSeqs": 64,
        "preload": {"enabled": False},
        "streaming": {"enabled": False},
    },
    "gpu": {"count": 1, "minVRAM": "16Gi"},
    "routing": {"tier": "medium", "specialty": "general"},
    "scaling": {
        "minReplicas": 1,
        "maxReplicas": 3,
        "cooldownSeconds": 300,
        "pollingIntervalSeconds": 15,
        "runningRatioThreshold": "0.7",
        "cacheUtilizationThreshold": "0.6",
        "queueLengthThreshold": 8,
    },
    "cache": {"kvOffload": {"enabled": False, "sizeGB": 16}, "prefixCache": {"enabled": False}},
    "gateway": {"enabled": False},
    "route": {"enabled": False},
    "healthProbes": {
        "liveness": {
            "initialDelaySeconds": 60,
            "periodSeconds": 30,
            "timeoutSeconds": 10,
            "failureThreshold": 3,
        },
        "readiness": {
            "initialDelaySeconds": 30,
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
    },
}
