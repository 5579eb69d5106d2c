"""The seam to kinds of claim: what every front door may ask of one."""

from collections.abc import Mapping
from typing import Any, Protocol

from function import composition
from function.api import base, settings
from function.cluster import observed


class Composite(Protocol):
    """A kind of claim. A module that has these is one more row of `registry.COMPOSITES`.

    Attributes:
        GROUP: Its API group.
        VERSION: Its version.
        KIND: Its kind.
        PLURAL: Its resource.
        LONGEST_NAME: Characters of a claim's name, at most.
        MODEL: The claim.
        SPEC: What its author asks for.
        STATUS: What `kubectl get` shows.
        COLUMNS: Of `kubectl get`: name, type, JSON path, priority.
        CONDITION_TYPES: The conditions, in the order in which a claim shows them.
    """

    GROUP: str
    VERSION: str
    KIND: str
    PLURAL: str
    LONGEST_NAME: int
    MODEL: type[base.Model]
    SPEC: type[base.Model]
    STATUS: type[base.Model]
    COLUMNS: tuple[tuple[str, str, str, int], ...]
    CONDITION_TYPES: tuple[str, ...]

    def parse(self, document: Mapping[str, Any]) -> Any:
        """Returns the claim.

        Raises:
            base.InvalidError: The document breaks the claim's schema or rules.
        """

    def compose(
        self, resource: Any, site: settings.Settings, world: observed.Observed
    ) -> composition.Composition:
        """Returns everything that the claim becomes. Pure.

        Raises:
            base.InvalidError: The claim asks for what cannot or must not be composed.
        """

    def invalid(
        self, reason: str, message: str, world: observed.Observed
    ) -> tuple[observed.Condition, ...]:
        """Returns all conditions of a claim that cannot be rendered.

        Args:
            reason: Invalid, SettingsInvalid or InternalError.
            message: In words.
            world: What the cluster reports.
        """
