"""ScaledObjects as the function renders them for the example claims."""

import copy
import functools
import json
import pathlib
from typing import Any

import yaml

from function import plan
from function.api import base, claim, settings
from function.resources import scaler

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLES = sorted(path.stem for path in (ROOT / "examples/claims").glob("*.yaml"))
REFERENCE, PLAIN = "reference", "plain"

Manifest = dict[str, Any]


@functools.cache
def _loaded(name: str) -> Manifest:
    document = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


def example(name: str) -> Manifest:
    """Returns an example claim."""
    return copy.deepcopy(_loaded(f"examples/claims/{name}.yaml"))


def environment(name: str) -> Manifest:
    """Returns example settings, without their cap on GPUs: every claim here may have five."""
    config = copy.deepcopy(_loaded(f"examples/{name}/environmentconfig.yaml"))
    config["data"]["inferenceService"].pop("limits", None)
    return config


def planned(subject: Manifest, config: Manifest) -> plan.Plan:
    """Returns the plan of a claim under an EnvironmentConfig."""
    return plan.make(
        base.parse(claim.InferenceService, subject, what="claim"),
        settings.assemble({}, {}, [config]),
    )


def scaled_object(
    name: str = "xplane-qwen-coder",
    site: str = REFERENCE,
    *,
    suspend: bool = False,
    **scaling: Any,
) -> Manifest:
    """Returns the ScaledObject of an example claim with other scaling; at most five replicas."""
    subject = example(name)
    subject["spec"]["scaling"] = {"minReplicas": 1, "maxReplicas": 5, **scaling}
    subject["spec"]["suspend"] = suspend
    # Through JSON, as KEDA gets it.
    text = json.dumps(scaler.scaled_object(planned(subject, environment(site))))
    result = json.loads(text)
    assert isinstance(result, dict)
    return result


def only(trigger: str) -> Manifest:
    """Returns the claim's `scaling.triggers` with all others switched off."""
    return {name: {"enabled": name == trigger} for name in ("running", "kvCache", "queue")}


def max_num_seqs(name: str) -> int:
    """Returns how many sequences an example claim's replicas run at once."""
    return planned(example(name), environment(REFERENCE)).max_num_seqs
