"""Who pays for a claim."""

from typing import Annotated, ClassVar

import pydantic

from function.api import base

# Behind the claim's name: the group of rules that record what it costs.
GROUP_SUFFIX = "-cost"

PAYER = base.form(
    r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
    "letters, digits, '-', '_' and '.', with a letter or digit at both ends: it is a label",
)
Payer = Annotated[str, base.text(63, PAYER)]


class Cost(base.Model):
    """Who pays: labels of every object of the claim, and of what is recorded of its cost."""

    RULES: ClassVar = (
        base.Rule(
            cel="has(self.team) || has(self.project) || has(self.costCenter)",
            message="name at least one of team, project and costCenter",
            holds=lambda cost: (cost.team, cost.project, cost.cost_center) != (None, None, None),
        ),
    )

    team: Payer | None = pydantic.Field(None, description="Whose the claim is.")
    project: Payer | None = pydantic.Field(None, description="What it is for.")
    cost_center: Payer | None = pydantic.Field(None, description="On whose bill it stands.")
