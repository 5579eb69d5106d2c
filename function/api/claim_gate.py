"""The gate of a canary: by which steps its weight rises, and what each step must show."""

from typing import Annotated

import pydantic

from function.api import base


class GateEvals(base.Model):
    """Evaluations of the adapter by an InferenceGateway of the namespace (its `evals`)."""

    pass_percent: Annotated[int, base.number(1, 100)] | None = pydantic.Field(
        None,
        description="Least share of the cases that pass, in percent; 90 when absent. The last"
        " evaluation counts, and none from before the canary began.",
    )


class Gate(base.Model):
    """Steps by which the weight rises to weightPercent, each judged before the next one.

    A step that breaks takes the weight to 0, until the canary is changed.
    """

    steps: Annotated[list[Annotated[int, base.number(1, 98)]], base.items(8, 1)] | None = (
        pydantic.Field(
            None,
            description="Percents below weightPercent, in any order; a quarter and a half of"
            " weightPercent when absent. weightPercent is the last step.",
        )
    )
    minutes: Annotated[int, base.number(1, 1440)] | None = pydantic.Field(
        None, description="Minutes for which a step is judged, at least; 30 when absent."
    )
    max_error_percent: Annotated[int, base.number(0, 100)] | None = pydantic.Field(
        None,
        description="Most share of the canary's requests that ends in an error, in percent; 1 when"
        " absent. A step breaks when the share lies so much above the base model's own.",
    )
    min_requests: Annotated[int, base.number(1, 1_000_000)] | None = pydantic.Field(
        None,
        description="Requests of the canary without which a step is not judged, and waits; 100 when"
        " absent.",
    )
    evals: GateEvals | None = pydantic.Field(
        None, description="Evaluations that must pass too; none when absent."
    )
    generation: Annotated[int, base.number(0)] | None = pydantic.Field(
        None, description="Raise it to begin again at the first step; 0 when absent."
    )
