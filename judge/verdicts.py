"""What is decided of a step, from numbers alone."""

from judge import exits, plan, store


def allowed(given: plan.Plan, base: store.Count) -> float:
    """Returns the most share of errors with which a canary is not worse than its base model."""
    own = base.errors / base.requests if base.requests else 0.0
    return _exact(own + given.max_error_percent / 100)


def _exact(value: float) -> float:
    """Returns a value without what binary fractions add: 0.29 times 100 is 29."""
    return round(value, 9)


def decided(
    given: plan.Plan,
    canary: store.Count,
    base: store.Count,
    evaluation: store.Evaluation | None,
    *,
    over: bool,
) -> exits.Exit | None:
    """Returns how the step ends, or None while that is open.

    A step breaks as soon as it could not hold any more: when more requests failed than may fail of
    the least number. Nothing holds before the time is over.

    Args:
        given: The plan.
        canary: What the canary was asked.
        base: What the base model was asked.
        evaluation: The last evaluation that counts, or None.
        over: Whether the step's time is over.
    """
    most = allowed(given, base) * max(canary.requests, given.min_requests)
    if canary.errors > _exact(most):
        return exits.Exit.ERROR_RATE
    if given.pass_percent is not None and evaluation is not None and _fails(given, evaluation):
        return exits.Exit.EVALS_FAILED
    return exits.Exit.HELD if over and lacks(given, canary, evaluation) is None else None


def lacks(
    given: plan.Plan, canary: store.Count, evaluation: store.Evaluation | None
) -> exits.Exit | None:
    """Returns why a step that does not break cannot hold, or None when it can."""
    if canary.requests < given.min_requests:
        return exits.Exit.TOO_FEW_REQUESTS
    if canary.errors > _exact(canary.requests * given.max_error_percent / 100):
        return exits.Exit.BASE_FAILS
    if given.pass_percent is not None and evaluation is None:
        return exits.Exit.NOT_EVALUATED
    return None


def _fails(given: plan.Plan, evaluation: store.Evaluation) -> bool:
    return given.pass_percent is not None and _exact(evaluation.ratio * 100) < given.pass_percent
