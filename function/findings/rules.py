"""A rule that a claim can break, with its page, and one breach of a rule.

A finding refuses nothing by itself: what is stored stays rendered. `table.py` lists every rule.
"""

import dataclasses
import enum

from function.api import base


class Severity(enum.StrEnum):
    """What comes of a finding."""

    ERROR = "error"
    """The claim cannot serve as it stands: the engine ends, or the weights never come."""
    WARNING = "warning"
    """The claim may serve, and not as its author thinks."""
    NOTE = "note"
    """Nothing is wrong, and it is worth knowing before GPUs are rented."""


@dataclasses.dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        name: As `explain` takes it and a machine matches it: words with dashes.
        severity: The worst that a breach comes to.
        what: What breaks it, in a sentence.
        why: What comes of a breach, in a sentence.
        remedy: What a person does.
    """

    name: str
    severity: Severity
    what: str
    why: str
    remedy: str

    @property
    def page(self) -> str:
        """Where the rule is written down, in the repository."""
        return f"docs/findings.md#{self.name}"

    def broken(self, field: str, message: str, severity: Severity | None = None) -> "Finding":
        """Returns a breach.

        Args:
            field: The field that is at fault, such as `spec.engineArgs[0]`.
            message: What is wrong with its value, and what a person can do.
            severity: When it is less than the rule's.
        """
        return Finding(self, field, message, self.severity if severity is None else severity)


@dataclasses.dataclass(frozen=True)
class Finding:
    """One breach of a rule.

    Attributes:
        rule: The rule.
        field: The field that is at fault.
        message: What is wrong with its value, and what a person can do.
        severity: What comes of it: the rule's, or less where it is less sure.
    """

    rule: Rule
    field: str
    message: str
    severity: Severity

    @property
    def sentence(self) -> str:
        """The field with what is wrong, in one line."""
        return base.printable(f"{self.field}: {self.message}" if self.field else self.message)

    def __str__(self) -> str:
        """Returns the line that a person reads."""
        return f"{self.severity}: {self.sentence} ({self.rule.name})"
