"""The program: asks the store until the step is decided, or nothing more is waited for."""

import os
import time
from collections.abc import Callable, Mapping

from judge import exits, plan, store, verdicts

# Seconds between two looks, and for how long a store may be away.
EVERY = 30
PATIENCE = 600
# For how many seconds requests count at most: a store forgets, and what it forgot looks like zero.
WINDOW = 7 * 86400


def run(
    given: plan.Plan,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> exits.Exit:
    """Judges the step; returns how it ends.

    Args:
        given: The plan.
        clock: Returns seconds since 1970.
        sleep: Waits for seconds.
    """
    asked = store.Store(given.url, given.labels)
    started = clock()
    since = int(started) if given.since is None else given.since
    began = since if given.began is None else given.began
    answered, words = started, ""
    while True:
        now = clock()
        first = max(since, int(now) - WINDOW)
        try:
            canary, base = asked.counts(given.base, given.canary, first, int(now))
            evaluation = (
                asked.evaluation(given.namespace, given.canary, began, int(now))
                if given.pass_percent is not None
                else None
            )
        except store.StoreError as error:
            _tell(str(error))
            if now - answered >= PATIENCE and now - started >= given.patience:
                return exits.Exit.STORE_UNREACHABLE
        else:
            answered = now
            words = _told(words, _words(given, canary, base, evaluation))
            # One that follows another looks for a whole step too: it ends no sooner than asked.
            over = now - started >= given.seconds
            ending = verdicts.decided(given, canary, base, evaluation, over=over)
            if ending is None and over and now - started >= given.patience:
                ending = verdicts.lacks(given, canary, evaluation)
            if ending is not None:
                _tell(f"{ending.name}: {words}")
                return ending
        sleep(EVERY)


def _words(
    given: plan.Plan,
    canary: store.Count,
    base: store.Count,
    evaluation: store.Evaluation | None,
) -> str:
    allowed = verdicts.allowed(given, base) * 100
    text = (
        f"canary {given.canary}: {canary.errors:.0f} of {canary.requests:.0f} requests failed;"
        f" base {given.base}: {base.errors:.0f} of {base.requests:.0f};"
        f" allowed: {allowed:.1f} % of {given.min_requests} or more"
    )
    if given.pass_percent is None:
        return text
    if evaluation is None:
        return f"{text}; no evaluation yet"
    passed = f"{evaluation.ratio * 100:.0f} % of its cases passed"
    return f"{text}; {passed}, and {given.pass_percent} % must"


def _told(before: str, now: str) -> str:
    """Tells what is new; returns it."""
    if now != before:
        _tell(now)
    return now


def _tell(words: str) -> None:
    print(words, flush=True)


def main(environment: Mapping[str, str] = os.environ) -> int:
    """Runs the program; returns its exit code."""
    try:
        given = plan.read(environment.get(plan.VARIABLE, ""))
    except plan.PlanError as error:
        _tell(str(error))
        return exits.Exit.UNUSABLE_PLAN
    return run(given)
