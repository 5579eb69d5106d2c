"""Checks of Deployments, Jobs and PodDisruptionBudgets that Kubernetes has in code.

Source: Kubernetes 1.36 `pkg/apis/{apps,batch,policy}/validation`.
"""

import re
import typing
from collections import abc

from tests.schemas import containers, names, pods

Object: typing.TypeAlias = abc.Mapping[str, typing.Any]
Findings: typing.TypeAlias = containers.Findings

_PERCENT = re.compile("[0-9]+%")
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
# Fields that Kubernetes checks in code and nothing here does.
_UNCHECKED = ("successPolicy", "managedBy", "manualSelector")
# Limits of podFailurePolicy, which the schema gives in words.
_MAX_FAILURE_RULES = 20
_MAX_EXIT_CODES = 255
_DEFAULT_PROGRESS_SECONDS = 600


def deployment(obj: Object, out: Findings) -> None:
    """Check a Deployment."""
    spec = obj.get("spec", {})
    for key in ("replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        _not_negative(spec, key, "spec", out)
    deadline = spec.get("progressDeadlineSeconds", _DEFAULT_PROGRESS_SECONDS)
    if deadline <= spec.get("minReadySeconds", 0):
        message = f"must be greater than minReadySeconds, is {deadline}"
        containers.fail(out, "spec.progressDeadlineSeconds", message)
    selector = spec.get("selector", {})
    names.selector(selector, "spec.selector", out)
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        containers.fail(out, "spec.selector", "must not be empty")
    _selected(selector, spec, out)
    _strategy(spec.get("strategy", {}), "spec.strategy", out)
    template = spec.get("template", {})
    pods.template(template, "spec.template", out)
    pod = template.get("spec", {})
    if pod.get("restartPolicy", "Always") != "Always":
        containers.fail(out, "spec.template.spec.restartPolicy", "must be Always in a Deployment")
    if "activeDeadlineSeconds" in pod:
        where = "spec.template.spec.activeDeadlineSeconds"
        containers.fail(out, where, "not allowed in a Deployment")


def _not_negative(spec: Object, key: str, path: str, out: Findings) -> None:
    if spec.get(key, 0) < 0:
        containers.fail(out, f"{path}.{key}", f"must not be negative, is {spec[key]}")


def _selected(selector: Object, spec: Object, out: Findings) -> None:
    labels = spec.get("template", {}).get("metadata", {}).get("labels", {})
    if not names.selects(selector, labels):
        where = "spec.template.metadata.labels"
        containers.fail(out, where, f"must match spec.selector, are {labels}")


def _strategy(strategy: Object, path: str, out: Findings) -> None:
    kind = strategy.get("type", "RollingUpdate")
    containers.one_of(kind, ("Recreate", "RollingUpdate"), f"{path}.type", out)
    if "rollingUpdate" not in strategy:
        return
    rolling = strategy["rollingUpdate"]
    if kind == "Recreate":
        containers.fail(out, f"{path}.rollingUpdate", "not allowed with type Recreate")
    for key in ("maxSurge", "maxUnavailable"):
        if key in rolling:
            _amount(rolling[key], f"{path}.rollingUpdate.{key}", out)
    surge, unavailable = (rolling.get(key, "25%") for key in ("maxSurge", "maxUnavailable"))
    if _number(surge) == 0 and _number(unavailable) == 0:
        where = f"{path}.rollingUpdate.maxUnavailable"
        containers.fail(out, where, "must not be 0 when maxSurge is 0")
    if isinstance(unavailable, str) and (_number(unavailable) or 0) > 100:
        containers.fail(out, f"{path}.rollingUpdate.maxUnavailable", "must not be above 100%")


def _number(value: int | str) -> int | None:
    """Return the number of pods or of percent; None when the text is not a percentage."""
    if isinstance(value, str):
        return int(value[:-1]) if _PERCENT.fullmatch(value) else None
    return value


def _amount(value: int | str, path: str, out: Findings) -> None:
    number = _number(value)
    if number is None or number < 0:
        message = f"must be a number of pods or a percentage, not negative, is {value!r}"
        containers.fail(out, path, message)


def disruption_budget(obj: Object, out: Findings) -> None:
    """Check a PodDisruptionBudget."""
    spec = obj.get("spec", {})
    given = [key for key in ("minAvailable", "maxUnavailable") if key in spec]
    if len(given) == 2:
        containers.fail(out, "spec", "minAvailable and maxUnavailable exclude each other")
    for key in given:
        _amount(spec[key], f"spec.{key}", out)
        if isinstance(spec[key], str) and (_number(spec[key]) or 0) > 100:
            containers.fail(out, f"spec.{key}", "must not be above 100%")
    names.selector(spec.get("selector", {}), "spec.selector", out)
    policy = spec.get("unhealthyPodEvictionPolicy", "IfHealthyBudget")
    allowed = ("IfHealthyBudget", "AlwaysAllow")
    containers.one_of(policy, allowed, "spec.unhealthyPodEvictionPolicy", out)


def job(obj: Object, out: Findings) -> None:
    """Check a Job whose selector is left to Kubernetes; its name becomes a label of its pods."""
    names.add(out, "metadata.name", names.label_value(obj.get("metadata", {}).get("name", "")))
    spec = obj.get("spec", {})
    containers.unchecked(spec, _UNCHECKED, "spec", out)
    for key in (
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ):
        _not_negative(spec, key, "spec", out)
    if "selector" in spec:
        containers.fail(out, "spec.selector", "is for Kubernetes to make")
    _completion(spec, out)
    template = spec.get("template", {})
    pods.template(template, "spec.template", out)
    restart = template.get("spec", {}).get("restartPolicy", "Always")
    where = "spec.template.spec.restartPolicy"
    if restart == "Always":
        containers.fail(out, where, "must be Never or OnFailure in a Job")
    if "podFailurePolicy" in spec:
        if restart != "Never":
            containers.fail(out, where, "must be Never with podFailurePolicy")
        _failure_policy(spec, out)


def _completion(spec: Object, out: Findings) -> None:
    mode = spec.get("completionMode", "NonIndexed")
    containers.one_of(mode, ("NonIndexed", "Indexed"), "spec.completionMode", out)
    if mode == "Indexed" and "completions" not in spec:
        containers.fail(out, "spec.completions", "needed with completionMode Indexed")
    if mode == "NonIndexed":
        for key in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if key in spec:
                containers.fail(out, f"spec.{key}", "needs completionMode Indexed")
    if "maxFailedIndexes" in spec and "backoffLimitPerIndex" not in spec:
        containers.fail(out, "spec.backoffLimitPerIndex", "needed with maxFailedIndexes")
    replacement = spec.get("podReplacementPolicy", "Failed")
    allowed = ("Failed",) if "podFailurePolicy" in spec else ("Failed", "TerminatingOrFailed")
    containers.one_of(replacement, allowed, "spec.podReplacementPolicy", out)


def _failure_policy(spec: Object, out: Findings) -> None:
    path = "spec.podFailurePolicy.rules"
    rules = spec["podFailurePolicy"].get("rules", ())
    pod = spec.get("template", {}).get("spec", {})
    known = {
        container.get("name")
        for key in ("containers", "initContainers")
        for container in pod.get(key, ())
    }
    if len(rules) > _MAX_FAILURE_RULES:
        containers.fail(out, path, f"must have at most {_MAX_FAILURE_RULES} rules")
    for index, rule in enumerate(rules):
        where = f"{path}[{index}]"
        containers.one_of(rule.get("action"), _ACTIONS, f"{where}.action", out)
        if rule.get("action") == "FailIndex" and "backoffLimitPerIndex" not in spec:
            containers.fail(out, f"{where}.action", "FailIndex needs backoffLimitPerIndex")
        given = [key for key in ("onExitCodes", "onPodConditions") if rule.get(key)]
        if len(given) != 1:
            containers.fail(
                out, where, f"needs exactly one of onExitCodes, onPodConditions: {given}"
            )
        if "onExitCodes" in rule:
            _exit_codes(rule["onExitCodes"], known, f"{where}.onExitCodes", out)
        for number, condition in enumerate(rule.get("onPodConditions", ())):
            below = f"{where}.onPodConditions[{number}]"
            names.add(out, f"{below}.type", names.qualified_name(condition.get("type", "")))
            status = condition.get("status", "True")
            containers.one_of(status, ("True", "False", "Unknown"), f"{below}.status", out)


def _exit_codes(requirement: Object, known: set[object], path: str, out: Findings) -> None:
    operator = requirement.get("operator")
    containers.one_of(operator, ("In", "NotIn"), f"{path}.operator", out)
    if "containerName" in requirement and requirement["containerName"] not in known:
        message = f"there is no container {requirement['containerName']!r}"
        containers.fail(out, f"{path}.containerName", message)
    values = requirement.get("values", ())
    if not 1 <= len(values) <= _MAX_EXIT_CODES:
        containers.fail(out, f"{path}.values", f"must have 1 to {_MAX_EXIT_CODES} values")
    if list(values) != sorted(set(values)):
        containers.fail(out, f"{path}.values", f"must be ordered and unique, are {list(values)}")
    if operator == "In" and 0 in values:
        containers.fail(out, f"{path}.values", "must not have 0 with operator In")
