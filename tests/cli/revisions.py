"""A repository with claims and settings, whose revisions `plan` compares."""

import json
import pathlib
import subprocess
from typing import Any

import yaml
from click import testing

from tests import cluster
from tests.cli import command
from tests.resources import scene

SETTINGS = {
    "providers": {"gateway": "envoy-ai-gateway"},
    "gpu": {
        "defaultClass": "l4",
        "classes": {
            "l4": {"product": "L4", "nodeGpus": 1, "pricePerHour": "1", "poolGpus": 8},
            "h100": {"product": "H100", "pricePerHour": "10"},
        },
    },
    "weights": {"bandwidthMiB": 500},
}


# No licence to be accepted.
LARGE = {"repository": "Qwen/Qwen2.5-72B-Instruct", "quantization": "auto"}


def environment(inner: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.crossplane.io/v1beta1",
        "kind": "EnvironmentConfig",
        "metadata": {
            "name": "site",
            "labels": {"inference-service.cloud.ogenki.io/settings": "true"},
        },
        "data": {"inferenceService": inner},
    }


def claim(name: str, **changes: Any) -> cluster.Object:
    model = {"repository": "Qwen/Qwen3-8B", "quantization": "fp8", **changes.pop("model", {})}
    scaling = {"minReplicas": 1, "maxReplicas": 2, **changes.pop("scaling", {})}
    return scene.of(name=name, model=model, scaling=scaling, **changes)


NODE = ["node", "image"]


class Repository:
    """A git repository with settings and claims, one file each."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.git("init", "-q")
        self.write("site.yaml", environment(SETTINGS))

    def git(self, *words: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *who, *words], cwd=self.root, check=True)

    def write(self, name: str, document: Any) -> None:
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(document))

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", "claims")

    def plan(self, *arguments: str, given: str | None = None) -> testing.Result:
        return command.verb("plan", "-e", "site.yaml", *arguments, given=given)

    def against(self, *arguments: str) -> Any:
        result = self.plan("claims", "--against", "HEAD", "--output", "json", *arguments)
        return json.loads(result.stdout)


def of(plan: Any, name: str) -> Any:
    return next(item for item in plan["claims"] if item["name"] == name)


def changed(path: str, value: Any) -> dict[str, Any]:
    """Returns the settings with another value in one place."""
    site: dict[str, Any] = json.loads(json.dumps(SETTINGS))
    *parents, last = path.split(".")
    inner = site
    for name in parents:
        inner = inner.setdefault(name, {})
    inner[last] = value
    return site
