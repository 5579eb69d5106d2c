"""Evaluations as objects, and what the front door says of them.

The policies of the pods come before the CronJobs, and a CronJob whose policy goes starts no pod.
"""

from collections.abc import Iterator

from function import assembly
from function.api import settings
from function.cluster import observed, readiness
from function.concerns import reasons
from function.fleet import rows, situations
from function.fleet.evals import alerts, pods, policies, wanted

# So many names are in a message.
_MOST_NAMED = 8


class EvalsReady(reasons.Reasons):
    """Reasons of EvalsReady."""

    NOT_REQUESTED = reasons.Reason("NotRequested", True, "There are no `evals`.")
    SCHEDULED = reasons.Reason(
        "Scheduled",
        True,
        "Every selected model has a CronJob. What came of it, metrics and alerts say.",
    )
    PARTLY = reasons.Reason(
        "Partly",
        True,
        "The same, and some of the models that `evals.models` names have none: nobody serves them,"
        " or the caller may not use them; the message names them.",
        "Correct `evals.models`, or the caller's own `models`.",
    )
    NOT_PROVIDED = reasons.NO_AI_GATEWAY
    NO_IMAGE = reasons.Reason(
        "NoImage",
        False,
        "The settings name no image of Promptfoo: nothing is evaluated.",
        "Set `frontDoor.evals.image` ([evaluations](front-door.md#evaluations)).",
        alarm=True,
    )
    NO_STORE = reasons.Reason(
        "NoStore",
        False,
        "The settings do not say where results go, or by which pods or networks they get there:"
        " nothing is evaluated.",
        "Set `frontDoor.evals.pushURL`, and `store` or `egressCidrs` beside it.",
        alarm=True,
    )
    KIND_MISSING = reasons.Reason(
        "KindMissing",
        False,
        "A kind is not installed; the message names it.",
        "Install it ([a kind that is installed later](#a-kind-that-is-installed-later)), or switch"
        " the provider.",
        alarm=True,
    )
    KEY_PENDING = reasons.Reason(
        "KeyPending",
        False,
        "The key of `evals.caller` is not fetched yet.",
        "[CallersReady](#callersready).",
    )
    NO_MODELS = reasons.Reason(
        "NoModels",
        False,
        "No model is published that `evals.models` selects and the caller may use.",
        "[ModelsReady](#modelsready); `evals.models`, and `models` of the caller.",
    )
    WITHHELD = reasons.Reason(
        "Withheld",
        False,
        "The Gateway has no address yet, or the pods' network policy is not there.",
        "Wait a moment; [GatewayReady](#gatewayready).",
    )
    UNRESOLVED = reasons.Reason(
        "Unresolved",
        False,
        "An object is not there yet or not accepted; the message is its controller's.",
        "Wait a moment; then `kubectl -n llm describe` the kind that the message names.",
    )


def compose(now: situations.Situation) -> Iterator[assembly.Part]:
    """Yields policy, alerts, and the CronJob of each model with what it asks."""
    given = wanted.evaluations(now)
    if given is None or lacks(now.door.site) is not None or not given.targets:
        return
    site = now.door.site
    yield from _policies(now)
    asking = list(_asking(now, given))
    if not asking:
        return
    unguarded = _unguarded(now) is not None
    for target in asking:
        configuration = pods.configuration(now.door, given, target)
        yield assembly.Part(f"{rows.EVALUATED}{target.part}", configuration)
        cron_job = pods.cron_job(now, given, target)
        if unguarded:
            cron_job["spec"]["suspend"] = True
        yield assembly.Part(f"{rows.EVALUATION}{target.part}", cron_job)
    if site.providers.monitoring in alerts.PROVIDERS:
        rules = alerts.rules(now.door, given)
        yield assembly.Part(rows.EVAL_RULES[site.providers.monitoring], rules)


def _policies(now: situations.Situation) -> Iterator[assembly.Part]:
    chosen = now.door.site.providers.network_policy
    policy = policies.PROVIDERS.get(chosen)
    if policy is None:
        return
    yield assembly.Part(rows.EVAL_POLICIES[chosen], policy(now.door))
    if _unguarded(now) is None:
        return
    for last, former in policies.PROVIDERS.items():
        # Core deletes before it applies: pods that ask would be open in between, and have a key.
        if last != chosen and now.world.get(rows.EVAL_POLICIES[last]) is not None:
            yield assembly.Part(rows.EVAL_POLICIES[last], former(now.door))


