"""The pod template that claim and settings ask for now, and what of the claim it follows from."""

from typing import Any

from function import canonical, memo
from function.api import base
from function.boundary import additions, patches, templates
from function.planning import identity, plans, running
from function.situation import bases
from function.workloads import pods, workload

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

# Bytes. The API server refuses an object whose annotations are longer together
# (k8s.io/apimachinery, api/validation, TotalAnnotationSizeLimitB), and template and facts are two
# of them. Two KiB are left for our hash, core's own annotations and those of a patch.
LONGEST_MEMORY = 256 * 1024 - 2048


@memo.per_plan
def claim_hash(plan: plans.Plan) -> str:
    """Returns a hash of what the author wrote that pods follow from.

    Over the author's own words, not over what is derived from them: it stays the same when the
    function or the settings change.
    """
    whole = plan.resource.model_dump(by_alias=True, exclude_unset=True, exclude_none=True)
    written = whole["spec"]
    part: dict[str, Any] = {field: written[field] for field in POD_FIELDS if field in written}
    model = dict(part["model"])
    model.pop("tokenSecretRef", None)
    model.pop("retention", None)
    model["preload"] = plan.storage.preloads
    part["model"] = model
    if plan.storage.hot:
        # Which of them there are restarts nothing; whether there are any does.
        static = [one for one in part["loraAdapters"] if one.get("hot") is not True]
        part["loraAdapters"] = [*static, "hot"]
    patch = written.get("patches", {}).get(plan.workload.SUFFIX)
    if patch is not None:
        part["patch"] = patch
    return canonical.digest(part, 16)


@memo.per_plan
def rendered(plan: plans.Plan) -> identity.Manifest:
    """Returns the pod template that claim and settings ask for now, patched and checked.

    Raises:
        base.InvalidError: The author's additions or patches make it what it must not be.
    """
    template = shaped = pods.template(plan)
    if plan.workload.SUFFIX in (plan.spec.patches or {}):
        bare = plan.workload.manifest(
            plan.identity,
            template,
            replacement=plan.replacement,
            deadline_seconds=0,
            replicas=None,
            annotations={},
            labels={},
            members=workload.Members(),
        )
        shaped = plan.workload.template(_shaped(plan, bare, template))
    problems = [
        base.Problem(f"pod template {path}", message)
        for path, message in templates.misshapen(shaped)
    ]
    if problems:
        raise base.InvalidError("claim", problems)
    problems += additions.collisions(plan.spec, template["spec"], shaped["spec"])
    problems += additions.annotations(plan.spec, shaped["spec"])
    problems += additions.same_groups(plan.spec)
    problems += patches.weakened(plan.site, plan.identity.namespace, shaped["spec"])
    # A fact that a release adds must not make a template too long that was taken before.
    facts_before = facts(plan, shaped).model_copy(update={"model": ""})
    problems += _too_long(canonical.dumps(shaped) + facts_before.dumps())
    if problems:
        raise base.InvalidError("claim", problems)
    return shaped


def _too_long(text: str) -> list[base.Problem]:
    """Returns why what would be remembered cannot be."""
    size = len(text.encode())
    if size <= LONGEST_MEMORY:
        return []
    return [
        base.Problem(
            "spec.podTemplate",
            f"the pod template has {size} bytes, and at most {LONGEST_MEMORY} can be remembered"
            " beside it: shorten env or annotations",
        )
    ]


@memo.per_plan
def rendered_text(plan: plans.Plan) -> str:
    """Returns the canonical JSON of the rendered template."""
    return canonical.dumps(rendered(plan))


def patched(plan: plans.Plan, manifest: identity.Manifest) -> identity.Manifest:
    """Returns the workload with the author's patch; its template stays as it is.

    A rendered template has the patch already, and a patch never changes a template that is held.
    The patch is checked against the rendered template, because a held one may have another engine.
    """
    if plan.workload.SUFFIX not in (plan.spec.patches or {}):
        return manifest
    shaped = _shaped(plan, manifest, pods.template(plan))
    return plan.workload.with_template(shaped, plan.workload.template(manifest))


def _shaped(
    plan: plans.Plan, manifest: identity.Manifest, template: identity.Manifest
) -> identity.Manifest:
    """Returns the workload around a rendered template, with the author's patch."""
    whole = plan.workload.with_template(manifest, template)
    return patches.apply(plan.resource, plan.site, plan.workload.SUFFIX, whole)


def facts(plan: plans.Plan, wanted: identity.Manifest) -> running.Running:
    """Returns what pods of the rendered template will be; a patch makes of them what it says."""
    if plan.workload.SUFFIX in (plan.spec.patches or {}):
        told = read(plan, wanted)
        return told if bases.proved(plan, wanted) else told.model_copy(update={"model": ""})
    return plan.running


def read(plan: plans.Plan, template: identity.Manifest) -> running.Running:
    """Returns what pods of a template are, read from the template itself."""
    return pods.running_of(template, plan.engine, plan.running)
