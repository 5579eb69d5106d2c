"""How many examples of a law are tried: few while one works, those of the profile elsewhere."""

import os

import hypothesis

# `HYPOTHESIS_PROFILE` is set by `make laws`, by `python -m tests.mutations`, and by who wants more.
AT_WORK = os.environ.get("HYPOTHESIS_PROFILE", "default") == "default"


def examples(at_work: int, elsewhere: int | None = None) -> hypothesis.settings:
    """Returns the settings of a law whose examples are dear.

    Args:
        at_work: How many in the default profile.
        elsewhere: How many in any other, or None for those of the profile.
    """
    usual = hypothesis.settings().max_examples if elsewhere is None else elsewhere
    return hypothesis.settings(max_examples=at_work if AT_WORK else usual)
