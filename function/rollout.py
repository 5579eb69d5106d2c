"""Which pod template the Deployment runs: the one that claim and settings ask for, or the last one.

Nothing restarts by surprise. The template that was emitted last is kept in an annotation of the
Deployment, with a hash of the part of the claim that it came from, and once more on the
PodDisruptionBudget, from which a Deployment that somebody deleted is made again. A new template is
taken when the author changed that part and the new weights are verified; what only the platform
changed (a function version, the settings) waits for the author, unless the settings say
`Immediate`, or no pod of the claim served so far.
"""

import dataclasses
import json
from typing import Any

from function import canonical
from function import observed as world
from function import plan as plans
from function.resources import deployment, meta

ACCEPT_ANNOTATION = f"{meta.DOMAIN}/accept"

# Fields of the spec that a pod template follows from; scaling, routing and alerts are not.
POD_FIELDS = (
    "cache",
    "drainSeconds",
    "engine",
    "engineArgs",
    "envFromSecrets",
    "externalSecrets",
    "gpu",
    "healthProbes",
    "loraAdapters",
    "model",
    "podTemplate",
    "resources",
    "securityContext",
    "weightsFileSystem",
)


@dataclasses.dataclass(frozen=True)
class Hold:
    """Why the last template is kept."""

    reason: str
    message: str
    fields: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Rollout:
    """The template to emit.

    Attributes:
        template: The pod template, or None while the Deployment is withheld.
        text: Canonical JSON of the template; while the Deployment is withheld, of the last one
            that was emitted, or empty.
        claim_hash: Hash of the part of the claim that that template came from.
        hold: Why it is not the one that was rendered, or None.
        restarts: Fields of the template that differ from the one that runs; pods restart.
        applied: True when the observed Deployment already carries the template.
    """

    template: meta.Manifest | None
    text: str
    claim_hash: str
    hold: Hold | None
    restarts: tuple[str, ...]
    applied: bool


WEIGHTS_PENDING = "WeightsPending"
EXCEEDS_CLASS = "ExceedsGpuClass"
PLATFORM_CHANGE = "PlatformChangePending"


def claim_hash(plan: plans.Plan) -> str:
    """Returns a hash of what the author wrote that pods follow from.

    Over the author's own words, not over what is derived from them: it stays the same when the
    function or the settings change.
    """
    said = plan.spec.model_dump(by_alias=True, exclude_unset=True, exclude_none=True)
    part: dict[str, Any] = {field: said[field] for field in POD_FIELDS if field in said}
    model = dict(part["model"])
    model.pop("tokenSecretRef", None)
    model.pop("retention", None)
    model["preload"] = plan.preloads
    part["model"] = model
    patch = said.get("patches", {}).get("deployment")
    if patch is not None:
        part["patch"] = patch
    return canonical.digest(part, 16)


def decide(
    plan: plans.Plan,
    observed: world.Object | None,
    budget: world.Object | None,
    rendered: meta.Manifest,
    *,
    verified: bool,
    served: bool,
) -> Rollout:
    """Returns the template to emit.

    Args:
        plan: The plan.
        observed: The observed Deployment, or None.
        budget: The observed PodDisruptionBudget, or None.
        rendered: The template that claim and settings ask for now.
        verified: Whether the weights that it needs are verified.
        served: Whether a pod of ours served at any time, as far as is known.
    """
    now = claim_hash(plan)
    rendered_text = canonical.dumps(rendered)
    last, last_hash = _last(observed, budget)
    if observed is None and (last is None or plan.suspended or plan.misfit is not None):
        if last is None and verified and not plan.suspended and plan.misfit is None:
            return Rollout(rendered, rendered_text, now, None, (), False)
        text = "" if last is None else canonical.dumps(last)
        return Rollout(None, text, last_hash or now, None, (), False)
    text = world.at(observed, "metadata", "annotations", deployment.TEMPLATE_ANNOTATION)
    if text is None and observed is not None:
        text = canonical.dumps(canonical.plain(world.at(observed, "spec", "template")))
    if text == rendered_text:
        return Rollout(rendered, rendered_text, now, None, (), True)
    changed = tuple(canonical.differences(last, rendered))
    # A template without a hash is 0.9.0's, and served: today's claim is where it came from.
    platforms = last_hash is None or (last_hash == now and served)
    hold = _hold(plan, rendered, changed, verified, platforms) if changed else None
    if hold is None:
        return Rollout(rendered, rendered_text, now, None, changed, False)
    last_text = canonical.dumps(last)
    return Rollout(last, last_text, last_hash or now, hold, (), text == last_text)


def _last(
    observed: world.Object | None, budget: world.Object | None
) -> tuple[meta.Manifest | None, str | None]:
    """Returns the template that was emitted last, and the hash that it came from.

    Without our annotation on either the observed template is the last one: 0.9.0's, or one whose
    annotations somebody removed.
    """
    for keeper in (observed, budget):
        annotations = world.at(keeper, "metadata", "annotations")
        text = world.at(annotations, deployment.TEMPLATE_ANNOTATION)
        claimed = world.at(annotations, deployment.CLAIM_ANNOTATION)
        try:
            template = json.loads(text) if isinstance(text, str) else None
        except ValueError:
            template = None
        if isinstance(template, dict):
            return template, claimed if isinstance(claimed, str) else None
    return canonical.plain(world.at(observed, "spec", "template")), None


def _hold(
    plan: plans.Plan,
    rendered: meta.Manifest,
    changed: tuple[str, ...],
    verified: bool,
    platforms: bool,
) -> Hold | None:
    fields = ", ".join(changed[:6]) + (", ..." if len(changed) > 6 else "")
    if not verified:
        return Hold(
            WEIGHTS_PENDING,
            "the running pods keep their template until the new weights are verified",
            changed,
        )
    if plan.misfit is not None:
        return Hold(EXCEEDS_CLASS, f"the running pods keep their template: {plan.misfit}", changed)
    if not platforms or plan.site.rollout.platform_changes == "Immediate":
        return None
    token = canonical.digest(rendered, 8)
    if plan.resource.metadata.annotations.get(ACCEPT_ANNOTATION) == token:
        return None
    return Hold(
        PLATFORM_CHANGE,
        f"the platform changed {fields}; pods keep their template until a field that they follow"
        f" from is edited, or the claim is annotated {ACCEPT_ANNOTATION}={token}",
        changed,
    )
