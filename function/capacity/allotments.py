"""How many sequences run at once, and how long they may be, where nobody says.

The one rule for a claim that names neither, and for a first claim that is written. Each takes
memory from the other. Sequences come first, of the usual length; the context gets what so many
leave.
"""

from collections.abc import Callable

from function.capacity import fit

# The shortest context that is derived, unless the model itself has less.
SHORTEST_CONTEXT = 4096
# A derived count of sequences is a multiple of the least.
LEAST_SEQUENCES = 8
MOST_SEQUENCES = 256
_CONTEXT_STEP = 1024

# Whether a model fits with a number of the size in question, or None where nobody knows.
Trial = Callable[[int], fit.Fit | None]


def sequences(usual: float, trial: Trial) -> int:
    """Returns how many sequences run at once: those that the cache surely holds.

    Args:
        usual: Tokens of a usual request.
        trial: Tries a number of sequences, at a short context.
    """

    def holds(steps: int) -> bool:
        answer = trial(steps * LEAST_SEQUENCES)
        return answer is not None and answer.tokens.low >= steps * LEAST_SEQUENCES * usual

    most = _last(holds, range(1, MOST_SEQUENCES // LEAST_SEQUENCES + 1))
    return LEAST_SEQUENCES if most is None else most * LEAST_SEQUENCES


def context(longest: int, room: int, trial: Trial) -> int:
    """Returns the longest sequence in tokens.

    Args:
        longest: What the model has, or what is wanted.
        room: Sequences of the whole context that there has to be room for.
        trial: Tries a context, beside the sequences that run.
    """
    shortest = min(longest, SHORTEST_CONTEXT)
    if roomy(trial(longest), room):
        return longest
    steps = range(shortest // _CONTEXT_STEP, longest // _CONTEXT_STEP + 1)
    most = _last(lambda step: roomy(trial(step * _CONTEXT_STEP), room), steps)
    return shortest if most is None else most * _CONTEXT_STEP


def roomy(answer: fit.Fit | None, room: int) -> bool:
    """Tells whether the cache surely holds a sequence of the whole context, and likely so many."""
    if answer is None or answer.sequences.low < 1:
        return False
    # The wider an estimate, the less of a model's context its low end would leave.
    return answer.sequences.best >= room


def _last(holds: Callable[[int], bool], steps: range) -> int | None:
    """Returns the last step that holds, of steps that stop to hold somewhere, or None."""
    if not steps or not holds(steps[0]):
        return None
    low, high = 0, len(steps)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(steps[middle]) else (low, middle)
    return steps[low]
