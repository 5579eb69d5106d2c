"""Whether the claim can be rendered at all, and what is still true when it cannot."""

from collections.abc import Iterable

from function.cluster import observed
from function.concerns import reasons, workload


class Valid(reasons.Reasons):
    """Reasons of Valid."""

    VALID = reasons.Reason(
        "Valid",
        True,
        "Claim and settings can be used.",
    )
    INVALID = reasons.Reason(
        "Invalid",
        False,
        "The claim breaks a rule, or asks for what the settings do not allow.",
        "The message names field and rule: correct it.",
    )
    SETTINGS_INVALID = reasons.Reason(
        "SettingsInvalid",
        False,
        "The EnvironmentConfigs or the Composition's input break their schema, or there are"
        " none. Every claim says it.",
        "The message names the key: the platform's owner corrects it.",
    )
    NAME_TAKEN = reasons.Reason(
        "NameTaken",
        False,
        "An object that the claim would create is there already and is not the claim's. Core would"
        " take it over.",
        "[A name that is taken](#a-name-that-is-taken).",
    )
    INTERNAL_ERROR = reasons.Reason(
        "InternalError",
        False,
        "The function met a bug.",
        "Look for the id in the function's log and report it; the same failure has the same id.",
    )


# Characters of a condition's message.
LONGEST_MESSAGE = 1000


def valid() -> observed.Condition:
    """Returns the condition of a claim that was rendered."""
    return Valid.VALID.condition("the claim and the settings are valid")


def invalid(
    reason: reasons.Reasons, message: str, before: observed.Observed, types: Iterable[str]
) -> tuple[observed.Condition, ...]:
    """Returns all conditions of a claim that cannot be rendered: each repeats what it said before.

    Current is the exception when the claim itself is at fault: what serves is not what it says.

    Args:
        reason: Why it cannot be rendered.
        message: In words.
        before: What the cluster reports.
        types: The types of all conditions of the claim.
    """
    kept = dict(before.conditions)
    if reason is Valid.INVALID:
        words = "what the claim says cannot be used: see Valid"
        kept[workload.Current.type()] = workload.Current.INVALID.condition(words)
    return (
        reason.condition(message[:LONGEST_MESSAGE]),
        *(
            kept.get(kind, observed.Condition(kind, "Unknown", "NotRendered"))
            for kind in types
            if kind != Valid.type()
        ),
    )
