"""ScaledObjects as the function renders them for the example claims."""

import copy
import functools
import json
import pathlib
from typing import Any

from function.api import settings
from function.concerns.scaling import keda
from function.situation import situations
from tests import documents, newborn

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLES = sorted(path.stem for path in (ROOT / "examples/claims").glob("*.yaml"))
REFERENCE, PLAIN = "reference", "plain"

Manifest = dict[str, Any]


@functools.cache
def _loaded(name: str) -> Manifest:
    document = documents.parse((ROOT / name).read_text(encoding="utf-8"))
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


def planned(subject: Manifest, config: Manifest) -> situations.Situation:
    """Returns what holds of a new claim under an EnvironmentConfig."""
    return newborn.situation(subject, settings.assemble({}, {}, [config]))


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
    now = planned(subject, environment(site))
    text = json.dumps(keda.scaled_object(now.plan, now.rollout.running))
    result = json.loads(text)
    assert isinstance(result, dict)
    return result


def only(trigger: str) -> Manifest:
    """Returns the claim's `scaling.triggers` with all others switched off."""
    return {name: {"enabled": name == trigger} for name in ("running", "kvCache", "queue")}


def max_num_seqs(name: str) -> int:
    """Returns how many sequences an example claim's replicas run at once."""
    sequences = planned(example(name), environment(REFERENCE)).plan.running.max_requests
    assert sequences is not None
    return sequences
