"""What a run found, and the exit code that follows."""

import dataclasses
from typing import Any

from function.cli import rendering, verdicts

RENDERED = 0
CANNOT_BE_USED = 1
NOT_READ = 2

API_VERSION = "inference-service.cloud.ogenki.io/v1alpha1"
KIND = "Verdict"


@dataclasses.dataclass(frozen=True)
class Result:
    """What a run found.

    Attributes:
        rendered: The claims that were rendered.
        others: The claims of other kinds that were rendered.
        judged: The verdict on each claim: as the files have them, then those that no file has.
        unreadable: What could not be read, in words.
        notes: What a person should know of the run as a whole.
        invalid: Why the settings cannot be used, in words.
    """

    rendered: tuple[rendering.Rendered, ...] = ()
    judged: tuple[verdicts.Verdict, ...] = ()
    others: tuple[rendering.Plain, ...] = ()
    unreadable: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    invalid: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """The exit code of the command line: what was not read weighs most."""
        if self.unreadable:
            return NOT_READ
        if self.invalid or any(verdict.errors for verdict in self.judged):
            return CANNOT_BE_USED
        return RENDERED

    def document(self) -> dict[str, Any]:
        """Returns the same for machines."""
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "exitCode": self.exit_code,
            "unreadable": list(self.unreadable),
            "invalidSettings": list(self.invalid),
            "notes": list(self.notes),
            "claims": [verdicts.document(verdict) for verdict in self.judged],
        }
