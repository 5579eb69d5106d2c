"""What of an author's variables is refused, by the judgement of the engine that reads them."""

from collections.abc import Callable, Iterator

from function.api import base, claim, claim_pod, settings
from function.boundary import permissions
from function.engines import judgements

Judge = Callable[[claim_pod.EnvVar], judgements.Danger | None]


def refusals(
    resource: claim.InferenceService,
    site: settings.Settings,
    judge: Judge,
    prints: Callable[[claim_pod.EnvVar], str | None],
) -> Iterator[base.Problem]:
    """Yields what an author's variables must not tell the engine.

    First what no permission opens: a Secret that is printed, and what the composition sets.

    Args:
        resource: The claim.
        site: The settings.
        judge: Returns what a variable could do beyond plain tuning, or None.
        prints: Returns why the engine shows a variable's Secret, or None where it does not.
    """
    own = list(enumerate(base.of(resource.spec.pod_template, "env") or []))
    judged = {index: judge(variable) for index, variable in own}
    for index, variable in own:
        path, danger = f"spec.podTemplate.env[{index}]", judged[index]
        printed = prints(variable) if "secretKeyRef" in (variable.value_from or {}) else None
        if printed is not None:
            yield base.Problem(f"{path}.valueFrom.secretKeyRef", f"{variable.name} {printed}")
        if danger is not None and danger.kind is judgements.Kind.MANAGED:
            yield base.Problem(path, f"{variable.name} {danger.why}")
    for index, variable in own:
        danger = judged[index]
        if danger is not None and danger.kind in judgements.OF_VARIABLES:
            path, words = f"spec.podTemplate.env[{index}]", f"{variable.name} {danger.why}"
            hatch = judgements.OF_VARIABLES[danger.kind]
            yield from permissions.closed(hatch, path, resource.namespace, site, words)
