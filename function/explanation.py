"""Why a value is what it is, for people: `render --output table` prints it."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Explanation:
    """Why a derived value is what it is.

    Attributes:
        value: What was derived, by name.
        result: The value, in words.
        rule: How it follows.
        inputs: From what.
        surprising: True when the value is not what the author wrote: `render` says it unasked.
        field: The field of the claim that decides about it, or would.
    """

    value: str
    result: str
    rule: str
    inputs: str
    surprising: bool = False
    field: str = ""
