"""What a condition may say: its reasons, each with the sentences of docs/operations.md beside it.

A condition can have no reason that is not in its enumeration, and `make generate` writes the page
from the enumerations.
"""

import dataclasses
import enum

from function.cluster import observed


@dataclasses.dataclass(frozen=True)
class Reason:
    """One reason.

    Attributes:
        name: As a machine matches it.
        holds: Whether the condition is True with it, unless the caller of `condition` decides; None
            when it is Unknown.
        meaning: What it means, for docs/operations.md.
        action: What a person does, for docs/operations.md; empty for nothing.
        alarm: True when somebody must act: its event is a warning.
    """

    name: str
    holds: bool | None
    meaning: str
    action: str = ""
    alarm: bool = False


# Reasons that several conditions have.
NO_AI_GATEWAY = Reason(
    "NotProvided",
    False,
    "The settings have no AI gateway.",
    "Set `providers.gateway`.",
    alarm=True,
)
MISSING_KIND = Reason(
    "KindMissing",
    False,
    "A kind is not installed; the message names it.",
    "Install it ([a kind that is installed later](#a-kind-that-is-installed-later)).",
    alarm=True,
)

# As Kubernetes writes it.
STATUS = {True: "True", False: "False", None: "Unknown"}


class Reasons(enum.Enum):
    """The reasons of one condition. The class is named as the condition's type.

    Attributes:
        reason: The reason.
    """

    def __init__(self, reason: Reason) -> None:
        # An attribute: a member's `value` is looked up by Python code, twenty times a call.
        self.reason = reason

    @classmethod
    def type(cls) -> str:
        """Returns the condition's type."""
        return cls.__name__

    @classmethod
    def named(cls, name: str) -> "Reasons":
        """Returns the reason of a name.

        Raises:
            KeyError: The condition has no such reason.
        """
        for member in cls:
            if member.reason.name == name:
                return member
        raise KeyError(f"{cls.type()} has no reason {name}")

    def condition(self, message: str = "", *, holds: bool | None = None) -> observed.Condition:
        """Returns the condition with this reason.

        Args:
            message: In words that a person can act on; nothing that changes by itself.
            holds: Whether the condition is True, where the reason alone does not decide.
        """
        true = self.reason.holds if holds is None else holds
        return observed.Condition(type(self).type(), STATUS[true], self.reason.name, message)


def missing(absent: str, provider: str) -> str:
    """Returns the sentence about a kind that the cluster lacks.

    Args:
        absent: `<apiVersion> <kind>`.
        provider: The setting under `providers` that asks for it.
    """
    return f"the cluster has no {absent}: install it, or set providers.{provider} in the settings"