def _asking(now: situations.Situation, given: wanted.Evaluations) -> Iterator[wanted.Target]:
    """Yields the models that have a CronJob: a new one once it would work."""
    if given.address is None:
        return
    if _waits(now, given) is None:
        yield from given.targets
        return
    for target in given.targets:
        if now.world.get(f"{rows.EVALUATION}{target.part}") is not None:
            yield target


def lacks(site: settings.Settings) -> observed.Condition | None:
    """Returns what the settings lack, or None."""
    evals = site.front_door.evals
    if evals.image is None:
        return EvalsReady.NO_IMAGE.condition("the settings name no frontDoor.evals.image")
    if evals.push_url is None:
        return EvalsReady.NO_STORE.condition("the settings name no frontDoor.evals.pushURL")
    guarded = site.providers.network_policy != "none"
    if guarded and evals.store is None and not evals.egress_cidrs:
        words = "the settings name no frontDoor.evals.store and no egressCidrs: pushURL is shut off"
        return EvalsReady.NO_STORE.condition(words)
    return None


def _waits(now: situations.Situation, given: wanted.Evaluations) -> observed.Condition | None:
    """Returns what new CronJobs wait for, or None."""
    if given.caller.name in now.pending:
        words = f"the key is not fetched yet: {given.caller.name}"
        return EvalsReady.KEY_PENDING.condition(words)
    if given.address is None:
        return EvalsReady.WITHHELD.condition("the Gateway has no address yet")
    unguarded = _unguarded(now)
    return None if unguarded is None else EvalsReady.WITHHELD.condition(unguarded)


def _unguarded(now: situations.Situation) -> str | None:
    """Returns why the pods' policy does not protect yet, or None when it does."""
    suffix = rows.EVAL_POLICIES.get(now.door.site.providers.network_policy)
    if suffix is None:
        return None
    kind, policy = rows.TABLE.row(suffix).kind, now.world.get(suffix)
    if policy is None:
        return f"the {kind.name} of the pods is not there yet"
    verdict = (kind.ready or readiness.there)(policy)
    return None if verdict.ready else f"{kind.name}: {verdict.message}"


def condition(now: situations.Situation, desired: assembly.Desired) -> observed.Condition:
    """Returns EvalsReady."""
    if now.door.resource.spec.evals is None:
        return EvalsReady.NOT_REQUESTED.condition("there are no evals")
    given = wanted.evaluations(now)
    if given is None:
        return EvalsReady.NOT_PROVIDED.condition("the settings have no provider of gateway")
    lack = lacks(now.door.site)
    if lack is not None:
        return lack
    absent = desired.lacking(EvalsReady.type())
    if absent is not None:
        provider = "networkPolicy" if absent.endswith("Policy") else "monitoring"
        return EvalsReady.KIND_MISSING.condition(reasons.missing(absent, provider))
    if not given.targets:
        return EvalsReady.NO_MODELS.condition(_no_models(given))
    waits = _waits(now, given)
    if waits is not None:
        return waits
    unresolved = desired.waits(EvalsReady.type())
    if unresolved is not None:
        return EvalsReady.UNRESOLVED.condition(unresolved)
    left_out = _left_out(given)
    if left_out:
        return EvalsReady.PARTLY.condition(left_out)
    return EvalsReady.SCHEDULED.condition("every selected model has a CronJob")


def _no_models(given: wanted.Evaluations) -> str:
    words = _left_out(given)
    return f"no model to evaluate: {words}" if words else "no model is published to evaluate"


def _left_out(given: wanted.Evaluations) -> str:
    """Returns in words which models have no evaluation, and why."""
    parts = []
    if given.forbidden and given.spec.models is not None:
        parts.append(f"{given.caller.name} may not use {_listed(given.forbidden)}")
    if given.unknown:
        parts.append(f"no published claim serves {_listed(given.unknown)}")
    return "; ".join(parts)


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
