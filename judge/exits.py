"""How the program ends: the function reads nothing else of it (function/cluster/gating.py)."""

import enum


class Exit(enum.IntEnum):
    """An exit code."""

    HELD = 0
    UNUSABLE_PLAN = 2
    ERROR_RATE = 20
    EVALS_FAILED = 21
    TOO_FEW_REQUESTS = 30
    STORE_UNREACHABLE = 31
    NOT_EVALUATED = 32
    BASE_FAILS = 33


BROKEN = (Exit.ERROR_RATE, Exit.EVALS_FAILED)
